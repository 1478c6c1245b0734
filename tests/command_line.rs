//! Bad input: each gets a one-paragraph error that names the place and the next step, the right
//! exit code, and changes nothing.

use std::path::Path;

use tests::{LocalServer, run};

const GOOD: &str = "\
name: w
entry: a
slo: { latency: 500ms }
defaults: { runtime: provided.al2023, memory: 512 }
tasks:
  a: { code: ./a, calls: { b: sync } }
  b: { code: ./b }
";

/// Writes a workflow file with one thing changed, and packages of its tasks.
fn workflow(folder: &Path, from: &str, to: &str) -> String {
    for task in ["a", "b"] {
        std::fs::create_dir_all(folder.join(task)).unwrap();
        std::fs::write(folder.join(task).join("bootstrap"), "").unwrap();
    }
    assert!(GOOD.contains(from), "{from}");
    let file = folder.join("w.yaml");
    std::fs::write(&file, GOOD.replace(from, to)).unwrap();
    file.display().to_string()
}

fn check(from: &str, to: &str, place: &str, message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), from, to);
    for command in ["validate", "deploy", "optimize", "verify"] {
        let state = folder.path().join("state");
        let got = run(&state, &[command, &file]);
        assert_eq!(got.code, Some(2), "{command} {to}: {}", got.stderr);
        assert_eq!(got.stdout, "", "{command} {to}");
        let first = got.stderr.lines().next().unwrap();
        assert!(first.starts_with(&format!("error: {file}{place}: ")), "{command}: {first}");
        assert!(first.contains(message), "{command}: {first}");
        assert!(got.stderr.contains("\n  next: "), "{command}: {}", got.stderr);
        assert!(!state.exists(), "{command} {to} started something");
    }
}

#[test]
fn wrong_workflow_files_name_line_and_column() {
    check("b: sync", "c: sync", ":6:28", "there is no task `c`");
    check("b: { code: ./b }", "b: { code: ./b, calls: { a: sync } }", ":7:28", "cycle: a → b → a");
    check("500ms", "500", ":3:17", "`500` is not a time");
    check("memory: 512", "memory: 512kb", ":4:47", "`512kb` is not an amount of memory");
    check("memory: 512", "memory: 64", ":4:47", "128 MB to 10240 MB");
    check("memory: 512", "memory: 20GB", ":4:47", "128 MB to 10240 MB");
    check("memory: 512", "memry: 512", ":4:39", "unknown field `memry`");
    check("b: { code: ./b }", "b: { code: ./x }", ":7:14", "the code of task `b` is missing");
    check("entry: a", "entry: [", ":2:8", "expected string scalar");
}

#[test]
fn contradictory_constraints_name_line_and_column() {
    let add = |constraints: &str, place: &str, message: &str| {
        let to = format!("entry: a\nconstraints: {{ {constraints} }}");
        check("entry: a", &to, place, message);
    };
    add(
        "together: [[a, b]], apart: [[b, a]]",
        ":3:27",
        "`a` and `b` are both `together` and `apart`",
    );
    add("together: [[a, z]]", ":3:31", "there is no task `z`");
    add("apart: [[a]]", ":3:24", "names two or more different ones");
    add("apart: [[a, a]]", ":3:24", "names two or more different ones");
    add("fixed: { a: { memory: 64 } }", ":3:38", "128 MB to 10240 MB");
    add("fixed: { z: { memory: 512 } }", ":3:25", "there is no task `z`");
    add(
        "allow: [{ fuse: [a, b], check: vpc, force: true }]",
        ":3:24",
        "`force: true` without a reason",
    );
    add("allow: [{ fuse: [a, b], check: colour }]", ":3:47", "unknown variant `colour`");
    add("allow: [{ fuse: [a, b], check: apart }]", ":3:24", "`apart` cannot be allowed");
    add("apartt: [[a, b]]", ":3:16", "unknown field `apartt`");
    let asynchronous = "a: { code: ./a, calls: { b: async } }";
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "a: { code: ./a, calls: { b: sync } }", asynchronous);
    let text = std::fs::read_to_string(&file).unwrap() + "constraints: { together: [[a, b]] }\n";
    std::fs::write(&file, text).unwrap();
    let got = run(folder.path(), &["validate", &file]);
    assert_eq!(got.code, Some(2));
    assert!(got.stderr.contains(":8:27: no synchronous call joins `a` and `b`"), "{}", got.stderr);
}

