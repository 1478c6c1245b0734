//! `fuseline deploy`: builds the functions, deploys them and moves the alias `live`.

use optimizer::deployment::Deployment;
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{TaskName, Workflow};
use platform::deploy::{Adoption, DeployError, Deployer, LIVE_ALIAS};
use platform::events::{Observer, RunEvent};
use serde_json::json;

use crate::arguments::{DeployArguments, Format, Platform, WantedArguments};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &DeployArguments) -> Result<(), CliError> {
    let target = &arguments.target;
    let project = session::load_to_deploy(&target.file)?;
    let deployment = wanted(&arguments.wanted, &project.workflow)?;
    let progress = Progress::new();
    session::ask_gate(&project, &deployment, &progress)?;
    let only_aws = [("--adopt", arguments.adopt), ("--dry-run", arguments.dry_run)];
    if let Some((option, _)) = only_aws.iter().find(|(_, given)| *given)
        && target.platform != Platform::Aws
    {
        return Err(CliError::usage(
            format!("{option} is for AWS"),
            "add --platform aws, or leave it out",
        ));
    }
    let endpoint = session::endpoint(target).await?;
    session::build(&project, target, &progress).await?;
    let mut deployer = session::deployer(&endpoint, &project, target)?;
    if target.platform == Platform::Aws {
        deployer = deployer.adopting(match (arguments.adopt, arguments.force) {
            (true, true) => Adoption::EvenManaged,
            (true, false) => Adoption::Allowed,
            (false, _) => Adoption::Earlier,
        });
    }
    if arguments.dry_run {
        deployer = deployer.dry();
    }
    if arguments.record_payloads {
        deployer = deployer.recording_payloads();
    }
    progress.on_event(RunEvent::Deploying { tasks: project.tasks.len() });
    let failed = |error| CliError::failed("the workflow is not deployed", &error);
    if target.platform == Platform::Aws {
        deployer.begin(&deployment).await.map_err(|error| session::refused(&error))?;
    }
    let all = async {
        deployer.deploy_tasks().await?;
        let deployed = deployer.deploy(&deployment, 0).await?;
        deployer.promote(&deployed).await?;
        deployer.finish(&deployed).await?;
        Ok::<_, DeployError>(deployed)
    };
    let deployed = all.await.map_err(|error| match target.platform {
        Platform::Aws => failed(error).or_try(
            "run the command again to go on, or undo what was done with `fuseline rollback`",
        ),
        Platform::Local | Platform::Sim => failed(error),
    })?;
    if arguments.dry_run {
        return calls(&deployer, target.format);
    }
    match target.format {
        Format::Json => render::json(&json!({
            "workflow": project.workflow.name(),
            "deployment": deployment.to_string(),
            "versions": deployed.versions,
            "alias": LIVE_ALIAS,
        })),
        Format::Text => {
            let mut text = format!("deployed {deployment}\n");
            for (task, version) in &deployed.versions {
                let resources = deployment.functions()[task].resources;
                text.push_str(&format!("  {task} version {version}: {resources}\n"));
            }
            let roots = project.workflow.roots();
            let roots: Vec<String> = roots.iter().map(|it| format!("{it}:{LIVE_ALIAS}")).collect();
            let calls = if roots.len() == 1 { "calls" } else { "call" };
            text.push_str(&format!("{} {calls} it; next: fuseline invoke", roots.join(", ")));
            render::result(&text)
        }
    }
}

/// Prints what a dry run would have called.
pub(crate) fn calls(deployer: &Deployer<'_>, format: Format) -> Result<(), CliError> {
    let calls = deployer.would_be_calls();
    match format {
        Format::Json => render::json(&json!({ "calls": calls })),
        Format::Text => {
            let lines = calls.iter().map(|call| {
                let operation = call["operation"].as_str().unwrap_or_default();
                format!("{operation} {}", call["parameters"])
            });
            render::result(&lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// The deployment that `--setup` and `--memory` describe.
pub(crate) fn wanted(
    arguments: &WantedArguments,
    workflow: &Workflow,
) -> Result<Deployment, CliError> {
    let mut deployment = match &arguments.setup {
        None => Deployment::unfused(workflow),
        Some(setup) => session::deployment(workflow, "--setup", setup)?,
    };
    let space = ResourceSpace::lambda();
    for text in &arguments.memory {
        let wrong = |message: String| {
            CliError::usage(message, "write task and MB, such as --memory cancel-order=1024")
        };
        let (task, memory) = text
            .split_once('=')
            .and_then(|(task, mb)| Some((TaskName::from(task), MemoryMb(mb.parse().ok()?))))
            .ok_or_else(|| wrong(format!("--memory: `{text}` is not of the form TASK=MB")))?;
        let resources = space.resources_for_memory(memory);
        space.check(resources).map_err(|error| wrong(format!("--memory: {error}")))?;
        if !deployment.functions().contains_key(&task) {
            return Err(wrong(format!("--memory: {deployment} has no function `{task}`")));
        }
        deployment = deployment.with_resources(&task, resources);
    }
    Ok(deployment)
}
