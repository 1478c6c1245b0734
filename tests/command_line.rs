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
        vec!["optimize", &file, "--invoke-overhead", "fast"],
        vec!["optimize", &file, "--sandbox", "podman"],
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
