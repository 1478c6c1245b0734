//! A function that does what its event says: burn CPU, sleep, allocate, call, fail or exit. As the
//! destination of asynchronous invocations it prints the record that it is told.
//!
//! Deployed by the tests and benchmarks of the supervisor and of the local backend; built on
//! `lambda_runtime` and the ordinary AWS SDK like any user's function.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Memory that is kept from one invocation to the next.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Told(Record),
    Do(Event),
}

/// Lambda's record of an asynchronous invocation that is over.
#[derive(Deserialize, Serialize)]
struct Record {
    #[serde(rename = "requestContext")]
    request_context: Value,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// What to do, in this order. Everything is optional.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Event {
    /// CPU time to spend, in milliseconds, split evenly over `threads`.
    burn_ms: u64,
    /// Threads that burn; 0 counts as 1.
    threads: u32,
    /// Time to wait, in milliseconds.
    sleep_ms: u64,
    /// Memory to fill, in MB.
    allocate_mb: usize,
    /// Memory to fill and keep until the process ends, in MB.
    keep_mb: usize,
    /// Calls to make, one after the other.
    calls: Vec<Call>,
    /// Environment variables to return.
    environment: Vec<String>,
    /// Folder whose entries to return.
    list: Option<String>,
    /// Text to print on standard output.
    print: Option<String>,
    /// Function error to return.
    fail: Option<String>,
    /// Exit code to end the process with.
    exit: Option<i32>,
    /// Bytes of padding in the answer.
    pad_bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    /// Function name, as the SDK takes it.
    function: String,
    #[serde(default)]
    payload: Value,
    /// `Event` instead of `RequestResponse`.
    #[serde(default)]
    asynchronous: bool,
    /// How many such calls, at once.
    #[serde(default = "one")]
    parallel: usize,
    /// How many rounds of them; the answers of the last one are returned.
    #[serde(default = "one")]
    rounds: usize,
}

fn one() -> usize {
    1
}

#[derive(Serialize)]
struct Answer {
    function: String,
    process: u32,
    request_id: String,
    /// Wall time of the burn, in microseconds.
    burn_us: u64,
    /// Answers of `calls` in order: status, function error and payload.
    calls: Vec<Value>,
    /// Time of each round of `calls` in order, in microseconds.
    call_us: Vec<u64>,
    environment: Vec<Option<String>>,
    directory: String,
    /// Names in `list`, sorted.
    listed: Vec<String>,
    padding: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = aws_sdk_lambda::Client::new(&config);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Input>| handle(client.clone(), event))).await
}

async fn handle(
    client: aws_sdk_lambda::Client,
    event: LambdaEvent<Input>,
) -> Result<Answer, Error> {
    let (input, context) = event.into_parts();
    let event = match input {
        Input::Do(event) => event,
        Input::Told(record) => {
            let print = Some(format!("told {}", serde_json::to_string(&record)?));
            Event { print, ..Event::default() }
        }
    };
    let burn_us = burn(event.burn_ms, event.threads.max(1));
    // Even a sleep of nothing waits for the next tick of the timer, and invocations are timed.
    if event.sleep_ms > 0 {
        tokio::time::sleep(Duration::from_millis(event.sleep_ms)).await;
    }
    if event.keep_mb > 0 {
        KEPT.lock().expect("nobody panics with it").push(vec![0x5au8; event.keep_mb << 20]);
    }
    let filled = vec![0x5au8; event.allocate_mb << 20];
    // Read back, or the allocation would be optimised away.
    assert!(std::hint::black_box(&filled).iter().step_by(4096).all(|byte| *byte == 0x5a));

    let (mut calls, mut call_us) = (Vec::new(), Vec::new());
    for call in &event.calls {
        for round in 0..call.rounds {
            let started = Instant::now();
            let answers = invoke(&client, call).await;
            call_us.push(started.elapsed().as_micros() as u64);
            if round + 1 == call.rounds {
                calls.extend(answers);
            }
        }
    }
    if let Some(text) = event.print {
        use std::io::Write;
        writeln!(std::io::stdout(), "{text}")?;
    }
    if let Some(code) = event.exit {
        std::process::exit(code);
    }
    if let Some(message) = event.fail {
        return Err(message.into());
    }
    Ok(Answer {
        function: std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
        process: std::process::id(),
        request_id: context.request_id,
        burn_us,
        calls,
        call_us,
        environment: event.environment.iter().map(|key| std::env::var(key).ok()).collect(),
        directory: std::env::current_dir()?.display().to_string(),
        listed: event.list.map_or(Ok(Vec::new()), |folder| entries(&folder))?,
        padding: "x".repeat(event.pad_bytes),
    })
}

/// Names of what is in a folder, sorted.
fn entries(folder: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Spends `total_ms` of CPU time over `threads` threads and returns the wall time in microseconds.
fn burn(total_ms: u64, threads: u32) -> u64 {
    if total_ms == 0 {
        return 0;
    }
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let share = Duration::from_millis(total_ms) / threads;
                let cpu_time = || {
                    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
                };
                let from = cpu_time();
                let mut x = 1u64;
                while cpu_time() - from < share {
                    for _ in 0..2_000 {
                        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005) ^ 1);
                    }
                }
            });
        }
    });
    started.elapsed().as_micros() as u64
}

async fn invoke(client: &aws_sdk_lambda::Client, call: &Call) -> Vec<Value> {
    let payload = call.payload.to_string();
    let kind =
        if call.asynchronous { InvocationType::Event } else { InvocationType::RequestResponse };
    let requests: Vec<_> = (0..call.parallel)
        .map(|_| {
            let request = client
                .invoke()
                .function_name(&call.function)
                .invocation_type(kind.clone())
                .payload(Blob::new(payload.clone()));
            tokio::spawn(request.send())
        })
        .collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(match request.await {
            Ok(Ok(output)) => serde_json::json!({
                "status": output.status_code(),
                "function_error": output.function_error(),
                "executed_version": output.executed_version(),
                "payload": output
                    .payload()
                    .and_then(|blob| serde_json::from_slice::<Value>(blob.as_ref()).ok()),
            }),
            Ok(Err(error)) => serde_json::json!({
                "error": aws_sdk_lambda::error::DisplayErrorContext(&error).to_string(),
                "code": aws_sdk_lambda::error::ProvideErrorMetadata::code(&error),
            }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        });
    }
    answers
}
