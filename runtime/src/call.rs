//! A call served inside: the callee's invocation in one of its processes, and what came of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use uuid::Uuid;
use wire::record::CallOutcome;

use crate::call_log::CallLog;
use crate::clock;
use crate::exit::Exit;
use crate::instance::{Growth, Instance};
use crate::message::{
    AMZN_REQUEST_ID, Answer, CLIENT_CONTEXT, EXECUTED_VERSION, FUNCTION_ERROR, FUNCTION_ERROR_BODY,
    FUNCTION_ERROR_TYPE, INVOKED_ARN, LOG_RESULT, MAX_RESPONSE_BYTES, REQUEST_ID, Read, TRACE_ID,
    function_error_body, read,
};
use crate::pool::{Context, Deadline, Ended, Job, Posted, PostedKind, ProcessId};
use crate::runtime_api;
use crate::task::Task;
use crate::trace;

/// Longest that a process may take to ask for its first invocation, in milliseconds, as on Lambda.
const INIT_LIMIT_MS: u64 = 10_000;

/// A process that has ended without being noticed gives its invocation back; so often.
const MAX_PROCESSES_TRIED: u32 = 3;

/// What a caller sends to a callee.
pub(crate) struct Call {
    pub(crate) request_id: Uuid,
    pub(crate) payload: Bytes,
    /// As the callee gets it: JSON.
    pub(crate) client_context: Option<HeaderValue>,
    pub(crate) trace: Option<String>,
    /// The caller's invocation; none while the caller is starting.
    pub(crate) caller: Option<Arc<Context>>,
    /// Whether the caller wants the end of the callee's log.
    pub(crate) wants_log: bool,
}

/// What came of a call.
pub(crate) struct Served {
    pub(crate) answer: Answer,
    pub(crate) outcome: CallOutcome,
    /// For the callee, after the caller has its answer.
    pub(crate) receipt: Receipt,
}

/// What the callee's process is still to be told.
#[derive(Default)]
pub(crate) struct Receipt(Option<(oneshot::Sender<Answer>, Answer)>);

impl Receipt {
    /// Tells it.
    pub(crate) fn give(self) {
        if let Some((process, said)) = self.0 {
            let _ = process.send(said);
        }
    }
}

/// The end of an invocation, before it is put into an answer's form.
struct End {
    outcome: CallOutcome,
    payload: Bytes,
    receipt: Receipt,
}

impl End {
    /// An end that the supervisor states in the callee's place.
    fn stated(outcome: CallOutcome, kind: &str, message: &str) -> Self {
        Self { outcome, payload: function_error_body(kind, message), receipt: Receipt::default() }
    }

    fn crash(request_id: &str, exit: &Exit) -> Self {
        let payload = exit.body(request_id);
        Self { outcome: CallOutcome::Crash, payload, receipt: Receipt::default() }
    }
}

/// Serves a call in a process of `callee`. `None` if no process is free and there may be no more.
pub(crate) async fn serve(
    instance: &Arc<Instance>,
    callee: &Arc<Task>,
    call: Call,
) -> Option<Served> {
    let request_id = call.request_id.to_string();
    let latest_ms = call.caller.as_ref().map_or(u64::MAX, |caller| caller.deadline_ms);
    for _ in 0..MAX_PROCESSES_TRIED {
        let started_ms = clock::now_ms();
        let (ended, wait) = oneshot::channel();
        let job = job(callee, &call, &request_id, latest_ms, ended);
        let process = instance.dispatch(callee, Box::new(job), Growth::Limited).ok()?;
        let running = Running { callee, process, request_id: &request_id, started_ms, latest_ms };
        let log = call.wants_log.then(|| CallLog::start(callee, process)).flatten();
        let end = match running.ended(wait).await {
            None => running.time_out(),
            Some(Ended::NotTaken) => continue,
            Some(Ended::Answered(posted)) => running.read(posted).await,
            Some(Ended::Exited(exit)) => End::crash(&request_id, &exit),
            Some(Ended::InitFailed(failure)) => End {
                outcome: CallOutcome::Crash,
                payload: failure.body,
                receipt: Receipt::default(),
            },
        };
        let mut served = served(end, &request_id, &callee.version);
        if let Some(log) = log {
            let text = log.end(callee, &request_id, served.outcome);
            served.answer.headers.insert(LOG_RESULT, text);
        }
        return Some(served);
    }
    None
}

