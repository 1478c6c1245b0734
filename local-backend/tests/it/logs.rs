//! Reading logs.

use serde_json::{Value, json};

use crate::support::{in_each_sandbox, until};

#[tokio::test(flavor = "multi_thread")]
async fn events_page_and_filter() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        for index in 0..4 {
            platform.invoke("f", json!({ "print": format!("line {index}") })).await.ok();
        }
        until("all is there", async || (platform.messages("f").await.len() == 16).then_some(()))
            .await;
        let mut parameters = json!({ "logGroupName": "/aws/lambda/f", "limit": 3 });
        let mut messages = Vec::new();
        loop {
            let page = platform.logs("FilterLogEvents", parameters.clone()).await.body;
            let events = page["events"].as_array().unwrap();
            assert!((1..=3).contains(&events.len()));
            messages.extend(events.iter().map(|event| event["message"].to_string()));
            match &page["nextToken"] {
                Value::Null => break,
                next => parameters["nextToken"] = next.clone(),
            }
        }
        assert_eq!(messages.len(), 16, "{messages:?}");

        let count = async |extra: Value| {
            let mut parameters = json!({ "logGroupName": "/aws/lambda/f" });
            for (key, value) in extra.as_object().unwrap() {
                parameters[key] = value.clone();
            }
            let page = platform.logs("FilterLogEvents", parameters).await.body;
            page["events"].as_array().unwrap().len()
        };
        assert_eq!(count(json!({ "filterPattern": "REPORT" })).await, 4);
        assert_eq!(count(json!({ "filterPattern": "\"line 2\"" })).await, 1);
        assert_eq!(count(json!({ "endTime": 1_000 })).await, 0);
        let streams = json!({ "logGroupName": "/aws/lambda/f", "orderBy": "LastEventTime" });
        let streams = platform.logs("DescribeLogStreams", streams).await.body;
        let stream = streams["logStreams"][0]["logStreamName"].as_str().unwrap();
        assert!(stream.contains("/[$LATEST]"), "{stream}");
        assert_eq!(count(json!({ "logStreamNames": [stream] })).await, 16);

        let groups = json!({ "logGroupNamePrefix": "/aws/lambda/" });
        let groups = platform.logs("DescribeLogGroups", groups).await.body;
        assert_eq!(groups["logGroups"][0]["logGroupName"], "/aws/lambda/f");
        let group = json!({ "logGroupName": "/aws/lambda/f" });
        assert_eq!(platform.logs("DeleteLogGroup", group.clone()).await.status, 200);
        let gone = platform.logs("FilterLogEvents", group).await;
        assert_eq!(
            (gone.status.as_u16(), &gone.body["__type"]),
            (400, &json!("ResourceNotFoundException"))
        );
    })
    .await;
}
