//! One instance of a function: its sandbox and its Runtime API, one invocation at a time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use uuid::Uuid;
use wire::manifest::RUNTIMES_VARIABLE;
use wire::report::{Report, ReportStatus};

use crate::failure::Failure;
use crate::function::{REGION, Version};
use crate::layers::{OPT, OPT_VARIABLE, instead_of_opt};
use crate::logs::{InstanceLog, LogStore, now_ms};
use crate::runtime_api::{RuntimeApi, RuntimeEvent, Work};
use crate::runtimes::{Runtimes, runtimes_folder};
use crate::sandbox::{
    Exit, Host, MemoryUse, ResizeError, Sandbox, SandboxError, SandboxSpec, Start,
};

/// Longest an instance may take to start, as on Lambda.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How long a sandbox's output must be quiet to count as complete. Nobody else can use the
/// instance meanwhile, so it is short unless someone waits for the log.
const OUTPUT_QUIET: Duration = Duration::from_micros(500);
const TAIL_QUIET: Duration = Duration::from_millis(5);

/// What instances of one server share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a Host,
    pub(crate) runtimes: &'a Runtimes,
    /// The server as functions see it.
    pub(crate) lambda_endpoint: &'a str,
    pub(crate) logs: &'a Arc<LogStore>,
}

/// One invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    pub(crate) payload: Bytes,
    pub(crate) trace_id: String,
    /// JSON.
    pub(crate) client_context: Option<String>,
    /// ARN by which the function was called.
    pub(crate) function_arn: String,
    /// Whether the caller wants the end of the log.
    pub(crate) wants_tail: bool,
}

/// What the caller gets.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) payload: Bytes,
    /// A function error rather than a result.
    pub(crate) is_error: bool,
    /// End of the log in base64.
    pub(crate) tail: Option<String>,
}

/// Why there is no instance.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// The function's own fault; the caller gets it as a function error.
    Function(InitFailure),
    /// This server's fault.
    Service(String),
}

/// An init that failed.
#[derive(Debug)]
pub(crate) struct InitFailure {
    failure: Failure,
    init: Duration,
    max_memory_mb: u32,
    log: Arc<InstanceLog>,
    version: Arc<Version>,
}

