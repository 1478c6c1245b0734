//! The Runtime API as a child sees it: where its language runtime gets invocations and answers them.

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::message::{
    Answer, AnyBody, FUNCTION_ERROR_TYPE, JSON, MAX_RESPONSE_BYTES, Read, full, read,
};
use crate::pool::{Ended, InitFailure, Posted, PostedKind};
use crate::server::Caller;

/// What every path of the Runtime API starts with.
pub(crate) const PREFIX: &str = "/2018-06-01/runtime/";

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
        _ => Answer::refusal(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            &format!("the Runtime API has no `{path}` in an instance with fused functions"),
        ),
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
        return Answer::refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            &format!("invocation `{id}` is not this process's, or has been answered"),
        );
    };
    let (receipt, wait) = oneshot::channel();
    let (head, body) = request.into_parts();
    let posted = Posted { kind, headers: head.headers, body, receipt };
    let _ = ended.send(Ended::Answered(posted));
    wait.await.unwrap_or_else(|_| Answer::empty(StatusCode::ACCEPTED))
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
    Answer::empty(StatusCode::ACCEPTED)
}
