//! The comparison of two deployments' answers: a table of cases, and properties of random answers.

use std::collections::{BTreeMap, BTreeSet};

use optimizer::equivalence::{Body, CallMade, Part, Replay, differences, varying};
use optimizer::execution::Outcome;
use optimizer::pointer::Pattern;
use optimizer::workflow::CallKind;
use proptest::prelude::*;
use serde_json::{Value, json};

fn answered(payload: Value) -> Replay {
    Replay { status: 200, error: None, payload: Body::Json(payload), calls: Vec::new() }
}

fn call(callee: &str, request: Value, calls: Vec<CallMade>) -> CallMade {
    CallMade {
        callee: callee.into(),
        kind: CallKind::Sync,
        outcome: Outcome::Ok,
        request: Body::Json(request),
        response: Body::Json(json!({"ok": true})),
        calls,
    }
}

fn calling(calls: Vec<CallMade>) -> Replay {
    Replay { calls, ..answered(json!({})) }
}

/// What differs, as `pointer unfused fused`.
fn found(left: &Replay, right: &Replay, ignored: &[&str]) -> Vec<String> {
    let ignored: BTreeSet<Pattern> = ignored.iter().map(|text| text.parse().unwrap()).collect();
    let text = |value: Option<Value>| value.map_or("-".to_owned(), |value| value.to_string());
    differences(left, right, &ignored)
        .into_iter()
        .map(|found| format!("{} {} {}", found.pointer, text(found.unfused), text(found.fused)))
        .collect()
}

#[test]
fn the_first_differing_field_of_a_payload_is_named() {
    for (left, right, ignored, expect) in [
        (json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}), &[][..], ""),
        (json!({"a": 1, "b": 2}), json!({"a": 3, "b": 4}), &[], "/payload/a 1 3"),
        (json!({"a": 1, "b": 2}), json!({"a": 3, "b": 4}), &["/payload/a"], "/payload/b 2 4"),
        (json!({"a": 1}), json!({}), &[], "/payload/a 1 -"),
        (json!({}), json!({"a/b": null}), &[], "/payload/a~1b - null"),
        (json!({"a": null}), json!({"a": 0}), &[], "/payload/a null 0"),
        (json!([{"x": [1, 2]}]), json!([{"x": [1, 3]}]), &[], "/payload/0/x/1 2 3"),
        (json!([{"x": 1}]), json!([{"x": 2}]), &["/payload/*/x"], ""),
        (json!([1, 2]), json!([1]), &[], "/payload \"[1,2]\" \"[1]\""),
        (json!("1"), json!(1), &[], "/payload \"1\" 1"),
        (json!(1), json!(1.0), &[], "/payload 1 1.0"),
        (json!({"a": {"b": 1}}), json!({"a": 7}), &["/payload/a"], ""),
    ] {
        let got = found(&answered(left.clone()), &answered(right.clone()), ignored);
        assert_eq!(got.join("; "), expect, "{left} {right} {ignored:?}");
    }
}

#[test]
fn status_errors_and_bytes_are_compared() {
    let plain = answered(json!({}));
    let refused = Replay { status: 429, ..plain.clone() };
    assert_eq!(found(&plain, &refused, &[]), ["/status 200 429"]);
    let failed = Replay { error: Some("Unhandled".into()), ..plain.clone() };
    assert_eq!(found(&plain, &failed, &[]), ["/error null \"Unhandled\""]);
    assert_eq!(found(&failed, &failed, &[]), [""; 0], "equal failures are equal");
    let bytes = |text: &str| Replay { payload: Body::whole(text.as_bytes()), ..plain.clone() };
    assert_eq!(
        found(&bytes("<a>1</a>"), &bytes("<a>2</a>"), &[]),
        ["/payload \"from byte 3: 1</a>\" \"from byte 3: 2</a>\""]
    );
    assert_eq!(found(&bytes("<a"), &bytes("<a>"), &[]), ["/payload \"2 bytes\" \"3 bytes\""]);
    assert_eq!(
        found(&plain, &bytes("<a"), &[]),
        ["/payload \"{}\" \"2 bytes that are not JSON: <a\""]
    );
    let part = |end: &str| answered(json!(format!("{}{end}", "ä".repeat(300))));
    let shown = &differences(&part("one"), &part("two"), &BTreeSet::new())[0];
    assert_eq!(shown.fused, Some(json!(format!("…{}two", "ä".repeat(25)))), "where they part");
    let long = answered(json!("x".repeat(1000)));
    let shown = &differences(&plain, &long, &BTreeSet::new())[0];
    assert_eq!(shown.fused.as_ref().unwrap().as_str().unwrap().chars().count(), 101);
}

