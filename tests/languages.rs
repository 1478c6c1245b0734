//! The tests of the polyglot template that are not Rust's: each language's own, run as its developers
//! would.
//!
//! What they need is installed once, at the versions that the template names, into cargo's folder for
//! tests, and used from then on.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::{repository, skipped};

fn template() -> PathBuf {
    repository().join("templates/polyglot")
}

/// Runs a command to its end; what went wrong, if it cannot be started or fails.
fn run(command: &mut Command) -> Result<Output, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{shown} cannot be started: {error}"))?;
    if output.status.success() { Ok(output) } else { Err(format!("{shown}:\n{}", text(&output))) }
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// A folder that `make` has filled with what the file `pins` names. Made anew if the file changed or
/// nobody finished.
fn installed(
    name: &str,
    pins: &Path,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tools.join(name);
    // Two test runs must not install at once. The claim ends with the file.
    let claim = File::create(tools.join(format!("{name}.lock"))).unwrap();
    claim.lock().unwrap();
    let pins = std::fs::read(pins).unwrap();
    let made_of = folder.join("made-of");
    if std::fs::read(&made_of).is_ok_and(|made_of| made_of == pins) {
        return Ok(folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    make(&folder)?;
    std::fs::write(made_of, pins).unwrap();
    Ok(folder)
}

/// A virtual environment with what the Python functions' tests need.
fn python() -> Result<PathBuf, String> {
    let pins = template().join("price/requirements-dev.txt");
    let folder = installed("polyglot-python", &pins, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(&pins)).map(drop)
    })?;
    Ok(folder.join("bin/python"))
}

/// A folder of modules with what the Node functions' tests need.
fn node_modules() -> Result<PathBuf, String> {
    run(Command::new("node").arg("--version"))?;
    let pins = template().join("checkout/package.json");
    let folder = installed("polyglot-node", &pins, |folder| {
        std::fs::copy(&pins, folder.join("package.json")).unwrap();
        let npm = ["install", "--no-package-lock", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(npm).current_dir(folder)).map(drop)
    })?;
    Ok(folder.join("node_modules"))
}

fn pytest(function: &str) {
    let python = match python() {
        Ok(python) => python,
        Err(error) => {
            return skipped(&format!(
                "the tests of {function} need Python 3.11 with venv, and a package index: {error}"
            ));
        }
    };
    // Fails if there is no test, too.
    let tested = run(Command::new(python)
        .args(["-m", "pytest", "--quiet"])
        .current_dir(template().join(function))
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    if let Err(output) = tested {
        panic!("{output}");
    }
}

#[test]
fn price() {
    pytest("price");
}

#[test]
fn notify() {
    pytest("notify");
}

#[test]
fn checkout() {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(error) => {
            return skipped(&format!(
                "the tests of checkout need Node 20 with npm, and a package registry: {error}"
            ));
        }
    };
    let tested = run(Command::new("node")
        .arg("--test")
        .current_dir(template().join("checkout"))
        .env("NODE_PATH", modules)
        .env_remove("NODE_OPTIONS"));
    let output = tested.unwrap_or_else(|output| panic!("{output}"));
    let passed = text(&output).lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        matches!(words.as_slice(), [.., "pass", count] if *count != "0")
    });
    assert!(passed, "no test was found:\n{}", text(&output));
}

#[test]
fn the_functions_know_nothing_of_fuseline() {
    let mut folders = vec![template()];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if path.is_dir() && !["functions", "data", "node_modules"].contains(&name) {
                folders.push(path);
            } else if ["js", "py", "rs"]
                .map(OsStr::new)
                .contains(&path.extension().unwrap_or_default())
            {
                let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
                assert!(!text.contains("fuseline"), "{} names Fuseline", path.display());
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 10, "the functions were not found");
}
