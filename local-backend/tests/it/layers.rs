//! Layers as the API states them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use local_backend::SandboxChoice;
use serde_json::{Value, json};

use crate::probe::zip_of;
use crate::support::{MACHINE, Platform, with};

const LAYERS: &str = "/2018-10-31/layers";

fn content(text: &str) -> Value {
    json!({
        "Description": text,
        "Content": { "ZipFile": STANDARD.encode(zip_of(&[("file", 0o644, text.as_bytes())])) },
        "CompatibleRuntimes": ["python3.11"],
    })
}

async fn numbers(platform: &Platform, path: &str) -> Vec<u64> {
    let reply = platform.get(path).await;
    let versions = reply.body["LayerVersions"].as_array().unwrap();
    versions.iter().map(|version| version["Version"].as_u64().unwrap()).collect()
}

/// Creates a function with layers; it is never invoked.
async fn create(platform: &Platform, name: &str, layers: &[&str]) -> crate::support::Reply {
    let zip = STANDARD.encode(zip_of(&[("bootstrap", 0o755, b"#!/bin/sh")]));
    let body = json!({
        "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Role": "arn:aws:iam::000000000000:role/test", "Code": { "ZipFile": zip },
        "Layers": layers,
    });
    platform.post("/2015-03-31/functions", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_published_listed_and_deleted() {
    let _machine = MACHINE.read().await;
    with(SandboxChoice::Process, |_| {}, &async |platform: &Platform| {
        let versions = format!("{LAYERS}/words/versions");
        let first = platform.post(&versions, content("one")).await;
        assert_eq!(first.status, 201);
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:words";
        assert_eq!(first.body["LayerArn"], arn);
        assert_eq!(first.body["LayerVersionArn"], format!("{arn}:1"));
        assert!(first.body["Content"]["CodeSize"].as_u64().unwrap() > 0);
        let second = platform.post(&versions, content("two")).await;
        assert_eq!(second.body["Version"], 2);
        assert_ne!(second.body["Content"]["CodeSha256"], first.body["Content"]["CodeSha256"]);

        assert_eq!(numbers(platform, &versions).await, [2, 1]);
        let other = format!("{versions}?CompatibleRuntime=nodejs20.x");
        assert_eq!(numbers(platform, &other).await, [0; 0]);
        let one = platform.get(&format!("{versions}/1")).await;
        assert_eq!(one.body["Description"], "one");
        let by_arn = platform.get(&format!("{LAYERS}?find=LayerVersion&Arn={arn}:1")).await;
        assert_eq!(by_arn.body, one.body);
        let list = platform.get(LAYERS).await.body;
        assert_eq!(list["Layers"][0]["LayerName"], "words");
        assert_eq!(list["Layers"][0]["LatestMatchingVersion"]["Version"], 2);
        // What was uploaded can be had again.
        let location = one.body["Content"]["Location"].as_str().unwrap();
        let zip = fs_err::read(location.strip_prefix("file://").unwrap()).unwrap();
        assert_eq!(zip.len() as u64, one.body["Content"]["CodeSize"].as_u64().unwrap());

        let deleted = platform.send(Method::DELETE, &format!("{versions}/2"), &[], "").await;
        assert_eq!(deleted.status, 204);
        assert_eq!(
            platform.get(&format!("{versions}/2")).await.error(),
            (404, "ResourceNotFoundException")
        );
        assert_eq!(platform.post(&versions, content("two")).await.body["Version"], 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_cannot_be_used_are_refused() {
    let _machine = MACHINE.read().await;
    with(SandboxChoice::Process, |_| {}, &async |platform: &Platform| {
        let mut arns = Vec::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            let versions = format!("{LAYERS}/{name}/versions");
            let reply = platform.post(&versions, content(name)).await;
            arns.push(reply.body["LayerVersionArn"].as_str().unwrap().to_owned());
        }
        let second = platform.post(&format!("{LAYERS}/a/versions"), content("again")).await;
        let second = second.body["LayerVersionArn"].as_str().unwrap().to_owned();
        let arns: Vec<&str> = arns.iter().map(String::as_str).collect();
        assert_eq!(create(platform, "five", &arns[..5]).await.status, 201);
        let nowhere = "arn:aws:lambda:us-east-1:000000000000:layer:nowhere:1";
        for (layers, says) in [
            (arns.as_slice(), "at most 5 layers, not 6"),
            (&[nowhere], "does not exist"),
            (&[arns[0], &second], "Two different versions of the same layer"),
        ] {
            let reply = create(platform, "f", layers).await;
            assert_eq!(reply.error(), (400, "InvalidParameterValueException"), "{reply:?}");
            let message = reply.body["Message"].as_str().unwrap();
            assert!(message.contains(says), "{message}");
        }
        // 150 MB of zeros each are small as zips, and too much together.
        let zeros = vec![0; 150 << 20];
        let zip = STANDARD.encode(zip_of(&[("zeros", 0o644, &zeros)]));
        let body = json!({ "Content": { "ZipFile": zip } });
        let mut large = Vec::new();
        for name in ["large", "larger"] {
            let reply = platform.post(&format!("{LAYERS}/{name}/versions"), body.clone()).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            large.push(reply.body["LayerVersionArn"].as_str().unwrap().to_owned());
        }
        let large: Vec<&str> = large.iter().map(String::as_str).collect();
        assert_eq!(create(platform, "one", &large[..1]).await.status, 201);
        let reply = create(platform, "f", &large).await;
        let message = reply.body["Message"].as_str().unwrap();
        assert!(
            message.contains("exceeds the maximum allowed size of 262144000 bytes"),
            "{message}"
        );
        // A version that is deleted stays with the functions that have it.
        platform.send(Method::DELETE, &format!("{LAYERS}/a/versions/1"), &[], "").await;
        let five = platform.get("/2015-03-31/functions/five/configuration").await;
        assert_eq!(five.body["Layers"][0]["Arn"], arns[0]);
    })
    .await;
}
