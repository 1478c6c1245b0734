//! `fuseline apply`: rolls a plan out step by step, or back.

use std::time::Duration;

use optimizer::canary::{Figures, Limits};
use optimizer::deployment::Deployment;
use platform::command;
use platform::deploy::{Adoption, Deployed, Deployer};
use platform::endpoint::Endpoint;
use platform::load::{self, Pace, Target, Version};
use platform::plan::Plan;
use platform::project::Project;
use platform::rollout::{Decision, Roller, Rollout, RolloutError, Settings, limits};
use serde_json::json;

use crate::arguments::{ApplyArguments, Format};
use crate::commands::{deploy, plan};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// Requests that are prepared at a time, if requests are sent.
const BATCH: u64 = 500;

pub(crate) async fn run(arguments: &ApplyArguments) -> Result<(), CliError> {
    let target = &arguments.target;
    plan::only_aws(target)?;
    let settings = settings(arguments)?;
    let plan = Plan::read(&arguments.plan).map_err(|error| plan::refused(&error))?;
    let project = session::load_to_deploy(&target.file)?;
    let deployment = fitting(&plan, &project, arguments)?;
    let progress = Progress::new();
    session::ask_gate(&project, &deployment, &progress)?;
    let endpoint = session::endpoint(target).await?;
    session::build(&project, target, &progress).await?;
    let mut deployer = session::deployer(&endpoint, &project, target)?.adopting(Adoption::Earlier);
    if arguments.dry_run {
        deployer = deployer.dry();
    }
    let job = Job { arguments, endpoint: &endpoint, project: &project, deployer, progress };
    job.apply(&plan, &deployment, settings).await
}

/// The deployment of a plan, if the plan is for this workflow and may be applied.
fn fitting(
    plan: &Plan,
    project: &Project,
    arguments: &ApplyArguments,
) -> Result<Deployment, CliError> {
    plan::check_workflow(plan, project, &arguments.plan)?;
    let file = arguments.plan.display();
    if let Some((task, managed)) = plan.managed.iter().next().filter(|_| !arguments.force) {
        return Err(CliError::usage(
            format!("{file}: {} manages `{task}` and would overwrite what is changed", managed.by),
            format!(
                "write it as a patch of the stack with `fuseline export --plan {file}`, or change it all the same with --force"
            ),
        ));
    }
    plan.deployment(&project.workflow).map_err(|error| plan::refused(&error))
}

fn settings(arguments: &ApplyArguments) -> Result<Settings, CliError> {
    let steps = &arguments.steps;
    if !steps.is_sorted_by(|one, next| one < next) || steps.last() != Some(&100.0) {
        return Err(CliError::usage(
            "--steps: the shares have to grow, and the last one has to be 100",
            "write them as 5,25,100",
        ));
    }
    Ok(Settings {
        steps: steps.clone(),
        executions: if arguments.dry_run { 0 } else { arguments.step_executions },
        limits: Limits {
            alpha: arguments.alpha / 100.0,
            cost_increase: arguments.cost_tolerance / 100.0,
            latency_increase: arguments.latency_tolerance / 100.0,
            failure_increase: arguments.failure_tolerance / 100.0,
        },
        patience: Duration::from_secs_f64(arguments.max_minutes * 60.0),
    })
}

/// One rollout.
struct Job<'a> {
    arguments: &'a ApplyArguments,
    endpoint: &'a Endpoint,
    project: &'a Project,
    deployer: Deployer<'a>,
    progress: Progress,
}

