//! Requests as no SDK sends them, or only when something went wrong.

use serde_json::{Value, json};
use wire::record::CallOutcome;

use crate::support::{Bundle, Function, REQUESTER, python};

/// A function whose root sends the requests its event lists, beside a probe `b`.
async fn requester(test: &str) -> Option<Function> {
    let command = python(test, REQUESTER)?;
    Some(Bundle::of(&["a", "b"]).with("a", |task| task.command = command).start().await)
}

const INVOKE_B: &str = "/2015-03-31/functions/b/invocations";

#[tokio::test]
async fn a_retry_waits_for_the_first_attempts_answer() {
    let Some(mut function) = requester("a retried call").await else { return };
    let attempt = json!({
        "path": INVOKE_B,
        "headers": { "amz-sdk-invocation-id": "one call" },
        "body": r#"{"sleep_ms":1000}"#,
    });
    let invoked = function.invoke(json!([attempt, attempt])).await;
    let answers = invoked.body.as_array().unwrap();
    assert_eq!(answers[0]["status"], 200);
    assert_eq!(
        answers[0]["headers"]["x-amzn-requestid"],
        answers[1]["headers"]["x-amzn-requestid"]
    );
    assert_eq!(answers[0]["body"], answers[1]["body"]);
    assert_eq!(invoked.calls.len(), 1, "{:?}", invoked.calls);
}

#[tokio::test]
async fn forms_that_sdks_differ_in_are_all_taken() {
    let Some(mut function) = requester("forms of a call").await else { return };
    let dry_run = json!({ "x-amz-invocation-type": "DryRun" });
    let requests = json!([
        { "path": format!("/{INVOKE_B}") },
        { "path": INVOKE_B, "headers": dry_run },
        { "path": INVOKE_B, "body": "{" },
        { "path": "/2015-03-31/functions/b", "method": "GET" },
    ]);
    let invoked = function.invoke(requests).await;
    let statuses: Vec<_> =
        invoked.body.as_array().unwrap().iter().map(|a| a["status"].clone()).collect();
    assert_eq!(statuses, [200, 204, 400, 200].map(Value::from));
    let without_payload: Value =
        serde_json::from_str(invoked.body[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(without_payload["function"], "b");
    assert_eq!(invoked.body[2]["headers"]["x-amzn-errortype"], "InvalidRequestContentException");
    let received = function.fake.received();
    let [other] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(other.path, "/2015-03-31/functions/b");
    assert!(other.headers["authorization"].to_str().unwrap().contains("/eu-west-1/lambda/"));
}

#[tokio::test]
async fn a_call_signed_for_someone_else_is_refused_and_one_for_another_region_leaves() {
    let Some(mut function) = requester("foreign signatures").await else { return };
    let signed = |key: &str, region: &str| {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/lambda/aws4_request, SignedHeaders=host, Signature=00"
        );
        json!({ "path": INVOKE_B, "headers": { "authorization": scope }, "body": "{}" })
    };
    let requests = json!([signed("AKIDOTHER", "eu-west-1"), signed("AKIDFUNCTION", "us-east-1")]);
    let invoked = function.invoke(requests).await;
    assert_eq!(invoked.body[0]["status"], 403);
    assert!(invoked.body[0]["body"].as_str().unwrap().contains("AKIDOTHER"));
    assert_eq!(invoked.body[1]["body"], "{\"remote\":true}");
    let received = function.fake.received();
    let [request] = received.as_slice() else { panic!("{received:?}") };
    assert!(request.headers["authorization"].to_str().unwrap().contains("/us-east-1/lambda/"));
    assert_eq!(invoked.record.outcome, CallOutcome::Ok);
}
