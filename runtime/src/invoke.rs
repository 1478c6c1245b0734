//! The Lambda API as a child sees it: calls to tasks of the bundle are served inside, everything else
//! leaves.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use uuid::Uuid;
use wire::function_name::FunctionName;
use wire::payload::RecordedPayload;
use wire::record::{CallKind, CallOutcome, CallRecord, CallSite, RECORD_VERSION, Record};

use crate::api_request::{ApiRequest, Wanted};
use crate::attempts::Attempt;
use crate::call::{self, Call, Receipt};
use crate::clock;
use crate::forward::{ForwardError, Outgoing};
use crate::lineage::MAX_CALLS;
use crate::message::{
    AMZN_REQUEST_ID, AMZN_TRACE_ID, Answer, AnyBody, FUNCTION_ERROR, MAX_REQUEST_BYTES, Read,
    function_error_type, read,
};
use crate::server::Caller;
use crate::task::Task;
use crate::trace;

const INVOCATION_ID: HeaderName = HeaderName::from_static("amz-sdk-invocation-id");

/// Largest request of the Lambda API, in bytes: a function's code.
const MAX_OTHER_BYTES: usize = 70 << 20;

/// Serves one request.
pub(crate) async fn serve(caller: &Caller, request: Request<Incoming>) -> Response<AnyBody> {
    let start_us = clock::now_us();
    let (head, body) = request.into_parts();
    let request = ApiRequest::new(head, caller.context(), start_us);
    if let Some(key) =
        request.scope.key.as_deref().filter(|key| !caller.instance.forwarder.is_own_key(key))
    {
        let message = format!(
            "the call is signed with key {key}, which is not the function's own, so the supervisor cannot \
             sign it again; give this client an explicit endpoint, or do not fuse its function"
        );
        return Answer::refusal(StatusCode::FORBIDDEN, "AccessDeniedException", &message)
            .into_response();
    }
    let is_call = request.method == Method::POST && request.path.ends_with("/invocations");
    let limit = if is_call { MAX_REQUEST_BYTES } else { MAX_OTHER_BYTES };
    let body = match read(body, limit).await {
        Ok(Read::Whole(body, _)) => body,
        Ok(Read::TooLarge) => {
            let message = format!(
                "Request must be smaller than {limit} bytes for the InvokeFunction operation"
            );
            let kind = "RequestTooLargeException";
            return Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, kind, &message).into_response();
        }
        // The child has gone; nobody reads the answer.
        Err(_) => return Answer::empty(StatusCode::BAD_REQUEST).into_response(),
    };
    match request.function.clone().filter(|_| is_call) {
        Some(function) => invoke(caller, request, function, body).await.into_response(),
        None => pass_on(caller, &request, body).await,
    }
}

/// Serves an invocation, in a task of its own: it goes on when its client has gone, as on Lambda.
async fn invoke(
    caller: &Caller,
    request: ApiRequest,
    function: FunctionName,
    body: Bytes,
) -> Answer {
    let wanted = Wanted::of(&request.headers);
    let callee = inline_callee(caller, &request, &function).filter(|_| wanted != Wanted::Event);
    if callee.is_some() && wanted == Wanted::DryRun {
        return Answer::empty(StatusCode::NO_CONTENT);
    }
    let request_id = Uuid::new_v4();
    let sent_id = request.headers.get(INVOCATION_ID).and_then(|id| id.to_str().ok());
    let key = (caller.process, sent_id.map_or_else(|| request_id.to_string(), str::to_owned));
    let (attempt, wait) = caller.instance.attempts.join(key.clone());
    if attempt == Attempt::First {
        let caller = caller.clone();
        tokio::spawn(async move {
            let sent = caller.instance.settings.record_payloads.then(|| body.clone());
            let mut done = make(&caller, &request, callee, request_id, body, &function.name).await;
            caller.instance.attempts.finish(&key, &done.answer);
            std::mem::take(&mut done.receipt).give();
            if wanted != Wanted::DryRun {
                let record = record(&caller, &request, function.name, wanted, &done, sent.as_ref());
                caller.instance.journal.push(record);
            }
        });
    }
    let lost = "the supervisor lost the call";
    wait.await.unwrap_or_else(|_| {
        Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", lost)
    })
}

