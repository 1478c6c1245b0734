//! The simulator beside the local backend: the same workflow, whose functions burn known CPU time, costs
//! and takes the same on both.

use serde_json::Value;
use tests::{LocalServer, State, program, run};

/// How far apart the two may be.
const APART: f64 = 0.1;
/// What else runs on the machine makes the local backend slower, never faster.
const ATTEMPTS: usize = 4;

/// `a` burns, then waits for `b` and `c`, which burn too; `a` and `c` have one vCPU, `b` half of one.
const WORKFLOW: &str = "
name: burning
entry: a
slo: { latency: 60s }
defaults: { runtime: provided.al2023, timeout: 60s, memory: 1769 }
tasks:
  a: { code: ./probe, calls: { b: sync, c: sync }, model: { cpu: 300ms, memory: 20MB } }
  b: { code: ./probe, memory: 885, model: { cpu: 1s, memory: 20MB } }
  c: { code: ./probe, model: { cpu: 400ms, memory: 20MB } }
payloads:
  - body:
      burn_ms: 300
      calls:
        - { function: b, payload: { burn_ms: 1000 } }
        - { function: c, payload: { burn_ms: 400 } }
";

fn figures(load: &Value) -> (f64, f64, f64) {
    let measurement = &load["measurement"];
    assert_eq!(measurement["failures"], 0, "{measurement}");
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{measurement}"));
    (
        number(&measurement["cost_usd"]["mean"]),
        number(&measurement["latency_ms"]["p50"]),
        number(&measurement["double_billed_ms"]),
    )
}

#[test]
fn simulated_and_real_figures_agree() {
    let state = State::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("workflow.yaml");
    std::fs::create_dir(folder.path().join("probe")).unwrap();
    std::fs::copy(program("probe"), folder.path().join("probe/bootstrap")).unwrap();
    std::fs::write(&file, WORKFLOW).unwrap();
    let with = |command: &str, more: &[&str]| {
        run(state.path(), &[&[command, file.to_str().unwrap()], more].concat())
    };
    let load = ["--requests", "8", "--format", "json"];
    let simulated = [&load[..], &["--platform", "sim", "--invoke-overhead", "none"]].concat();
    let simulated = figures(&with("load", &simulated).json());

    let server = LocalServer::start(state.path(), "process");
    let endpoint = ["--endpoint", server.endpoint.as_str()];
    let deployed = with("deploy", &endpoint);
    assert_eq!(deployed.code, Some(0), "{}", deployed.stderr);
    let mut said = Vec::new();
    for _ in 0..ATTEMPTS {
        let real = figures(&with("load", &[&load[..], &endpoint].concat()).json());
        let apart = |real: f64, simulated: f64| (real - simulated).abs() / simulated;
        let worst = apart(real.0, simulated.0)
            .max(apart(real.1, simulated.1))
            .max(apart(real.2, simulated.2));
        said.push(format!("real {real:?}, simulated {simulated:?}: {:.1} % apart", worst * 100.0));
        if worst <= APART {
            return;
        }
    }
    panic!("{}", said.join("; "));
}
