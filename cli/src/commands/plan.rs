//! `fuseline plan`: writes what a rollout would change and why.

use std::path::Path;

use platform::deploy::Draft;
use platform::plan::{Optimization, Plan, PlanError};
use platform::project::Project;

use crate::arguments::{Format, PlanArguments, Platform, TargetArguments};
use crate::commands::deploy;
use crate::error::{CliError, chain};
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &PlanArguments) -> Result<(), CliError> {
    let target = &arguments.target;
    only_aws(target)?;
    let output = &arguments.output;
    if output.exists() {
        return Err(refused(&PlanError::Exists(output.clone())));
    }
    let project = session::load_to_deploy(&target.file)?;
    let draft = draft(arguments, &project)?;
    let progress = Progress::new();
    session::ask_gate(&project, &draft.deployment, &progress)?;
    let endpoint = session::endpoint(target).await?;
    session::build(&project, target, &progress).await?;
    let deployer = session::deployer(&endpoint, &project, target)?;
    let plan = deployer.plan(draft).await.map_err(|error| session::refused(&error))?;
    plan.write(output).map_err(|error| refused(&error))?;
    match target.format {
        Format::Json => render::json(&plan),
        Format::Text => render::result(&text(&plan, arguments)),
    }
}

/// What is asked for.
fn draft(arguments: &PlanArguments, project: &Project) -> Result<Draft, CliError> {
    let Some(file) = &arguments.from else {
        let deployment = deploy::wanted(&arguments.wanted, &project.workflow)?;
        return Ok(Draft { deployment, reasons: Vec::new(), predicted: None });
    };
    let optimization = Optimization::read(file).map_err(|error| refused(&error))?;
    let (of, this) = (&optimization.workflow, project.workflow.name());
    if of != this {
        return Err(CliError::usage(
            format!("--from: {} is an optimisation of {of}, not of {this}", file.display()),
            "name the workflow file that it was made with",
        ));
    }
    Ok(Draft {
        deployment: optimization.deployment(&project.workflow).map_err(|error| refused(&error))?,
        reasons: optimization.reasons().to_vec(),
        predicted: Some(optimization.predicted()),
    })
}

/// Refuses a plan of another workflow.
pub(crate) fn check_workflow(plan: &Plan, project: &Project, file: &Path) -> Result<(), CliError> {
    let (of, this) = (&plan.workflow, project.workflow.name());
    match of == this {
        true => Ok(()),
        false => Err(CliError::usage(
            format!("{} is a plan of {of}, not of {this}", file.display()),
            "name the workflow file that it was made with",
        )),
    }
}

/// Plans and rollouts are for AWS, or what stands for it.
pub(crate) fn only_aws(target: &TargetArguments) -> Result<(), CliError> {
    match target.platform {
        Platform::Aws => Ok(()),
        Platform::Local | Platform::Sim => Err(CliError::usage(
            "rollouts are for AWS",
            "add --platform aws; with --endpoint http://… another server stands for it",
        )),
    }
}

/// What is wrong with a plan or with what it is made from.
pub(crate) fn refused(error: &PlanError) -> CliError {
    let next_step = match error {
        PlanError::File(..) => "name a file that can be read or written",
        PlanError::Exists(_) => "name another file with --output, or remove it",
        PlanError::Content { .. } => "write it again; `fuseline plan --help` says from what",
        PlanError::Format { .. } => "make the plan again with this program",
        PlanError::Changed(_) => "make a new plan instead of changing one",
        PlanError::Deployment(..) => {
            "use the workflow file that it was made with, or make it again"
        }
    };
    CliError::usage(chain(error), next_step)
}

/// A plan for people.
fn text(plan: &Plan, arguments: &PlanArguments) -> String {
    let mut text = format!("plan {} of {}\n", plan.short(), plan.workflow);
    match &plan.parent {
        Some(parent) => {
            text.push_str(&format!("from  {}\nto    {}\n", parent.deployment, plan.deployment));
        }
        None => text.push_str(&format!(
            "to    {}\nnothing of Fuseline's is deployed there: it can be exported, not applied\n",
            plan.deployment
        )),
    }
    let mut list = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    };
    let none = ["nothing but the code, if that has changed".to_owned()];
    list("changes", if plan.changes.is_empty() { &none } else { &plan.changes });
    let roles = plan.widenings.iter().map(|it| {
        format!(
            "{} gets a role that allows what {} and {} do",
            it.function,
            it.from,
            it.with.join(", ")
        )
    });
    list("roles, before the rollout", &roles.collect::<Vec<_>>());
    let managed = plan.managed.iter().map(|(task, managed)| format!("{task}: {}", managed.by));
    list("managed by stacks: export it, or apply it with --force", &managed.collect::<Vec<_>>());
    list("why", &plan.reasons);
    if let Some(predicted) = &plan.predicted {
        let saving = &predicted.saving;
        let interval = saving.cost_ci95.map_or(String::new(), |interval| {
            format!(" (95 % CI {:.1} … {:.1})", -interval.upper * 100.0, -interval.lower * 100.0)
        });
        let lines = [
            format!(
                "cost {:+.1} %{interval}, p95 {:+.1} %",
                -saving.cost * 100.0,
                -saving.latency_p95 * 100.0
            ),
            format!(
                "measured on {} with {} executions of each",
                predicted.platform, predicted.executions
            ),
        ];
        list("predicted", &lines);
    }
    let next = if plan.parent.is_some() && plan.managed.is_empty() { "apply" } else { "export" };
    let (output, file) = (arguments.output.display(), arguments.target.file.display());
    text.push_str(&format!("\nwritten to {output}; next: fuseline {next} {file} --plan {output}"));
    text.push_str(match next {
        "apply" => " --platform aws",
        _ => " --format sam --output patch",
    });
    if let Some(endpoint) = arguments.target.endpoint.as_ref().filter(|_| next == "apply") {
        text.push_str(&format!(" --endpoint {endpoint}"));
    }
    text
}
