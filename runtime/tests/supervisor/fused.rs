//! Calls served inside.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wire::record::{CallKind, CallOutcome, CallSite, RECORD_VERSION};

use crate::support::{ARN, Bundle, TRACE_ROOT, python};

#[tokio::test]
async fn a_call_to_a_task_of_the_bundle_is_served_inside() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let invoked = function
        .invoke(json!({ "calls": [{ "function": "b", "payload": { "pad_bytes": 5 } }] }))
        .await;
    let call = invoked.call(0);
    assert_eq!(call["status"], 200);
    assert_eq!(call["function_error"], Value::Null);
    assert_eq!(call["executed_version"], "$LATEST");
    assert_eq!(call["payload"]["function"], "b");
    assert_eq!(call["payload"]["padding"], "xxxxx");
    assert_ne!(call["payload"]["process"], invoked.body["process"]);
    assert!(function.fake.received().is_empty(), "nothing leaves");

    let [record] = invoked.calls.as_slice() else { panic!("{:?}", invoked.calls) };
    assert_eq!(
        (record.v, record.kind, record.site),
        (RECORD_VERSION, CallKind::Sync, CallSite::Inline)
    );
    assert_eq!((record.caller.as_str(), record.callee.as_str()), ("a", "b"));
    assert_eq!((record.function.as_str(), record.outcome), ("a", CallOutcome::Ok));
    assert_eq!(record.caller_request, invoked.request_id);
    assert_eq!(call["payload"]["request_id"], record.callee_request);
    assert_eq!(record.trace, TRACE_ROOT);
    assert_eq!(record.request_bytes, 15);
    assert!(record.response_bytes > 100);
    assert!(record.start_us >= invoked.record.start_us);
    assert!(record.duration_us <= invoked.record.duration_us);
}

#[tokio::test]
async fn records_of_nested_calls_form_a_tree() {
    let mut function = Bundle::of(&["a", "b", "c"]).start().await;
    let to_c = json!({ "calls": [{ "function": "c", "payload": {} }, { "function": "c", "payload": {} }] });
    let invoked = function.invoke(json!({ "calls": [{ "function": "b", "payload": to_c }] })).await;
    let edges: Vec<_> =
        invoked.calls.iter().map(|call| (call.caller.as_str(), call.callee.as_str())).collect();
    // A record is written when its call has ended, so the outer one comes last.
    assert_eq!(edges, [("b", "c"), ("b", "c"), ("a", "b")]);
    let [first, second, outer] = invoked.calls.as_slice() else { unreachable!() };
    assert_eq!(first.caller_request, outer.callee_request);
    assert_eq!(second.caller_request, outer.callee_request);
    assert_ne!(first.callee_request, second.callee_request);
    assert!(invoked.calls.iter().all(|call| call.trace == TRACE_ROOT));
}

#[tokio::test]
async fn every_task_has_its_own_environment() {
    let names = [
        "OWN_NAME",
        "_HANDLER",
        "LAMBDA_TASK_ROOT",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "TMPDIR",
        "NO_PROXY",
        "FUSELINE_ROUTES",
        "_LAMBDA_TELEMETRY_LOG_FD",
    ];
    let mut function = Bundle::of(&["a", "b"]).variable("FUSELINE_ROUTES", "{}").start().await;
    let ask = json!({ "environment": names });
    let event = json!({ "environment": names, "calls": [{ "function": "b", "payload": ask }] });
    let invoked = function.invoke(event).await;
    let answers = [("a", "7", &invoked.body), ("b", "$LATEST", &invoked.call(0)["payload"])];
    for (task, version, answer) in answers {
        let directory = function.directory(task).display().to_string();
        let temporary =
            function.folder.path().join(format!("fuseline-{task}")).display().to_string();
        let expect = json!([
            task,
            format!("{task}.handler"),
            function.folder.path().join("tasks").join(task),
            task,
            "256",
            version,
            format!("/aws/lambda/{task}"),
            temporary,
            "127.0.0.1,localhost",
            null,
            null
        ]);
        assert_eq!(answer["environment"], expect);
        assert_eq!(answer["directory"], directory);
    }
}

#[tokio::test]
async fn a_callee_that_calls_its_caller_gets_a_process_of_its_own() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let to_a = json!({ "calls": [{ "function": "a", "payload": {} }] });
    let invoked = function.invoke(json!({ "calls": [{ "function": "b", "payload": to_a }] })).await;
    let inner = &invoked.call(0)["payload"]["calls"][0];
    assert_eq!(inner["payload"]["function"], "a", "{inner}");
    assert_ne!(inner["payload"]["process"], invoked.body["process"]);
    assert_eq!(invoked.calls.len(), 2);
    assert!(invoked.calls.iter().all(|call| call.site == CallSite::Inline));
}

