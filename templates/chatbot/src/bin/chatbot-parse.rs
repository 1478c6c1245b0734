//! The Lambda function `parse` of the chatbot.

use chatbot::parse;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use workloads_common::{Store, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let store = &Store::from_environment().map_err(|error| with_causes(&error))?;
    run(service_fn(async |event: LambdaEvent<_>| parse::handle(store, event.payload).await)).await
}
