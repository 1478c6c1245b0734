//! A task of the bundle and how its processes are started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Pid;
use wire::manifest::TaskManifest;

use crate::launch::LAUNCH_ARGUMENT;
use crate::pool::Pool;
use crate::settings::{Environment, Settings};

/// A task of the bundle with its processes.
pub(crate) struct Task {
    pub(crate) name: String,
    /// Longest an invocation may take, in milliseconds.
    pub(crate) timeout_ms: u64,
    pub(crate) pool: Pool,
    command: Vec<String>,
    directory: PathBuf,
    environment: Environment,
}

impl Task {
    /// The task as the manifest describes it, without a process.
    pub(crate) fn new(name: &str, task: &TaskManifest, settings: &Settings) -> Self {
        let directory = settings.bundle.join(&task.directory);
        Self {
            name: name.to_owned(),
            timeout_ms: task.timeout_ms,
            pool: Pool::new(task.processes),
            command: task.command.clone(),
            environment: environment(name, task, &directory, settings),
            directory,
        }
    }

    /// Starts a process of the task whose Runtime API is on loopback port `port`.
    ///
    /// # Errors
    /// If the task's folder is missing or the kernel has no room for another process.
    pub(crate) fn spawn(&self, port: u16) -> io::Result<Pid> {
        let child = Command::new("/proc/self/exe")
            .arg(LAUNCH_ARGUMENT)
            .arg(std::process::id().to_string())
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

/// Everything in a task's environment that is the same for all its processes.
fn environment(
    name: &str,
    task: &TaskManifest,
    directory: &std::path::Path,
    settings: &Settings,
) -> Environment {
    let mut environment = settings.inherited.clone();
    let mut set = |name: &str, value: &OsStr| {
        environment.insert(name.into(), value.to_owned());
    };
    for (name, value) in &task.environment {
        set(name, OsStr::new(value));
    }
    set("_HANDLER", OsStr::new(&task.handler));
    set("LAMBDA_TASK_ROOT", directory.as_os_str());
    set("AWS_LAMBDA_FUNCTION_NAME", OsStr::new(name));
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", OsStr::new(&task.memory_mb.to_string()));
    set("AWS_LAMBDA_LOG_GROUP_NAME", OsStr::new(&format!("/aws/lambda/{name}")));
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
    fn loopback_is_added_to_the_hosts_without_a_proxy() {
        assert_eq!(without_loopback_proxy(None), "127.0.0.1,localhost");
        let before = OsString::from("example.com");
        assert_eq!(without_loopback_proxy(Some(&before)), "example.com,127.0.0.1,localhost");
    }
}
