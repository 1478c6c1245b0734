//! What a task finds when it runs inside another's function is what it would find in its own.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wire::record::{CallOutcome, CallSite};

use crate::support::{ARN, Bundle, Function, REQUESTER, python};

/// What `b` returns when `a` calls it with `payload`.
async fn ask_b(function: &mut Function, payload: Value) -> Value {
    let event = json!({ "calls": [{ "function": "b", "payload": payload }] });
    function.invoke(event).await.call(0).clone()
}

#[tokio::test]
async fn a_roots_environment_is_not_its_callees() {
    let bundle = Bundle::of(&["a", "b"])
        .with("a", |task| drop(task.environment.insert("ONLY_A".into(), "1".into())))
        // As Lambda sets it for the function, whose environment is its root's.
        .variable("ONLY_A", "changed since the bundle was made")
        .variable("OWN_NAME", "a")
        .variable("OF_ALL", "x");
    let mut function = bundle.start().await;
    let ask = json!({ "environment": ["ONLY_A", "OWN_NAME", "OF_ALL"] });
    let event = json!({ "environment": ask["environment"], "calls": [{ "function": "b", "payload": ask }] });
    let invoked = function.invoke(event).await;
    assert_eq!(invoked.body["environment"], json!(["changed since the bundle was made", "a", "x"]));
    assert_eq!(invoked.call(0)["payload"]["environment"], json!([null, "b", "x"]));
}

