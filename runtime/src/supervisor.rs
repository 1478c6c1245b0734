//! The supervisor's life: start the tasks, serve one invocation after the other, stop.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustix::process::WaitStatus;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit;
use crate::instance::Instance;
use crate::invocation;
use crate::message::function_error_body;
use crate::pool::{InitFailure, StartFailure};
use crate::reaper;
use crate::settings::{self, Environment, Settings, SettingsError};
use crate::upstream::{Upstream, UpstreamError};

/// Time that the tasks have to end after they were asked to, as Lambda gives it.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(300);

/// Why the supervisor cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The environment or the manifest is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The supervisor's own start failed.
    #[error("the supervisor cannot start")]
    Start(#[source] io::Error),
    /// The root task has no process.
    #[error("task `{task}` cannot be started; check its directory in the bundle")]
    Spawn {
        /// The task.
        task: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The root task's process failed before it asked for an event.
    #[error("task `{task}` failed to start: {report}")]
    RootFailed {
        /// The task.
        task: String,
        /// What its runtime reported.
        report: String,
    },
    /// The root task's process ended before it asked for an event.
    #[error("task `{task}` failed to start: {message}")]
    RootExited {
        /// The task.
        task: String,
        /// How it ended, in Lambda's words.
        message: String,
        /// How it ended.
        status: WaitStatus,
    },
    /// The platform's Runtime API failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl SupervisorError {
    /// The exit code to end with. Does not return if a signal ended the root task before it asked for
    /// an event: the supervisor then ends in the same way, which Lambda tells the function's caller.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::RootExited { status, .. } => exit::repeat(*status),
            _ => 1,
        }
    }
}

/// Serves the function that `environment` describes until the platform stops it (`SIGTERM`).
/// `arguments` are the command line of the managed runtime that is wrapped, or nothing.
///
/// Must run on a current-thread runtime that lives as long as the process.
///
/// # Errors
/// If the function cannot be started, which the platform has then been told, or the platform's
/// Runtime API fails.
pub async fn supervise(
    environment: Environment,
    arguments: Vec<OsString>,
) -> Result<(), SupervisorError> {
    let upstream = Upstream::new(settings::runtime_api(&environment)?);
    let settings = match Settings::read(&environment, arguments) {
        Ok(settings) => settings,
        Err(error) => {
            let body = function_error_body("Fuseline.InvalidBundle", &error.to_string());
            let kind = HeaderValue::from_static("Fuseline.InvalidBundle");
            upstream.init_error(InitFailure { kind, body }).await?;
            return Err(error.into());
        }
    };
    let instance = Instance::new(settings);
    let mut terminated = signal(SignalKind::terminate()).map_err(SupervisorError::Start)?;
    // In tasks of their own, behind those that send answers.
    let journal = Arc::clone(&instance);
    tokio::spawn(async move { journal.journal.keep_writing().await });
    let child_ended = signal(SignalKind::child()).map_err(SupervisorError::Start)?;
    tokio::spawn(reaper::keep_reaping(child_ended, Arc::clone(&instance)));
    let outcome = tokio::select! {
        failed = serve(&instance, &upstream) => failed.map(|never| match never {}),
        _ = terminated.recv() => {
            instance.terminate();
            // Whoever is left then is killed by the kernel, together with the supervisor's end.
            let _ = tokio::time::timeout(SHUTDOWN_LIMIT, instance.ended()).await;
            Ok(())
        }
    };
    instance.flush_log();
    outcome
}

/// Serves one invocation after the other.
async fn serve(
    instance: &Arc<Instance>,
    upstream: &Upstream,
) -> Result<Infallible, SupervisorError> {
    let root = instance.root();
    start_root(instance)?;
    for task in instance.tasks.values().filter(|task| !Arc::ptr_eq(task, root)) {
        // Not the root's failure: a call to the task tries again and leaves if that fails too.
        let _ = instance.start_process(task);
    }
    let mut first = true;
    loop {
        start_root(instance)?;
        if let Err(failure) = root.pool.ready().await {
            return Err(root_failed(upstream, &root.name, failure).await?);
        }
        // The platform may freeze the instance while it has no event.
        instance.inline_calls_done().await;
        instance.flush_log();
        let event = upstream.next().await?;
        invocation::serve(instance, upstream, event, first).await?;
        first = false;
    }
}

/// Reports that the root task cannot start, unless its process just ended, which Lambda reports itself.
async fn root_failed(
    upstream: &Upstream,
    task: &str,
    failure: StartFailure,
) -> Result<SupervisorError, UpstreamError> {
    let task = task.to_owned();
    Ok(match failure {
        StartFailure::Exited(exit, status) => {
            SupervisorError::RootExited { task, message: exit.message, status }
        }
        StartFailure::Reported(failure) => {
            let report = String::from_utf8_lossy(&failure.body).into_owned();
            upstream.init_error(failure).await?;
            SupervisorError::RootFailed { task, report }
        }
    })
}

/// Starts a process of the root task if there is none.
fn start_root(instance: &Arc<Instance>) -> Result<(), SupervisorError> {
    let root = instance.root();
    if root.pool.is_alive() {
        return Ok(());
    }
    instance
        .start_process(root)
        .map_err(|source| SupervisorError::Spawn { task: root.name.clone(), source })
}
