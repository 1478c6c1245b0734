//! Makes the database that `DATABASE_URL` names ready for a run.
//!
//! Reads the run's requests from standard input, one JSON object `{"orderId", "loginId"}` a line,
//! and gives each an order to cancel. Says on standard error what it did.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use trainticket::store::{self, Preparation, Store};
use trainticket::{now_ms, prepare, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (text, code) = match prepare_database().await {
        Ok(done) => (summary(&done), ExitCode::SUCCESS),
        Err(error) => (with_causes(error.as_ref()), ExitCode::FAILURE),
    };
    // With standard error closed there is nobody to tell, and the exit code still says it.
    let _ = writeln!(io::stderr(), "trainticket-prepare: {text}");
    code
}

async fn prepare_database() -> Result<Preparation, Box<dyn Error>> {
    let url = store::url_from_environment()?;
    let orders = prepare::read_orders(io::stdin().lock(), now_ms())?;
    Ok(Store::create(&url).await?.prepare(&orders).await?)
}

fn summary(done: &Preparation) -> String {
    let Preparation { deleted_orders, deleted_refunds, inserted_orders, orders } = done;
    format!(
        "deleted {deleted_orders} orders and {deleted_refunds} refunds of earlier runs, \
         inserted {inserted_orders} fresh orders; the database now holds {orders}"
    )
}
