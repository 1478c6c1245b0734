//! A workflow deployed on `fuseline local`: the commands an engineer uses day by day, and that
//! fusing changes nothing about the answers.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::{LocalServer, Run, State, fuseline, sandboxes, skipped};

const TEMPLATE: &str = "templates/trainticket/cancel-order.yaml";
const FUSED: &str = "(cancel-order,get-order,save-order,refund)";

struct Deployed<'a> {
    state: &'a Path,
    server: &'a LocalServer,
    /// Instead of the SQLite file of the test.
    database_url: Option<String>,
}

impl<'a> Deployed<'a> {
    fn new(state: &'a State, server: &'a LocalServer) -> Self {
        Self { state: state.path(), server, database_url: None }
    }

    fn run(&self, command: &str, more: &[&str]) -> Run {
        let common = [command, TEMPLATE, "--endpoint", &self.server.endpoint];
        let mut command = fuseline(self.state);
        command.args(common).args(more);
        if let Some(url) = &self.database_url {
            command.env("DATABASE_URL", url);
        }
        command.output().expect("fuseline can be started").into()
    }

    /// Answers of the workflow to the requests of a few seeds.
    fn answers(&self) -> Vec<Value> {
        (1..=6)
            .map(|seed| {
                let got = self.run("invoke", &["--seed", &seed.to_string()]);
                assert_eq!(got.code, Some(0), "{}{}", got.stdout, got.stderr);
                serde_json::from_str(&got.stdout).unwrap()
            })
            .collect()
    }
}

#[test]
fn a_workflow_is_deployed_driven_fused_rolled_back_and_removed() {
    for sandbox in sandboxes() {
        let state = State::new();
        let server = LocalServer::start(state.path(), sandbox);
        let deployed = Deployed::new(&state, &server);

        let got = deployed.run("invoke", &[]);
        assert_eq!(got.code, Some(1), "nothing is deployed yet");
        assert!(got.stderr.contains("fuseline deploy"), "{}", got.stderr);

        let first = deployed.run("deploy", &["--format", "json"]).json();
        assert_eq!(first["deployment"], "(cancel-order)-(get-order)-(save-order)-(refund)");
        let unfused = deployed.answers();
        assert!(unfused.iter().all(|answer| answer["status"] == 1), "{unfused:?}");

        let load = ["--requests", "20", "--concurrency", "2", "--format", "json"];
        let before = deployed.run("load", &load).json();
        let before = &before["measurement"];
        assert_eq!(before["failures"], 0, "{before}");
        assert!(before["double_billed_ms"].as_f64().unwrap() > 0.0, "{before}");
        for function in ["cancel-order", "get-order", "save-order", "refund"] {
            assert!(before["functions"][function]["invocations"].as_u64().unwrap() > 0, "{before}");
        }

        let fused = deployed.run("deploy", &["--setup", FUSED, "--memory", "cancel-order=768"]);
        assert_eq!(fused.code, Some(0), "{}", fused.stderr);
        assert_eq!(deployed.answers(), unfused, "fused, the workflow gives other answers");
        let after = deployed.run("load", &load).json();
        let after = &after["measurement"];
        assert_eq!(after["deployment"], FUSED, "{after}");
        assert_eq!(after["resources"]["cancel-order"]["memory_mb"], 768);
        assert_eq!(after["double_billed_ms"].as_f64(), Some(0.0), "{after}");
        let status = deployed.run("status", &["--format", "json"]).json();
        assert_eq!(status["live"], FUSED);
        assert_eq!(status["functions"].as_array().unwrap().len(), 4);

        assert_eq!(deployed.run("deploy", &[]).code, Some(0));
        assert_eq!(deployed.answers(), unfused, "unfused again, other answers");

        let open = ["--requests", "10", "--rate", "20", "--format", "json"];
        assert_eq!(deployed.run("load", &open).json()["measurement"]["failures"], 0);

        let removed = deployed.run("destroy", &["--format", "json"]).json();
        assert_eq!(removed["removed"].as_array().unwrap().len(), 4);
        let nothing = deployed.run("status", &["--format", "json"]).json();
        assert_eq!(nothing["functions"], json!([]));

        assert_eq!(server.signal("INT"), Some(0), "Ctrl-C ends it in good order");
        state.assert_nothing_left();
    }
}