/// The callee's invocation as its runtime gets it.
fn job(
    callee: &Task,
    call: &Call,
    request_id: &str,
    latest_ms: u64,
    ended: oneshot::Sender<Ended>,
) -> Job {
    let caller_arn = call.caller.as_ref().and_then(|caller| caller.arn.as_deref());
    let arn = caller_arn.and_then(|arn| sibling_arn(arn, &callee.name, &callee.version));
    let trace = call.trace.as_deref().map(|caller| trace::for_callee(caller, call.request_id));
    let mut headers = HeaderMap::with_capacity(8);
    let texts = [
        (REQUEST_ID, Some(request_id)),
        (INVOKED_ARN, arn.as_deref()),
        (TRACE_ID, trace.as_deref()),
    ];
    for (name, text) in texts {
        // Only what came in a header is not plain ASCII, and that is a header's value already.
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    if let Some(context) = &call.client_context {
        headers.insert(CLIENT_CONTEXT, context.clone());
    }
    let lineage = call.caller.as_ref().map(|caller| caller.lineage.with(&callee.name));
    Job {
        request_id: request_id.to_owned(),
        lineage: lineage.unwrap_or_default(),
        trace,
        arn,
        deadline: Deadline::After { timeout_ms: callee.timeout_ms, latest_ms },
        headers,
        payload: call.payload.clone(),
        ended,
    }
}

/// The ARN that a task's own function would be invoked by, in the account and region of `arn`.
fn sibling_arn(arn: &str, name: &str, version: &str) -> Option<String> {
    let prefix: Vec<&str> = arn.split(':').take(6).collect();
    let unqualified = format!("{}:{name}", prefix.join(":"));
    (prefix.len() == 6).then(|| match version {
        "$LATEST" => unqualified,
        version => format!("{unqualified}:{version}"),
    })
}

/// An invocation that a process was given.
struct Running<'a> {
    callee: &'a Task,
    process: ProcessId,
    request_id: &'a str,
    started_ms: u64,
    latest_ms: u64,
}