#[test]
fn calls_are_compared_as_a_tree_without_order() {
    let b = |n: u32| call("b", json!({"n": n}), vec![call("c", json!({}), Vec::new())]);
    let both = calling(vec![b(1), b(2), call("d", json!({}), Vec::new())]);
    let turned = calling(vec![call("d", json!({}), Vec::new()), b(2), b(1)]);
    assert_eq!(found(&both, &turned, &[]), [""; 0]);
    let fewer = calling(vec![b(1), call("d", json!({}), Vec::new())]);
    assert_eq!(found(&both, &fewer, &[]), ["/calls/b \"2 calls\" \"1 call\""]);
    let mut other = turned.clone();
    other.calls[2].calls[0].outcome = Outcome::Timeout;
    assert_eq!(
        found(&both, &other, &[]),
        ["/calls/b/0/calls/c/0/outcome \"ok\" \"timeout\""],
        "it is the call with n = 1, wherever it stands"
    );
    let mut other = both.clone();
    other.calls[0].kind = CallKind::Async;
    assert_eq!(found(&both, &other, &[]), ["/calls/b/0/kind \"sync\" \"async\""]);
    assert_eq!(found(&both, &other, &["/calls/b/*/kind"]), [""; 0]);
}

#[test]
fn a_payload_of_which_only_the_size_is_known_is_compared_by_size() {
    let sized = |length: u64| {
        let request = Body::Bytes { start: Vec::new(), length };
        calling(vec![CallMade { request, ..call("b", json!({}), Vec::new()) }])
    };
    assert_eq!(found(&sized(3), &sized(4), &[]), ["/calls/b/0/request \"3 bytes\" \"4 bytes\""]);
    let recorded = calling(vec![call("b", json!({}), Vec::new())]);
    assert_eq!(found(&sized(3), &recorded, &[]), [""; 0], "there is nothing to compare with");
}

#[test]
fn what_varies_between_runs_is_ignored_wherever_its_like_stands() {
    let run = |at: u32, items: u32| {
        let items: Vec<_> = (0..items).map(|n| json!({"n": n, "id": at * 100 + n})).collect();
        answered(json!({"at": at, "items": items, "words": ["x", at, "y"]}))
    };
    let ignored = varying(&run(1, 2), &run(2, 2));
    let named: Vec<String> = ignored.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["/payload/at", "/payload/items/*/id", "/payload/words/1"]);
    assert_eq!(differences(&run(1, 5), &run(9, 5), &ignored), []);
    let Body::Json(mut payload) = run(9, 5).payload else { unreachable!() };
    payload["items"][4]["n"] = json!(0);
    let found = differences(&run(1, 5), &answered(payload), &ignored);
    assert_eq!(found[0].pointer, "/payload/items/4/n");
    assert_eq!((found[0].kind, found.len()), (Part::Payload, 1));
}

#[test]
fn identifiers_that_are_known_are_named_before_comparing() {
    let run = |id: &str| {
        let mut run = answered(json!({"message": format!("RequestId: {id} failed"), id: [id]}));
        run.calls.push(call("b", json!({"id": id}), Vec::new()));
        run.name(&BTreeMap::from([(id.to_owned(), "<request id>".to_owned())]));
        run
    };
    assert_eq!(run("r-1"), run("r-2"));
    assert_ne!(run("r-1"), answered(json!({})));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c/~]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~]{1,2}", inner, 0..4)
                .prop_map(|fields| Value::from(serde_json::Map::from_iter(fields))),
        ]
    })
}

