//! `fuseline status`: which functions of the workflow are deployed, and how.

use platform::status;
use serde_json::json;

use crate::arguments::{Format, TargetArguments};
use crate::error::CliError;
use crate::{render, session};

pub(crate) async fn run(target: &TargetArguments) -> Result<(), CliError> {
    let project = session::load(&target.file)?;
    let endpoint = session::endpoint(target).await?;
    let failed = |error| CliError::failed("the status cannot be read", &error);
    let functions = status::functions(&endpoint, &project).await.map_err(failed)?;
    let live = status::live(&endpoint, &project).await.map_err(failed)?;
    let weights = live.as_ref().map(|live| live.weights.clone()).unwrap_or_default();
    let live = live.map(|live| live.deployed.deployment.to_string());
    if target.format == Format::Json {
        return render::json(&json!({
            "workflow": project.workflow.name(),
            "endpoint": endpoint.url,
            "live": live,
            "weights": weights,
            "functions": functions,
        }));
    }
    let mut table =
        render::table(&["function", "memory, MB", "timeout, s", "versions", "modified"]);
    for function in &functions {
        table.add_row(vec![
            function.name.clone(),
            function.memory_mb.to_string(),
            function.timeout_s.to_string(),
            function.versions.to_string(),
            function.modified.clone(),
        ]);
    }
    let live = live.unwrap_or_else(|| "nothing".into());
    let weights: String = weights
        .iter()
        .map(|it| {
            format!(
                "\n{:.0} % of the calls of {} go to its version {}",
                it.share * 100.0,
                it.function,
                it.version
            )
        })
        .collect();
    let summary = match functions.len() {
        0 => format!("{} is not deployed at {}", project.workflow.name(), endpoint.url),
        _ => format!("{table}\nlive: {live}{weights}"),
    };
    render::result(&summary)
}
