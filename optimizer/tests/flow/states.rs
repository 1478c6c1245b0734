//! State machines.

use std::collections::BTreeMap;

use optimizer::flow::{Data, Failure, Flow};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::driver::{Attempt, failure, flow, run, run_in_order};

/// A state in its serialised form, with what is not said left out.
fn state(kind: Value, next: Option<&str>, more: Value) -> Value {
    let mut state = json!({
        "kind": kind,
        "data": {
            "input": "all", "parameters": null, "selector": null, "result": "replace",
            "output": "all",
        },
        "next": next, "retry": [], "catch": [],
    });
    for (key, value) in more.as_object().expect("an object") {
        let place =
            if state.get(key).is_some() { &mut state[key] } else { &mut state["data"][key] };
        *place = value.clone();
    }
    state
}

fn task(name: &str) -> Value {
    json!({"task": {"task": name, "timeout_us": null}})
}

fn machine(start: &str, states: &[(&str, Value)]) -> Value {
    let states: serde_json::Map<_, _> =
        states.iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect();
    json!({"start": start, "states": states})
}

fn states(start: &str, states: &[(&str, Value)]) -> Flow {
    flow(json!({ "states": machine(start, states) }))
}

fn retry(errors: &[&str], attempts: u32) -> Value {
    json!([{
        "errors": errors, "attempts": attempts, "interval_us": 1000, "backoff": 1.5,
        "longest_us": 2000,
    }])
}

fn catch(errors: &[&str], next: &str, result: Value) -> Value {
    json!([{"errors": errors, "next": next, "result": result}])
}

fn echo(attempt: &Attempt) -> Result<Data, Failure> {
    Ok(json!({ attempt.task.as_str(): Value::from(&attempt.payload) }).into())
}

/// A template that looks up one place.
fn at(place: &str) -> Value {
    json!({ "at": place })
}

#[test]
fn a_sequence_passes_data_on() {
    let flow = states(
        "a",
        &[
            (
                "a",
                state(
                    task("t"),
                    Some("b"),
                    json!({"input": {"at": "$.x"}, "result": {"at": "$.r"}}),
                ),
            ),
            (
                "b",
                state(
                    json!({"pass": {"result": null}}),
                    Some("c"),
                    json!({"output": {"at": "$.r"}}),
                ),
            ),
            ("c", state(json!("succeed"), None, json!({}))),
            ("d", state(json!("succeed"), None, json!({}))),
        ],
    );
    let ran = run_in_order(&flow, json!({"x": 1, "y": 2}), echo);
    assert_eq!(ran.attempts[0].payload, json!(1).into());
    assert_eq!(ran.result, Ok(json!({"t": 1}).into()));
}

#[test]
fn choices_take_the_first_rule_that_holds() {
    let is = |number: u32| json!({"is": ["$.n", {"compare": ["equals", {"number": f64::from(number)}]}]});
    let choice = |default: Value| json!({"choice": {"rules": [[is(1), "one"], [is(2), "two"]], "default": default}});
    for (input, default, expect) in [
        (json!({"n": 1}), json!(null), Ok(json!({"one": {"n": 1}}))),
        (json!({"n": 2}), json!("one"), Ok(json!({"two": {"n": 2}}))),
        (json!({"n": 3}), json!("one"), Ok(json!({"one": {"n": 3}}))),
        (json!({"n": 3}), json!(null), Err("States.NoChoiceMatched")),
        (json!({}), json!("one"), Err("States.Runtime")),
    ] {
        let flow = states(
            "choose",
            &[
                ("choose", state(choice(default), None, json!({}))),
                ("one", state(task("one"), None, json!({}))),
                ("two", state(task("two"), None, json!({}))),
            ],
        );
        let result = run_in_order(&flow, input, echo).result;
        let result = result.as_ref().map(Value::from).map_err(|failure| failure.error.as_str());
        assert_eq!(result, expect);
    }
}

#[test]
fn wait_states_wait() {
    let wait = |wait: Value, next| state(json!({ "wait": wait }), next, json!({}));
    let flow = states(
        "a",
        &[("a", wait(json!({"for": 500}), Some("b"))), ("b", wait(json!({"path": "$.s"}), None))],
    );
    let ran = run_in_order(&flow, json!({"s": 1.5}), echo);
    assert_eq!(ran.waits_us, [500, 1_500_000]);
    assert_eq!(ran.result, Ok(json!({"s": 1.5}).into()));
    for input in [json!({}), json!({"s": -1}), json!({"s": "1"})] {
        let failure = run_in_order(&flow, input, echo).result.unwrap_err();
        assert_eq!(failure.error, "States.Runtime");
    }
}