#[test]
fn what_a_killed_server_leaves_is_removed_by_the_next() {
    for sandbox in sandboxes() {
        let state = State::new();
        let server = LocalServer::start(state.path(), sandbox);
        let deployed = Deployed::new(&state, &server);
        assert_eq!(deployed.run("deploy", &[]).code, Some(0));
        assert_eq!(deployed.run("invoke", &[]).code, Some(0));
        assert_eq!(server.signal("KILL"), None);
        let next = LocalServer::start(state.path(), "process");
        assert_eq!(next.signal("TERM"), Some(0));
        state.assert_nothing_left();
    }
}

#[test]
fn it_runs_on_postgresql_too() {
    let url = std::env::var("DATABASE_URL").ok().filter(|url| url.starts_with("postgres"));
    let Some(url) = url else {
        return skipped("PostgreSQL: DATABASE_URL names none; only SQLite is tested");
    };
    for sandbox in sandboxes() {
        let state = State::new();
        let server = LocalServer::start(state.path(), sandbox);
        let deployed =
            Deployed { database_url: Some(url.clone()), ..Deployed::new(&state, &server) };
        assert_eq!(deployed.run("deploy", &["--setup", FUSED]).code, Some(0));
        let load = ["--requests", "10", "--format", "json"];
        let load = deployed.run("load", &load).json();
        assert_eq!(load["measurement"]["failures"], 0, "{sandbox}: {load}");
    }
}

#[test]
fn the_aws_command_line_works_against_the_local_backend() {
    if Command::new("aws").arg("--version").output().is_err() {
        return skipped("the aws command line is not installed; install Debian's awscli");
    }
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let deployed = Deployed::new(&state, &server);
    assert_eq!(deployed.run("deploy", &[]).code, Some(0));
    // Makes the database, too.
    assert_eq!(deployed.run("invoke", &[]).code, Some(0));
    let aws = |arguments: &[&str]| {
        let output = Command::new("aws")
            .args(["--endpoint-url", &server.endpoint, "--output", "json"])
            .args(arguments)
            .envs([
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
            ])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (serde_json::from_slice::<Value>(&output.stdout).unwrap_or(Value::Null), stderr)
    };
    let (functions, stderr) = aws(&["lambda", "list-functions"]);
    assert_eq!(functions["Functions"].as_array().map(Vec::len), Some(4), "{stderr}");
    let (alias, stderr) =
        aws(&["lambda", "get-alias", "--function-name", "cancel-order", "--name", "live"]);
    assert_eq!(alias["Name"], "live", "{stderr}");
    let (payload, out) = (state.path().join("payload"), state.path().join("answer"));
    std::fs::write(&payload, "{\"orderId\": \"none\"}").unwrap();
    // From a file, which both major versions of the command take as it is.
    let payload = format!("fileb://{}", payload.display());
    let (invoked, stderr) = aws(&[
        "lambda",
        "invoke",
        "--function-name",
        "get-order",
        "--payload",
        &payload,
        "--log-type",
        "Tail",
        out.to_str().unwrap(),
    ]);
    assert_eq!(invoked["StatusCode"], 200, "{stderr}");
    let answer: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(answer["status"], 0, "there is no such order: {answer}");
    let (events, stderr) =
        aws(&["logs", "filter-log-events", "--log-group-name", "/aws/lambda/get-order"]);
    let text = events.to_string();
    assert!(text.contains("REPORT RequestId: "), "{text}{stderr}");
    let (_, stderr) = aws(&["lambda", "get-function", "--function-name", "nobody"]);
    assert!(stderr.contains("ResourceNotFoundException"), "{stderr}");
}
