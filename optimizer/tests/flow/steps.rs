//! Steps.

use std::collections::{BTreeMap, BTreeSet};

use optimizer::flow::{Data, Failure, Flow};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::driver::{Attempt, failure, flow, run, run_in_order};

fn step(task: &str, after: &[&str], more: Value) -> Value {
    let mut step = json!({
        "task": task, "after": after, "map": null, "when": null, "retry": [], "catch": [],
    });
    let more = more.as_object().expect("an object").clone();
    step.as_object_mut().expect("an object").extend(more);
    step
}

fn steps(steps: &[(&str, Value)]) -> Flow {
    let steps: serde_json::Map<_, _> =
        steps.iter().map(|(name, step)| ((*name).to_owned(), step.clone())).collect();
    flow(json!({ "steps": steps }))
}

fn retry(errors: &[&str], attempts: u32) -> Value {
    json!([{
        "errors": errors, "attempts": attempts, "interval_us": 1000, "backoff": 2.0,
        "longest_us": null,
    }])
}

/// Every task answers with its name around what it got.
fn echo(attempt: &Attempt) -> Result<Data, Failure> {
    Ok(json!({ attempt.task.as_str(): Value::from(&attempt.payload) }).into())
}

#[test]
fn inputs_and_the_result_follow_the_edges() {
    let flow = steps(&[
        ("first", step("f", &[], json!({}))),
        ("left", step("l", &["first"], json!({}))),
        ("right", step("r", &["first"], json!({}))),
        ("join", step("j", &["right", "left"], json!({}))),
    ]);
    let ran = run_in_order(&flow, json!(1), echo);
    let (left, right) = (json!({"l": {"f": 1}}), json!({"r": {"f": 1}}));
    assert_eq!(ran.result, Ok(json!({"j": {"left": left, "right": right}}).into()));
    let order: Vec<&str> = ran.attempts.iter().map(|attempt| attempt.step.as_str()).collect();
    assert_eq!(order, ["first", "left", "right", "join"]);
}

#[test]
fn steps_that_are_left_out_have_no_result() {
    let when = |path: &str| json!({"when": {"is": [path, {"present": true}]}});
    let flow = steps(&[
        ("a", step("a", &[], json!({}))),
        ("b", step("b", &[], when("$.x"))),
        ("c", step("c", &["b"], json!({}))),
        ("d", step("d", &["a", "c"], json!({}))),
        ("e", step("e", &["d"], when("$.d.a"))),
    ]);
    let ran = run_in_order(&flow, json!({"x": 1}), echo);
    let d = json!({"a": {"a": {"x": 1}}, "c": {"c": {"b": {"x": 1}}}});
    assert_eq!(ran.result, Ok(json!({"e": {"d": d}}).into()));
    let ran = run_in_order(&flow, json!({}), echo);
    assert_eq!(ran.result, Ok(json!({"e": {"d": {"a": {"a": {}}}}}).into()), "without b and c");

    let last = steps(&[("b", step("b", &[], when("$.x")))]);
    assert_eq!(run_in_order(&last, json!({}), echo).result, Ok(json!(null).into()));
    // What is compared is not there.
    let comparison = json!({"not": {"is": ["$.x", {"null": true}]}});
    let flow = steps(&[("a", step("a", &[], json!({"when": comparison})))]);
    assert!(run_in_order(&flow, json!({}), echo).attempts.is_empty());
}

#[test]
fn a_list_is_gone_through_and_failed_elements_are_tried_again() {
    let map = json!({"map": {"items": "/l", "concurrency": 2}, "retry": retry(&["E"], 2)});
    let flow = steps(&[("m", step("t", &[], map))]);
    let mut failed = 0;
    let ran = run_in_order(&flow, json!({"l": [1, 2, 3, 4]}), |attempt| {
        failed += usize::from(attempt.payload == json!(3).into());
        if attempt.payload == json!(3).into() && failed <= 2 {
            return Err(failure("E"));
        }
        echo(attempt)
    });
    assert_eq!(ran.result, Ok(json!([{"t": 1}, {"t": 2}, {"t": 3}, {"t": 4}]).into()));
    assert_eq!(ran.waits_us, [1000, 2000]);
    assert_eq!(ran.attempts.len(), 6);
    assert_eq!(run_in_order(&flow, json!({"l": []}), echo).result, Ok(json!([]).into()));
    for input in [json!({}), json!({"l": 1})] {
        let failure = run_in_order(&flow, input, echo).result.unwrap_err();
        assert_eq!(failure.error, "States.Runtime");
    }
}

