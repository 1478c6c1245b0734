//! AWS's Runtime Interface Emulator, the core of Lambda's execution environments, and where it comes
//! from.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::skipped;

/// The package of PyPI that carries the emulator.
const PACKAGE: &str = "aws-sam-cli==1.170.0";
const MEMBER: &str = "samcli/local/rapid/aws-lambda-rie-x86_64";
const SHA256: &str = "6b1e686e62ab2baf5759c412c4864276ef2a88b094fca53ec070637ccba9b9a5";

/// The emulator's program, or `None`, said loudly, where it cannot be had.
#[must_use]
pub fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let got = fetch();
        if let Err(why) = &got {
            skipped(&format!("tests under AWS's Runtime Interface Emulator: {why}"));
        }
        got.ok()
    });
    program.as_deref()
}

/// Takes it from the cache, or out of its package into the cache.
fn fetch() -> Result<PathBuf, String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("the one that is known by its checksum is for x86_64".to_owned());
    }
    let cache = user_cache().ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("rie");
    let place = cache.join("aws-lambda-rie");
    if is_genuine(&place) {
        return Ok(place);
    }
    std::fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let folder = tempfile::tempdir_in(&cache).map_err(|error| error.to_string())?;
    let unpack =
        "import glob, sys, zipfile; zipfile.ZipFile(glob.glob('*.whl')[0]).extract(sys.argv[1])";
    run(
        folder.path(),
        &[
            "python3",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
            PACKAGE,
        ],
    )?;
    run(folder.path(), &["python3", "-c", unpack, MEMBER])?;
    let unpacked = folder.path().join(MEMBER);
    run(folder.path(), &["chmod", "755", MEMBER])?;
    if !is_genuine(&unpacked) {
        return Err(format!("{MEMBER} of {PACKAGE} does not have the SHA-256 {SHA256}"));
    }
    std::fs::rename(&unpacked, &place).map_err(|error| error.to_string())?;
    Ok(place)
}

fn is_genuine(file: &Path) -> bool {
    let output = Command::new("sha256sum").arg(file).stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(SHA256.as_bytes()))
}

fn run(folder: &Path, command: &[&str]) -> Result<(), String> {
    let (program, arguments) = command.split_first().expect("it is not empty");
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("cannot start {program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().last().unwrap_or_default();
    output.status.success().then_some(()).ok_or_else(|| format!("{}: {said}", command.join(" ")))
}

/// The user's folder of what is fetched or prepared once per machine.
#[must_use]
pub fn user_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty());
    let cache = cache.map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("fuseline"))
}
