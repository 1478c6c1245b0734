//! How fast the orchestrator is: what it takes for each invocation, apart from the invoking.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use optimizer::flow::{Command, Data, Event, Flow, FlowRun};
use serde_json::{Value, json};

/// Runs a flow whose tasks all answer alike; returns the number of invocations.
fn execute(flow: &Flow, input: &Data, answer: &Data) -> u64 {
    let (mut run, mut commands) = FlowRun::start(flow, input.clone());
    let mut open = Vec::new();
    let mut invocations = 0;
    loop {
        for command in commands {
            match black_box(command) {
                Command::Invoke { attempt, .. } => open.push(attempt),
                Command::Wait { .. } => {}
                Command::Done(_) => return invocations,
            }
        }
        let Some(attempt) = open.pop() else { return invocations };
        invocations += 1;
        commands = run.on(flow, Event::Answered { attempt, result: Ok(answer.clone()) });
    }
}

fn steps(of_one: impl Fn(u32) -> Value, count: u32) -> Flow {
    let steps: serde_json::Map<_, _> = (0..count)
        .map(|number| {
            let mut step = json!({
                "task": "some-task", "map": null, "when": null, "retry": [], "catch": [],
            });
            step.as_object_mut()
                .expect("an object")
                .extend(of_one(number).as_object().expect("an object").clone());
            (format!("step-{number}"), step)
        })
        .collect();
    serde_json::from_value(json!({ "steps": steps })).expect("a flow")
}

fn state(kind: &Value, next: Option<&str>, parameters: &Value) -> Value {
    json!({
        "kind": kind, "next": next, "retry": [], "catch": [],
        "data": {
            "input": "all", "parameters": parameters, "selector": null, "result": "replace",
            "output": "all",
        },
    })
}

fn chain(parameters: &Value) -> Value {
    let task = json!({"task": {"task": "some-task", "timeout_us": null}});
    let next = |number: u32| (number < 9).then(|| format!("state-{}", number + 1));
    let states: serde_json::Map<_, _> = (0..10)
        .map(|number| {
            (format!("state-{number}"), state(&task, next(number).as_deref(), parameters))
        })
        .collect();
    json!({"start": "state-0", "states": states})
}

fn flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow");
    let input = Data::from(json!({"list": (0..1000).collect::<Vec<_>>(), "id": "x"}));
    let after = |number: u32| match number {
        0 => json!({"after": []}),
        _ => json!({"after": [format!("step-{}", number - 1)]}),
    };
    let map = json!({"after": [], "map": {"items": "/list", "concurrency": 40}});
    let states = |machine| serde_json::from_value(json!({ "states": machine })).expect("a flow");
    let map_state = json!({"map": {
        "items": "$.list", "selector": null, "concurrency": 40, "iterator": chain(&Value::Null),
    }});
    let picked = json!({"object": {"id": {"at": "$.id"}, "kind": {"constant": "a"}}});
    let cases: [(&str, Flow); 5] = [
        ("10 steps in a chain", steps(after, 10)),
        ("a map of 1,000 elements", steps(|_| map.clone(), 1)),
        ("10 Task states in a chain", states(chain(&Value::Null))),
        ("10 Task states with Parameters", states(chain(&picked))),
        (
            "a Map state of 1,000 chains of 10",
            states(json!({"start": "m", "states": {"m": state(&map_state, None, &Value::Null)}})),
        ),
    ];
    for (name, flow) in cases {
        let answer = input.clone();
        let invocations = execute(&flow, &input, &answer);
        group.throughput(Throughput::Elements(invocations));
        group.bench_function(name, |bencher| bencher.iter(|| execute(&flow, &input, &answer)));
    }
}

criterion_group!(benches, flow);
criterion_main!(benches);
