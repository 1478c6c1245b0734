//! A function of several managed runtimes as a container image: built from what `fuseline bundle` writes
//! and run by AWS's Runtime Interface Emulator, it answers as its tasks do.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{State, docker, emulator, repository, run, skipped};

const WORKFLOW: &str = "templates/runtime-bench/calls.yaml";
/// Node calls Python, and either could call Rust.
const SETUP: &str = "(from-node,to-python,to-rust,to-node)-(from-rust,to-node,to-python,to-rust)-(from-python,to-rust,to-python,to-node)";
const IMAGES: [&str; 2] = ["fuseline-test-base", "fuseline-test-function"];

/// Images and a container of this test; removed when it is dropped.
struct InDocker {
    container: Option<String>,
}

impl Drop for InDocker {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            let _ = docker(&["rm", "--force", container]);
        }
        for image in IMAGES.iter().rev() {
            let _ = docker(&["image", "rm", image]);
        }
    }
}

/// Makes the base image from this machine's runtimes; why that cannot be done.
fn base(state: &Path) -> Result<(), String> {
    let prepared = run(state, &["prepare", "python3.11", "nodejs20.x", "--format", "json"]);
    if prepared.code != Some(0) {
        return Err(prepared.stderr);
    }
    let prepared = prepared.json();
    let folders: Vec<&str> = prepared
        .as_array()
        .unwrap()
        .iter()
        .map(|runtime| runtime["folder"].as_str().unwrap())
        .collect();
    let tar = state.join("base.tar");
    let made = Command::new("python3")
        .arg(repository().join("tests/image/base.py"))
        .args(&folders)
        .stdout(File::create(&tar).unwrap())
        .status();
    assert!(made.unwrap().success(), "the base image's files cannot be collected");
    let runtimes = Path::new(folders[0]).parent().unwrap().display();
    let imported = Command::new("docker")
        .args(["import", "--change", &format!("ENV FUSELINE_RUNTIMES={runtimes}"), "-", IMAGES[0]])
        .stdin(File::open(&tar).unwrap())
        .stdout(Stdio::null())
        .status();
    assert!(imported.unwrap().success(), "docker import");
    Ok(())
}

/// Invokes the function that the emulator at `address` runs.
fn invoke(address: &str, event: &Value) -> Value {
    let event = event.to_string();
    // Of this version an answer comes in one piece.
    let request = format!(
        "POST /2015-03-31/functions/function/invocations HTTP/1.0\r\nContent-Length: {}\r\n\r\n{event}",
        event.len()
    );
    let started = Instant::now();
    loop {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(address) {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            // Docker's proxy takes the connection before the emulator listens, and closes it again.
            let _ = stream.read_to_string(&mut answer);
        }
        if let Some((_, body)) = answer.split_once("\r\n\r\n") {
            return serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        }
        assert!(started.elapsed() < Duration::from_secs(60), "nothing answers at {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_image_with_node_python_and_rust_answers_under_the_emulator() {
    let Some(emulator) = emulator::program() else { return };
    if docker(&["version", "--format", "{{.Server.Version}}"]).is_none() {
        return skipped("container images: no Docker engine answers");
    }
    let state = State::new();
    let mut made = InDocker { container: None };
    if let Err(why) = base(state.path()) {
        return skipped(&format!("container images need Python and Node.js: {why}"));
    }

    let output = state.path().join("bundles");
    let folder = output.to_str().unwrap();
    let bundle = ["bundle", WORKFLOW, "--setup", SETUP, "--output", folder, "--format", "json"];
    let written = run(state.path(), &bundle).json();
    let of = |function: &str| {
        let mut all = written.as_array().unwrap().iter();
        all.find(|one| one["function"] == function).cloned().unwrap()
    };
    let runtimes = json!({ "image": { "runtimes": ["nodejs20.x", "python3.11"] } });
    assert_eq!(of("from-node")["form"], runtimes);
    let context = output.join("from-node");
    let base = format!("BASE={}", IMAGES[0]);
    let build = ["build", "--quiet", "--tag", IMAGES[1], "--build-arg", &base];
    let built = docker(&[&build[..], &[context.to_str().unwrap()]].concat());
    assert!(built.is_some(), "the image does not build");

    let mount = format!("{}:/rie:ro", emulator.display());
    let environment = [
        "AWS_LAMBDA_FUNCTION_NAME=from-node",
        "AWS_REGION=us-east-1",
        "AWS_DEFAULT_REGION=us-east-1",
        "AWS_ACCESS_KEY_ID=key",
        "AWS_SECRET_ACCESS_KEY=secret",
    ];
    let mut start = vec!["run", "--detach", "--publish", "127.0.0.1::8080", "--volume", &mount];
    start.extend(environment.iter().flat_map(|variable| ["--env", variable]));
    start.extend(["--entrypoint", "/rie", IMAGES[1], "/var/task/bootstrap"]);
    made.container = Some(docker(&start).expect("the container starts"));
    let container = made.container.as_deref().unwrap();
    let address = docker(&["port", container, "8080/tcp"]).unwrap();
    let address = address.lines().next().unwrap();

    assert_eq!(invoke(address, &json!({ "pad_bytes": 3 })), json!({ "padding": "xxx" }));
    for callee in ["to-python", "to-rust", "to-node"] {
        let call = json!({ "rounds": 2, "function": callee, "payload": { "pad_bytes": 1 } });
        let answer = invoke(address, &call);
        assert_eq!(answer["call_ns"].as_array().map(Vec::len), Some(2), "{callee}: {answer}");
    }
    // Nothing could have been served outside: there is no Lambda here.
    let log = Command::new("docker").args(["logs", container]).output().unwrap();
    let log = [log.stdout, log.stderr].concat();
    let log = String::from_utf8_lossy(&log);
    assert_eq!(log.matches(r#""site":"inline""#).count(), 6, "{log}");
}

#[test]
fn bundles_of_every_form_are_written_and_nothing_is_overwritten() {
    let state = State::new();
    let output = state.path().join("out");
    let folder = output.to_str().unwrap();
    let bundle = |setup: &str| {
        run(state.path(), &["bundle", WORKFLOW, "--setup", setup, "--output", folder])
    };
    let setup =
        "(from-rust,to-rust)-(from-python,to-python)-(from-node)-(to-python)-(to-node)-(to-rust)";
    let written = bundle(setup);
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let files: Vec<bool> =
        ["from-rust.zip", "from-python.zip", "to-rust.zip", "fuseline-layer.zip"]
            .iter()
            .map(|file| output.join(file).is_file())
            .collect();
    assert_eq!(files, [true; 4], "{}", written.stdout);
    for expect in
        ["from-rust.zip, a custom runtime", "on python3.11 with", "AWS_LAMBDA_EXEC_WRAPPER"]
    {
        assert!(written.stdout.contains(expect), "{}", written.stdout);
    }

    let before = std::fs::read(output.join("from-rust.zip")).unwrap();
    let again = bundle(setup);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("is no empty folder"), "{}", again.stderr);
    assert_eq!(std::fs::read(output.join("from-rust.zip")).unwrap(), before);
}
