//! Sends load: requests in a closed loop (so many at a time) or an open one (so many per second).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::primitives::Blob;
use optimizer::execution::Outcome;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::deploy::aws_message;
use crate::endpoint::Endpoint;
use crate::payload::Request;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The next request is sent when one of `concurrency` has been answered.
    Closed {
        /// Requests under way at the same time, at least 1.
        concurrency: usize,
    },
    /// Requests are sent at random (Poisson) times, however long answers take.
    Open {
        /// Mean requests per second, above 0.
        rate_per_second: f64,
        /// Seed of the times.
        seed: u64,
    },
}

/// Requests under way at the same time in an open loop, at most; beyond it requests are late.
const OPEN_LOOP_LIMIT: usize = 1000;

/// A request that was sent, with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Root of the trace id that it carried.
    pub trace: String,
    /// Request id of the invocation, empty if it was refused.
    pub request_id: String,
    /// When it was sent, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// Until the last byte of its answer, in microseconds.
    pub latency_us: u64,
    /// How it ended. A wrong answer counts as an error.
    pub outcome: Outcome,
    /// HTTP status of the answer; 0 if there was none.
    pub status: u16,
    /// `X-Amz-Function-Error` of the answer.
    pub function_error: Option<String>,
    /// What was answered: the result, the function error, or what the service said. Null if it was
    /// not JSON.
    pub answer: Value,
    /// What was answered, if it was not JSON.
    pub not_json: Option<Vec<u8>>,
}

/// Where requests go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Function.
    pub function: &'a str,
    /// Version or alias.
    pub qualifier: &'a str,
}

/// Sends the requests and returns them in their order. `on_sent` is told of each as it is
/// answered.
pub async fn send(
    target: Target<'_>,
    requests: &[Request],
    pace: Pace,
    on_sent: impl Fn(&Sent),
) -> Vec<Sent> {
    let (slots, mut schedule) = match pace {
        Pace::Closed { concurrency } => (concurrency.max(1), None),
        Pace::Open { rate_per_second, seed } => {
            (OPEN_LOOP_LIMIT, Some((rate_per_second, StdRng::seed_from_u64(seed))))
        }
    };
    let slots = Arc::new(Semaphore::new(slots));
    let mut tasks = tokio::task::JoinSet::new();
    let mut sent: Vec<Option<Sent>> = vec![None; requests.len()];
    let mut at = tokio::time::Instant::now();
    let mut keep = |done: Result<(usize, Sent), tokio::task::JoinError>| {
        if let Ok((number, one)) = done {
            on_sent(&one);
            sent[number] = Some(one);
        }
    };
    for (number, request) in requests.iter().enumerate() {
        if let Some((rate_per_second, rng)) = &mut schedule {
            // Exponential gaps make a Poisson process.
            let gap = -(1.0 - rng.random::<f64>()).ln() / *rate_per_second;
            at += Duration::from_secs_f64(gap);
            tokio::time::sleep_until(at).await;
        }
        let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
        while let Some(done) = tasks.try_join_next() {
            keep(done);
        }
        let client = target.endpoint.lambda.clone();
        let (function, qualifier) = (target.function.to_owned(), target.qualifier.to_owned());
        let request = request.clone();
        tasks.spawn(async move {
            let one = send_one(&client, function, qualifier, &request).await;
            drop(slot);
            (number, one)
        });
    }
    while let Some(done) = tasks.join_next().await {
        keep(done);
    }
    sent.into_iter().flatten().collect()
}

async fn send_one(
    client: &aws_sdk_lambda::Client,
    function: String,
    qualifier: String,
    request: &Request,
) -> Sent {
    let trace = new_trace();
    let header = format!("Root={trace};Sampled=1");
    let operation = client
        .invoke()
        .function_name(function)
        .qualifier(qualifier)
        .payload(Blob::new(request.body.to_string()))
        .customize()
        // A retried request would execute the workflow twice and be measured once.
        .config_override(
            aws_sdk_lambda::config::Builder::new().retry_config(RetryConfig::disabled()),
        )
        .mutate_request(move |http| {
            http.headers_mut().insert("X-Amzn-Trace-Id", header.clone());
        });
    let start_us = unix_us();
    let started = Instant::now();
    let result = operation.send().await;
    let latency_us = started.elapsed().as_micros() as u64;
    let mut sent = Sent {
        trace,
        request_id: String::new(),
        start_us,
        latency_us,
        outcome: Outcome::Refused,
        status: 0,
        function_error: None,
        answer: Value::Null,
        not_json: None,
    };
    match result {
        Ok(output) => {
            let body = output.payload().map(Blob::as_ref).unwrap_or_default();
            match serde_json::from_slice(body) {
                Ok(answer) => sent.answer = answer,
                Err(_) => sent.not_json = Some(body.to_vec()),
            }
            sent.outcome = match output.function_error() {
                Some(_) => function_error(&sent.answer),
                None if request.accepts(&sent.answer) => Outcome::Ok,
                None => Outcome::Error,
            };
            sent.status = u16::try_from(output.status_code()).unwrap_or_default();
            sent.function_error = output.function_error().map(str::to_owned);
            sent.request_id = output.request_id().unwrap_or_default().to_owned();
        }
        Err(error) => {
            // A throttled request and a broken connection alike never became an invocation that
            // could be followed.
            let message = aws_message(&error);
            let code = error.code().unwrap_or("NoAnswer").to_owned();
            sent.status = error.raw_response().map_or(0, |response| response.status().as_u16());
            sent.answer = serde_json::json!({ "code": code, "message": message });
        }
    }
    sent
}

/// What a function error's payload says happened.
fn function_error(payload: &Value) -> Outcome {
    match payload["errorType"].as_str().unwrap_or_default() {
        "Sandbox.Timedout" => Outcome::Timeout,
        "Runtime.OutOfMemory" => Outcome::OutOfMemory,
        "Runtime.ExitError" => Outcome::Crash,
        _ if payload["errorMessage"].as_str().is_some_and(|m| m.contains("Task timed out")) => {
            Outcome::Timeout
        }
        _ => Outcome::Error,
    }
}

/// A new root of a trace id: version, seconds since the epoch and 96 random bits.
fn new_trace() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("1-{:08x}-{}", unix_us() / 1_000_000, &random[..24])
}

/// Now, in microseconds since the Unix epoch.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn function_errors_tell_what_happened() {
        for (payload, outcome) in [
            (json!({"errorType": "Sandbox.Timedout"}), Outcome::Timeout),
            (json!({"errorMessage": "2026 r Task timed out after 3.00 seconds"}), Outcome::Timeout),
            (json!({"errorType": "Runtime.OutOfMemory"}), Outcome::OutOfMemory),
            (json!({"errorType": "Runtime.ExitError"}), Outcome::Crash),
            (json!({"errorType": "ValueError", "errorMessage": "no"}), Outcome::Error),
            (Value::Null, Outcome::Error),
        ] {
            assert_eq!(function_error(&payload), outcome, "{payload}");
        }
    }

    #[test]
    fn traces_are_x_ray_roots_and_differ() {
        let (one, two) = (new_trace(), new_trace());
        assert_ne!(one, two);
        let parts: Vec<&str> = one.split('-').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("1", 8, 24));
    }
}
