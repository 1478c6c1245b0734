//! The Lambda function `cancel-order`, which calls the other three.

use aws_config::BehaviorVersion;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn, tracing};
use trainticket::cancel_order::{self, CallError, Invoke, Request};
use trainticket::{now_ms, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let functions = &Functions { client: Client::new(&config) };
    run(service_fn(async |event: LambdaEvent<Request>| {
        let answer = cancel_order::handle(functions, event.payload, now_ms()).await;
        answer.map_err(|error| Diagnostic {
            error_type: "CallError".to_owned(),
            error_message: with_causes(&error),
        })
    }))
    .await
}

/// Lambda functions of the same account and region.
struct Functions {
    client: Client,
}

impl Invoke for Functions {
    async fn invoke(&self, function: &'static str, payload: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let request = self.client.invoke().function_name(function).payload(Blob::new(payload));
        let output = request
            .send()
            .await
            .map_err(|source| CallError::Unreachable { function, source: Box::new(source) })?;
        let answer = output.payload.unwrap_or_default().into_inner();
        if output.function_error.is_some() {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(CallError::Failed { function, answer });
        }
        Ok(answer)
    }
}
