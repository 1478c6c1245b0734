//! How the supervisor starts and ends, and what becomes of its children.

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wire::record::CallOutcome;

use crate::support::{Bundle, Function, within};

#[tokio::test]
async fn a_root_that_exits_while_starting_is_reported() {
    let bundle = Bundle::of(&["a", "b"]).with("a", |task| task.command = vec!["/bin/false".into()]);
    let mut function = bundle.start().await;
    let posted = within(function.fake.init_error()).await;
    assert_eq!(posted.headers["lambda-runtime-function-error-type"], "Runtime.ExitError");
    let body: Value = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(body["errorMessage"], "Error: Runtime exited with error: exit status 1");
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_reported() {
    let bundle = Bundle::of(&["a"]).with("a", |task| task.command = vec!["./missing".into()]);
    let mut function = bundle.start().await;
    let posted = within(function.fake.init_error()).await;
    assert!(String::from_utf8_lossy(&posted.body).contains("exit status 127"));
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn what_a_root_reports_about_its_start_reaches_the_platform() {
    let script = r#"import os, urllib.request
url = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/init/error"
kind = {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"}
urllib.request.urlopen(urllib.request.Request(url, data=b'{"errorMessage":"no module"}', headers=kind, method="POST"))
"#;
    if std::process::Command::new("/usr/bin/python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: a reported start failure needs /usr/bin/python3, which is not here");
        return;
    }
    let command = ["/usr/bin/python3", "-c", script].map(str::to_owned).to_vec();
    let mut function = Bundle::of(&["a"]).with("a", |task| task.command = command).start().await;
    let posted = within(function.fake.init_error()).await;
    assert_eq!(posted.headers["lambda-runtime-function-error-type"], "Runtime.ImportModuleError");
    assert_eq!(posted.body, "{\"errorMessage\":\"no module\"}");
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_is_reported() {
    let bundle = Bundle::of(&["a"]).variable("FUSELINE_MANIFEST", "/nowhere/fuseline.json");
    let mut function = bundle.start().await;
    let posted = within(function.fake.init_error()).await;
    assert!(String::from_utf8_lossy(&posted.body).contains("/nowhere/fuseline.json"));
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn killing_the_supervisor_leaves_no_child() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let children = children(&mut function).await;
    function.process.start_kill().unwrap();
    within(function.process.wait()).await.unwrap();
    for child in &children {
        within(ended(child)).await;
    }
}

#[tokio::test]
async fn the_supervisor_ends_when_it_is_asked_to_and_so_do_its_children() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let children = children(&mut function).await;
    let supervisor = Pid::from_raw(function.process.id().unwrap().cast_signed()).unwrap();
    kill_process(supervisor, Signal::TERM).unwrap();
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(0));
    for child in &children {
        within(ended(child)).await;
    }
}

#[tokio::test]
async fn a_killed_child_is_replaced() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let event = json!({ "calls": [{ "function": "b", "payload": {} }] });
    let before = function.invoke(event.clone()).await;
    for process in [&before.body["process"], &before.call(0)["payload"]["process"]] {
        let pid = Pid::from_raw(process.as_i64().unwrap() as i32).unwrap();
        let child = AsyncFd::with_interest(pidfd_open(pid, PidfdFlags::empty()).unwrap(), Interest::READABLE);
        kill_process(pid, Signal::KILL).unwrap();
        within(ended(&child.unwrap())).await;
    }
    let after = function.invoke(event).await;
    assert_eq!(after.record.outcome, CallOutcome::Ok, "{:?}", after.posted);
    assert_eq!(after.call(0)["payload"]["function"], "b", "{}", after.body);
    assert_ne!(after.body["process"], before.body["process"]);
}

type Process = AsyncFd<std::os::fd::OwnedFd>;

/// The processes of `a` and of `b`.
async fn children(function: &mut Function) -> Vec<Process> {
    let invoked = function.invoke(json!({ "calls": [{ "function": "b", "payload": {} }] })).await;
    [&invoked.body["process"], &invoked.call(0)["payload"]["process"]]
        .map(|process| {
            let pid = Pid::from_raw(process.as_i64().unwrap() as i32).unwrap();
            let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
            AsyncFd::with_interest(process, Interest::READABLE).unwrap()
        })
        .into()
}

/// Waits until a process has ended.
async fn ended(process: &Process) {
    let _ready = process.readable().await.unwrap();
}
