//! The Lambda function `stock`.

use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn, tracing};
use stock::answer::{self, Request};
use stock::store::Store;
use stock::{now_ms, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let store = &Store::from_environment().map_err(|error| with_causes(&error))?;
    run(service_fn(async |event: LambdaEvent<Request>| {
        answer::answer(store, event.payload, now_ms()).map_err(|error| Diagnostic {
            error_type: "StoreError".to_owned(),
            error_message: with_causes(&error),
        })
    }))
    .await
}