/// A call that was made.
struct Done {
    answer: Answer,
    receipt: Receipt,
    outcome: CallOutcome,
    site: CallSite,
    request_bytes: usize,
    end_us: u64,
}

/// Makes a call: inside if the callee is there and has a process to spare, otherwise outside.
async fn make(
    caller: &Caller,
    request: &ApiRequest,
    callee: Option<Arc<Task>>,
    request_id: Uuid,
    body: Bytes,
    name: &str,
) -> Done {
    let request_bytes = body.len();
    let chain = request.context.as_ref().map(|context| &context.lineage);
    if chain.is_some_and(|chain| chain.is_endless(name)) {
        let message = format!(
            "`{name}` has been called {MAX_CALLS} times in one chain of calls: a recursive loop, which \
             Fuseline stops"
        );
        let kind = "RecursiveInvocationException";
        let answer = Answer::refusal(StatusCode::BAD_REQUEST, kind, &message);
        return Done::new(answer, CallOutcome::Refused, CallSite::Inline, request_bytes);
    }
    if let Some(callee) = callee {
        if !body.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            let message = format!(
                "Could not parse request body into json: the payload for `{name}` is not JSON"
            );
            let kind = "InvalidRequestContentException";
            let answer = Answer::refusal(StatusCode::BAD_REQUEST, kind, &message);
            return Done::new(answer, CallOutcome::Refused, CallSite::Inline, request_bytes);
        }
        let _running = caller.instance.begin_inline_call();
        let call = Call {
            request_id,
            // Lambda's event when there is no payload.
            payload: if body.is_empty() { Bytes::from_static(b"{}") } else { body.clone() },
            client_context: request.client_context(),
            trace: request.trace().map(str::to_owned),
            caller: request.context.clone(),
            wants_log: request.wants_log(),
        };
        if let Some(served) = call::serve(&caller.instance, &callee, call).await {
            let done = Done::new(served.answer, served.outcome, CallSite::Inline, request_bytes);
            return Done { receipt: served.receipt, ..done };
        }
    }
    let answer = match send(caller, request, body).await {
        Ok(response) => collect(response).await,
        Err(refused) => refused,
    };
    let outcome = remote_outcome(&answer);
    Done::new(answer, outcome, CallSite::Remote, request_bytes)
}

impl Done {
    fn new(answer: Answer, outcome: CallOutcome, site: CallSite, request_bytes: usize) -> Self {
        let end_us = clock::now_us();
        Self { answer, receipt: Receipt::default(), outcome, site, request_bytes, end_us }
    }
}

/// The task that serves a call inside, if one may.
fn inline_callee(caller: &Caller, request: &ApiRequest, name: &FunctionName) -> Option<Arc<Task>> {
    let may = !request.is_qualified(name) && request.is_local(&caller.instance.settings, name);
    caller.instance.tasks.get(&name.name).filter(|_| may).cloned()
}

/// Passes on a request that is no invocation, or one whose answer is a stream.
async fn pass_on(caller: &Caller, request: &ApiRequest, body: Bytes) -> Response<AnyBody> {
    match send(caller, request, body).await {
        Ok(response) => response.map(|body| body.boxed_unsync()),
        Err(refused) => refused.into_response(),
    }
}

