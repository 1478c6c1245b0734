//! Invocations that succeed: answers, instances, asynchronous ones, the overhead.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use local_backend::{InvokeOverhead, SandboxChoice};
use serde_json::json;
use wire::report::{Report, ReportStatus};

use crate::support::{MACHINE, in_each_sandbox, instances, sandboxes, until, with};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_with_everything_that_clients_ask_for() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        let event = json!({ "print": "hello\nworld" });
        let headers = [("x-amz-log-type", "Tail"), ("x-amz-invocation-type", "RequestResponse")];
        let reply = platform.invoke_with("f", event, &headers).await;
        assert_eq!(reply.header("x-amz-executed-version"), Some("$LATEST"));
        assert_eq!(reply.header("x-amzn-requestid"), reply.body["request_id"].as_str());
        let tail = STANDARD.decode(reply.header("x-amz-log-result").unwrap()).unwrap();
        let tail = String::from_utf8(tail).unwrap();
        let lines: Vec<&str> = tail.lines().collect();
        let id = reply.body["request_id"].as_str().unwrap();
        assert_eq!(lines[0], format!("START RequestId: {id} Version: $LATEST"));
        assert_eq!(lines[1..3], ["hello", "world"], "what was printed comes before the report");
        assert_eq!(lines[3], format!("END RequestId: {id}"));

        let report = Report::parse(lines[4]).unwrap();
        assert_eq!((report.request_id.as_str(), report.memory_mb), (id, Some(512)));
        assert_eq!(report.status, ReportStatus::Success);
        let init_us = report.init_us.expect("the first invocation starts its instance");
        assert_eq!(report.billed_ms, Some((report.duration_us + init_us).div_ceil(1_000)));
        assert!((Some(1)..Some(512)).contains(&report.max_memory_mb), "{report}");
        assert_eq!(platform.messages("f").await, lines);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_see_lambdas_environment_and_nothing_of_the_hosts() {
    in_each_sandbox(async |platform| {
        let variables = json!({ "FUSELINE_VCPU": "1", "OWN": "mine", "TZ": "Europe/Berlin" });
        platform.create_probe("f", json!({ "Environment": { "Variables": variables } })).await;
        let names = [
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "_HANDLER",
            "OWN",
            "TZ",
            "CARGO",
            "HOME",
        ];
        let body = platform.invoke("f", json!({ "environment": names })).await.ok();
        let mut values = body["environment"].as_array().unwrap().clone();
        // Docker gives every process a home; it is the container's own.
        let home = values.pop().unwrap();
        assert_eq!(
            values,
            [
                json!("f"),
                json!("512"),
                json!("$LATEST"),
                json!("/aws/lambda/f"),
                json!("bootstrap"),
                json!("mine"),
                json!("Europe/Berlin"),
                json!(null),
            ]
        );
        assert!([json!(null), json!("/"), json!("/root")].contains(&home), "{home}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_call_functions_with_the_sdk() {
    in_each_sandbox(async |platform| {
        platform.create_probe("caller", json!({})).await;
        platform.create_probe("callee", json!({})).await;
        let calls = json!([{ "function": "callee", "payload": {} }, { "function": "nobody" }]);
        let answers = platform.invoke("caller", json!({ "calls": calls })).await.ok();
        assert_eq!(answers["calls"][0]["payload"]["function"], "callee", "{answers}");
        assert_eq!(answers["calls"][1]["code"], "ResourceNotFoundException", "{answers}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_used_again_and_serve_one_at_a_time() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        let first = platform.instance("f", 0).await;
        for _ in 0..5 {
            assert_eq!(platform.instance("f", 0).await, first);
        }
        let (one, two, three) = tokio::join!(
            platform.instance("f", 1_000),
            platform.instance("f", 1_000),
            platform.instance("f", 1_000)
        );
        assert!(one != two && two != three && one != three, "{one} {two} {three}");
        assert!([one, two, three].contains(&first), "the warm one is used too");
        assert_eq!(instances(platform), 3);
        let reports = platform.reports("f", 9).await;
        assert_eq!(reports.iter().filter(|report| report.init_us.is_some()).count(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_instances_expire() {
    let _machine = MACHINE.read().await;
    for sandbox in sandboxes() {
        let short = |options: &mut local_backend::Options| {
            options.idle_expiry = Duration::from_millis(300);
        };
        with(sandbox, short, &async |platform: &_| {
            platform.create_probe("f", json!({})).await;
            let first = platform.instance("f", 0).await;
            until("the instance is gone", async || (instances(platform) == 0).then_some(())).await;
            assert_ne!(platform.instance("f", 0).await, first);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asynchronous_invocations_are_accepted_at_once_and_retried_twice() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        let asynchronous = [("x-amz-invocation-type", "Event")];
        let reply = platform.invoke_with("f", json!({ "fail": "always" }), &asynchronous).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
        let id = reply.header("x-amzn-requestid").unwrap().to_owned();
        let reports = platform.reports("f", 3).await;
        assert!(reports.iter().all(|report| report.request_id == id), "{reports:?}");

        let reply = platform.invoke_with("f", json!({}), &asynchronous).await;
        let id = reply.header("x-amzn-requestid").unwrap().to_owned();
        let reports = platform.reports("f", 4).await;
        assert_eq!((reports.len(), &reports[3].request_id), (4, &id));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_runs_nothing() {
    with(SandboxChoice::Process, |_| {}, &async |platform: &_| {
        platform.create_probe("f", json!({})).await;
        let dry = [("x-amz-invocation-type", "DryRun")];
        assert_eq!(platform.invoke_with("f", json!({}), &dry).await.status, StatusCode::NO_CONTENT);
        assert_eq!(instances(platform), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overhead_delays_the_caller_and_is_not_billed() {
    let _machine = MACHINE.read().await;
    let overhead = InvokeOverhead::LogNormal { median_us: 1_500_000, p95_us: 1_500_000 };
    let delayed = |options: &mut local_backend::Options| options.invoke_overhead = overhead;
    with(SandboxChoice::Process, delayed, &async |platform: &_| {
        platform.create_probe("f", json!({})).await;
        let started = Instant::now();
        platform.invoke("f", json!({})).await.ok();
        assert!(started.elapsed() >= Duration::from_micros(1_500_000));
        let report = platform.reports("f", 1).await.remove(0);
        assert!(report.duration_us < 1_500_000, "{report}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_of_the_host_are_shared() {
    in_each_sandbox(async |platform| {
        let shared = tempfile::tempdir().unwrap();
        let path = shared.path().to_str().unwrap();
        let file_systems = json!([{ "Arn": format!("file://{path}"), "LocalMountPath": path }]);
        platform.create_probe("f", json!({ "FileSystemConfigs": file_systems })).await;
        platform.invoke("f", json!({})).await.ok();
        let reply = platform.get("/2015-03-31/functions/f/configuration").await;
        assert_eq!(reply.body["FileSystemConfigs"], file_systems);
    })
    .await;
}
