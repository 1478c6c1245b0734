//! Commands on AWS that are disturbed: every call that changes something fails, loses its answer or is the last one
//! before the process is killed. Afterwards there is either the old or the new deployment in full, nothing is left
//! over, and nothing that was there before is lost. And every call that only asks fails or is never answered.

use serde_json::Value;
use tests::aws_workflow::{Place, TINY, Workflow};
use tests::proxy::{Fault, Proxy, Requests};
use tests::{LocalServer, Run, State, fuseline};

/// Its functions need a layer.
const MANAGED: &str = "name: tiny
entry: a
slo: { latency: 1s }
defaults: { runtime: python3.11, handler: app.handler, memory: 256 }
tasks:
  a: { code: ./a, calls: { b: sync } }
  b: { code: ./b }
";
/// Both functions have an alias that is called from outside.
const ORCHESTRATED: &str = "name: tiny
steps: { a: {}, b: { after: [ a ] } }
slo: { latency: 1s }
defaults: { runtime: provided.al2023, memory: 256 }
tasks: { a: { code: ./a }, b: { code: ./b } }
";
const UNFUSED: &str = "(a)-(b)";
const FUSED: &str = "(a,b)";
const FUSE: &[&str] = &["deploy", "--setup", FUSED];
/// In two steps, with a plan that is made before.
const ROLL_OUT: &[&str] = &["apply", "--steps", "30,100", "--step-executions", "0"];

/// What is there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    Nothing,
    /// The workflow, unfused.
    Deployed,
    /// A function `a` that Fuseline did not make.
    Foreign,
}

/// A workflow of which a deploy or a rollout is disturbed.
struct Case {
    before: Before,
    text: &'static str,
    deploy: &'static [&'static str],
    /// What is live afterwards.
    new: &'static str,
}

