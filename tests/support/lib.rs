//! What the end-to-end tests share: the built command, ways to run it, and what it left behind.

pub mod aws;
pub mod aws_workflow;
pub mod emulator;
pub mod proxy;
pub mod registry;
pub mod stub;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in it").to_owned()
}

/// A program of the workspace (`fuseline`) or an example (`examples/server`), built if it is not:
/// `cargo test` does not build the programs of other packages, nor examples if it is given a filter.
/// The whole workspace, as in the templates' build scripts, so that all share one compilation.
///
/// # Panics
/// If the workspace does not build.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let output = Command::new(cargo)
                .args(["build", "--release", "--workspace", "--bins", "--examples"])
                .arg("--message-format=json")
                .current_dir(repository())
                .stderr(Stdio::inherit())
                .output()
                .expect("cargo can be started");
            assert!(output.status.success(), "the workspace does not build");
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find_map(|message| {
                    let program = Path::new(message["executable"].as_str()?).to_owned();
                    (program.file_name()? == "fuseline")
                        .then(|| program.parent().map(Path::to_owned))?
                })
                .expect("cargo names the program fuseline")
        })
        .join(name)
}

/// What a run of `fuseline` gave.
pub struct Run {
    /// Exit code, or `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// If it is none, or the command failed.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// `fuseline` with a state directory, ready to be given arguments; run in the repository, with a
/// database of its own for the train ticket template.
#[must_use]
pub fn fuseline(state: &Path) -> Command {
    let mut command = Command::new(program("fuseline"));
    command
        .current_dir(repository())
        .env("FUSELINE_STATE", state)
        .env("DATABASE_URL", format!("sqlite:{}", database(state).display()));
    command
}

/// SQLite file of the test with this state directory, in the folder that the template shares with
/// its functions.
fn database(state: &Path) -> PathBuf {
    let name = state.file_name().unwrap_or_default().to_string_lossy();
    repository().join(format!("templates/trainticket/data/test{name}.db"))
}

/// A state directory of a test. Only one test has one at a time: they measure, and two cores are
/// not enough for two. Everything is removed when it is dropped.
pub struct State {
    folder: tempfile::TempDir,
    /// What other servers on this machine have in Docker.
    in_docker_before: BTreeSet<String>,
    _alone: MutexGuard<'static, ()>,
}

impl State {
    /// An empty one, once it is this test's turn.
    ///
    /// # Panics
    /// If no folder can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it waits and makes a folder")]
    pub fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        // A test that failed leaves nothing that the next one could trip over.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("-").tempdir().expect("a folder can be made");
        Self { folder, in_docker_before: in_docker(), _alone: alone }
    }

    /// Asserts that no server of this test left anything: no directory, no process, and no
    /// container, network or image.
    ///
    /// # Panics
    /// If one did.
    pub fn assert_nothing_left(&self) {
        let servers = std::fs::read_dir(self.path().join("servers")).into_iter().flatten();
        let left: Vec<_> = servers.flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
        // Functions' programs are unpacked below the state directory.
        for process in std::fs::read_dir("/proc").expect("Linux").flatten() {
            if let Ok(program) = std::fs::read_link(process.path().join("exe")) {
                assert!(!program.starts_with(self.path()), "{} still runs", program.display());
            }
        }
        let left: Vec<_> = in_docker().difference(&self.in_docker_before).cloned().collect();
        assert!(left.is_empty(), "left in Docker: {left:?}");
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let database = database(self.path());
        for suffix in ["", "-wal", "-shm"] {
            let mut file = database.clone().into_os_string();
            file.push(suffix);
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Runs `fuseline` to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run(state: &Path, arguments: &[&str]) -> Run {
    fuseline(state).args(arguments).output().expect("fuseline can be started").into()
}

/// A running `fuseline local`.
pub struct LocalServer {
    child: Child,
    /// Its endpoint.
    pub endpoint: String,
}

impl LocalServer {
    /// Starts one on any free port and waits until it has printed its endpoint.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(state: &Path, sandbox: &str) -> Self {
        Self::start_with(state, sandbox, &[])
    }

    /// The same with more options.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_with(state: &Path, sandbox: &str, options: &[&str]) -> Self {
        let mut child = fuseline(state)
            .args(["local", "--port", "0", "--invoke-overhead", "none", "--sandbox", sandbox])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("fuseline can be started");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("it prints its endpoint");
        assert!(line.starts_with("http://127.0.0.1:"), "{line}");
        // What it prints later must not block it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, endpoint: line.trim().to_owned() }
    }

    /// Sends a signal (`INT`, `TERM`, `KILL`) and waits for the end; returns the exit code.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn signal(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill can be started").success());
        self.child.wait().expect("it can be waited for").code()
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        // After `signal` the process is gone and this does nothing.
        if let Ok(None) = self.child.try_wait() {
            let id = self.child.id().to_string();
            let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
            let _ = self.child.wait();
        }
    }
}

/// Sandboxes that can be tested here. Says loudly if Docker is not among them.
#[must_use]
pub fn sandboxes() -> Vec<&'static str> {
    let mut sandboxes = vec!["process"];
    if docker(&["version", "--format", "{{.Server.Version}}"]).is_some() {
        sandboxes.push("docker");
    } else {
        skipped("Docker: no engine answers; only the process sandbox is tested");
    }
    sandboxes
}

/// Says on standard error, past the test harness's capture, that something was not tested.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\nSKIPPED: {what}\n");
}

/// What the Docker client prints, or `None` if it fails.
#[must_use]
pub fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Containers, networks and images of ours, in use or not, as Docker lists them.
fn in_docker() -> BTreeSet<String> {
    let of_ours = ["--filter", "label=fuseline.server", "--quiet"];
    [["ps", "--all"], ["network", "ls"], ["image", "ls"]]
        .iter()
        .filter_map(|list| docker(&[list.as_slice(), of_ours.as_slice()].concat()))
        .flat_map(|ids| ids.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}
