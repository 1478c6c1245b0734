//! `fuseline export`: writes a plan for what manages a stack.

use std::path::Path;

use platform::export::{Exported, Form, exported};
use platform::plan::Plan;
use serde_json::json;

use crate::arguments::{ExportArguments, ExportForm};
use crate::commands::{bundle, plan};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &ExportArguments) -> Result<(), CliError> {
    let plan = Plan::read(&arguments.plan).map_err(|error| plan::refused(&error))?;
    let project = session::load_to_deploy(&arguments.file)?;
    plan::check_workflow(&plan, &project, &arguments.plan)?;
    let deployment = plan.deployment(&project.workflow).map_err(|error| plan::refused(&error))?;
    bundle::check_free(&arguments.output)?;
    let progress = Progress::new();
    session::ask_gate(&project, &deployment, &progress)?;
    session::build_code(&project, &progress).await?;
    let functions = exported(&plan, &project);
    let packed: Vec<_> = functions.iter().filter(|one| one.package.is_some()).collect();
    let roots: Vec<_> = packed.iter().map(|one| &one.function).collect();
    let form = Form::from(arguments.format);
    let content = |folder: &Path| -> std::io::Result<()> {
        for one in &packed {
            check_code(one, folder)?;
        }
        fs_err::write(folder.join(form.file()), form.content(&plan, &functions))
    };
    bundle::write(&project, &deployment, &roots, &arguments.output, content).map_err(|error| {
        CliError::failed("the plan is not exported", &error)
            .or_try("make the plan again if the code has changed since")
    })?;
    let file = arguments.output.join(form.file());
    if arguments.format == ExportForm::Json {
        return render::json(&json!({ "file": file, "functions": functions.len() }));
    }
    render::result(&format!("{}\n{}", file.display(), next(arguments.format, &functions)))
}

/// Checks that what was packed is what was planned.
fn check_code(one: &Exported, folder: &Path) -> std::io::Result<()> {
    let Some(package) = &one.package else { return Ok(()) };
    let path = folder.join(&package.path);
    if !path.is_file() {
        return Ok(());
    }
    match platform::digest::sha256(&fs_err::read(path)?) == package.sha256 {
        true => Ok(()),
        false => {
            let message = format!("the code of `{}` is another one than in the plan", one.function);
            Err(std::io::Error::other(message))
        }
    }
}

/// What to do with the file.
fn next(form: ExportForm, functions: &[Exported]) -> String {
    let guessed: Vec<&str> = functions
        .iter()
        .filter(|one| one.logical_id.is_none())
        .map(|one| one.function.0.as_str())
        .collect();
    let mut text = match form {
        ExportForm::Sam => "merge it into the template and deploy with `sam deploy`; a canary: DeploymentPreference beside AutoPublishAlias".to_owned(),
        ExportForm::Cloudformation => "merge it into the template, then `aws cloudformation package` and `deploy`".to_owned(),
        ExportForm::Terraform => "put the folder beside the configuration and use local.fuseline[\"…\"] in each aws_lambda_function".to_owned(),
        ExportForm::Json => String::new(),
    };
    if !guessed.is_empty() && matches!(form, ExportForm::Sam | ExportForm::Cloudformation) {
        text.push_str(&format!(
            "\nthe names of these resources are guessed, correct them: {}",
            guessed.join(", ")
        ));
    }
    text
}
