//! `fuseline bundle`: writes what AWS would be sent, for people to look at and for `docker build`.

use std::path::Path;

use optimizer::deployment::Deployment;
use optimizer::workflow::TaskName;
use platform::bundle::{self, BundleError};
use platform::export::LAYER_FILE;
use platform::image;
use platform::package_form::PackageForm;
use platform::project::Project;
use serde::Serialize;

use crate::arguments::{BundleArguments, Format};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// One function as it was written.
#[derive(Serialize)]
pub(crate) struct Written {
    function: TaskName,
    inlined: Vec<TaskName>,
    form: PackageForm,
    /// Zip, or folder of an image, relative to the output folder.
    path: String,
}

pub(crate) async fn run(arguments: &BundleArguments) -> Result<(), CliError> {
    let project = session::load_to_deploy(&arguments.file)?;
    let deployment = match &arguments.setup {
        None => Deployment::unfused(&project.workflow),
        Some(setup) => session::deployment(&project.workflow, "--setup", setup)?,
    };
    let output = arguments.output.as_path();
    check_free(output)?;
    let progress = Progress::new();
    session::ask_gate(&project, &deployment, &progress)?;
    session::build_code(&project, &progress).await?;
    let roots: Vec<_> = deployment.functions().keys().collect();
    let written = write(&project, &deployment, &roots, output, |_| Ok(()))
        .map_err(|error| CliError::failed("the bundles are not written", &error))?;
    match arguments.format {
        Format::Json => render::json(&written),
        Format::Text => render::result(&text(&written, output)),
    }
}

/// Refuses a folder that something is in.
pub(crate) fn check_free(output: &Path) -> Result<(), CliError> {
    let is_free = match fs_err::read_dir(output) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    match is_free {
        true => Ok(()),
        false => Err(CliError::usage(
            format!("--output: {} is no empty folder", output.display()),
            "name a new one; nothing was changed",
        )),
    }
}

/// Writes the functions of these roots, and what `more` adds; beside the output folder first, so that what is in it
/// is complete.
pub(crate) fn write(
    project: &Project,
    deployment: &Deployment,
    roots: &[&TaskName],
    output: &Path,
    more: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<Vec<Written>, BundleError> {
    let output = std::path::absolute(output).map_err(BundleError::Write)?;
    let beside = output.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(beside).map_err(BundleError::Write)?;
    let staging = tempfile::Builder::new().prefix(".fuseline-").tempdir_in(beside);
    let staging = staging.map_err(BundleError::Write)?;
    let supervisor = session::supervisor()
        .map_err(|error| BundleError::Supervisor(std::io::Error::other(error.to_string())))?;
    let mut written = Vec::new();
    for root in roots.iter().copied() {
        let function = &deployment.functions()[root];
        let form = project.form(root, &function.inlined);
        let inlined = function.inlined.as_slice();
        let zip = format!("{root}.zip");
        let path = match &form {
            PackageForm::CustomRuntime => {
                let bytes = bundle::bundle(project, Some(&supervisor), root, inlined)?;
                fs_err::write(staging.path().join(&zip), bytes).map_err(BundleError::Write)?;
                zip
            }
            PackageForm::ManagedRuntime { .. } => {
                let bytes = bundle::bundle(project, None, root, inlined)?;
                fs_err::write(staging.path().join(&zip), bytes).map_err(BundleError::Write)?;
                let layer = bundle::supervisor_layer(&supervisor)?;
                fs_err::write(staging.path().join(LAYER_FILE), layer)
                    .map_err(BundleError::Write)?;
                zip
            }
            PackageForm::Image { runtimes } => {
                let folder = staging.path().join(&root.0);
                fs_err::create_dir(&folder).map_err(BundleError::Write)?;
                image::write_context(project, &supervisor, root, inlined, runtimes, &folder)?;
                root.0.clone()
            }
        };
        written.push(Written {
            function: root.clone(),
            inlined: function.inlined.clone(),
            form,
            path,
        });
    }
    more(staging.path()).map_err(BundleError::Write)?;
    // An empty folder in its place gives way.
    fs_err::rename(staging.path(), &output).map_err(BundleError::Write)?;
    let _ = staging.keep();
    Ok(written)
}

fn text(written: &[Written], output: &Path) -> String {
    let mut text = String::new();
    for one in written {
        let path = output.join(&one.path);
        let path = path.display();
        text.push_str(&match &one.form {
            PackageForm::CustomRuntime => format!("{}: {path}, a custom runtime\n", one.function),
            PackageForm::ManagedRuntime { runtime } => format!(
                "{}: {path}, on {runtime} with {} as a layer and AWS_LAMBDA_EXEC_WRAPPER={}\n",
                one.function,
                output.join(LAYER_FILE).display(),
                platform::package_form::WRAPPER.1,
            ),
            PackageForm::Image { runtimes } => {
                let runtimes: Vec<&str> = runtimes.iter().map(String::as_str).collect();
                format!(
                    "{0}: {path}, a container image with {1}; build it with\n  docker build --build-arg BASE=… --tag {0} {path}\n",
                    one.function,
                    runtimes.join(" and "),
                )
            }
        });
    }
    text.pop();
    text
}