#[test]
fn wrong_configurations_name_line_and_column() {
    let b = |to: &str, place: &str, message: &str| {
        check("b: { code: ./b }", &format!("b: {{ code: ./b, {to} }}"), place, message);
    };
    b("runtime: cobol", ":7:28", "Lambda has no runtime `cobol`");
    b("runtime: python3.12", ":7:3", "task `b` has no handler, which python3.12 needs");
    b(
        "runtime: python3.12, handler: app.handler",
        ":7:14",
        "b/app.py, where the handler `app.handler`",
    );
    b("runtime: nodejs20.x, handler: app", ":7:14", "has no handler `app`");
    b("ephemeralStorage: 100", ":7:37", "/tmp has 512 MB to 10240 MB");
    b("vpc: { subnets: [x] }", ":7:26", "unknown field `subnets`");
    b(
        "policy: { Statement: [{ Effect: Allow, NotAction: x, Resource: y }] }",
        ":7:27",
        "unknown field `NotAction`",
    );
    b("policy: ./nowhere.json", ":7:27", "nowhere.json");
    check(
        "b: sync",
        "b: { kind: sync, maxPayload: 1KB }",
        ":6:57",
        "`1KB` is not an amount of memory",
    );
    check("b: sync", "b: later", ":6:28", "unknown variant `later`");
}

/// What `validate` says of the call from `a` to `b`, as JSON.
fn gate(from: &str, to: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), from, to);
    let got = run(&folder.path().join("state"), &["validate", &file, "--format", "json"]);
    let calls = got.json()["gate"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 1, "{calls}");
    assert_eq!((&calls[0]["caller"], &calls[0]["callee"]), (&"a".into(), &"b".into()));
    calls[0].clone()
}

#[test]
fn validate_shows_what_the_safety_gate_says() {
    let fine = gate("name: w", "name: w");
    assert_eq!(fine["level"], "allow", "{fine}");
    assert!(
        fine["verdicts"].as_array().unwrap().iter().all(|one| one["effect"] == "none"),
        "{fine}"
    );

    let limited = "b: { code: ./b, reservedConcurrency: 2 }";
    let kept_out = gate("b: { code: ./b }", limited);
    assert_eq!((&kept_out["level"], &kept_out["effect"]), (&"warn".into(), &"kept_out".into()));
    let allowed = gate(
        "b: { code: ./b }",
        &format!(
            "{limited}\nconstraints: {{ allow: [{{ fuse: [a, b], check: reserved-concurrency }}] }}"
        ),
    );
    assert_eq!(allowed["level"], "allow", "{allowed}");
    let arm = "b: { code: ./b, architecture: arm64 }";
    assert_eq!(gate("b: { code: ./b }", arm)["level"], "forbid");
    let unforced = "constraints: { allow: [{ fuse: [a, b], check: architecture, reason: x }] }";
    assert_eq!(gate("b: { code: ./b }", &format!("{arm}\n{unforced}"))["level"], "forbid");
    let forced = unforced.replace("reason: x", "reason: x, force: true");
    assert_eq!(gate("b: { code: ./b }", &format!("{arm}\n{forced}"))["level"], "allow");
    let one = |action: &str| format!("{{ Effect: Allow, Action: {action}, Resource: arn }}");
    let policies = format!(
        "a: {{ code: ./a, calls: {{ b: sync }}, role: ra, policy: {{ Statement: {} }} }}\n  \
         b: {{ code: ./b, role: rb, policy: {{ Statement: [{}] }} }}",
        one("\"s3:*\""),
        one("[\"s3:GetObject\", \"sqs:SendMessage\"]")
    );
    let privileges = gate("a: { code: ./a, calls: { b: sync } }\n  b: { code: ./b }", &policies);
    let role = privileges["verdicts"].as_array().unwrap().iter().find(|v| v["check"] == "role");
    let role = role.unwrap();
    assert_eq!(role["level"], "forbid");
    let text = role["text"].as_str().unwrap();
    assert!(
        text.contains("`b` would lose sqs:SendMessage on arn: give them to the role ra"),
        "{text}"
    );
    assert!(text.contains("`b` would gain s3:* on arn"), "{text}");
}

#[test]
fn validate_says_in_words_how_to_allow_a_fusion() {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "b: { code: ./b }", "b: { code: ./b, timeout: 60s }");
    let got = run(folder.path(), &["validate", &file]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(got.stdout.contains("  a → b: not fused unless allowed\n"), "{}", got.stdout);
    let warning =
        "    timeout-path warns: `b` may run 60 s, but in the function of `a` it ends with";
    assert!(got.stdout.contains(warning), "{}", got.stdout);
    let line = "to allow it: { fuse: [a, b], check: timeout-path, reason: \"…\" }\n";
    assert!(got.stdout.contains(line), "{}", got.stdout);
}

#[test]
fn a_forbidden_fusion_is_not_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "entry: a", "entry: a\nconstraints: { apart: [[a, b]] }");
    let got = run(folder.path(), &["deploy", &file, "--setup", "(a,b)"]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    let message = "error: --setup: apart: `constraints.apart` keeps `a` and `b` apart\n  next: ";
    assert!(got.stderr.starts_with(message), "{}", got.stderr);
}

