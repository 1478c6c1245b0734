//! A task of the bundle and how its processes are started.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;
use wire::manifest::{TaskManifest, is_custom};

use crate::launch::LAUNCH_ARGUMENT;
use crate::pool::Pool;
use crate::settings::{Environment, Settings};

/// Variables whose value is a list of folders, `:` between them.
const SEARCH_PATHS: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "NODE_PATH", "PYTHONPATH"];

/// A task of the bundle with its processes.
pub(crate) struct Task {
    pub(crate) name: String,
    /// Published version of its own function that it stands for, or `$LATEST`.
    pub(crate) version: String,
    /// Longest an invocation may take, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// Memory of its own function, in MB.
    pub(crate) memory_mb: u32,
    pub(crate) pool: Pool,
    command: Vec<OsString>,
    directory: PathBuf,
    environment: Environment,
    /// How gladly the kernel ends its processes when memory runs out, up to 1000.
    oom_score: u32,
}

impl Task {
    /// The task as the manifest describes it, without a process.
    pub(crate) fn new(name: &str, task: &TaskManifest, settings: &Settings) -> Self {
        let directory = settings.bundle.join(&task.directory);
        let version = version(name, settings);
        Self {
            name: name.to_owned(),
            timeout_ms: task.timeout_ms,
            memory_mb: task.memory_mb,
            pool: Pool::new(task.processes),
            command: command(task, settings),
            environment: environment(name, &version, task, &directory, settings),
            version,
            directory,
            // A callee is given up before its caller, and both before the supervisor.
            oom_score: if name == settings.manifest.root { 500 } else { 1000 },
        }
    }

