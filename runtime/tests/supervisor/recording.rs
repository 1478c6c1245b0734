//! Payloads in records: only where they are asked for, and cut where they are long.

use serde_json::{Value, json};
use wire::payload::{MAX_RECORDED_BYTES, RECORD_PAYLOADS_VARIABLE};

use crate::support::Bundle;

#[tokio::test]
async fn payloads_are_recorded_where_they_are_asked_for() {
    let mut function =
        Bundle::of(&["a", "b"]).variable(RECORD_PAYLOADS_VARIABLE, "1").start().await;
    let event = json!({ "calls": [{ "function": "b", "payload": { "pad_bytes": 5 } }] });
    let invoked = function.invoke(event.clone()).await;
    let json = |payload: &Option<wire::payload::RecordedPayload>| -> Value {
        let payload = payload.as_ref().expect("it is recorded");
        assert!(!payload.cut);
        serde_json::from_slice(&payload.bytes()).unwrap()
    };
    assert_eq!(json(&invoked.record.request_payload), event);
    assert_eq!(json(&invoked.record.response_payload), invoked.body);
    assert_eq!(json(&invoked.calls[0].request_payload), json!({ "pad_bytes": 5 }));
    assert_eq!(json(&invoked.calls[0].response_payload), invoked.call(0)["payload"]);

    let long = invoked.record.response_bytes as usize + MAX_RECORDED_BYTES;
    let invoked = function.invoke(json!({ "pad_bytes": long })).await;
    let response = invoked.record.response_payload.expect("it is recorded");
    assert!(response.cut && response.bytes().len() <= MAX_RECORDED_BYTES);
    assert!(invoked.posted.body.starts_with(&response.bytes()));
    assert!(invoked.record.response_bytes > long as u64, "the size is that of all of it");
}

#[tokio::test]
async fn payloads_are_not_recorded_unasked() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let event = json!({ "calls": [{ "function": "b", "payload": {} }] });
    let invoked = function.invoke(event).await;
    let (record, call) = (&invoked.record, &invoked.calls[0]);
    for payload in [
        &record.request_payload,
        &record.response_payload,
        &call.request_payload,
        &call.response_payload,
    ] {
        assert_eq!(payload, &None);
    }
}
