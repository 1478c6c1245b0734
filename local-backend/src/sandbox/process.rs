//! The process sandbox: a process of this user, in control groups where they can be made.
//!
//! A function here sees the host's files. It is limited and measured, not shielded from the user.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::function::RESIZE_VARIABLE;
use crate::logs::{InstanceLog, LineSplitter};
use crate::sandbox::cgroup::{self, Group, Layout, Parents};
use crate::sandbox::{Exit, Limits, MemoryUse, ResizeError, Resizing, SandboxError, SandboxSpec};
use crate::state::ServerDirectory;

/// Variable that marks the processes of a server, so that they are found when it was killed.
const SERVER_VARIABLE: &str = "FUSELINE_SERVER";
/// Joins the control groups named before `--`, then becomes the program after it: a process must
/// be limited before its first instruction, and nothing but itself can move it without a race.
const JOIN_AND_RUN: &str =
    r#"while [ "$1" != -- ]; do echo $$ > "$1" || exit 126; shift; done; shift; exec "$@""#;
/// Rounds of killing before processes that cannot be killed are left to the kernel.
const KILL_ROUNDS: usize = 200;
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Where processes of one server are made.
#[derive(Debug)]
pub(crate) struct ProcessHost {
    server: String,
    parents: Parents,
}

impl ProcessHost {
    /// Makes the server's control groups and notes where they are.
    pub(crate) fn new(directory: &ServerDirectory) -> io::Result<Self> {
        let server = directory.id().to_owned();
        let mut parents = Layout::of_this_machine().make_parents(&group_name(&server));
        if !parents.notices.is_empty() {
            parents.notices.push(format!(
                "{RESIZE_VARIABLE} has instances replaced: what is not limited cannot be resized"
            ));
        }
        let host = Self { server, parents };
        directory.note_groups(&host.groups())?;
        Ok(host)
    }

    /// What is not enforced.
    pub(crate) fn notices(&self) -> &[String] {
        &self.parents.notices
    }

    /// Only limits that are enforced can be changed.
    pub(crate) fn resizing(&self) -> Resizing {
        match self.parents.notices.is_empty() {
            true => Resizing::InPlace,
            false => Resizing::Replacing,
        }
    }

    fn groups(&self) -> Vec<PathBuf> {
        let mut groups: Vec<PathBuf> =
            self.parents.cpu.iter().chain(&self.parents.memory).cloned().collect();
        groups.dedup();
        groups
    }

    pub(crate) async fn start(&self, spec: SandboxSpec) -> Result<ProcessSandbox, SandboxError> {
        let SandboxSpec { id, code, start, environment, limits, mounts, log } = spec;
        if let Some((host, target)) = mounts.iter().find(|(host, target)| host != target) {
            return Err(SandboxError::Entrypoint(format!(
                "{} cannot appear at {} in the process sandbox; mount it at its own path or use Docker",
                host.display(),
                target.display()
            )));
        }
        let bootstrap = start.program.unwrap_or_else(|| code.join("bootstrap"));
        check_executable(&bootstrap)?;
        let group = Group::create(&self.parents, &id, limits).map_err(|source| {
            SandboxError::Io { context: "cannot make a control group", source }
        })?;
        let spawned = self.spawn(&code, &bootstrap, &environment, &group, log);
        match spawned {
            Ok(process) => Ok(process),
            Err(source) => {
                group.remove().await;
                Err(SandboxError::Io { context: "cannot start the function's process", source })
            }
        }
    }

    fn spawn(
        &self,
        code: &Path,
        bootstrap: &Path,
        environment: &[(String, String)],
        group: &Group,
        log: Arc<InstanceLog>,
    ) -> io::Result<ProcessSandbox> {
        // One pipe for both streams keeps their lines in the order they were printed in.
        let (reader, writer) = io::pipe()?;
        let output = Output::new(reader.into(), log)?;
        let started = Instant::now();
        let mut child = Command::new("/bin/sh")
            .args(["-c", JOIN_AND_RUN, "fuseline"])
            .args(group.process_files())
            .arg("--")
            .arg(bootstrap)
            .env_clear()
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .env(SERVER_VARIABLE, &self.server)
            .current_dir(code)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Ctrl-C on the terminal must reach the server only.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let process = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let (sender, exit) = watch::channel(None);
        tokio::spawn(async move {
            let exit = match child.wait().await {
                Ok(status) => exit_of(status),
                Err(error) => {
                    tracing::warn!(%error, "a function's process cannot be waited for");
                    Exit::Code(255)
                }
            };
            sender.send_replace(Some(exit));
        });
        let group = group.clone();
        Ok(ProcessSandbox { started, process, exit, output, group })
    }

    pub(crate) async fn remove_all(&self) {
        remove_left_behind(&self.server, &self.groups()).await;
    }
}

fn group_name(server: &str) -> String {
    format!("fuseline-{server}")
}

