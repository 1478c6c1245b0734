//! Functions of several managed runtimes on AWS: their images are built by Docker, pushed to a registry, and named by
//! their digests to what stands for Lambda.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::aws::{Emulator, request};
use tests::aws_workflow::{Place, Workflow};
use tests::registry::{Registry, UploadFault};
use tests::{Run, State, docker, skipped};

const BASE: &str = "fuseline-test-tiny";
const FUSED: &str = "(a,b)";

/// `a` on Node.js calls `b` on Python.
const MIXED: &str = "name: mixed
entry: a
slo: { latency: 1s }
tasks:
  a: { runtime: nodejs20.x, code: ./a, handler: index.handler, calls: { b: sync } }
  b: { runtime: python3.11, code: ./b, handler: app.handler }
";

/// The workflow `mixed`. Its functions are deployed, but never run.
struct Mixed {
    workflow: Workflow,
    endpoint: String,
    repository: String,
}

impl Mixed {
    fn new(state: &Path, endpoint: &str, registry: &Registry) -> Self {
        let workflow = Workflow::with(state, MIXED);
        let index = workflow.folder().join("a/index.js");
        std::fs::write(index, "exports.handler = async () => 1\n").unwrap();
        let app = workflow.folder().join("b/app.py");
        std::fs::write(app, "def handler(event, context):\n    return 1\n").unwrap();
        let repository = format!("{}/fuseline", registry.host);
        Self { workflow, endpoint: endpoint.to_owned(), repository }
    }

    fn command(&self, command: &[&str]) -> Command {
        self.workflow.command(&self.endpoint, command)
    }

    fn run(&self, command: &[&str]) -> Run {
        self.command(command).output().unwrap().into()
    }

    /// `deploy --setup (a,b)` with images.
    fn fuse<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let fuse = ["deploy", "--setup", FUSED, "--repository", &self.repository];
        [&fuse[..], &["--base-image", BASE], more].concat()
    }

    fn ok(&self, command: &[&str]) -> Run {
        let got = self.run(command);
        assert_eq!(got.code, Some(0), "{command:?}: {}{}", got.stdout, got.stderr);
        got
    }

    fn refused(&self, command: &[&str], code: i32, expect: &str) {
        let got = self.run(command);
        assert_eq!(got.code, Some(code), "{command:?}: {}", got.stderr);
        assert!(got.stderr.contains(expect), "{command:?}: {}", got.stderr);
    }

    /// What the function `a` is at the endpoint.
    fn function(&self) -> Value {
        request(&self.endpoint, "GET", "/2015-03-31/functions/a", "").unwrap()
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        let images = docker(&["image", "ls", "--quiet", &self.repository]).unwrap_or_default();
        for image in images.lines() {
            let _ = docker(&["image", "rm", "--force", image]);
        }
        let _ = docker(&["image", "rm", BASE]);
    }
}

/// Makes the base image: the smallest, because nothing of it is run here.
fn base(state: &Path) {
    let tar = state.join("base.tar");
    std::fs::write(state.join("file"), "base").unwrap();
    let packed = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(state).arg("file").status();
    assert!(packed.unwrap().success());
    assert!(docker(&["import", tar.to_str().unwrap(), BASE]).is_some(), "docker import");
}

