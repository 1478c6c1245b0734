//! Small cases whose times and costs are worked out by hand.

use optimizer::execution::Outcome::{Error, Ok, OutOfMemory, Refused, Timeout};
use optimizer::execution::{Execution, Outcome};
use optimizer::flow::Data;
use optimizer::performance_model::{Feature, Parallel, PerformanceModel};
use optimizer::simulator::Load;
use optimizer::units::{MemoryMb, MilliVcpu, PicoUsd, Resources};
use serde_json::json;

use crate::common::{Setting, billed, constant, model, outcomes, span, spans, task};

/// `a` computes 20 ms and waits for `b`, which computes 30 ms and waits 10 ms for something.
fn pair() -> Setting {
    let b = PerformanceModel { waiting_us: 10_000, ..PerformanceModel::cpu(30_000, MemoryMb(40)) };
    Setting::new(&[("a", task(20)), ("b", model(b))], &["a>b"])
}

#[test]
fn a_cold_execution_starts_every_instance_and_is_billed_for_it() {
    let setting = pair();
    let executions = setting.sequence(&setting.unfused(), 2);
    let cold = &executions[0];
    // 5 to the entry, 100 to start it, 20 of work; 15 to b, 100 to start it, 30 + 10.
    assert_eq!(cold.latency_us, 280_000);
    assert_eq!((cold.init_us(), cold.waiting_us()), (200_000, 155_000));
    let (a, b) = (billed(cold, "a"), billed(cold, "b"));
    assert_eq!((a.duration_us, a.billed_ms, a.init_us), (175_000, 275, Some(100_000)));
    assert_eq!((b.duration_us, b.billed_ms, b.waiting_us), (40_000, 140, 0));
    assert_eq!((a.peak_memory_mb, b.peak_memory_mb), (30, 40));
    // One GB: 16.6667 · 10⁻⁶ dollars per second, and 0.2 · 10⁻⁶ for the request.
    assert_eq!(a.cost, PicoUsd(16_666_700 * 275 / 1_000 + 200_000 + 1));
    assert_eq!(b.cost, PicoUsd(16_666_700 * 140 / 1_000 + 200_000));
    let times = |task| (span(cold, task).start_us, span(cold, task).duration_us);
    assert_eq!((times("a"), times("b")), ((0, 280_000), (125_000, 155_000)));
}

#[test]
fn a_warm_one_only_computes_and_waits() {
    let setting = pair();
    let executions = setting.sequence(&setting.unfused(), 2);
    let warm = &executions[1];
    assert_eq!(warm.latency_us, 5_000 + 20_000 + 15_000 + 40_000);
    assert_eq!((warm.init_us(), warm.waiting_us()), (0, 55_000));
    assert_eq!(billed(warm, "a").billed_ms, 75);
    // A sequence leaves a millisecond between executions.
    assert_eq!(warm.spans[0].start_us, 281_000);
    assert_eq!((&*executions[0].trace, &*warm.trace), ("sim-0-0", "sim-0-1"));
}

#[test]
fn a_call_served_inside_shares_the_quota_and_the_memory() {
    let setting = pair();
    let half = Resources { vcpu: MilliVcpu(500), memory: MemoryMb(1_024) };
    let fused = setting.deployment("(a,b)").with_resources(&"a".into(), half);
    let executions = setting.sequence(&fused, 2);
    let warm = &executions[1];
    // Half a vCPU: 40 ms, 0.6 ms for the call, 60 ms, and 10 ms that need no CPU.
    assert_eq!(billed(warm, "a").duration_us, 40_000 + 600 + 60_000 + 10_000);
    assert_eq!((billed(warm, "a").peak_memory_mb, billed(warm, "a").waiting_us), (70, 0));
    let b = span(warm, "b");
    assert_eq!((b.duration_us, b.function.0.as_str(), b.billed.is_some()), (70_600, "a", false));
    assert_eq!(executions[0].init_us(), 100_000);
}

#[test]
fn fusing_is_slower_where_the_call_costs_more_cpu_than_the_way_to_a_function() {
    let mut setting = Setting::new(&[("a", task(1)), ("b", task(1))], &["a>b"]);
    setting.parameters.overhead = constant(1);
    let latency_us = |text: &str, milli_vcpu| {
        let resources = Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(128) };
        let mut deployment = setting.deployment(text);
        for root in deployment.functions().keys().cloned().collect::<Vec<_>>() {
            deployment = deployment.with_resources(&root, resources);
        }
        setting.sequence(&deployment, 2)[1].latency_us
    };
    // 0.3 ms of CPU take 4.2 ms at 0.072 vCPU, and 0.3 ms at a whole one.
    assert!(latency_us("(a,b)", 72) > latency_us("(a)-(b)", 72) + 3_000);
    assert!(latency_us("(a,b)", 1_000) < latency_us("(a)-(b)", 1_000));
}

