//! One contract for everything that speaks AWS's APIs: the local backend, LocalStack and, as far as it goes, moto.

use serde_json::Value;
use tests::aws::{Emulator, request};
use tests::aws_workflow::{Place, Workflow};
use tests::{LocalServer, Run, State, fuseline};

const TEMPLATE: &str = "templates/trainticket/cancel-order.yaml";
const UNFUSED: &str = "(cancel-order)-(get-order)-(save-order)-(refund)";
const FUSED: &str = "(cancel-order,get-order,save-order,refund)";

/// How often a load is sent until every line of its logs is there: the LocalStack script drops what a function
/// prints more than 2 ms after its answer, which on a busy machine is now and then the supervisor's record.
const LOADS: u32 = 3;

/// Takes a function over, deploys twice, rolls back twice, and gives it back.
fn adopt_and_restore(state: &State, endpoint: &str) {
    let workflow = Workflow::new(state.path());
    let place = Place(endpoint.to_owned());
    let original = place.create("a");
    let before = place.everything();
    let run = |command: &[&str]| workflow.run(endpoint, command);
    let ok = |command: &[&str]| {
        let got = run(command);
        assert_eq!(got.code, Some(0), "{endpoint} {command:?}: {}", got.stderr);
        got
    };

    let foreign = run(&["deploy"]);
    assert_eq!(foreign.code, Some(2), "{}", foreign.stderr);
    assert!(foreign.stderr.contains("--adopt"), "{}", foreign.stderr);

    let dry = ok(&["deploy", "--adopt", "--setup", "(a,b)", "--dry-run", "--format", "json"]);
    let calls = dry.json()["calls"].as_array().unwrap().clone();
    let names: Vec<&str> = calls.iter().filter_map(|call| call["operation"].as_str()).collect();
    assert!(names.contains(&"CreateFunction") && names.contains(&"CreateAlias"), "{names:?}");
    assert!(!dry.stdout.contains("s3cret") && !dry.stdout.contains("stays"), "{}", dry.stdout);
    place.create("b");
    let missing = run(&["deploy", "--adopt", "--setup", "(a,b)"]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains("(SECRET, THEIRS)"), "{}", missing.stderr);
    request(endpoint, "DELETE", "/2015-03-31/functions/b", "").unwrap();
    assert_eq!(place.everything(), before, "nothing was changed");

    ok(&["deploy", "--adopt"]);
    let adopted = place.described("a");
    for kept in ["Role", "Handler", "Runtime", "Timeout", "Description"] {
        assert_eq!(adopted[kept], original[kept], "{endpoint}: {kept}");
    }
    assert_eq!(adopted["Environment"]["Variables"]["THEIRS"], "stays");
    assert_ne!(adopted["CodeSha256"], original["CodeSha256"]);
    let first = place.everything();
    ok(&["deploy", "--setup", "(a,b)"]);
    ok(&["rollback"]);
    assert_eq!(place.everything(), first, "{endpoint}: the first deployment");
    ok(&["rollback"]);
    assert_eq!(place.everything(), before, "{endpoint}: before all");

    ok(&["deploy", "--adopt", "--setup", "(a,b)"]);
    ok(&["destroy"]);
    assert_eq!(place.described("a"), original, "{endpoint}: given back");
    let mut left = place.everything();
    assert_eq!(left["a"]["aliases"], before["a"]["aliases"], "{endpoint}");
    assert_eq!(left["a"]["versions"], before["a"]["versions"], "{endpoint}");
    assert_eq!(left.as_object_mut().unwrap().remove("b"), None, "{endpoint}: b is left");

    // With a version and an alias of its own, as SAM makes them, it has these back as well.
    place.publish_live("a");
    let before = place.everything();
    ok(&["deploy", "--adopt", "--setup", "(a,b)"]);
    assert_ne!(place.everything()["a"]["aliases"], before["a"]["aliases"], "{endpoint}");
    ok(&["destroy"]);
    assert_eq!(place.everything(), before, "{endpoint}: given back with its alias");
    assert_eq!(place.described("a"), original, "{endpoint}: given back with its alias");
    request(endpoint, "DELETE", "/2015-03-31/functions/a", "").unwrap();
}

