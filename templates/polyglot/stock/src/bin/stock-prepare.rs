//! Makes the shop ready for a load: fills the shelves of the database that `STOCK_DATABASE` names,
//! forgets every reservation, and makes the folder that `OUTBOX` names, empty of messages.
//!
//! Says on standard error what it did. Does not need the load's requests.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use stock::store::{Store, path_from_environment};
use stock::{catalogue, with_causes};

fn main() -> ExitCode {
    let (text, code) = match prepare() {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (with_causes(error.as_ref()), ExitCode::FAILURE),
    };
    // With standard error closed there is nobody to tell, and the exit code still says it.
    let _ = writeln!(io::stderr(), "stock-prepare: {text}");
    code
}

fn prepare() -> Result<String, Box<dyn Error>> {
    let shelves = catalogue::shelves();
    let forgotten = Store::create(&path_from_environment()?)?.refill(&shelves)?;
    let outbox = std::env::var_os("OUTBOX").filter(|path| !path.is_empty());
    let outbox = outbox.ok_or("the environment variable OUTBOX is missing; set it to a folder")?;
    let deleted = empty(outbox.as_ref())?;
    let shelves = shelves.len();
    Ok(format!(
        "filled {shelves} shelves, forgot {forgotten} reservations and deleted {deleted} messages of earlier runs"
    ))
}

/// Deletes the messages, and nothing else, so that a wrong path does no harm.
fn empty(outbox: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(outbox)?;
    let mut deleted = 0;
    for entry in std::fs::read_dir(outbox)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("eml")) {
            match std::fs::remove_file(path) {
                Ok(()) => deleted += 1,
                // Another preparation was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(deleted)
}
