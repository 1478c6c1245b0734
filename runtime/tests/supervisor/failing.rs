//! Callees that fail: the caller is told as by Lambda, and goes on.

use serde_json::{Value, json};
use wire::record::{CallOutcome, CallSite};

use crate::support::{Bundle, Function, Invoked};

/// Calls `b` with `payload` and then once more, plainly; the second call must work.
async fn call_twice(function: &mut Function, payload: Value) -> Invoked {
    let calls =
        json!([{ "function": "b", "payload": payload }, { "function": "b", "payload": {} }]);
    let invoked = function.invoke(json!({ "calls": calls })).await;
    assert_eq!(invoked.record.outcome, CallOutcome::Ok, "{:?}", invoked.posted);
    assert_eq!(invoked.call(1)["payload"]["function"], "b", "{}", invoked.body);
    assert!(invoked.calls.iter().all(|call| call.site == CallSite::Inline), "{:?}", invoked.calls);
    assert_eq!(invoked.calls[1].outcome, CallOutcome::Ok);
    assert_eq!(invoked.call(0)["status"], 200);
    assert_eq!(invoked.call(0)["function_error"], "Unhandled");
    invoked
}

#[tokio::test]
async fn a_function_error_is_the_callers_to_handle() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let invoked = call_twice(&mut function, json!({ "fail": "no such order" })).await;
    assert_eq!(invoked.call(0)["payload"]["errorMessage"], "no such order");
    assert_eq!(invoked.calls[0].outcome, CallOutcome::Error);
    let processes = function.invoke(json!({ "calls": [{ "function": "b", "payload": {} }] })).await;
    assert_eq!(processes.call(0)["payload"]["process"], invoked.call(1)["payload"]["process"]);
}

#[tokio::test]
async fn a_crash_stays_the_callees() {
    // One process only: the one that crashed must have made room.
    let bundle = Bundle::of(&["a", "b"]).with("b", |task| task.processes = 1);
    let mut function = bundle.start().await;
    let invoked = call_twice(&mut function, json!({ "exit": 3 })).await;
    let record = &invoked.calls[0];
    let message = format!(
        "RequestId: {} Error: Runtime exited with error: exit status 3",
        record.callee_request
    );
    assert_eq!(
        invoked.call(0)["payload"],
        json!({ "errorType": "Runtime.ExitError", "errorMessage": message })
    );
    assert_eq!(record.outcome, CallOutcome::Crash);
}

#[tokio::test]
async fn a_callee_that_takes_too_long_is_ended() {
    let bundle = Bundle::of(&["a", "b"]).with("b", |task| {
        task.processes = 1;
        task.timeout_ms = 1500;
    });
    let mut function = bundle.start().await;
    let invoked = call_twice(&mut function, json!({ "sleep_ms": 60_000 })).await;
    let record = &invoked.calls[0];
    let message =
        format!("RequestId: {} Error: Task timed out after 1.50 seconds", record.callee_request);
    assert_eq!(
        invoked.call(0)["payload"],
        json!({ "errorType": "Sandbox.Timedout", "errorMessage": message })
    );
    assert_eq!(record.outcome, CallOutcome::Timeout);
    assert!(record.duration_us >= 1_500_000);
}

#[tokio::test]
async fn a_callee_that_cannot_start_does_not_take_its_caller_along() {
    let bundle = Bundle::of(&["a", "b"]).with("b", |task| task.command = vec!["/bin/false".into()]);
    let mut function = bundle.start().await;
    let event = json!({ "calls": [{ "function": "b", "payload": {} }] });
    for _ in 0..2 {
        let invoked = function.invoke(event.clone()).await;
        assert_eq!(invoked.record.outcome, CallOutcome::Ok);
        assert_eq!(invoked.call(0)["function_error"], "Unhandled");
        let error = &invoked.call(0)["payload"];
        assert_eq!(error["errorType"], "Runtime.ExitError");
        assert!(error["errorMessage"].as_str().unwrap().ends_with("exit status 1"), "{error}");
        assert_eq!(invoked.calls[0].outcome, CallOutcome::Crash);
    }
}

#[tokio::test]
async fn a_payload_or_result_beyond_lambdas_limit_is_refused() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let invoked = call_twice(&mut function, json!({ "pad_bytes": 6_300_000 })).await;
    assert_eq!(invoked.call(0)["payload"]["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(invoked.calls[0].outcome, CallOutcome::Error);

    // The caller builds the large payload itself, or its own event would be too large.
    let large = "x".repeat(6_300_000);
    let event = json!({ "calls": [{ "function": "b", "payload": { "print": large } }] });
    let invoked = function.invoke(event).await;
    assert_eq!(invoked.call(0)["code"], "RequestTooLargeException");
    assert_eq!(invoked.call(0)["status"], Value::Null);
}

#[tokio::test]
async fn an_unusable_payload_is_refused_before_anything_runs() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let invoked = function
        .invoke(json!({ "calls": [{ "function": "b", "payload": { "unknown": 1 } }] }))
        .await;
    // JSON, but not what the probe takes: the callee's own error.
    assert_eq!(invoked.call(0)["function_error"], "Unhandled");
    assert_eq!(invoked.calls[0].outcome, CallOutcome::Error);
}
