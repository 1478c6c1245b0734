//! `fuseline rollback`: undoes the latest deploy on AWS.

use serde_json::json;

use crate::arguments::{Format, Platform, TargetArguments};
use crate::error::CliError;
use crate::{render, session};

pub(crate) async fn run(target: &TargetArguments) -> Result<(), CliError> {
    if target.platform != Platform::Aws {
        return Err(CliError::usage(
            "only what was deployed with --platform aws is in a journal",
            "add --platform aws, or deploy again what production is to call",
        ));
    }
    let project = session::load(&target.file)?;
    let endpoint = session::endpoint(target).await?;
    let deployer = session::remover(&endpoint, &project, target)?;
    let undone = deployer.roll_back().await.map_err(|error| {
        CliError::failed("not everything is undone", &error).or_try("run the command again")
    })?;
    let undone = undone.ok_or_else(|| CliError::Failed {
        message: format!(
            "nothing to undo: no deploy of {} at {} is in this machine's journal",
            project.workflow.name(),
            endpoint.url
        ),
        next_step: None,
    })?;
    let live = platform::status::live(&endpoint, &project)
        .await
        .map_err(|error| CliError::failed("it is undone, but the status cannot be read", &error))?;
    let live = live.map(|live| live.deployed.deployment.to_string());
    match target.format {
        Format::Json => render::json(&json!({ "undone": undone, "live": live })),
        Format::Text => {
            let how = if undone.was_finished { "" } else { "interrupted " };
            let live = live.unwrap_or_else(|| "nothing".into());
            render::result(&format!(
                "undone: the {how}{} of {} from {}\nlive: {live}",
                undone.command, undone.deployment, undone.at
            ))
        }
    }
}
