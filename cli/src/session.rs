//! What most commands start with: the project, the endpoint, the supervisor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use local_backend::{Options, SandboxReport, Server};
use optimizer::deployment::{Deployment, DeploymentError};
use optimizer::workflow::Workflow;
use platform::command;
use platform::endpoint::Endpoint;
use platform::events::{Observer, RunEvent};
use platform::project::Project;
use platform::status;

use crate::arguments::{BackendArguments, DEFAULT_PORT, TargetArguments};
use crate::error::CliError;

/// Longer than any pause of a measurement, so that only what a trial left behind expires.
const OWN_IDLE_EXPIRY: Duration = Duration::from_secs(120);
/// Waits before retries of asynchronous calls: here someone waits to see what they cost.
const OWN_RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// Reads a workflow file.
pub(crate) fn load(file: &Path) -> Result<Project, CliError> {
    Ok(Project::load(file, &|name| std::env::var(name).ok())?)
}

/// Reads a workflow file whose functions are to be deployed: without a `build` that could still
/// make it, their code has to be there.
pub(crate) fn load_to_deploy(file: &Path) -> Result<Project, CliError> {
    let project = load(file)?;
    if project.build.is_none() {
        project.check_code()?;
    }
    Ok(project)
}

/// Runs the project's `build` and checks what it made.
pub(crate) async fn build(project: &Project, observer: &dyn Observer) -> Result<(), CliError> {
    if let Some(command) = &project.build {
        observer.on_event(RunEvent::Building { command: command.clone() });
    }
    command::build(project).await.map_err(|error| {
        CliError::failed("the functions cannot be built", &error)
            .or_try("correct what the command printed above; nothing was deployed")
    })?;
    Ok(project.check_code()?)
}

/// The endpoint a command talks to, after checking that something answers there.
pub(crate) async fn endpoint(target: &TargetArguments) -> Result<Endpoint, CliError> {
    let url = match &target.endpoint {
        Some(url) => url.clone(),
        None => format!("http://127.0.0.1:{DEFAULT_PORT}"),
    };
    let address = socket_address(&url).ok_or_else(|| {
        CliError::usage(
            format!("`{url}` is no endpoint"),
            "write it with scheme, host and port, such as http://127.0.0.1:9400",
        )
    })?;
    tokio::net::TcpStream::connect(&address).await.map_err(|error| {
        CliError::failed(&format!("nothing answers at {url}"), &error).or_try(
            "start a server in another terminal with `fuseline local`, or name one with --endpoint",
        )
    })?;
    Ok(Endpoint::at(&url).await)
}

/// What the alias `live` calls; an error if nothing is deployed.
pub(crate) async fn live(endpoint: &Endpoint, project: &Project) -> Result<Deployment, CliError> {
    status::live(endpoint, project)
        .await
        .map_err(|error| CliError::failed("the deployment cannot be read", &error))?
        .ok_or_else(|| CliError::Failed {
            message: format!("{} is not deployed at {}", project.workflow.name(), endpoint.url),
            next_step: Some("deploy it first: fuseline deploy".into()),
        })
}

/// The deployment that an option describes.
pub(crate) fn deployment(
    workflow: &Workflow,
    option: &str,
    text: &str,
) -> Result<Deployment, CliError> {
    Deployment::parse(workflow, text).map_err(|error| {
        let next_step = match &error {
            DeploymentError::Functions { expected, .. } => format!("write it as {expected}"),
            _ => format!("without fusion it is {}", Deployment::unfused(workflow)),
        };
        CliError::usage(format!("{option}: {error}"), next_step)
    })
}

/// Host and port of an `http://` address.
fn socket_address(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let authority = rest.split('/').next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let valid = !host.is_empty() && port.parse::<u16>().is_ok();
    valid.then(|| format!("{host}:{port}"))
}

/// Starts a local server for one command, at any free port.
pub(crate) async fn start_own_server(
    backend: &BackendArguments,
    seed: u64,
) -> Result<Server, CliError> {
    start_server(backend, 0, OWN_IDLE_EXPIRY, OWN_RETRY_DELAYS, seed).await
}

/// Starts a local server.
pub(crate) async fn start_server(
    backend: &BackendArguments,
    port: u16,
    idle_expiry: Duration,
    async_retry_delays: [Duration; 2],
    seed: u64,
) -> Result<Server, CliError> {
    let options = Options {
        port,
        sandbox: backend.sandbox,
        invoke_overhead: backend.invoke_overhead,
        seed,
        state_directory: backend.state.clone(),
        idle_expiry,
        async_retry_delays,
    };
    Server::start(options).await.map_err(|error| CliError::failed("the local backend", &error))
}

/// How a server runs functions, in words: its sandbox and what is not enforced there.
pub(crate) fn sandbox_line(report: &SandboxReport) -> String {
    let mut line = report.kind.to_string();
    for notice in &report.notices {
        line.push_str("\n  notice: ");
        line.push_str(notice);
    }
    line
}

/// The supervisor's binary: `$FUSELINE_BOOTSTRAP`, else `bootstrap` beside this program, else, for a
/// program that `cargo run` built unoptimised, the optimised one of the same target folder.
pub(crate) fn supervisor() -> Result<PathBuf, CliError> {
    if let Some(path) = std::env::var_os("FUSELINE_BOOTSTRAP").map(PathBuf::from) {
        if path.is_file() {
            return Ok(path);
        }
        return Err(CliError::usage(
            format!("FUSELINE_BOOTSTRAP names {}, which is no file", path.display()),
            "correct or unset it",
        ));
    }
    let program = std::env::current_exe().unwrap_or_default();
    let optimised = program.parent().and_then(Path::parent).map(|target| target.join("release"));
    [Some(program.with_file_name("bootstrap")), optimised.map(|folder| folder.join("bootstrap"))]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
        .ok_or_else(|| CliError::Failed {
            message: "the supervisor that goes into every function is not built".into(),
            next_step: Some(
                "run `cargo build --release --workspace --bins`, or name it in FUSELINE_BOOTSTRAP"
                    .into(),
            ),
        })
}

/// Ends at Ctrl-C or at the signal that asks a process to end. From this call on, not from the first
/// time it is polled, neither signal ends the process by itself.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let listeners = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        // Without listeners the signals still end the process, as they do by default.
        let (Ok(mut interrupt), Ok(mut terminate)) = listeners else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_need_a_scheme() {
        assert_eq!(socket_address("http://127.0.0.1:9400"), Some("127.0.0.1:9400".into()));
        assert_eq!(socket_address("http://localhost/x"), Some("localhost:80".into()));
        assert_eq!(socket_address("127.0.0.1:9400"), None);
        assert_eq!(socket_address("http://:9400"), None);
        assert_eq!(socket_address("http://host:port"), None);
    }
}