#[test]
fn images_are_pushed_and_named_by_digest() {
    if docker(&["version", "--format", "{{.Server.Version}}"]).is_none() {
        return skipped("images on AWS: no Docker engine answers");
    }
    let state = State::new();
    let Some(emulator) = Emulator::start("moto") else { return };
    let registry = Registry::start();
    let mixed = Mixed::new(state.path(), &emulator.endpoint, &registry);
    let place = Place(emulator.endpoint.clone());
    base(state.path());

    for command in [&["deploy", "--setup", FUSED][..], &["verify"]] {
        mixed.refused(command, 2, "--repository and --base-image");
    }
    let refuse = |repository: &str, base: &str, code: i32, expect: &str| {
        let images = ["--repository", repository, "--base-image", base];
        mixed.refused(&[&["deploy", "--setup", FUSED][..], &images].concat(), code, expect);
    };
    refuse("fuseline", BASE, 2, "`fuseline` is no repository");
    refuse("127.0.0.1:1/fuseline", BASE, 2, "the repository `127.0.0.1:1/fuseline` cannot be used");
    refuse(&mixed.repository, "x y", 2, "--base-image");
    refuse(&mixed.repository, &format!("{}/none", registry.host), 2, "cannot be pulled");
    registry.disturb(Some(UploadFault::Refuse));
    let dry = mixed.ok(&mixed.fuse(&["--dry-run", "--format", "json"])).json();
    let calls = dry["calls"].as_array().unwrap();
    let of = |operation: &str, key: &str, is: &str| {
        let all = calls.iter().filter(|it| it["operation"] == operation);
        all.map(|it| it["parameters"].clone()).find(|it| it[key] == is).unwrap()
    };
    let put = of("PutImage", "Repository", &mixed.repository);
    let expect = format!("{}@<digest of {}>", mixed.repository, put["ImageTag"].as_str().unwrap());
    assert_eq!(of("CreateFunction", "FunctionName", "a")["Code"]["ImageUri"], expect);
    of("UpdateFunctionCode", "FunctionName", "a");
    assert_eq!((place.everything(), registry.tags()), (json!({}), vec![]), "nothing was changed");

    // What is refused is said; what is lost is sent again.
    mixed.refused(&mixed.fuse(&[]), 1, "push of the image of function `a` failed: denied");
    registry.disturb(Some(UploadFault::LoseOnce));
    mixed.ok(&mixed.fuse(&[]));
    assert!(!registry.is_disturbed(), "the connection was lost once");
    let tags = registry.tags();
    assert!(tags.len() == 2 && tags.iter().all(|it| it.starts_with("mixed-a-")), "{tags:?}");
    let function = mixed.function();
    assert_eq!(function["Configuration"]["PackageType"], "Image");
    let uri = function["Code"]["ImageUri"].as_str().unwrap();
    let (repository, digest) = uri.split_once('@').unwrap();
    assert!(repository == mixed.repository && registry.has(digest), "{uri}");
    let other = request(&emulator.endpoint, "GET", "/2015-03-31/functions/b", "").unwrap();
    assert_eq!(other["Configuration"]["PackageType"], "Zip", "it needs none");

    let pushes = registry.pushes();
    mixed.ok(&mixed.fuse(&[]));
    assert_eq!((registry.pushes(), registry.tags()), (pushes, tags), "nothing is pushed again");
    mixed.refused(&["deploy"], 2, "`a` has to be a container image (nodejs20.x)");

    // A push that was killed is made by the next run.
    std::fs::write(mixed.workflow.folder().join("b/app.py"), "def handler(event, context): pass\n")
        .unwrap();
    registry.disturb(Some(UploadFault::Hang));
    let mut killed = mixed.command(&mixed.fuse(&[])).spawn().unwrap();
    let journal = || {
        let folder = state.path().join("aws");
        let place = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        std::fs::read_to_string(place.join("mixed.jsonl")).unwrap()
    };
    let started = Instant::now();
    let pushing = |text: &str| text.lines().last().is_some_and(|it| it.contains("PutImage"));
    while !pushing(&journal()) {
        assert!(started.elapsed() < Duration::from_secs(120), "it does not begin to push");
        std::thread::sleep(Duration::from_millis(50));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    registry.disturb(None);
    mixed.ok(&mixed.fuse(&[]));
    assert_eq!(registry.tags().len(), 3, "only the fused image has changed");
    let changed = mixed.function()["Code"]["ImageUri"].as_str().unwrap().to_owned();
    assert!(changed != uri && registry.has(changed.split_once('@').unwrap().1), "{changed}");

    for _ in 0..3 {
        mixed.ok(&["rollback"]);
    }
    assert_eq!(place.everything(), json!({}), "undone");
    assert_eq!(registry.tags().len(), 3, "images stay");

    // A zip stays a zip.
    mixed.ok(&["deploy"]);
    let before = place.everything();
    mixed.refused(&mixed.fuse(&[]), 2, "function `a` is a zip package");
    assert_eq!(place.everything(), before, "nothing was changed");
    mixed.ok(&["destroy"]);
}