#[test]
fn several_cores_shorten_the_parallel_share_and_input_all_of_it() {
    let wide = PerformanceModel {
        parallel: Parallel { share: 0.9, width: 4 },
        working_set: MemoryMb(100),
        features: vec![Feature {
            at: "/pixels".into(),
            reference: 1_000.0,
            cpu: 1.0,
            waiting: 0.0,
            memory: 1.0,
        }],
        ..PerformanceModel::cpu(400_000, MemoryMb(30))
    };
    let setting = Setting::new(&[("a", model(wide))], &[]);
    let four = Resources { vcpu: MilliVcpu(4_000), memory: MemoryMb(1_024) };
    let deployment = setting.unfused().with_resources(&"a".into(), four);
    let inputs = [1_000, 500, 2_000, 20_000].map(|pixels| Data::from(json!({"pixels": pixels})));
    let executions = setting.simulator().run(&deployment, Load::Sequence, &inputs, 0);
    let seen: Vec<_> = executions
        .iter()
        .map(|e| (billed(e, "a").duration_us, billed(e, "a").peak_memory_mb, e.outcome))
        .collect();
    // 40 ms on one core and 360 ms on four. The peak is the instance's so far, and 2030 MB are too much.
    let expect = [
        (130_000, 130, Ok),
        (65_000, 130, Ok),
        (260_000, 230, Ok),
        (2_600_000, 1_024, OutOfMemory),
    ];
    assert_eq!(seen, expect);
}

#[test]
fn who_does_not_wait_goes_on_after_the_overhead() {
    let setting = Setting::new(&[("a", task(20)), ("b", task(500))], &["a~b"]);
    let executions = setting.sequence(&setting.unfused(), 2);
    let warm = &executions[1];
    assert_eq!(warm.latency_us, 5_000 + 20_000 + 15_000);
    assert_eq!((billed(warm, "a").duration_us, billed(warm, "a").waiting_us), (35_000, 0));
    assert_eq!((span(warm, "b").duration_us, billed(warm, "b").duration_us), (15_000, 500_000));
    // The sequence went on when b was done: 125 ms to call it, 15 ms, 100 ms to start, 500 ms.
    assert_eq!(warm.spans[0].start_us, 741_000);
    assert!(!warm.is_cold());
    // A client of its own goes on when it is answered, at 140 ms, and finds b's instance at work.
    let closed = setting.load(&setting.unfused(), Load::Closed { clients: 1 }, 2);
    assert_eq!(closed[1].spans[0].start_us, 140_000);
    assert!(billed(&closed[1], "a").init_us.is_none() && billed(&closed[1], "b").init_us.is_some());
}

#[test]
fn a_timeout_ends_the_invocation_and_its_instance() {
    let setting = Setting::new(&[("a", task(20)), ("b", task(500))], &["a>b"]).timeout("b", 300);
    let executions = setting.sequence(&setting.unfused(), 2);
    for execution in &executions {
        assert_eq!(outcomes(execution), [Error, Timeout]);
        assert_eq!(execution.outcome, Error);
        let b = billed(execution, "b");
        assert_eq!((b.duration_us, b.billed_ms, b.init_us), (300_000, 400, Some(100_000)));
    }
    assert!(billed(&executions[1], "a").init_us.is_none());
}

#[test]
fn a_caller_whose_time_is_up_leaves_its_callee_at_work() {
    let setting = Setting::new(&[("a", task(20)), ("b", task(500))], &["a>b"]).timeout("a", 300);
    let executions = setting.sequence(&setting.unfused(), 2);
    // The timeout counts from the handler's start: 5 and 100 ms after the request.
    assert_eq!(executions[0].latency_us, 405_000);
    assert_eq!(outcomes(&executions[0]), [Timeout, Timeout]);
    let (a, b) = (span(&executions[0], "a"), span(&executions[0], "b"));
    assert_eq!((a.duration_us, b.start_us, b.duration_us), (405_000, 125_000, 280_000));
    assert_eq!(billed(&executions[0], "a").waiting_us, 280_000);
    assert_eq!(billed(&executions[0], "b").duration_us, 500_000);
    // b was done at 740 ms; its instance is warm, the caller's was killed.
    assert_eq!(executions[1].spans[0].start_us, 741_000);
    assert!(billed(&executions[1], "a").init_us.is_some());
    assert!(billed(&executions[1], "b").init_us.is_none());
}

#[test]
fn a_task_inside_whose_time_is_up_fails_alone() {
    let setting =
        Setting::new(&[("a", task(20)), ("b", task(1)), ("c", task(500))], &["a>b", "b>c"])
            .timeout("b", 300);
    for (text, duration_us) in [("(a,b,c)", 320_300), ("(a,b)-(c)", 320_300)] {
        let executions = setting.sequence(&setting.deployment(text), 2);
        // c goes with b, and a fails for it; b's time counts without the 0.3 ms to call it.
        assert_eq!(outcomes(&executions[1]), [Error, Timeout, Timeout], "{text}");
        assert_eq!(billed(&executions[1], "a").duration_us, duration_us, "{text}");
        assert!(!executions[1].is_cold(), "{text}: no instance was killed");
    }
}

