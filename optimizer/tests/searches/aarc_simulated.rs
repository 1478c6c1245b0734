//! AARC on the simulator: a video is split, its chunks are looked at three at a time, those with many
//! frames more closely, and two branches make something of the result.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use optimizer::aarc::{AarcParameters, AarcSearch, Place};
use optimizer::deployment::Deployment;
use optimizer::flow::{Data, Flow};
use optimizer::measurement;
use optimizer::performance_model::{
    Feature, Models, OutputTemplate, Parallel, PerformanceModel, TaskModel, Work,
};
use optimizer::price::PriceBook;
use optimizer::search::{Recommendation, Search, Standing, Step};
use optimizer::simulator::{Load, Simulator, SimulatorParameters};
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{Slo, Task, TaskName, Workflow};
use serde_json::{Value, json};

const SPACE: fn() -> ResourceSpace = ResourceSpace::decoupled;

fn state(kind: Value, next: Option<&str>) -> Value {
    let data = json!({
        "input": "all", "parameters": null, "selector": null, "result": "replace", "output": "all",
    });
    json!({"kind": kind, "next": next, "retry": [], "catch": [], "data": data})
}

fn task(task: &str, next: Option<&str>) -> Value {
    state(json!({"task": {"task": task, "timeout_us": null}}), next)
}

fn flow() -> Flow {
    let many = json!({"is": ["$.frames", {"compare": ["greater", {"number": 20.0}]}]});
    let chunk = json!({"start": "extract", "states": {
        "extract": task("extract", Some("how-many")),
        "how-many": state(
            json!({"choice": {"rules": [[many, "enhance"]], "default": "classify"}}),
            None,
        ),
        "enhance": task("enhance", Some("classify")),
        "classify": task("classify", None),
    }});
    let chunks = json!({"map": {
        "items": "$.chunks", "selector": null, "concurrency": 3, "iterator": chunk,
    }});
    let branches = json!({"parallel": {"branches": [
        {"start": "report", "states": {"report": task("report", None)}},
        {"start": "archive", "states": {"archive": task("archive", None)}},
    ]}});
    let machine = json!({"states": {"start": "split", "states": {
        "split": task("split", Some("chunks")),
        "chunks": state(chunks, Some("results")),
        "results": state(branches, None),
    }}});
    serde_json::from_value(machine).unwrap()
}

fn models() -> Models {
    let model = |cpu_ms: u64, share: f64, memory_mb: u32| PerformanceModel {
        parallel: Parallel { share, width: 6 },
        noise: 0.03,
        ..PerformanceModel::cpu(cpu_ms * 1_000, MemoryMb(memory_mb))
    };
    let frames =
        Feature { at: "/frames".into(), reference: 20.0, cpu: 1.0, waiting: 0.0, memory: 0.0 };
    let by_frames = |model| PerformanceModel { features: vec![frames.clone()], ..model };
    let chunks = json!({"chunks": [
        {"frames": 10}, {"frames": 30}, {"frames": 15}, {"frames": 20}, {"frames": 40},
        {"frames": 10}, {"frames": 5},
    ]});
    let of = |model, output: Option<&Value>| TaskModel {
        work: Work::Formula(model),
        init_us: 400_000,
        output: output.map(|output| OutputTemplate::parse(output).unwrap()),
    };
    [
        ("split", of(model(4_000, 0.3, 900), Some(&chunks))),
        ("extract", of(by_frames(model(2_000, 0.0, 300)), None)),
        ("enhance", of(by_frames(model(5_000, 0.95, 1_500)), None)),
        ("classify", of(by_frames(model(3_000, 0.8, 700)), None)),
        ("report", of(model(1_500, 0.0, 200), None)),
        ("archive", of(model(700, 0.5, 400), None)),
    ]
    .into_iter()
    .map(|(name, model)| (TaskName::from(name), model))
    .collect()
}

fn workflow(latency_us: u64) -> Workflow {
    let resources = SPACE().resources_for_memory(MemoryMb(2_048));
    let tasks: IndexMap<TaskName, Task> =
        models().into_keys().map(|name| (name, Task { resources })).collect();
    let slo = Slo { latency_us, percentile: 95 };
    let workflow = Workflow::new("video".into(), "split".into(), slo, tasks, &[]).unwrap();
    workflow.with_flow(flow()).unwrap()
}

fn optimise(workflow: &Workflow, simulator: &Simulator) -> (AarcSearch, Recommendation) {
    let start = Deployment::unfused(workflow);
    let mut search = AarcSearch::new(workflow, start, SPACE(), AarcParameters::default()).unwrap();
    for round in 0..500 {
        match search.next() {
            Step::Try(trial) => {
                search.observe(&simulator.measure(&trial, round));
            }
            Step::Done(recommendation) => return (search, recommendation),
        }
    }
    panic!("the search does not end");
}

#[test]
fn a_state_machine_with_a_map_a_choice_and_branches_is_configured() {
    // With the largest configuration it takes about 15 seconds.
    let workflow = workflow(20_000_000);
    let parameters = SimulatorParameters::new(PriceBook::named("cloud-run").unwrap(), 7);
    let simulator = Simulator::new(workflow.clone(), models(), parameters).unwrap();
    let (search, recommendation) = optimise(&workflow, &simulator);
    assert_eq!(recommendation.standing, Standing::KeepsSlo, "{:#?}", recommendation.reasons);
    let functions = search.functions();
    let critical: BTreeSet<&str> = functions
        .iter()
        .filter(|function| function.place == Place::CriticalPath)
        .map(|function| function.function.0.as_str())
        .collect();
    assert_eq!(critical, ["classify", "enhance", "extract", "report", "split"].into());
    assert!(functions.iter().all(|function| !function.changes.is_empty()));

    // Measured once more, and cheaper than what the developer and the platform would have chosen.
    let run = |deployment: &Deployment| {
        let inputs = vec![Data::Null; 201];
        let executions = simulator.run(deployment, Load::Sequence, &inputs, 99_999);
        let costs = measurement::warm(&executions).map(|execution| execution.cost().0);
        (costs.sum::<u64>(), executions)
    };
    let (cost, executions) = run(&recommendation.deployment);
    assert_eq!(Standing::of(&executions, workflow.slo()), Standing::KeepsSlo);
    let start = Deployment::unfused(&workflow);
    let largest = start.with_all_resources(|_| SPACE().largest());
    for (other, times) in [(start, 1.2), (largest, 3.0)] {
        let other = run(&other).0 as f64 / cost as f64;
        assert!(other > times, "{other} times as dear");
    }

    let again = optimise(&workflow, &simulator);
    let bytes = |(search, _): &(AarcSearch, Recommendation)| serde_json::to_string(search).unwrap();
    assert_eq!(bytes(&(search, recommendation)), bytes(&again));
}
