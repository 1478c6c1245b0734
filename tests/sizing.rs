//! Sizes chosen for orchestrated workflows (AARC), on the simulator: what is found, and what is said when
//! nothing can be found or the budget ends.

use std::path::Path;

use serde_json::Value;
use tests::{Run, State, repository, run};

/// `first` does nearly all of its work on up to eight cores, `second` on one and in 300 MB.
const WORKFLOW: &str = "\
name: pair
slo: { latency: 4s }
defaults: { runtime: provided.al2023, memory: 1769 }
tasks:
  first: { code: ./none, model: { cpu: 4s, parallel: { share: 0.95, width: 8 }, memory: 50MB, init: 100ms, noise: 0.02 } }
  second: { code: ./none, model: { cpu: 200ms, memory: 300MB, init: 100ms, noise: 0.02 } }
steps: { first: {}, second: { after: [first] } }
payloads: [ { body: {} } ]
";

fn optimize(folder: &Path, workflow: &str, more: &[&str]) -> Run {
    let file = folder.join("workflow.yaml");
    std::fs::write(&file, workflow).unwrap();
    let fixed = ["optimize", file.to_str().unwrap(), "--platform", "sim", "--format", "json"];
    run(folder, &[&fixed, more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn vcpu_and_memory_are_chosen_apart_within_the_slo() {
    let state = State::new();
    let report = optimize(state.path(), WORKFLOW, &["--space", "decoupled"]).json();
    let recommended = &report["recommendation"];
    assert!(number(&recommended["measurement"]["latency_ms"]["p95"]) <= 4_000.0, "{recommended}");
    assert!(number(&recommended["saving"]["cost_ci95"][0]) > 0.0, "{recommended}");
    let of =
        |function: usize, what: &str| number(&report["functions"][function]["resources"][what]);
    // Nothing but the SLO makes the first fast, and memory that is not needed costs.
    assert!(of(0, "milli_vcpu") > 1_000.0, "{report}");
    assert!(of(0, "memory_mb") < 256.0, "{report}");
    assert!((300.0..512.0).contains(&of(1, "memory_mb")), "{report}");
    for function in report["functions"].as_array().unwrap() {
        assert_eq!(function["place"], "critical_path", "{function}");
        assert!(!function["changes"].as_array().unwrap().is_empty(), "{function}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let state = State::new();
    let file = repository().join("templates/ml-pipeline/workflow.yaml");
    let with = |seed: &str| {
        let file = file.to_str().unwrap();
        let fixed = ["optimize", file, "--platform", "sim", "--format", "json", "--seed"];
        let got = run(state.path(), &[&fixed[..], &[seed]].concat());
        assert_eq!(got.code, Some(0), "{}", got.stderr);
        got.stdout
    };
    let first = with("7");
    assert_eq!(first, with("7"));
    assert_ne!(first, with("8"));
}

#[test]
fn an_slo_out_of_reach_is_told_with_the_best_latency_and_ends_it() {
    let state = State::new();
    let got = optimize(state.path(), WORKFLOW, &["--space", "decoupled", "--slo", "300ms"]);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    let said: Value = serde_json::from_str(&got.stdout).unwrap();
    let best = number(&said["standing"]["misses_slo"]["latency_us"]) / 1e3;
    // 4 s × (0.05 + 0.95 / 8) and 200 ms, with the delay of two invokes.
    assert!((870.0..1_100.0).contains(&best), "{said}");
    assert_eq!(said["trials"].as_array().unwrap().len(), 1, "{said}");
    assert!(got.stderr.contains("no size keeps the latency objective"), "{}", got.stderr);
    assert!(got.stderr.contains("next: raise the latency objective"), "{}", got.stderr);
}

#[test]
fn a_function_that_fails_at_every_size_is_named_and_ends_it() {
    let state = State::new();
    let workflow = WORKFLOW.replace("memory: 300MB", "memory: 20GB");
    let got = optimize(state.path(), &workflow, &["--space", "decoupled"]);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    let said: Value = serde_json::from_str(&got.stdout).unwrap();
    assert_eq!(said["trials"].as_array().unwrap().len(), 1, "{said}");
    assert!(got.stderr.contains("second"), "{}", got.stderr);
    assert!(got.stderr.contains("fails at every size"), "{}", got.stderr);
}

#[test]
fn a_budget_that_is_spent_gives_the_best_so_far() {
    let state = State::new();
    let free = optimize(state.path(), WORKFLOW, &["--space", "decoupled"]).json();
    assert_eq!(free["budget_spent"], Value::Null);
    let spent = |report: &Value, what: &str| number(&report["spent"][what]);
    for (option, limit, what, unit) in [
        ("--max-executions", 500.0, "executions", 1.0),
        ("--max-usd", spent(&free, "usd") * 0.7, "usd", 1.0),
        ("--max-minutes", spent(&free, "seconds") / 60.0 * 0.7, "seconds", 60.0),
    ] {
        let given = limit.to_string();
        let got = optimize(state.path(), WORKFLOW, &["--space", "decoupled", option, &given]);
        let report = got.json();
        assert!(spent(&report, what) <= limit * unit, "{option}: {}", report["spent"]);
        assert!(report["budget_spent"].is_string(), "{option}: {report}");
        let trials = |report: &Value| report["trials"].as_array().unwrap().len();
        assert!(trials(&report) < trials(&free), "{option}");
        // What it has was compared all the same.
        assert!(number(&report["recommendation"]["measurement"]["executions"]) >= 20.0);
    }
    let got = optimize(state.path(), WORKFLOW, &["--max-executions", "10"]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    assert!(got.stderr.contains("--max-executions"), "{}", got.stderr);
}

#[test]
fn the_strategy_fits_the_workflow_or_is_told() {
    let state = State::new();
    let got = optimize(state.path(), WORKFLOW, &["--strategy", "nested"]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    let nested = WORKFLOW
        .replace("steps: { first: {}, second: { after: [first] } }", "entry: first")
        .replace("first: { code", "first: { calls: { second: sync }, code");
    for (strategy, expect) in [("nested", "nested"), ("aarc", "aarc")] {
        let more = ["--strategy", strategy, "--space", "decoupled"];
        let report = optimize(state.path(), &nested, &more).json();
        assert_eq!(report["strategy"], expect);
        assert!(number(&report["recommendation"]["saving"]["cost_ci95"][0]) > 0.0, "{report}");
    }
    let got = optimize(state.path(), &WORKFLOW.replace("model: { cpu: 200ms", "x: { cpu: 1"), &[]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
}
