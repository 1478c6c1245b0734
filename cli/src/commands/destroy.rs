//! `fuseline destroy`: removes every function of the workflow.

use serde_json::json;

use crate::arguments::{Format, TargetArguments};
use crate::error::CliError;
use crate::{render, session};

pub(crate) async fn run(target: &TargetArguments) -> Result<(), CliError> {
    let project = session::load(&target.file)?;
    let endpoint = session::endpoint(target).await?;
    let deployer = session::remover(&endpoint, &project, target)?;
    let removed = deployer.destroy().await.map_err(|error| {
        CliError::failed("not everything is removed", &error).or_try("run the command again")
    })?;
    match target.format {
        Format::Json => render::json(&json!({ "removed": removed })),
        Format::Text if removed.is_empty() => render::result("nothing to remove"),
        Format::Text => render::result(&format!("removed {}", removed.join(", "))),
    }
}
