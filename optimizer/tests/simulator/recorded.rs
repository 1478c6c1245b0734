//! Recorded data, as they were published, and how a simulation repeats them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use optimizer::execution::Outcome;
use optimizer::flow::Data;
use optimizer::performance_model::{Recorded, RecordedInput, RecordedTable, TaskModel, Work};
use optimizer::simulator::{Load, SimulatorError};
use optimizer::units::{MemoryMb, MilliVcpu, Resources};
use serde_json::json;

use crate::common::{Setting, billed, task};

/// Where the recorded data are, beside the repository.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/recorded");

const EXAMPLE: &str = "\
input,vcpu,memory_mb,duration_ms,outcome
small,1,1024,10,ok
small,1,1024,30,ok
large,1,1024,100,ok
large,1,1024,50,failed
large,1,512,50,failed
";

fn recorded(table: RecordedTable, input: RecordedInput) -> TaskModel {
    let work = Work::Recorded(Recorded { table: Arc::new(table), input });
    TaskModel { work, init_us: 100_000, output: None }
}

/// The text of a recorded file, or nothing and a word about it.
fn text(name: &str) -> Option<String> {
    let path = Path::new(DIRECTORY).join(name);
    let text = fs::read_to_string(&path);
    if text.is_err() {
        // Past the test harness's capture.
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "\nSKIPPED: {} cannot be read\n", path.display());
    }
    text.ok()
}

#[test]
fn executions_are_the_rows_of_their_cell() {
    let table = RecordedTable::parse(EXAMPLE).unwrap();
    let setting = Setting::new(&[("a", recorded(table, RecordedInput::At("/size".into())))], &[]);
    let inputs: Vec<Data> = ["small", "large", "huge"]
        .iter()
        .flat_map(|size| vec![Data::from(json!({"size": size})); 400])
        .collect();
    let executions = setting.simulator().run(&setting.unfused(), Load::Sequence, &inputs, 0);
    let count = |range: std::ops::Range<usize>, duration_us, outcome| {
        let like = |(duration_us, outcome)| {
            executions[range.clone()]
                .iter()
                .filter(|e| (billed(e, "a").duration_us, e.outcome) == (duration_us, outcome))
                .count()
        };
        like((duration_us, outcome))
    };
    let (fast, slow) = (count(0..400, 10_000, Outcome::Ok), count(0..400, 30_000, Outcome::Ok));
    assert!(fast + slow == 400 && fast.abs_diff(200) < 40, "{fast} {slow}");
    let ok = count(400..800, 100_000, Outcome::Ok);
    let failed = count(400..800, 50_000, Outcome::OutOfMemory);
    assert!(ok + failed == 400 && ok.abs_diff(200) < 40, "{ok} {failed}");
    // A failure kills the instance.
    assert_eq!(executions.iter().filter(|e| e.is_cold()).count(), 1 + failed);
    assert_eq!(count(800..1_200, 0, Outcome::Error), 400, "nothing huge was recorded");
}

#[test]
fn a_recorded_task_inside_another_runs_with_its_functions_resources() {
    let table = || RecordedTable::parse(EXAMPLE).unwrap();
    let input = RecordedInput::Named("large".into());
    let setting = Setting::new(&[("a", task(20)), ("b", recorded(table(), input))], &["a>b"]);
    let small = Resources { vcpu: MilliVcpu(1_000), memory: MemoryMb(512) };
    let fused = setting.deployment("(a,b)").with_resources(&"a".into(), small);
    for execution in setting.sequence(&fused, 3) {
        assert_eq!(billed(&execution, "a").duration_us, 20_000 + 300 + 50_000);
        assert_eq!((execution.outcome, execution.is_cold()), (Outcome::OutOfMemory, true));
    }
    let unknown = recorded(table(), RecordedInput::Named("huge".into()));
    let setting =
        Setting { models: [("a".into(), unknown)].into(), ..Setting::new(&[("a", task(1))], &[]) };
    let error =
        optimizer::simulator::Simulator::new(setting.workflow, setting.models, setting.parameters);
    let SimulatorError::Model { source, .. } = error.unwrap_err() else { panic!("not the model") };
    let expect = "no execution with the input `huge` was recorded; there are large, small";
    assert_eq!(source.to_string(), expect);
}

#[test]
fn published_data_are_read_and_the_mean_of_a_cell_comes_back() {
    for (file, input, milli_vcpu, memory_mb) in [
        ("pigo-face-detector.csv", "faces2", 500, 1_024),
        ("pigo-faceblur.csv", "faces", 750, 768),
        ("s3.csv", "cats-1", 250, 426),
    ] {
        let Some(text) = text(file) else { return };
        let rows = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let numbers: Option<Vec<f64>> = fields[1..4].iter().map(|f| f.parse().ok()).collect();
            let [vcpu, memory, duration_ms] = numbers?[..] else { return None };
            let here = (vcpu * 1e3) as u32 == milli_vcpu && memory as u32 == memory_mb;
            (here && fields[0] == input).then_some(duration_ms)
        });
        let rows: Vec<f64> = rows.collect();
        let mean_ms = rows.iter().sum::<f64>() / rows.len() as f64;
        assert!(rows.len() >= 10, "{file}: {} rows", rows.len());

        let table = RecordedTable::parse(&text).unwrap();
        assert!(table.configurations(input).count() > 10);
        let model = recorded(table, RecordedInput::Named(input.into()));
        let setting = Setting::new(&[("a", model)], &[]);
        let resources = Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(memory_mb) };
        let deployment = setting.unfused().with_resources(&"a".into(), resources);
        let executions = setting.sequence(&deployment, 4_000);
        let total_us: u64 = executions.iter().map(|e| billed(e, "a").duration_us).sum();
        let simulated_ms = total_us as f64 / 4_000.0 / 1e3;
        assert!((simulated_ms / mean_ms - 1.0).abs() < 0.01, "{file}: {simulated_ms} {mean_ms}");
    }
}
