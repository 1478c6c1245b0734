//! A task on the JVM beside tasks in Rust: a language runtime that shares nothing with ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use wire::record::{CallOutcome, CallSite};

use crate::support::{Bundle, TRACE_ROOT};

/// A folder with the JVM probe's package, or `None`, said loudly, where there is no JDK.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn package() -> Option<&'static Path> {
    static PACKAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let package = PACKAGE.get_or_init(|| {
        let source = tests::repository().join("tests/functions/jvm");
        let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jvm-probe");
        let _ = std::fs::remove_dir_all(&package);
        std::fs::create_dir_all(&package).unwrap();
        std::fs::copy(source.join("bootstrap"), package.join("bootstrap")).unwrap();
        // Where the supervisor's tests look for programs.
        let javac = "/usr/bin/javac";
        if !["/usr/bin/java", javac].iter().all(|tool| Path::new(tool).exists()) {
            return None;
        }
        let compiled = Command::new(javac)
            .args(["-Xlint:all", "-Werror", "--release", "17", "-d"])
            .arg(&package)
            .arg(source.join("Probe.java"))
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Some(package)
    });
    if package.is_none() {
        eprintln!(
            "\nSKIPPED: tasks on the JVM: there is no JDK 17 at /usr/bin; install Debian's openjdk-17-jdk-headless\n"
        );
    }
    package.as_deref()
}

/// A bundle in which `jvm` is one of the tasks.
fn bundle(names: &[&str], jvm: &str) -> Option<Bundle> {
    let package = package()?;
    Some(Bundle::of(names).packaged(jvm, package).with(jvm, |task| {
        task.command = vec!["./bootstrap".to_owned()];
        // A JVM that shares two processors with everything else here takes its time to start.
        task.timeout_ms = 60_000;
    }))
}

/// An event for the JVM probe that makes it call.
fn to(function: &str, payload: &Value) -> Value {
    json!({ "call": function, "payload": payload.to_string() })
}

#[tokio::test]
async fn the_jvm_is_called_and_calls_another_language() {
    let Some(bundle) = bundle(&["a", "b", "c"], "b") else { return };
    let mut function = bundle.start().await;
    let event =
        json!({ "calls": [{ "function": "b", "payload": to("c", &json!({ "pad_bytes": 3 })) }] });
    let invoked = function.invoke(event).await;
    let b = &invoked.call(0)["payload"];
    assert_eq!(b["function"], "b", "{}", invoked.body);
    assert_eq!(b["call"]["status"], 200);
    assert_eq!(b["call"]["function_error"], Value::Null);
    assert_eq!(b["call"]["payload"]["function"], "c");
    assert_eq!(b["call"]["payload"]["padding"], "xxx");
    assert!((1..=60_000).contains(&b["left_ms"].as_i64().unwrap()), "{b}");
    assert!(function.fake.received().is_empty(), "nothing leaves");

    let [inner, outer] = invoked.calls.as_slice() else { panic!("{:?}", invoked.calls) };
    assert_eq!((inner.caller.as_str(), inner.callee.as_str()), ("b", "c"));
    assert_eq!((outer.caller.as_str(), outer.callee.as_str()), ("a", "b"));
    assert_eq!(inner.caller_request, outer.callee_request);
    assert_eq!(b["request_id"], outer.callee_request);
    assert!(invoked.calls.iter().all(|call| call.trace == TRACE_ROOT));
}

