//! Orchestrated workflows on `fuseline local`: steps and a state machine, deployed, driven and measured.

use std::path::Path;

use serde_json::{Value, json};
use tests::aws::{Emulator, answer, authorization};
use tests::{LocalServer, Run, State, fuseline, program, run, sandboxes};

/// What each task's function does is its `DO`.
const HEAD: &str = "\
name: flow
slo: { latency: 20s }
defaults:
  runtime: provided.al2023
  memory: 512
  timeout: 20s
  environment: { DATA: \"${WORKFLOW_DIRECTORY}/data\", MARKS: \"${WORKFLOW_DIRECTORY}/marks\" }
local: { directories: [ ./marks ] }
objects: { folder: ./data, above: 1MB }
tasks:
  split: { code: ./step, environment: { DO: split } }
  square: { code: ./step, environment: { DO: square } }
  breaks: { code: ./step, environment: { DO: breaks } }
  echo: { code: ./step, environment: { DO: echo } }
  large: { code: ./step, environment: { DO: large } }
  measure: { code: ./step, environment: { DO: measure } }
  sleep: { code: ./step, environment: { DO: sleep } }
  exit: { code: ./step, environment: { DO: exit } }
payloads: [ { body: { n: 4 }, expect: EXPECT } ]
";

const STEPS: &str = "\
steps:
  split: {}
  square:
    after: [split]
    map: { items: /chunks, concurrency: 2 }
    retry: { errors: [Odd], attempts: 1, interval: 10ms }
  check:
    after: [split]
    task: breaks
    when: /chunks/3 exists
    catch: { errors: [Broken], task: echo }
  large: { after: [split] }
  join: { after: [square, check, large], task: measure }
";

const MACHINE: &str = "\
stateMachine:
  StartAt: Both
  States:
    Both:
      Type: Parallel
      Branches:
        - StartAt: Split
          States:
            Split: { Type: Task, Resource: split, ResultPath: $.split, Next: Each }
            Each:
              Type: Map
              ItemsPath: $.split.chunks
              ItemSelector: { \"n.$\": $$.Map.Item.Value }
              MaxConcurrency: 2
              ItemProcessor:
                StartAt: Echo
                States:
                  Echo:
                    Type: Task
                    Resource: arn:aws:states:::lambda:invoke
                    Parameters: { FunctionName: echo, Payload.$: $.n }
                    OutputPath: $.Payload
                    End: true
              End: true
        - StartAt: Slow
          States:
            Slow:
              Type: Task
              Resource: sleep
              TimeoutSeconds: 1
              Catch: [ { ErrorEquals: [States.Timeout], Next: Pause, ResultPath: $.error } ]
              Next: Pause
            Pause: { Type: Wait, Seconds: 0, OutputPath: $.error.Error, End: true }
      ResultSelector: { \"each.$\": \"$[0]\", \"slow.$\": \"$[1]\" }
      Next: Which
    Which:
      Type: Choice
      Choices: [ { Variable: \"$.each[3]\", IsPresent: true, Next: Done } ]
      Default: Exit
    Exit: { Type: Task, Resource: exit, End: true }
    Done: { Type: Succeed }
";

/// Writes a workflow with its functions; returns the name of its file.
fn workflow(folder: &Path, flow: &str, expect: &Value) -> String {
    for name in ["step", "marks"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::copy(program("step"), folder.join("step/bootstrap")).unwrap();
    let file = folder.join("flow.yaml");
    std::fs::write(&file, HEAD.replace("EXPECT", &expect.to_string()) + flow).unwrap();
    file.display().to_string()
}

struct Deployed<'a> {
    state: &'a State,
    server: &'a LocalServer,
    file: String,
}

impl Deployed<'_> {
    fn run(&self, command: &str, more: &[&str]) -> Run {
        let arguments = [command, &self.file, "--endpoint", &self.server.endpoint];
        run(self.state.path(), &[&arguments, more].concat())
    }
}

#[test]
fn steps_run_one_after_the_other_side_by_side_and_over_lists() {
    for sandbox in sandboxes() {
        let state = State::new();
        let server = LocalServer::start(state.path(), sandbox);
        let folder = state.path().join("w");
        let told = json!({"Error": "Broken", "Input": {"chunks": [0, 1, 2, 3]}});
        let expect = json!({
            "by_reference": true,
            "got": {"square": [0, 1, 4, 9], "large": {"text": 2_000_000}, "check": told},
        });
        let file = workflow(&folder, STEPS, &expect);
        let deployed = Deployed { state: &state, server: &server, file };

        let got = deployed.run("invoke", &[]);
        assert_eq!(got.code, Some(1), "nothing is deployed yet");
        let first = deployed.run("deploy", &["--format", "json"]).json();
        // Nothing leads to the other two.
        let functions = "(split)-(square)-(breaks)-(echo)-(large)-(measure)";
        assert_eq!(first["deployment"], functions);
        assert_eq!(deployed.run("status", &["--format", "json"]).json()["live"], functions);

        let got = deployed.run("invoke", &[]);
        let answer: Value = serde_json::from_str(&got.stdout).unwrap();
        assert_eq!(answer["got"]["square"], json!([0, 1, 4, 9]), "{}", got.stderr);
        assert_eq!(got.code, Some(0), "{}{}", got.stdout, got.stderr);
        // Six of the list, of which two failed, and one that stood in.
        assert!(got.stderr.contains(" ms, 11 invocations, trace 1-"), "{}", got.stderr);
        assert!(got.stderr.contains("  check: Error after "), "{}", got.stderr);

        let load = ["--requests", "4", "--concurrency", "2", "--format", "json"];
        let load = deployed.run("load", &load).json();
        let measurement = &load["measurement"];
        assert_eq!(measurement["failures"], 0, "{measurement}");
        assert!(measurement["cost_usd"]["mean"].as_f64().unwrap() > 0.0, "{measurement}");
        let warm = measurement["executions"].as_u64().unwrap();
        for (task, each) in
            [("split", 1), ("square", 6), ("breaks", 1), ("echo", 1), ("measure", 1)]
        {
            let invocations = measurement["functions"][task]["invocations"].as_u64().unwrap();
            assert_eq!(invocations, each * warm, "{task}: {measurement}");
        }
        let left: Vec<_> = std::fs::read_dir(folder.join("data")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");

        let few = deployed.run("invoke", &["--payload", r#"{"n": 1}"#]);
        let answer: Value = serde_json::from_str(&few.stdout).unwrap();
        let got = json!({"square": [0], "large": {"text": 2_000_000}});
        assert_eq!(answer["got"], got, "without the step that is left out");
        assert_eq!(server.signal("INT"), Some(0));
        state.assert_nothing_left();
    }
}

const IN_A_BUCKET: &str = "\
name: flow
slo: { latency: 20s }
defaults: { runtime: provided.al2023, memory: 512, timeout: 20s }
objects: { bucket: large-data/of/flow, above: 1MB }
tasks:
  long: { code: ./step, environment: { DO: long } }
  measure: { code: ./step, environment: { DO: measure, AT: SERVER, WITH: HEADER } }
steps: { long: {}, measure: { after: [long] } }
payloads: [ { body: {}, expect: { by_reference: true, got: { text: 2000000 } } } ]
";

#[test]
fn large_data_pass_through_a_bucket() {
    let Some(moto) = Emulator::start("moto") else { return };
    let s3 = |line: &str| answer(&moto.endpoint, "s3", "text/plain", line, "").unwrap();
    assert!(s3("PUT /large-data").0.contains(" 200 "));
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let folder = state.path().join("w");
    let file = workflow(&folder, "", &Value::Null);
    let text = IN_A_BUCKET
        .replace("SERVER", &json!(moto.endpoint.trim_start_matches("http://")).to_string())
        .replace("HEADER", &json!(authorization("s3")).to_string());
    std::fs::write(&file, text).unwrap();
    let run = |command: &str, more: &[&str]| -> Run {
        let mut fuseline = fuseline(state.path());
        fuseline.args([command, &file, "--endpoint", &server.endpoint]).args(more);
        fuseline
            .env("AWS_ENDPOINT_URL_S3", &moto.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1");
        fuseline.output().expect("fuseline can be started").into()
    };
    assert_eq!(run("deploy", &[]).code, Some(0));
    let load = run("load", &["--requests", "3", "--format", "json"]).json();
    assert_eq!(load["measurement"]["failures"], 0, "{load}");
    let (_, listed) = s3("GET /large-data?list-type=2");
    assert!(listed.contains("<KeyCount>0</KeyCount>"), "objects are left: {listed}");

    let text = std::fs::read_to_string(&file).unwrap().replace("large-data", "no-such-bucket");
    std::fs::write(&file, text).unwrap();
    let got = run("invoke", &[]);
    assert_eq!(got.code, Some(1), "{}{}", got.stdout, got.stderr);
    assert!(got.stdout.contains("Fuseline.ObjectStoreFailed"), "{}", got.stdout);
    assert!(got.stdout.contains("NoSuchBucket"), "{}", got.stdout);
}

#[test]
fn a_state_machine_runs() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let folder = state.path().join("w");
    let expect = json!({"each": [0, 1, 2, 3], "slow": "States.Timeout"});
    let file = workflow(&folder, MACHINE, &expect);
    let deployed = Deployed { state: &state, server: &server, file };
    assert_eq!(deployed.run("deploy", &[]).code, Some(0));
    let got = deployed.run("invoke", &[]);
    assert_eq!(got.code, Some(0), "{}{}", got.stdout, got.stderr);
    assert_eq!(serde_json::from_str::<Value>(&got.stdout).unwrap(), expect);
    assert!(got.stderr.contains("  Both/1/Slow: Timeout after 1"), "{}", got.stderr);
    assert!(got.stderr.contains("  Both/0/Each/Echo: Ok after "), "{}", got.stderr);

    // The function that is not waited for any more is paid for to its end.
    let load = deployed.run("load", &["--requests", "2", "--format", "json"]).json();
    let sleep = &load["measurement"]["functions"]["sleep"];
    assert!(sleep["duration_ms"].as_f64().unwrap() > 1_900.0, "{sleep}");
    let p50 = load["measurement"]["latency_ms"]["p50"].as_f64().unwrap();
    assert!((1_000.0..1_900.0).contains(&p50), "{p50}");

    let got = deployed.run("invoke", &["--payload", r#"{"n": 1}"#]);
    assert_eq!(got.code, Some(1), "{}{}", got.stdout, got.stderr);
    let answer: Value = serde_json::from_str(&got.stdout).unwrap();
    assert_eq!(answer["Error"], "Runtime.ExitError", "{answer}");
    assert!(got.stderr.contains("Crash"), "{}", got.stderr);
}

#[test]
fn wrong_flows_are_usage_errors() {
    let state = State::new();
    let folder = state.path().join("w");
    for (flow, from, to, expect) in [
        (
            STEPS,
            "after: [split]\n    map",
            "after: [cut]\n    map",
            ":23:13: step `square` comes after `cut`",
        ),
        (
            MACHINE,
            "Resource: exit",
            "Resource: gone",
            ":59:35: state `Exit`: there is no task `gone`",
        ),
    ] {
        assert!(flow.contains(from), "{from}");
        let file = workflow(&folder, &flow.replace(from, to), &Value::Null);
        let got = run(state.path(), &["validate", &file]);
        assert_eq!(got.code, Some(2), "{}", got.stderr);
        assert!(got.stderr.contains(expect), "{}", got.stderr);
        assert!(got.stderr.contains("next: "), "{}", got.stderr);
    }
}