    /// Starts a process of the task whose Runtime API is on loopback port `port` and whose output
    /// goes to `output`, or without one to the function's log.
    ///
    /// # Errors
    /// If the task's folder is missing or the kernel has no room for another process.
    pub(crate) fn spawn(&self, port: u16, output: Option<PipeWriter>) -> io::Result<Pid> {
        let mut command = Command::new("/proc/self/exe");
        if let Some(output) = output {
            command.stdout(output.try_clone()?).stderr(output);
        }
        let child = command
            .arg(LAUNCH_ARGUMENT)
            .arg(std::process::id().to_string())
            .arg(self.oom_score.to_string())
            .args(&self.command)
            .current_dir(&self.directory)
            .env_clear()
            .envs(&self.environment)
            .env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{port}"))
            .env("AWS_ENDPOINT_URL_LAMBDA", format!("http://127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Pid::from_child(&child))
    }
}

/// The version that a call would reach if it left: what the task's own function is pinned to.
fn version(name: &str, settings: &Settings) -> String {
    if name == settings.manifest.root {
        return settings.version.clone();
    }
    let pinned = settings.routes.get(name);
    let published = |version: &&String| version.bytes().all(|byte| byte.is_ascii_digit());
    pinned.filter(published).map_or("$LATEST", String::as_str).to_owned()
}

/// What starts the task's language runtime: what its bundle says, what this function's own managed
/// runtime was about to be started with, or what the instance has of other runtimes.
fn command(task: &TaskManifest, settings: &Settings) -> Vec<OsString> {
    if !task.command.is_empty() {
        return task.command.iter().map(OsString::from).collect();
    }
    match &settings.wrapped {
        Some((runtime, command)) if *runtime == task.runtime => command.clone(),
        _ => vec![settings.runtimes.join(&task.runtime).join("bootstrap").into()],
    }
}

/// Everything in a task's environment that is the same for all its processes.
fn environment(
    name: &str,
    version: &str,
    task: &TaskManifest,
    directory: &Path,
    settings: &Settings,
) -> Environment {
    let mut environment = settings.inherited.clone();
    let root = &settings.manifest.root;
    if name == root {
        // The function's own environment is the root's, and may have been changed since.
        for (name, value) in &task.environment {
            environment.entry(name.into()).or_insert_with(|| value.into());
        }
    } else {
        environment.retain(|name, _| {
            let of_root = &settings.manifest.tasks[root].environment;
            !name.to_str().is_some_and(|name| of_root.contains_key(name))
        });
        environment
            .extend(task.environment.iter().map(|(name, value)| (name.into(), value.into())));
    }
    let execution = OsString::from("AWS_EXECUTION_ENV");
    if is_custom(&task.runtime) {
        environment.remove(&execution);
    } else {
        environment.insert(execution, format!("AWS_Lambda_{}", task.runtime).into());
    }
    let mut set = |name: &str, value: &OsStr| {
        environment.insert(name.into(), value.to_owned());
    };
    set("_HANDLER", OsStr::new(&task.handler));
    set("LAMBDA_TASK_ROOT", directory.as_os_str());
    set("AWS_LAMBDA_FUNCTION_NAME", OsStr::new(name));
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", OsStr::new(&task.memory_mb.to_string()));
    set("AWS_LAMBDA_FUNCTION_VERSION", OsStr::new(version));
    let group = OsString::from("AWS_LAMBDA_LOG_GROUP_NAME");
    // The root's is the function's own, which may have been given another than Lambda's default.
    if name != root || !environment.contains_key(&group) {
        environment.insert(group, format!("/aws/lambda/{name}").into());
    }
    let stream = OsString::from("AWS_LAMBDA_LOG_STREAM_NAME");
    if let Some(shared) = environment.get(&stream).and_then(|name| name.to_str()) {
        let own = shared.replace(&format!("[{}]", settings.version), &format!("[{version}]"));
        environment.insert(stream, own.into());
    }
    if let Some(bundle) = settings.inherited.get(OsStr::new("LAMBDA_TASK_ROOT")) {
        for name in SEARCH_PATHS {
            if let Some(folders) = environment.get_mut(OsStr::new(name)) {
                *folders = moved(folders, Path::new(bundle), directory);
            }
        }
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let before = environment.get(OsStr::new(name));
        environment.insert(name.into(), without_loopback_proxy(before));
    }
    let temporary = settings.temporary.join(format!("fuseline-{name}"));
    // Where temporary files cannot be kept at all, the task finds out as it would by itself.
    if std::fs::create_dir_all(&temporary).is_ok() {
        environment.insert("TMPDIR".into(), temporary.into());
    }
    environment
}

/// A list of folders in which those of the function's code are the task's own, whether Lambda has put
/// them there or the task's configuration.
fn moved(folders: &OsStr, code: &Path, directory: &Path) -> OsString {
    let moved = |folder: PathBuf| match folder.strip_prefix(code) {
        Ok(rest) if rest.as_os_str().is_empty() => directory.to_owned(),
        Ok(rest) => directory.join(rest),
        Err(_) => folder,
    };
    // A folder with a `:` in its name cannot be in such a list.
    std::env::join_paths(std::env::split_paths(folders).map(moved))
        .unwrap_or_else(|_| folders.to_owned())
}

/// A proxy must not come between a task and its supervisor.
fn without_loopback_proxy(before: Option<&OsString>) -> OsString {
    let mut hosts = before.cloned().unwrap_or_default();
    if !hosts.is_empty() {
        hosts.push(",");
    }
    hosts.push("127.0.0.1,localhost");
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_functions_code_are_the_tasks_own() {
        let moved = |folders: &str| {
            moved(OsStr::new(folders), Path::new("/var/task"), Path::new("/var/task/tasks/b"))
        };
        assert_eq!(moved("/opt/lib"), "/opt/lib");
        assert_eq!(
            moved("/lib64:/var/task:/var/task/lib:/var/tasks"),
            "/lib64:/var/task/tasks/b:/var/task/tasks/b/lib:/var/tasks"
        );
    }

    #[test]
    fn loopback_is_added_to_the_hosts_without_a_proxy() {
        assert_eq!(without_loopback_proxy(None), "127.0.0.1,localhost");
        let before = OsString::from("example.com");
        assert_eq!(without_loopback_proxy(Some(&before)), "example.com,127.0.0.1,localhost");
    }
}