/// Runs a command through a proxy that may kill it.
fn through(proxy: &Proxy, workflow: &Workflow, command: &[&str]) -> Run {
    let child = workflow.command(&proxy.endpoint, command).spawn().expect("it can be started");
    proxy.set_client(child.id());
    child.wait_with_output().expect("it can be waited for").into()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

fn assert_ok(got: &Run, what: &str) {
    assert_eq!(got.code, Some(0), "{what}: {}", got.stderr);
}

/// What is live, if it can be asked for.
fn live(workflow: &Workflow, endpoint: &str) -> Value {
    workflow.run(endpoint, &["status", "--format", "json"]).json()["live"].clone()
}

/// Disturbs every change of a deployment in turn and checks what is there then, after it was gone on with, and after
/// it was undone.
fn disturb(case: &Case, faults: &[Fault]) {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::with(state.path(), case.text);
    let place = Place(server.endpoint.clone());
    let foreign = (case.before == Before::Foreign).then(|| place.create("a"));
    // Journals are kept by endpoint, and every proxy is another.
    let direct = |command: &[&str]| workflow.run(&server.endpoint, command);
    let adopt: &[&str] = if foreign.is_some() { &["--adopt"] } else { &[] };
    let deploy: Vec<&str> = case.deploy.iter().chain(adopt).copied().collect();
    // A plan is for one endpoint, and nothing is changed by making it.
    let planned = |proxy: &Proxy| {
        if deploy[0] != "apply" {
            return deploy.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        }
        let name = proxy.endpoint.rsplit(':').next().unwrap_or_default();
        let plan = state.path().join(format!("{name}.json")).display().to_string();
        let make = ["plan", "--setup", FUSED, "--output", &plan];
        assert_ok(&workflow.run(&proxy.endpoint, &make), "plan");
        deploy.iter().map(|it| (*it).to_owned()).chain(["--plan".into(), plan]).collect()
    };
    let counting = Proxy::start(&server.endpoint, None);
    if case.before == Before::Deployed {
        assert_ok(&direct(&["deploy"]), "deployed before");
    }
    let old = place.everything();
    let old_live = if case.before == Before::Deployed { Value::from(UNFUSED) } else { Value::Null };
    let command = planned(&counting);
    assert_ok(&through(&counting, &workflow, &words(&command)), "without a disturbance");
    let new = place.shape();
    let changes = counting.counted();
    assert_ok(&workflow.run(&counting.endpoint, &["rollback"]), "undone without a disturbance");
    assert_eq!(place.everything(), old, "undone without a disturbance");
    for number in 0..changes {
        for &fault in faults {
            let what = format!("change {number} of {changes}: {fault:?}");
            let proxy = Proxy::start(&server.endpoint, Some((number, fault)));
            let command = planned(&proxy);
            let got = through(&proxy, &workflow, &words(&command));
            let is_done = got.code == Some(0);
            let survives = matches!(fault, Fault::FailOnce | Fault::LoseAnswer | Fault::Throttle);
            assert_eq!(is_done, survives, "{what}: {}", got.stderr);
            let known = live(&workflow, &server.endpoint);
            assert!(known == case.new || known == old_live, "{what}: {known}");
            // Every second one is gone on with before it is undone.
            let goes_on = number % 2 == 0 && fault != Fault::FailAlways;
            if !is_done && goes_on {
                assert_ok(&workflow.run(&proxy.endpoint, &words(&command)), &what);
            }
            if is_done || goes_on {
                assert_eq!(live(&workflow, &server.endpoint), case.new, "{what}");
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
    if let Some(foreign) = foreign {
        assert_eq!(place.described("a"), foreign, "the function is as it was before all");
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
    disturb(&Case { before: Before::Deployed, text: TINY, deploy: FUSE, new: FUSED }, &faults);
}

#[test]
fn a_disturbed_rollout_is_gone_on_with_or_undone() {
    let faults = [Fault::FailAlways, Fault::LoseAnswer, Fault::KillBefore, Fault::KillAfter];
    disturb(&Case { before: Before::Deployed, text: TINY, deploy: ROLL_OUT, new: FUSED }, &faults);
}

#[test]
fn the_original_of_a_function_that_is_taken_over_is_never_lost() {
    let faults = [Fault::LoseAnswer, Fault::KillBefore, Fault::KillAfter, Fault::Throttle];
    disturb(&Case { before: Before::Foreign, text: TINY, deploy: FUSE, new: FUSED }, &faults);
}

#[test]
fn a_disturbed_first_deploy_leaves_no_function_and_no_layer() {
    let faults = [Fault::LoseAnswer, Fault::KillBefore, Fault::KillAfter];
    disturb(&Case { before: Before::Nothing, text: MANAGED, deploy: FUSE, new: FUSED }, &faults);
}

#[test]
fn a_disturbed_deploy_of_steps_moves_all_aliases_or_none_in_the_end() {
    let deploy = &["deploy", "--memory", "a=512", "--memory", "b=512"];
    let faults = [Fault::LoseAnswer, Fault::KillBefore, Fault::KillAfter];
    let case = Case { before: Before::Deployed, text: ORCHESTRATED, deploy, new: UNFUSED };
    disturb(&case, &faults);
}

/// Kills a command before and after each of its changes, runs it again if it has not ended, and checks what is there.
fn kill_and_run_again(
    before: Before,
    text: &str,
    deploys: &[&[&str]],
    command: &str,
    expected: impl Fn(&Place) -> Value,
) {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::with(state.path(), text);
    let place = Place(server.endpoint.clone());
    if before == Before::Foreign {
        place.create("a");
        place.publish_live("a");
    }
    if before == Before::Deployed {
        assert_ok(&workflow.run(&server.endpoint, &["deploy"]), "deployed before");
    }
    let wanted = expected(&place);
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for number in 0.. {
            let what = format!("change {number}: {fault:?}");
            for deploy in deploys {
                assert_ok(&workflow.run(&server.endpoint, deploy), &what);
            }
            let proxy = Proxy::start(&server.endpoint, Some((number, fault)));
            workflow.same_journal(&server.endpoint, &proxy.endpoint);
            let got = through(&proxy, &workflow, &[command]);
            workflow.same_journal(&proxy.endpoint, &server.endpoint);
            if got.code != Some(0) {
                assert_eq!(got.code, None, "{what}: {}", got.stderr);
                assert_ok(&workflow.run(&server.endpoint, &[command]), &what);
            }
            assert_eq!(expected(&place), wanted, "{what}");
            if got.code == Some(0) {
                assert!(number > 0, "it changes something");
                break;
            }
        }
    }
}

#[test]
fn a_disturbed_rollback_is_run_again() {
    kill_and_run_again(Before::Deployed, TINY, &[FUSE], "rollback", Place::everything);
}

#[test]
fn a_disturbed_destroy_is_run_again() {
    let adopt: &[&[&str]] = &[&["deploy", "--adopt"], FUSE];
    // The function that was taken over has its own version and alias back, the other one is gone.
    kill_and_run_again(Before::Foreign, TINY, adopt, "destroy", Place::everything);
    kill_and_run_again(Before::Nothing, MANAGED, &[FUSE], "destroy", Place::everything);
    kill_and_run_again(Before::Nothing, ORCHESTRATED, &[&["deploy"]], "destroy", Place::everything);
}

/// Runs a command of which one request that only asks is disturbed. A server that hangs is not waited for.
fn with_a_disturbed_read(
    server: &LocalServer,
    workflow: &Workflow,
    fault: Option<(usize, Fault)>,
    command: &[&str],
) -> (Run, usize) {
    let proxy = Proxy::of(Requests::Reads, &server.endpoint, fault);
    workflow.same_journal(&server.endpoint, &proxy.endpoint);
    let mut fuseline = workflow.command(&proxy.endpoint, command);
    let got = fuseline.env("FUSELINE_CALL_TIMEOUT", "2").output().unwrap().into();
    workflow.same_journal(&proxy.endpoint, &server.endpoint);
    (got, proxy.counted())
}

/// What is done to the read with a number; all of it would take minutes.
fn passing(number: usize) -> Fault {
    [Fault::FailOnce, Fault::Throttle, Fault::Hang, Fault::LoseAnswer][number % 4]
}

#[test]
fn a_read_that_fails_is_repeated_and_one_that_always_fails_stops_the_command() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::new(state.path());
    let place = Place(server.endpoint.clone());
    let run = |fault, command: &[&str]| with_a_disturbed_read(&server, &workflow, fault, command);
    assert_ok(&workflow.run(&server.endpoint, &["deploy"]), "deployed before");
    let old = place.everything();
    let (got, reads) = run(None, FUSE);
    assert_ok(&got, "without a disturbance");
    let new = place.shape();
    let (status, status_reads) = run(None, &["status"]);
    assert!(reads > 5 && status_reads > 3, "{reads}, {status_reads}");
    let rollback = || assert_ok(&workflow.run(&server.endpoint, &["rollback"]), "rollback");
    for number in 0..status_reads {
        let (got, _) = run(Some((number, passing(number))), &["status"]);
        assert_eq!((got.code, &got.stdout), (Some(0), &status.stdout), "{number}: {}", got.stderr);
        let (got, _) = run(Some((number, Fault::FailAlways)), &["status"]);
        assert_eq!(got.code, Some(1), "{number}: {}", got.stderr);
        assert!(got.stderr.contains("the status cannot be read"), "{}", got.stderr);
    }
    rollback();
    for number in 0..reads {
        let what = format!("read {number} of {reads}");
        let (got, _) = run(Some((number, passing(number))), FUSE);
        assert_ok(&got, &format!("{what}: {:?}", passing(number)));
        assert_eq!(place.shape(), new, "{what}");
        rollback();

        let (got, _) = run(Some((number, Fault::FailAlways)), FUSE);
        assert_eq!(got.code, Some(1), "{what}: {}", got.stderr);
        assert!(got.stderr.contains("disturbed"), "{what}: {}", got.stderr);
        let live = live(&workflow, &server.endpoint);
        assert!(live == UNFUSED || live == FUSED, "{what}: {live}");
        if number % 2 == 0 {
            assert_ok(&workflow.run(&server.endpoint, FUSE), &what);
            assert_eq!(place.shape(), new, "{what}: gone on with");
        }
        // What failed before it began is not in the journal.
        if number % 2 == 0 || !got.stderr.contains("nothing was changed") {
            rollback();
        }
        assert_eq!(place.everything(), old, "{what}: undone");
    }
}

#[test]
fn logs_that_fail_are_read_again() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let run = |endpoint: &str, command: &[&str]| -> Run {
        let mut fuseline = fuseline(state.path());
        fuseline.arg(command[0]).arg("templates/trainticket/cancel-order.yaml");
        fuseline.args(["--platform", "aws", "--endpoint", endpoint]).args(&command[1..]);
        fuseline.env("AWS_MAX_ATTEMPTS", "2").env("FUSELINE_CALL_TIMEOUT", "2");
        fuseline.output().expect("it can be started").into()
    };
    let load = |fault| {
        let proxy = Proxy::of(Requests::Reads, &server.endpoint, fault);
        let got = run(&proxy.endpoint, &["load", "--requests", "2", "--format", "json"]);
        (got, proxy.counted())
    };
    assert_ok(&run(&server.endpoint, &["deploy"]), "deployed before");
    let (got, reads) = load(None);
    assert_eq!(got.json()["measurement"]["failures"], 0, "{}", got.stdout);
    for number in 0..reads {
        let (got, _) = load(Some((number, passing(number))));
        assert_ok(&got, &format!("read {number} of {reads}: {:?}", passing(number)));
        assert_eq!(got.json()["measurement"]["failures"], 0, "{}", got.stdout);
    }
    let (got, _) = load(Some((reads - 1, Fault::FailAlways)));
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("the log group /aws/lambda/"), "{}", got.stderr);
    assert_ok(&run(&server.endpoint, &["destroy"]), "destroy");
}
