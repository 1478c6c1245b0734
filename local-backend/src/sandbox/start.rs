//! What a sandbox starts, and what of this machine it must show for that.

use std::path::PathBuf;

use crate::function::Version;
use crate::layers::OPT;
use crate::runtimes::{PreparedRuntime, Runtimes, host_mounts};

/// What a sandbox starts and shows.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// What is started instead of the bundle's own `bootstrap`: that of a managed runtime.
    pub(crate) program: Option<PathBuf>,
    /// Files and folders of this machine that are only read, and where a container shows them.
    pub(crate) folders: Vec<(PathBuf, PathBuf)>,
}

impl Start {
    /// What a version of a function needs, or why it cannot run.
    ///
    /// A container sees this machine's interpreters only if the function, or a task in its bundle, has
    /// a managed runtime: another one cannot come to depend on what is installed here.
    pub(crate) fn of(version: &Version, runtimes: &Runtimes) -> Result<Self, String> {
        let ready = |name: &String| {
            runtimes.get(name).ok_or_else(|| {
                format!(
                    "the runtime {name} is no longer ready; update the function's code to prepare it again"
                )
            })
        };
        let needed: Vec<_> = version.runtimes().iter().map(ready).collect::<Result<_, _>>()?;
        let needed: Vec<&PreparedRuntime> = needed.iter().map(AsRef::as_ref).collect();
        let mut folders = host_mounts(&needed).map_err(|error| error.to_string())?;
        let layers = version.configuration.layers.folder.clone();
        folders.extend(layers.map(|layers| (layers, PathBuf::from(OPT))));
        let own = needed.iter().find(|runtime| runtime.name == version.configuration.runtime);
        Ok(Self { program: own.map(|own| own.bootstrap()), folders })
    }
}
