//! Python's runtime: AWS's runtime interface client and SDK from PyPI, in an environment that does
//! not see what else is installed for the interpreter.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

use super::command::run;
use super::error::RuntimeError;
use super::interpreter::Interpreter;
use super::quoted;
use super::recipe::PreparedRuntime;

/// What AWS's image has beside the language, by pip's names.
const PACKAGES: [&str; 2] = ["awslambdaric==4.2.2", "boto3==1.44.5"];
const SCRIPT: &str = include_str!("python.py");

/// Everything that the folder is made from but the interpreter.
pub(crate) fn contents() -> &'static [&'static str] {
    const { &[PACKAGES[0], PACKAGES[1], SCRIPT] }
}

/// The command line that starts the runtime.
pub(crate) fn command(interpreter: &Interpreter, place: &Path) -> String {
    let program = place.join("bin").join(program(interpreter));
    format!("{} {}", quoted(&program), quoted(&place.join("bootstrap.py")))
}

fn program(interpreter: &Interpreter) -> String {
    let (major, minor) = interpreter.release();
    format!("python{major}.{minor}")
}

/// Fills an empty folder.
pub(crate) fn fill(
    runtime: &PreparedRuntime,
    folder: &Path,
    tell: &mut dyn FnMut(&str),
) -> Result<(), RuntimeError> {
    let (name, interpreter) = (&runtime.name, &runtime.interpreter);
    let has_pip = Command::new(&interpreter.program).args(["-I", "-c", "import pip"]).output();
    if !has_pip.is_ok_and(|output| output.status.success()) {
        return Err(RuntimeError::MissingPrograms {
            runtime: name.clone(),
            programs: vec!["pip"],
            packages: vec!["python3-pip"],
        });
    }
    tell(&format!("preparing {name}: installing {} with pip", PACKAGES.join(" and ")));
    let mut pip = Command::new(&interpreter.program);
    pip.args(["-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "install"])
        .args(["--quiet", "--no-user", "--compile", "--target"])
        .arg(folder)
        .args(PACKAGES);
    run(name, &mut pip)?;
    // What makes a virtual environment: its packages are in `lib`, where there are none, and those
    // beside the script come first.
    let home = interpreter.program.parent().unwrap_or(Path::new("/")).display();
    fs::write(
        folder.join("pyvenv.cfg"),
        format!(
            "home = {home}\ninclude-system-site-packages = false\nversion = {}\n",
            interpreter.version
        ),
    )?;
    // pip puts the packages' commands there, which nothing needs.
    let programs = folder.join("bin");
    if programs.exists() {
        fs::remove_dir_all(&programs)?;
    }
    fs::create_dir(&programs)?;
    fs_err::os::unix::fs::symlink(&interpreter.program, programs.join(program(interpreter)))?;
    fs::write(folder.join("bootstrap.py"), SCRIPT)?;
    Ok(())
}
