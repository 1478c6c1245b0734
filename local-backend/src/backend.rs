//! What the parts of a server share, and how an invocation goes through it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::asynchronous::AsyncQueue;
use crate::concurrency::Running;
use crate::error::ApiError;
use crate::function::Version;
use crate::instance::{Answer, Instance, Invocation, StartFailure, Surroundings};
use crate::layers::Layers;
use crate::logs::{LogStore, Queries};
use crate::options::Options;
use crate::overhead::Delays;
use crate::pool::{Acquired, Pool};
use crate::preparation::{Fault, Phase};
use crate::registry::{Instances, Registry};
use crate::runtimes::Runtimes;
use crate::sandbox::{Host, ResizeError};
use crate::state::ServerDirectory;

/// How long an answer is held back for the work that it is about. Clients that wait for the end of
/// a change look once a second, so this makes nobody wait longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the parts of a server share.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) registry: Registry,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) queries: Queries,
    pub(crate) delays: Delays,
    pub(crate) host: Host,
    pub(crate) pool: Pool,
    pub(crate) runtimes: Runtimes,
    pub(crate) layers: Layers,
    /// This server as functions see it.
    pub(crate) lambda_endpoint: String,
    /// Everything that must end before the server has ended.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the server closes: whoever sleeps wakes up.
    pub(crate) closing: CancellationToken,
    pub(crate) queue: AsyncQueue,
    running: Arc<Running>,
}

/// How an invocation ends for its caller.
pub(crate) type Reply = Result<Answer, ApiError>;

impl Backend {
    pub(crate) fn new(
        options: &Options,
        directory: &ServerDirectory,
        host: Host,
        lambda_endpoint: String,
    ) -> Self {
        Self {
            registry: Registry::new(directory.code(), options.seed),
            logs: Arc::default(),
            queries: Queries::new(options.query_rows),
            delays: Delays::new(options.invoke_overhead, options.seed),
            host,
            pool: Pool::new(options.idle_expiry),
            runtimes: Runtimes::new(directory.code()),
            layers: Layers::new(directory.layers()),
            lambda_endpoint,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            queue: AsyncQueue::new(options.async_retry_delays),
            running: Arc::default(),
        }
    }

