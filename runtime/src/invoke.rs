//! The Lambda API as a child sees it: calls to tasks of the bundle are served inside, everything else
//! leaves.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;
use wire::function_name::FunctionName;
use wire::record::{CallKind, CallOutcome, CallRecord, CallSite, RECORD_VERSION, Record};

use crate::attempts::Attempt;
use crate::call::{self, Call, Receipt};
use crate::clock;
use crate::forward::{ForwardError, Outgoing, Scope};
use crate::message::{
    AMZN_REQUEST_ID, AMZN_TRACE_ID, Answer, AnyBody, FUNCTION_ERROR, MAX_REQUEST_BYTES, Read,
    function_error_type, read,
};
use crate::pool::Context;
use crate::server::Caller;
use crate::task::Task;
use crate::trace;

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
const INVOCATION_ID: HeaderName = HeaderName::from_static("amz-sdk-invocation-id");

/// Largest request of the Lambda API, in bytes: a function's code.
const MAX_OTHER_BYTES: usize = 70 << 20;

/// What an invocation asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    Result,
    Event,
    DryRun,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        match headers.get(INVOCATION_TYPE).map(HeaderValue::as_bytes) {
            Some(b"Event") => Self::Event,
            Some(b"DryRun") => Self::DryRun,
            _ => Self::Result,
        }
    }
}

/// A request of a child to the Lambda API.
struct ApiRequest {
    method: Method,
    /// Path without doubled slashes, and query.
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    scope: Scope,
    context: Option<Arc<Context>>,
    /// The function it is about, if it invokes one.
    function: Option<FunctionName>,
    start_us: u64,
}

/// Serves one request.
pub(crate) async fn serve(caller: &Caller, request: Request<Incoming>) -> Response<AnyBody> {
    let start_us = clock::now_us();
    let (head, body) = request.into_parts();
    let path = single_slashes(head.uri.path());
    let request = ApiRequest {
        function: invoked(&path),
        scope: Scope::of(&head.headers),
        context: caller.context(),
        method: head.method,
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        path,
        start_us,
    };
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
            let mut done = make(&caller, &request, callee, request_id, body, &function.name).await;
            caller.instance.attempts.finish(&key, &done.answer);
            std::mem::take(&mut done.receipt).give();
            if wanted != Wanted::DryRun {
                let record = record(&caller, &request, function.name, wanted, &done);
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
            client_context: client_context(&request.headers),
            trace: request.trace().map(str::to_owned),
            caller: request.context.clone(),
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

impl ApiRequest {
    /// The trace header that the request carries on.
    fn trace(&self) -> Option<&str> {
        let sent = self.headers.get(AMZN_TRACE_ID).and_then(|value| value.to_str().ok());
        let current = self.context.as_ref().and_then(|context| context.trace.as_deref());
        trace::of_call(sent, current)
    }

    /// Whether a function name, given as it is, means a function of this account and region.
    fn is_local(&self, caller: &Caller, name: &FunctionName) -> bool {
        let own_region = caller.instance.settings.region.as_deref();
        let own_account =
            self.context.as_ref().and_then(|context| context.arn.as_deref()?.split(':').nth(4));
        let same =
            |other: &Option<String>, own: Option<&str>| other.is_none() || other.as_deref() == own;
        same(&name.account, own_account)
            && same(&name.region, own_region)
            // A client for another region means the function of that region.
            && (own_region.is_none() || same(&self.scope.region, own_region))
    }

    /// Whether the call names a version or an alias.
    fn is_qualified(&self, name: &FunctionName) -> bool {
        let query = self.query.as_deref().unwrap_or_default();
        name.qualifier.is_some()
            || query.split('&').any(|pair| pair.split('=').next() == Some("Qualifier"))
    }
}

/// The task that serves a call inside, if one may.
fn inline_callee(caller: &Caller, request: &ApiRequest, name: &FunctionName) -> Option<Arc<Task>> {
    let may = !request.is_qualified(name) && request.is_local(caller, name);
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
    if let Some(value) = request.trace().and_then(|trace| HeaderValue::from_str(trace).ok()) {
        headers.insert(AMZN_TRACE_ID, value);
    }
    let outgoing = Outgoing {
        method: request.method.clone(),
        path: routed_path(caller, request),
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
        // Nobody has executed anything, so the SDK may try again.
        Err(error @ ForwardError::Send { .. }) => {
            Err(Answer::refusal(StatusCode::BAD_GATEWAY, "ServiceException", &error.to_string()))
        }
        Err(error) => {
            Err(Answer::refusal(StatusCode::FORBIDDEN, "AccessDeniedException", &error.to_string()))
        }
    }
}

/// Path and query of a request that leaves, pinned to the version that its function's route names.
fn routed_path(caller: &Caller, request: &ApiRequest) -> String {
    let mut path = request.path.clone();
    let mut separator = '?';
    if let Some(query) = &request.query {
        path = format!("{path}?{query}");
        separator = '&';
    }
    let route = request
        .function
        .as_ref()
        .filter(|name| !request.is_qualified(name) && request.is_local(caller, name))
        .and_then(|name| caller.instance.settings.routes.get(&name.name));
    if let Some(qualifier) = route {
        let qualifier = utf8_percent_encode(qualifier, NON_ALPHANUMERIC);
        path = format!("{path}{separator}Qualifier={qualifier}");
    }
    path
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
    })
}

/// The client context as a callee gets it: what the caller sent, decoded from base64.
fn client_context(headers: &HeaderMap) -> Option<HeaderValue> {
    let decoded = BASE64_STANDARD.decode(headers.get(CLIENT_CONTEXT)?).ok()?;
    HeaderValue::from_bytes(&decoded).ok()
}

/// Some SDKs put two slashes after an endpoint.
fn single_slashes(path: &str) -> String {
    let mut single = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !single.ends_with('/') {
            single.push(character);
        }
    }
    single
}

/// The function that a path invokes.
fn invoked(path: &str) -> Option<FunctionName> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["2015-03-31", "functions", name, "invocations"]
        | ["2021-11-15", "functions", name, "response-streaming-invocations"] => {
            FunctionName::parse(name).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocations_are_recognised_by_their_path() {
        for (path, expect) in [
            ("/2015-03-31/functions/b/invocations", Some("b")),
            ("//2015-03-31/functions/b/invocations", Some("b")),
            ("/2015-03-31/functions/b%3Alive/invocations", Some("b:live")),
            ("/2021-11-15/functions/b/response-streaming-invocations", Some("b")),
            ("/2015-03-31/functions/b", None),
            ("/2015-03-31/functions/../invocations", None),
        ] {
            let got = invoked(&single_slashes(path)).map(|name| name.to_string());
            assert_eq!(got.as_deref(), expect, "{path}");
        }
    }

    #[test]
    fn the_client_context_is_decoded_or_left_out() {
        let context = |text: &'static str| {
            client_context(&HeaderMap::from_iter([(
                CLIENT_CONTEXT,
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(context("eyJhIjoxfQ=="), Some(HeaderValue::from_static("{\"a\":1}")));
        assert_eq!(context("not base64"), None);
        assert_eq!(client_context(&HeaderMap::new()), None);
    }

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
