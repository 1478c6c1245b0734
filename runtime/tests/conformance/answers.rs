//! A function's answers are the same in a bundle, to the byte.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::emulator::Answer;
use crate::tasks::{Task, alone, fused};

/// A client context, as a client sends it, and a request that has one.
const CLIENT: [(&str, &str); 1] = [("X-Amz-Client-Context", "eyJjdXN0b20iOnsia2V5IjoidsO8In19")];

/// What a function answers to events, alone and then in a bundle, if it can be run here.
async fn both(task: &Task, events: &[&[u8]]) -> Option<[Vec<Answer>; 2]> {
    let (alone, fused) = (alone(task, &[])?, fused(&[("a", task)], &[])?);
    let mut answers = [Vec::new(), Vec::new()];
    for event in events {
        answers[0].push(alone.invoke(event.to_vec()).await);
        answers[1].push(fused.invoke(event.to_vec()).await);
    }
    Some(answers)
}

/// Checks that a function answers the same, and returns its answers.
async fn same(task: &Task, events: &[&[u8]]) -> Vec<Answer> {
    let Some([alone, fused]) = both(task, events).await else { return Vec::new() };
    assert_eq!(fused.len(), events.len());
    for (alone, fused) in alone.iter().zip(&fused) {
        let start = |answer: &Answer| answer.text().chars().take(500).collect::<String>();
        assert_eq!((alone.status, start(alone)), (fused.status, start(fused)));
        assert!(alone.body == fused.body, "they differ further on");
    }
    fused
}

#[tokio::test]
async fn payloads_come_back_as_they_were() {
    let large = format!("\"{}\"", "ü".repeat(500_000));
    let events: [&[u8]; 9] = [
        b"{}",
        b"null",
        "{\"order\":\"Größe \u{1f4a5} \\u0000\"}".as_bytes(),
        br#"{"a":[1.5,null,true,12345678901234567890,1e300],"b":{"":""}}"#,
        large.as_bytes(),
        b"",
        b"not json",
        b"\"\xff\xfe\"",
        b"[]",
    ];
    for task in [Task::python("app.echo"), Task::node("app.echo")] {
        same(&task, &events).await;
    }
    let echo = Task::script("while True:\n    id, event, _ = next_event()\n    post(id, event)");
    let answers = same(&echo, &events).await;
    assert!(answers.iter().zip(events).all(|(answer, event)| answer.body == event));
}

#[tokio::test]
async fn errors_are_the_functions_own() {
    for (task, kind) in [
        (Task::python("app.fail"), "NoSuchOrder"),
        (Task::node("app.fail"), "NoSuchOrder"),
        (Task::python("app.unserialisable"), "Runtime.MarshalError"),
        (Task::node("app.unserialisable"), "Error"),
    ] {
        for answer in same(&task, &[b"{}", b"{}"]).await {
            let error = answer.json();
            assert_eq!(error["errorType"], kind);
            assert!(error["stackTrace"].is_array() || error["trace"].is_array(), "{error}");
        }
    }
    // Whatever the runtime sends, in whatever form.
    let script = r#"
kinds = [("{}", {"Lambda-Runtime-Function-Error-Type": "My.Kind"}), ("", {}), ("text", {})]
for body, headers in kinds * 9:
    id, _, _ = next_event()
    assert post(id, body, "error", headers)[0] == 202
"#;
    same(&Task::script(script), &[b"{}", b"{}", b"{}"]).await;
}

#[tokio::test]
async fn a_reply_may_be_anything_up_to_lambdas_limit() {
    let script = r#"
replies = [b"hello <b>", b"", b"\xff\xfe\x00", b"x" * 6291556, b"x" * 6291557, b"1"]
while True:
    for reply in replies:
        id, _, _ = next_event()
        status, _, said = post(id, reply)
        assert status == (413 if len(reply) > 6291556 else 202), said
"#;
    let answers = same(&Task::script(script), &[b"{}".as_slice(); 6]).await;
    let Some(too_large) = answers.get(4) else { return };
    assert_eq!(answers[3].body.len(), 6_291_556);
    assert_eq!(too_large.json()["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(answers[5].body, "1");

    // 6 MB, and a byte more than that: two quotation marks are part of the reply.
    for task in [Task::python("app.letters"), Task::node("app.letters")] {
        let Some([alone, fused]) = both(&task, &[b"6291456", b"6291555", b"1"]).await else {
            continue;
        };
        assert!(alone.iter().zip(&fused).all(|(alone, fused)| alone.body == fused.body));
        assert_eq!(fused[0].body.len(), 6_291_458);
        assert_eq!(fused[1].json()["errorType"], "Function.ResponseSizeTooLarge");
        assert_eq!(fused[2].body, "\"x\"");
    }
}

#[tokio::test]
async fn a_runtime_is_told_the_same() {
    let script = r#"
while True:
    id, _, headers = next_event()
    told = [sorted(headers.keys())]
    status, _, said = post("nobody", "1")
    told.append([status, json.loads(said), send("POST", "init/nothing", "x")[0]])
    post(id, json.dumps(told, sort_keys=True))
"#;
    let answers = same(&Task::script(script), &[b"{}", b"{}"]).await;
    let Some(answer) = answers.first() else { return };
    let headers = answer.json()[0].clone();
    assert!(
        headers.as_array().unwrap().contains(&"Lambda-Runtime-Deadline-Ms".into()),
        "{headers}"
    );
}

#[tokio::test]
async fn the_context_is_the_invocations() {
    for task in [Task::python("app.context"), Task::node("app.context")] {
        let (Some(alone), Some(fused)) = (alone(&task, &[]), fused(&[("a", &task)], &[])) else {
            continue;
        };
        let expect = alone.invoke_with("{}", &CLIENT).await;
        let got = fused.invoke_with("{}", &CLIENT).await;
        assert_eq!(got.json(), expect.json());
        assert_eq!(got.json()["in time"], true);
        assert_eq!(got.json()["name"], "a");
        assert!(got.text().contains("key"), "{}", got.text());
    }
}

#[tokio::test]
async fn the_environment_differs_where_it_must() {
    let script = "while True: post(next_event()[0], json.dumps(dict(os.environ)))";
    let tasks =
        [Task::script(script), Task::python("app.environment"), Task::node("app.environment")];
    let own = [
        ("USERS_OWN", "a=b"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/users/own"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/24/[7]c0ffee"),
    ];
    for task in tasks {
        let (Some(alone), Some(fused)) = (alone(&task, &own), fused(&[("a", &task)], &own)) else {
            continue;
        };
        let (alone, fused) = (alone.invoke("{}").await, fused.invoke("{}").await);
        let read = |answer: &Answer| {
            serde_json::from_value::<BTreeMap<String, Value>>(answer.json()).unwrap()
        };
        let (alone, fused) = (read(&alone), read(&fused));
        let names = alone.keys().chain(fused.keys());
        let mut different: Vec<_> =
            names.filter(|name| alone.get(*name) != fused.get(*name)).collect();
        different.sort();
        different.dedup();
        let expect = [
            // The supervisor stands between the task and Lambda, also if there is a proxy.
            "AWS_ENDPOINT_URL_LAMBDA",
            // Each start of the emulator has its own.
            "AWS_LAMBDA_METADATA_API",
            "AWS_LAMBDA_RUNTIME_API",
            "NO_PROXY",
            // Each task has its own, or two would find each other's files.
            "TMPDIR",
            "no_proxy",
        ];
        assert_eq!(different, expect, "{fused:#?}");
    }
}
