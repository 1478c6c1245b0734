//! One invocation of a function that is waited for.

use std::time::Instant;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::primitives::Blob;
use optimizer::execution::Outcome;
use serde_json::Value;

use crate::deploy::aws_message;
use crate::load::unix_us;

/// An invocation that has ended.
pub(crate) struct Invocation {
    /// When it was sent, in microseconds since the Unix epoch.
    pub(crate) start_us: u64,
    /// Until the last byte of its answer, in microseconds.
    pub(crate) duration_us: u64,
    /// HTTP status of the answer; 0 if there was none.
    pub(crate) status: u16,
    pub(crate) reply: Reply,
}

/// What came of it.
pub(crate) enum Reply {
    /// The function answered.
    Answered {
        request_id: String,
        /// `X-Amz-Function-Error`.
        function_error: Option<String>,
        body: Vec<u8>,
    },
    /// The endpoint refused, or nothing answered (`code` is none).
    Refused { code: Option<String>, message: String },
}

/// Invokes a function and waits for what comes of it.
pub(crate) async fn invoke(
    client: &Client,
    function: &str,
    qualifier: &str,
    payload: Vec<u8>,
    trace: &str,
) -> Invocation {
    let header = format!("Root={trace};Sampled=1");
    let operation = client
        .invoke()
        .function_name(function)
        .qualifier(qualifier)
        .payload(Blob::new(payload))
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
    let duration_us = started.elapsed().as_micros() as u64;
    let (status, reply) = match result {
        Ok(output) => {
            let reply = Reply::Answered {
                request_id: output.request_id().unwrap_or_default().to_owned(),
                function_error: output.function_error().map(str::to_owned),
                body: output.payload().map(Blob::as_ref).unwrap_or_default().to_vec(),
            };
            (u16::try_from(output.status_code()).unwrap_or_default(), reply)
        }
        Err(error) => {
            // A throttled request and a broken connection alike never became an invocation that
            // could be followed.
            let code = error.code().map(str::to_owned);
            let status = error.raw_response().map_or(0, |response| response.status().as_u16());
            (status, Reply::Refused { code, message: aws_message(&error) })
        }
    };
    Invocation { start_us, duration_us, status, reply }
}

/// What a function error's payload says happened.
pub(crate) fn function_error(payload: &Value) -> Outcome {
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
}
