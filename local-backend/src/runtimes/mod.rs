//! Lambda's managed runtimes, run by this machine's own interpreters.
//!
//! A runtime is a folder that is prepared once per user and machine, outside of any invocation, and
//! then only read, by every server and by the supervisor of fused functions:
//!
//! ```text
//! ${XDG_CACHE_HOME:-~/.cache}/fuseline/runtimes/     FUSELINE_RUNTIMES in functions
//!     python3.12/bootstrap        starts the runtime, from the environment alone
//!     python3.12/runtime.json     what it was made from
//!     python3.12/…                the runtime's own packages
//!     .python3.12.lock            held while it is prepared
//!     .python3.12-…/              being prepared
//! ```

mod command;
mod error;
mod folder;
mod host;
mod interpreter;
mod name;
mod node;
mod python;
mod recipe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use error::RuntimeError;
pub use recipe::PreparedRuntime;

pub(crate) use host::{HOST_LINKS, host_mounts};
pub(crate) use name::{RuntimeName, is_custom};

/// Folder in which Node.js looks for packages.
const MODULES: &str = "node_modules";
/// Variable of every function that says where runtimes are, for the supervisor of fused functions.
pub(crate) const RUNTIMES_VARIABLE: &str = "FUSELINE_RUNTIMES";

/// Makes the managed runtimes of these names (`python3.12`, `nodejs20.x`) ready for functions, and
/// does nothing for those that are ready and for `provided.*`, which need none. `tell` gets a
/// sentence about everything that takes long. Blocks the thread, for minutes when Node.js is
/// prepared for the first time on a machine.
///
/// # Errors
/// If a name is no runtime that runs here, if this machine has no interpreter for it or lacks what
/// preparing it needs, or if that fails. What is ready then stays as it was.
pub fn prepare_runtimes(
    names: &[&str],
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<PreparedRuntime>, RuntimeError> {
    let folder = folder::of_this_user()?;
    let managed = names.iter().filter(|name| !is_custom(name));
    managed.map(|name| recipe::prepare(&RuntimeName::parse(name)?, &folder, tell)).collect()
}

/// The runtimes that one server has used.
#[derive(Debug)]
pub(crate) struct Runtimes {
    code: PathBuf,
    ready: Mutex<BTreeMap<String, Arc<PreparedRuntime>>>,
}

impl Runtimes {
    /// For functions whose code is in folders below `code`.
    pub(crate) fn new(code: PathBuf) -> Self {
        Self { code, ready: Mutex::default() }
    }

    /// Makes runtimes ready, off the threads that serve requests.
    pub(crate) async fn prepare(&self, names: Vec<String>) -> Result<(), RuntimeError> {
        let missing: Vec<String> =
            names.into_iter().filter(|name| !is_custom(name) && self.get(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let preparing = tokio::task::spawn_blocking(move || {
            let names: Vec<&str> = missing.iter().map(String::as_str).collect();
            prepare_runtimes(&names, &mut |text| tracing::info!("{text}"))
        });
        for runtime in preparing.await.map_err(std::io::Error::other)?? {
            if let Some(notice) = runtime.notice() {
                tracing::warn!("{notice}");
            }
            self.offer_modules(&runtime)?;
            self.lock().insert(runtime.name.clone(), Arc::new(runtime));
        }
        Ok(())
    }

    /// Shows `import` the packages of Node.js's runtime: it knows nothing of `NODE_PATH` and looks in
    /// the folders above a function's code. Containers have them in their root folder.
    fn offer_modules(&self, runtime: &PreparedRuntime) -> std::io::Result<()> {
        let link = self.code.join(MODULES);
        match runtime.modules() {
            Some(modules) if !link.exists() => fs_err::os::unix::fs::symlink(modules, link),
            _ => Ok(()),
        }
    }

    /// A runtime that is ready.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<PreparedRuntime>> {
        self.lock().get(name).filter(|runtime| runtime.bootstrap().exists()).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<PreparedRuntime>>> {
        self.ready.lock().expect("no holder of the runtimes panics")
    }
}

/// Where runtimes are, if this user can have any.
pub(crate) fn runtimes_folder() -> Option<PathBuf> {
    folder::of_this_user().ok()
}

/// A path as a word of a shell script.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
