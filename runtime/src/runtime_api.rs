//! The Runtime API as a child sees it: where its language runtime gets invocations and answers them.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::message::{
    Answer, AnyBody, FUNCTION_ERROR_TYPE, JSON, MAX_RESPONSE_BYTES, Read, full,
    function_error_body, read,
};
use crate::pool::{Ended, InitFailure, Posted, PostedKind};
use crate::server::Caller;

/// What every path of the Runtime API starts with.
pub(crate) const PREFIX: &str = "/2018-06-01/runtime/";

/// Path, in this API, on which the launcher says why it could not become the task's program.
pub(crate) const LAUNCH_FAILURE: &str = "launch-failure";

/// Longest such reason, in bytes.
const MAX_LAUNCH_FAILURE_BYTES: usize = 16 << 10;

/// Serves one request.
pub(crate) async fn serve(caller: &Caller, request: Request<Incoming>) -> Response<AnyBody> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let answer = match (request.method(), segments.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => return next(caller).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            post(caller, id, PostedKind::Response, request).await
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            post(caller, id, PostedKind::Error, request).await
        }
        (&Method::POST, ["init", "error"]) => init_error(caller, request).await,
        (&Method::POST, [LAUNCH_FAILURE]) => launch_failed(caller, request).await,
        _ => {
            let message =
                format!("the Runtime API has no `{path}` in an instance with fused functions");
            refuse(request, StatusCode::NOT_FOUND, "UnknownOperation", &message).await
        }
    };
    answer.into_response()
}

async fn next(caller: &Caller) -> Response<AnyBody> {
    let (mut headers, payload) = caller.task.pool.next(caller.process).await;
    // The native clients of Python and Node crash without one.
    headers.entry(CONTENT_TYPE).or_insert(JSON);
    let mut response = Response::new(full(payload));
    *response.headers_mut() = headers;
    response
}

/// Passes an answer to whoever waits for it, who reads its body and says what the child is told.
async fn post(caller: &Caller, id: &str, kind: PostedKind, request: Request<Incoming>) -> Answer {
    let Some(ended) = caller.task.pool.answer(caller.process, id) else {
        let status = StatusCode::BAD_REQUEST;
        return refuse(request, status, "InvalidRequestID", "Invalid request ID").await;
    };
    let (receipt, wait) = oneshot::channel();
    let (head, body) = request.into_parts();
    let posted = Posted { kind, headers: head.headers, body, receipt };
    let _ = ended.send(Ended::Answered(posted));
    wait.await.unwrap_or_else(|_| accepted())
}

async fn init_error(caller: &Caller, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = match read(body, MAX_RESPONSE_BYTES).await {
        Ok(Read::Whole(body, _)) => body,
        Ok(Read::TooLarge) | Err(_) => bytes::Bytes::from_static(b"{}"),
    };
    let kind = head.headers.get(FUNCTION_ERROR_TYPE).cloned();
    let kind = kind.unwrap_or(http::HeaderValue::from_static("Runtime.Unknown"));
    caller.task.pool.init_failed(caller.process, InitFailure { kind, body });
    accepted()
}

/// Notes why the launcher could not become the task's program.
async fn launch_failed(caller: &Caller, request: Request<Incoming>) -> Answer {
    let why = Limited::new(request.into_body(), MAX_LAUNCH_FAILURE_BYTES).collect().await;
    let why = why.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    caller.task.pool.not_started(caller.process, String::from_utf8_lossy(&why).into_owned());
    accepted()
}

/// What the Runtime API says to an answer.
pub(crate) fn accepted() -> Answer {
    said(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

/// What the Runtime API says to an answer that is larger than Lambda passes on.
pub(crate) fn too_large() -> Answer {
    let message = format!("Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).");
    let body = function_error_body("RequestEntityTooLarge", &message);
    said(StatusCode::PAYLOAD_TOO_LARGE, body)
}

/// Refuses a request in the Runtime API's form, and reads it to its end, or the connection could not
/// be used for the next one.
async fn refuse(
    request: Request<Incoming>,
    status: StatusCode,
    kind: &str,
    message: &str,
) -> Answer {
    // Who breaks off a request does not read its answer.
    let _ = read(request.into_body(), 0).await;
    said(status, function_error_body(kind, message))
}

fn said(status: StatusCode, body: Bytes) -> Answer {
    Answer { status, headers: HeaderMap::from_iter([(CONTENT_TYPE, JSON)]), body }
}
