//! The command `fuseline`.
//!
//! Architecture invariant: only this crate prints. Results go to standard output; progress, logs
//! and errors to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or input.

mod arguments;
mod commands;
mod error;
mod progress;
mod render;
mod session;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, BenchCommand, Command};
use crate::error::CliError;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What the local backend has to say while it works; RUST_LOG asks for more or less. That there are no credentials
    // is told as an error, and the SDK would warn of it before.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,local_backend::runtimes=info,aws_config=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report(&CliError::failed("cannot start the async runtime", &error)),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

async fn run(arguments: Arguments) -> Result<(), CliError> {
    match arguments.command {
        Command::Validate(validate) => commands::validate::run(&validate),
        Command::Deploy(deploy) => commands::deploy::run(&deploy).await,
        Command::Bundle(bundle) => commands::bundle::run(&bundle).await,
        Command::Invoke(invoke) => commands::invoke::run(&invoke).await,
        Command::Load(load) => commands::load::run(&load).await,
        Command::Status(status) => commands::status::run(&status).await,
        Command::Optimize(optimize) => commands::optimize::run(&optimize).await,
        Command::Verify(verify) => commands::verify::run(&verify).await,
        Command::Destroy(destroy) => commands::destroy::run(&destroy).await,
        Command::Plan(plan) => commands::plan::run(&plan).await,
        Command::Apply(apply) => commands::apply::run(&apply).await,
        Command::Export(export) => commands::export::run(&export).await,
        Command::Rollback(target) => commands::rollback::run(&target).await,
        Command::Bench(BenchCommand::Runtime(runtime)) => commands::bench::run(&runtime).await,
        Command::Prepare(prepare) => commands::prepare::run(&prepare).await,
        Command::Local(local) => commands::local::run(&local).await,
    }
}

fn report(error: &CliError) -> ExitCode {
    render::talk(&error.to_string());
    ExitCode::from(error.exit_code())
}
