//! Bundles: the zip that a function's code is, with the supervisor (unless a layer holds it), the
//! manifest and every task's package, unchanged. Reproducible: the same input gives the same bytes,
//! whatever the files' times.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use optimizer::workflow::TaskName;
use wire::manifest::{MANIFEST_PATH, MANIFEST_VERSION, Manifest, TaskManifest, is_custom};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::package_form::LAYER_PATH;
use crate::project::Project;

/// Lambda's limit on a function's code when unpacked.
const UNPACKED_LIMIT_BYTES: u64 = 250 << 20;
/// Processes of one task that an instance starts at most; further calls go to the task's own
/// function. Eight covers the fan-outs of interactive workflows; each idle process costs memory.
const PROCESSES_PER_TASK: u32 = 8;

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of a package cannot be read.
    #[error("the package of task `{task}` cannot be read")]
    Package {
        /// Whose package.
        task: TaskName,
        /// What the operating system said; names the path.
        #[source]
        source: std::io::Error,
    },
    /// The supervisor's binary cannot be read.
    #[error(
        "the supervisor cannot be read; build it with `cargo build --release -p runtime` or name it in FUSELINE_BOOTSTRAP"
    )]
    Supervisor(#[source] std::io::Error),
    /// The code is larger than Lambda takes.
    #[error("the bundle of `{function}` holds {} MB unpacked, and Lambda takes 250 MB; fuse fewer tasks", bytes >> 20)]
    TooLarge {
        /// Root task of the function.
        function: TaskName,
        /// Unpacked size, in bytes.
        bytes: u64,
    },
    /// A bundle cannot be kept in a file.
    #[error("the files cannot be written")]
    Write(#[source] std::io::Error),
    /// The zip cannot be written.
    #[error("the bundle cannot be written")]
    Zip(#[from] zip::result::ZipError),
}

/// One file of a bundle.
pub(crate) struct Entry {
    pub(crate) bytes: Vec<u8>,
    executable: bool,
}

impl Entry {
    /// Its permissions.
    pub(crate) fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// Makes the layer that holds the supervisor.
///
/// # Errors
/// If it cannot be read.
pub fn supervisor_layer(supervisor: &Path) -> Result<Vec<u8>, BundleError> {
    let bytes = fs_err::read(supervisor).map_err(BundleError::Supervisor)?;
    let entries = BTreeMap::from([(LAYER_PATH.to_owned(), Entry { bytes, executable: true })]);
    Ok(zip(&entries)?)
}

/// Makes the bundle of the function with the given root and inlined tasks; `supervisor` becomes its
/// `bootstrap` if there is one.
///
/// # Errors
/// If a package or the supervisor cannot be read, or the code is too large.
pub fn bundle(
    project: &Project,
    supervisor: Option<&Path>,
    root: &TaskName,
    inlined: &[TaskName],
) -> Result<Vec<u8>, BundleError> {
    let entries = entries(project, supervisor, root, inlined)?;
    let unpacked: u64 = entries.values().map(|entry| entry.bytes.len() as u64).sum();
    if unpacked > UNPACKED_LIMIT_BYTES {
        return Err(BundleError::TooLarge { function: root.clone(), bytes: unpacked });
    }
    Ok(zip(&entries)?)
}

/// The files of a bundle by their paths in it.
///
/// # Errors
/// If a package or the supervisor cannot be read.
pub(crate) fn entries(
    project: &Project,
    supervisor: Option<&Path>,
    root: &TaskName,
    inlined: &[TaskName],
) -> Result<BTreeMap<String, Entry>, BundleError> {
    let mut entries = BTreeMap::new();
    if let Some(supervisor) = supervisor {
        let bytes = fs_err::read(supervisor).map_err(BundleError::Supervisor)?;
        entries.insert("bootstrap".to_owned(), Entry { bytes, executable: true });
    }
    let manifest = serde_json::to_vec_pretty(&manifest(project, root, inlined))
        .expect("a manifest holds only strings and integers");
    entries.insert(MANIFEST_PATH.to_owned(), Entry { bytes: manifest, executable: false });
    for task in std::iter::once(root).chain(inlined) {
        let package = &project.tasks[task].code;
        let failed = |source| BundleError::Package { task: task.clone(), source };
        for path in files_below(package).map_err(failed)? {
            let bytes = fs_err::read(&path).map_err(failed)?;
            let inside = path.strip_prefix(package).expect("found below it");
            let name = format!("{}/{}", package_directory(task), inside.display());
            entries.insert(name, Entry { bytes, executable: is_executable(&path) });
        }
    }
    Ok(entries)
}

fn manifest(project: &Project, root: &TaskName, inlined: &[TaskName]) -> Manifest {
    let tasks = std::iter::once(root)
        .chain(inlined)
        .map(|name| {
            let task = &project.tasks[name];
            let manifest = TaskManifest {
                directory: package_directory(name),
                runtime: task.runtime.clone(),
                command: match is_custom(&task.runtime) {
                    true => vec!["./bootstrap".to_owned()],
                    false => Vec::new(),
                },
                handler: task.handler.clone(),
                memory_mb: project.workflow.tasks()[name].resources.memory.0,
                timeout_ms: task.timeout_ms,
                environment: task.environment.clone(),
                processes: PROCESSES_PER_TASK,
            };
            (name.0.clone(), manifest)
        })
        .collect();
    Manifest { v: MANIFEST_VERSION, root: root.0.clone(), tasks }
}

fn package_directory(task: &TaskName) -> String {
    format!("tasks/{task}")
}

/// Every file below a folder, links followed.
pub(crate) fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

fn zip(entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, entry) in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            // Binaries shrink hardly more at higher levels, which take several times as long.
            .compression_level(Some(1))
            // Zip's first moment: files' own times would make every build another bundle.
            .last_modified_time(DateTime::default())
            .unix_permissions(entry.mode());
        writer.start_file(name.as_str(), options)?;
        writer.write_all(&entry.bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(folder: &Path) -> Project {
        for task in ["a", "b"] {
            fs_err::create_dir_all(folder.join(task).join("sub")).unwrap();
            fs_err::write(folder.join(task).join("bootstrap"), task).unwrap();
            fs_err::write(folder.join(task).join("sub/data"), "data").unwrap();
        }
        fs_err::write(folder.join("supervisor"), "s").unwrap();
        let text = "name: w\nentry: a\nslo: { latency: 1s }\ntasks:\n  a: { code: a, runtime: \
                    provided.al2023, calls: { b: sync } }\n  b: { code: b, runtime: provided.al2023 }\n";
        Project::parse(Path::new("w.yaml"), folder, text, &|_| None).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_whatever_the_files_times() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let make = || {
            bundle(&project, Some(&folder.path().join("supervisor")), &"a".into(), &["b".into()])
        };
        let first = make().unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
        for file in ["a/bootstrap", "supervisor"] {
            let file = std::fs::File::options().write(true).open(folder.path().join(file)).unwrap();
            file.set_modified(later).unwrap();
        }
        assert_eq!(first, make().unwrap());
    }

    #[test]
    fn code_that_lambda_would_not_take_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let large = std::fs::File::create(folder.path().join("b/large")).unwrap();
        large.set_len(UNPACKED_LIMIT_BYTES).unwrap();
        let supervisor = folder.path().join("supervisor");
        let make = |inlined: &[TaskName]| bundle(&project, Some(&supervisor), &"a".into(), inlined);
        assert!(make(&[]).is_ok());
        let error = make(&["b".into()]).unwrap_err().to_string();
        assert!(error.contains("`a` holds 250 MB unpacked, and Lambda takes 250 MB"), "{error}");
    }

    #[test]
    fn a_bundle_holds_supervisor_manifest_and_packages() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let supervisor = folder.path().join("supervisor");
        let bytes = bundle(&project, Some(&supervisor), &"a".into(), &["b".into()]).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let names: Vec<String> =
            archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(
            names,
            [
                "bootstrap",
                "fuseline.json",
                "tasks/a/bootstrap",
                "tasks/a/sub/data",
                "tasks/b/bootstrap",
                "tasks/b/sub/data"
            ]
        );
        assert_eq!(archive.by_name("bootstrap").unwrap().unix_mode().unwrap() & 0o777, 0o755);
        let manifest: Manifest =
            serde_json::from_reader(archive.by_name("fuseline.json").unwrap()).unwrap();
        assert_eq!(manifest.root, "a");
        assert_eq!(manifest.tasks["b"].directory, "tasks/b");
    }
}
