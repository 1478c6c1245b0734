//! The interpreter of this machine that runs a managed runtime's functions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::command::on_path;
use super::error::RuntimeError;
use super::name::{Language, RuntimeName};

/// Oldest versions that the runtime interface clients and SDKs of today run on.
const OLDEST_PYTHON: (u32, u32) = (3, 10);
const OLDEST_NODE: (u32, u32) = (20, 0);

/// Prints version, program and installation folder, a line each. A program in a virtual environment
/// names the one it was made from, whose packages a function must not see either.
const ASK_PYTHON: &str = "import os, sys
print('%d.%d.%d' % sys.version_info[:3])
print(os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable))
print(sys.base_prefix)";
const ASK_NODE: &str = "const program = require('fs').realpathSync(process.execPath);
console.log(process.versions.node + '\\n' + program + '\\n' + program)";

/// An interpreter of this machine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Interpreter {
    /// Such as `3.12.1`.
    pub(crate) version: String,
    /// The program itself: no link and no shim.
    pub(crate) program: PathBuf,
    /// Folder, or single file, that holds all of it but the system's libraries.
    pub(crate) installation: PathBuf,
}

impl Interpreter {
    /// The interpreter of exactly this version, or else this machine's default one.
    pub(crate) fn find(name: &RuntimeName) -> Result<Self, RuntimeError> {
        let (exact, default, oldest, hint) = match name.language {
            Language::Python => {
                let exact = format!("python{}", name.version);
                (exact, "python3", OLDEST_PYTHON, "python3")
            }
            Language::Node => ("node".to_owned(), "node", OLDEST_NODE, "nodejs"),
        };
        let candidates = on_path(&exact).into_iter().chain(managed(name)).chain(on_path(default));
        let mut found = "there is none on PATH".to_owned();
        let mut fallback = None;
        for program in candidates {
            let Some(interpreter) = Self::ask(name.language, &program) else { continue };
            if interpreter.version.starts_with(&format!("{}.", name.version)) {
                fallback = Some(interpreter);
                break;
            }
            fallback = fallback.or(Some(interpreter));
        }
        if let Some(interpreter) = fallback {
            if interpreter.release() >= oldest {
                return Ok(interpreter);
            }
            found = format!("{} is {}", interpreter.program.display(), interpreter.version);
        }
        Err(RuntimeError::NoInterpreter {
            runtime: name.text.clone(),
            language: name.language.title(),
            oldest: format!("{}.{}", oldest.0, oldest.1),
            found,
            hint: format!("install the Debian package {hint}, or put a newer {exact} on PATH"),
        })
    }

    /// What a program says about itself; none if it does not run, as pyenv's shims of versions that
    /// are not switched on.
    fn ask(language: Language, program: &Path) -> Option<Self> {
        let mut command = Command::new(program);
        match language {
            Language::Python => command.args(["-I", "-c", ASK_PYTHON]),
            Language::Node => command.args(["-e", ASK_NODE]).env_remove("NODE_OPTIONS"),
        };
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        let [version, program, installation] = text.lines().collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Self {
            version: version.to_owned(),
            program: program.into(),
            installation: installation.into(),
        })
    }

    /// First two numbers of the version.
    pub(crate) fn release(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

/// Interpreters of this version that pyenv or nvm keep beside `PATH`.
fn managed(name: &RuntimeName) -> Vec<PathBuf> {
    let folder = |variable: &str, below_home: &str| {
        let own = std::env::var_os(variable).map(PathBuf::from);
        own.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(below_home)))
    };
    let (versions, prefix, program) = match name.language {
        Language::Python => {
            let root = folder("PYENV_ROOT", ".pyenv").map(|root| root.join("versions"));
            (root, format!("{}.", name.version), format!("bin/python{}", name.version))
        }
        Language::Node => {
            let root = folder("NVM_DIR", ".nvm").map(|root| root.join("versions/node"));
            (root, format!("v{}.", name.version), "bin/node".to_owned())
        }
    };
    let entries = versions.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join(&program))
        .collect();
    found.sort();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_stands_in_for_a_version_that_is_not_there() {
        let find = |text: &str| Interpreter::find(&RuntimeName::parse(text).unwrap());
        // The tests' own scripts need it: every machine that runs them has it.
        let default = find("python3.99").unwrap();
        assert!(default.program.is_absolute() && default.program.is_file(), "{default:?}");
        let (major, minor) = default.release();
        assert_eq!(find(&format!("python{major}.{minor}")).unwrap().release(), (major, minor));
    }
}
