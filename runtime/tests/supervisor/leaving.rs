//! Calls that leave the instance, signed again.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::json;
use wire::record::{CallKind, CallOutcome, CallSite};

use crate::support::fake::{MISSING, Received};
use crate::support::{Bundle, CREDENTIALS, TRACE_ROOT};

#[tokio::test]
async fn a_call_to_any_other_function_leaves_in_the_functions_name() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let event = json!({ "calls": [{ "function": "c", "payload": { "pad_bytes": 1 } }] });
    let invoked = function.invoke(event).await;
    assert_eq!(invoked.call(0)["payload"], json!({ "remote": true }));
    assert_eq!(invoked.call(0)["executed_version"], "1");
    let received = function.fake.received();
    let [request] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(request.path, "/2015-03-31/functions/c/invocations");
    assert_eq!(request.body, "{\"pad_bytes\":1}");
    let trace = request.headers["x-amzn-trace-id"].to_str().unwrap();
    assert!(trace.contains(TRACE_ROOT), "{trace}");
    check_signature(request, function.fake.address.to_string());

    let [record] = invoked.calls.as_slice() else { panic!("{:?}", invoked.calls) };
    assert_eq!((record.site, record.outcome), (CallSite::Remote, CallOutcome::Ok));
    assert_eq!(record.callee, "c");
    assert_eq!(record.callee_request.len(), 36, "from the answer's header");
    assert_eq!((record.request_bytes, record.response_bytes), (15, 15));
}

#[tokio::test]
async fn an_event_and_a_qualified_name_leave_even_if_the_task_is_here() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let event = json!({ "calls": [
        { "function": "b", "payload": {}, "asynchronous": true },
        { "function": "b:live", "payload": {} },
        { "function": "arn:aws:lambda:eu-west-1:123456789012:function:b:7", "payload": {} },
        { "function": "arn:aws:lambda:eu-west-1:999999999999:function:b", "payload": {} },
        { "function": "arn:aws:lambda:us-east-1:123456789012:function:b", "payload": {} },
    ] });
    let invoked = function.invoke(event).await;
    assert_eq!(invoked.call(0)["status"], 202);
    let received = function.fake.received();
    assert_eq!(received.len(), 5);
    for request in &received {
        check_signature(request, function.fake.address.to_string());
    }
    let kinds: Vec<_> = invoked.calls.iter().map(|call| (call.kind, call.site)).collect();
    assert_eq!(kinds[0], (CallKind::Async, CallSite::Remote));
    assert!(kinds[1..].iter().all(|kind| *kind == (CallKind::Sync, CallSite::Remote)), "{kinds:?}");
    assert!(invoked.calls.iter().all(|call| call.callee == "b"), "{:?}", invoked.calls);
}

#[tokio::test]
async fn an_unqualified_arn_of_this_account_is_served_inside() {
    let mut function = Bundle::of(&["a", "b"]).start().await;
    let name = "arn:aws:lambda:eu-west-1:123456789012:function:b";
    let invoked = function.invoke(json!({ "calls": [{ "function": name, "payload": {} }] })).await;
    assert_eq!(invoked.calls[0].site, CallSite::Inline);
}

#[tokio::test]
async fn a_route_pins_calls_that_name_no_version_themselves() {
    let routes = r#"{"b":"live","c":"$LATEST"}"#;
    let mut function = Bundle::of(&["a", "b"]).variable("FUSELINE_ROUTES", routes).start().await;
    let event = json!({ "calls": [
        { "function": "c", "payload": {} },
        { "function": "c:7", "payload": {} },
        { "function": "d", "payload": {} },
        { "function": "b", "payload": {}, "asynchronous": true },
        { "function": "b", "payload": {} },
    ] });
    function.invoke(event).await;
    let received = function.fake.received();
    let paths: Vec<_> = received
        .iter()
        .map(|request| request.path.strip_prefix("/2015-03-31/functions/").unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "c/invocations?Qualifier=%24LATEST",
            "c%3A7/invocations",
            "d/invocations",
            "b/invocations?Qualifier=live"
        ]
    );
    for request in &received {
        check_signature(request, function.fake.address.to_string());
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_caller_as_its_typed_error() {
    let mut function = Bundle::of(&["a"]).start().await;
    let invoked =
        function.invoke(json!({ "calls": [{ "function": MISSING, "payload": {} }] })).await;
    assert_eq!(invoked.call(0)["code"], "ResourceNotFoundException");
    let [record] = invoked.calls.as_slice() else { panic!("{:?}", invoked.calls) };
    assert_eq!(record.outcome, CallOutcome::Refused);
    assert_eq!(record.callee_request, "");
}

/// Signs what was received once more and compares.
fn check_signature(request: &Received, host: String) {
    let text = |name: &str| request.headers[name].to_str().unwrap();
    let authorization = text("authorization");
    let [key, secret, token] = CREDENTIALS;
    assert_eq!(text("x-amz-security-token"), token);
    let signed: Vec<&str> = authorization
        .split_once("SignedHeaders=")
        .unwrap()
        .1
        .split(',')
        .next()
        .unwrap()
        .split(';')
        .collect();
    let identity = Credentials::new(key, secret, Some(token.to_owned()), None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("lambda")
        .time(time(text("x-amz-date")))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let added = ["x-amz-date", "x-amz-security-token"];
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| signed.contains(&name.as_str()) && !added.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let uri = format!("http://{host}{}", request.path);
    let body = SignableBody::Bytes(&request.body);
    let signable = SignableRequest::new(request.method.as_str(), uri, headers, body).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    let (_, expect) = instructions.headers().find(|(name, _)| *name == "authorization").unwrap();
    assert_eq!(authorization, expect);
}

/// `20260131T235959Z`, of any year until 2099.
fn time(text: &str) -> SystemTime {
    let part = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    let leap = |year: u64| u64::from(year.is_multiple_of(4));
    let of_years: u64 = (1970..year).map(|year| 365 + leap(year)).sum();
    let lengths = [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let of_months: u64 = lengths.iter().take(month as usize - 1).sum();
    let hours = (of_years + of_months + day - 1) * 24 + part(9, 11);
    let seconds = (hours * 60 + part(11, 13)) * 60 + part(13, 15);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