#[tokio::test]
async fn a_callee_is_the_version_that_its_own_function_is_pinned_to() {
    let bundle = Bundle::of(&["a", "b"])
        .variable("FUSELINE_ROUTES", r#"{"b":"3"}"#)
        .variable("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/24/[7]c0ffee");
    let mut function = bundle.start().await;
    let names = ["AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_LOG_STREAM_NAME"];
    let call = ask_b(&mut function, json!({ "environment": names })).await;
    assert_eq!(call["executed_version"], "3");
    assert_eq!(call["payload"]["environment"], json!(["3", "2026/11/24/[3]c0ffee"]));
}

#[tokio::test]
async fn the_arn_of_a_pinned_callee_has_its_version() {
    let script = r#"
import http.client, json, os
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    event.read()
    path = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    api.request("POST", path, json.dumps(event.headers["Lambda-Runtime-Invoked-Function-Arn"]))
    api.getresponse().read()
"#;
    let Some(command) = python("the_arn_of_a_pinned_callee_has_its_version", script) else {
        return;
    };
    let bundle = Bundle::of(&["a", "b"])
        .with("b", |task| task.command = command)
        .variable("FUSELINE_ROUTES", r#"{"b":"3"}"#);
    let call = ask_b(&mut bundle.start().await, json!({})).await;
    assert_eq!(call["payload"], ARN.replace("function:a:live", "function:b:3"));
}

#[tokio::test]
async fn a_caller_that_asks_for_the_log_gets_its_end() {
    let name = "a_caller_that_asks_for_the_log_gets_its_end";
    let Some(command) = python(name, REQUESTER) else { return };
    let mut function =
        Bundle::of(&["a", "b"]).with("a", |task| task.command = command).start().await;
    let request = |payload: Value| {
        json!({
            "path": "/2015-03-31/functions/b/invocations",
            "headers": { "X-Amz-Log-Type": "Tail" },
            "body": payload.to_string(),
        })
    };
    let long = "x".repeat(5000);
    for (payload, printed, status) in [
        (json!({ "print": "hello" }), "hello\n", ""),
        (
            json!({ "print": "bye", "exit": 3 }),
            "bye\n",
            "Status: error\tError Type: Runtime.ExitError",
        ),
        (json!({ "print": long }), "xxx\n", ""),
        (json!({}), "", ""),
    ] {
        let invoked = function.invoke(json!([request(payload)])).await;
        let answer = &invoked.body[0];
        assert_eq!(answer["status"], 200, "{answer}");
        let log = BASE64_STANDARD.decode(answer["headers"]["x-amz-log-result"].as_str().unwrap());
        let log = String::from_utf8(log.unwrap()).unwrap();
        let id = &invoked.calls[0].callee_request;
        assert!(log.len() <= 4096, "{}", log.len());
        let start = format!("START RequestId: {id} Version: $LATEST\n{printed}END");
        assert!(log.starts_with(&start) || log.starts_with("xxx"), "{log}");
        let end = format!("END RequestId: {id}\nREPORT RequestId: {id}\tDuration: ");
        assert!(log.contains(&format!("{printed}{end}")), "{log}");
        assert!(log.contains("\tMemory Size: 256 MB\tMax Memory Used: "), "{log}");
        assert!(log.trim_end().ends_with(status), "{log}");
    }
    let plain = json!([{ "path": "/2015-03-31/functions/b/invocations", "body": "{}" }]);
    let invoked = function.invoke(plain).await;
    assert_eq!(invoked.body[0]["headers"]["x-amz-log-result"], Value::Null);
}

#[tokio::test]
async fn what_a_callee_prints_is_in_the_functions_log_before_its_invocation_ends() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    for text in ["one", "two"] {
        let event = json!({ "calls": [{ "function": "b", "payload": { "print": text } }] });
        // Reads the log up to the record that ends the invocation.
        let invoked = function.invoke(event).await;
        assert!(invoked.printed.contains(&text.to_owned()), "{:?}", invoked.printed);
    }
}

#[tokio::test]
async fn calls_in_a_circle_end_as_on_lambda() {
    let name = "calls_in_a_circle_end_as_on_lambda";
    // Calls the other of the two with the event it was given, and returns what came back.
    let script = r#"
import http.client, json, os
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
other = {"a": "b", "b": "a"}[os.environ["AWS_LAMBDA_FUNCTION_NAME"]]
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    event.read()
    call = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    call.request("POST", "/2015-03-31/functions/" + other + "/invocations", "{}")
    answer = call.getresponse()
    body = json.loads(answer.read())
    path = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    result = body if answer.status == 200 else {"status": answer.status, "kind": answer.headers["X-Amzn-ErrorType"]}
    api.request("POST", path, json.dumps(result))
    api.getresponse().read()
"#;
    let Some(command) = python(name, script) else { return };
    let mut bundle = Bundle::of(&["a", "b"]);
    for task in ["a", "b"] {
        bundle = bundle.with(task, |task| {
            task.command = command.clone();
            task.processes = 20;
        });
    }
    let invoked = bundle.start().await.invoke(json!({})).await;
    assert_eq!(invoked.body, json!({ "status": 400, "kind": "RecursiveInvocationException" }));
    // 16 of each, the first of which came from outside, and the one that was refused.
    assert_eq!(invoked.calls.len(), 32);
    assert!(invoked.calls.iter().all(|call| call.site == CallSite::Inline));
    let refused = |outcome| invoked.calls.iter().filter(|call| call.outcome == outcome).count();
    assert_eq!((refused(CallOutcome::Refused), refused(CallOutcome::Ok)), (1, 31));
}

#[tokio::test]
async fn a_chain_of_calls_is_counted_across_functions() {
    let bundle = Bundle::of(&["a"]);
    let mut function = bundle.start().await;
    let event = json!({ "calls": [{ "function": "c", "payload": {} }] });
    let sent = |function: &Function| {
        function.fake.received()[0].headers["x-amzn-trace-id"].to_str().unwrap().to_owned()
    };
    function.invoke(event.clone()).await;
    assert!(sent(&function).ends_with(";Fuseline=a:1"));
    let invoked = function.invoke_traced(event.clone(), ";Fuseline=c:15|a:2").await;
    assert_eq!(invoked.call(0)["status"], 200);
    assert!(sent(&function).ends_with(";Fuseline=c:15|a:3"));
    let invoked = function.invoke_traced(event, ";Fuseline=c:16|a:2").await;
    assert_eq!(invoked.call(0)["code"], "RecursiveInvocationException");
    assert!(function.fake.received().is_empty());
}

#[tokio::test]
async fn a_callee_that_takes_all_memory_is_ended_before_its_caller() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let event = json!({ "calls": [{ "function": "b", "payload": {} }] });
    let invoked = function.invoke(event).await;
    let score = |process: &Value| {
        let path = format!("/proc/{process}/oom_score_adj");
        std::fs::read_to_string(path).unwrap().trim().parse::<i32>().unwrap()
    };
    let supervisor = json!(function.process.id().unwrap());
    let [b, a, supervisor] =
        [&invoked.call(0)["payload"]["process"], &invoked.body["process"], &supervisor].map(score);
    assert!(b > a && a > supervisor, "{b} {a} {supervisor}");
}
