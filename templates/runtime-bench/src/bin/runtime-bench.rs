//! A function of the runtime benchmark: answers, or calls and says how long each call took.

use std::time::Instant;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

/// What to do: nothing but answer, or rounds of calls.
#[derive(Deserialize)]
struct Event {
    /// Size of the answer's padding, in bytes.
    #[serde(default)]
    pad_bytes: usize,
    /// Calls to make, one after the other.
    #[serde(default)]
    rounds: usize,
    /// Function to call; without one the calls stay in the process.
    function: Option<String>,
    /// Whether the calls only ask if they could be made, which is answered without the function.
    #[serde(default)]
    dry_run: bool,
    /// What each call carries.
    #[serde(default)]
    payload: Value,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = aws_sdk_lambda::Client::new(&config);
    lambda_runtime::run(service_fn(|event| handle(&client, event))).await
}

async fn handle(
    client: &aws_sdk_lambda::Client,
    event: LambdaEvent<Event>,
) -> Result<Value, Error> {
    let event = event.payload;
    if event.rounds == 0 {
        return Ok(answer(event.pad_bytes));
    }
    let payload = event.payload.to_string();
    let mut times = Vec::with_capacity(event.rounds);
    for _ in 0..event.rounds {
        let started = Instant::now();
        match &event.function {
            Some(function) if event.dry_run => dry_run(client, function, &payload).await?,
            Some(function) => invoke(client, function, &payload).await?,
            None => in_process(&payload)?,
        }
        times.push(u64::try_from(started.elapsed().as_nanos())?);
    }
    Ok(json!({ "call_ns": times }))
}

/// What a called function returns: padding of the wanted size.
fn answer(pad_bytes: usize) -> Value {
    json!({ "padding": "x".repeat(pad_bytes) })
}

/// Calls another function and reads its answer.
async fn invoke(
    client: &aws_sdk_lambda::Client,
    function: &str,
    payload: &str,
) -> Result<(), Error> {
    let result = client.invoke().function_name(function).payload(Blob::new(payload)).send().await?;
    let body: Value =
        serde_json::from_slice(result.payload().map(Blob::as_ref).unwrap_or_default())?;
    match result.function_error() {
        Some(_) => Err(format!("{function} failed: {body}").into()),
        None => Ok(()),
    }
}

/// The same call, answered by whoever takes it first.
async fn dry_run(
    client: &aws_sdk_lambda::Client,
    function: &str,
    payload: &str,
) -> Result<(), Error> {
    let invocation = client.invoke().function_name(function).payload(Blob::new(payload));
    invocation.invocation_type(InvocationType::DryRun).send().await?;
    Ok(())
}

/// The same answer without leaving the process: a plain call with JSON both ways.
fn in_process(payload: &str) -> Result<(), Error> {
    let event: Event = serde_json::from_str(payload)?;
    let text = serde_json::to_string(&answer(event.pad_bytes))?;
    std::hint::black_box(serde_json::from_str::<Value>(&text)?);
    Ok(())
}
