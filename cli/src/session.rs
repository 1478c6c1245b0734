//! What most commands start with: the project, the endpoint, the supervisor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use local_backend::{
    CLOUDWATCHS_QUERY_ROWS, InvokeOverhead, Options, PreparedRuntime, RuntimeError, SandboxReport,
    Server,
};
use optimizer::deployment::{Deployment, DeploymentError};
use optimizer::gate::Effect;
use optimizer::price::PriceBook;
use optimizer::simulator::Overhead;
use optimizer::workflow::Workflow;
use platform::command;
use platform::deploy::{DeployError, Deployer};
use platform::endpoint::{AwsSettings, Endpoint};
use platform::events::{Observer, RunEvent};
use platform::load::Sent;
use platform::package_form::PackageForm;
use platform::project::Project;
use platform::simulation::Simulation;
use platform::status;

use crate::arguments::{BackendArguments, DEFAULT_PORT, Platform, TargetArguments, journals};
use crate::error::{CliError, chain};
use crate::progress::Progress;

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

/// Runs the project's `build`, checks what it made, and prepares the managed runtimes that its
/// functions need if they run on this machine, which takes some minutes once.
pub(crate) async fn build(
    project: &Project,
    target: &TargetArguments,
    progress: &Progress,
) -> Result<(), CliError> {
    match target.endpoint_is_local() {
        true => build_here(project, progress).await,
        false => build_code(project, progress).await,
    }
}

/// Runs the project's `build`, checks what it made, and prepares the managed runtimes.
pub(crate) async fn build_here(project: &Project, progress: &Progress) -> Result<(), CliError> {
    build_code(project, progress).await?;
    let runtimes = project.tasks.values().map(|task| task.runtime.clone()).collect();
    prepare_runtimes(runtimes, progress).await.map(drop)
}

/// Runs the project's `build` and checks what it made.
pub(crate) async fn build_code(project: &Project, progress: &Progress) -> Result<(), CliError> {
    if let Some(command) = &project.build {
        progress.on_event(RunEvent::Building { command: command.clone() });
    }
    command::build(project).await.map_err(|error| {
        CliError::failed("the functions cannot be built", &error)
            .or_try("correct what the command printed above; nothing was deployed")
    })?;
    Ok(project.check_code()?)
}

/// Makes managed runtimes ready on this machine; tells of interpreters of another version.
pub(crate) async fn prepare_runtimes(
    names: Vec<String>,
    progress: &Progress,
) -> Result<Vec<PreparedRuntime>, CliError> {
    let talk = progress.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        local_backend::prepare_runtimes(&names, &mut |text| talk.line(text))
    });
    let prepared = prepared.await.map_err(std::io::Error::other).map_err(RuntimeError::from);
    let prepared = prepared.flatten().map_err(|error| {
        let failed = CliError::failed("a runtime cannot be prepared on this machine", &error);
        match error {
            RuntimeError::Unknown(_) => {
                CliError::usage(error.to_string(), "name one such as python3.12 or nodejs20.x")
            }
            _ => failed.or_try("nothing was deployed"),
        }
    })?;
    for notice in prepared.iter().filter_map(PreparedRuntime::notice) {
        progress.line(&format!("notice: {notice}"));
    }
    Ok(prepared)
}

/// The endpoint a command talks to, after checking that something answers there.
pub(crate) async fn endpoint(target: &TargetArguments) -> Result<Endpoint, CliError> {
    if target.platform == Platform::Sim {
        return Err(CliError::usage(
            "--platform sim: nothing is deployed on the simulator",
            "use it with `fuseline optimize` or `fuseline load`",
        ));
    }
    let only_aws = [
        ("--region", target.region.is_some()),
        ("--profile", target.profile.is_some()),
        ("--bucket", target.bucket.is_some()),
        ("--repository", target.repository.is_some()),
    ];
    if target.platform == Platform::Local {
        if let Some((option, _)) = only_aws.iter().find(|(_, is_given)| *is_given) {
            return Err(CliError::usage(
                format!("{option} says where on AWS"),
                "add --platform aws, or leave it out",
            ));
        }
        let default = format!("http://127.0.0.1:{DEFAULT_PORT}");
        let url = target.endpoint.clone().unwrap_or(default);
        answers(
            &url,
            "start a server in another terminal with `fuseline local`, or name one with --endpoint",
        )
        .await?;
        return Ok(Endpoint::at(&url).await);
    }
    if let Some(url) = target.endpoint.as_ref().filter(|url| !url.starts_with("https://")) {
        answers(url, "start what stands for AWS there, or leave --endpoint out for AWS itself")
            .await?;
    }
    let TargetArguments { endpoint, region, profile, .. } = target.clone();
    Ok(Endpoint::aws(AwsSettings { endpoint, region, profile }).await?)
}

