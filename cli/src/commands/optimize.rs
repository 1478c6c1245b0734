//! `fuseline optimize`: the main job.

use local_backend::Server;
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use platform::choice::{Choice, SizeChange};
use platform::endpoint::Endpoint;
use platform::measure::{Bench, Effort};
use platform::optimize::{self, Budget, Conditions, Parameters, Report, Strategy, Verification};
use platform::project::Project;

use crate::arguments::{Format, MemoryRange, OptimizeArguments};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// Rounds, each with a cold execution, of a trial and of the final comparison.
const TRIAL_ROUNDS: u32 = 2;
const COMPARISON_ROUNDS: u32 = 5;
/// Memory sizes on Lambda if none are given, as in the thesis's experiments.
const USUAL_RANGE: MemoryRange = MemoryRange { smallest_mb: 128, largest_mb: 1024, step_mb: 128 };

pub(crate) async fn run(arguments: &OptimizeArguments) -> Result<(), CliError> {
    let mut project = session::load_to_deploy(&arguments.target.file)?;
    if let Some(latency) = arguments.slo {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        project.workflow = project.workflow.with_slo_latency(latency_us);
    }
    let progress = Progress::new();
    let choice = Choice::of(arguments.space.as_deref(), arguments.prices.as_deref(), &project)?;
    let (project, changes) = choice.apply(project)?;
    for SizeChange { task, written, offered } in changes {
        let space = choice.space.name();
        progress.line(&format!("{task} gets {offered}: {space} does not offer its {written}"));
    }
    let parameters = parameters(arguments, choice)?;
    session::build(&project, &progress).await?;
    let job = Job { arguments, project: &project, parameters: &parameters, progress: &progress };
    let report = if arguments.target.endpoint.is_some() {
        let endpoint = session::endpoint(&arguments.target).await?;
        let conditions = Conditions {
            platform: endpoint.url.clone(),
            sandbox: "unknown".into(),
            invoke_overhead: "as it is there".into(),
        };
        let work = job.run(&endpoint, conditions);
        let left = "the last trial had them";
        session::leaving_unfused(&endpoint, &project, &arguments.target, left, work).await?
    } else {
        let (backend, seed) = (&arguments.backend, arguments.seed);
        session::on_own_server(backend, seed, &progress, async |server| job.on(server).await)
            .await?
    };
    match arguments.target.format {
        Format::Json => render::json(&report),
        Format::Text => render::result(&render::optimization(&report)),
    }
}

fn parameters(arguments: &OptimizeArguments, choice: Choice) -> Result<Parameters, CliError> {
    let Choice { space, prices } = choice;
    let usual = (space == ResourceSpace::lambda()).then_some(USUAL_RANGE);
    let (space, memory_step_mb) = match arguments.memory.or(usual) {
        None => (space, USUAL_RANGE.step_mb),
        Some(MemoryRange { smallest_mb, largest_mb, step_mb }) => {
            let ends = (MemoryMb(smallest_mb), MemoryMb(largest_mb));
            let narrowed = space.with_memory_range(ends.0, ends.1, step_mb).map_err(|error| {
                CliError::usage(format!("--memory: {error}"), "choose sizes within the range")
            })?;
            (narrowed, step_mb)
        }
    };
    let budget = Budget {
        executions: arguments.max_executions,
        usd: arguments.max_usd,
        seconds: arguments.max_minutes.map(|minutes| minutes * 60.0),
    };
    let comparison = Effort { executions: arguments.comparison, rounds: COMPARISON_ROUNDS };
    let least = optimize::least_executions(comparison);
    if let Some(most) = budget.executions.filter(|most| *most < least) {
        return Err(CliError::usage(
            format!(
                "--max-executions: {most} are not enough: the final comparison alone takes up to {least}"
            ),
            "raise it, or lower --comparison",
        ));
    }
    Ok(Parameters {
        strategy: Strategy::Nested,
        prices,
        budget,
        seed: arguments.seed,
        trial: Effort { executions: arguments.executions, rounds: TRIAL_ROUNDS },
        comparison,
        space,
        memory_step_mb,
        verification: Verification {
            requests: arguments.verify,
            ignore: arguments.ignore.clone(),
            // The logs of a server of our own go with it.
            record_payloads: arguments.target.endpoint.is_none(),
        },
    })
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
        let deployer = session::deployer(endpoint, self.project, &self.arguments.target)?;
        let bench = Bench::new(
            endpoint,
            self.project,
            &deployer,
            self.parameters.prices.clone(),
            self.parameters.seed,
            self.progress,
        );
        let gate = platform::gate::gate(self.project, Some(&session::supervisor()?));
        let (project, parameters) = (self.project, self.parameters);
        optimize::optimize(&bench, project, parameters, &gate, conditions, self.progress)
            .await
            .map_err(|error| CliError::failed("the optimisation stopped", &error))
    }
}
