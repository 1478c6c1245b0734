//! Calls between functions of one bundle through each language's own SDK, and calls that leave it.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::tasks::{NODE, PYTHON, Task, fused};

fn probes() -> [(&'static str, Task); 3] {
    [
        ("Python", Task::python("app.probe")),
        ("Node", Task::node("app.probe")),
        ("Rust", Task::rust()),
    ]
}

/// What `a` is told by calls of `b` with these payloads, and what is in the log.
async fn call(caller: &Task, callee: &Task, payloads: Value) -> Option<(Vec<Value>, String)> {
    let function = fused(&[("a", caller), ("b", callee)], &[])?;
    let calls = payloads.as_array().unwrap().iter();
    let calls: Vec<Value> =
        calls.map(|payload| json!({ "function": "b", "payload": payload })).collect();
    let answer = function.invoke(json!({ "calls": calls }).to_string()).await.json();
    let Some(answers) = answer["calls"].as_array() else { panic!("{answer}\n{}", function.log()) };
    Some((answers.clone(), function.log()))
}

#[tokio::test]
async fn each_language_calls_each() {
    let ask = json!({ "environment": ["AWS_LAMBDA_FUNCTION_NAME", "AWS_EXECUTION_ENV"] });
    let payloads = json!([ask, { "fail": "no such order" }, { "exit": 3 }, {}]);
    for (from, caller) in probes() {
        for (to, callee) in probes() {
            let Some((calls, log)) = call(&caller, &callee, payloads.clone()).await else {
                continue;
            };
            let [first, failed, crashed, last] = calls.as_slice() else { panic!("{calls:?}") };
            let which = format!("{from} to {to}: {calls:?}\n{log}");
            for call in &calls {
                assert_eq!(call["status"], 200, "{which}");
            }
            let execution = match to {
                "Python" => json!("AWS_Lambda_python3.11"),
                "Node" => json!("AWS_Lambda_nodejs20.x"),
                _ => Value::Null,
            };
            assert_eq!(first["payload"]["environment"], json!(["b", execution]), "{which}");
            assert_eq!(first["function_error"], Value::Null, "{which}");
            assert_eq!(failed["function_error"], "Unhandled", "{which}");
            assert_eq!(failed["payload"]["errorMessage"], "no such order", "{which}");
            assert_eq!(crashed["function_error"], "Unhandled", "{which}");
            assert_eq!(crashed["payload"]["errorType"], "Runtime.ExitError", "{which}");
            let message = crashed["payload"]["errorMessage"].as_str().unwrap();
            assert!(message.ends_with("Runtime exited with error: exit status 3"), "{which}");
            assert_eq!(last["payload"]["function"], "b", "{which}");
            assert_eq!(log.matches(r#""site":"inline""#).count(), 4, "{which}");
        }
    }
}

#[tokio::test]
async fn a_callee_that_cannot_start_is_its_callers_to_handle() {
    let python = |handler: &str, text: &str| {
        Task::managed(PYTHON, handler, vec![("app.py", text.to_owned())])
    };
    let node = |handler: &str| Task::managed(NODE, handler, vec![("app.js", String::new())]);
    for (callee, kind) in [
        (python("app.missing", ""), "Runtime.HandlerNotFound"),
        (python("app.handler", "import nothing_like_this"), "Runtime.ImportModuleError"),
        (python("app.handler", "import os; os._exit(4)"), "Runtime.ExitError"),
        (node("app.missing"), "Runtime.HandlerNotFound"),
        (node("missing.handler"), "Runtime.ImportModuleError"),
        (Task::custom(vec!["./no-such-program".to_owned()]), "Runtime.InvalidEntrypoint"),
    ] {
        let Some((calls, log)) = call(&Task::rust(), &callee, json!([{}, {}])).await else {
            continue;
        };
        for call in calls {
            assert_eq!(call["status"], 200, "{call}\n{log}");
            assert_eq!(call["function_error"], "Unhandled", "{call}\n{log}");
            assert_eq!(call["payload"]["errorType"], kind, "{call}\n{log}");
        }
    }
}

#[tokio::test]
async fn a_call_that_leaves_reaches_lambda() {
    for (from, caller) in probes() {
        let fake = Fake::start(&json!({ "remote": true })).await;
        let endpoint = format!("http://{}", fake.address);
        let environment = [("AWS_ENDPOINT_URL_LAMBDA", endpoint.as_str())];
        let Some(function) = fused(&[("a", &caller)], &environment) else { continue };
        let call = json!({ "function": "elsewhere", "payload": { "order": 17 } });
        let answer = function.invoke(json!({ "calls": [call] }).to_string()).await.json();
        assert_eq!(answer["calls"][0]["payload"], json!({ "remote": true }), "{from}: {answer}");
        let received = fake.received();
        let [request] = received.as_slice() else { panic!("{from}: {received:?}") };
        assert_eq!(request.path, "/2015-03-31/functions/elsewhere/invocations");
        assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), json!({ "order": 17 }));
        let signature = request.headers["authorization"].to_str().unwrap();
        assert!(signature.contains("Credential=AKIDFUNCTION/"), "{from}: {signature}");
    }
}