/// Checks that something answers at a URL without TLS.
async fn answers(url: &str, next_step: &str) -> Result<(), CliError> {
    let address = socket_address(url).ok_or_else(|| {
        CliError::usage(
            format!("`{url}` is no endpoint"),
            "write it with scheme, host and port, such as http://127.0.0.1:9400",
        )
    })?;
    let connected = tokio::net::TcpStream::connect(&address).await;
    connected.map(drop).map_err(|error| {
        CliError::failed(&format!("nothing answers at {url}"), &error).or_try(next_step)
    })
}

/// The project's workflow on the simulator.
pub(crate) fn simulation<'a>(
    project: &'a Project,
    prices: PriceBook,
    overhead: &InvokeOverhead,
    seed: u64,
) -> Result<Simulation<'a>, CliError> {
    let overhead = match *overhead {
        InvokeOverhead::None => Overhead { median_us: 0, p95_us: 0 },
        InvokeOverhead::LogNormal { median_us, p95_us } => Overhead { median_us, p95_us },
    };
    Simulation::new(project, prices, overhead, seed).map_err(|error| {
        let file = project.file.display();
        CliError::usage(
            format!("{file}: --platform sim: {}", chain(&error)),
            "describe how the task behaves; docs/WORKFLOW-FILE.md says how",
        )
    })
}

/// What the alias `live` calls; an error if nothing is deployed.
pub(crate) async fn live(
    endpoint: &Endpoint,
    project: &Project,
    target: &TargetArguments,
) -> Result<Deployment, CliError> {
    status::live(endpoint, project)
        .await
        .map_err(|error| CliError::failed("the deployment cannot be read", &error))?
        .map(|live| live.deployed.deployment)
        .ok_or_else(|| {
            let message = format!("{} is not deployed at {}", project.workflow.name(), endpoint.url);
            match target.platform {
                Platform::Aws => CliError::usage(
                    message,
                    "deploy it first: fuseline deploy --platform aws; or check --region and --profile",
                ),
                Platform::Local | Platform::Sim => CliError::Failed {
                    message,
                    next_step: Some("deploy it first: fuseline deploy".into()),
                },
            }
        })
}

/// What kept a request from being executed, if it was the user's credentials or permissions: no other request will
/// fare better.
pub(crate) fn refusal(sent: &Sent) -> Option<CliError> {
    let message = sent.refusal()?;
    let next_step = platform::access::next_step(message)?;
    Some(CliError::usage(format!("the request was refused: {message}"), next_step))
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

/// Refuses fusions that the safety gate forbids, and tells what it warns of in others.
pub(crate) fn ask_gate(
    project: &Project,
    deployment: &Deployment,
    progress: &Progress,
) -> Result<(), CliError> {
    let gate = platform::gate::gate(project, supervisor().ok().as_deref());
    for verdict in gate.objections(&Deployment::unfused(&project.workflow), deployment) {
        let message = format!("--setup: {}: {}", verdict.check.code(), verdict.text);
        if verdict.effect == Effect::NeverTried {
            let next_step = match verdict.allow_with {
                Some(line) => format!("correct it, or add under `constraints.allow`: {line}"),
                None => "leave these tasks functions of their own".into(),
            };
            return Err(CliError::usage(message, next_step));
        }
        progress.line(&format!("warning: {message}"));
    }
    Ok(())
}

/// What a deployer refuses before it changes anything. What the user can put right is wrong input.
pub(crate) fn refused(error: &DeployError) -> CliError {
    match error {
        DeployError::Foreign(_)
        | DeployError::NotAdoptable { .. }
        | DeployError::NoRole(_)
        | DeployError::NeedsBucket { .. }
        | DeployError::NeedsImage { .. }
        | DeployError::OtherForm { .. }
        | DeployError::Stale { .. }
        | DeployError::Unpublished(_)
        | DeployError::Interrupted(_) => CliError::usage(
            error.to_string(),
            "nothing was changed; do what it says, and run the command again",
        ),
        DeployError::Bucket { message, .. } => CliError::usage(
            format!("--bucket: {error}"),
            platform::access::next_step(message).unwrap_or_else(|| {
                "nothing was changed; name one that exists in the functions' region".into()
            }),
        ),
        DeployError::Repository { message, .. } => CliError::usage(
            format!("--repository: {error}"),
            platform::access::next_step(message)
                .unwrap_or_else(|| "nothing was changed; do what it says, or name another".into()),
        ),
        DeployError::BaseImage { .. } => CliError::usage(
            format!("--base-image: {error}"),
            "nothing was changed; build it as docs/IMAGES.md says, or correct its name",
        ),
        _ => CliError::failed("nothing was changed", error),
    }
}

/// Refuses a deployment that needs container images on AWS if nothing says where those go.
pub(crate) fn check_images(
    project: &Project,
    deployment: &Deployment,
    target: &TargetArguments,
) -> Result<(), CliError> {
    if target.platform != Platform::Aws || target.images().is_some() {
        return Ok(());
    }
    for (root, function) in deployment.functions() {
        if let PackageForm::Image { runtimes } = project.form(root, &function.inlined) {
            return Err(refused(&DeployError::NeedsImage { function: root.clone(), runtimes }));
        }
    }
    Ok(())
}

/// A deployer with this program's supervisor, and on AWS with a journal.
pub(crate) fn deployer<'a>(
    endpoint: &'a Endpoint,
    project: &'a Project,
    target: &TargetArguments,
) -> Result<Deployer<'a>, CliError> {
    with_journal(
        Deployer::new(endpoint, project, supervisor()?, target.endpoint_is_local()),
        target,
    )
}