impl Job<'_> {
    async fn apply(
        &self,
        plan: &Plan,
        deployment: &Deployment,
        settings: Settings,
    ) -> Result<(), CliError> {
        let Self { deployer, progress, arguments, .. } = self;
        let force = arguments.force;
        let stable = deployer
            .begin_rollout(plan, deployment, force)
            .await
            .map_err(|error| session::refused(&error))?;
        let settings =
            Settings { limits: limits(plan.predicted.as_ref(), settings.limits), ..settings };
        let roller = Roller {
            endpoint: self.endpoint,
            project: self.project,
            deployer,
            prices: self.project.prices(),
            settings,
            observer: progress,
        };
        let rollout = async {
            let stable = deployer.widen(plan, &stable).await?;
            progress.line("deploying the new versions; production calls none of them yet");
            deployer.deploy_tasks().await?;
            let canary = deployer.deploy(deployment, 0).await?;
            let rollout = roller.roll_out(&stable, &canary).await?;
            Ok::<_, RolloutError>((canary, rollout))
        };
        let ended = tokio::select! {
            ended = rollout => ended,
            stopped = self.send() => return Err(self.undo(stopped).await),
            () = session::interrupted() => {
                let message = "production calls what it called before".into();
                return Err(self.undo(CliError::Interrupted { message }).await);
            }
        };
        let (canary, rollout) = ended.map_err(|error| {
            CliError::failed("the rollout stopped", &error).or_try(
                "run the command again to go on, or undo what was done with `fuseline rollback`",
            )
        })?;
        if arguments.dry_run {
            return deploy::calls(deployer, arguments.target.format);
        }
        if rollout.decision != Decision::Promoted {
            self.print(plan, &canary, &rollout)?;
            let failed = CliError::Failed {
                message: format!("rolled back: {}", rollout.reasons.join("; ")),
                next_step: Some(match rollout.decision {
                    Decision::Undecided => "send requests with --send, ask for fewer --step-executions, or wait longer with --max-minutes".into(),
                    _ => "look at the logs of the new deployment, and plan again".into(),
                }),
            };
            return Err(self.undo(failed).await);
        }
        deployer.finish(&canary).await.map_err(|error| {
            CliError::failed(
                "production calls the new deployment, but old versions are left",
                &error,
            )
            .or_try("run the command again")
        })?;
        self.print(plan, &canary, &rollout)
    }

    /// Undoes everything, and gives the reason again.
    async fn undo(&self, why: CliError) -> CliError {
        self.progress.line("rolling back");
        match self.deployer.roll_back().await {
            Ok(_) => why,
            Err(error) => CliError::failed(&format!("{why}; not everything is undone"), &error)
                .or_try("undo the rest with `fuseline rollback`"),
        }
    }

    /// Sends requests until it is stopped, if that was asked for. Ends only if they cannot be sent.
    async fn send(&self) -> CliError {
        let Some(rate_per_second) = self.arguments.send.filter(|_| !self.arguments.dry_run) else {
            return std::future::pending().await;
        };
        let (project, seed) = (self.project, self.arguments.seed);
        for batch in 0.. {
            let requests = project.payloads.requests(seed, batch * BATCH, BATCH);
            if let Err(error) = command::prepare(project, &requests).await {
                return CliError::failed("the requests cannot be prepared", &error);
            }
            let pace = Pace::Open { rate_per_second, seed: seed.wrapping_add(batch) };
            let to = Target { endpoint: self.endpoint, project, deployed: Version::Live };
            if let Err(error) = load::send(to, &requests, pace, |_| {}).await {
                return CliError::failed("no requests can be sent", &error);
            }
        }
        unreachable!("batches never end")
    }

    fn print(&self, plan: &Plan, canary: &Deployed, rollout: &Rollout) -> Result<(), CliError> {
        match self.arguments.target.format {
            Format::Json => render::json(&json!({
                "workflow": plan.workflow,
                "plan": plan.fingerprint,
                "deployment": plan.deployment,
                "versions": canary.versions,
                "rollout": rollout,
            })),
            Format::Text => render::result(&text(plan, rollout)),
        }
    }
}

/// A rollout for people.
fn text(plan: &Plan, rollout: &Rollout) -> String {
    let mut table = render::table(&[
        "share",
        "",
        "deployment",
        "warm",
        "cold",
        "failed",
        "µ$ per execution",
        "p95, ms",
        "p99, ms",
        "seconds",
    ]);
    for step in &rollout.steps {
        for function in &step.functions {
            let mut row = |name: &str, figures: &Figures, seconds: String| {
                let ms = |ms: Option<f64>| ms.map_or("–".into(), |ms| format!("{ms:.1}"));
                table.add_row([
                    format!("{} %", step.percent),
                    function.function.clone(),
                    name.to_owned(),
                    figures.executions.to_string(),
                    figures.cold_executions.to_string(),
                    figures.failures.to_string(),
                    figures.cost_usd.map_or("–".into(), |usd| format!("{:.3}", usd * 1e6)),
                    ms(figures.p95_ms),
                    ms(figures.p99_ms),
                    seconds,
                ]);
            };
            row("before", &function.stable, String::new());
            row("new", &function.canary, format!("{:.0}", step.seconds));
        }
    }
    let end = match rollout.decision {
        Decision::Promoted => {
            format!("production calls {}; undo it with: fuseline rollback", plan.deployment)
        }
        Decision::Worse => "the new deployment is worse".to_owned(),
        Decision::Undecided => "nothing was decided in time".to_owned(),
    };
    format!("plan {}\n{table}\n{end}", plan.short())
}
