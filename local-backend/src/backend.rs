//! What the parts of a server share, and how an invocation goes through it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::ApiError;
use crate::function::Version;
use crate::instance::{Answer, Instance, Invocation, StartFailure, Surroundings};
use crate::logs::LogStore;
use crate::overhead::Delays;
use crate::pool::{Acquired, MAX_INSTANCES, Pool};
use crate::registry::Registry;
use crate::runtimes::Runtimes;
use crate::sandbox::Host;

/// Asynchronous invocations accepted and not yet done at most.
const ASYNC_QUEUE: usize = 1_000;
/// Waits before the two retries of an asynchronous invocation. On Lambda they are one and two
/// minutes; here someone waits to see them.
const ASYNC_RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
/// How often, and how long in all, an asynchronous invocation asks for an instance.
const THROTTLE_PAUSE: Duration = Duration::from_millis(250);
const THROTTLE_ROUNDS: usize = 240;

/// What the parts of a server share.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) registry: Registry,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) delays: Delays,
    pub(crate) host: Host,
    pub(crate) pool: Pool,
    pub(crate) runtimes: Runtimes,
    /// This server as functions see it.
    pub(crate) lambda_endpoint: String,
    /// Everything that must end before the server has ended.
    pub(crate) tasks: TaskTracker,
    async_slots: Arc<Semaphore>,
}

/// How an invocation ends for its caller.
pub(crate) type Reply = Result<Answer, ApiError>;

impl Backend {
    pub(crate) fn new(
        registry: Registry,
        delays: Delays,
        host: Host,
        idle_expiry: Duration,
        lambda_endpoint: String,
    ) -> Self {
        Self {
            registry,
            logs: Arc::default(),
            delays,
            host,
            pool: Pool::new(idle_expiry),
            runtimes: Runtimes::default(),
            lambda_endpoint,
            tasks: TaskTracker::new(),
            async_slots: Arc::new(Semaphore::new(ASYNC_QUEUE)),
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

    /// Accepts an invocation that nobody waits for.
    pub(crate) fn invoke_async(
        self: &Arc<Self>,
        version: Arc<Version>,
        invocation: Invocation,
    ) -> Result<(), ApiError> {
        let Ok(slot) = Arc::clone(&self.async_slots).try_acquire_owned() else {
            return Err(ApiError::throttled(format!(
                "{ASYNC_QUEUE} asynchronous invocations are waiting already"
            )));
        };
        let backend = Arc::clone(self);
        self.tasks.spawn(async move {
            backend.run_async(&version, &invocation).await;
            drop(slot);
        });
        Ok(())
    }

    async fn run_async(self: &Arc<Self>, version: &Arc<Version>, invocation: &Invocation) {
        let mut delays = ASYNC_RETRY_DELAYS.iter();
        let mut throttled = 0;
        while !self.pool.is_closed() {
            match self.invoke(Arc::clone(version), invocation.clone()).await {
                Ok(answer) if !answer.is_error => return,
                Err(error) if error.status == 429 && throttled < THROTTLE_ROUNDS => {
                    throttled += 1;
                    tokio::time::sleep(THROTTLE_PAUSE).await;
                }
                Ok(_) | Err(_) => match delays.next() {
                    Some(delay) => tokio::time::sleep(*delay).await,
                    None => return,
                },
            }
        }
    }

    async fn dispatch(
        self: Arc<Self>,
        version: Arc<Version>,
        invocation: Invocation,
        reply: oneshot::Sender<Reply>,
    ) {
        let generation = version.generation;
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
        let permit = match self.pool.acquire(version.generation).await {
            Acquired::Warm(instance) => return Ok(instance),
            Acquired::Cold(permit, instead_of) => {
                self.remove(instead_of);
                permit
            }
            Acquired::Throttled => {
                return Err(Err(ApiError::throttled(format!(
                    "Rate Exceeded: {MAX_INSTANCES} instances are busy"
                ))));
            }
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
