//! How many function executions per second the simulator does on one core. The target is a million.
//!
//! `cargo bench -p optimizer --bench simulator` prints them as `thrpt`: an element is a function
//! execution.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::flow::Data;
use optimizer::performance_model::{Models, PerformanceModel, TaskModel, Work};
use optimizer::price::PriceBook;
use optimizer::simulator::{Load, Simulator, SimulatorParameters};
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{Call, CallKind, Slo, Task, TaskName, Workflow};
use serde_json::{Value, json};

const REQUESTS: usize = 1_000;

/// Tasks that vary by 10 %.
fn models<'a>(tasks: impl Iterator<Item = &'a TaskName>) -> Models {
    let model = TaskModel {
        work: Work::Formula(PerformanceModel {
            noise: 0.1,
            ..PerformanceModel::cpu(20_000, MemoryMb(60))
        }),
        init_us: 80_000,
        output: None,
    };
    tasks.map(|task| (task.clone(), model.clone())).collect()
}

fn workflow(tasks: &[&str], calls: &[(&str, &str)]) -> Workflow {
    let resources = ResourceSpace::lambda().resources_for_memory(MemoryMb(512));
    let tasks = tasks.iter().map(|task| (TaskName::from(*task), Task { resources })).collect();
    let calls: Vec<Call> = calls
        .iter()
        .map(|(caller, callee)| Call {
            caller: (*caller).into(),
            callee: (*callee).into(),
            kind: CallKind::Sync,
        })
        .collect();
    let slo = Slo { latency_us: 10_000_000, percentile: 95 };
    Workflow::new("bench".to_owned(), "a".into(), slo, tasks, &calls).expect("it is a workflow")
}

/// Video analysis: split, 22 chunks each with its key frames taken and classified, and a summary.
fn orchestrated() -> Workflow {
    let step = |task: &str, after: &[&str], map: Value| json!({"task": task, "after": after, "map": map, "when": null, "retry": [], "catch": []});
    let over = |items: &str| json!({"items": items, "concurrency": null});
    let flow = json!({"steps": {
        "split": step("a", &[], Value::Null),
        "extract": step("b", &["split"], over("/chunks")),
        "classify": step("c", &["extract"], over("")),
        "summarise": step("d", &["classify"], Value::Null),
    }});
    let flow = serde_json::from_value(flow).expect("it is a flow");
    workflow(&["a", "b", "c", "d"], &[]).with_flow(flow).expect("its tasks are there")
}

/// Ten functions that call each other: three levels and a chain.
fn nested() -> Workflow {
    workflow(
        &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
        &[
            ("a", "b"),
            ("a", "c"),
            ("b", "d"),
            ("b", "e"),
            ("b", "f"),
            ("c", "g"),
            ("g", "h"),
            ("h", "i"),
            ("a", "j"),
        ],
    )
}

fn invocations(executions: &[Execution]) -> u64 {
    executions.iter().map(|execution| execution.billed().count() as u64).sum()
}

fn bench(criterion: &mut Criterion, name: &str, workflow: Workflow, load: Load, input: &Data) {
    let unfused = Deployment::unfused(&workflow);
    let parameters = SimulatorParameters::new(PriceBook::lambda_x86(), 1);
    let models = models(workflow.tasks().keys());
    let simulator = Simulator::new(workflow, models, parameters).expect("every task has a model");
    let inputs = vec![input.clone(); REQUESTS];
    let run = || simulator.run(&unfused, load, &inputs, 0);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(invocations(&run())));
    group.bench_function("executions", |bencher| bencher.iter(run));
    group.finish();
}

fn simulator(criterion: &mut Criterion) {
    bench(criterion, "nested, 10 functions", nested(), Load::Sequence, &Data::Null);
    let open = Load::Open { rate_per_second: 100.0 };
    bench(criterion, "nested, 10 functions, 100 requests/s", nested(), open, &Data::Null);
    let video = Data::from(json!({"video": "a.y4m", "chunks": (0..22).collect::<Vec<_>>()}));
    bench(criterion, "orchestrated, maps of 22", orchestrated(), Load::Sequence, &video);
}

criterion_group!(benches, simulator);
criterion_main!(benches);
