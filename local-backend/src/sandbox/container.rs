//! The Docker sandbox: one container per instance.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountType,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StatsOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::function::CPU_PERIOD_US;
use crate::logs::{InstanceLog, LineSplitter};
use crate::sandbox::cgroup::{self, Group, Layout};
use crate::sandbox::engine::{self, Engine};
use crate::sandbox::{Exit, Limits, MemoryUse, ResizeError, SandboxError, SandboxSpec};

/// Where a container sees its function's code, as on Lambda.
pub(crate) const TASK_ROOT: &str = "/var/task";
/// Rounds of waiting for quiet output at most, for a function that never stops printing.
const OUTPUT_ROUNDS: usize = 20;

/// Name of the program in a bundle.
const PROGRAM: &str = "bootstrap";
/// Names of what a function's program may have become by the time it is seen.
const INTERPRETERS: [&str; 2] = ["python3", "node"];
/// Between two looks at whether a container's program runs.
const START_PAUSE: Duration = Duration::from_millis(1);

/// A running container.
#[derive(Debug)]
pub(crate) struct Container {
    docker: Docker,
    id: String,
    started: Instant,
    exit: watch::Receiver<Option<Exit>>,
    /// Changes with every piece of output.
    output: watch::Receiver<u64>,
    /// Its memory group, if this machine's files show it.
    group: Option<Group>,
    /// Last figures read: they are gone with the container.
    last: Mutex<MemoryUse>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Container {
    pub(crate) async fn start(engine: &Engine, spec: SandboxSpec) -> Result<Self, SandboxError> {
        let _starting = engine.starting.read().await;
        let docker = engine.docker.clone();
        let options =
            CreateContainerOptionsBuilder::default().name(&format!("fuseline-{}", spec.id)).build();
        let log = Arc::clone(&spec.log);
        let created = docker.create_container(Some(options), container(engine, spec)).await?;
        let id = created.id;
        match Self::run(engine, &id, log).await {
            Ok(container) => Ok(container),
            Err(error) => {
                engine::remove_container(&docker, &id).await;
                Err(error)
            }
        }
    }

    async fn run(engine: &Engine, id: &str, log: Arc<InstanceLog>) -> Result<Self, SandboxError> {
        let docker = &engine.docker;
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        // Before the start, so that not a line is missed.
        let attached = docker.attach_container(id, Some(options)).await?;
        let (sender, output) = watch::channel(0);
        let reading = tokio::spawn(read_output(attached.output, log, sender));
        let started = start(engine, id).await?;
        let (sender, exit) = watch::channel(None);
        let waiting = tokio::spawn(wait(docker.clone(), id.to_owned(), sender));
        Ok(Self {
            docker: docker.clone(),
            id: id.to_owned(),
            started,
            exit,
            output,
            group: cgroup::of_container(&engine.layout, id),
            last: Mutex::default(),
            _tasks: [AbortOnDropHandle::new(reading), AbortOnDropHandle::new(waiting)],
        })
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn exit(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    pub(crate) async fn resize(&self, limits: Limits) -> Result<(), ResizeError> {
        if let Some(group) = &self.group {
            group.check_in_use(limits)?;
        }
        let bytes = limits.memory_bytes().cast_signed();
        let update = ContainerUpdateBody {
            cpu_period: Some(CPU_PERIOD_US.cast_signed()),
            cpu_quota: Some(limits.cpu_quota_us.cast_signed()),
            memory: Some(bytes),
            memory_swap: Some(bytes),
            ..ContainerUpdateBody::default()
        };
        let updated = self.docker.update_container(&self.id, update).await;
        updated.map_err(|error| ResizeError::Refused(error.to_string()))
    }

    pub(crate) fn reset_peak(&self) -> bool {
        let reset = self.group.as_ref().is_some_and(Group::reset_peak);
        if reset {
            self.last.lock().expect("no reader of the figures panics").peak_bytes = None;
        }
        reset
    }

    pub(crate) async fn memory(&self) -> MemoryUse {
        let ended = self.exit.borrow().is_some();
        let mut read = self.group.as_ref().filter(|group| group.readable()).map(Group::memory);
        if !ended && read.is_none_or(|read| read.peak_bytes.is_none()) {
            let by_engine = self.memory_by_engine().await;
            let oom_kills = read.unwrap_or_default().oom_kills;
            read = Some(MemoryUse { oom_kills, ..by_engine });
        }
        let killed = ended && self.killed_for_memory().await;
        let mut last = self.last.lock().expect("no reader of the figures panics");
        if let Some(read) = read {
            last.peak_bytes = read.peak_bytes.max(last.peak_bytes);
            last.used_bytes = read.used_bytes.or(last.used_bytes);
            last.oom_kills = read.oom_kills.max(last.oom_kills);
        }
        if killed {
            last.oom_kills = last.oom_kills.max(1);
        }
        *last
    }

    /// The engine's own figures, where its groups are not this machine's or keep no peak.
    async fn memory_by_engine(&self) -> MemoryUse {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stream = Box::pin(self.docker.stats(&self.id, Some(options)));
        let stats = stream.next().await.and_then(Result::ok);
        let memory = stats.and_then(|stats| stats.memory_stats);
        let (peak, used) = memory.map_or((None, None), |it| (it.max_usage, it.usage));
        MemoryUse { peak_bytes: peak.or(used), used_bytes: used, oom_kills: 0 }
    }

    async fn killed_for_memory(&self) -> bool {
        let inspected = self.docker.inspect_container(&self.id, None).await;
        inspected.is_ok_and(|it| it.state.and_then(|state| state.oom_killed).unwrap_or(false))
    }

    /// Output travels through the engine, which does not say what is still on its way: it counts
    /// as complete when none came for a while.
    pub(crate) async fn drain(&self, quiet: Duration) {
        let mut output = self.output.clone();
        for _ in 0..OUTPUT_ROUNDS {
            output.mark_unchanged();
            // Not tokio's timer, which waits for a millisecond at least.
            let pause = tokio::task::spawn_blocking(move || std::thread::sleep(quiet));
            // An end of the pause or of the output that comes early is an end of waiting.
            if pause.await.is_err() || !output.has_changed().unwrap_or(false) {
                return;
            }
        }
    }

    pub(crate) async fn remove(&self) {
        engine::remove_container(&self.docker, &self.id).await;
    }
}

/// Starts a container and tells when its program began to run. The engine says so only tens of
/// milliseconds later, which is more than the whole init of a small function.
async fn start(engine: &Engine, id: &str) -> Result<Instant, SandboxError> {
    let starting = engine.docker.start_container(id, None);
    let running = seen_running(&engine.layout, id);
    tokio::pin!(starting, running);
    let mut seen = None;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut starting => break result,
            at = &mut running, if seen.is_none() => seen = Some(at),
        }
    };
    result.map_err(|error| match error {
        // The engine's words for a program that is missing or cannot be run.
        Error::DockerResponseServerError { status_code: 400, message } => {
            SandboxError::Entrypoint(format!("the bundle's bootstrap cannot be run: {message}"))
        }
        other => other.into(),
    })?;
    Ok(seen.unwrap_or_else(Instant::now))
}

/// When the first process of a container has become the function's program: until then it is the
/// engine's own, by another name.
async fn seen_running(layout: &Layout, id: &str) -> Instant {
    let running = || {
        let group = cgroup::of_container(layout, id)?;
        let processes = std::fs::read_to_string(group.process_files().first()?).ok()?;
        let first = processes.lines().next()?;
        let name = std::fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
        let runs = name.trim_end() == PROGRAM || INTERPRETERS.iter().any(|it| name.starts_with(it));
        runs.then(Instant::now)
    };
    loop {
        if let Some(at) = running() {
            return at;
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

fn container(engine: &Engine, spec: SandboxSpec) -> ContainerCreateBody {
    let SandboxSpec { code, start, environment, limits, mounts, .. } = spec;
    let bytes = limits.memory_bytes().cast_signed();
    let code = bind(&code, Path::new(TASK_ROOT), true);
    let shared = mounts.iter().map(|(host, target)| bind(host, target, false));
    let of_host = start.folders.iter().map(|(path, target)| bind(path, target, true));
    let mounts = std::iter::once(code).chain(of_host).chain(shared).collect();
    let program = start.program.unwrap_or_else(|| Path::new(TASK_ROOT).join(PROGRAM));
    let program = program.display().to_string();
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    ContainerCreateBody {
        image: Some(engine.image()),
        entrypoint: Some(vec![program]),
        working_dir: Some(TASK_ROOT.to_owned()),
        env: Some(environment.into_iter().map(|(key, value)| format!("{key}={value}")).collect()),
        // As ourselves, so that shared directories are written with the user's own rights.
        user: Some(format!("{}:{}", user.as_raw(), group.as_raw())),
        labels: Some(engine.labels()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: Some(engine.network()),
            cpu_period: Some(CPU_PERIOD_US.cast_signed()),
            cpu_quota: Some(limits.cpu_quota_us.cast_signed()),
            memory: Some(bytes),
            memory_swap: Some(bytes),
            // Lines are read as they come: the engine need not keep them too.
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn bind(host: &Path, target: &Path, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(host.display().to_string()),
        target: Some(target.display().to_string()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

async fn read_output(
    mut output: impl futures_util::Stream<Item = Result<LogOutput, Error>> + Unpin,
    log: Arc<InstanceLog>,
    pieces: watch::Sender<u64>,
) {
    let mut standard = LineSplitter::new(Arc::clone(&log));
    let mut errors = LineSplitter::new(log);
    while let Some(Ok(piece)) = output.next().await {
        match piece {
            LogOutput::StdErr { message } => errors.push(&message),
            other => standard.push(&other.into_bytes()),
        }
        pieces.send_modify(|count| *count += 1);
    }
}

async fn wait(docker: Docker, id: String, exit: watch::Sender<Option<Exit>>) {
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    let mut ends = Box::pin(docker.wait_container(&id, Some(options)));
    let code = match ends.next().await {
        Some(Ok(end)) => end.status_code,
        // bollard's form of every exit code but 0.
        Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
        // The engine is gone or the container was removed: the instance is over either way.
        Some(Err(_)) | None => 255,
    };
    // A shell's way of saying which signal it was; the engine has no other.
    let end = match code {
        129..=192 => Exit::Signal(i32::try_from(code - 128).unwrap_or_default()),
        code => Exit::Code(code),
    };
    exit.send_replace(Some(end));
}