#[test]
fn failures_are_retried_then_caught() {
    let more = json!({
        "retry": retry(&["E"], 3),
        "catch": catch(&["States.ALL"], "instead", json!({"at": "$.failed"})),
        "parameters": {"object": {"again": at("$$.State.RetryCount")}},
    });
    let flow = states(
        "a",
        &[("a", state(task("t"), None, more)), ("instead", state(task("i"), None, json!({})))],
    );
    let ran = run_in_order(&flow, json!({"x": 1}), |attempt| match attempt.task.as_str() {
        "t" => Err(failure("E")),
        _ => echo(attempt),
    });
    assert_eq!(ran.waits_us, [1000, 1500, 2000]);
    let payloads: Vec<Value> = ran.attempts.iter().map(|it| Value::from(&it.payload)).collect();
    let expect: Vec<Value> = (0..4).map(|again| json!({ "again": again })).collect();
    assert_eq!(payloads[..4], expect);
    let told = json!({"x": 1, "failed": {"Error": "E", "Cause": ""}});
    assert_eq!(ran.result, Ok(json!({ "i": told }).into()));
}

#[test]
fn data_rules_that_fail_are_caught_where_tasks_are() {
    let broken = json!({"parameters": {"object": {"a": at("$.nothing")}}});
    let with = |more: &Value| {
        let mut all = broken.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let caught = json!({"catch": catch(&["States.ParameterPathFailure"], "b", json!("discard"))});
    for (kind, more, ok) in [
        (task("t"), with(&caught), true),
        (task("t"), broken.clone(), false),
        (json!({"parallel": {"branches": []}}), with(&caught), true),
        // Of no meaning for Pass states.
        (json!({"pass": {"result": null}}), with(&caught), false),
    ] {
        let flow = states(
            "a",
            &[("a", state(kind, None, more)), ("b", state(json!("succeed"), None, json!({})))],
        );
        let ran = run_in_order(&flow, json!({"x": 1}), echo);
        assert!(ran.attempts.is_empty());
        assert_eq!(
            ran.result.map_err(|it| it.error),
            if ok { Ok(json!({"x": 1}).into()) } else { Err("States.ParameterPathFailure".into()) }
        );
    }
}

/// A machine of one task, named after it.
fn single(name: &str, more: Value) -> Value {
    machine(name, &[(name, state(task(name), None, more))])
}

#[test]
fn branches_and_iterations_are_named_by_their_places() {
    let inner = json!({"map": {
        "items": "$.list", "concurrency": null, "iterator": single("classify", json!({})),
        "selector": {"object": {
            "number": at("$$.Map.Item.Index"), "item": at("$$.Map.Item.Value"), "all": at("$.n"),
        }},
    }});
    let branches = [machine("m", &[("m", state(inner, None, json!({})))]), single("b", json!({}))];
    let flow = states(
        "per-chunk",
        &[("per-chunk", state(json!({"parallel": {"branches": branches}}), None, json!({})))],
    );
    let input = json!({"list": ["x", "y"], "n": 1});
    let ran = run_in_order(&flow, input.clone(), echo);
    let attempts: Vec<&str> = ran.attempts.iter().map(|it| it.step.as_str()).collect();
    assert_eq!(attempts, ["per-chunk/0/m/classify", "per-chunk/0/m/classify", "per-chunk/1/b"]);
    let of =
        |number: u32, item: &str| json!({"classify": {"number": number, "item": item, "all": 1}});
    assert_eq!(ran.result, Ok(json!([[of(0, "x"), of(1, "y")], {"b": input}]).into()));
    let named: Vec<String> = flow.tasks().into_iter().map(|(step, _)| step.0).collect();
    assert_eq!(named, ["per-chunk/0/m/classify", "per-chunk/1/b"]);
}

#[test]
fn states_of_an_iteration_see_its_element() {
    let more = json!({"parameters": {"object": {
        "item": at("$$.Map.Item.Value.v"), "of": at("$$.Execution.Input.n"),
    }}});
    let map = json!({"map": {
        "items": "$.list", "concurrency": 1, "selector": {"constant": 0},
        "iterator": machine("p", &[
            ("p", state(json!({"parallel": {"branches": [single("t", more)]}}), None, json!({}))),
        ]),
    }});
    let flow = states("m", &[("m", state(map, None, json!({})))]);
    let ran = run_in_order(&flow, json!({"list": [{"v": 1}, {"v": 2}], "n": 3}), echo);
    let of = |item: u32| json!([{"t": {"item": item, "of": 3}}]);
    assert_eq!(ran.result, Ok(json!([of(1), of(2)]).into()));
}

#[test]
fn a_failed_branch_ends_its_siblings() {
    let wait = machine(
        "w",
        &[
            ("w", state(json!({"wait": {"for": 5}}), Some("x"), json!({}))),
            ("x", state(task("never"), None, json!({}))),
        ],
    );
    let parallel = json!({"parallel": {"branches": [wait, single("fails", json!({}))]}});
    let caught = json!({"catch": catch(&["E"], "instead", json!("replace"))});
    let flow = states(
        "p",
        &[("p", state(parallel, None, caught)), ("instead", state(task("i"), None, json!({})))],
    );
    let task = |attempt: &Attempt| match attempt.task.as_str() {
        "fails" => Err(failure("E")),
        _ => echo(attempt),
    };
    // The failure comes first and the Wait state's time elapses before the end, or it does not.
    for order in [[1, 0, 0], [1, 1, 0]] {
        let mut order = order.into_iter();
        let ran = run(&flow, json!({}), task, |_| order.next().unwrap());
        assert_eq!(ran.result, Ok(json!({"i": {"Error": "E", "Cause": ""}}).into()));
        let tasks: Vec<&str> = ran.attempts.iter().map(|it| it.task.as_str()).collect();
        assert_eq!(tasks, ["fails", "i"]);
    }
}

#[test]
fn what_fails_at_once_starts_nothing_beside_it() {
    let fails = machine(
        "f",
        &[("f", state(json!({"fail": {"error": "E", "cause": "c"}}), None, json!({})))],
    );
    let parallel = json!({"parallel": {"branches": [single("t", json!({})), fails]}});
    let caught = json!({"catch": catch(&["E"], "b", json!("discard"))});
    for (more, ok) in [(json!({}), false), (caught, true)] {
        let flow = states(
            "p",
            &[
                ("p", state(parallel.clone(), None, more)),
                ("b", state(json!("succeed"), None, json!({}))),
            ],
        );
        let ran = run_in_order(&flow, json!({}), echo);
        assert!(ran.attempts.is_empty());
        let failure = Failure { error: "E".into(), cause: "c".into() };
        assert_eq!(ran.result, if ok { Ok(json!({}).into()) } else { Err(failure) });
    }
}

#[test]
fn a_failed_map_is_tried_again_as_a_whole() {
    let map = json!({"map": {
        "items": "$", "selector": null, "concurrency": 2, "iterator": single("t", json!({})),
    }});
    let flow = states("m", &[("m", state(map, None, json!({"retry": retry(&["E"], 1)})))]);
    let mut fails = true;
    let ran = run_in_order(&flow, json!([1, 2, 3]), |attempt| {
        if attempt.payload == json!(1).into() && std::mem::take(&mut fails) {
            return Err(failure("E"));
        }
        echo(attempt)
    });
    assert_eq!(ran.result, Ok(json!([{"t": 1}, {"t": 2}, {"t": 3}]).into()));
    assert_eq!(ran.attempts.len(), 2 + 3);
}

#[test]
fn what_goes_round_for_ever_ends() {
    let pass = |more| state(json!({"pass": {"result": null}}), Some("a"), more);
    let flow = states("a", &[("a", pass(json!({})))]);
    assert_eq!(run_in_order(&flow, json!(1), echo).result.unwrap_err().error, "States.Runtime");
    // Data that grow: deeper, or twice as large in every round.
    for parameters in [json!({"list": [at("$")]}), json!({"object": {"a": at("$"), "b": at("$")}})]
    {
        let flow = states("a", &[("a", pass(json!({"parameters": parameters})))]);
        let result = run_in_order(&flow, json!(1), echo).result;
        assert_eq!(result.unwrap_err().error, "States.DataLimitExceeded");
    }
}

#[test]
fn results_that_fit_nowhere_fail() {
    let double = json!({"parameters": {"list": [at("$"), at("$")]}});
    let names: Vec<String> = (0..28).map(|number| format!("s{number}")).collect();
    let pass = |number: usize| {
        let next = names.get(number + 1).map(String::as_str);
        state(json!({"pass": {"result": null}}), next, double.clone())
    };
    let chain: Vec<(&str, Value)> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), pass(number))).collect();
    let failure = run_in_order(&states("s0", &chain), json!("x"), echo).result.unwrap_err();
    // The input of the last state is below the limit of 2^30 bytes, its output is not.
    assert_eq!(failure.error, "States.DataLimitExceeded");
}

