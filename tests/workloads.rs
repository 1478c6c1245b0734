//! Functions of the workload templates on `fuseline local`: too little memory kills them, and enough
//! does not.

use std::path::Path;

use serde_json::{Value, json};
use tests::{LocalServer, Run, State, fuseline, program, sandboxes, skipped};

/// A workflow of the video analysis's first function alone, which holds its whole video in memory.
const WORKFLOW: &str = "\
name: memory
entry: split
slo: { latency: 60s }
defaults:
  runtime: provided.al2023
  timeout: 60s
  environment: { STORE: \"file://${WORKFLOW_DIRECTORY}/data\" }
local: { directories: [ ./data ] }
tasks:
  split: { code: ./split }
";

struct Deployed<'a> {
    state: &'a Path,
    server: &'a LocalServer,
    workflow: &'a Path,
}

impl Deployed<'_> {
    fn run(&self, command: &str, more: &[&str]) -> Run {
        let mut run = fuseline(self.state);
        run.arg(command).arg(self.workflow).args(["--endpoint", &self.server.endpoint]).args(more);
        run.output().expect("fuseline can be started").into()
    }

    /// Splits a video of `seconds` times 1.7 MB.
    fn split(&self, seconds: usize) -> Run {
        let request = json!({ "executionId": "e2e", "seconds": seconds, "framesPerSecond": 5,
                              "width": 640, "height": 360 });
        self.run("invoke", &["--payload", &request.to_string()])
    }
}

#[test]
fn a_video_that_does_not_fit_kills_the_function() {
    for sandbox in sandboxes() {
        let state = State::new();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("split")).unwrap();
        let built = program("video-analysis-split");
        std::fs::copy(built, folder.path().join("split/bootstrap")).unwrap();
        let workflow = folder.path().join("workflow.yaml");
        std::fs::write(&workflow, WORKFLOW).unwrap();
        let server = LocalServer::start(state.path(), sandbox);
        let deployed = Deployed { state: state.path(), server: &server, workflow: &workflow };
        for (memory, seconds, fits) in [(128, 20, true), (128, 120, false), (512, 120, true)] {
            let got = deployed.run("deploy", &["--memory", &format!("split={memory}")]);
            assert_eq!(got.code, Some(0), "{}", got.stderr);
            let got = deployed.split(seconds);
            let said = format!("{sandbox}, {memory} MB: {}{}", got.stdout, got.stderr);
            if sandbox == "process" && !fits && got.code == Some(0) {
                skipped("memory: the process sandbox cannot limit it here");
                continue;
            }
            assert_eq!(got.code == Some(0), fits, "{said}");
            if fits {
                let answer: Value = serde_json::from_str(&got.stdout).unwrap();
                assert_eq!(answer["chunks"].as_array().unwrap().len(), seconds / 2, "{said}");
            } else {
                assert!(said.contains("OutOfMemory"), "{said}");
            }
        }
        let got = deployed.run("destroy", &[]);
        assert_eq!(got.code, Some(0), "{}", got.stderr);
    }
}