#[test]
fn too_many_at_once_are_refused() {
    let mut setting = Setting::new(&[("a", task(20)), ("b", task(30))], &["a>b"]);
    let outcomes_of = |executions: &[Execution]| -> Vec<Vec<Outcome>> {
        executions.iter().map(outcomes).collect()
    };
    let closed = |setting: &Setting, clients| {
        setting.load(&setting.unfused(), Load::Closed { clients }, clients)
    };
    // One place, which the entry holds while it waits.
    setting.parameters.concurrency = 1;
    let executions = closed(&setting, 2);
    assert_eq!(outcomes_of(&executions), [vec![Error, Refused], vec![Refused]]);
    assert_eq!((executions[1].latency_us, executions[1].cost()), (5_000, PicoUsd(0)));
    assert_eq!(span(&executions[0], "b").duration_us, 15_000);
    // Two places for `a`, of three.
    setting.parameters.concurrency = 3;
    setting.parameters.reserved_concurrency = [("a".into(), 2)].into();
    let executions = closed(&setting, 3);
    let expect = [vec![Ok, Ok], vec![Error, Refused], vec![Refused]];
    assert_eq!(outcomes_of(&executions), expect);
}

#[test]
fn clients_at_the_same_time_get_an_instance_each_and_share_them_later() {
    let setting = Setting::new(&[("a", task(20))], &[]);
    let executions = setting.load(&setting.unfused(), Load::Closed { clients: 3 }, 30);
    assert_eq!(executions.iter().filter(|execution| execution.is_cold()).count(), 3);
    // Each client sends ten requests, one as soon as the last one is answered.
    let ends: Vec<u64> =
        executions[27..].iter().map(|e| e.spans[0].start_us + e.latency_us).collect();
    assert_eq!(ends, [125_000 + 9 * 25_000; 3]);
}

#[test]
fn idle_instances_expire() {
    let mut setting = Setting::new(&[("a", task(20)), ("b", task(500))], &["a~b"]);
    let cold = |setting: &Setting| {
        let executions = setting.sequence(&setting.unfused(), 2);
        (
            billed(&executions[1], "a").init_us.is_some(),
            billed(&executions[1], "b").init_us.is_some(),
        )
    };
    // Until it is invoked again, a is idle from 140 ms to 746 ms, b from 740 ms to 781 ms and, if a has
    // to be started, 881 ms.
    for (expiry_ms, expect) in [(607, (false, false)), (606, (true, false)), (141, (true, true))] {
        setting.parameters.idle_expiry_us = expiry_ms * 1_000;
        assert_eq!(cold(&setting), expect, "{expiry_ms}");
    }
}

#[test]
fn memory_is_that_of_all_tasks_held() {
    let tasks = |floor, working_set| {
        let needs = PerformanceModel {
            working_set: MemoryMb(working_set),
            ..PerformanceModel::cpu(10_000, MemoryMb(floor))
        };
        Setting::new(&[("a", task(20)), ("b", model(needs))], &["a>b"])
    };
    let outcome = |setting: &Setting, text: &str| {
        let execution = &setting.sequence(&setting.deployment(text), 1)[0];
        (outcomes(execution), billed(execution, "a").peak_memory_mb)
    };
    // a needs 30 MB, and the functions have 1024.
    assert_eq!(outcome(&tasks(494, 500), "(a,b)"), (vec![Ok, Ok], 1_024));
    assert_eq!(outcome(&tasks(495, 500), "(a,b)"), (vec![OutOfMemory], 1_024));
    assert_eq!(outcome(&tasks(524, 500), "(a)-(b)"), (vec![Ok, Ok], 30));
    assert_eq!(outcome(&tasks(525, 500), "(a)-(b)"), (vec![Error, OutOfMemory], 30));
    // It is killed when the root's own work is done.
    let setting = tasks(525, 500);
    let executions = setting.sequence(&setting.unfused(), 2);
    assert_eq!(billed(&executions[1], "b").duration_us, 10_000);
    assert!(billed(&executions[1], "b").init_us.is_some());
}

#[test]
fn open_load_comes_at_the_rate_asked_for() {
    let setting = Setting::new(&[("a", task(20))], &[]);
    let open = Load::Open { rate_per_second: 50.0 };
    let executions = setting.load(&setting.unfused(), open, 5_000);
    let last_us = executions.last().unwrap().spans[0].start_us;
    assert!((last_us as f64 / 100e6 - 1.0).abs() < 0.05, "5000 requests in {last_us} µs");
    // At the same times whatever is executed.
    let slower = Setting::new(&[("a", task(30))], &[]);
    let others = slower.load(&slower.unfused(), open, 5_000);
    let starts = |executions: &[Execution]| -> Vec<u64> {
        executions.iter().map(|execution| execution.spans[0].start_us).collect()
    };
    assert_eq!(starts(&executions), starts(&others));
}

#[test]
fn calls_are_made_as_often_as_they_are_counted() {
    let mut setting =
        Setting::new(&[("a", task(1)), ("b", task(1)), ("c", task(1))], &["a>b", "a>c"]);
    setting.parameters.times = [("a".into(), [("b".into(), 3), ("c".into(), 0)].into())].into();
    let execution = &setting.sequence(&setting.unfused(), 1)[0];
    assert_eq!((spans(execution, "b").len(), spans(execution, "c").len()), (3, 0));
}
