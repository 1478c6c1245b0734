//! Plans and rollouts: what is worse is rolled back, what is interrupted is gone on with or undone, what has changed
//! since a plan was made is not applied, and roles are widened and given back.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::aws::{Emulator, answer, request};
use tests::aws_workflow::Place;
use tests::{LocalServer, Run, State, fuseline, program};

/// The workflow `rolled`: one function, or two of which the first calls the second only on paper.
struct Rolled {
    /// Of its own, which ends before the state is looked at; none if it is another's.
    _server: Option<LocalServer>,
    folder: PathBuf,
    place: Place,
    state: State,
}

impl Rolled {
    /// On a local server of its own.
    fn local() -> Self {
        let state = State::new();
        let server = LocalServer::start(state.path(), "process");
        let endpoint = server.endpoint.clone();
        Self::new(state, Some(server), endpoint)
    }

    fn at(endpoint: &str) -> Self {
        Self::new(State::new(), None, endpoint.to_owned())
    }

    fn new(state: State, server: Option<LocalServer>, endpoint: String) -> Self {
        let folder = state.path().join("rolled");
        std::fs::create_dir_all(folder.join("step")).unwrap();
        std::fs::copy(program("step"), folder.join("step/bootstrap")).unwrap();
        let rolled = Self { _server: server, folder, place: Place(endpoint), state };
        rolled.does("echo", 512);
        rolled
    }

