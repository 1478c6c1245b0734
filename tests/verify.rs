//! `fuseline verify` on the probe function: what fusing changes is found and named, and what only
//! differs from run to run is not.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::{LocalServer, Run, State, program, run, sandboxes};

/// Where a process is: another folder for each bundle, as processes are not in containers.
const PLACES: [&str; 4] = [
    "/payload/directory",
    "/payload/calls/*/payload/directory",
    "/calls/*/*/response/directory",
    "/calls/*/*/calls/*/*/response/directory",
];
/// The same in a container, where a process's number depends on what was started before it.
const PROCESSES: [&str; 4] = [
    "/payload/process",
    "/payload/calls/*/payload/process",
    "/calls/*/*/response/process",
    "/calls/*/*/calls/*/*/response/process",
];

/// A workflow of three probes, `a` calling `b` and `c`, with a template for each payload.
fn workflow(folder: &Path, payloads: &[Value]) -> String {
    for task in ["a", "b", "c"] {
        std::fs::create_dir_all(folder.join(task)).unwrap();
        let bootstrap = folder.join(task).join("bootstrap");
        if !bootstrap.exists() {
            std::fs::copy(program("probe"), bootstrap).unwrap();
        }
    }
    let bodies: String = payloads.iter().map(|body| format!("  - body: {body}\n")).collect();
    let text = format!(
        "name: w\nentry: a\nslo: {{ latency: 5s }}\n\
         defaults: {{ runtime: provided.al2023, memory: 512, timeout: 10s }}\n\
         tasks:\n  a: {{ code: ./a, calls: {{ b: sync, c: async }} }}\n  \
         b: {{ code: ./b, calls: {{ c: sync }} }}\n  c: {{ code: ./c }}\npayloads:\n{bodies}"
    );
    let file = folder.join("w.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn verify(state: &State, file: &str, sandbox: &str, more: &[&str]) -> Run {
    let mut arguments = vec!["verify", file, "--sandbox", sandbox, "--invoke-overhead", "none"];
    for field in PLACES.iter().chain(&PROCESSES) {
        arguments.extend(["--ignore", field]);
    }
    arguments.extend(more);
    run(state.path(), &arguments)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn a_workflow_whose_answers_do_not_change_is_equal() {
    for sandbox in sandboxes() {
        let state = State::new();
        let calls = json!([
            { "function": "b", "parallel": 2, "payload": { "calls": [{ "function": "c" }] } },
            { "function": "c", "asynchronous": true, "payload": { "burn_ms": 1 } },
            { "function": "b", "payload": { "burn_ms": 1, "print": "{{uuid}}" } },
        ]);
        let file = workflow(state.path(), &[json!({ "calls": calls }), json!({})]);
        let got = verify(&state, &file, sandbox, &["--requests", "3", "--format", "json"]);
        let report = got.json();
        assert_eq!(report["workflow"], "w");
        assert_eq!(report["deployments"], json!(["(a)-(b)-(c)", "(a,b,c)-(c)"]));
        assert_eq!((&report["requests"], &report["equal"]), (&json!(6), &json!(true)));
        assert_eq!(report["differences"], json!([]));
        assert_eq!(report["call_payloads"], true, "its own server's logs may hold them");
        let ignored = strings(&report["ignored"]);
        for field in ["/payload/calls/*/payload/burn_us", PLACES[0]] {
            assert!(ignored.contains(&field), "{field}: {ignored:?}");
        }
        for field in ["/status", "/error", "/payload", "/payload/function", "/calls/b"] {
            assert!(!ignored.contains(&field), "{field}: {ignored:?}");
        }
        state.assert_nothing_left();
    }
}

#[test]
fn a_function_that_notices_being_fused_is_named_with_its_field() {
    let state = State::new();
    // What lies beside its own package, which in a fused bundle is that of its caller.
    let notices = json!({ "calls": [{ "function": "b", "payload": { "list": ".." } }] });
    let file = workflow(state.path(), &[json!({}), notices]);
    let more = ["--requests", "1", "--deployment", "(a,b)-(c)", "--format", "json"];
    let got = verify(&state, &file, "process", &more);
    assert_eq!(got.code, Some(1), "{}{}", got.stdout, got.stderr);
    assert!(got.stderr.contains("answers 1 of 2 requests differently"), "{}", got.stderr);
    let report: Value = serde_json::from_str(&got.stdout).unwrap();
    assert_eq!(report["equal"], false);
    let found: Vec<(&Value, &Value, &Value)> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["request"], &one["kind"], &one["pointer"]))
        .collect();
    assert_eq!(
        found,
        [
            (&json!(2), &json!("payload"), &json!("/payload/calls/0/payload/listed")),
            (&json!(2), &json!("calls"), &json!("/calls/b/0/response/listed")),
        ]
    );
    let first = &report["differences"][0];
    assert_eq!((&first["unfused"], &first["fused"]), (&json!("[\"b\"]"), &json!("[\"a\",\"b\"]")));

    let listed = ["--ignore", "/payload/calls/*/payload/listed", "--ignore", "/calls"];
    let got = verify(&state, &file, "process", &[&listed[..], &["--requests", "1"]].concat());
    assert_eq!(got.code, Some(0), "{}{}", got.stdout, got.stderr);
    assert!(got.stdout.contains("/payload/calls/*/payload/listed"), "{}", got.stdout);
    assert!(got.stdout.trim_end().ends_with("\nequal"), "{}", got.stdout);
    state.assert_nothing_left();
}

