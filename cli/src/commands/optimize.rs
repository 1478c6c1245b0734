//! `fuseline optimize`: the main job.

use std::io::IsTerminal;
use std::time::Duration;

use local_backend::Server;
use optimizer::aarc::AarcParameters;
use optimizer::gate::Gate;
use optimizer::search::Standing;
use optimizer::space::ResourceSpace;
use optimizer::units::{MemoryMb, MilliVcpu, Resources};
use platform::choice::{Choice, SizeChange};
use platform::deploy::Deployer;
use platform::endpoint::Endpoint;
use platform::lab::Lab;
use platform::measure::{Bench, Effort};
use platform::optimize::{
    self, Budget, Conditions, Optimized, Parameters, Prediction, Strategy, Verification,
};
use platform::project::Project;
use platform::traffic_lab::{Allowance, TrafficLab};

use crate::arguments::{Format, MemoryRange, OptimizeArguments, Platform, StrategyName};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// Executions of a trial and of the final comparison, with rounds, each of which has a cold execution
/// more. Those of orchestrated workflows take seconds to minutes, except on the simulator.
const NESTED: [Effort; 2] =
    [Effort { executions: 40, rounds: 2 }, Effort { executions: 100, rounds: 5 }];
const AARC: [Effort; 2] =
    [Effort { executions: 3, rounds: 1 }, Effort { executions: 20, rounds: 2 }];
const AARC_SIMULATED: [Effort; 2] =
    [Effort { executions: 20, rounds: 1 }, Effort { executions: 100, rounds: 2 }];
/// With --from-traffic, the longest wait for one deployment's executions, if --max-minutes says none.
const LONGEST_TURN_MINUTES: f64 = 120.0;
/// Memory sizes on Lambda if none are given, as in the thesis's experiments.
const USUAL_RANGE: MemoryRange = MemoryRange { smallest_mb: 128, largest_mb: 1024, step_mb: 128 };

pub(crate) async fn run(arguments: &OptimizeArguments) -> Result<(), CliError> {
    let file = &arguments.target.file;
    if arguments.target.platform == Platform::Aws
        && let Some(space) = arguments.space.as_deref().filter(|space| *space != "lambda")
    {
        return Err(CliError::usage(
            format!("--space {space}: AWS Lambda offers memory only, and vCPU follows from it"),
            "leave it out, or search on this machine with --platform local",
        ));
    }
    // Trials on AWS itself cost money; what stands for it at an endpoint does not.
    let on_aws = arguments.target.platform == Platform::Aws && arguments.target.endpoint.is_none();
    if on_aws && arguments.max_usd.is_none() {
        return Err(CliError::usage(
            "--platform aws: every trial costs money, and nothing says how much may be spent",
            "add --max-usd, such as --max-usd 1",
        ));
    }
    let mut project = match arguments.target.platform {
        Platform::Sim => session::load(file)?,
        Platform::Local | Platform::Aws => session::load_to_deploy(file)?,
    };
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
    let parameters = parameters(arguments, &project, choice, &progress)?;
    check_traffic(arguments, &parameters)?;
    if arguments.target.platform == Platform::Aws {
        confirm(arguments, &Prediction::of(&project, &parameters), &progress)?;
    }
    let job = Job { arguments, project: &project, parameters: &parameters, progress: &progress };
    if arguments.target.platform == Platform::Sim {
        return print(&job.simulate().await?, arguments.target.format);
    }
    session::build(&project, &arguments.target, &progress).await?;
    let elsewhere =
        arguments.target.endpoint.is_some() || arguments.target.platform == Platform::Aws;
    let optimized = if elsewhere {
        let endpoint = session::endpoint(&arguments.target).await?;
        let conditions = Conditions {
            platform: endpoint.url.clone(),
            sandbox: "unknown".into(),
            invoke_overhead: "as it is there".into(),
        };
        let work = async |deployer: &Deployer<'_>| match arguments.from_traffic {
            true => job.watch(&endpoint, deployer, conditions).await,
            false => job.run(&endpoint, deployer, conditions).await,
        };
        let left = "the last trial had them";
        session::leaving_unfused(&endpoint, &project, &arguments.target, left, work).await?
    } else {
        let (backend, seed) = (&arguments.backend, arguments.seed);
        session::on_own_server(backend, seed, &progress, async |server| job.on(server).await)
            .await?
    };
    print(&optimized, arguments.target.format)
}