/// Sends a request out of the instance; what keeps it from being sent is an answer of its own.
async fn send(
    caller: &Caller,
    request: &ApiRequest,
    body: Bytes,
) -> Result<Response<Incoming>, Answer> {
    let mut headers = request.headers.clone();
    let lineage = request.context.as_ref().map(|context| &context.lineage);
    if let Some(trace) = request.trace() {
        let trace = lineage.map_or_else(|| trace.to_owned(), |lineage| lineage.join(trace));
        if let Ok(value) = HeaderValue::from_str(&trace) {
            headers.insert(AMZN_TRACE_ID, value);
        }
    }
    let outgoing = Outgoing {
        method: request.method.clone(),
        path: request.routed_path(&caller.instance.settings),
        headers,
        body,
        region: request.scope.region.clone(),
    };
    match caller.instance.forwarder.send(outgoing).await {
        Ok(mut response) => {
            response.headers_mut().remove(CONNECTION);
            response.headers_mut().remove(TRANSFER_ENCODING);
            Ok(response)
        }
        // The SDK tries again, as it does when it cannot reach Lambda itself.
        Err(error @ ForwardError::Send { .. }) => {
            Err(Answer::refusal(StatusCode::BAD_GATEWAY, "ServiceException", &error.to_string()))
        }
        Err(error) => {
            Err(Answer::refusal(StatusCode::FORBIDDEN, "AccessDeniedException", &error.to_string()))
        }
    }
}

/// An answer from outside, read to its end.
async fn collect(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Answer { status: head.status, headers: head.headers, body: body.to_bytes() },
        Err(error) => Answer::refusal(
            StatusCode::BAD_GATEWAY,
            "ServiceException",
            &format!("the answer from Lambda broke off: {error}"),
        ),
    }
}

/// How a call that was served outside ended.
fn remote_outcome(answer: &Answer) -> CallOutcome {
    if !answer.status.is_success() {
        return CallOutcome::Refused;
    }
    if !answer.headers.contains_key(FUNCTION_ERROR) {
        return CallOutcome::Ok;
    }
    match function_error_type(&answer.body).as_str() {
        "Sandbox.Timedout" => CallOutcome::Timeout,
        "Runtime.ExitError" | "Runtime.OutOfMemory" => CallOutcome::Crash,
        _ => CallOutcome::Error,
    }
}

fn record(
    caller: &Caller,
    request: &ApiRequest,
    callee: String,
    wanted: Wanted,
    done: &Done,
    sent: Option<&Bytes>,
) -> Record {
    let callee_request = done.answer.headers.get(AMZN_REQUEST_ID).and_then(|id| id.to_str().ok());
    // A refused call has a request id too, but caused no invocation.
    let caused = done.outcome != CallOutcome::Refused;
    let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    Record::Call(CallRecord {
        v: RECORD_VERSION,
        trace: trace::root(request.trace().unwrap_or_default()).to_owned(),
        function: caller.instance.settings.function.clone(),
        caller: caller.task.name.clone(),
        caller_request: request
            .context
            .as_ref()
            .map(|context| context.request_id.clone())
            .unwrap_or_default(),
        callee,
        callee_request: callee_request.filter(|_| caused).unwrap_or_default().to_owned(),
        kind: if wanted == Wanted::Event { CallKind::Async } else { CallKind::Sync },
        site: done.site,
        start_us: request.start_us,
        duration_us: done.end_us.saturating_sub(request.start_us),
        outcome: done.outcome,
        request_bytes: bytes(done.request_bytes),
        response_bytes: bytes(done.answer.body.len()),
        calls: None,
        request_payload: sent.map(|sent| RecordedPayload::of(sent, sent.len())),
        response_payload: sent
            .map(|_| RecordedPayload::of(&done.answer.body, done.answer.body.len())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_remote_call_ended_is_read_from_its_answer() {
        let answer = |status: u16, error: bool, body: &'static str| {
            let mut answer = Answer::empty(StatusCode::from_u16(status).unwrap());
            answer.body = Bytes::from_static(body.as_bytes());
            if error {
                answer.headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
            }
            remote_outcome(&answer)
        };
        assert_eq!(answer(200, false, "1"), CallOutcome::Ok);
        assert_eq!(answer(202, false, ""), CallOutcome::Ok);
        assert_eq!(answer(429, false, ""), CallOutcome::Refused);
        assert_eq!(answer(200, true, "\"x\""), CallOutcome::Error);
        assert_eq!(answer(200, true, r#"{"errorType":"Sandbox.Timedout"}"#), CallOutcome::Timeout);
        assert_eq!(answer(200, true, r#"{"errorType":"Runtime.ExitError"}"#), CallOutcome::Crash);
    }
}
