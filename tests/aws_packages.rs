//! Packages that are too large for a call to Lambda: they go through S3, and nothing of them is left there.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::aws::{Emulator, answer};
use tests::aws_workflow::{Place, Workflow};
use tests::proxy::{Fault, Proxy};
use tests::{Run, State};

const BUCKET: &str = "packages";
/// Where in it the objects go.
const PLACE: &str = "packages/team/a";

/// Bytes that do not shrink, just too many for a call.
fn large() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(51 << 20);
    while bytes.len() < 51 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// The workflow with a first task that is too large for a call.
fn workflow(state: &Path) -> Workflow {
    let workflow = Workflow::new(state);
    std::fs::write(workflow.folder().join("a/large"), large()).unwrap();
    workflow
}

fn s3(endpoint: &str, line: &str) -> String {
    let (head, body) = answer(endpoint, "s3", "application/xml", line, "").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{line}: {head}{body}");
    body
}

fn make_bucket(endpoint: &str) {
    s3(endpoint, &format!("PUT /{BUCKET}"));
}

/// Keys in the bucket, each with the time when it was written.
fn objects(endpoint: &str) -> Vec<(String, String)> {
    let listed = s3(endpoint, &format!("GET /{BUCKET}?list-type=2"));
    let within = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let contents = listed.split("<Contents>").skip(1);
    contents.map(|it| (within(it, "Key"), within(it, "LastModified"))).collect()
}

fn ok(workflow: &Workflow, endpoint: &str, command: &[&str]) -> Run {
    let got = workflow.run(endpoint, command);
    assert_eq!(got.code, Some(0), "{endpoint} {command:?}: {}{}", got.stdout, got.stderr);
    got
}

/// Deploys, again, fused, and goes back, watching the bucket.
fn deploy_and_roll_back(state: &State, endpoint: &str) {
    let workflow = workflow(state.path());
    let place = Place(endpoint.to_owned());
    make_bucket(endpoint);
    let run = |command: &[&str]| ok(&workflow, endpoint, command);
    let deploy = ["deploy", "--bucket", PLACE];
    let fuse = ["deploy", "--bucket", PLACE, "--setup", "(a,b)"];

    for (command, expect) in [
        (&["deploy"][..], "MB zipped, and Lambda takes 50 MB in a call; name a bucket"),
        (&["deploy", "--bucket", "nothing-there"], "--bucket: the bucket `nothing-there` cannot"),
        (&["deploy", "--bucket", "No"], "`No` is no name of a bucket"),
        (&["optimize", "--max-usd", "1"], "--bucket NAME[/PREFIX]"),
    ] {
        let refused = workflow.run(endpoint, command);
        assert_eq!(refused.code, Some(2), "{command:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(expect), "{command:?}: {}", refused.stderr);
    }
    assert_eq!(place.everything(), json!({}), "{endpoint}: nothing was changed");

    let dry = run(&[&deploy[..], &["--dry-run", "--format", "json"]].concat()).json();
    let of = |operation: &str| -> Vec<Value> {
        let calls = dry["calls"].as_array().unwrap().iter();
        let calls = calls.filter(|call| call["operation"] == operation);
        calls.map(|call| call["parameters"].clone()).collect()
    };
    let puts = of("PutObject");
    assert_eq!((puts.len(), &puts[0]["Bucket"]), (1, &BUCKET.into()), "{puts:?}");
    let code = of("CreateFunction").into_iter().find(|it| it["FunctionName"] == "a").unwrap();
    assert_eq!(code["Code"], json!({ "S3Bucket": BUCKET, "S3Key": puts[0]["Key"] }));
    assert_eq!(objects(endpoint), [], "{endpoint}: a dry run uploads nothing");

    run(&deploy);
    let first = objects(endpoint);
    assert_eq!(first.len(), 1, "{endpoint}: {first:?}");
    assert_eq!(puts[0]["Key"], first[0].0);
    assert!(first[0].0.starts_with("team/a/fuseline/tiny/"), "{first:?}");
    let unfused = place.everything();
    run(&deploy);
    assert_eq!(objects(endpoint), first, "{endpoint}: it is not uploaded again");
    run(&fuse);
    let both = objects(endpoint);
    assert!(both.len() == 2 && both.contains(&first[0]), "{endpoint}: {both:?}");
    run(&["rollback"]);
    assert_eq!(objects(endpoint), first, "{endpoint}: the one before is still there");
    run(&["rollback"]);
    assert_eq!((objects(endpoint), place.everything()), (first, unfused), "{endpoint}");
    run(&["rollback"]);
    assert_eq!((objects(endpoint), place.everything()), (Vec::new(), json!({})), "{endpoint}");

    run(&fuse);
    assert_eq!(objects(endpoint).len(), 2, "{endpoint}");
    run(&["destroy"]);
    assert_eq!((objects(endpoint), place.everything()), (Vec::new(), json!({})), "{endpoint}");
    // Without a journal it has to be told where they are.
    run(&deploy);
    std::fs::remove_dir_all(state.path().join("aws")).unwrap();
    s3(endpoint, &format!("PUT /{PLACE}/fuseline/tiny/theirs"));
    run(&["destroy", "--bucket", PLACE]);
    let left: Vec<String> = objects(endpoint).into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, ["team/a/fuseline/tiny/theirs"], "{endpoint}");
}

