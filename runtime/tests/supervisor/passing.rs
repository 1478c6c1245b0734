//! Invocations of the root task, which pass through the supervisor.

use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;
use wire::record::CallOutcome;

use crate::support::{Bundle, event_headers, python, within};

#[tokio::test]
async fn an_event_and_its_answer_pass_through() {
    let mut function = Bundle::of(&["a"]).start().await;
    let invoked = function.invoke(json!({ "pad_bytes": 3, "print": "hello" })).await;
    assert_eq!(invoked.posted.kind, "response");
    assert_eq!(invoked.body["function"], "a");
    assert_eq!(invoked.body["request_id"], invoked.request_id);
    assert_eq!(invoked.posted.headers["content-type"], "application/json");
    let record = &invoked.record;
    assert_eq!((record.function.as_str(), record.version.as_str()), ("a", "7"));
    assert_eq!((record.first, record.outcome), (true, CallOutcome::Ok));
    assert_eq!(record.request_bytes, 31);
    assert_eq!(record.response_bytes, invoked.posted.body.len() as u64);
    assert!(invoked.calls.is_empty());

    let again = function.invoke(json!({})).await;
    assert!(!again.record.first);
    assert_eq!(again.body["process"], invoked.body["process"]);
}

#[tokio::test]
async fn a_function_error_passes_through() {
    let mut function = Bundle::of(&["a"]).start().await;
    let invoked = function.invoke(json!({ "fail": "no such order" })).await;
    assert_eq!(invoked.posted.kind, "error");
    assert_eq!(invoked.body["errorMessage"], "no such order");
    assert!(invoked.posted.headers.contains_key("lambda-runtime-function-error-type"));
    assert_eq!(invoked.record.outcome, CallOutcome::Error);
}

#[tokio::test]
async fn a_crash_is_reported_and_the_next_event_is_served() {
    let mut function = Bundle::of(&["a"]).start().await;
    for (code, how) in [
        (3, "Runtime exited with error: exit status 3"),
        (0, "Runtime exited without providing a reason"),
    ] {
        let invoked = function.invoke(json!({ "exit": code })).await;
        assert_eq!(invoked.posted.kind, "error");
        assert_eq!(
            invoked.posted.headers["lambda-runtime-function-error-type"],
            "Runtime.ExitError"
        );
        let message = format!("RequestId: {} Error: {how}", invoked.request_id);
        assert_eq!(
            invoked.body,
            json!({ "errorType": "Runtime.ExitError", "errorMessage": message })
        );
        assert_eq!(invoked.record.outcome, CallOutcome::Crash);
    }
    let invoked = function.invoke(json!({})).await;
    assert_eq!(invoked.body["function"], "a");
}

#[tokio::test]
async fn a_large_answer_passes_through() {
    let mut function = Bundle::of(&["a"]).start().await;
    let invoked = function.invoke(json!({ "pad_bytes": 5_000_000 })).await;
    assert_eq!(invoked.body["padding"].as_str().unwrap().len(), 5_000_000);
    assert_eq!(invoked.record.response_bytes, invoked.posted.body.len() as u64);
}

#[tokio::test]
async fn a_streamed_answer_keeps_its_trailers() {
    let script = r#"import http.client, os
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
api = http.client.HTTPConnection(host)
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    event.read()
    api.putrequest("POST", "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response")
    api.putheader("Content-Type", "application/octet-stream")
    api.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    api.putheader("Transfer-Encoding", "chunked")
    api.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    api.endheaders()
    api.send(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\nLambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n")
    assert api.getresponse().read() is not None
"#;
    let Some(command) = python("streamed answers", script) else { return };
    let function = Bundle::of(&["a"]).with("a", |task| task.command = command).start().await;
    let id = Uuid::new_v4().to_string();
    let posted = within(function.fake.invoke(event_headers(&id), Bytes::from_static(b"{}"))).await;
    assert_eq!(posted.body, "firstsecond");
    assert_eq!(posted.headers["lambda-runtime-function-response-mode"], "streaming");
    assert_eq!(posted.headers["content-type"], "application/octet-stream");
    let trailers = posted.trailers.unwrap();
    assert_eq!(trailers["lambda-runtime-function-error-type"], "Late");
}
