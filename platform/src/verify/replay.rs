//! What came of a request, from its answer and from the logs.

use std::collections::BTreeMap;

use optimizer::equivalence::{Body, CallMade, Replay};
use optimizer::workflow::CallKind;
use wire::payload::RecordedPayload;

use crate::assemble::{kind, outcome};
use crate::load::Sent;
use crate::logs::{Invocation, Logs};

/// What came of a request whose logs are complete, with names for the identifiers that the platform
/// gave.
pub(crate) fn replay(sent: &Sent, logs: &Logs) -> Replay {
    let mut names = BTreeMap::from([(sent.trace.clone(), "<trace id>".to_owned())]);
    let mut replay = Replay {
        status: sent.status,
        error: sent.function_error.clone(),
        payload: match &sent.not_json {
            Some(bytes) => Body::Bytes { start: bytes.clone(), length: bytes.len() as u64 },
            None => Body::Json(sent.answer.clone()),
        },
        calls: calls(logs.invocation(&sent.request_id), logs, &mut names),
    };
    replay.calls.extend(sent.attempts.iter().flatten().map(|attempt| CallMade {
        callee: attempt.task.0.clone(),
        kind: CallKind::Sync,
        outcome: attempt.outcome,
        // What passes between steps shows in the end result.
        request: Body::Bytes { start: Vec::new(), length: 0 },
        response: Body::Bytes { start: Vec::new(), length: 0 },
        calls: calls(logs.invocation(&attempt.request_id), logs, &mut names),
    }));
    replay.name(&names);
    replay
}

/// The calls made from an invocation, if there was one.
fn calls(
    invocation: Option<Invocation>,
    logs: &Logs,
    names: &mut BTreeMap<String, String>,
) -> Vec<CallMade> {
    let Some(invocation) = invocation else { return Vec::new() };
    names.insert(logs.request_id(invocation), "<request id>".to_owned());
    let made = logs.calls(invocation).into_iter();
    made.map(|call| CallMade {
        callee: call.callee.0.clone(),
        kind: kind(call.kind),
        outcome: outcome(call.outcome),
        request: body(call.request_payload, call.request_bytes),
        response: body(call.response_payload, call.response_bytes),
        calls: calls(call.invocation, logs, names),
    })
    .collect()
}

fn body(recorded: Option<&RecordedPayload>, length: u64) -> Body {
    match recorded {
        Some(payload) if payload.cut => Body::Bytes { start: payload.bytes(), length },
        Some(payload) => Body::whole(&payload.bytes()),
        None => Body::Bytes { start: Vec::new(), length },
    }
}

#[cfg(test)]
mod tests {
    use optimizer::execution::Outcome;
    use serde_json::json;
    use wire::record::{CallOutcome, CallRecord, CallSite, RECORD_VERSION, Record};

    use super::*;

    fn line(from: &str, callee: &str, to: &str, payload: Option<&[u8]>) -> String {
        Record::Call(CallRecord {
            v: RECORD_VERSION,
            trace: "1-0-0".into(),
            function: "a".into(),
            caller: "a".into(),
            caller_request: from.into(),
            callee: callee.into(),
            callee_request: to.into(),
            kind: wire::record::CallKind::Sync,
            site: CallSite::Inline,
            start_us: 0,
            duration_us: 0,
            outcome: CallOutcome::Error,
            request_bytes: 7,
            response_bytes: 0,
            calls: None,
            request_payload: payload.map(|bytes| RecordedPayload::of(bytes, bytes.len())),
            response_payload: payload.map(|_| RecordedPayload::of(b"", 0)),
        })
        .to_line()
    }

    #[test]
    fn calls_become_a_tree_with_the_payloads_that_are_known() {
        let logs =
            Logs::of(&[line("r1", "b", "r2", Some(b"{\"of\":\"r1\"}")), line("r2", "c", "", None)]);
        let sent = Sent {
            trace: "1-0-0".into(),
            request_id: "r1".into(),
            attempts: None,
            start_us: 0,
            latency_us: 0,
            outcome: Outcome::Ok,
            status: 200,
            function_error: None,
            answer: json!("r1 called r2 in 1-0-0"),
            not_json: None,
        };
        let got = replay(&sent, &logs);
        let named = json!("<request id> called <request id> in <trace id>");
        assert_eq!(got.payload, Body::Json(named));
        let [b] = got.calls.as_slice() else { panic!("{got:?}") };
        assert_eq!((b.callee.as_str(), b.outcome), ("b", Outcome::Error));
        assert_eq!(b.request, Body::Json(json!({"of": "<request id>"})));
        assert_eq!(b.response, Body::Bytes { start: Vec::new(), length: 0 });
        let [c] = b.calls.as_slice() else { panic!("{got:?}") };
        assert_eq!(c.request, Body::Bytes { start: Vec::new(), length: 7 });
        assert!(c.calls.is_empty());
    }
}