#[test]
fn a_failed_element_fails_the_step_and_the_others_are_given_up() {
    let catch = json!([{"errors": ["E"], "task": "instead"}]);
    let map = json!({"map": {"items": "", "concurrency": null}, "catch": catch});
    let flow = steps(&[("m", step("t", &[], map)), ("n", step("n", &["m"], json!({})))]);
    let (mut started, mut answered) = (0, Vec::new());
    let ran = run(
        &flow,
        json!([1, 2, 3]),
        |attempt| {
            answered.push(attempt.task.clone());
            if attempt.payload == json!(2).into() { Err(failure("E")) } else { echo(attempt) }
        },
        // The second first. Then what stands in for the step, and only then the first and the third,
        // which are of no interest any more; they are still open when the execution ends.
        |open| {
            started += 1;
            if started == 1 { 1 } else { open - 1 }
        },
    );
    let told = json!({"Error": "E", "Cause": "", "Input": [1, 2, 3]});
    assert_eq!(ran.result, Ok(json!({"n": {"instead": told}}).into()));
    assert_eq!(answered, ["t", "instead", "n"]);
}

#[test]
fn late_answers_change_nothing() {
    let catch = json!([{"errors": ["States.ALL"], "task": "instead"}]);
    let map = json!({"map": {"items": "", "concurrency": null}, "catch": catch});
    let flow = steps(&[("m", step("t", &[], map))]);
    // The first element fails the step. The others answer before what stands in for it.
    let ran = run_in_order(&flow, json!([1, 2, 3]), |attempt| match attempt.task.as_str() {
        "t" if attempt.payload == json!(1).into() => Err(failure("E")),
        _ => echo(attempt),
    });
    assert_eq!(ran.attempts.len(), 4);
    assert_eq!(Value::from(&ran.result.unwrap())["instead"]["Error"], "E");
}

#[test]
fn what_nothing_stands_in_for_fails_the_workflow() {
    let catch = |errors: &str| json!({"catch": [{"errors": [errors], "task": "instead"}]});
    for (catch, instead_fails) in [(json!({}), false), (catch("F"), false), (catch("E"), true)] {
        let flow = steps(&[
            ("a", step("a", &[], catch)),
            ("b", step("b", &[], json!({}))),
            ("c", step("c", &["a"], json!({}))),
        ]);
        let ran = run_in_order(&flow, json!({}), |attempt| match attempt.task.as_str() {
            "a" => Err(failure("E")),
            "instead" if instead_fails => Err(failure("G")),
            _ => echo(attempt),
        });
        let error = if instead_fails { "G" } else { "E" };
        assert_eq!(ran.result, Err(failure(error)));
    }
}

/// Steps of a random graph: for each the earlier steps it comes after, whether it is left out, whether
/// it goes through a list and with which concurrency, and how often its attempts fail first.
#[derive(Clone, Debug)]
struct Random {
    after: Vec<usize>,
    left_out: bool,
    list: Option<Option<u32>>,
    failures: u32,
}

fn random_steps() -> impl Strategy<Value = Vec<Random>> {
    let one = (
        prop::collection::btree_set(0_usize..100, 0..4),
        prop::bool::weighted(0.2),
        prop::option::of(prop::option::of(1_u32..4)),
        0_u32..3,
    );
    prop::collection::vec(one, 1..9).prop_map(|all| {
        let mut random: Vec<Random> = Vec::new();
        for (number, (after, left_out, list, failures)) in all.into_iter().enumerate() {
            let earlier = after.into_iter().filter(|_| number > 0).map(|at: usize| at % number);
            let after: Vec<usize> = earlier.collect::<BTreeSet<_>>().into_iter().collect();
            // A list is taken from the workflow's input or from the answer of one invocation.
            let has_list = |at: &usize| random[*at].list.is_none();
            let list = list.filter(|_| after.len() <= 1 && after.iter().all(has_list));
            random.push(Random { after, left_out, list, failures });
        }
        random
    })
}

fn name(number: usize) -> String {
    format!("s{number}")
}

