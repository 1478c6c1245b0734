//! The function's `bootstrap`: supervises the bundle's tasks, or, as `bootstrap --launch …`, becomes
//! one of them. As the `AWS_LAMBDA_EXEC_WRAPPER` of a managed runtime it is given the command line
//! that starts that runtime, and starts tasks with it.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use runtime::{LAUNCH_ARGUMENT, SupervisorError, launch, supervise};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == LAUNCH_ARGUMENT).is_some() {
        let failed = launch(arguments);
        complain(&failed);
        return ExitCode::from(127);
    }
    match run(arguments.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            complain(&failed);
            ExitCode::from(failed.exit_code())
        }
    }
}

/// Supervises until the platform stops the instance.
fn run(arguments: Vec<OsString>) -> Result<(), SupervisorError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SupervisorError::Start)?
        .block_on(supervise(std::env::vars_os().collect(), arguments))
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
