//! Node.js's runtime: AWS's runtime interface client, compiled here, and SDK from npm.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

use super::command::{on_path, run};
use super::error::RuntimeError;
use super::interpreter::Interpreter;
use super::name::RuntimeName;
use super::quoted;
use super::recipe::PreparedRuntime;

/// By npm's name. Version 4 wants Node.js 22 and newer, this one also runs there.
const CLIENT: &str = "aws-lambda-ric@3.3.0";
const SDK: &str = "@aws-sdk/client-lambda@3.1164.0";
const SCRIPT: &str = include_str!("node.mjs");
const RESOLVE: &str = include_str!("resolve.mjs");

/// Programs that compiling the client needs, any one of each row, and the Debian package of each.
const PROGRAMS: [(&[&str], &str); 8] = [
    (&["npm"], "npm"),
    (&["autoconf"], "autoconf"),
    (&["automake"], "automake"),
    (&["libtoolize"], "libtool"),
    (&["cmake", "cmake3"], "cmake"),
    (&["g++", "c++", "clang++"], "g++"),
    (&["make"], "make"),
    (&["python3"], "python3"),
];

/// Everything that the folder is made from but the interpreter.
pub(crate) fn contents() -> &'static [&'static str] {
    &[CLIENT, SDK, SCRIPT, RESOLVE]
}

/// The command line that starts the runtime, with AWS's options.
pub(crate) fn command(interpreter: &Interpreter, place: &Path) -> String {
    format!(
        "{} --expose-gc --max-http-header-size 81920 {}",
        quoted(&interpreter.program),
        quoted(&place.join("index.mjs"))
    )
}

/// Lines of the bootstrap that only this language needs.
pub(crate) fn variables(name: &RuntimeName) -> String {
    format!(
        ": \"${{NODE_PATH:=$opt/nodejs/node{}/node_modules:$opt/nodejs/node_modules:$LAMBDA_RUNTIME_DIR/node_modules:$LAMBDA_RUNTIME_DIR:$root}}\"\nexport NODE_PATH",
        name.version
    )
}

/// Fills an empty folder.
pub(crate) fn fill(
    runtime: &PreparedRuntime,
    folder: &Path,
    tell: &mut dyn FnMut(&str),
) -> Result<(), RuntimeError> {
    let (name, interpreter) = (&runtime.name, &runtime.interpreter);
    check_programs(name)?;
    tell(&format!(
        "preparing {name}: installing and compiling {CLIENT} with npm, which takes about two minutes once per machine"
    ));
    let build = folder.join("build");
    fs::create_dir(&build)?;
    run(name, &mut npm(interpreter, &build, CLIENT))?;
    let client = folder.join("client");
    fs::create_dir(&client)?;
    for file in ["index.mjs", "rapid-client.node"] {
        fs::copy(build.join("node_modules/aws-lambda-ric/dist").join(file), client.join(file))?;
    }
    fs::remove_dir_all(&build)?;
    tell(&format!("preparing {name}: installing {SDK} with npm"));
    run(name, &mut npm(interpreter, folder, SDK))?;
    fs::write(folder.join("index.mjs"), SCRIPT)?;
    fs::write(folder.join("resolve.mjs"), RESOLVE)?;
    Ok(())
}

fn check_programs(runtime: &str) -> Result<(), RuntimeError> {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(programs, _)| programs.iter().all(|program| on_path(program).is_empty()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(RuntimeError::MissingPrograms {
        runtime: runtime.to_owned(),
        programs: missing.iter().map(|(programs, _)| programs[0]).collect(),
        packages: missing.iter().map(|(_, package)| *package).collect(),
    })
}

/// Installs one package, and what it needs, into `folder`.
fn npm(interpreter: &Interpreter, folder: &Path, package: &str) -> Command {
    let programs = interpreter.program.parent().unwrap_or(Path::new("/"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"])
        .args(["--omit=dev", "--loglevel=error", "--prefix"])
        .arg(folder)
        .arg(package)
        .current_dir(folder)
        // npm and what it runs must be of the interpreter that the result is for.
        .env("PATH", std::env::join_paths(path).unwrap_or_default())
        .env("MAKEFLAGS", format!("-j{}", processors()))
        .env("JOBS", "max");
    // Headers that were installed with the interpreter need not be fetched.
    if let Some(root) =
        programs.parent().filter(|root| root.join("include/node/node_api.h").exists())
    {
        npm.env("npm_config_nodedir", root);
    }
    npm
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
