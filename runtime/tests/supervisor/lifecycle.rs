//! How the supervisor starts and ends, and what becomes of its children.

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use wire::record::CallOutcome;

use crate::support::{Bundle, Function, python, within};

#[tokio::test]
async fn a_root_that_ends_while_starting_ends_the_supervisor_in_the_same_way() {
    // Lambda then tells the function's caller how its runtime ended.
    for (script, code, signal) in
        [("exit 7", Some(7), None), ("exit 0", Some(0), None), ("kill -KILL $$", None, Some(9))]
    {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let bundle = Bundle::of(&["a", "b"]).with("a", |task| task.command = command);
        let mut function = bundle.start().await;
        let ended = within(function.process.wait()).await.unwrap();
        assert_eq!((ended.code(), ended.signal()), (code, signal), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_reported() {
    let bundle = Bundle::of(&["a"]).with("a", |task| task.command = vec!["./missing".into()]);
    let mut function = bundle.start().await;
    let posted = within(function.fake.init_error()).await;
    assert_eq!(posted.headers["lambda-runtime-function-error-type"], "Runtime.InvalidEntrypoint");
    let body: Value = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(body["errorMessage"], "Error: fork/exec ./missing: no such file or directory");
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn what_a_root_reports_about_its_start_reaches_the_platform() {
    let script = r#"import os, urllib.request
url = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/init/error"
kind = {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"}
urllib.request.urlopen(urllib.request.Request(url, data=b'{"errorMessage":"no module"}', headers=kind, method="POST"))
"#;
    let Some(command) = python("a reported start failure", script) else { return };
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
    // Every process of the function holds its end of the log open.
    function.log_ended().await;
    within(ended(children)).await;
}

#[tokio::test]
async fn the_supervisor_ends_when_it_is_asked_to_and_so_do_its_children() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let children = children(&mut function).await;
    let supervisor = Pid::from_raw(function.process.id().unwrap().cast_signed()).unwrap();
    kill_process(supervisor, Signal::TERM).unwrap();
    assert_eq!(within(function.process.wait()).await.unwrap().code(), Some(0));
    function.log_ended().await;
    within(ended(children)).await;
}

#[tokio::test]
async fn a_killed_child_is_replaced() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let before = children(&mut function).await;
    for child in before {
        kill_process(child, Signal::KILL).unwrap();
        let gone = async {
            while test_kill_process(child).is_ok() {
                tokio::task::yield_now().await;
            }
        };
        within(gone).await;
    }
    let after = children(&mut function).await;
    assert!(before.iter().all(|child| !after.contains(child)));
}

/// The processes of `a` and of `b`, which calls `b`.
async fn children(function: &mut Function) -> [Pid; 2] {
    let invoked = function.invoke(json!({ "calls": [{ "function": "b", "payload": {} }] })).await;
    assert_eq!(invoked.record.outcome, CallOutcome::Ok, "{:?}", invoked.posted);
    [&invoked.body["process"], &invoked.call(0)["payload"]["process"]].map(|process| {
        let id = process.as_i64().and_then(|id| i32::try_from(id).ok());
        Pid::from_raw(id.expect("a probe states its process")).unwrap()
    })
}

/// Waits until processes have ended, collected by whoever inherited them or not. The kernel closes
/// their files a moment before that.
async fn ended(processes: [Pid; 2]) {
    for process in processes {
        let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
        let runs = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
        };
        while runs() {
            tokio::task::yield_now().await;
        }
    }
}