fn calls(depth: u32) -> BoxedStrategy<Vec<CallMade>> {
    let nested = if depth == 0 { Just(Vec::new()).boxed() } else { calls(depth - 1) };
    let outcome = prop_oneof![Just(Outcome::Ok), Just(Outcome::Error), Just(Outcome::Crash)];
    let one = ("[bc]", json_value(), json_value(), outcome, nested).prop_map(
        |(callee, request, response, outcome, calls)| CallMade {
            callee,
            kind: CallKind::Sync,
            outcome,
            request: Body::Json(request),
            response: Body::Json(response),
            calls,
        },
    );
    prop::collection::vec(one, 0..4).boxed()
}

fn replay() -> impl Strategy<Value = Replay> {
    (json_value(), prop::option::of("[A-Z]{1,3}"), calls(2)).prop_map(|(payload, error, calls)| {
        Replay { status: 200, error, payload: Body::Json(payload), calls }
    })
}

/// Calls of every caller in another order.
fn turned(calls: &[CallMade], by: usize) -> Vec<CallMade> {
    let mut turned: Vec<CallMade> = calls
        .iter()
        .map(|call| CallMade { calls: turned(&call.calls, by + 1), ..call.clone() })
        .collect();
    if !turned.is_empty() {
        let middle = by % turned.len();
        turned.rotate_left(middle);
        if by.is_multiple_of(2) {
            turned.reverse();
        }
    }
    turned
}

/// Pointers of all plain values.
fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(n, item)| leaves(item, format!("{at}/{n}"), found));
        }
        Value::Object(fields) if !fields.is_empty() => fields.iter().for_each(|(key, item)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            leaves(item, format!("{at}/{key}"), found);
        }),
        _ => found.push(at),
    }
}

/// The call that is number `at` in the tree, and how many calls there are.
fn nth_call<'a>(calls: &'a mut [CallMade], at: &mut usize) -> Option<&'a mut CallMade> {
    for call in calls {
        if *at == 0 {
            return Some(call);
        }
        *at -= 1;
        if let Some(found) = nth_call(&mut call.calls, at) {
            return Some(found);
        }
    }
    None
}

proptest! {
    #[test]
    fn an_execution_equals_itself_in_any_order_of_its_calls(one in replay(), by in 0usize..10) {
        let other = Replay { calls: turned(&one.calls, by), ..one.clone() };
        prop_assert_eq!(differences(&one, &other, &BTreeSet::new()), []);
        prop_assert_eq!(varying(&one, &other), BTreeSet::new());
    }

    #[test]
    fn a_planted_field_of_the_payload_is_found(one in replay(), at in any::<prop::sample::Index>()) {
        let Body::Json(payload) = &one.payload else { unreachable!() };
        let mut all = Vec::new();
        leaves(payload, String::new(), &mut all);
        let pointer = at.get(&all);
        let mut changed = payload.clone();
        *changed.pointer_mut(pointer).unwrap() = json!("planted");
        let other = Replay { payload: Body::Json(changed), ..one.clone() };
        let found = differences(&one, &other, &BTreeSet::new());
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].pointer, &format!("/payload{pointer}"));
        // Ignored because it varies, it is not found any more.
        prop_assert_eq!(differences(&one, &other, &varying(&one, &other)), []);
    }

    #[test]
    fn a_planted_call_is_found(one in replay(), at in 0usize..40, what in 0u8..4, by in 0usize..10) {
        let mut other = one.clone();
        let mut left = at;
        let end = match nth_call(&mut other.calls, &mut left) {
            None => return Ok(()),
            Some(call) => match what {
                0 => { call.outcome = Outcome::Timeout; "/outcome" }
                1 => { call.kind = CallKind::Async; "/kind" }
                2 => { call.request = Body::Json(json!("planted")); "/request" }
                _ => { call.calls.push(call.clone()); "" }
            },
        };
        other.calls = turned(&other.calls, by);
        let found = differences(&one, &other, &BTreeSet::new());
        prop_assert_eq!(found.len(), 1);
        prop_assert!(found[0].pointer.starts_with("/calls/"), "{:?}", found);
        prop_assert!(found[0].pointer.ends_with(end), "{:?}", found);
    }
}
