//! Requests that are refused, and lists. No function runs here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use local_backend::{SandboxChoice, Server, StartError};
use serde_json::{Value, json};

use crate::probe::zip_of;
use crate::support::{Platform, options, with};

const FUNCTIONS: &str = "/2015-03-31/functions";

async fn on_a_server(test: impl AsyncFn(&Platform)) {
    with(SandboxChoice::Process, |_| {}, &test).await;
}

fn small(name: &str) -> Value {
    let zip = STANDARD.encode(zip_of(&[("bootstrap", 0o755, b"#!/bin/sh\n")]));
    json!({
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Handler": "x",
        "Role": "arn:aws:iam::000000000000:role/test",
        "Code": { "ZipFile": zip },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_functions_are_refused() {
    on_a_server(async |platform| {
        assert_eq!(platform.post(FUNCTIONS, small("f")).await.status, StatusCode::CREATED);
        let again = platform.post(FUNCTIONS, small("f")).await;
        assert_eq!(again.error(), (409, "ResourceConflictException"));
        for (key, value, expect) in [
            ("MemorySize", json!(64), "128–10240"),
            ("Timeout", json!(1_000), "1–900"),
            ("Runtime", json!("java21"), "java21"),
            ("FunctionName", json!("a b"), "a b"),
            ("Code", json!({ "ZipFile": "bm8gemlw" }), "unzip"),
            ("Code", json!({ "ZipFile": "%" }), "base64"),
            ("Code", json!({ "S3Bucket": "b" }), "S3"),
            ("Code", json!({}), "ZipFile"),
            ("PackageType", json!("Image"), "zip"),
            ("Architectures", json!(["sparc"]), "sparc"),
            ("Environment", json!({ "Variables": { "_HANDLER": "x" } }), "_HANDLER"),
        ] {
            let mut body = small("g");
            body[key] = value;
            let reply = platform.post(FUNCTIONS, body).await;
            assert_eq!(reply.error(), (400, "InvalidParameterValueException"), "{key}: {reply:?}");
            assert_eq!(reply.body["Type"], "User");
            assert!(reply.body["Message"].as_str().unwrap().contains(expect), "{reply:?}");
        }
        let broken = platform.send(Method::POST, FUNCTIONS, &[], "{").await;
        assert_eq!(broken.error(), (400, "InvalidRequestContentException"));
        assert_eq!(platform.get(FUNCTIONS).await.body["Functions"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_invocations_are_refused() {
    on_a_server(async |platform| {
        platform.post(FUNCTIONS, small("f")).await;
        let invoke = format!("{FUNCTIONS}/f/invocations");
        let send = async |headers: &[(&str, &str)], body: Vec<u8>| {
            let reply = platform.send(Method::POST, &invoke, headers, body).await;
            (reply.status.as_u16(), reply.header("x-amzn-errortype").unwrap().to_owned())
        };
        let check = |got: (u16, String), status: u16, kind: &str| {
            assert_eq!(got, (status, kind.to_owned()));
        };
        let large = |bytes: usize| format!("\"{}\"", "x".repeat(bytes)).into_bytes();
        check(send(&[], large(6 << 20)).await, 413, "RequestTooLargeException");
        let event = [("x-amz-invocation-type", "Event")];
        check(send(&event, large(1 << 20)).await, 413, "RequestTooLargeException");
        check(send(&[], b"no json".to_vec()).await, 400, "InvalidRequestContentException");
        let odd = [("x-amz-invocation-type", "Later")];
        check(send(&odd, b"{}".to_vec()).await, 400, "InvalidParameterValueException");
        let context = [("x-amz-client-context", "%")];
        check(send(&context, b"{}".to_vec()).await, 400, "InvalidRequestContentException");
        let missing = platform.invoke("nobody", json!({})).await;
        assert_eq!(missing.error(), (404, "ResourceNotFoundException"));
        let message = missing.body["Message"].as_str().unwrap();
        assert_eq!(
            message,
            "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_operations_and_strangers_are_refused() {
    on_a_server(async |platform| {
        for (method, path) in [
            (Method::GET, "/2015-03-31/event-source-mappings"),
            (Method::PATCH, FUNCTIONS),
            (Method::PUT, "/2019-09-30/functions/f/provisioned-concurrency"),
        ] {
            let reply = platform.send(method, path, &[], "").await;
            assert_eq!(reply.error(), (404, "UnknownOperationException"), "{path}");
            assert!(reply.body["Message"].as_str().unwrap().contains(path), "{reply:?}");
        }
        for header in [("host", "evil.example"), ("origin", "https://evil.example")] {
            let reply = platform.send(Method::GET, FUNCTIONS, &[header], "").await;
            assert_eq!(reply.error(), (403, "AccessDeniedException"), "{header:?}");
        }
        let reply = platform.logs("PutLogEvents", json!({})).await;
        assert_eq!(reply.body["__type"], "UnknownOperationException");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page() {
    on_a_server(async |platform| {
        for name in ["a", "b", "c"] {
            platform.post(FUNCTIONS, small(name)).await;
        }
        let mut names = Vec::new();
        let mut marker = String::new();
        loop {
            let path = format!("{FUNCTIONS}/?MaxItems=2&Marker={marker}");
            let page = platform.get(&path).await.body;
            let functions = page["Functions"].as_array().unwrap();
            names.extend(functions.iter().map(|f| f["FunctionName"].as_str().unwrap().to_owned()));
            match page["NextMarker"].as_str() {
                Some(next) => next.clone_into(&mut marker),
                None => break,
            }
        }
        assert_eq!(names, ["a", "b", "c"]);
        let versions = platform.get(&format!("{FUNCTIONS}/a/versions")).await.body;
        assert_eq!(versions["Versions"][0]["Version"], "$LATEST");
        assert_eq!(versions["Versions"][0]["State"], "Active");
    })
    .await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let state = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(state.path(), SandboxChoice::Process);
    options.port = taken.local_addr().unwrap().port();
    let error = Server::start(options).await.unwrap_err();
    assert!(matches!(error, StartError::PortInUse(_)), "{error:?}");
    let expect = format!("port {} on 127.0.0.1 is in use", taken.local_addr().unwrap().port());
    assert!(error.to_string().starts_with(&expect), "{error}");
}

#[tokio::test]
async fn a_state_directory_that_is_a_file_is_named() {
    let state = tempfile::NamedTempFile::new().unwrap();
    let error = Server::start(options(state.path(), SandboxChoice::Process)).await.unwrap_err();
    assert!(matches!(error, StartError::State { .. }), "{error:?}");
    assert!(error.to_string().contains(state.path().to_str().unwrap()), "{error}");
}
