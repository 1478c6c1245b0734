//! Reserved concurrency as it throttles.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Platform, Reply, in_each_sandbox, until};

const RESERVATION: &str = "/2017-10-31/functions/f/concurrency";

async fn reserve(platform: &Platform, reserved: u32) {
    let body = json!({ "ReservedConcurrentExecutions": reserved });
    let reply = platform.put(RESERVATION, body.clone()).await;
    assert_eq!((reply.status, &reply.body), (StatusCode::OK, &body));
}

fn assert_throttled(reply: &Reply) {
    assert_eq!(reply.error(), (429, "TooManyRequestsException"), "{reply:?}");
    let reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(
        reply.body,
        json!({ "Type": "User", "Message": "Rate Exceeded.", "Reason": reason })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_invocation_too_many_is_refused_and_the_next_finds_room() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        platform.create_probe("g", json!({})).await;
        reserve(platform, 1).await;
        let busy = platform.invoke("f", json!({ "sleep_ms": 3_000 }));
        let others = async {
            until("it runs", async || (!platform.messages("f").await.is_empty()).then_some(()))
                .await;
            assert_throttled(&platform.invoke("f", json!({})).await);
            platform.invoke("g", json!({})).await.ok();
        };
        let (busy, ()) = tokio::join!(busy, others);
        busy.ok();
        // Right after an answer there is room again.
        for _ in 0..10 {
            platform.invoke("f", json!({})).await.ok();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_of_nothing_stops_a_function_until_it_is_taken_back() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        reserve(platform, 0).await;
        assert_throttled(&platform.invoke("f", json!({})).await);
        let account = platform.get("/2016-08-19/account-settings/").await.body;
        let unreserved = |account: &Value| {
            account["AccountLimit"]["UnreservedConcurrentExecutions"].as_u64().unwrap()
        };
        reserve(platform, 8).await;
        let less = platform.get("/2016-08-19/account-settings/").await.body;
        assert_eq!(unreserved(&account) - unreserved(&less), 8);
        let gone = platform.send(Method::DELETE, RESERVATION, &[], "").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        platform.invoke("f", json!({})).await.ok();
        let rest = platform.get("/2019-09-30/functions/f/concurrency").await;
        assert_eq!((rest.status, rest.body), (StatusCode::OK, json!({})));
    })
    .await;
}