#[test]
fn machines_that_name_no_state_fail() {
    let flow = states("a", &[("a", state(task("t"), Some("b"), json!({})))]);
    assert_eq!(run_in_order(&flow, json!(1), echo).result.unwrap_err().error, "States.Runtime");
}

/// A random machine: a sequence of parts, each of which may fail and be caught.
#[derive(Clone, Debug)]
enum Random {
    Task { fails: u32, catches: bool },
    Pass,
    Parallel { branches: Vec<Vec<Random>>, catches: bool },
    Map { iterator: Vec<Random>, most: Option<u32>, catches: bool },
}

fn random_machine() -> impl Strategy<Value = Vec<Random>> {
    let leaf = prop_oneof![
        (prop_oneof![4 => 0_u32..3, 1 => Just(3)], any::<bool>())
            .prop_map(|(fails, catches)| Random::Task { fails, catches }),
        Just(Random::Pass),
    ];
    let part = leaf.prop_recursive(3, 24, 3, |inner| {
        let sequence = prop::collection::vec(inner, 1..3);
        prop_oneof![
            (prop::collection::vec(sequence.clone(), 0..3), any::<bool>())
                .prop_map(|(branches, catches)| Random::Parallel { branches, catches }),
            (sequence, prop::option::of(1_u32..3), any::<bool>())
                .prop_map(|(iterator, most, catches)| Random::Map { iterator, most, catches }),
        ]
    });
    prop::collection::vec(part, 1..4)
}

