//! Invocations that fail, in Lambda's words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_backend::{SandboxChoice, SandboxKind};
use serde_json::{Value, json};
use wire::report::ReportStatus;

use crate::probe::zip_of;
use crate::support::{MACHINE, Platform, in_each_sandbox, tell, with};

/// Invokes `f`, which must fail, and returns error type and message.
async fn failing(platform: &Platform, event: Value) -> (String, String) {
    let reply = platform.invoke("f", event).await;
    assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"), "{reply:?}");
    let text = |key: &str| reply.body[key].as_str().unwrap().to_owned();
    (text("errorType"), text("errorMessage"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_error_keeps_its_instance() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        let instance = platform.instance("f", 0).await;
        let (_, message) = failing(platform, json!({ "fail": "no luck" })).await;
        assert_eq!(message, "no luck");
        assert_eq!(platform.instance("f", 0).await, instance);
        let reports = platform.reports("f", 3).await;
        assert!(reports.iter().all(|report| report.status == ReportStatus::Success));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_costs_the_instance() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        let instance = platform.instance("f", 0).await;
        let (kind, message) = failing(platform, json!({ "print": "bye", "exit": 3 })).await;
        assert_eq!(kind, "Runtime.ExitError");
        assert!(message.ends_with("Error: Runtime exited with error: exit status 3"), "{message}");
        assert_ne!(platform.instance("f", 0).await, instance);
        let reports = platform.reports("f", 3).await;
        assert_eq!(reports[1].status, ReportStatus::Error("Runtime.ExitError".into()));
        let messages = platform.messages("f").await;
        let position = |text: &str| messages.iter().position(|message| message.contains(text));
        assert!(position("bye") < position("exit status 3"), "{messages:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_costs_the_instance() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({ "Timeout": 2 })).await;
        let instance = platform.instance("f", 0).await;
        let (kind, message) = failing(platform, json!({ "sleep_ms": 60_000 })).await;
        assert_eq!(kind, "Sandbox.Timedout");
        assert!(message.ends_with("Error: Task timed out after 2.00 seconds"), "{message}");
        assert_ne!(platform.instance("f", 0).await, instance);
        let report = platform.reports("f", 3).await.remove(1);
        assert_eq!((report.status, report.billed_ms), (ReportStatus::Timeout, Some(2_000)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_memory_than_the_limit_is_out_of_memory() {
    in_each_sandbox(async |platform| {
        if platform.notices.iter().any(|notice| notice.starts_with("memory limits")) {
            tell("\nSKIPPED: MEMORY CANNOT BE LIMITED HERE\n");
            return;
        }
        platform.create_probe("f", json!({ "MemorySize": 128 })).await;
        platform.invoke("f", json!({ "allocate_mb": 60 })).await.ok();
        let (kind, message) = failing(platform, json!({ "allocate_mb": 200 })).await;
        assert_eq!(kind, "Runtime.OutOfMemory", "{message}");
        assert!(message.ends_with("signal: killed"), "{message}");
        platform.invoke("f", json!({})).await.ok();
        let reports = platform.reports("f", 3).await;
        assert!((Some(60)..Some(128)).contains(&reports[0].max_memory_mb), "{}", reports[0]);
        assert!(
            reports[1].out_of_memory() && reports[1].max_memory_mb == Some(128),
            "{}",
            reports[1]
        );
        assert_eq!(reports[2].status, ReportStatus::Success);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_bootstrap_fails_when_it_is_invoked() {
    in_each_sandbox(async |platform| {
        let zip = STANDARD.encode(zip_of(&[("readme", 0o644, b"nothing to run")]));
        platform.create_probe("f", json!({ "Code": { "ZipFile": zip } })).await;
        let (kind, message) = failing(platform, json!({})).await;
        assert_eq!(kind, "Runtime.InvalidEntrypoint", "{message}");
        assert!(message.contains("bootstrap"), "{message}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_dies_in_init_is_reported() {
    let _machine = MACHINE.read().await;
    with(SandboxChoice::Process, |_| {}, &async |platform: &Platform| {
        assert_eq!(platform.kind, SandboxKind::Process);
        let script = b"#!/bin/sh\necho starting\nexit 7\n";
        let zip = STANDARD.encode(zip_of(&[("bootstrap", 0o755, script)]));
        platform.create_probe("f", json!({ "Code": { "ZipFile": zip } })).await;
        let (kind, message) = failing(platform, json!({})).await;
        assert_eq!(kind, "Runtime.ExitError");
        assert!(message.ends_with("exit status 7"), "{message}");
        let messages = platform.messages("f").await;
        assert_eq!(messages[0], "starting");
        assert!(messages[1].starts_with("INIT_REPORT Init Duration: "), "{messages:?}");
        assert!(
            messages[1].ends_with("Status: error\tError Type: Runtime.ExitError"),
            "{messages:?}"
        );
        assert_eq!(platform.reports("f", 1).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_is_an_error_of_the_function() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", json!({})).await;
        platform.invoke("f", json!({ "pad_bytes": 6_000_000 })).await.ok();
        let (kind, _) = failing(platform, json!({ "pad_bytes": 6_300_000 })).await;
        assert_eq!(kind, "Function.ResponseSizeTooLarge");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_there_cannot_be_shared() {
    in_each_sandbox(async |platform| {
        let nowhere =
            json!([{ "Arn": "file:///nowhere/at/all", "LocalMountPath": "/nowhere/at/all" }]);
        platform.create_probe("f", json!({ "FileSystemConfigs": nowhere })).await;
        let (_, message) = failing(platform, json!({})).await;
        assert!(message.contains("/nowhere/at/all cannot be mounted"), "{message}");
    })
    .await;
}
