//! `Invoke`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{read_body, text_header};
use crate::asynchronous::Event;
use crate::backend::Backend;
use crate::error::ApiError;
use crate::function::function_arn;
use crate::instance::{Answer, Invocation};
use crate::registry::parse_name;

/// Largest payload of a synchronous and of an asynchronous invocation, in bytes.
const MAX_SYNC_BYTES: usize = 6 << 20;
const MAX_ASYNC_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Qualified {
    qualifier: Option<String>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Sync,
    Async,
    DryRun,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match text_header(headers, "x-amz-invocation-type").unwrap_or("RequestResponse") {
            "RequestResponse" => Ok(Self::Sync),
            "Event" => Ok(Self::Async),
            "DryRun" => Ok(Self::DryRun),
            other => Err(ApiError::invalid_parameter(format!(
                "invocation type `{other}` is none of RequestResponse, Event and DryRun"
            ))),
        }
    }

    fn max_bytes(self) -> usize {
        match self {
            Self::Sync | Self::DryRun => MAX_SYNC_BYTES,
            Self::Async => MAX_ASYNC_BYTES,
        }
    }
}

pub(super) async fn invoke(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    let version = backend.registry.route(&named)?;
    let kind = Kind::of(&headers)?;
    let payload = read_body(body, kind.max_bytes()).await.map_err(|mut error| {
        error.message.push_str(" for the InvokeFunction operation");
        error
    })?;
    let payload = checked_payload(payload)?;
    let qualifier = named.qualifier.as_ref().map(|q| format!(":{q}")).unwrap_or_default();
    let invocation = Invocation {
        request_id: Uuid::new_v4().to_string(),
        payload,
        trace_id: text_header(&headers, "x-amzn-trace-id").map_or_else(new_trace, str::to_owned),
        client_context: client_context(&headers)?,
        function_arn: format!("{}{qualifier}", function_arn(&named.name)),
        wants_tail: kind == Kind::Sync && text_header(&headers, "x-amz-log-type") == Some("Tail"),
    };
    let request_id = invocation.request_id.clone();
    let executed = version.version.clone();
    if kind == Kind::DryRun {
        return Ok(with_id(StatusCode::NO_CONTENT.into_response(), &request_id));
    }
    // The way to the service and back, which one machine does not have.
    if let Some(delay) = backend.delays.draw() {
        tokio::time::sleep(delay).await;
    }
    if kind == Kind::Async {
        backend.invoke_async(Event { target: named, invocation, hops: 0 })?;
        return Ok(with_id(StatusCode::ACCEPTED.into_response(), &request_id));
    }
    let answer = backend.invoke(version, invocation).await?;
    Ok(with_id(respond(answer, &executed), &request_id))
}

fn respond(answer: Answer, executed: &str) -> Response {
    let mut response = Response::new(Body::from(answer.payload));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set(headers, "x-amz-executed-version", executed);
    if answer.is_error {
        headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    }
    if let Some(tail) = &answer.tail {
        set(headers, "x-amz-log-result", tail);
    }
    response
}

fn with_id(mut response: Response, request_id: &str) -> Response {
    set(response.headers_mut(), "x-amzn-requestid", request_id);
    response
}

/// Sets a header to a text of ours, which is always one that a header can hold.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The payload if it is JSON; none is an empty object.
fn checked_payload(payload: Bytes) -> Result<Bytes, ApiError> {
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<&RawValue>(&payload) {
        Ok(_) => Ok(payload),
        Err(error) => Err(ApiError::invalid_content(format!(
            "Could not parse request body into json: {error}"
        ))),
    }
}

fn client_context(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(text) = text_header(headers, "x-amz-client-context") else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded {
        // It becomes a header of the Runtime API, which holds no line ends.
        Some(json) => Ok(Some(json.replace(['\r', '\n'], " "))),
        None => Err(ApiError::invalid_content("client context is no base64 of JSON")),
    }
}

/// A new X-Ray trace that is not sampled.
fn new_trace() -> String {
    let random = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    let seconds = crate::logs::now_ms() / 1_000;
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &random[..24], &parent[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_must_be_json() {
        assert_eq!(checked_payload(Bytes::new()).unwrap(), "{}");
        assert_eq!(checked_payload(Bytes::from("[1]")).unwrap(), "[1]");
        for text in ["{", "{} {}", "hello"] {
            let error = checked_payload(Bytes::from(text)).unwrap_err();
            assert_eq!(error.kind, "InvalidRequestContentException", "{text}");
        }
    }

    #[test]
    fn a_new_trace_has_the_form_of_x_ray() {
        let trace = new_trace();
        let root = trace.strip_prefix("Root=1-").unwrap().split(';').next().unwrap();
        let (seconds, random) = root.split_once('-').unwrap();
        assert_eq!((seconds.len(), random.len()), (8, 24), "{trace}");
    }
}