/// What the function did with an invocation.
enum Outcome {
    Response(Bytes),
    Error(Bytes),
    Failed(Failure),
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    version: Arc<Version>,
    api: RuntimeApi,
    sandbox: Sandbox,
    exit: watch::Receiver<Option<Exit>>,
    log: Arc<InstanceLog>,
    /// Until the first invocation has reported it.
    init: Option<Duration>,
    oom_kills: u64,
    /// Peak of the memory when the instance was last resized, in bytes, where it cannot be reset.
    peak_before: Option<u64>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Instance {
    /// Starts an instance and waits until it is ready for work.
    pub(crate) async fn start(
        surroundings: Surroundings<'_>,
        version: Arc<Version>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StartFailure> {
        let Surroundings { host, runtimes, lambda_endpoint, logs } = surroundings;
        let log = Arc::new(InstanceLog::new(Arc::clone(logs), &version));
        let api = RuntimeApi::listen(host.address()).await;
        let api =
            api.map_err(|error| StartFailure::Service(listen_error(host.address(), &error)))?;
        let configuration = &version.configuration;
        let root = host.task_root(&version.code.directory);
        let layers = host.layers_root(configuration.layers.folder.as_deref());
        let (start, unready) = match Start::of(&version, runtimes) {
            Ok(start) => (start, None),
            Err(reason) => (Start::default(), Some(reason)),
        };
        let spec = SandboxSpec {
            id: Uuid::new_v4().simple().to_string(),
            code: version.code.directory.clone(),
            start,
            environment: environment(&version, &root, layers, &api, lambda_endpoint, &log),
            limits: configuration.limits(),
            mounts: configuration
                .file_systems
                .iter()
                .filter_map(|fs| Some((fs.host_path()?, fs.local_mount_path.clone().into())))
                .collect(),
            log: Arc::clone(&log),
        };
        let missing = spec.mounts.iter().find(|(host, _)| !host.is_dir());
        let missing = missing.map(|(host, _)| {
            format!("{} cannot be mounted: there is no such directory", host.display())
        });
        let started = match unready.or(missing) {
            Some(reason) => Err(SandboxError::Entrypoint(reason)),
            None => host.start(spec).await,
        };
        let sandbox = match started {
            Ok(sandbox) => sandbox,
            Err(SandboxError::Entrypoint(reason)) => {
                let failure = Failure::Entrypoint(reason);
                let (init, max_memory_mb) = (Duration::ZERO, 0);
                let failed = InitFailure { failure, init, max_memory_mb, log, version };
                return Err(StartFailure::Function(failed));
            }
            Err(error) => return Err(StartFailure::Service(error.to_string())),
        };
        let exit = sandbox.exit();
        let permit = Some(permit);
        let mut instance = Self {
            version,
            api,
            sandbox,
            exit,
            log,
            init: None,
            oom_kills: 0,
            peak_before: None,
            permit,
        };
        match instance.wait_until_ready().await {
            Ok(()) => Ok(instance),
            Err(failure) => Err(StartFailure::Function(instance.fail_init(failure).await)),
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let limit = tokio::time::sleep(INIT_LIMIT);
        let failure = tokio::select! {
            biased;
            event = self.api.event() => match event {
                RuntimeEvent::Next => {
                    self.init = Some(self.since_start());
                    // A container that ends takes its figures with it: these are the first.
                    self.oom_kills = self.sandbox.memory().await.oom_kills;
                    return Ok(());
                }
                RuntimeEvent::InitError(payload, kind) => Failure::Init(payload, kind),
                // Refused by the Runtime API while nothing runs.
                RuntimeEvent::Response(_) | RuntimeEvent::Error(_) | RuntimeEvent::ResponseTooLarge => {
                    Failure::Init(Bytes::new(), None)
                }
            },
            exit = ended(&mut self.exit) => Failure::Exited(exit),
            () = limit => Failure::TimedOut(INIT_LIMIT.as_secs()),
        };
        Err(self.or_out_of_memory(failure).await)
    }

    /// Time since the process was started. An engine tells of the start late, so a process that
    /// has spoken before that was started by then.
    fn since_start(&self) -> Duration {
        let told = self.sandbox.started();
        self.api.first_contact().map_or(told, |spoke| spoke.min(told)).elapsed()
    }

    async fn fail_init(self, failure: Failure) -> InitFailure {
        let init = self.since_start();
        self.sandbox.drain(TAIL_QUIET).await;
        let max_memory_mb = self.max_memory_mb().await;
        self.sandbox.remove().await;
        let Self { log, version, .. } = self;
        InitFailure { failure, init, max_memory_mb, log, version }
    }

    /// Whether it can be given work.
    pub(crate) fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Generation of the version it runs.
    pub(crate) fn generation(&self) -> u64 {
        self.version.generation
    }

    /// Makes it an instance of another version of its generation, which differs in its sizes only.
    pub(crate) async fn resize(&mut self, version: &Arc<Version>) -> Result<(), ResizeError> {
        if Arc::ptr_eq(version, &self.version) {
            return Ok(());
        }
        let limits = version.configuration.limits();
        if limits != self.version.configuration.limits() {
            self.sandbox.resize(limits).await?;
            self.peak_before = match self.sandbox.reset_peak() {
                true => None,
                false => self.sandbox.memory().await.peak_bytes,
            };
        }
        self.version = Arc::clone(version);
        Ok(())
    }

    /// Its place among the server's instances, to hand it on.
    pub(crate) fn take_permit(&mut self) -> Option<OwnedSemaphorePermit> {
        self.permit.take()
    }

    /// Kills and removes it.
    pub(crate) async fn remove(self) {
        self.sandbox.remove().await;
    }

    /// Serves one invocation. `answered` gets the answer as soon as there is one; this returns
    /// when the instance is ready for the next invocation (true) or cannot be used again (false).
    ///
    /// As on Lambda the duration ends with the runtime's next `/next`, not with its answer.
    pub(crate) async fn serve(
        &mut self,
        invocation: Invocation,
        answered: impl FnOnce(Answer),
    ) -> bool {
        let timeout_s = self.version.configuration.timeout_s;
        let timeout = Duration::from_secs(timeout_s);
        let started = Instant::now();
        let deadline = tokio::time::Instant::from_std(started + timeout);
        let Invocation { request_id, wants_tail, .. } = invocation.clone();
        self.log.clear_tail();
        start_line(&self.log, &request_id, &self.version);
        self.api.give(Work {
            request_id: invocation.request_id,
            deadline_ms: now_ms() + i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
            function_arn: invocation.function_arn,
            trace_id: invocation.trace_id,
            client_context: invocation.client_context,
            payload: invocation.payload,
        });
        let outcome = tokio::time::timeout_at(deadline, self.outcome()).await;
        let (payload, mut failure) = match outcome {
            Ok(Outcome::Response(payload)) => (Some((payload, false)), None),
            Ok(Outcome::Error(payload)) => (Some((payload, true)), None),
            Ok(Outcome::Failed(failure)) => (None, Some(failure)),
            Err(_) => (None, Some(Failure::TimedOut(timeout_s))),
        };
        let (payload, is_error) = match (payload, &failure) {
            (Some(payload), _) => payload,
            (None, Some(failure)) => (failure.payload(&request_id), true),
            (None, None) => (Bytes::new(), true),
        };
        let mut answer = Answer { payload, is_error, tail: None };
        let mut answered = Some(answered);
        if !wants_tail && let Some(answered) = answered.take() {
            answered(answer.clone());
        }
        let too_large = failure == Some(Failure::ResponseTooLarge);
        if failure.is_none() || too_large {
            let late = self.ready_again(deadline, timeout_s).await;
            failure = late.or(failure);
        }
        let reusable = failure.is_none() || failure == Some(Failure::ResponseTooLarge);
        let duration = started.elapsed().min(timeout);
        self.sandbox.drain(if wants_tail { TAIL_QUIET } else { OUTPUT_QUIET }).await;
        self.report(&request_id, duration, failure.as_ref()).await;
        if let Some(answered) = answered {
            answer.tail = Some(self.log.tail());
            answered(answer);
        }
        reusable
    }

    async fn outcome(&mut self) -> Outcome {
        loop {
            tokio::select! {
                biased;
                event = self.api.event() => match event {
                    // Polling while work is out: the client reconnected.
                    RuntimeEvent::Next => {}
                    RuntimeEvent::Response(payload) => return Outcome::Response(payload),
                    RuntimeEvent::Error(payload) => {
                        let failure = self.out_of_memory().await;
                        return failure.map_or(Outcome::Error(payload), Outcome::Failed);
                    }
                    RuntimeEvent::ResponseTooLarge => {
                        return Outcome::Failed(Failure::ResponseTooLarge);
                    }
                    RuntimeEvent::InitError(payload, kind) => {
                        return Outcome::Failed(Failure::Init(payload, kind));
                    }
                },
                exit = ended(&mut self.exit) => {
                    let failure = self.or_out_of_memory(Failure::Exited(exit)).await;
                    return Outcome::Failed(failure);
                }
            }
        }
    }

    /// Waits for the `/next` after an answer.
    async fn ready_again(
        &mut self,
        deadline: tokio::time::Instant,
        timeout_s: u64,
    ) -> Option<Failure> {
        loop {
            tokio::select! {
                biased;
                event = self.api.event() => {
                    if matches!(event, RuntimeEvent::Next) {
                        return None;
                    }
                }
                exit = ended(&mut self.exit) => {
                    return Some(self.or_out_of_memory(Failure::Exited(exit)).await);
                }
                () = tokio::time::sleep_until(deadline) => {
                    return Some(Failure::TimedOut(timeout_s));
                }
            }
        }
    }

    async fn or_out_of_memory(&mut self, failure: Failure) -> Failure {
        self.out_of_memory().await.unwrap_or(failure)
    }

    /// Whether the kernel killed something of the instance since this was last asked.
    async fn out_of_memory(&mut self) -> Option<Failure> {
        let oom_kills = self.sandbox.memory().await.oom_kills;
        let more = oom_kills > self.oom_kills;
        self.oom_kills = oom_kills;
        more.then_some(Failure::OutOfMemory)
    }

    async fn max_memory_mb(&self) -> u32 {
        let MemoryUse { peak_bytes, used_bytes, .. } = self.sandbox.memory().await;
        let peak_bytes = match (peak_bytes, self.peak_before) {
            // Nothing higher since the resize, and the old peak says nothing of the new size: what is
            // in use is the least that it can have been.
            (Some(peak), Some(before)) if peak <= before => used_bytes.unwrap_or(0),
            (peak, _) => peak.unwrap_or(0),
        };
        let peak_mb = u32::try_from(peak_bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        peak_mb.min(self.version.configuration.memory_mb)
    }

    async fn report(&mut self, request_id: &str, duration: Duration, failure: Option<&Failure>) {
        let report = Figures {
            duration,
            init: self.init.take(),
            memory_mb: self.version.configuration.memory_mb,
            max_memory_mb: self.max_memory_mb().await,
        };
        end_lines(&self.log, request_id, &report, failure);
    }
}

impl InitFailure {
    /// Answers an invocation that found no instance because of it.
    pub(crate) fn answer(&self, invocation: &Invocation) -> Answer {
        let Invocation { request_id, wants_tail, .. } = invocation;
        let phase = match self.failure.status() {
            ReportStatus::Timeout => "timeout".to_owned(),
            ReportStatus::Error(kind) => format!("error\tError Type: {kind}"),
            ReportStatus::Success => "success".to_owned(),
        };
        let init_us = self.init.as_micros();
        self.log.line(&format!(
            "INIT_REPORT Init Duration: {}.{:02} ms\tPhase: init\tStatus: {phase}",
            init_us / 1_000,
            init_us % 1_000 / 10
        ));
        start_line(&self.log, request_id, &self.version);
        let figures = Figures {
            // Lambda starts anew within the invocation and counts that as its duration.
            duration: self.init,
            init: None,
            memory_mb: self.version.configuration.memory_mb,
            max_memory_mb: self.max_memory_mb,
        };
        end_lines(&self.log, request_id, &figures, Some(&self.failure));
        Answer {
            payload: self.failure.payload(request_id),
            is_error: true,
            tail: wants_tail.then(|| self.log.tail()),
        }
    }
}

/// What a report states.
struct Figures {
    duration: Duration,
    init: Option<Duration>,
    memory_mb: u32,
    max_memory_mb: u32,
}

fn start_line(log: &InstanceLog, request_id: &str, version: &Version) {
    log.line(&format!("START RequestId: {request_id} Version: {}", version.version));
}

fn end_lines(log: &InstanceLog, request_id: &str, figures: &Figures, failure: Option<&Failure>) {
    if let Some(failure) = failure {
        log.line(&failure.message(request_id));
    }
    log.line(&format!("END RequestId: {request_id}"));
    let duration_us = micros(figures.duration);
    let init_us = figures.init.map(micros);
    let report = Report {
        request_id: request_id.to_owned(),
        duration_us,
        billed_ms: Some((duration_us + init_us.unwrap_or(0)).div_ceil(1_000).max(1)),
        memory_mb: Some(figures.memory_mb),
        // Who ran into the limit has used all of it, even if nobody read the peak in time.
        max_memory_mb: Some(match failure {
            Some(Failure::OutOfMemory) => figures.memory_mb,
            _ => figures.max_memory_mb,
        }),
        init_us,
        restore: None,
        status: failure.map_or(ReportStatus::Success, Failure::status),
    };
    log.line(&report.to_string());
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Waits for the end of a process.
async fn ended(exit: &mut watch::Receiver<Option<Exit>>) -> Exit {
    match exit.wait_for(Option::is_some).await {
        Ok(exit) => exit.clone().unwrap_or(Exit::Code(255)),
        // Whoever watched it is gone, and with it the sandbox.
        Err(_) => Exit::Code(255),
    }
}

/// Whether an address on this machine's loopback interface is that of a server, by its port.
fn is_same_server(url: &str, server: &str) -> bool {
    let port = |url: &str| url.trim_end_matches('/').rsplit_once(':').map(|it| it.1.to_owned());
    let is_loopback =
        ["http://127.0.0.1:", "http://localhost:"].iter().any(|it| url.starts_with(it));
    is_loopback && port(url) == port(server)
}

/// The environment as on Lambda; nothing comes from this process.
fn environment(
    version: &Version,
    task_root: &str,
    layers: Option<&Path>,
    api: &RuntimeApi,
    lambda_endpoint: &str,
    log: &InstanceLog,
) -> Vec<(String, String)> {
    let configuration = &version.configuration;
    let libraries = format!("/lib64:/usr/lib64:{task_root}:{task_root}/lib:{OPT}/lib");
    let defaults = [
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
        ("LD_LIBRARY_PATH", libraries.as_str()),
        ("TZ", ":UTC"),
        ("AWS_ENDPOINT_URL_LAMBDA", lambda_endpoint),
    ];
    let api_address = api.address().to_string();
    let memory_mb = configuration.memory_mb.to_string();
    // For the supervisor of fused functions, which starts its tasks' runtimes itself.
    let runtimes = runtimes_folder().map(|folder| folder.display().to_string()).unwrap_or_default();
    let reserved = [
        ("_HANDLER", configuration.handler.as_str()),
        ("LAMBDA_TASK_ROOT", task_root),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        // Clients refuse to send without credentials; nothing checks them.
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("AWS_LAMBDA_RUNTIME_API", api_address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", version.function.as_str()),
        ("AWS_LAMBDA_FUNCTION_VERSION", version.version.as_str()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.as_str()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", log.group()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log.stream()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        (RUNTIMES_VARIABLE, runtimes.as_str()),
    ];
    let own = configuration.environment.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    // Whoever deployed it may have named this server as it is reached from outside of sandboxes.
    let own = own.filter(|(key, value)| {
        *key != "AWS_ENDPOINT_URL_LAMBDA" || !is_same_server(value, lambda_endpoint)
    });
    // Later ones win: a function may set the defaults, but not what is reserved.
    let all: BTreeMap<&str, &str> = defaults.into_iter().chain(own).chain(reserved).collect();
    let all = all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let Some(layers) = layers else {
        return all.collect();
    };
    let moved = all.map(|(key, value)| {
        let value = instead_of_opt(&key, &value, layers);
        (key, value)
    });
    moved.chain([(OPT_VARIABLE.to_owned(), layers.display().to_string())]).collect()
}

fn listen_error(address: IpAddr, error: &std::io::Error) -> String {
    format!("cannot listen on {address} for a function's runtime: {error}")
}