    /// Writes the workflow file: what the function does, and its memory.
    fn does(&self, what: &str, memory: u32) {
        self.write(&format!(
            "name: rolled\nentry: rolled\nslo: {{ latency: 1s }}\ndefaults: {{ runtime: provided.al2023, memory: {memory}, timeout: 5s }}\ntasks:\n  rolled: {{ code: ./step, environment: {{ DO: {what} }} }}\npayloads:\n  - body: {{ n: 1 }}\n"
        ));
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.join("w.yaml"), text).unwrap();
    }

    fn command(&self, command: &[&str]) -> std::process::Command {
        let mut fuseline = fuseline(self.state.path());
        fuseline.arg(command[0]).arg(self.folder.join("w.yaml"));
        if command[0] != "export" {
            fuseline.args(["--platform", "aws", "--endpoint", &self.place.0]);
        }
        fuseline.args(&command[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
        fuseline
    }

    fn run(&self, command: &[&str]) -> Run {
        self.command(command).output().expect("it can be started").into()
    }

    fn ok(&self, command: &[&str]) -> Run {
        let got = self.run(command);
        assert_eq!(got.code, Some(0), "{command:?}: {}{}", got.stdout, got.stderr);
        got
    }

    /// Makes a plan of what the file says, and returns its path.
    fn plan(&self, name: &str, more: &[&str]) -> String {
        let file = self.folder.join(name).display().to_string();
        self.ok(&[&["plan", "--output", &file], more].concat());
        file
    }

    fn alias(&self) -> Value {
        request(&self.place.0, "GET", "/2015-03-31/functions/rolled/aliases/live", "").unwrap()
    }

    /// Waits until the alias has a weight.
    fn wait_for_weight(&self) {
        let started = Instant::now();
        while self.alias()["RoutingConfig"]["AdditionalVersionWeights"]
            .as_object()
            .is_none_or(|it| it.is_empty())
        {
            assert!(started.elapsed() < Duration::from_secs(60), "{}", self.alias());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_worse_deployment_is_rolled_back() {
    let rolled = Rolled::local();
    let place = &rolled.place;
    rolled.ok(&["deploy"]);
    let before = place.everything();
    for (what, says) in [("exit", "it fails more often"), ("sleep", "it misses the SLO")] {
        rolled.does(what, 512);
        let plan = rolled.plan(&format!("{what}.json"), &[]);
        let apply =
            ["apply", "--plan", &plan, "--steps", "40,100", "--send", "40", "--format", "json"];
        let got = rolled.run(&apply);
        assert_eq!(got.code, Some(1), "{what}: {}{}", got.stdout, got.stderr);
        let printed: Value = serde_json::from_str(&got.stdout).unwrap();
        let rollout = &printed["rollout"];
        assert_eq!(rollout["decision"], "worse", "{rollout}");
        let reasons = rollout["reasons"].to_string();
        assert!(reasons.contains(says), "{what}: {reasons}");
        assert_eq!(
            rollout["steps"].as_array().unwrap().len(),
            1,
            "the first step is the last: {rollout}"
        );
        assert_eq!(place.everything(), before, "{what}");
        assert_eq!(rolled.alias()["RoutingConfig"], Value::Null, "{what}");
    }
    // Nothing is sent, so nothing can be said.
    rolled.does("echo", 256);
    let plan = rolled.plan("alone.json", &[]);
    let got = rolled.run(&["apply", "--plan", &plan, "--max-minutes", "0.03"]);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("0 of 50 warm executions"), "{}", got.stderr);
    assert_eq!(place.everything(), before, "undecided");
}

#[test]
fn an_interrupted_rollout_is_gone_on_with_or_undone() {
    let rolled = Rolled::local();
    let place = &rolled.place;
    rolled.ok(&["deploy"]);
    let before = place.everything();
    rolled.does("echo", 128);
    let plan = rolled.plan("plan.json", &[]);
    let stop = |signal: &str| {
        // Nothing is sent, so it waits in its first step.
        let child = rolled.command(&["apply", "--plan", &plan]).spawn().unwrap();
        rolled.wait_for_weight();
        let id = child.id().to_string();
        std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap();
        Run::from(child.wait_with_output().unwrap())
    };
    let interrupted = stop("INT");
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.stderr);
    assert_eq!(place.everything(), before, "interrupted");

    assert_eq!(stop("KILL").code, None);
    let weights = rolled.ok(&["status", "--format", "json"]).json()["weights"].clone();
    assert_eq!(
        (weights[0]["function"].as_str(), weights[0]["share"].as_f64()),
        (Some("rolled"), Some(0.05))
    );
    let deploy = rolled.run(&["deploy"]);
    assert_eq!(deploy.code, Some(2), "{}", deploy.stderr);
    assert!(deploy.stderr.contains("was interrupted here"), "{}", deploy.stderr);
    rolled.ok(&["rollback"]);
    assert_eq!(place.everything(), before, "killed and undone");

    assert_eq!(stop("KILL").code, None);
    let quick = ["apply", "--plan", &plan, "--steps", "30,100", "--step-executions", "0"];
    rolled.ok(&quick);
    assert_eq!(rolled.alias()["RoutingConfig"], Value::Null);
    let status = rolled.ok(&["status", "--format", "json"]).json();
    assert_eq!(status["functions"][0]["memory_mb"], 128, "{status}");
    rolled.ok(&["rollback"]);
    assert_eq!(place.everything(), before, "killed, finished and undone");
}

#[test]
fn every_function_that_an_orchestrator_invokes_is_compared_by_itself() {
    let rolled = Rolled::local();
    let place = &rolled.place;
    let text = |second: &str| {
        format!(
            "name: rolled\nsteps: {{ rolled: {{}}, other: {{ after: [rolled] }} }}\nslo: {{ latency: 5s }}\ndefaults: {{ runtime: provided.al2023, memory: 256, timeout: 5s }}\ntasks:\n  rolled: {{ code: ./step, environment: {{ DO: echo }} }}\n  other: {{ code: ./step, environment: {{ DO: {second} }} }}\npayloads:\n  - body: {{ n: 1 }}\n"
        )
    };
    rolled.write(&text("echo"));
    rolled.ok(&["deploy"]);
    let before = place.everything();
    let options =
        ["--steps", "40,100", "--step-executions", "10", "--send", "40", "--format", "json"];
    let more = ["--memory", "rolled=128", "--memory", "other=128"];
    let plan = rolled.plan("good.json", &more);
    let applied = rolled.ok(&[&["apply", "--plan", &plan][..], &options].concat()).json();
    let functions = applied["rollout"]["steps"][1]["functions"].as_array().unwrap().clone();
    assert_eq!(functions.len(), 2, "{applied}");
    for function in &functions {
        assert!(function["canary"]["executions"].as_u64().unwrap() >= 20, "{function}");
    }
    rolled.ok(&["rollback"]);
    assert_eq!(place.everything(), before, "undone");

    rolled.write(&text("exit"));
    let plan = rolled.plan("bad.json", &more);
    let got = rolled.run(&[&["apply", "--plan", &plan][..], &options].concat());
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("other: it fails more often"), "{}", got.stderr);
    assert_eq!(place.everything(), before, "rolled back");
}

#[test]
fn what_has_changed_since_the_plan_is_not_applied() {
    let rolled = Rolled::local();
    let refused = |command: &[&str], says: &str| {
        let got = rolled.run(command);
        assert_eq!(got.code, Some(2), "{command:?}: {}", got.stderr);
        assert!(got.stderr.contains(says), "{command:?}: {}", got.stderr);
    };
    let early = rolled.plan("early.json", &[]);
    let apply = |plan: &str| ["apply", "--plan", plan, "--step-executions", "0"].map(str::to_owned);
    let refuse = |plan: &str, says: &str| {
        let command = apply(plan);
        refused(&command.each_ref().map(String::as_str), says);
    };
    refuse(&early, "nothing of Fuseline's is deployed there");
    rolled.ok(&["deploy"]);
    let place = &rolled.place;
    let before = place.everything();
    refuse(&early, "before anything was deployed");

    let plan = rolled.plan("plan.json", &["--memory", "rolled=256"]);
    refused(&["plan", "--output", &plan], "a plan is never overwritten");
    let text = std::fs::read_to_string(&plan).unwrap();
    let tampered = rolled.folder.join("tampered.json");
    std::fs::write(&tampered, text.replace("\"memory_mb\": 256", "\"memory_mb\": 10240")).unwrap();
    refuse(tampered.to_str().unwrap(), "was changed after it was made");
    refused(&["apply", "--plan", &plan, "--steps", "25,5,100"], "--steps");
    refused(&["apply", "--plan", &plan, "--steps", "5,25"], "--steps");
    refused(&["apply", "--plan", "no-such-plan.json"], "no-such-plan.json");
    refused(&["plan", "--from", &plan, "--output", "x.json"], "is no result of `fuseline optimize");

    rolled
        .write(&std::fs::read_to_string(rolled.folder.join("w.yaml")).unwrap().replace("5s", "6s"));
    refuse(&plan, "the workflow file says something else about `rolled`");
    rolled.does("echo", 512);
    let bootstrap = rolled.folder.join("step/bootstrap");
    std::fs::write(rolled.folder.join("step/new"), "").unwrap();
    refuse(&plan, "the code of `rolled` is another one");
    std::fs::remove_file(rolled.folder.join("step/new")).unwrap();
    assert!(bootstrap.is_file());
    assert_eq!(place.everything(), before, "nothing was changed");

    let dry = rolled.ok(&["apply", "--plan", &plan, "--dry-run", "--format", "json"]).json();
    let weights: Vec<&Value> = dry["calls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["operation"] == "UpdateAlias")
        .map(|call| &call["parameters"]["RoutingConfig"]["AdditionalVersionWeights"])
        .collect();
    assert_eq!(weights.len(), 3, "{dry}");
    assert_eq!(*weights[0], json!({ "<version of rolled>": 0.05 }));
    assert_eq!(place.everything(), before, "a dry run changes nothing");

    rolled.ok(&["deploy", "--memory", "rolled=1024"]);
    refuse(&plan, "production calls");
    rolled.ok(&["rollback"]);
    rolled.ok(&["apply", "--plan", &plan, "--step-executions", "0"]);
    let second = rolled.plan("second.json", &["--memory", "rolled=128"]);
    let parent: Value = serde_json::from_str(&std::fs::read_to_string(second).unwrap()).unwrap();
    let first: Value = serde_json::from_str(&text).unwrap();
    let fingerprint = parent["parent"]["plan"].as_str().unwrap();
    assert!(first["fingerprint"].as_str().unwrap().starts_with(fingerprint), "{parent}");
}

#[test]
fn functions_of_a_stack_are_exported_and_not_changed() {
    let Some(emulator) = Emulator::start("moto") else { return };
    let rolled = Rolled::at(&emulator.endpoint);
    rolled.ok(&["deploy"]);
    let arn = request(&emulator.endpoint, "GET", "/2015-03-31/functions/rolled", "").unwrap();
    let arn = arn["Configuration"]["FunctionArn"].as_str().unwrap().to_owned();
    let tags = json!({ "Tags": {
        "aws:cloudformation:stack-name": "shop", "aws:cloudformation:logical-id": "Rolled77",
    } });
    request(&emulator.endpoint, "POST", &format!("/2017-03-31/tags/{arn}"), &tags.to_string())
        .unwrap();
    let plan = rolled.plan("plan.json", &["--memory", "rolled=256"]);
    let got = rolled.run(&["apply", "--plan", &plan, "--step-executions", "0"]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    assert!(
        got.stderr.contains("the CloudFormation stack shop manages `rolled`"),
        "{}",
        got.stderr
    );
    let output = rolled.folder.join("patch").display().to_string();
    rolled.ok(&["export", "--plan", &plan, "--format", "sam", "--output", &output]);
    let patch = std::fs::read_to_string(format!("{output}/patch.yaml")).unwrap();
    assert!(patch.contains("Rolled77:") && patch.contains("MemorySize: 256"), "{patch}");
    rolled.ok(&["apply", "--plan", &plan, "--step-executions", "0", "--force"]);
    rolled.ok(&["destroy"]);
}

#[test]
fn callers_of_an_unpublished_state_are_not_given_a_canary() {
    let rolled = Rolled::local();
    let place = &rolled.place;
    place.create("rolled");
    rolled.ok(&["deploy", "--adopt"]);
    let before = place.everything();
    let path = "/2015-03-31/functions/rolled/invocations";
    request(&place.0, "POST", path, "{}").expect("it answers");
    let plan = rolled.plan("plan.json", &["--memory", "rolled=256"]);
    let got = rolled.run(&["apply", "--plan", &plan, "--step-executions", "0"]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    assert!(got.stderr.contains("invoked without naming a version"), "{}", got.stderr);
    assert_eq!(place.everything(), before);
    rolled.ok(&["apply", "--plan", &plan, "--step-executions", "0", "--force"]);
    rolled.ok(&["rollback"]);
    assert_eq!(place.everything(), before, "undone");
}

#[test]
fn production_is_enough_to_optimise_on() {
    let rolled = Rolled::local();
    let place = &rolled.place;
    let optimize = [
        "optimize",
        "--from-traffic",
        "--traffic-share",
        "50",
        "--executions",
        "10",
        "--comparison",
        "60",
        "--memory",
        "256:512:256",
        "--max-minutes",
        "3",
        "--format",
        "json",
    ];
    let early = rolled.run(&optimize);
    assert_eq!(early.code, Some(2), "{}", early.stderr);
    assert!(early.stderr.contains("is not deployed there"), "{}", early.stderr);
    rolled.ok(&["deploy"]);
    let before = place.everything();
    let mut production =
        rolled.command(&["load", "--requests", "100000", "--rate", "60"]).spawn().unwrap();
    let optimized = rolled.run(&optimize);
    production.kill().unwrap();
    production.wait().unwrap();
    assert_eq!(optimized.code, Some(0), "{}", optimized.stderr);
    let report = optimized.json();
    let recommended = &report["recommendation"];
    // A function that computes nothing costs half with half the memory.
    assert_eq!(
        recommended["measurement"]["resources"]["rolled"]["memory_mb"], 256,
        "{recommended}"
    );
    assert_eq!(report["baseline"]["failures"], 0, "{}", report["baseline"]);
    assert_eq!(place.everything(), before, "everything is undone");
    assert_eq!(rolled.alias()["RoutingConfig"], Value::Null);
}

/// Sends a request to IAM.
fn iam(endpoint: &str, form: &str) -> String {
    let content = "application/x-www-form-urlencoded";
    let body = format!("Version=2010-05-08&{form}");
    answer(endpoint, "iam", content, "POST /", &body).expect("IAM answers").1
}

fn widen_and_give_back(emulator: &Emulator) {
    let rolled = Rolled::at(&emulator.endpoint);
    let place = &rolled.place;
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3AGetObject%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
    iam(
        &emulator.endpoint,
        &format!("Action=PutRolePolicy&RoleName=theirs&PolicyName=read&PolicyDocument={policy}"),
    );
    rolled.write("name: rolled\nentry: rolled\nslo: { latency: 1s }\ndefaults: { runtime: provided.al2023, memory: 256, timeout: 5s }\ntasks:\n  rolled: { code: ./step, role: 'arn:aws:iam::000000000000:role/fuseline-local', environment: { DO: echo }, calls: { other: sync } }\n  other: { code: ./step, role: 'arn:aws:iam::000000000000:role/theirs', environment: { DO: echo } }\nconstraints: { allow: [ { fuse: [rolled, other], check: role, reason: tested } ] }\n");
    rolled.ok(&["deploy"]);
    let before = place.everything();
    let plan = rolled.plan("plan.json", &["--setup", "(rolled,other)"]);
    rolled.ok(&["apply", "--plan", &plan, "--steps", "50,100", "--step-executions", "0"]);
    let role = |version: &str| {
        let path = format!("/2015-03-31/functions/rolled/configuration?Qualifier={version}");
        let found = request(&emulator.endpoint, "GET", &path, "").unwrap();
        found["Role"].as_str().unwrap_or_default().to_owned()
    };
    let live = rolled.alias()["FunctionVersion"].as_str().unwrap().to_owned();
    assert!(role(&live).ends_with(":role/fuseline-rolled-rolled"), "{}", role(&live));
    let inline = iam(&emulator.endpoint, "Action=ListRolePolicies&RoleName=fuseline-rolled-rolled");
    assert!(inline.contains("<member>read-2</member>"), "{inline}");
    rolled.ok(&["rollback"]);
    assert_eq!(place.everything(), before);
    assert!(role("$LATEST").ends_with(":role/fuseline-local"), "{}", role("$LATEST"));
    let gone = iam(&emulator.endpoint, "Action=GetRole&RoleName=fuseline-rolled-rolled");
    assert!(gone.contains("NoSuchEntity"), "{gone}");
    rolled.ok(&["destroy"]);
}

#[test]
fn roles_are_widened_before_the_rollout_and_given_back() {
    for name in ["moto", "localstack"] {
        if let Some(emulator) = Emulator::start(name) {
            widen_and_give_back(&emulator);
        }
    }
}
