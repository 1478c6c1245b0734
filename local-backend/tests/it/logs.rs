//! Reading logs.

use local_backend::SandboxChoice;
use serde_json::{Value, json};

use crate::support::{MACHINE, Platform, in_each_sandbox, until, with};

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

#[tokio::test(flavor = "multi_thread")]
async fn insights_finds_what_has_a_word() {
    let _machine = MACHINE.read().await;
    let test = async |platform: &Platform| {
        platform.create_probe("f", json!({})).await;
        for index in 0..6 {
            platform.invoke("f", json!({ "print": format!("line {index}") })).await.ok();
        }
        until("all is there", async || (platform.messages("f").await.len() == 24).then_some(()))
            .await;
        let question = json!({
            "logGroupName": "/aws/lambda/f", "startTime": 0, "endTime": 9_999_999_999_i64,
            "queryString": "fields @timestamp, @message, strlen(@message) as length | filter @message like \"line\"",
        });
        let started = platform.logs("StartQuery", question.clone()).await.body;
        let id = started["queryId"].as_str().unwrap().to_owned();
        let results = async |extra: Value| {
            let mut parameters = json!({ "queryId": id });
            parameters.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            platform.logs("GetQueryResults", parameters).await.body
        };
        let first = results(json!({})).await;
        assert!(["Scheduled", "Running"].contains(&first["status"].as_str().unwrap()), "{first}");
        let page = until("it is done", async || {
            let page = results(json!({ "maxItems": 3 })).await;
            (page["status"] == "Complete").then_some(page)
        })
        .await;
        // The newest four, of six.
        assert_eq!(page["statistics"]["recordsMatched"], 6.0);
        assert_eq!(page["results"].as_array().unwrap().len(), 3);
        let row = page["results"][0].as_array().unwrap();
        let fields: Vec<_> = row.iter().map(|field| field["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["@timestamp", "@message", "length", "@ptr"]);
        assert_eq!((&row[1]["value"], &row[2]["value"]), (&json!("line 5\n"), &json!("7")));
        let time = row[0]["value"].as_str().unwrap();
        assert!(time.len() == 23 && time.starts_with("20") && &time[10..11] == " ", "{time}");
        let last = results(json!({ "nextToken": page["nextToken"] })).await;
        assert_eq!(
            (last["results"].as_array().unwrap().len(), &last["nextToken"]),
            (1, &Value::Null)
        );

        let refused = async |operation: &str, parameters: Value| {
            let reply = platform.logs(operation, parameters).await;
            assert_eq!(reply.status.as_u16(), 400, "{}", reply.body);
            reply.body["__type"].as_str().unwrap().to_owned()
        };
        let with = |key: &str, value: Value| {
            let mut question = question.clone();
            question[key] = value;
            question
        };
        for (key, value, code) in [
            ("queryString", json!("stats count(*)"), "MalformedQueryException"),
            ("logGroupName", json!("nowhere"), "ResourceNotFoundException"),
            ("endTime", json!(-1), "InvalidParameterException"),
            ("limit", json!(100_001), "InvalidParameterException"),
        ] {
            assert_eq!(refused("StartQuery", with(key, value)).await, code, "{key}");
        }
        for operation in ["GetQueryResults", "StopQuery"] {
            let code = refused(operation, json!({ "queryId": "x" })).await;
            assert_eq!(code, "ResourceNotFoundException", "{operation}");
        }
        let code = refused("StopQuery", json!({ "queryId": id })).await;
        assert_eq!(code, "InvalidParameterException");
    };
    with(SandboxChoice::Process, |options| options.query_rows = 4, &test).await;
}
