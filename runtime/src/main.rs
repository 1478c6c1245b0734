//! The function's `bootstrap`: supervises the bundle's tasks, or, as `bootstrap --launch …`, becomes
//! one of them.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use runtime::{LAUNCH_ARGUMENT, SupervisorError, launch, supervise};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == LAUNCH_ARGUMENT) {
        let failed = launch(arguments);
        complain(&failed);
        return ExitCode::from(127);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            complain(&failed);
            ExitCode::FAILURE
        }
    }
}

/// Supervises until the platform stops the instance.
fn run() -> Result<(), SupervisorError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SupervisorError::Start)?
        .block_on(supervise(std::env::vars_os().collect()))
}

/// One line on standard error, with the causes; nothing is left to do if even that fails.
fn complain(failed: &dyn Error) {
    let mut text = format!("fuseline supervisor: {failed}");
    let mut cause = failed.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}