#[tokio::test]
async fn without_a_second_process_the_inner_call_leaves_instead_of_waiting_for_its_caller() {
    let bundle = Bundle::of(&["a", "b"]).with("a", |task| task.processes = 1);
    let mut function = bundle.start().await;
    let to_a = json!({ "calls": [{ "function": "a", "payload": {} }] });
    let invoked = function.invoke(json!({ "calls": [{ "function": "b", "payload": to_a }] })).await;
    assert_eq!(invoked.call(0)["payload"]["calls"][0]["payload"], json!({ "remote": true }));
    let sites: Vec<_> = invoked.calls.iter().map(|call| call.site).collect();
    assert_eq!(sites, [CallSite::Remote, CallSite::Inline]);
}

#[tokio::test]
async fn parallel_calls_use_every_process_and_the_rest_leave() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    // Long enough that all have arrived before the first is answered.
    let payload = json!({ "sleep_ms": 2000 });
    let event = json!({ "calls": [{ "function": "b", "payload": payload, "parallel": 20 }] });
    let invoked = function.invoke(event).await;
    let answers = invoked.body["calls"].as_array().unwrap();
    assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
    let processes: BTreeSet<_> =
        answers.iter().filter_map(|answer| answer["payload"]["process"].as_u64()).collect();
    assert_eq!(processes.len(), 4);
    let inline = invoked.calls.iter().filter(|call| call.site == CallSite::Inline).count();
    assert_eq!((inline, invoked.calls.len()), (4, 20));
    assert_eq!(function.fake.received().len(), 16);
}

#[tokio::test]
async fn the_callees_invocation_is_derived_from_the_callers() {
    // A callee that writes down what it is told, in place of a language runtime.
    let script = r#"import json, os, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    event = urllib.request.urlopen(base + "next")
    headers = {name.lower(): value for name, value in event.headers.items()}
    body = json.dumps({"headers": headers, "event": json.loads(event.read())}).encode()
    answer = base + headers["lambda-runtime-aws-request-id"] + "/response"
    urllib.request.urlopen(urllib.request.Request(answer, data=body, method="POST"))
"#;
    let Some(command) = python("what a callee is told", script) else { return };
    let bundle = Bundle::of(&["a", "b"]).with("b", |task| {
        task.command = command;
        task.timeout_ms = 20_000;
    });
    let mut function = bundle.start().await;
    let invoked =
        function.invoke(json!({ "calls": [{ "function": "b", "payload": { "x": 1 } }] })).await;
    let told = &invoked.call(0)["payload"];
    assert_eq!(told["event"], json!({ "x": 1 }));
    let header = |name: &str| told["headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("lambda-runtime-aws-request-id"), invoked.calls[0].callee_request);
    let sibling = ARN.replace("function:a:live", "function:b");
    assert_eq!(header("lambda-runtime-invoked-function-arn"), sibling);
    let trace = header("lambda-runtime-trace-id");
    assert!(trace.starts_with(&format!("Root={TRACE_ROOT};Parent=")), "{trace}");
    assert!(!trace.contains("53995c3f42cd8ad8"), "{trace}");
    // The callee's own 20 s, not the caller's 300 s, from some moment of the call on.
    let deadline_us = header("lambda-runtime-deadline-ms").parse::<u64>().unwrap() * 1000;
    let record = &invoked.calls[0];
    let earliest = record.start_us + 20_000_000 - 1000;
    assert!((earliest..=earliest + record.duration_us + 1000).contains(&deadline_us));
}

#[tokio::test]
async fn thousands_of_calls_lose_none() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let mut requests = BTreeSet::new();
    for _ in 0..4 {
        let payload = json!({ "pad_bytes": 1000 });
        let call = json!({ "function": "b", "payload": payload, "parallel": 4, "rounds": 250 });
        let invoked = function.invoke(json!({ "calls": [call] })).await;
        assert_eq!(invoked.record.outcome, CallOutcome::Ok);
        assert_eq!(invoked.calls.len(), 1000);
        for call in invoked.calls {
            assert_eq!((call.outcome, call.site), (CallOutcome::Ok, CallSite::Inline), "{call:?}");
            assert!(requests.insert(call.callee_request), "every call is an invocation of its own");
        }
    }
    assert_eq!(requests.len(), 4000);
    assert!(function.fake.received().is_empty());
}