#[test]
fn equal_failures_are_equal() {
    for sandbox in sandboxes() {
        let state = State::new();
        let calling = |b: Value| json!({ "calls": [{ "function": "b", "payload": b }] });
        let failures = [
            json!({ "fail": "always" }),
            json!({ "exit": 3 }),
            calling(json!({ "fail": "always" })),
            calling(json!({ "exit": 3 })),
        ];
        let file = workflow(state.path(), &failures);
        let got = verify(&state, &file, sandbox, &["--requests", "1", "--format", "json"]);
        assert_eq!(got.code, Some(0), "{}{}", got.stdout, got.stderr);
        let report = got.json();
        assert_eq!(report["requests"], 4);
        let ignored = strings(&report["ignored"]);
        assert!(!ignored.contains(&"/payload/errorMessage"), "{ignored:?}");
        state.assert_nothing_left();
    }
}

#[test]
fn recorded_payloads_are_sent_again_and_none_is_recorded_unasked() {
    let state = State::new();
    let file = workflow(state.path(), &[json!({})]);
    let server = LocalServer::start(state.path(), "process");
    let at = |command: &str, more: &[&str]| {
        let common = [command, &file, "--endpoint", &server.endpoint];
        run(state.path(), &[&common[..], more].concat())
    };
    let recorded = ["--recorded", "--format", "json"];
    let payload = r#"{"calls":[{"function":"b","payload":{"print":"secret"}}]}"#;
    assert_eq!(at("deploy", &[]).code, Some(0));
    assert_eq!(at("invoke", &["--payload", payload]).code, Some(0));
    let got = at("verify", &recorded);
    assert_eq!(got.code, Some(1), "{}", got.stdout);
    assert!(got.stderr.contains("deploy it with `fuseline deploy --record-payloads`"));

    assert_eq!(at("deploy", &["--record-payloads"]).code, Some(0));
    for payload in [payload, "{}", "{}"] {
        assert_eq!(at("invoke", &["--payload", payload]).code, Some(0));
    }
    let ignore: Vec<&str> =
        PLACES.iter().chain(&PROCESSES).flat_map(|field| ["--ignore", field]).collect();
    let report = at("verify", &[&recorded[..], &ignore].concat()).json();
    assert_eq!(report["requests"], 2, "each payload once: {report}");
    assert_eq!(report["payloads"], "2 recorded payloads, sent as they are in every run");
    assert_eq!(report["equal"], true, "{report}");
    assert_eq!(report["call_payloads"], false, "an endpoint's logs hold none unasked");

    let payloads: PathBuf = state.path().join("payloads.jsonl");
    std::fs::write(&payloads, format!("{payload}\n")).unwrap();
    let file = ["--payloads", payloads.to_str().unwrap(), "--record-payloads", "--format", "json"];
    let report = at("verify", &[&file[..], &ignore].concat()).json();
    assert_eq!((&report["requests"], &report["call_payloads"]), (&json!(1), &json!(true)));
    assert_eq!(report["equal"], true, "{report}");
}

#[test]
fn optimize_does_not_recommend_a_fusion_that_changes_answers() {
    let state = State::new();
    let notices = json!({ "calls": [{ "function": "b", "payload": { "list": ".." } }] });
    let file = workflow(state.path(), &[notices]);
    let sizes = ["--executions", "10", "--comparison", "10", "--memory", "512:640:128"];
    let mut arguments = vec!["optimize", &file, "--sandbox", "process", "--format", "json"];
    arguments.extend(sizes);
    for field in PLACES.iter().chain(&PROCESSES) {
        arguments.extend(["--ignore", field]);
    }
    let report = run(state.path(), &arguments).json();
    let kept = |trial: &Value| trial["decision"] == "kept";
    assert!(report["trials"].as_array().unwrap().iter().any(kept), "fusing saves money: {report}");
    let verification = &report["verification"];
    assert_eq!(verification["equal"], false, "{verification}");
    assert_eq!(report["recommendation"]["deployment"], "(a)-(b)-(c)");
    let reasons = strings(&report["recommendation"]["reasons"]);
    let named = |reason: &&str| reason.contains("/payload/calls/0/payload/listed");
    assert!(reasons.iter().any(named), "{reasons:?}");
}