impl Running<'_> {
    /// Waits for the end, or until the time for it is up.
    async fn ended(&self, mut wait: oneshot::Receiver<Ended>) -> Option<Ended> {
        let mut until_ms = self.allowed_until_ms(self.callee.timeout_ms);
        loop {
            if let Ok(ended) = timeout_at(clock::instant_at(until_ms), &mut wait).await {
                return Some(ended.unwrap_or(Ended::NotTaken));
            }
            // The time counts from when the process took it, which is known only now.
            let deadline_ms = self.callee.pool.deadline_ms(self.process, self.request_id);
            until_ms = deadline_ms.unwrap_or_else(|| self.allowed_until_ms(INIT_LIMIT_MS));
            if until_ms <= clock::now_ms() {
                return None;
            }
        }
    }

    fn allowed_until_ms(&self, duration_ms: u64) -> u64 {
        self.started_ms.saturating_add(duration_ms).min(self.latest_ms)
    }

    /// Ends the process, as Lambda ends an instance whose time is up.
    fn time_out(&self) -> End {
        self.callee.pool.kill(self.process);
        let allowed_ms = self.allowed_until_ms(self.callee.timeout_ms) - self.started_ms;
        let message = format!(
            "RequestId: {} Error: Task timed out after {}.{:02} seconds",
            self.request_id,
            allowed_ms / 1000,
            allowed_ms % 1000 / 10
        );
        End::stated(CallOutcome::Timeout, "Sandbox.Timedout", &message)
    }

    /// Reads a process's answer and makes the process free again.
    async fn read(&self, posted: Posted) -> End {
        let Posted { kind, headers: _, body, receipt } = posted;
        let deadline_ms = self.callee.pool.deadline_ms(self.process, self.request_id);
        let until = clock::instant_at(deadline_ms.unwrap_or(self.latest_ms));
        let Ok(body) = timeout_at(until, read(body, MAX_RESPONSE_BYTES)).await else {
            return self.time_out();
        };
        self.callee.pool.release(self.process);
        let accepted = Receipt(Some((receipt, runtime_api::accepted())));
        match body {
            Ok(Read::Whole(payload, trailers)) => match trailers.get(FUNCTION_ERROR_TYPE) {
                Some(kind) => End {
                    outcome: CallOutcome::Error,
                    payload: streamed_error(kind, &trailers),
                    receipt: accepted,
                },
                None => End { outcome: outcome(kind), payload, receipt: accepted },
            },
            Ok(Read::TooLarge) => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
                );
                let mut end =
                    End::stated(CallOutcome::Error, "Function.ResponseSizeTooLarge", &message);
                end.receipt.0 = accepted.0.map(|(to, _)| (to, runtime_api::too_large()));
                end
            }
            Err(_) => End::crash(self.request_id, &Exit::unexplained()),
        }
    }
}

fn outcome(kind: PostedKind) -> CallOutcome {
    match kind {
        PostedKind::Response => CallOutcome::Ok,
        PostedKind::Error => CallOutcome::Error,
    }
}

/// The error of a response that failed while it was streamed, from its trailers.
fn streamed_error(kind: &HeaderValue, trailers: &HeaderMap) -> Bytes {
    let body = trailers.get(FUNCTION_ERROR_BODY);
    match body.and_then(|body| BASE64_STANDARD.decode(body).ok()) {
        Some(body) => body.into(),
        None => function_error_body(&String::from_utf8_lossy(kind.as_bytes()), ""),
    }
}

/// An end in the form that Lambda gives it.
fn served(end: End, request_id: &str, version: &str) -> Served {
    let mut answer = Answer { body: end.payload, ..Answer::empty(StatusCode::OK) };
    answer.headers.insert(http::header::CONTENT_TYPE, crate::message::JSON);
    for (name, text) in [(EXECUTED_VERSION, version), (AMZN_REQUEST_ID, request_id)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            answer.headers.insert(name, value);
        }
    }
    if end.outcome != CallOutcome::Ok {
        answer.headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    Served { answer, outcome: end.outcome, receipt: end.receipt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_siblings_arn_has_its_name_and_the_version_it_is_pinned_to() {
        for (arn, expect) in [
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:a",
                Some("arn:aws:lambda:eu-west-1:123456789012:function:b"),
            ),
            ("arn:aws-cn:lambda:x:1:function:a:live", Some("arn:aws-cn:lambda:x:1:function:b")),
            ("a", None),
        ] {
            assert_eq!(sibling_arn(arn, "b", "$LATEST").as_deref(), expect, "{arn}");
            let pinned = expect.map(|arn| format!("{arn}:3"));
            assert_eq!(sibling_arn(arn, "b", "3"), pinned, "{arn}");
        }
    }

    #[test]
    fn a_streamed_error_is_decoded() {
        let kind = HeaderValue::from_static("Runtime.X");
        let mut trailers = HeaderMap::new();
        assert_eq!(streamed_error(&kind, &trailers), function_error_body("Runtime.X", ""));
        trailers.insert(FUNCTION_ERROR_BODY, HeaderValue::from_static("eyJhIjoxfQ=="));
        assert_eq!(streamed_error(&kind, &trailers), "{\"a\":1}");
    }
}