/// A task that fails is tried again twice. A Map goes through three numbers.
fn random_states(parts: &[Random]) -> Value {
    let mut states = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let next = (number + 1 < parts.len()).then(|| format!("s{}", number + 1));
        let next = next.as_deref();
        let (kind, catches, again) = match part {
            Random::Task { fails, catches } => (task(&format!("{fails}")), *catches, 2),
            Random::Pass => (json!({"pass": {"result": null}}), false, 0),
            Random::Parallel { branches, catches } => {
                let branches: Vec<Value> = branches.iter().map(|it| random_states(it)).collect();
                (json!({"parallel": {"branches": branches}}), *catches, 0)
            }
            Random::Map { iterator, most, catches } => (
                json!({"map": {
                    "items": "$", "selector": null, "concurrency": most,
                    "iterator": random_states(iterator),
                }}),
                *catches,
                0,
            ),
        };
        // A caught failure leads where success does; in the last state, to one that ends.
        let caught = catch(&["E"], next.unwrap_or("end"), json!("replace"));
        let more = json!({
            "retry": if again > 0 { retry(&["E"], again) } else { json!([]) },
            "catch": if catches { caught } else { json!([]) },
            // A Map needs a list, whatever comes before it.
            "parameters": match part {
                Random::Map { .. } => json!({"constant": [1, 2, 3]}),
                _ => json!(null),
            },
        });
        states.push((format!("s{number}"), state(kind, next, more)));
    }
    states.push(("end".to_owned(), state(json!("succeed"), None, json!({}))));
    let states: Vec<(&str, Value)> =
        states.iter().map(|(name, state)| (name.as_str(), state.clone())).collect();
    machine("s0", &states)
}

/// What a machine gives, run one state after the other. All failures are the same.
fn oracle(parts: &[Random], input: &Value) -> Result<Value, ()> {
    let mut data = input.clone();
    for part in parts {
        let (result, catches) = match part {
            Random::Task { fails, catches } => {
                (if *fails < 3 { Ok(json!({ "t": data })) } else { Err(()) }, *catches)
            }
            Random::Pass => (Ok(data.clone()), false),
            Random::Parallel { branches, catches } => {
                let results = branches.iter().map(|branch| oracle(branch, &data));
                (results.collect::<Result<Vec<_>, _>>().map(Value::Array), *catches)
            }
            Random::Map { iterator, catches, .. } => {
                let results = (1..=3).map(|number| oracle(iterator, &json!(number)));
                (results.collect::<Result<Vec<_>, _>>().map(Value::Array), *catches)
            }
        };
        data = match result {
            Ok(result) => result,
            Err(()) if catches => json!({"Error": "E", "Cause": ""}),
            Err(()) => return Err(()),
        };
    }
    Ok(data)
}

proptest! {
    #[test]
    fn any_order_of_answers_gives_the_same(machine in random_machine(), seed in any::<u64>()) {
        let flow = flow(json!({"states": random_states(&machine)}));
        let mut state = seed;
        let mut failures = BTreeMap::new();
        let ran = run(
            &flow,
            json!(0),
            |attempt| {
                // So often in all iterations together, so no more often in any of them.
                let key = (attempt.step.clone(), attempt.payload.to_string());
                let failed: &mut u32 = failures.entry(key).or_default();
                let fails: u32 = attempt.task.parse().expect("a number");
                if fails == 3 || *failed < fails {
                    *failed += 1;
                    return Err(failure("E"));
                }
                Ok(json!({ "t": Value::from(&attempt.payload) }).into())
            },
            |open| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize % open
            },
        );
        let result = ran.result.as_ref().map(Value::from).map_err(|_| ());
        prop_assert_eq!(result, oracle(&machine, &json!(0)));
    }
}
