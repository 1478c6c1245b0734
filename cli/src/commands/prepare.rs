//! `fuseline prepare`: makes managed runtimes ready before anything needs them.

use serde_json::json;

use crate::arguments::{Format, PrepareArguments};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &PrepareArguments) -> Result<(), CliError> {
    let progress = Progress::new();
    let prepared = session::prepare_runtimes(arguments.runtimes.clone(), &progress).await?;
    match arguments.format {
        Format::Json => {
            let folder = |one: &local_backend::PreparedRuntime| json!({ "runtime": one.name, "folder": one.folder });
            render::json(&prepared.iter().map(folder).collect::<Vec<_>>())
        }
        Format::Text => {
            let line = |one: &local_backend::PreparedRuntime| {
                format!("{} is ready in {}", one.name, one.folder.display())
            };
            render::result(&prepared.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
    }
}
