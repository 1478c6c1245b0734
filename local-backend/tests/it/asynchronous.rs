//! Asynchronous invocations: retries and destinations.

use http::StatusCode;
use local_backend::SandboxChoice;
use serde_json::{Value, json};

use crate::support::{MACHINE, Platform, in_each_sandbox, until, with};

/// Sends an event and returns its request id.
async fn send(platform: &Platform, function: &str, event: Value) -> String {
    let reply = platform.invoke_with(function, event, &[("x-amz-invocation-type", "Event")]).await;
    assert_eq!((reply.status, &reply.body), (StatusCode::ACCEPTED, &Value::Null), "{reply:?}");
    reply.header("x-amzn-requestid").unwrap().to_owned()
}

async fn configure(platform: &Platform, function: &str, settings: Value) {
    let path = format!("/2019-09-25/functions/{function}/event-invoke-config");
    let reply = platform.put(&path, settings).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
}

fn arn(function: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{function}")
}

/// The records that a destination has printed, when there are as many as expected.
async fn told(platform: &Platform, destination: &str, count: usize) -> Vec<Value> {
    until("the destination is told", async || {
        let messages = platform.messages(destination).await;
        let records = messages.iter().filter_map(|message| message.strip_prefix("told "));
        let records: Vec<Value> =
            records.map(|record| serde_json::from_str(record).unwrap()).collect();
        (records.len() >= count).then_some(records)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_event_is_told_to_its_destination() {
    in_each_sandbox(async |platform| {
        for name in ["f", "good", "bad"] {
            platform.create_probe(name, json!({})).await;
        }
        let destinations = json!({
            "OnSuccess": { "Destination": arn("good") },
            "OnFailure": { "Destination": arn("bad") },
        });
        let settings = json!({ "MaximumRetryAttempts": 1, "DestinationConfig": destinations });
        configure(platform, "f", settings).await;

        let request = send(platform, "f", json!({ "fail": "no luck" })).await;
        let record = told(platform, "bad", 1).await.remove(0);
        assert_eq!(platform.reports("f", 2).await.len(), 2, "one retry");
        assert_eq!(
            record["requestContext"],
            json!({
                "requestId": request,
                "functionArn": format!("{}:$LATEST", arn("f")),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 2,
            })
        );
        assert_eq!(record["requestPayload"], json!({ "fail": "no luck" }));
        assert_eq!(record["responseContext"]["functionError"], "Unhandled");
        assert_eq!(record["responsePayload"]["errorMessage"], "no luck");

        let request = send(platform, "f", json!({})).await;
        let record = told(platform, "good", 1).await.remove(0);
        assert_eq!(record["requestContext"]["requestId"], request.as_str());
        assert_eq!(record["requestContext"]["condition"], "Success");
        assert_eq!(
            record["responseContext"],
            json!({ "statusCode": 200, "executedVersion": "$LATEST" })
        );
        assert_eq!(record["responsePayload"]["function"], "f");
        assert_eq!(told(platform, "bad", 1).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_destinations_ends() {
    let _machine = MACHINE.read().await;
    with(SandboxChoice::Process, |_| {}, &async |platform: &Platform| {
        for (name, next) in [("a", "b"), ("b", "a")] {
            platform.create_probe(name, json!({})).await;
            if name == "b" {
                let to = |next: &str| json!({ "OnSuccess": { "Destination": arn(next) } });
                configure(platform, name, json!({ "DestinationConfig": to(next) })).await;
                configure(platform, next, json!({ "DestinationConfig": to(name) })).await;
            }
        }
        send(platform, "a", json!({})).await;
        // The first invocation of `a` is no record; 16 hops follow, half of them to each.
        told(platform, "a", 8).await;
        told(platform, "b", 8).await;
        // Whatever came after the last hop would be running or logged before this answer.
        platform.invoke("a", json!({})).await.ok();
        platform.invoke("b", json!({})).await.ok();
        let counts = (told(platform, "a", 8).await.len(), told(platform, "b", 8).await.len());
        assert_eq!(counts, (8, 8));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_events_run_when_there_is_room() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        let reservation = json!({ "ReservedConcurrentExecutions": 1 });
        platform.put("/2017-10-31/functions/f/concurrency", reservation).await;
        for _ in 0..3 {
            send(platform, "f", json!({ "sleep_ms": 200 })).await;
        }
        let reports = platform.reports("f", 3).await;
        assert_eq!(reports.len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_stopped_function_are_told_at_once() {
    in_each_sandbox(async |platform| {
        for name in ["f", "bad"] {
            platform.create_probe(name, json!({})).await;
        }
        let destinations = json!({ "OnFailure": { "Destination": arn("bad") } });
        configure(platform, "f", json!({ "DestinationConfig": destinations })).await;
        let reservation = json!({ "ReservedConcurrentExecutions": 0 });
        platform.put("/2017-10-31/functions/f/concurrency", reservation).await;
        send(platform, "f", json!({})).await;
        let record = told(platform, "bad", 1).await.remove(0);
        assert_eq!(record["requestContext"]["condition"], "ZeroReservedConcurrency");
        assert_eq!(record.get("responseContext"), None);
        assert!(platform.messages("f").await.is_empty());
    })
    .await;
}