/// Refuses what cannot be measured on production's calls.
fn check_traffic(arguments: &OptimizeArguments, parameters: &Parameters) -> Result<(), CliError> {
    if !arguments.from_traffic {
        return Ok(());
    }
    if arguments.target.platform != Platform::Aws {
        return Err(CliError::usage(
            "--from-traffic: production is on AWS",
            "add --platform aws; with --endpoint http://… another server stands for it",
        ));
    }
    if arguments.traffic_share >= 100.0 {
        return Err(CliError::usage(
            "--traffic-share: a trial cannot get all of production's calls",
            "write less than 100",
        ));
    }
    match parameters.strategy {
        Strategy::Nested => Ok(()),
        Strategy::Aarc => Err(CliError::usage(
            "--from-traffic: what an orchestrator runs is not seen as a whole in the functions' logs",
            "leave it out, and let Fuseline run the workflow",
        )),
    }
}

/// Says what it can cost, and asks for leave on AWS itself.
fn confirm(
    arguments: &OptimizeArguments,
    prediction: &Prediction,
    progress: &Progress,
) -> Result<(), CliError> {
    let limit = arguments.max_usd.map_or("nothing".to_owned(), |usd| format!("--max-usd {usd}"));
    progress.line(&format!(
        "at most {} executions, {:.2} $ if every function ran to its timeout with the most memory; {limit} limits it",
        prediction.executions,
        prediction.usd()
    ));
    if arguments.target.endpoint.is_some() || arguments.yes {
        return Ok(());
    }
    let refused = |message: &str| CliError::usage(message, "say --yes, or lower --max-usd first");
    if !std::io::stdin().is_terminal() {
        return Err(refused("this would spend money, and nobody can be asked"));
    }
    progress.line("spend up to that? [y/N]");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => Err(refused("not confirmed; nothing was spent")),
    }
}

fn print(optimized: &Optimized, format: Format) -> Result<(), CliError> {
    match (optimized, format) {
        (Optimized::Found(report), Format::Json) => render::json(report),
        (Optimized::Found(report), Format::Text) => render::result(&render::optimization(report)),
        (Optimized::Unreachable(report), format) => {
            match format {
                Format::Json => render::json(report)?,
                Format::Text => render::result(&render::unreachable(report))?,
            }
            Err(CliError::Failed {
                message: render::why_unreachable(report),
                next_step: Some(match report.standing {
                    Standing::Fails { .. } => "look at the functions' logs: `fuseline load` on a deployment shows what fails".into(),
                    _ => "raise the latency objective (`slo`, --slo), or choose a platform with larger sizes (--space)".into(),
                }),
            })
        }
    }
}

fn strategy(arguments: &OptimizeArguments, project: &Project) -> Result<Strategy, CliError> {
    match (arguments.strategy, project.workflow.flow()) {
        (Some(StrategyName::Aarc), _) | (None, Some(_)) => Ok(Strategy::Aarc),
        (Some(StrategyName::Nested) | None, None) => Ok(Strategy::Nested),
        (Some(StrategyName::Nested), Some(_)) => Err(CliError::usage(
            "--strategy nested: it fuses along the calls of one entry, and an orchestrator runs this workflow",
            "use --strategy aarc",
        )),
    }
}

fn parameters(
    arguments: &OptimizeArguments,
    project: &Project,
    choice: Choice,
    progress: &Progress,
) -> Result<Parameters, CliError> {
    let Choice { space, prices } = choice;
    let strategy = strategy(arguments, project)?;
    if strategy == Strategy::Nested && arguments.executions == Some(1) {
        return Err(CliError::usage(
            "--executions: one execution cannot be compared with another",
            "take 2 or more; with --strategy aarc one is enough",
        ));
    }
    // The thesis's experiments with Algorithm 3.2 had this range, those with AARC all there is.
    let nested_on_lambda = strategy == Strategy::Nested && space == ResourceSpace::lambda();
    let usual = nested_on_lambda.then_some(USUAL_RANGE);
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
        dearest_usd: None,
    };
    let [trial, comparison] = match (strategy, arguments.target.platform) {
        (Strategy::Nested, _) => NESTED,
        (Strategy::Aarc, Platform::Sim) => AARC_SIMULATED,
        (Strategy::Aarc, _) => AARC,
    };
    let so_many = |usual: Effort, given: Option<u32>| Effort {
        executions: given.unwrap_or(usual.executions),
        ..usual
    };
    let comparison = so_many(comparison, arguments.comparison);
    let least = optimize::least_executions(strategy, comparison);
    if let Some(most) = budget.executions.filter(|most| *most < least) {
        return Err(CliError::usage(
            format!(
                "--max-executions: {most} are not enough: the final comparison alone takes up to {least}"
            ),
            "raise it, or lower --comparison",
        ));
    }
    let mut parameters = Parameters {
        strategy,
        prices,
        budget,
        seed: arguments.seed,
        trial: so_many(trial, arguments.executions),
        comparison,
        aarc: AarcParameters {
            base: base(arguments, &space, progress),
            validation_executions: comparison.executions,
            ..AarcParameters::default()
        },
        space,
        memory_step_mb,
        verification: Verification {
            requests: arguments.verify,
            ignore: arguments.ignore.clone(),
            // The logs of a server of our own go with it.
            record_payloads: arguments.target.endpoint.is_none()
                && arguments.target.platform == Platform::Local,
        },
    };
    // Elsewhere the limit stands for what it would cost, and searches may use it up.
    if arguments.target.platform == Platform::Aws && arguments.target.endpoint.is_none() {
        parameters.budget.dearest_usd = Some(Prediction::of(project, &parameters).dearest_usd);
    }
    Ok(parameters)
}

