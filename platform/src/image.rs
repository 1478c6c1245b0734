//! Container images: the form of a function whose tasks run on several managed runtimes.
//!
//! The same bundle that a zip holds lies at `/var/task` of an image whose base holds the runtimes, and
//! the supervisor, its `bootstrap`, is the image's entry point.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use optimizer::workflow::TaskName;
use sha2::{Digest, Sha256};

use crate::bundle::{BundleError, Entry, entries};
use crate::digest::hex;
use crate::project::Project;
use crate::repository::Repository;

/// Where Lambda's own images have a function's code.
const TASK_ROOT: &str = "/var/task";
/// Folder of the build context that becomes [`TASK_ROOT`].
const CONTEXT_FOLDER: &str = "task";
/// How much of a hash is in a tag, in bytes: enough that none is met twice.
const HASH_BYTES: usize = 8;

/// Where a function's image goes and what it is built on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageSettings {
    /// The repository that it is pushed to.
    pub repository: Repository,
    /// The image that holds the runtimes, as Docker names it.
    pub base: String,
}

/// What a function's image is built from.
pub(crate) struct Context {
    files: BTreeMap<String, Entry>,
    dockerfile: String,
}

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
    context(project, supervisor, root, inlined, runtimes)?.write(folder)
}

/// The build context of a function's image.
///
/// # Errors
/// If a package or the supervisor cannot be read.
pub(crate) fn context(
    project: &Project,
    supervisor: &Path,
    root: &TaskName,
    inlined: &[TaskName],
    runtimes: &BTreeSet<String>,
) -> Result<Context, BundleError> {
    let files = entries(project, Some(supervisor), root, inlined)?;
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
    Ok(Context { files, dockerfile })
}

impl Context {
    /// Writes it into an empty folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), BundleError> {
        for (name, entry) in &self.files {
            let path = folder.join(CONTEXT_FOLDER).join(name);
            write_file(&path, entry).map_err(BundleError::Write)?;
        }
        fs_err::write(folder.join("Dockerfile"), &self.dockerfile).map_err(BundleError::Write)
    }

    /// What tells it from every other context on another base, short enough for a tag.
    pub(crate) fn hash(&self, base: &str) -> String {
        let mut all = Sha256::new();
        let mut add = |bytes: &[u8]| {
            all.update((bytes.len() as u64).to_le_bytes());
            all.update(bytes);
        };
        add(base.as_bytes());
        add(self.dockerfile.as_bytes());
        for (name, entry) in &self.files {
            add(name.as_bytes());
            add(&entry.mode().to_le_bytes());
            add(&entry.bytes);
        }
        hex(&all.finalize()[..HASH_BYTES])
    }
}

fn write_file(path: &Path, entry: &Entry) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(path, &entry.bytes)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(entry.mode()))
}
