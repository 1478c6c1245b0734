//! HTTP bodies, headers and the answers that Lambda gives in its own words.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};

/// A body held or passed on as it arrives.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// Largest payload of a synchronous call, in bytes.
pub(crate) const MAX_REQUEST_BYTES: usize = 6 << 20;

/// Largest result of a synchronous call, in bytes.
pub(crate) const MAX_RESPONSE_BYTES: usize = (6 << 20) + 100;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
pub(crate) const DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
pub(crate) const INVOKED_ARN: HeaderName =
    HeaderName::from_static("lambda-runtime-invoked-function-arn");
pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
pub(crate) const CLIENT_CONTEXT: HeaderName =
    HeaderName::from_static("lambda-runtime-client-context");
pub(crate) const FUNCTION_ERROR_TYPE: HeaderName =
    HeaderName::from_static("lambda-runtime-function-error-type");
pub(crate) const FUNCTION_ERROR_BODY: HeaderName =
    HeaderName::from_static("lambda-runtime-function-error-body");
pub(crate) const AMZN_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(crate) const AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
pub(crate) const AMZN_ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
pub(crate) const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
pub(crate) const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
pub(crate) const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer held in memory, cheap to copy.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// An answer without headers or body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// An error of the service in the form that every SDK reads.
    pub(crate) fn refusal(status: StatusCode, kind: &'static str, message: &str) -> Self {
        let body = serde_json::json!({ "Type": "User", "Message": message }).to_string();
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, JSON),
            (AMZN_ERROR_TYPE, HeaderValue::from_static(kind)),
        ]);
        Self { status, headers, body: body.into() }
    }

    /// The answer as a response.
    pub(crate) fn into_response(self) -> Response<AnyBody> {
        let mut response = Response::new(full(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A body held in memory.
pub(crate) fn full(body: Bytes) -> AnyBody {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// What a function error looks like to the function's caller.
pub(crate) fn function_error_body(kind: &str, message: &str) -> Bytes {
    // In Lambda's order.
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Error<'a> {
        error_type: &'a str,
        error_message: &'a str,
    }
    let error = Error { error_type: kind, error_message: message };
    serde_json::to_vec(&error).expect("text is JSON").into()
}

/// The error type in a function error's body, or nothing.
pub(crate) fn function_error_type(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Error {
        #[serde(rename = "errorType")]
        kind: String,
    }
    serde_json::from_slice(body).map(|error: Error| error.kind).unwrap_or_default()
}

/// A body read to its end.
pub(crate) enum Read {
    /// All of it, and what followed it.
    Whole(Bytes, HeaderMap),
    /// It had more bytes than allowed; they are dropped.
    TooLarge,
}

/// Reads a body to its end, so that the connection stays usable, and keeps at most `limit` bytes.
///
/// # Errors
/// If the connection ends before the body does.
pub(crate) async fn read(mut body: Incoming, limit: usize) -> Result<Read, hyper::Error> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit);
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut trailers = HeaderMap::new();
    let mut too_large = false;
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) if first.len().max(rest.len()) + data.len() > limit => too_large = true,
            // Most bodies are one piece, which is kept without copying it.
            Ok(data) if first.is_empty() && rest.is_empty() => first = data,
            Ok(data) => {
                if rest.is_empty() {
                    rest.reserve(expected.max(first.len() + data.len()));
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&data);
            }
            Err(other) => trailers.extend(other.into_trailers().unwrap_or_default()),
        }
    }
    Ok(match too_large {
        true => Read::TooLarge,
        false if rest.is_empty() => Read::Whole(first, trailers),
        false => Read::Whole(rest.into(), trailers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_type_and_reason() {
        let answer =
            Answer::refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", "no \"x\"");
        assert_eq!(answer.headers[AMZN_ERROR_TYPE], "ResourceNotFoundException");
        assert_eq!(answer.body, r#"{"Message":"no \"x\"","Type":"User"}"#);
    }

    #[test]
    fn an_error_type_is_read_from_an_error_and_from_nothing_else() {
        let body = function_error_body("Runtime.ExitError", "gone");
        assert_eq!(function_error_type(&body), "Runtime.ExitError");
        for body in ["", "[]", "{}", "{\"errorType\":3}"] {
            assert_eq!(function_error_type(body.as_bytes()), "");
        }
    }
}
