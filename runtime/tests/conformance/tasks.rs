//! Functions as their users write them, alone under the emulator and in a bundle.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use tempfile::TempDir;
use wire::manifest::{MANIFEST_VERSION, Manifest, TaskManifest, is_custom};

use tests::emulator::{program, user_cache};

use crate::emulator::Emulated;

/// Lambda's names of the managed runtimes that are tested.
pub(crate) const PYTHON: &str = "python3.11";
pub(crate) const NODE: &str = "nodejs20.x";

/// A function.
#[derive(Clone)]
pub(crate) struct Task {
    runtime: &'static str,
    pub(crate) command: Vec<String>,
    handler: String,
    /// Its files, by name.
    files: Vec<(&'static str, String)>,
    pub(crate) timeout_ms: u64,
}

impl Task {
    /// The function of Rust that does what its event says.
    pub(crate) fn rust() -> Self {
        Self::custom(vec![tests::program("probe").display().to_string()])
    }

    /// A custom runtime that is a script: `body` has `next_event()` and `post(id, answer, …)`.
    pub(crate) fn script(body: &str) -> Self {
        const START: &str = include_str!("script.py");
        Self::custom(
            ["/usr/bin/python3", "-c", &format!("{START}\n{body}")].map(str::to_owned).into(),
        )
    }

    /// Any program.
    pub(crate) fn custom(command: Vec<String>) -> Self {
        Self {
            runtime: "provided.al2023",
            command,
            handler: "handler".to_owned(),
            files: Vec::new(),
            timeout_ms: 60_000,
        }
    }

    /// Python's `app.py` with a handler in it.
    pub(crate) fn python(handler: &str) -> Self {
        let files = vec![("app.py", include_str!("app.py").to_owned())];
        Self::managed(PYTHON, handler, files)
    }

    /// Node's `app.js` with a handler in it.
    pub(crate) fn node(handler: &str) -> Self {
        let files = vec![("app.js", include_str!("app.js").to_owned())];
        Self::managed(NODE, handler, files)
    }

    /// A function of a managed runtime with these files.
    pub(crate) fn managed(
        runtime: &'static str,
        handler: &str,
        files: Vec<(&'static str, String)>,
    ) -> Self {
        Self { runtime, handler: handler.to_owned(), files, ..Self::custom(Vec::new()) }
    }

    fn write_to(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for (name, text) in &self.files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    fn is_ready(&self) -> bool {
        is_custom(self.runtime) || is_ready(self.runtime)
    }
}

/// Whether a managed runtime is there or can be made; says loudly if not.
fn is_ready(runtime: &str) -> bool {
    static READY: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());
    let mut ready = READY.lock().unwrap();
    *ready.entry(runtime.to_owned()).or_insert_with(|| {
        let prepared = local_backend::prepare_runtimes(&[runtime], &mut |_| {});
        if let Err(why) = &prepared {
            tests::skipped(&format!("conformance of {runtime}: {why}"));
        }
        prepared.is_ok()
    })
}

/// What starts a managed runtime.
pub(crate) fn bootstrap(runtime: &str) -> String {
    let folder = user_cache().expect("a runtime was prepared").join("runtimes");
    folder.join(runtime).join("bootstrap").display().to_string()
}

/// A function by itself, or `None` if it cannot be run here.
pub(crate) fn alone(task: &Task, environment: &[(&str, &str)]) -> Option<Emulated> {
    let emulator = program().filter(|_| task.is_ready())?;
    let folder = TempDir::new().unwrap();
    let code = folder.path().join("code");
    task.write_to(&code);
    let command = match task.command.is_empty() {
        true => vec![bootstrap(task.runtime)],
        false => task.command.clone(),
    };
    let environment = owned(&task.handler, environment);
    Some(Emulated::start(emulator, folder, &code.clone(), code, &command, &environment))
}

/// A function in a bundle, `a`, with others that it can call.
pub(crate) fn fused(tasks: &[(&str, &Task)], environment: &[(&str, &str)]) -> Option<Emulated> {
    let supervisor = env!("CARGO_BIN_EXE_bootstrap").to_owned();
    fused_by(&[supervisor], tasks, environment)
}

/// A bundle whose supervisor is started by `command`.
pub(crate) fn fused_by(
    command: &[String],
    tasks: &[(&str, &Task)],
    environment: &[(&str, &str)],
) -> Option<Emulated> {
    let emulator = program().filter(|_| tasks.iter().all(|(_, task)| task.is_ready()))?;
    let folder = TempDir::new().unwrap();
    let bundle = folder.path().join("bundle");
    let manifest = |(name, task): &(&str, &Task)| {
        let directory = format!("tasks/{name}");
        task.write_to(&bundle.join(&directory));
        let task = TaskManifest {
            directory,
            runtime: task.runtime.to_owned(),
            command: task.command.clone(),
            handler: task.handler.clone(),
            memory_mb: 512,
            timeout_ms: task.timeout_ms,
            environment: BTreeMap::new(),
            processes: 2,
        };
        ((*name).to_owned(), task)
    };
    let handler = tasks[0].1.handler.clone();
    let tasks = tasks.iter().map(manifest).collect();
    let manifest = Manifest { v: MANIFEST_VERSION, root: "a".to_owned(), tasks };
    let text = serde_json::to_string(&manifest).unwrap();
    std::fs::write(bundle.join("fuseline.json"), text).unwrap();
    let runtimes = user_cache().unwrap_or_default().join("runtimes").display().to_string();
    let mut environment = owned(&handler, environment);
    environment.push(("FUSELINE_RUNTIMES".to_owned(), runtimes));
    let code = bundle.join("tasks/a");
    Some(Emulated::start(emulator, folder, &bundle, code, command, &environment))
}

fn owned(handler: &str, environment: &[(&str, &str)]) -> Vec<(String, String)> {
    let handler = [("_HANDLER", handler)];
    let all = handler.iter().chain(environment);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
