//! The Lambda function `save-order`.

use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn, tracing};
use trainticket::store::Store;
use trainticket::{Order, save_order, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let store = &Store::from_environment().await.map_err(|error| with_causes(&error))?;
    run(service_fn(async |event: LambdaEvent<Order>| {
        save_order::handle(store, event.payload).await.map_err(|error| Diagnostic {
            error_type: "StoreError".to_owned(),
            error_message: with_causes(&error),
        })
    }))
    .await
}
