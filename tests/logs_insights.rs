//! Logs of a large group: a load is measured the same whichever way they are read, and whatever becomes of it.

use std::process::Stdio;

use tests::aws_workflow::Place;
use tests::stub::{Rule, Stub};
use tests::{LocalServer, Run, State, fuseline, program};

const REQUESTS: &str = "120";

#[test]
fn a_load_is_measured_with_insights() {
    let state = State::new();
    // Far fewer rows than the load has.
    let server = LocalServer::start_with(state.path(), "process", &["--query-rows", "50"]);
    let before = Place(server.endpoint.clone()).everything();
    let stub = Stub::start(Some(&server.endpoint));
    let folder = state.path().join("logged");
    std::fs::create_dir_all(folder.join("step")).unwrap();
    std::fs::copy(program("step"), folder.join("step/bootstrap")).unwrap();
    std::fs::write(
        folder.join("w.yaml"),
        "name: logged\nentry: logged\nslo: { latency: 1s }\ndefaults: { runtime: provided.al2023, memory: 256 }\ntasks:\n  logged: { code: ./step, environment: { DO: echo } }\npayloads:\n  - body: { n: 1 }\n",
    )
    .unwrap();
    let run = |command: &[&str], way: &str, rules: &[Rule]| -> Run {
        stub.set(rules);
        let mut fuseline = fuseline(state.path());
        fuseline
            .arg(command[0])
            .arg(folder.join("w.yaml"))
            .args(["--platform", "aws", "--endpoint", &stub.endpoint])
            .args(&command[1..])
            .env("FUSELINE_LOGS", way)
            .env("AWS_MAX_ATTEMPTS", "2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let got: Run = fuseline.output().expect("it can be started").into();
        assert_eq!(got.code, Some(0), "{command:?} {way}: {}{}", got.stdout, got.stderr);
        got
    };
    let queries = || stub.asked().iter().filter(|asked| *asked == "POST / StartQuery").count();
    run(&["deploy"], "", &[]);
    let load = ["load", "--requests", REQUESTS, "--rate", "30", "--format", "json"];
    let denied = Rule::error("POST / StartQuery", 400, "AccessDeniedException", None);
    let busy = Rule::error("POST / StartQuery", 400, "LimitExceededException", Some("too many"));
    for (way, rules, used, says) in [
        ("filter", vec![], false, None),
        ("", vec![], false, None),
        ("insights", vec![], true, None),
        ("insights", vec![busy], true, Some("LimitExceededException: too many")),
        ("insights", vec![denied], true, Some("logs:StartQuery")),
    ] {
        let got = run(&load, way, &rules);
        let measured = &got.json()["measurement"];
        let count = |kind: &str| measured[kind].as_u64().unwrap_or_default();
        let all = count("executions") + count("cold_executions");
        assert_eq!(
            (all.to_string().as_str(), count("failures")),
            (REQUESTS, 0),
            "{way}: {measured}"
        );
        assert_eq!(queries() > 0, used, "{way}");
        match says {
            None => assert!(!got.stderr.contains("notice"), "{way}: {}", got.stderr),
            Some(says) => assert!(got.stderr.contains(says), "{way}: {}", got.stderr),
        }
        if used && says.is_none() {
            assert!(queries() > 3, "the time was cut: {}", queries());
        }
    }
    run(&["destroy"], "", &[]);
    assert_eq!(Place(server.endpoint.clone()).everything(), before);
    drop(server);
    state.assert_nothing_left();
}