    /// Runs an invocation and waits for its answer.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        version: Arc<Version>,
        invocation: Invocation,
    ) -> Reply {
        let (reply, answer) = oneshot::channel();
        // On a task of its own: it goes on when the client hangs up.
        self.tasks.spawn(Arc::clone(self).dispatch(version, invocation, reply));
        answer.await.unwrap_or_else(|_| Err(ApiError::service("the invocation was given up")))
    }

    /// Does the work that a version needs before it can run, and waits for it a little. When it is
    /// done, idle instances of the state that the version replaces are removed or resized.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        version: &Arc<Version>,
        instances: Instances,
        work: impl Future<Output = Result<(), Fault>> + Send + 'static,
    ) {
        let backend = Arc::clone(self);
        let of = Arc::clone(version);
        // On a task of its own: it goes on when the client hangs up.
        let working = self.tasks.spawn(async move {
            of.preparation.finish(work.await);
            match instances {
                _ if of.preparation.phase() != Phase::Done => {}
                Instances::Replaced(before) => backend.retire(before.as_slice()),
                Instances::Resized => backend.resize_idle(&of).await,
            }
        });
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, working).await {
            version.preparation.finish(Err(Fault::internal(error.to_string())));
        }
    }

    /// Removes idle instances of versions that no client can reach any more.
    pub(crate) fn retire(&self, versions: &[Arc<Version>]) {
        for version in versions {
            self.remove(self.pool.retire(version.generation));
        }
    }

    /// Gives the idle instances of a version's generation its sizes, those that have just answered
    /// included. Busy ones get them before their next invocation.
    async fn resize_idle(&self, version: &Arc<Version>) {
        self.pool.settled(version.generation).await;
        let resizing = self.pool.lend(version.generation).into_iter().map(async |instance| {
            let resized = self.resized(instance, version).await;
            let (resized, unfit) = match resized {
                Ok(instance) => (Some(instance), None),
                Err(instance) => (None, Some(instance)),
            };
            let rejected = self.pool.finished(version.generation, resized);
            self.remove(rejected.into_iter().chain(unfit));
        });
        join_all(resizing).await;
    }

    /// An instance with the sizes of this version of its generation, or else the instance as it is, not
    /// to be used any more.
    async fn resized(
        &self,
        mut instance: Instance,
        version: &Arc<Version>,
    ) -> Result<Instance, Instance> {
        match instance.resize(version).await {
            Ok(()) if instance.is_alive() => return Ok(instance),
            Ok(()) => {}
            Err(error @ ResizeError::InUse { .. }) => {
                tracing::info!(function = version.function, %error, "an instance is replaced");
            }
            Err(error) => {
                let function = &version.function;
                tracing::warn!(function, %error, "an instance is replaced that cannot be resized");
            }
        }
        Err(instance)
    }

    async fn dispatch(
        self: Arc<Self>,
        version: Arc<Version>,
        invocation: Invocation,
        reply: oneshot::Sender<Reply>,
    ) {
        let generation = version.generation;
        let limit = self.registry.limit(&version.function);
        let place = match self.running.admit(&version.function, limit) {
            Ok(place) => place,
            Err(error) => {
                deliver(reply, Err(error));
                return;
            }
        };
        let mut instance = match self.instance(version, &invocation).await {
            Ok(instance) => instance,
            Err(early) => {
                deliver(reply, early);
                return;
            }
        };
        let reusable = instance
            .serve(invocation, |answer| {
                // Before the answer: a client's next request may come right after it.
                self.pool.finishing(generation);
                drop(place);
                deliver(reply, Ok(answer));
            })
            .await;
        if !reusable {
            self.pool.finished(generation, None);
            instance.remove().await;
        } else if let Some(instance) = self.pool.finished(generation, Some(instance)) {
            instance.remove().await;
        }
    }

    /// An instance, or what the caller gets instead.
    async fn instance(
        self: &Arc<Self>,
        version: Arc<Version>,
        invocation: &Invocation,
    ) -> Result<Instance, Reply> {
        let throttled = || Err(Err(ApiError::throttled("ConcurrentInvocationLimitExceeded")));
        let permit = match self.pool.acquire(version.generation).await {
            Acquired::Warm(instance) => match self.resized(instance, &version).await {
                Ok(instance) => return Ok(instance),
                Err(mut unfit) => {
                    let permit = unfit.take_permit();
                    self.remove([unfit]);
                    let Some(permit) = permit else { return throttled() };
                    permit
                }
            },
            Acquired::Cold(permit, instead_of) => {
                self.remove(instead_of);
                permit
            }
            Acquired::Throttled => return throttled(),
        };
        let surroundings = Surroundings {
            host: &self.host,
            runtimes: &self.runtimes,
            lambda_endpoint: &self.lambda_endpoint,
            logs: &self.logs,
        };
        let started = Instance::start(surroundings, version, permit).await;
        match started {
            Ok(instance) if self.pool.is_closed() => {
                instance.remove().await;
                Err(Err(ApiError::service("the server is shutting down")))
            }
            Ok(instance) => Ok(instance),
            Err(StartFailure::Function(failure)) => Err(Ok(failure.answer(invocation))),
            Err(StartFailure::Service(message)) => Err(Err(ApiError::service(message))),
        }
    }

    /// Removes instances in the background.
    pub(crate) fn remove(&self, instances: impl IntoIterator<Item = Instance>) {
        for instance in instances {
            self.tasks.spawn(instance.remove());
        }
    }

    /// Removes instances that nobody used for too long, until the server closes.
    pub(crate) async fn expire_idle(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.pool.expiry_interval());
        while !self.pool.is_closed() {
            ticks.tick().await;
            self.remove(self.pool.expire());
        }
    }
}

fn deliver(reply: oneshot::Sender<Reply>, answer: Reply) {
    if reply.send(answer).is_err() {
        tracing::debug!("a client hung up before its answer");
    }
}