#[test]
fn large_packages_go_through_s3_on_moto() {
    let state = State::new();
    let Some(emulator) = Emulator::start("moto") else { return };
    deploy_and_roll_back(&state, &emulator.endpoint);
}

#[test]
fn large_packages_go_through_s3_on_localstack() {
    let state = State::new();
    let Some(emulator) = Emulator::start("localstack") else { return };
    deploy_and_roll_back(&state, &emulator.endpoint);
}

#[test]
fn a_large_function_is_taken_over_and_given_back() {
    let state = State::new();
    let Some(emulator) = Emulator::start("localstack") else { return };
    let endpoint = emulator.endpoint.as_str();
    let workflow = Workflow::new(state.path());
    let place = Place(endpoint.to_owned());
    make_bucket(endpoint);
    // Their own bucket is not ours to be used later.
    s3(endpoint, "PUT /theirs");
    let file = state.path().join("large");
    std::fs::write(&file, large()).unwrap();
    let upload = "import io, sys, urllib.request, zipfile\nzip = io.BytesIO()\narchive = zipfile.ZipFile(zip, 'w')\narchive.write(sys.argv[1], 'bootstrap')\narchive.close()\nrequest = urllib.request.Request(sys.argv[2] + '/theirs/code', zip.getvalue(), method='PUT')\nurllib.request.urlopen(request)";
    let uploaded = Command::new("python3").args(["-c", upload]).arg(&file).arg(endpoint).status();
    assert!(uploaded.unwrap().success());
    let original = place.create_of("a", &json!({ "S3Bucket": "theirs", "S3Key": "code" }));
    s3(endpoint, "DELETE /theirs/code");
    let before = place.everything();

    let refused = workflow.run(endpoint, &["deploy", "--adopt"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--bucket NAME[/PREFIX]"), "{}", refused.stderr);
    assert_eq!(place.everything(), before, "nothing was changed");

    let adopt = ["deploy", "--adopt", "--bucket", PLACE];
    ok(&workflow, endpoint, &adopt);
    let kept = objects(endpoint);
    assert_eq!(kept.len(), 1, "the original: {kept:?}");
    assert_ne!(place.described("a")["CodeSha256"], original["CodeSha256"]);
    ok(&workflow, endpoint, &["deploy", "--setup", "(a,b)"]);
    ok(&workflow, endpoint, &["rollback"]);
    assert_eq!(objects(endpoint), kept);
    ok(&workflow, endpoint, &["rollback"]);
    assert_eq!((place.everything(), objects(endpoint)), (before, Vec::new()));

    ok(&workflow, endpoint, &adopt);
    ok(&workflow, endpoint, &["destroy"]);
    assert_eq!((place.described("a"), objects(endpoint)), (original, Vec::new()), "given back");
}

#[test]
fn a_disturbed_upload_is_gone_on_with_or_undone() {
    let state = State::new();
    let Some(emulator) = Emulator::start("moto") else { return };
    let workflow = workflow(state.path());
    let place = Place(emulator.endpoint.clone());
    make_bucket(&emulator.endpoint);
    let deploy = ["deploy", "--bucket", PLACE];
    for (fault, goes_on) in [
        (Fault::FailOnce, true),
        (Fault::LoseAnswer, true),
        (Fault::KillBefore, false),
        (Fault::KillAfter, true),
        (Fault::KillAfter, false),
    ] {
        let proxy = Proxy::start(&emulator.endpoint, Some((0, fault)));
        let child = workflow.command(&proxy.endpoint, &deploy).spawn().unwrap();
        proxy.set_client(child.id());
        let got: Run = child.wait_with_output().unwrap().into();
        let survives = matches!(fault, Fault::FailOnce | Fault::LoseAnswer);
        assert_eq!(got.code == Some(0), survives, "{fault:?}: {}", got.stderr);
        if goes_on {
            ok(&workflow, &proxy.endpoint, &deploy);
            assert_eq!(objects(&emulator.endpoint).len(), 1, "{fault:?}");
        }
        while workflow.run(&proxy.endpoint, &["rollback"]).code == Some(0) {}
        let left = (objects(&emulator.endpoint), place.everything());
        assert_eq!(left, (Vec::new(), json!({})), "{fault:?}");
    }
}