#[tokio::test]
async fn a_root_on_the_jvm_calls_inside_and_outside() {
    let Some(bundle) = bundle(&["a", "b"], "a") else { return };
    let mut function = bundle.start().await;
    let invoked = function.invoke(to("b", &json!({}))).await;
    assert_eq!(invoked.body["function"], "a");
    assert_eq!(invoked.body["request_id"], invoked.request_id);
    assert_eq!(invoked.body["call"]["payload"]["function"], "b", "{}", invoked.body);
    let process = invoked.body["process"].clone();

    let invoked = function.invoke(to("elsewhere", &json!({ "x": 1 }))).await;
    assert_eq!(invoked.body["call"]["payload"], json!({ "remote": true }));
    assert_eq!(invoked.body["process"], process, "the JVM stays warm");
    assert_eq!(invoked.calls[0].site, CallSite::Remote);
    let [received] = function.fake.received().try_into().unwrap();
    assert_eq!(received.path, "/2015-03-31/functions/elsewhere/invocations");
    assert_eq!(received.body, r#"{"x":1}"#);
    assert!(received.headers.contains_key("authorization"), "signed on its way out");
}

#[tokio::test]
async fn each_calls_the_other_in_one_invocation() {
    let Some(bundle) = bundle(&["a", "b"], "b") else { return };
    let mut function = bundle.start().await;
    // a in Rust, b on the JVM, a in Rust, b on the JVM: two processes of each.
    let back = json!({ "calls": [{ "function": "b", "payload": {} }] });
    let event = json!({ "calls": [{ "function": "b", "payload": to("a", &back) }] });
    let invoked = function.invoke(event).await;
    let outer = &invoked.call(0)["payload"];
    let inner = &outer["call"]["payload"]["calls"][0]["payload"];
    assert_eq!(inner["function"], "b", "{}", invoked.body);
    assert_ne!(inner["process"], outer["process"]);
    assert_eq!(invoked.calls.len(), 3);
    assert!(invoked.calls.iter().all(|call| call.site == CallSite::Inline));
}

#[tokio::test]
async fn an_exception_on_the_jvm_is_the_callers_to_handle() {
    let Some(bundle) = bundle(&["a", "b"], "b") else { return };
    let mut function = bundle.start().await;
    let calls = json!([
        { "function": "b", "payload": { "fail": "no \"such\" order" } },
        { "function": "b", "payload": {} },
        { "function": "b", "payload": { "exit": "3" } },
        { "function": "b", "payload": {} },
    ]);
    let invoked = function.invoke(json!({ "calls": calls })).await;
    let failed = invoked.call(0);
    assert_eq!((&failed["status"], &failed["function_error"]), (&json!(200), &json!("Unhandled")));
    assert_eq!(failed["payload"]["errorType"], "java.lang.IllegalStateException");
    assert_eq!(failed["payload"]["errorMessage"], "no \"such\" order");
    let trace = failed["payload"]["stackTrace"][0].as_str().unwrap();
    assert!(trace.contains("at Probe.handle(Probe.java:"), "{trace}");
    let exited = &invoked.call(2)["payload"];
    assert_eq!(exited["errorType"], "Runtime.ExitError", "{exited}");
    assert!(exited["errorMessage"].as_str().unwrap().ends_with("exit status 3"), "{exited}");
    for at in [1, 3] {
        assert_eq!(invoked.call(at)["payload"]["function"], "b");
    }
    let outcomes: Vec<_> = invoked.calls.iter().map(|call| call.outcome).collect();
    let (ok, error, crash) = (CallOutcome::Ok, CallOutcome::Error, CallOutcome::Crash);
    assert_eq!(outcomes, [error, ok, crash, ok]);
}

#[tokio::test]
async fn a_caller_on_the_jvm_sees_a_callees_error() {
    let Some(bundle) = bundle(&["a", "b"], "a") else { return };
    let mut function = bundle.start().await;
    let invoked = function.invoke(to("b", &json!({ "fail": "no" }))).await;
    let call = &invoked.body["call"];
    assert_eq!((&call["status"], &call["function_error"]), (&json!(200), &json!("Unhandled")));
    assert_eq!(call["payload"]["errorMessage"], "no");

    let invoked = function.invoke(to("missing", &json!({}))).await;
    assert_eq!(invoked.body["call"]["status"], 404, "{}", invoked.body);
    // Its own exception reaches whoever invoked the function.
    let invoked = function.invoke(json!({ "fail": "no such order" })).await;
    assert_eq!(invoked.posted.kind, "error");
    assert_eq!(invoked.body["errorMessage"], "no such order");
    assert_eq!(invoked.record.outcome, CallOutcome::Error);
}
