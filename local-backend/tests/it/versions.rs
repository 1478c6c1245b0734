//! Versions and aliases as they run.

use std::sync::Mutex;

use http::{Method, StatusCode};
use local_backend::{Options, SandboxChoice};
use serde_json::{Value, json};

use crate::support::{MACHINE, Platform, in_each_sandbox, with};

fn labelled(label: &str) -> Value {
    json!({ "Environment": { "Variables": { "FUSELINE_VCPU": "1", "LABEL": label } } })
}

/// Version that was run and the label it was configured with.
async fn run(platform: &Platform, function: &str) -> (String, String) {
    let reply = platform.invoke(function, json!({ "environment": ["LABEL"] })).await;
    let version = reply.header("x-amz-executed-version").unwrap().to_owned();
    (version, reply.ok()["environment"][0].as_str().unwrap().to_owned())
}

fn expect(version: &str, label: &str) -> (String, String) {
    (version.to_owned(), label.to_owned())
}

async fn publish(platform: &Platform) -> Value {
    let reply = platform.post("/2015-03-31/functions/f/versions", json!({})).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    reply.body
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_keep_their_configuration_and_aliases_move() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", labelled("one")).await;
        assert_eq!(publish(platform).await["Version"], "1");
        let configuration = "/2015-03-31/functions/f/configuration";
        let reply = platform.put(configuration, labelled("two")).await;
        assert_eq!(reply.body["LastUpdateStatus"], "Successful", "{reply:?}");
        assert_eq!(run(platform, "f").await, expect("$LATEST", "two"));
        assert_eq!(run(platform, "f%3A1").await, expect("1", "one"));
        assert_eq!(publish(platform).await["Version"], "2");
        assert_eq!(publish(platform).await["Version"], "2", "nothing changed");

        let aliases = "/2015-03-31/functions/f/aliases";
        let alias = json!({ "Name": "live", "FunctionVersion": "1" });
        assert_eq!(platform.post(aliases, alias.clone()).await.status, StatusCode::CREATED);
        let again = platform.post(aliases, alias).await;
        assert_eq!(again.error(), (409, "ResourceConflictException"));
        assert_eq!(run(platform, "f:live").await, expect("1", "one"));
        let moved = json!({ "FunctionVersion": "2" });
        let reply = platform.put(&format!("{aliases}/live"), moved).await;
        assert_eq!(reply.body["FunctionVersion"], "2");
        assert_eq!(run(platform, "f:live").await, expect("2", "two"));
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af%3Alive";
        assert_eq!(run(platform, arn).await, expect("2", "two"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_versions_and_functions_are_gone() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", labelled("one")).await;
        publish(platform).await;
        let function = "/2015-03-31/functions/f";
        let gone = platform.send(Method::DELETE, &format!("{function}?Qualifier=1"), &[], "").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        let reply = platform.invoke("f:1", json!({})).await;
        assert_eq!(reply.error(), (404, "ResourceNotFoundException"));
        run(platform, "f").await;
        let gone = platform.send(Method::DELETE, function, &[], "").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(platform.get(function).await.error(), (404, "ResourceNotFoundException"));
    })
    .await;
}

/// Versions that a weighted alias leads 40 invocations to, one after the other.
async fn choices(seed: u64) -> Vec<String> {
    let _machine = MACHINE.read().await;
    let choices = Mutex::new(Vec::new());
    let seeded = |options: &mut Options| options.seed = seed;
    with(SandboxChoice::Process, seeded, &async |platform: &Platform| {
        platform.create_probe("f", labelled("one")).await;
        publish(platform).await;
        platform.put("/2015-03-31/functions/f/configuration", labelled("two")).await;
        publish(platform).await;
        let aliases = "/2015-03-31/functions/f/aliases";
        let weights = json!({ "AdditionalVersionWeights": { "2": 0.5 } });
        let alias = json!({ "Name": "live", "FunctionVersion": "1", "RoutingConfig": weights });
        let reply = platform.post(aliases, alias).await;
        assert_eq!((reply.status, &reply.body["RoutingConfig"]), (StatusCode::CREATED, &weights));
        for _ in 0..40 {
            let (version, label) = run(platform, "f:live").await;
            assert_eq!(label, if version == "1" { "one" } else { "two" });
            choices.lock().unwrap().push(version);
        }
    })
    .await;
    choices.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn weighted_aliases_choose_by_the_seed() {
    let first = choices(1).await;
    let second = first.iter().filter(|version| *version == "2").count();
    assert!((5..=35).contains(&second), "{first:?}");
    assert_eq!(choices(1).await, first);
    assert_ne!(choices(2).await, first);
}
