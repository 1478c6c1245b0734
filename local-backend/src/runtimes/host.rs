//! What containers must see of this machine to run its interpreters: always the same folders at the
//! same paths, read-only, never `/etc` as a whole and never a home directory.

use std::path::{Path, PathBuf};

use super::MODULES;
use super::error::RuntimeError;
use super::name::Language;
use super::recipe::PreparedRuntime;

/// Folders that are links into `/usr` on most machines of today. A container's image has the same
/// links; where they are folders, they are mounted.
pub(crate) const HOST_LINKS: [&str; 5] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// Other folders and files of the system that interpreters read.
const HOST_FOLDERS: [&str; 4] = ["/usr", "/etc/ssl/certs", "/etc/alternatives", "/etc/ld.so.cache"];

/// What a container needs to run these runtimes: paths of this machine and of the container.
pub(crate) fn host_mounts(
    runtimes: &[&PreparedRuntime],
) -> Result<Vec<(PathBuf, PathBuf)>, RuntimeError> {
    let Some(first) = runtimes.first() else {
        return Ok(Vec::new());
    };
    let system = HOST_FOLDERS.iter().map(PathBuf::from).filter(|path| path.exists());
    let links = HOST_LINKS.iter().map(PathBuf::from).filter(|path| path.is_dir());
    let mut mounts: Vec<PathBuf> = system.chain(links.filter(|path| !path.is_symlink())).collect();
    // One folder holds all runtimes.
    mounts.extend(first.folder.parent().map(Path::to_owned));
    for runtime in runtimes {
        let installation = &runtime.interpreter.installation;
        if runtime.language == Language::Python && holds_home(installation) {
            return Err(RuntimeError::Prefix {
                runtime: runtime.name.clone(),
                prefix: installation.clone(),
            });
        }
        // Both: a distribution may link a program from elsewhere.
        for path in [installation, &runtime.interpreter.program] {
            if !mounts.iter().any(|mount| path.starts_with(mount)) {
                mounts.push(path.clone());
            }
        }
    }
    let modules = runtimes.iter().find_map(|runtime| runtime.modules());
    let modules = modules.map(|modules| (modules, Path::new("/").join(MODULES)));
    Ok(mounts.into_iter().map(|path| (path.clone(), path)).chain(modules).collect())
}

fn holds_home(path: &Path) -> bool {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    path == Path::new("/") || home.is_some_and(|home| home.starts_with(path))
}