#[test]
fn a_missing_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let got = run(folder.path(), &["validate", "nowhere.yaml"]);
    assert_eq!(got.code, Some(2));
    assert!(
        got.stderr.contains("nowhere.yaml: the workflow file cannot be read"),
        "{}",
        got.stderr
    );
}

#[test]
fn wrong_options_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "name: w", "name: w");
    for arguments in [
        vec!["optimise"],
        vec!["optimize", &file, "--executions", "1"],
        vec!["optimize", &file, "--memory", "64:128:64"],
        vec!["optimize", &file, "--space", "azure"],
        vec!["optimize", &file, "--prices", "./nowhere.yaml"],
        vec!["optimize", &file, "--space", "lambda", "--prices", "thesis"],
        vec!["optimize", &file, "--space", "decoupled", "--memory", "128:1024:100"],
        vec!["optimize", &file, "--invoke-overhead", "fast"],
        vec!["optimize", &file, "--sandbox", "podman"],
        vec!["optimize", &file, "--platform", "aws"],
        vec!["optimize", &file, "--platform", "aws", "--space", "fargate", "--max-usd", "1"],
        vec!["status", &file, "--region", "eu-west-1"],
        vec!["deploy", &file, "--endpoint", "127.0.0.1:1"],
        vec!["deploy", &file, "--setup", "a,b"],
        vec!["deploy", &file, "--setup", "(a)-(c)"],
        vec!["deploy", &file, "--memory", "a=12"],
        vec!["invoke", &file, "--payload", "{"],
        vec!["verify", &file, "--deployment", "a,b"],
        vec!["verify", &file, "--deployment", "(a)"],
        vec!["verify", &file, "--ignore", "at"],
        vec!["verify", &file, "--payloads", "nowhere.jsonl"],
        vec!["verify", &file, "--payloads", "p.jsonl", "--recorded"],
        vec!["verify", &file, "--requests", "0"],
    ] {
        let got = run(&folder.path().join("state"), &arguments);
        assert_eq!(got.code, Some(2), "{arguments:?}: {}", got.stderr);
        assert!(got.stderr.starts_with("error: "), "{arguments:?}: {}", got.stderr);
    }
}

#[test]
fn a_platform_of_ones_own_is_checked_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "name: w", "name: w");
    let prices = folder.path().join("prices.yaml");
    let text = "name: mine\nprices:\n  own: { source: bill, date: 2026-11-27, unit: EUR, vcpu: 1,\n    gb: -1, request: 0, granularityMs: 1, initBilled: true }\n";
    std::fs::write(&prices, text).unwrap();
    let state = folder.path().join("state");
    let prices = prices.to_str().unwrap();
    let got = run(&state, &["optimize", &file, "--space", "fargate", "--prices", prices]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    let expected =
        format!("error: {prices}:4:9: prices.own.gb cannot be -1\n  next: write what it costs");
    assert!(got.stderr.starts_with(&expected), "{}", got.stderr);
    assert!(!state.exists(), "it started something");
}

#[test]
fn a_broken_payload_is_named_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "name: w", "name: w");
    let payloads = folder.path().join("payloads.jsonl");
    std::fs::write(&payloads, "{\"a\": 1}\n2\n{\"a\" 1}\n").unwrap();
    let state = folder.path().join("state");
    let got = run(&state, &["verify", &file, "--payloads", payloads.to_str().unwrap()]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    let place = format!("error: {}:3:6: the payload is not JSON", payloads.display());
    assert!(got.stderr.starts_with(&place), "{}", got.stderr);
    assert!(got.stderr.contains("\n  next: "), "{}", got.stderr);
    assert!(!state.exists(), "it started something");
}

#[test]
fn no_server_and_a_taken_port_are_failures_with_a_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = workflow(folder.path(), "name: w", "name: w");
    // Port 1 needs root to listen on and has no service here.
    let got = run(folder.path(), &["status", &file, "--endpoint", "http://127.0.0.1:1"]);
    assert_eq!(got.code, Some(1));
    assert!(got.stderr.contains("fuseline local"), "{}", got.stderr);

    let server = LocalServer::start(folder.path(), "process");
    let port = server.endpoint.rsplit(':').next().unwrap().to_owned();
    let got = run(folder.path(), &["local", "--sandbox", "process", "--port", &port]);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains(&format!("port {port}")), "{}", got.stderr);
    assert!(got.stderr.contains("in use"), "{}", got.stderr);
}

#[test]
fn docker_that_refuses_says_what_it_said_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let got: tests::Run = tests::fuseline(folder.path())
        .args(["local", "--sandbox", "docker", "--port", "0"])
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap()
        .into();
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("Docker cannot be used"), "{}", got.stderr);
}
