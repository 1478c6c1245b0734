//! AWS's own clients against the local backend: boto3, the `aws` command, the JavaScript client.
//!
//! The suite is `tests/clients`; this installs the clients below `target/clients` and runs it in
//! every sandbox.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{State, program, repository, sandboxes, skipped};

/// Folder that survives `cargo test`, so that clients are installed once.
fn installed() -> PathBuf {
    let release = program("fuseline").parent().map(Path::to_owned).expect("it is in a folder");
    release.parent().expect("target/release").join("clients")
}

/// Runs a command to its end; what it prints is seen only if it fails.
fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (&output.stdout, &output.stderr);
    Err(format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err)))
}

/// Installs into `folder`, unless what was installed there is what `wanted` says.
fn install(
    folder: &Path,
    wanted: &Path,
    install: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let mark = folder.join("installed");
    let wanted = std::fs::read(wanted).expect("it is in the repository");
    if std::fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    std::fs::write(mark, wanted).map_err(|error| error.to_string())
}

/// A Python with boto3 and pytest.
fn python(suite: &Path) -> Result<PathBuf, String> {
    let folder = installed().join("python");
    let requirements = suite.join("requirements.txt");
    install(&folder, &requirements, || {
        succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        succeeds(pip.args(["-m", "pip", "install", "--quiet", "-r"]).arg(&requirements))
    })?;
    Ok(folder.join("bin/python"))
}

/// A folder with the JavaScript client and the script that uses it.
fn javascript(suite: &Path) -> Result<PathBuf, String> {
    let folder = installed().join("javascript");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    for file in ["package.json", "lambda.mjs"] {
        std::fs::copy(suite.join(file), folder.join(file)).map_err(|error| error.to_string())?;
    }
    install(&folder, &suite.join("package.json"), || {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
        succeeds(npm.current_dir(&folder))
    })?;
    Ok(folder)
}

#[test]
fn real_clients_accept_the_local_backend() {
    let suite = repository().join("tests/clients");
    let python = match python(&suite) {
        Ok(python) => python,
        Err(reason) => {
            skipped(&format!("clients: boto3 and pytest cannot be installed: {reason}"));
            return;
        }
    };
    let javascript = javascript(&suite).unwrap_or_else(|reason| {
        skipped(&format!("@aws-sdk/client-lambda cannot be installed: {reason}"));
        PathBuf::from("/nowhere")
    });
    if succeeds(Command::new("aws").arg("--version")).is_err() {
        skipped("the aws command: it is not installed");
    }
    for sandbox in sandboxes() {
        let state = State::new();
        let run = succeeds(
            Command::new(&python)
                .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "--sandbox", sandbox])
                .arg("--fuseline")
                .arg(program("fuseline"))
                .arg("--probe")
                .arg(program("probe"))
                .arg("--javascript")
                .arg(&javascript)
                .arg("--state")
                .arg(state.path())
                .arg(&suite)
                .env("PYTHONDONTWRITEBYTECODE", "1"),
        );
        if let Err(output) = run {
            panic!("sandbox {sandbox}:\n{output}");
        }
        state.assert_nothing_left();
    }
}