/// A deployer that only undoes and removes, and so needs no supervisor.
pub(crate) fn remover<'a>(
    endpoint: &'a Endpoint,
    project: &'a Project,
    target: &TargetArguments,
) -> Result<Deployer<'a>, CliError> {
    let is_local = target.endpoint_is_local();
    with_journal(Deployer::new(endpoint, project, PathBuf::new(), is_local), target)
}

fn with_journal<'a>(
    deployer: Deployer<'a>,
    target: &TargetArguments,
) -> Result<Deployer<'a>, CliError> {
    match target.platform {
        Platform::Local | Platform::Sim => Ok(deployer),
        Platform::Aws => deployer
            .with_bucket(target.bucket.clone())
            .with_images(target.images())
            .journalled(&journals())
            .map_err(|error| CliError::failed("nothing was changed", &error)),
    }
}

/// Does `work` at an endpoint that goes on afterwards, with a deployer of its own, and leaves every task a function
/// of its own there, whatever comes of it; on AWS, everything as it was. `left` says how the functions are left if
/// even that fails.
pub(crate) async fn leaving_unfused<T>(
    endpoint: &Endpoint,
    project: &Project,
    target: &TargetArguments,
    left: &str,
    work: impl AsyncFnOnce(&Deployer<'_>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let deployer = deployer(endpoint, project, target)?;
    let is_aws = target.platform == Platform::Aws;
    if is_aws {
        deployer.check_trials().await.map_err(|error| refused(&error))?;
        deployer
            .begin_trials("measurement")
            .map_err(|error| CliError::failed("nothing was changed", &error))?;
    }
    let put_back = async || {
        let (result, next_step) = match is_aws {
            true => (deployer.roll_back().await.map(drop), "undo it with `fuseline rollback`"),
            false => (deployer.deploy_tasks().await, "put them back with `fuseline deploy`"),
        };
        result.map_err(|error| {
            CliError::failed(&format!("the functions are left as {left}"), &error).or_try(next_step)
        })
    };
    tokio::select! {
        result = work(&deployer) => {
            let put_back = put_back().await;
            // What stopped the work says more than that it could not be tidied up.
            let result = result?;
            put_back?;
            Ok(result)
        }
        () = interrupted() => {
            put_back().await?;
            let message = match is_aws {
                true => "what was changed is undone",
                false => "the functions are deployed unfused, the alias `live` was not moved",
            };
            Err(CliError::Interrupted { message: message.into() })
        }
    }
}

/// Does `work` on a local server that is started for it, at any free port, and removed with all that it
/// started, whatever happens.
pub(crate) async fn on_own_server<T>(
    backend: &BackendArguments,
    seed: u64,
    progress: &Progress,
    work: impl AsyncFnOnce(&Server) -> Result<T, CliError>,
) -> Result<T, CliError> {
    // Asked for before anything is started, so that no interrupt falls between.
    let interrupted = interrupted();
    let server =
        start_server(backend, 0, OWN_IDLE_EXPIRY, OWN_RETRY_DELAYS, CLOUDWATCHS_QUERY_ROWS, seed)
            .await?;
    progress.line(&format!("local backend: sandbox {}", sandbox_line(server.sandbox())));
    let result = tokio::select! {
        result = work(&server) => result,
        () = interrupted => {
            Err(CliError::Interrupted { message: "everything that was started is removed".into() })
        }
    };
    server.shutdown().await;
    result
}

/// Starts a local server.
pub(crate) async fn start_server(
    backend: &BackendArguments,
    port: u16,
    idle_expiry: Duration,
    async_retry_delays: [Duration; 2],
    query_rows: usize,
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
        query_rows,
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
