//! Deploys on AWS that are disturbed: every call that changes something fails, loses its answer or is the last one
//! before the process is killed. Afterwards there is either the old or the new deployment in full, nothing is left
//! over, and nothing that was there before is lost.

use tests::aws::{Fault, Proxy};
use tests::aws_workflow::{Place, Workflow};
use tests::{LocalServer, Run, State};

const OLD: &str = "(a)-(b)";
const NEW: &str = "(a,b)";
const FUSE: [&str; 3] = ["deploy", "--setup", NEW];

/// Runs a command through a proxy that may kill it.
fn through(proxy: &Proxy, workflow: &Workflow, command: &[&str]) -> Run {
    let child = workflow.command(&proxy.endpoint, command).spawn().expect("it can be started");
    proxy.set_client(child.id());
    child.wait_with_output().expect("it can be waited for").into()
}

/// Disturbs every change of a deployment in turn and checks what is there then, after it was gone on with, and after
/// it was undone.
fn disturb(adopted: bool, faults: &[Fault]) {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::new(state.path());
    let place = Place(server.endpoint.clone());
    let before_all = adopted.then(|| place.create("a"));
    let adopt: &[&str] = if adopted { &["--adopt"] } else { &[] };
    // Journals are kept by endpoint, and every proxy is another.
    let direct = |command: &[&str]| workflow.run(&server.endpoint, command);
    let fuse: Vec<&str> = FUSE.iter().chain(adopt).copied().collect();
    let counting = Proxy::start(&server.endpoint, None);
    if !adopted {
        assert_eq!(direct(&["deploy"]).code, Some(0));
    }
    let old = place.everything();
    let got = through(&counting, &workflow, &fuse);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    let new = place.shape();
    let changes = counting.changes();
    let undo = workflow.run(&counting.endpoint, &["rollback"]);
    assert_eq!(undo.code, Some(0), "{}", undo.stderr);
    assert_eq!(place.everything(), old, "undone without a disturbance");
    for number in 0..changes {
        for &fault in faults {
            let what = format!("change {number} of {changes}: {fault:?}");
            let proxy = Proxy::start(&server.endpoint, Some((number, fault)));
            let got = through(&proxy, &workflow, &fuse);
            let live = || direct(&["status", "--format", "json"]).json()["live"].clone();
            let is_done = got.code == Some(0);
            let survives = matches!(fault, Fault::FailOnce | Fault::LoseAnswer | Fault::Throttle);
            assert_eq!(is_done, survives, "{what}: {}", got.stderr);
            let known = live();
            let old_live = if adopted { serde_json::Value::Null } else { OLD.into() };
            assert!(known == NEW || known == old_live, "{what}: {known}");
            // Every second one is gone on with before it is undone.
            let goes_on = number % 2 == 0 && fault != Fault::FailAlways;
            if !is_done && goes_on {
                let again = workflow.run(&proxy.endpoint, &fuse);
                assert_eq!(again.code, Some(0), "{what}: {}", again.stderr);
            }
            if is_done || goes_on {
                assert_eq!(live(), NEW, "{what}");
                assert_eq!(place.shape(), new, "{what}: versions or functions are left over");
            }
            // What fails always fails the rollback, too; past the proxy it has no journal.
            let endpoint = match fault {
                Fault::FailAlways => workflow.same_journal(&proxy.endpoint, &server.endpoint),
                _ => proxy.endpoint.clone(),
            };
            let undo = workflow.run(&endpoint, &["rollback"]);
            let nothing_done = undo.stderr.contains("nothing to undo");
            assert!(undo.code == Some(0) || nothing_done, "{what}: {}", undo.stderr);
            assert_eq!(place.everything(), old, "{what}: undone");
        }
    }
    if let Some(before) = before_all {
        assert_eq!(place.described("a"), before, "the function is as it was before all");
    }
}

#[test]
fn a_disturbed_deploy_is_gone_on_with_or_undone() {
    let faults = [
        Fault::FailOnce,
        Fault::FailAlways,
        Fault::LoseAnswer,
        Fault::KillBefore,
        Fault::KillAfter,
    ];
    disturb(false, &faults);
}

#[test]
fn the_original_of_a_function_that_is_taken_over_is_never_lost() {
    disturb(true, &[Fault::LoseAnswer, Fault::KillBefore, Fault::KillAfter, Fault::Throttle]);
}

#[test]
fn a_disturbed_rollback_is_run_again() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::new(state.path());
    let place = Place(server.endpoint.clone());
    assert_eq!(workflow.run(&server.endpoint, &["deploy"]).code, Some(0));
    let old = place.everything();
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for number in 0.. {
            let fused = workflow.run(&server.endpoint, &FUSE);
            assert_eq!(fused.code, Some(0), "{}", fused.stderr);
            let proxy = Proxy::start(&server.endpoint, Some((number, fault)));
            workflow.same_journal(&server.endpoint, &proxy.endpoint);
            let got = through(&proxy, &workflow, &["rollback"]);
            workflow.same_journal(&proxy.endpoint, &server.endpoint);
            if got.code != Some(0) {
                let again = workflow.run(&server.endpoint, &["rollback"]);
                assert_eq!(again.code, Some(0), "{}", again.stderr);
            }
            assert_eq!(place.everything(), old, "change {number}: {fault:?}");
            if got.code == Some(0) {
                assert!(number > 0, "it changes something");
                break;
            }
        }
    }
}
