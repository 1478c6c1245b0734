//! Makes the store that `STORE` names ready for a load of the workflow that the first argument names:
//! deletes what executions have left that failed before their last step.
//!
//! Says on standard error what it did. Does not need the load's requests.

use std::io::{self, Write};
use std::process::ExitCode;

use workloads_common::{Store, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (text, code) = match std::env::args().nth(1) {
        Some(workflow) => match prepare(&workflow).await {
            Ok(text) => (text, ExitCode::SUCCESS),
            Err(error) => (with_causes(&error), ExitCode::FAILURE),
        },
        None => ("name the workflow whose leftovers to delete".to_owned(), ExitCode::from(2)),
    };
    // With standard error closed there is nobody to tell, and the exit code still says it.
    let _ = writeln!(io::stderr(), "workloads-prepare: {text}");
    code
}

async fn prepare(workflow: &str) -> Result<String, workloads_common::Failure> {
    let forgotten = Store::from_environment()?.forget(workflow).await?;
    Ok(format!("deleted what {forgotten} executions had left"))
}
