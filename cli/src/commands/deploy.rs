//! `fuseline deploy`: builds the functions, deploys them and moves the alias `live`.

use optimizer::deployment::Deployment;
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{TaskName, Workflow};
use platform::deploy::LIVE_ALIAS;
use platform::events::{Observer, RunEvent};
use serde_json::json;

use crate::arguments::{DeployArguments, Format};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &DeployArguments) -> Result<(), CliError> {
    let target = &arguments.target;
    let project = session::load_to_deploy(&target.file)?;
    let deployment = wanted(arguments, &project.workflow)?;
    let progress = Progress::new();
    session::ask_gate(&project, &deployment, &progress)?;
    let endpoint = session::endpoint(target).await?;
    session::build(&project, &progress).await?;
    let mut deployer = session::deployer(&endpoint, &project, target)?;
    if arguments.record_payloads {
        deployer = deployer.recording_payloads();
    }
    progress.on_event(RunEvent::Deploying { tasks: project.tasks.len() });
    let failed = |error| CliError::failed("the workflow is not deployed", &error);
    deployer.deploy_tasks().await.map_err(failed)?;
    let deployed = deployer.deploy(&deployment, 0).await.map_err(failed)?;
    deployer.promote(&deployed).await.map_err(failed)?;
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

/// The deployment that `--setup` and `--memory` describe.
fn wanted(arguments: &DeployArguments, workflow: &Workflow) -> Result<Deployment, CliError> {
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
