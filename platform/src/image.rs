//! Container images: the form of a function whose tasks run on several managed runtimes.
//!
//! The same bundle that a zip holds lies at `/var/task` of an image whose base holds the runtimes, and
//! the supervisor, its `bootstrap`, is the image's entry point.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use optimizer::workflow::TaskName;

use crate::bundle::{BundleError, Entry, entries};
use crate::project::Project;

/// Where Lambda's own images have a function's code.
const TASK_ROOT: &str = "/var/task";
/// Folder of the build context that becomes [`TASK_ROOT`].
const CONTEXT_FOLDER: &str = "task";

/// Writes the build context of a function's image into an empty folder: a `Dockerfile` and what it
/// copies. The base, which has to hold `runtimes`, is named when the image is built.
///
/// # Errors
/// If a package or the supervisor cannot be read, or the folder cannot be written.
pub fn write_context(
    project: &Project,
    supervisor: &Path,
    root: &TaskName,
    inlined: &[TaskName],
    runtimes: &BTreeSet<String>,
    folder: &Path,
) -> Result<(), BundleError> {
    for (name, entry) in entries(project, Some(supervisor), root, inlined)? {
        write_file(&folder.join(CONTEXT_FOLDER).join(name), &entry).map_err(BundleError::Write)?;
    }
    let runtimes: Vec<&str> = runtimes.iter().map(String::as_str).collect();
    let dockerfile = format!(
        "# Made by Fuseline. The base image has to hold {}: docs/IMAGES.md says how.\n\
         ARG BASE=fuseline-runtimes\n\
         FROM ${{BASE}}\n\
         COPY {CONTEXT_FOLDER}/ {TASK_ROOT}/\n\
         ENV LAMBDA_TASK_ROOT={TASK_ROOT}\n\
         WORKDIR {TASK_ROOT}\n\
         ENTRYPOINT [\"{TASK_ROOT}/bootstrap\"]\n\
         CMD []\n",
        runtimes.join(" and "),
    );
    fs_err::write(folder.join("Dockerfile"), dockerfile).map_err(BundleError::Write)
}

fn write_file(path: &Path, entry: &Entry) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(path, &entry.bytes)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(entry.mode()))
}
