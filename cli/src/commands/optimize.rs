//! `fuseline optimize`: the main job.

use local_backend::Server;
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use platform::deploy::Deployer;
use platform::endpoint::Endpoint;
use platform::measure::{Bench, Effort};
use platform::optimize::{self, Conditions, Parameters, Report, Verification};
use platform::project::Project;

use crate::arguments::{Format, OptimizeArguments};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// Rounds, each with a cold execution, of a trial and of the final comparison.
const TRIAL_ROUNDS: u32 = 2;
const COMPARISON_ROUNDS: u32 = 5;

pub(crate) async fn run(arguments: &OptimizeArguments) -> Result<(), CliError> {
    let project = session::load_to_deploy(&arguments.target.file)?;
    let parameters = parameters(arguments)?;
    let progress = Progress::new();
    session::build(&project, &progress).await?;
    let report = if arguments.target.endpoint.is_some() {
        let endpoint = session::endpoint(&arguments.target).await?;
        let interrupted = session::interrupted();
        let conditions = Conditions {
            platform: endpoint.url.clone(),
            sandbox: "unknown".into(),
            invoke_overhead: "as it is there".into(),
        };
        let job =
            Job { arguments, project: &project, parameters: &parameters, progress: &progress };
        tokio::select! {
            report = job.run(&endpoint, conditions) => {
                let put_back = job.put_back(&endpoint).await;
                // What stopped the optimisation says more than that it could not be tidied up.
                let report = report?;
                put_back?;
                report
            }
            () = interrupted => {
                job.put_back(&endpoint).await?;
                return Err(CliError::Interrupted {
                    message: "the functions are deployed unfused, the alias `live` was not moved"
                        .into(),
                });
            }
        }
    } else {
        on_own_server(arguments, &project, &parameters, &progress).await?
    };
    match arguments.target.format {
        Format::Json => render::json(&report),
        Format::Text => render::result(&render::optimization(&report)),
    }
}

fn parameters(arguments: &OptimizeArguments) -> Result<Parameters, CliError> {
    let range = arguments.memory;
    let space = ResourceSpace::lambda()
        .with_memory_range(MemoryMb(range.smallest_mb), MemoryMb(range.largest_mb), range.step_mb)
        .map_err(|error| {
            CliError::usage(format!("--memory: {error}"), "choose sizes within the range")
        })?;
    Ok(Parameters {
        trial: Effort { executions: arguments.executions, rounds: TRIAL_ROUNDS },
        comparison: Effort { executions: arguments.comparison, rounds: COMPARISON_ROUNDS },
        space,
        memory_step_mb: range.step_mb,
        verification: Verification {
            requests: arguments.verify,
            ignore: arguments.ignore.clone(),
            // The logs of a server of our own go with it.
            record_payloads: arguments.target.endpoint.is_none(),
        },
    })
}

/// Runs on a server that is started for it and removed with all it started, whatever happens.
async fn on_own_server(
    arguments: &OptimizeArguments,
    project: &Project,
    parameters: &Parameters,
    progress: &Progress,
) -> Result<Report, CliError> {
    // Asked for before anything is started, so that no interrupt falls between.
    let interrupted = session::interrupted();
    let (backend, seed) = (&arguments.backend, arguments.seed);
    let server = session::start_own_server(backend, seed).await?;
    progress.line(&format!("local backend: sandbox {}", session::sandbox_line(server.sandbox())));
    let job = Job { arguments, project, parameters, progress };
    let result = tokio::select! {
        report = job.on(&server) => report,
        () = interrupted => {
            Err(CliError::Interrupted { message: "everything that was started is removed".into() })
        }
    };
    server.shutdown().await;
    result
}

/// One optimisation, wherever it runs.
struct Job<'a> {
    arguments: &'a OptimizeArguments,
    project: &'a Project,
    parameters: &'a Parameters,
    progress: &'a Progress,
}

impl Job<'_> {
    async fn on(&self, server: &Server) -> Result<Report, CliError> {
        let endpoint = Endpoint::at(&server.endpoint()).await;
        let conditions = Conditions {
            platform: "local".into(),
            sandbox: server.sandbox().kind.to_string(),
            invoke_overhead: self.arguments.backend.invoke_overhead.to_string(),
        };
        self.run(&endpoint, conditions).await
    }

    async fn run(&self, endpoint: &Endpoint, conditions: Conditions) -> Result<Report, CliError> {
        let deployer = self.deployer(endpoint)?;
        let prices = self.project.prices();
        let bench = Bench::new(
            endpoint,
            self.project,
            &deployer,
            prices,
            self.arguments.seed,
            self.progress,
        );
        let gate = platform::gate::gate(self.project, Some(&session::supervisor()?));
        optimize::optimize(&bench, self.parameters, &gate, conditions)
            .await
            .map_err(|error| CliError::failed("the optimisation stopped", &error))
    }

    /// Leaves a server that goes on with every task as a function of its own.
    async fn put_back(&self, endpoint: &Endpoint) -> Result<(), CliError> {
        let deployer = self.deployer(endpoint)?;
        deployer.deploy_tasks().await.map_err(|error| {
            CliError::failed("the functions are left as the last trial had them", &error)
                .or_try("put them back with `fuseline deploy`")
        })
    }

    fn deployer<'a>(&'a self, endpoint: &'a Endpoint) -> Result<Deployer<'a>, CliError> {
        let local = self.arguments.target.endpoint_is_local();
        Ok(Deployer::new(endpoint, self.project, session::supervisor()?, local))
    }
}
