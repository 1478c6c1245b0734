//! The main job, for real: `fuseline optimize` on the cancel-order template.

use serde_json::Value;
use tests::{State, fuseline, run, sandboxes};

const TEMPLATE: &str = "templates/trainticket/cancel-order.yaml";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Every field that the interface promises, with its type.
fn check_measurement(measurement: &Value, executions: u64) {
    assert!(measurement["deployment"].as_str().unwrap().starts_with("(cancel-order"));
    assert!(measurement["executions"].as_u64().unwrap() >= executions * 9 / 10, "{measurement}");
    assert_eq!(measurement["failures"], 0, "{measurement}");
    let cost = &measurement["cost_usd"];
    let (mean, ci95) = (number(&cost["mean"]), &cost["ci95"]);
    assert!(number(&ci95[0]) <= mean && mean <= number(&ci95[1]) && mean > 0.0, "{cost}");
    let latency = &measurement["latency_ms"];
    let (p50, p95, p99) =
        (number(&latency["p50"]), number(&latency["p95"]), number(&latency["p99"]));
    assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{latency}");
    assert!(number(&latency["mean"]) > 0.0);
    assert!(number(&measurement["cold_start_ms"]) > 0.0, "{measurement}");
    assert!(number(&measurement["double_billed_ms"]) >= 0.0);
}

#[test]
fn cancel_order_gets_cheaper_within_its_slo() {
    for sandbox in sandboxes() {
        let state = State::new();
        let arguments = [
            "optimize",
            TEMPLATE,
            "--sandbox",
            sandbox,
            "--executions",
            "12",
            "--comparison",
            "25",
            "--memory",
            "256:768:256",
            "--format",
            "json",
        ];
        let got = run(state.path(), &arguments);
        let report = got.json();
        assert_eq!(report["workflow"], "cancel-order");
        assert_eq!(report["platform"], "local");
        assert_eq!(report["sandbox"], sandbox);
        assert_eq!(report["invoke_overhead"], "15ms,40ms", "the overhead is named in the result");

        let baseline = &report["baseline"];
        check_measurement(baseline, 25);
        assert!(number(&baseline["double_billed_ms"]) > 0.0, "unfused, waiting is paid twice");
        let trials = report["trials"].as_array().unwrap();
        assert!(trials.len() >= 4, "a first measurement, three fusions, sizes: {}", trials.len());
        for trial in trials {
            check_measurement(&trial["measurement"], 12);
            assert_eq!(trial["measurement"]["deployment"], trial["deployment"]);
            assert!(!trial["reason"].as_str().unwrap().is_empty());
            let decision = trial["decision"].as_str().unwrap();
            assert!(["measured", "kept", "undone", "partly_kept"].contains(&decision));
        }

        let recommendation = &report["recommendation"];
        check_measurement(&recommendation["measurement"], 25);
        assert_ne!(recommendation["deployment"], baseline["deployment"], "nothing was fused");
        assert!(number(&recommendation["saving"]["cost"]) > 0.0, "{recommendation}");
        assert!(recommendation["saving"]["latency_p95"].is_number());
        assert!(recommendation["reasons"].as_array().unwrap().len() >= 4);
        let slo_ms = 500.0;
        let p95 = number(&recommendation["measurement"]["latency_ms"]["p95"]);
        assert!(p95 <= slo_ms, "p95 {p95} ms misses the SLO");
        let inside = number(&recommendation["measurement"]["double_billed_ms"]);
        assert!(inside < number(&baseline["double_billed_ms"]), "double billing did not fall");

        let verification = &report["verification"];
        assert_eq!(verification["equal"], true, "{verification}");
        assert_eq!(verification["requests"], 5, "{verification}");
        let verified = verification["deployments"][1].as_str().unwrap();
        assert_eq!(recommendation["deployment"], verified, "what is recommended was verified");

        let spent = &report["spent"];
        assert!(spent["executions"].as_u64().unwrap() > 100, "{spent}");
        assert!(number(&spent["usd"]) > 0.0 && number(&spent["seconds"]) > 0.0, "{spent}");
        assert!(got.stderr.contains("final comparison"), "progress is told: {}", got.stderr);
        state.assert_nothing_left();
    }
}

#[test]
fn an_interrupted_optimisation_leaves_nothing() {
    for sandbox in sandboxes() {
        let state = State::new();
        let mut child = fuseline(state.path())
            .args(["optimize", TEMPLATE, "--sandbox", sandbox])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The second trial's start: functions have been deployed and instances run.
        let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut lines = std::io::BufRead::lines(stderr).map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("  2  ")), "the second trial never started");
        let id = child.id().to_string();
        std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap();
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
        assert!(rest.iter().any(|line| line.starts_with("interrupted: ")), "{rest:?}");
        state.assert_nothing_left();
    }
}