/// A list that every task's answer has for the maps behind it.
fn answer(step: &str, payload: &Value) -> Value {
    // A short digest keeps payloads small however long the chain is.
    let digest = payload.to_string().bytes().fold(7_u32, |sum, byte| sum * 31 + u32::from(byte));
    json!({"by": step, "of": digest, "list": [1, 2, 3, 4, 5, 6]})
}

fn random_flow(random: &[Random]) -> Flow {
    let all: Vec<(String, Value)> = random
        .iter()
        .enumerate()
        .map(|(number, random)| {
            let after: Vec<String> = random.after.iter().map(|at| name(*at)).collect();
            let after: Vec<&str> = after.iter().map(String::as_str).collect();
            let map = random.list.map(|most| json!({"items": "/list", "concurrency": most}));
            let when = random.left_out.then(|| json!({"is": ["$.never", {"present": true}]}));
            let more = json!({"map": map, "when": when, "retry": retry(&["E"], 2)});
            (name(number), step("t", &after, more))
        })
        .collect();
    let all: Vec<(&str, Value)> =
        all.iter().map(|(name, it)| (name.as_str(), it.clone())).collect();
    steps(&all)
}

/// Results of the steps, computed one after the other.
fn oracle(random: &[Random], input: &Value) -> Vec<Option<Value>> {
    let mut results: Vec<Option<Value>> = Vec::new();
    for (number, one) in random.iter().enumerate() {
        let ran: Vec<(usize, Value)> =
            one.after.iter().filter_map(|at| Some((*at, results[*at].clone()?))).collect();
        let given = match one.after.len() {
            0 => input.clone(),
            1 => ran.first().map(|(_, result)| result.clone()).unwrap_or_default(),
            _ => Value::Object(ran.iter().map(|(at, it)| (name(*at), it.clone())).collect()),
        };
        let runs = !one.left_out && (one.after.is_empty() || !ran.is_empty());
        let result = runs.then(|| match one.list {
            None => answer(&name(number), &given),
            Some(_) => {
                let items = given["list"].as_array().cloned().unwrap_or_default();
                Value::Array(items.iter().map(|item| answer(&name(number), item)).collect())
            }
        });
        results.push(result);
    }
    results
}

proptest! {
    #[test]
    fn any_order_of_answers_gives_the_same(random in random_steps(), seed in any::<u64>()) {
        let flow = random_flow(&random);
        let input = json!({"list": [7, 8, 9]});
        let mut failures: BTreeMap<(String, String), u32> = BTreeMap::new();
        let mut ended: Vec<String> = Vec::new();
        let mut state = seed;
        let ran = run(
            &flow,
            input.clone(),
            |attempt| {
                let number: usize = attempt.step[1..].parse().expect("a number");
                let payload = attempt.payload.to_string();
                let failed = failures.entry((attempt.step.clone(), payload)).or_default();
                if *failed < random[number].failures {
                    *failed += 1;
                    return Err(failure("E"));
                }
                ended.push(attempt.step.clone());
                Ok(answer(&attempt.step, &Value::from(&attempt.payload)).into())
            },
            |open| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize % open
            },
        );
        let results = oracle(&random, &input);
        let followed = |at: usize| random.iter().any(|one| one.after.contains(&at));
        let last: Vec<usize> = (0..random.len()).filter(|at| !followed(*at)).collect();
        let expect = match last.as_slice() {
            [one] => results[*one].clone().unwrap_or_default(),
            several => Value::Object(
                several.iter().filter_map(|at| Some((name(*at), results[*at].clone()?))).collect(),
            ),
        };
        prop_assert_eq!(ran.result.map(|data| Value::from(&data)), Ok(expect));
        for (number, one) in random.iter().enumerate() {
            // Each once, or once for every element.
            let runs = match &results[number] {
                None => 0,
                Some(Value::Array(items)) => items.len(),
                Some(_) => 1,
            };
            prop_assert_eq!(ended.iter().filter(|step| **step == name(number)).count(), runs);
            // None before all that it comes after.
            let first = ran.attempts.iter().position(|attempt| attempt.step == name(number));
            for before in &one.after {
                let last = ran.attempts.iter().rposition(|attempt| attempt.step == name(*before));
                prop_assert!(first.is_none() || last < first);
            }
            if let Some(Some(most)) = one.list {
                let open = ran.most_open.get(&name(number)).copied().unwrap_or_default();
                prop_assert!(open <= most as usize);
            }
        }
    }
}