/// Kills what is left of a server's processes and removes its control groups.
pub(crate) async fn remove_left_behind(server: &str, groups: &[PathBuf]) {
    for group in groups {
        // The path comes from a file: nothing but a server's own group may be emptied.
        if group.file_name().is_some_and(|name| *name == *group_name(server)) {
            cgroup::kill_and_remove(group).await;
        }
    }
    let mark = format!("{SERVER_VARIABLE}={server}");
    for _ in 0..KILL_ROUNDS {
        let marked = marked_processes(&mark);
        if marked.is_empty() {
            return;
        }
        for process in marked {
            if let Err(error) = kill_process(process, Signal::KILL) {
                tracing::debug!(%error, "a process was gone before it was killed");
            }
        }
        tokio::time::sleep(KILL_PAUSE).await;
    }
    tracing::warn!(server, "processes of a server could not be killed");
}

/// Processes of this user that have `mark` in their environment.
fn marked_processes(mark: &str) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
            // Empty for processes that ended and are not yet waited for.
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let marked = environment.split(|byte| *byte == 0).any(|var| var == mark.as_bytes());
            marked.then_some(process)
        })
        .collect()
}

/// Peak of one process, in bytes: what there is to know without a control group.
fn resident_peak(process: Pid) -> Option<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes << 10)
}

fn check_executable(bootstrap: &Path) -> Result<(), SandboxError> {
    use std::os::unix::fs::PermissionsExt;
    let executable = fs::metadata(bootstrap)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if executable {
        return Ok(());
    }
    Err(SandboxError::Entrypoint(
        "Couldn't find valid bootstrap(s): [/var/task/bootstrap]; the bundle needs an executable `bootstrap` at its root"
            .to_owned(),
    ))
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => Exit::Signal(signal),
        (code, None) => Exit::Code(code.unwrap_or_default().into()),
    }
}

/// What a function prints.
#[derive(Debug)]
struct Output {
    pipe: Arc<Pipe>,
    _reading: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Pipe {
    receiver: pipe::Receiver,
    splitter: Mutex<LineSplitter>,
}

impl Output {
    fn new(reader: OwnedFd, log: Arc<InstanceLog>) -> io::Result<Self> {
        let pipe = Arc::new(Pipe {
            receiver: pipe::Receiver::from_owned_fd(reader)?,
            splitter: Mutex::new(LineSplitter::new(log)),
        });
        let reading = tokio::spawn(Arc::clone(&pipe).read());
        Ok(Self { pipe, _reading: AbortOnDropHandle::new(reading) })
    }

    /// Reads what is in the pipe now. Asks the kernel, because tokio may not know yet that
    /// something came.
    fn drain(&self) {
        let receiver = &self.pipe.receiver;
        if let Err(error) = self.pipe.take(|buffer| Ok(rustix::io::read(receiver, buffer)?)) {
            tracing::debug!(%error, "a function's output cannot be read");
        }
    }
}

impl Pipe {
    async fn read(self: Arc<Self>) {
        while self.receiver.readable().await.is_ok() {
            match self.take(|buffer| self.receiver.try_read(buffer)) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "a function's output cannot be read");
                    return;
                }
            }
        }
    }

    /// Reads until the pipe is empty; false at its end.
    fn take(&self, read: impl Fn(&mut [u8]) -> io::Result<usize>) -> io::Result<bool> {
        let mut splitter = self.splitter.lock().expect("no reader of the pipe panics");
        let mut buffer = [0; 16 << 10];
        loop {
            match read(&mut buffer) {
                Ok(0) => {
                    splitter.flush();
                    return Ok(false);
                }
                Ok(count) => splitter.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A running process.
#[derive(Debug)]
pub(crate) struct ProcessSandbox {
    started: Instant,
    process: Option<Pid>,
    exit: watch::Receiver<Option<Exit>>,
    output: Output,
    group: Group,
}

impl ProcessSandbox {
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn exit(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    pub(crate) fn resize(&self, limits: Limits) -> Result<(), ResizeError> {
        self.group.resize(limits)
    }

    pub(crate) fn reset_peak(&self) -> bool {
        self.group.reset_peak()
    }

    pub(crate) fn memory(&self) -> MemoryUse {
        let mut memory = self.group.memory();
        if memory.peak_bytes.is_none() {
            memory.peak_bytes = self.process.and_then(resident_peak);
        }
        memory
    }

    pub(crate) fn drain(&self) {
        self.output.drain();
    }

    pub(crate) async fn remove(&self) {
        // Not after it was waited for: its number may be another process's by then.
        if self.exit.borrow().is_none()
            && let Some(process) = self.process
            && let Err(error) = kill_process_group(process, Signal::KILL)
        {
            tracing::debug!(%error, "a process was gone before it was killed");
        }
        self.group.remove().await;
        let mut exit = self.exit.clone();
        if exit.wait_for(Option::is_some).await.is_err() {
            tracing::debug!("a process's end was not seen");
        }
        self.drain();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_peak() {
        let peak = resident_peak(rustix::process::getpid()).unwrap();
        assert!((1 << 20..1 << 36).contains(&peak), "{peak}");
    }
}