/// Where Algorithm 4.1 begins on this machine: with more vCPU than it has, functions would be billed for what
/// they do not get.
fn base(
    arguments: &OptimizeArguments,
    space: &ResourceSpace,
    progress: &Progress,
) -> Option<Resources> {
    if arguments.target.platform != Platform::Local || arguments.target.endpoint.is_some() {
        return None;
    }
    let cores = std::thread::available_parallelism().ok()?.get();
    let base = space.largest_up_to(MilliVcpu(u32::try_from(cores * 1000).ok()?))?;
    (base != space.largest()).then(|| {
        progress.line(&format!("this machine has {cores} cores: the search begins with {base}"));
        base
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
    /// On the simulator, whose time is its own.
    async fn simulate(&self) -> Result<Optimized, CliError> {
        let Parameters { prices, seed, .. } = self.parameters;
        let overhead = &self.arguments.backend.invoke_overhead;
        let simulation = session::simulation(self.project, prices.clone(), overhead, *seed)?;
        let conditions = Conditions {
            platform: "sim".into(),
            sandbox: "simulated".into(),
            invoke_overhead: self.arguments.backend.invoke_overhead.to_string(),
        };
        self.optimize(&simulation, conditions).await
    }

    async fn on(&self, server: &Server) -> Result<Optimized, CliError> {
        let endpoint = Endpoint::at(&server.endpoint()).await;
        let conditions = Conditions {
            platform: "local".into(),
            sandbox: server.sandbox().kind.to_string(),
            invoke_overhead: self.arguments.backend.invoke_overhead.to_string(),
        };
        let deployer = session::deployer(&endpoint, self.project, &self.arguments.target)?;
        self.run(&endpoint, &deployer, conditions).await
    }

    async fn run(
        &self,
        endpoint: &Endpoint,
        deployer: &Deployer<'_>,
        conditions: Conditions,
    ) -> Result<Optimized, CliError> {
        let bench = Bench::new(
            endpoint,
            self.project,
            deployer,
            self.parameters.prices.clone(),
            self.parameters.seed,
            self.progress,
        );
        self.optimize(&bench, conditions).await
    }

    /// On what production sends.
    async fn watch(
        &self,
        endpoint: &Endpoint,
        deployer: &Deployer<'_>,
        conditions: Conditions,
    ) -> Result<Optimized, CliError> {
        let live = deployer.live().await;
        let live = live.map_err(|error| CliError::failed("nothing was tried", &error))?;
        let live = live.ok_or_else(|| {
            CliError::usage(
                format!("--from-traffic: {} is not deployed there", self.project.workflow.name()),
                "deploy it first, and let production call the alias `live` of its entry",
            )
        })?;
        let prices = self.parameters.prices.clone();
        let share = self.arguments.traffic_share / 100.0;
        let minutes = self.arguments.max_minutes.unwrap_or(LONGEST_TURN_MINUTES);
        let patience = Duration::from_secs_f64(minutes * 60.0);
        let allowance = Allowance { share, patience };
        let lab = TrafficLab::new(
            endpoint,
            self.project,
            deployer,
            prices,
            &live,
            allowance,
            self.progress,
        );
        self.optimize(&lab, conditions).await
    }

    async fn optimize(
        &self,
        lab: &impl Lab,
        conditions: Conditions,
    ) -> Result<Optimized, CliError> {
        let supervisor = session::supervisor().ok();
        let target = &self.arguments.target;
        let gate = Gate {
            no_images: target.platform == Platform::Aws && target.images().is_none(),
            ..platform::gate::gate(self.project, supervisor.as_deref())
        };
        let (project, parameters) = (self.project, self.parameters);
        optimize::optimize(lab, project, parameters, &gate, conditions, self.progress)
            .await
            .map_err(|error| CliError::failed("the optimisation stopped", &error))
    }
}
