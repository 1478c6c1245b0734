//! Callees that fail: the caller is told as by Lambda, and goes on.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use wire::record::{CallOutcome, CallSite};

use crate::support::{Bundle, Function, Invoked, REQUESTER, python, within};

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

/// The start of a language runtime, in Python.
const RUNTIME: &str = r#"
import http.client, os, subprocess, sys
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
prefix = "/2018-06-01/runtime/"
def next_event():
    api.request("GET", prefix + "invocation/next")
    event = api.getresponse()
    return event.headers["Lambda-Runtime-Aws-Request-Id"], event.read()
def post(path, body, headers={}):
    api.request("POST", prefix + path, body, headers)
    answer = api.getresponse()
    return answer.status, answer.read()
"#;

/// Calls `b`, a script or another program, as often as payloads are given, and returns status,
/// function error and body of each answer.
async fn call_other(
    name: &str,
    b: &[&str],
    payloads: &[&str],
) -> Option<Vec<(u64, Option<String>, String)>> {
    let a = python(name, REQUESTER)?;
    let b = match b {
        ["script", script] => python(name, &format!("{RUNTIME}{script}"))?,
        command => command.iter().map(|&word| word.to_owned()).collect(),
    };
    let bundle = Bundle::of(&["a", "b"]).with("a", |task| task.command = a).with("b", |task| {
        task.command = b;
        task.timeout_ms = 4000;
        task.processes = 1;
    });
    let mut function = bundle.start().await;
    let mut answers = Vec::new();
    for payload in payloads {
        let request = json!({ "path": "/2015-03-31/functions/b/invocations", "body": payload });
        let invoked = function.invoke(json!([request])).await;
        assert_eq!(invoked.record.outcome, CallOutcome::Ok, "{:?}", invoked.posted);
        assert_eq!(invoked.calls[0].site, CallSite::Inline);
        let answer = &invoked.body[0];
        let error = answer["headers"]["x-amz-function-error"].as_str().map(str::to_owned);
        let body = answer["body"].as_str().unwrap();
        let body = body.replace(&invoked.calls[0].callee_request, "ID");
        answers.push((answer["status"].as_u64().unwrap(), error, body));
    }
    Some(answers)
}

/// Checks that every call of `b` ends with this error.
async fn check_error(name: &str, b: &[&str], kind: &str, message: &str) {
    let Some(answers) = call_other(name, b, &["{}", "{}"]).await else { return };
    let body =
        format!(r#"{{"errorType":"{kind}","errorMessage":"RequestId: ID Error: {message}"}}"#);
    let expect = (200, Some("Unhandled".to_owned()), body);
    assert_eq!(answers, [expect.clone(), expect]);
}

#[tokio::test]
async fn a_callees_missing_program_or_interpreter_is_named() {
    let name = "a_callees_missing_program_or_interpreter_is_named";
    let kind = "Runtime.InvalidEntrypoint";
    let message = "fork/exec ./bootstrap: no such file or directory";
    check_error(name, &["./bootstrap"], kind, message).await;

    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let script = script.display().to_string();
    for (mode, reason) in [(0o755, "no such file or directory"), (0o644, "permission denied")] {
        std::fs::set_permissions(&script, PermissionsExt::from_mode(mode)).unwrap();
        check_error(name, &[&script], kind, &format!("fork/exec {script}: {reason}")).await;
    }
}

#[tokio::test]
async fn what_a_callee_reports_about_its_start_is_what_its_caller_gets() {
    let report = r#"{"errorMessage":"Handler 'x' missing on module 'app'","errorType":"Runtime.HandlerNotFound"}"#;
    let script = format!(
        "post('init/error', r\"\"\"{report}\"\"\", {{'Lambda-Runtime-Function-Error-Type': 'Runtime.HandlerNotFound'}})"
    );
    let name = "what_a_callee_reports_about_its_start_is_what_its_caller_gets";
    let Some(answers) = call_other(name, &["script", &script], &["{}", "{}"]).await else { return };
    let expect = (200, Some("Unhandled".to_owned()), report.to_owned());
    assert_eq!(answers, [expect.clone(), expect]);
}

#[tokio::test]
async fn a_callee_that_leaves_without_an_answer_has_ended() {
    let name = "a_callee_that_leaves_without_an_answer_has_ended";
    let kind = "Runtime.ExitError";
    let message = "Runtime exited without providing a reason";
    check_error(name, &["script", "sys.exit(0)"], kind, message).await;
    check_error(name, &["script", "next_event(); sys.exit(0)"], kind, message).await;
    // What it leaves behind cannot answer in its place.
    let script = r#"
id, _ = next_event()
parent = os.getpid()
if os.fork(): os._exit(0)
os.setsid()
while os.path.exists(f"/proc/{parent}"): os.sched_yield()
post(f"invocation/{id}/response", "1")
"#;
    check_error(name, &["script", script], kind, message).await;
}

#[tokio::test]
async fn a_callee_that_leaves_after_its_answer_has_answered() {
    let script = r#"
id, event = next_event()
assert post(f"invocation/{id}/response", event) == (202, b'{"status":"OK"}\n')
if os.fork(): os._exit(0)
"#;
    let name = "a_callee_that_leaves_after_its_answer_has_answered";
    let Some(answers) = call_other(name, &["script", script], &["1", "2"]).await else { return };
    assert_eq!(answers, [(200, None, "1".to_owned()), (200, None, "2".to_owned())]);
}

#[tokio::test]
async fn what_a_callee_started_ends_with_it() {
    let script = r#"
id, event = next_event()
started = subprocess.Popen(["sleep", "1000"]).pid if event == b"1" else 0
post(f"invocation/{id}/response", str(started))
sys.exit(0)
"#;
    let name = "what_a_callee_started_ends_with_it";
    // The second call is served by another process, so the first one has ended by then.
    let Some(answers) = call_other(name, &["script", script], &["1", "2"]).await else { return };
    let stat = format!("/proc/{}/stat", answers[0].2);
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let gone = async {
        while runs() {
            tokio::task::yield_now().await;
        }
    };
    within(gone).await;
}

#[tokio::test]
async fn a_callee_that_asks_for_more_instead_of_answering_times_out() {
    let script = "next_event()\nnext_event()";
    let name = "a_callee_that_asks_for_more_instead_of_answering_times_out";
    let message = "Task timed out after 4.00 seconds";
    check_error(name, &["script", script], "Sandbox.Timedout", message).await;
}

#[tokio::test]
async fn a_reply_that_is_no_json_is_passed_on_as_it_is() {
    let script = r#"
for reply in ["<b>", "", "{"]:
    id, _ = next_event()
    post(f"invocation/{id}/response", reply)
"#;
    let name = "a_reply_that_is_no_json_is_passed_on_as_it_is";
    let Some(answers) = call_other(name, &["script", script], &["1", "2", "3"]).await else {
        return;
    };
    let expect = ["<b>", "", "{"].map(|reply| (200, None, reply.to_owned()));
    assert_eq!(answers, expect);
}

#[tokio::test]
async fn a_runtime_that_is_refused_can_go_on() {
    // On the same connection: an answer that nobody waits for, then the one that is due.
    let script = r#"
while True:
    id, event = next_event()
    status, said = post("invocation/nobody/response", "x" * 100000)
    assert (status, said) == (400, b'{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}')
    post(f"invocation/{id}/response", event)
"#;
    let name = "a_runtime_that_is_refused_can_go_on";
    let Some(answers) = call_other(name, &["script", script], &["1", "2"]).await else { return };
    assert_eq!(answers, [(200, None, "1".to_owned()), (200, None, "2".to_owned())]);
}
