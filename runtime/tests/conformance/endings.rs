//! Functions that end when they should not, or do not end when they should: the function's caller is
//! told the same, alone and in a bundle.
//!
//! One difference is meant. When a process ends during an invocation, Lambda starts the whole
//! instance anew, which the emulator shows as status 502; the supervisor replaces the one process and
//! reports the same error.

use crate::tasks::{NODE, PYTHON, Task, alone, fused};

/// What two invocations give, alone and in a bundle: status and body.
async fn both(task: &Task, environment: &[(&str, &str)]) -> Option<[[(u16, String); 2]; 2]> {
    let (alone, fused) = (alone(task, environment)?, fused(&[("a", task)], environment)?);
    let mut answers = Vec::new();
    for function in [alone, fused] {
        let first = function.invoke("{\"seconds\":600}").await;
        let second = function.invoke("{}").await;
        answers.push([first, second].map(|answer| (answer.status, answer.text())));
    }
    answers.try_into().ok()
}

#[tokio::test]
async fn an_exit_during_an_invocation_is_told_in_lambdas_words() {
    for (task, expect) in [
        (Task::python("app.leave"), "Runtime exited with error: exit status 3"),
        (Task::node("app.leave"), "Runtime exited with error: exit status 3"),
        (Task::script("next_event(); sys.exit(0)"), "Runtime exited without providing a reason"),
        (
            Task::script("next_event(); os.kill(os.getpid(), signal.SIGKILL)"),
            "Runtime exited with error: signal: killed",
        ),
        (
            // Who starts the tests may have it ignored, as `nohup` does.
            Task::script(
                "next_event(); signal.signal(signal.SIGHUP, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGHUP)",
            ),
            "Runtime exited with error: signal: hangup",
        ),
    ] {
        let Some([alone, fused]) = both(&task, &[]).await else { continue };
        let body = format!(
            r#"{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: {expect}"}}"#
        );
        assert_eq!(alone, [(502, body.clone()), (502, body.clone())]);
        assert_eq!(fused, [(200, body.clone()), (200, body)]);
    }
}

#[tokio::test]
async fn an_exit_before_the_first_event_is_the_functions_own() {
    for (script, log) in [
        ("sys.exit(7)", "exit status 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal: killed"),
    ] {
        let task = Task::script(script);
        let (Some(alone), Some(fused)) = (alone(&task, &[]), fused(&[("a", &task)], &[])) else {
            continue;
        };
        for function in [alone, fused] {
            for _ in 0..2 {
                let answer = function.invoke("{}").await;
                assert_eq!((answer.status, answer.text().as_str()), (502, ""));
            }
            let log = format!("Runtime exited with error: {log}");
            assert!(function.log().contains(&log), "{}", function.log());
        }
    }
}

#[tokio::test]
async fn what_a_runtime_reports_about_its_start_is_passed_on() {
    let python = |handler: &str, text: &str| {
        Task::managed(PYTHON, handler, vec![("app.py", text.to_owned())])
    };
    let node =
        |handler: &str, text: &str| Task::managed(NODE, handler, vec![("app.js", text.to_owned())]);
    let script = r#"
kind = {"Lambda-Runtime-Function-Error-Type": "My.Kind"}
send("POST", "init/error", '{"errorMessage":"no","errorType":"My.Kind"}', kind)
sys.exit(9)
"#;
    for (task, kind) in [
        (python("app.missing", ""), "Runtime.HandlerNotFound"),
        (python("missing.handler", ""), "Runtime.ImportModuleError"),
        (python("app.handler", "import nothing_like_this"), "Runtime.ImportModuleError"),
        (python("app.handler", "raise OSError('no')"), "OSError"),
        (python("app.handler", "def"), "Runtime.UserCodeSyntaxError"),
        (node("app.missing", ""), "Runtime.HandlerNotFound"),
        (node("missing.handler", ""), "Runtime.ImportModuleError"),
        (node("app.handler", "require('nothing-like-this')"), "Runtime.ImportModuleError"),
        (node("app.handler", "function ("), "Runtime.UserCodeSyntaxError"),
        (Task::script(script), "My.Kind"),
    ] {
        let Some([alone, fused]) = both(&task, &[]).await else { continue };
        assert_eq!(fused, alone);
        let error: serde_json::Value = serde_json::from_str(&fused[0].1).expect(&fused[0].1);
        assert_eq!((fused[0].0, error["errorType"].as_str()), (502, Some(kind)), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let task = Task::custom(vec!["./no-such-program".to_owned()]);
    let (Some(alone), Some(fused)) = (alone(&task, &[]), fused(&[("a", &task)], &[])) else {
        return;
    };
    let why = "fork/exec ./no-such-program: no such file or directory";
    // The emulator has no words for its client here, only for its log.
    assert_eq!(alone.invoke("{}").await.text(), "");
    assert!(alone.log().contains(why), "{}", alone.log());
    assert!(alone.log().contains("Runtime.InvalidEntrypoint"));
    for _ in 0..2 {
        let error = fused.invoke("{}").await.json();
        assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint");
        assert_eq!(error["errorMessage"], format!("Error: {why}"));
    }
}

#[tokio::test]
async fn an_invocation_that_takes_too_long_is_ended_and_the_next_is_served() {
    let never = Task::script("while True: next_event()");
    for (task, second) in [
        (Task::python("app.sleep"), "\"slept\""),
        (Task::node("app.sleep"), "\"slept\""),
        // Asks for another event and never answers the first: the emulator gives it the same again, the
        // supervisor none.
        (never, "Task timed out after 3.00 seconds"),
    ] {
        let limit = [("AWS_LAMBDA_FUNCTION_TIMEOUT", "3")];
        let Some([alone, fused]) = both(&task, &limit).await else { continue };
        assert_eq!(fused, alone);
        assert_eq!(fused[0].1, "Task timed out after 3.00 seconds");
        assert_eq!(fused[1].1, second);
    }
}

#[tokio::test]
async fn a_process_that_forks_and_leaves_has_ended() {
    let before = r#"
next_event()
if os.fork():
    os._exit(0)
os.setsid()
"#;
    let Some([alone, fused]) = both(&Task::script(before), &[]).await else { return };
    let body = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}"#;
    assert_eq!([&alone[0].1, &alone[1].1, &fused[0].1, &fused[1].1], [body; 4]);

    // The emulator calls this a failure of the instance, but has passed the answer on.
    let after = "id, _, _ = next_event()\npost(id, '\"done\"')\nif os.fork(): os._exit(0)";
    let Some([alone, fused]) = both(&Task::script(after), &[]).await else { return };
    assert_eq!([&alone[0].1, &alone[1].1, &fused[0].1, &fused[1].1], ["\"done\""; 4]);
}
