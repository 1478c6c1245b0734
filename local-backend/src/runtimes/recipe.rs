//! What a prepared runtime is made of, and making it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::RuntimeError;
use super::folder::Turn;
use super::interpreter::Interpreter;
use super::name::{Language, RuntimeName};
use super::{MODULES, node, python, quoted};

/// What a prepared folder says about itself.
const STAMP: &str = "runtime.json";
const BOOTSTRAP: &str = include_str!("bootstrap.sh");

/// A managed runtime that is ready on this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PreparedRuntime {
    /// Lambda's name, such as `python3.12`.
    pub name: String,
    /// Folder with an executable `bootstrap`.
    pub folder: PathBuf,
    pub(crate) language: Language,
    pub(crate) interpreter: Interpreter,
}

impl PreparedRuntime {
    /// What the user should know: that the interpreter is not of the version that the name says.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let version = &self.interpreter.version;
        let wanted = RuntimeName::parse(&self.name).ok()?.version;
        (!version.starts_with(&format!("{wanted}."))).then(|| {
            format!("{} runs on this machine's {} {version}", self.name, self.language.title())
        })
    }

    /// Packages that Node.js's `import` should find.
    pub(crate) fn modules(&self) -> Option<PathBuf> {
        (self.language == Language::Node).then(|| self.folder.join(MODULES))
    }

    /// The program that starts it.
    pub(crate) fn bootstrap(&self) -> PathBuf {
        self.folder.join("bootstrap")
    }
}

/// What a folder was made from: another one is prepared when anything in here is different.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Stamp {
    interpreter: Interpreter,
    /// Digest of packages and scripts.
    recipe: String,
}

/// Prepares a runtime in `folder` unless it is ready there.
pub(crate) fn prepare(
    name: &RuntimeName,
    folder: &Path,
    tell: &mut dyn FnMut(&str),
) -> Result<PreparedRuntime, RuntimeError> {
    let interpreter = Interpreter::find(name)?;
    let place = folder.join(&name.text);
    let bootstrap = bootstrap(name, &interpreter, &place);
    let packages = match name.language {
        Language::Python => python::contents(),
        Language::Node => node::contents(),
    };
    let stamp = Stamp { recipe: digest(&[packages, &[bootstrap.as_str()]].concat()), interpreter };
    let runtime = PreparedRuntime {
        name: name.text.clone(),
        folder: place,
        language: name.language,
        interpreter: stamp.interpreter.clone(),
    };
    if read_stamp(&runtime.folder).as_ref() == Some(&stamp) {
        return Ok(runtime);
    }
    let turn = Turn::take(folder, &name.text)?;
    // Another process may have had its turn meanwhile.
    if read_stamp(&runtime.folder).as_ref() == Some(&stamp) {
        return Ok(runtime);
    }
    let staging = turn.staging()?;
    match name.language {
        Language::Python => python::fill(&runtime, staging.path(), tell)?,
        Language::Node => node::fill(&runtime, staging.path(), tell)?,
    }
    write_program(&staging.path().join("bootstrap"), &bootstrap)?;
    fs::write(
        staging.path().join(STAMP),
        serde_json::to_vec(&stamp).map_err(std::io::Error::other)?,
    )?;
    turn.put(staging)?;
    tell(&format!("{} is ready in {}", runtime.name, runtime.folder.display()));
    Ok(runtime)
}

fn read_stamp(folder: &Path) -> Option<Stamp> {
    serde_json::from_slice(&std::fs::read(folder.join(STAMP)).ok()?).ok()
}

/// The script that starts the runtime once it is in `place`.
fn bootstrap(name: &RuntimeName, interpreter: &Interpreter, place: &Path) -> String {
    let (command, variables) = match name.language {
        Language::Python => (python::command(interpreter, place), String::new()),
        Language::Node => (node::command(interpreter, place), node::variables(name)),
    };
    let programs = interpreter.program.parent().unwrap_or(Path::new("/"));
    BOOTSTRAP
        .replace("{interpreter}", &format!("{} {}", name.language.title(), interpreter.version))
        .replace("{name}", &name.text)
        .replace("{folder}", &quoted(place))
        .replace("{programs}", &quoted(programs))
        .replace("{variables}", &variables)
        .replace("{command}", &command)
}

fn digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_program(path: &Path, text: &str) -> Result<(), RuntimeError> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    Ok(())
}
