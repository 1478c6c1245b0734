//! Workflows that an orchestrator runs.

use optimizer::deployment::Deployment;
use optimizer::execution::Outcome::{Error, OutOfMemory, Refused, Timeout};
use optimizer::execution::{Execution, Outcome};
use optimizer::flow::{Data, Flow};
use optimizer::performance_model::{Feature, OutputTemplate, PerformanceModel, TaskModel};
use optimizer::search::Trial;
use optimizer::simulator::{COMMAND_LIMIT, Load, Overhead};
use optimizer::units::MemoryMb;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Value, json};

use crate::common::{Setting, billed, outcomes, span, spans, task};
use crate::properties::{check_instances, most_at_once};

/// A step after others.
fn step(task: &str, after: &[&str], more: Value) -> Value {
    let mut step = json!({
        "task": task, "after": after, "map": null, "when": null, "retry": [], "catch": [],
    });
    for (key, value) in more.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

fn map(items: &str, concurrency: Option<u32>) -> Value {
    json!({"map": {"items": items, "concurrency": concurrency}})
}

fn retry(errors: &[&str], attempts: u32) -> Value {
    json!({"retry": [{
        "errors": errors, "attempts": attempts, "interval_us": 1_000_000, "backoff": 2.0,
        "longest_us": null,
    }]})
}

fn steps(steps: &[(&str, Value)]) -> Flow {
    let steps: serde_json::Map<String, Value> =
        steps.iter().map(|(name, step)| ((*name).to_owned(), step.clone())).collect();
    serde_json::from_value(json!({ "steps": steps })).unwrap()
}

fn state(kind: Value, next: Option<&str>) -> Value {
    json!({
        "kind": kind, "next": next, "retry": [], "catch": [],
        "data": {
            "input": "all", "parameters": null, "selector": null, "result": "replace",
            "output": "all",
        },
    })
}

fn states(start: &str, states: &[(&str, Value)]) -> Flow {
    let states: serde_json::Map<String, Value> =
        states.iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect();
    serde_json::from_value(json!({"states": {"start": start, "states": states}})).unwrap()
}

fn orchestrated(tasks: &[(&str, TaskModel)], flow: Flow) -> Setting {
    let mut setting = Setting::new(tasks, &[]);
    setting.workflow = setting.workflow.with_flow(flow).unwrap();
    setting
}

fn answering(model: TaskModel, output: &Value) -> TaskModel {
    TaskModel { output: Some(OutputTemplate::parse(output).unwrap()), ..model }
}

/// Executes the unfused deployment once for every input, one after the other.
fn run(setting: &Setting, inputs: &[Value]) -> Vec<Execution> {
    let inputs: Vec<Data> = inputs.iter().cloned().map(Data::from).collect();
    setting.simulator().run(&setting.unfused(), Load::Sequence, &inputs, 0)
}

fn steps_of(execution: &Execution) -> Vec<(&str, u64)> {
    let spans = execution.spans.iter();
    spans.map(|span| (span.step.as_ref().unwrap().0.as_str(), span.start_us)).collect()
}

#[test]
fn steps_follow_each_other_and_run_side_by_side() {
    let flow = steps(&[
        ("first", step("a", &[], json!({}))),
        ("fast", step("b", &["first"], json!({}))),
        ("slow", step("c", &["first"], json!({}))),
        ("last", step("a", &["fast", "slow"], json!({}))),
    ]);
    let setting = orchestrated(&[("a", task(20)), ("b", task(30)), ("c", task(40))], flow);
    let executions = run(&setting, &[json!({}), json!({})]);
    // Each step takes 15 ms to be invoked; 100 ms to start the three functions' instances, two of them
    // at the same time. The orchestrator itself and the client's way to it take no time.
    assert_eq!(executions[0].latency_us, 135_000 + 155_000 + 35_000);
    let warm = &executions[1];
    assert_eq!(warm.latency_us, 35_000 + 55_000 + 35_000);
    let start_us = executions[0].latency_us + 1_000;
    let expect = [("first", 0), ("fast", 35_000), ("slow", 35_000), ("last", 90_000)];
    assert_eq!(steps_of(warm), expect.map(|(step, at_us)| (step, start_us + at_us)));
    assert!(warm.spans.iter().all(|span| span.parent.is_none() && span.billed.is_some()));
    assert_eq!((span(warm, "b").duration_us, billed(warm, "b").duration_us), (45_000, 30_000));
    let one_ms = |ms: u64| setting.parameters.prices.cost(billed(warm, "b").resources, ms);
    assert_eq!(warm.cost(), one_ms(20) + one_ms(30) + one_ms(40) + one_ms(20));
}

#[test]
fn a_map_runs_as_many_as_it_may_at_once() {
    let flow = |concurrency| {
        steps(&[
            ("split", step("a", &[], json!({}))),
            ("each", step("b", &["split"], map("/chunks", concurrency))),
        ])
    };
    let chunks = json!({"chunks": {"$repeat": "/chunks", "item": {"of": {"$input": "/name"}}}});
    let latency_us = |concurrency| {
        let tasks = [("a", answering(task(20), &chunks)), ("b", task(30))];
        let setting = orchestrated(&tasks, flow(concurrency));
        let inputs = [json!({"chunks": 5, "name": "x"}), json!({"chunks": 5, "name": "x"})];
        let executions = run(&setting, &inputs);
        assert_eq!(spans(&executions[1], "b").len(), 5);
        let cold = executions[0].billed().filter(|billed| billed.init_us.is_some()).count();
        assert_eq!(cold, 1 + concurrency.map_or(5, |most| most as usize));
        assert!(!executions[1].is_cold());
        executions[1].latency_us
    };
    assert_eq!(latency_us(None), 35_000 + 45_000);
    assert_eq!(latency_us(Some(2)), 35_000 + 3 * 45_000);
    assert_eq!(latency_us(Some(1)), 35_000 + 5 * 45_000);
}

#[test]
fn what_tasks_answer_decides_and_tasks_without_an_output_answer_their_input() {
    let condition = json!({"is": ["$.frames", {"compare": ["greater", {"number": 10.0}]}]});
    let flow = steps(&[
        ("count", step("a", &[], json!({}))),
        ("pass", step("b", &["count"], json!({}))),
        ("long", step("c", &["pass"], json!({"when": condition}))),
    ]);
    let output = json!({"frames": {"$input": "/frames"}, "kind": "video"});
    let tasks = [("a", answering(task(1), &output)), ("b", task(1)), ("c", task(1))];
    let setting = orchestrated(&tasks, flow);
    let executions = run(&setting, &[json!({"frames": 10}), json!({"frames": 11})]);
    let reached: Vec<usize> = executions.iter().map(|execution| execution.spans.len()).collect();
    assert_eq!(reached, [2, 3]);
}

#[test]
fn times_depend_on_the_input_of_the_step_and_not_of_the_execution() {
    let feature =
        Feature { at: "/frames".into(), reference: 1.0, cpu: 1.0, waiting: 0.0, memory: 0.0 };
    let formula =
        PerformanceModel { features: vec![feature], ..PerformanceModel::cpu(1_000, MemoryMb(30)) };
    let flow =
        steps(&[("a", step("a", &[], json!({}))), ("each", step("b", &["a"], map("/list", None)))]);
    let output = json!({"list": [{"frames": 7}, {"frames": {"$input": "/frames"}}]});
    let tasks = [("a", answering(task(1), &output)), ("b", crate::common::model(formula))];
    let setting = orchestrated(&tasks, flow);
    let execution = &run(&setting, &[json!({"frames": 4})])[0];
    let durations_us: Vec<u64> =
        spans(execution, "b").iter().map(|s| s.billed.as_ref().unwrap().duration_us).collect();
    assert_eq!(durations_us, [7_000, 4_000]);
}

#[test]
fn failed_attempts_are_spans_and_their_errors_have_lambdas_names() {
    let greedy = crate::common::model(PerformanceModel::cpu(10_000, MemoryMb(2_000)));
    let attempts = |errors: &[&str],
                    tasks: &[(&str, TaskModel)],
                    change: fn(Setting) -> Setting| {
        let flow = steps(&[("try", step("a", &[], retry(errors, 2)))]);
        let setting = change(orchestrated(tasks, flow));
        let execution = run(&setting, &[json!({})]).remove(0);
        assert_eq!(execution.outcome, Error);
        (outcomes(&execution), steps_of(&execution).iter().map(|(_, at)| *at).collect::<Vec<_>>())
    };
    // 15 ms, 100 ms, 10 ms, and then a second and two; the instance is killed every time.
    let starts_us = vec![0, 1_125_000, 3_250_000];
    let ran = attempts(&["Runtime.OutOfMemory"], &[("a", greedy.clone())], |setting| setting);
    assert_eq!(ran, (vec![OutOfMemory; 3], starts_us));
    let ran = attempts(&["Sandbox.Timedout"], &[("a", greedy)], |setting| setting);
    assert_eq!(ran.0, [OutOfMemory], "another error is not tried again");
    let slow = [("a", task(20))];
    let ran = attempts(&["Sandbox.Timedout"], &slow, |setting| setting.timeout("a", 5));
    assert_eq!(ran.0, [Timeout; 3]);
    let throttled = ["Lambda.TooManyRequestsException"];
    let ran = attempts(&throttled, &slow, |mut setting| {
        setting.parameters.concurrency = 0;
        setting
    });
    assert_eq!(ran.0, [Refused; 3]);
}

#[test]
fn the_orchestrator_gives_up_and_the_function_goes_on() {
    let slow = state(json!({"task": {"task": "a", "timeout_us": 50_000}}), None);
    let setting = orchestrated(&[("a", task(200))], states("s", &[("s", slow)]));
    let executions = run(&setting, &[json!({}), json!({})]);
    assert_eq!((executions[0].latency_us, executions[0].outcome), (50_000, Timeout));
    let a = span(&executions[0], "a");
    assert_eq!((a.duration_us, a.outcome), (50_000, Timeout));
    assert_eq!(billed(&executions[0], "a").duration_us, 200_000);
    // 15 + 100 + 200 ms, and the pause of a sequence.
    assert_eq!(executions[1].spans[0].start_us, 316_000);
    assert!(!executions[1].is_cold());
}

#[test]
fn waits_take_virtual_time() {
    let flow = states(
        "wait",
        &[
            ("wait", state(json!({"wait": {"path": "$.seconds"}}), Some("s"))),
            ("s", state(json!({"task": {"task": "a", "timeout_us": null}}), None)),
        ],
    );
    let setting = orchestrated(&[("a", task(20))], flow);
    let execution = &run(&setting, &[json!({"seconds": 86_400})])[0];
    assert_eq!(execution.latency_us, 86_400_000_000 + 135_000);
    assert_eq!(execution.spans[0].start_us, 86_400_000_000);
}

#[test]
fn an_execution_that_tries_again_and_again_fails_in_the_end() {
    let mut retry = retry(&["States.ALL"], u32::MAX);
    retry["retry"][0]["backoff"] = json!(1.0);
    let flow = steps(&[("s", step("a", &[], retry))]);
    let setting = orchestrated(&[("a", task(1))], flow).timeout("a", 0);
    let execution = &run(&setting, &[json!({})])[0];
    assert_eq!(execution.outcome, Error);
    // Every attempt but the first waits before.
    assert_eq!(execution.spans.len(), COMMAND_LIMIT / 2);
}

#[test]
fn an_execution_that_waits_for_ever_is_over_after_a_year() {
    // The pause after the second attempt would be endless.
    let mut retry = retry(&["States.ALL"], 5);
    retry["retry"][0]["backoff"] = json!(1e30);
    let flow = steps(&[("s", step("a", &[], retry))]);
    let setting = orchestrated(&[("a", task(20))], flow).timeout("a", 10);
    let executions = run(&setting, &[json!({}), json!({})]);
    let year_us = 365 * 24 * 3_600_000_000;
    for execution in &executions {
        assert_eq!((outcomes(execution), execution.outcome), (vec![Timeout; 2], Timeout));
        assert_eq!(execution.latency_us, year_us);
    }
}

#[test]
fn steps_may_call_other_tasks_and_have_them_inside() {
    let mut setting = Setting::new(&[("a", task(20)), ("b", task(30))], &["a>b"]);
    setting.workflow =
        setting.workflow.with_flow(steps(&[("only", step("a", &[], json!({})))])).unwrap();
    let latency_us = |text: &str| setting.sequence(&setting.deployment(text), 2)[1].latency_us;
    assert_eq!(latency_us("(a)-(b)"), 15_000 + 20_000 + 15_000 + 30_000);
    assert_eq!(latency_us("(a,b)"), 15_000 + 20_000 + 300 + 30_000);
}

#[test]
fn a_measurement_has_the_inputs_it_was_given_in_turn() {
    let flow = steps(&[("each", step("a", &[], map("/list", None)))]);
    let setting = orchestrated(&[("a", task(20))], flow);
    let inputs = [json!({"list": [1]}), json!({"list": [1, 2, 3]})].map(Data::from);
    let simulator = setting.simulator().with_inputs(inputs.to_vec());
    let trial = Trial {
        deployment: setting.unfused(),
        control: Some(setting.unfused()),
        executions: 3,
        reason: String::new(),
    };
    let outcome = simulator.measure(&trial, 0);
    let spans = |executions: &[Execution]| -> Vec<usize> {
        executions.iter().map(|execution| execution.spans.len()).collect()
    };
    assert_eq!(spans(&outcome.deployment), [1, 3, 1, 3]);
    assert_eq!(spans(&outcome.control), [1, 3, 1, 3]);
    // Without an input there is nothing to map over.
    let failed = setting.simulator().measure(&trial, 0);
    assert!(failed.deployment.iter().all(|e| e.outcome == Outcome::Error && e.spans.is_empty()));
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn maps_and_branches_keep_their_instances_apart(
        elements in prop::collection::vec(0_usize..30, 8),
        concurrency in prop::option::of(1_u32..10),
        account in prop_oneof![Just(1_000_u32), 3_u32..20],
        clients in 1_usize..5,
        seed in any::<u64>(),
    ) {
        let flow = steps(&[
            ("split", step("a", &[], json!({}))),
            ("each", step("b", &["split"], map("/list", concurrency))),
            ("beside", step("c", &["split"], json!({}))),
            ("last", step("d", &["each", "beside"], json!({}))),
        ]);
        let noisy = PerformanceModel { noise: 0.3, ..PerformanceModel::cpu(50_000, MemoryMb(30)) };
        let tasks = ["a", "b", "c", "d"].map(|name| (name, crate::common::model(noisy.clone())));
        let mut setting = orchestrated(&tasks, flow);
        setting.parameters.overhead = Overhead { median_us: 15_000, p95_us: 40_000 };
        (setting.parameters.concurrency, setting.parameters.seed) = (account, seed);
        let inputs: Vec<Data> =
            elements.iter().map(|count| Data::from(json!({"list": vec![1; *count]}))).collect();
        let simulator = setting.simulator();
        let unfused: Deployment = setting.unfused();
        let load = Load::Closed { clients };
        let executions = simulator.run(&unfused, load, &inputs, 0);
        prop_assert_eq!(&executions, &simulator.run(&unfused, load, &inputs, 0));
        check_instances(&executions)?;
        prop_assert!(most_at_once(&executions) <= account as usize);
        for (execution, count) in executions.iter().zip(&elements) {
            if execution.outcome == Outcome::Ok {
                prop_assert_eq!(execution.spans.len(), 3 + count);
                prop_assert!(execution.spans.iter().all(|span| span.outcome == Outcome::Ok));
                let starts_us: Vec<u64> = execution.spans.iter().map(|s| s.start_us).collect();
                prop_assert!(starts_us.is_sorted(), "in the order of their start");
                let end_us = execution.spans.iter().map(|s| s.start_us + s.duration_us).max();
                prop_assert_eq!(end_us, Some(starts_us[0] + execution.latency_us));
            } else {
                prop_assert!(account < 1_000, "nothing fails without a cause");
                prop_assert!(execution.spans.iter().any(|span| span.outcome == Outcome::Refused));
            }
        }
    }
}