/// Deploys, drives and observes the template, fuses it, rolls back and removes it.
fn deploy_drive_roll_back(state: &State, endpoint: &str, invokes: bool) {
    let run = |command: &str, more: &[&str]| -> Run {
        let common = [command, TEMPLATE, "--platform", "aws", "--endpoint", endpoint];
        let output = fuseline(state.path()).args(common).args(more).output();
        output.expect("fuseline can be started").into()
    };
    let ok = |command: &str, more: &[&str]| -> Run {
        let got = run(command, more);
        assert_eq!(
            got.code,
            Some(0),
            "{endpoint} {command} {more:?}: {}{}",
            got.stdout,
            got.stderr
        );
        got
    };
    assert_eq!(run("invoke", &[]).code, Some(2), "nothing is deployed");
    ok("deploy", &[]);
    let live = || ok("status", &["--format", "json"]).json()["live"].clone();
    assert_eq!(live(), UNFUSED, "{endpoint}");
    let load = || {
        let more = ["--requests", "6", "--format", "json"];
        for _ in 1..LOADS {
            let got = run("load", &more);
            if !got.stderr.contains("still incomplete") {
                return got.json()["measurement"].clone();
            }
        }
        ok("load", &more).json()["measurement"].clone()
    };
    if invokes {
        assert_eq!(load()["failures"], 0, "{endpoint}");
    }
    ok("deploy", &["--setup", FUSED]);
    assert_eq!(live(), FUSED, "{endpoint}");
    if invokes {
        let fused = load();
        assert_eq!(
            (&fused["failures"], fused["double_billed_ms"].as_f64()),
            (&0.into(), Some(0.0)),
            "{fused}"
        );
    }
    if invokes {
        // Beside what production calls, which stays as it is.
        let place = Place(endpoint.to_owned());
        let before = place.everything();
        let more = ["--requests", "2", "--record-payloads", "--format", "json"];
        let report = ok("verify", &more).json();
        assert_eq!((&report["equal"], &report["requests"]), (&true.into(), &2.into()), "{report}");
        assert_eq!(place.everything(), before, "{endpoint}: after a verification");
    }
    let undone = ok("rollback", &["--format", "json"]).json();
    assert_eq!(
        (&undone["live"], &undone["undone"]["was_finished"]),
        (&UNFUSED.into(), &true.into())
    );
    if invokes {
        assert_eq!(load()["failures"], 0, "{endpoint}");
    }
    // Optimised, and rolled out in steps. What invokes nothing gets the plan that is written by hand.
    let place = Place(endpoint.to_owned());
    let before = place.everything();
    let plan = state.path().join("plan.json").display().to_string();
    let result = state.path().join("optimized.json").display().to_string();
    if invokes {
        let quick = [
            "--executions=4",
            "--comparison=12",
            "--memory=512:1024:512",
            "--verify=1",
            "--max-usd=1",
            "--format=json",
        ];
        let mut optimized = run("optimize", &quick);
        for _ in 1..LOADS {
            if optimized.stderr.contains("still incomplete") {
                optimized = run("optimize", &quick);
            }
        }
        assert_eq!(optimized.code, Some(0), "{endpoint}: {}", optimized.stderr);
        assert!(optimized.stderr.contains("if every function ran to its timeout"), "{endpoint}");
        assert_eq!(place.everything(), before, "{endpoint}: after an optimisation");
        std::fs::write(&result, &optimized.stdout).unwrap();
        ok("plan", &["--from", &result, "--output", &plan]);
        let applied = ok(
            "apply",
            &[
                "--plan",
                &plan,
                "--steps",
                "50,100",
                "--step-executions",
                "10",
                "--send",
                "25",
                "--format",
                "json",
            ],
        );
        let rollout = &applied.json()["rollout"];
        assert_eq!(rollout["decision"], "promoted", "{endpoint}: {rollout}");
        let canary = &rollout["steps"][1]["functions"][0]["canary"];
        assert!(canary["executions"].as_u64().unwrap() >= 20, "{endpoint}: {rollout}");
        assert_eq!(live(), optimized.json()["recommendation"]["deployment"], "{endpoint}");
    } else {
        ok("plan", &["--setup", FUSED, "--output", &plan]);
        ok("apply", &["--plan", &plan, "--step-executions", "0"]);
        assert_eq!(live(), FUSED, "{endpoint}");
    }
    ok("rollback", &[]);
    assert_eq!(place.everything(), before, "{endpoint}: after a rollout that was undone");
    ok("destroy", &[]);
    let left = ok("status", &["--format", "json"]).json();
    assert_eq!(left["functions"], Value::Array(Vec::new()), "{endpoint}");
    assert_eq!(run("rollback", &[]).code, Some(1), "nothing is left to undo");
}

#[test]
fn the_local_backend_keeps_the_contract() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    adopt_and_restore(&state, &server.endpoint);
    deploy_drive_roll_back(&state, &server.endpoint, true);
}

#[test]
fn localstack_keeps_the_contract() {
    let state = State::new();
    let Some(emulator) = Emulator::start("localstack") else { return };
    adopt_and_restore(&state, &emulator.endpoint);
    deploy_drive_roll_back(&state, &emulator.endpoint, true);
}

#[test]
fn moto_keeps_the_contract_but_for_invocations() {
    let state = State::new();
    let Some(emulator) = Emulator::start("moto") else { return };
    // It does not hand out code, and what could not be given back is not taken over.
    let workflow = Workflow::new(state.path());
    let place = Place(emulator.endpoint.clone());
    place.create("a");
    let before = place.everything();
    let got = workflow.run(&emulator.endpoint, &["deploy", "--adopt"]);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("the code of function `a` cannot be kept"), "{}", got.stderr);
    assert_eq!(place.everything(), before, "nothing was changed");
    deploy_drive_roll_back(&state, &emulator.endpoint, false);
}
