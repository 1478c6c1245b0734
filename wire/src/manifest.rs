//! A bundle's manifest: what the supervisor finds at `fuseline.json` in the function's code.
//!
//! ```text
//! bootstrap                 the supervisor
//! fuseline.json             this manifest
//! tasks/<task>/…            each task's own package, unchanged
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Format version of the manifest.
pub const MANIFEST_VERSION: u32 = 2;

/// Path of the manifest in a bundle.
pub const MANIFEST_PATH: &str = "fuseline.json";

/// Environment variable that pins calls that leave: a JSON object from task to the qualifier that
/// its function is called with. A call that names a qualifier itself is passed on as it is.
pub const ROUTES_VARIABLE: &str = "FUSELINE_ROUTES";

/// Environment variable that says which tasks a function has inlined, as a JSON array: for those
/// who ask what is deployed. The supervisor goes by the manifest.
pub const INLINED_VARIABLE: &str = "FUSELINE_INLINED";

/// Environment variable that names the folder of language runtimes: `<folder>/<runtime>/bootstrap`
/// starts one as Lambda's managed runtime of that name does.
pub const RUNTIMES_VARIABLE: &str = "FUSELINE_RUNTIMES";

/// Folder of language runtimes where [`RUNTIMES_VARIABLE`] names none.
pub const RUNTIMES_FOLDER: &str = "/var/fuseline/runtimes";

/// Whether a task of this runtime brings its own `bootstrap`, rather than a handler for one of
/// Lambda's managed runtimes.
#[must_use]
pub fn is_custom(runtime: &str) -> bool {
    runtime.starts_with("provided")
}

/// What is in a bundle.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version, [`MANIFEST_VERSION`].
    pub v: u32,
    /// Task that serves the function's own invocations.
    pub root: String,
    /// Every task in the bundle by name, the root among them.
    pub tasks: BTreeMap<String, TaskManifest>,
}

/// One task in a bundle.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskManifest {
    /// Its package, relative to the bundle: working directory and `LAMBDA_TASK_ROOT` of its
    /// processes.
    pub directory: String,
    /// Lambda's name of its runtime (`python3.12`, `provided.al2023`).
    pub runtime: String,
    /// Program and arguments that start its language runtime; a relative program with a `/` is
    /// relative to `directory`. Empty for a managed runtime, which is started as the instance
    /// offers it.
    pub command: Vec<String>,
    /// `_HANDLER`.
    pub handler: String,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE` that the task sees, in MB.
    pub memory_mb: u32,
    /// Longest an invocation of the task may take, in milliseconds.
    pub timeout_ms: u64,
    /// Environment of the task beyond the function's own.
    pub environment: BTreeMap<String, String>,
    /// Processes of this task that one instance starts at most; calls beyond them leave.
    pub processes: u32,
}
