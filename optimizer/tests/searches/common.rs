//! Simulated workflows and a driver of searches, for the integration tests.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::flow::Data;
use optimizer::measurement;
use optimizer::performance_model::{Models, PerformanceModel, TaskModel, Work};
use optimizer::price::PriceBook;
use optimizer::search::{Decision, Recommendation, Search, Step, Verdict};
use optimizer::simulator::{Load, Overhead, Simulator, SimulatorError, SimulatorParameters};
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{Call, CallKind, Slo, Task, TaskName, Workflow};
use proptest::test_runner::{Config as ProptestConfig, RngSeed};

/// A workflow to simulate. Tasks are `t0`, `t1`, … and `t0` is the entry.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) tasks: Vec<CaseTask>,
    /// Caller, callee, whether it waits, and how often.
    pub(crate) calls: Vec<(usize, usize, CallKind, u32)>,
    pub(crate) overhead: Overhead,
    /// By how much CPU times vary, as if to either side evenly distributed, in thousandths.
    pub(crate) jitter_permille: u32,
    pub(crate) slo: Slo,
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct CaseTask {
    pub(crate) cpu_us: u64,
    pub(crate) needed_mb: u32,
    pub(crate) memory_mb: u32,
}

impl Case {
    /// Equal tasks of 20 ms CPU time and 512 MB, without any noise.
    pub(crate) fn even(count: usize, calls: Vec<(usize, usize, CallKind, u32)>) -> Self {
        Self {
            tasks: vec![CaseTask { cpu_us: 20_000, needed_mb: 30, memory_mb: 512 }; count],
            calls,
            overhead: Overhead { median_us: 15_000, p95_us: 15_000 },
            jitter_permille: 0,
            slo: Slo { latency_us: 100_000_000, percentile: 95 },
            seed: 1,
        }
    }

    pub(crate) fn workflow(&self) -> Workflow {
        let space = ResourceSpace::lambda();
        let tasks: IndexMap<TaskName, Task> = (0..self.tasks.len())
            .map(|index| {
                let memory = MemoryMb(self.tasks[index].memory_mb);
                (name(index), Task { resources: space.resources_for_memory(memory) })
            })
            .collect();
        let calls: Vec<Call> = self
            .calls
            .iter()
            .map(|(caller, callee, kind, _)| Call {
                caller: name(*caller),
                callee: name(*callee),
                kind: *kind,
            })
            .collect();
        Workflow::new("case".to_owned(), name(0), self.slo, tasks, &calls).unwrap()
    }

    pub(crate) fn simulator(&self) -> Simulator {
        self.try_simulator().unwrap()
    }

    pub(crate) fn try_simulator(&self) -> Result<Simulator, SimulatorError> {
        Simulator::new(self.workflow(), self.models(), self.parameters())
    }

    pub(crate) fn models(&self) -> Models {
        // The standard deviation of an even distribution.
        let noise = f64::from(self.jitter_permille) / 1_000.0 / 3_f64.sqrt();
        let model = |task: &CaseTask| TaskModel {
            work: Work::Formula(PerformanceModel {
                noise,
                ..PerformanceModel::cpu(task.cpu_us, MemoryMb(task.needed_mb))
            }),
            init_us: 80_000,
            output: None,
        };
        self.tasks.iter().enumerate().map(|(at, task)| (name(at), model(task))).collect()
    }

    pub(crate) fn parameters(&self) -> SimulatorParameters {
        let mut times: BTreeMap<TaskName, BTreeMap<TaskName, u32>> = BTreeMap::new();
        for (caller, callee, _, count) in &self.calls {
            times.entry(name(*caller)).or_default().insert(name(*callee), *count);
        }
        SimulatorParameters {
            times,
            overhead: self.overhead,
            client_overhead: Overhead { median_us: 0, p95_us: 0 },
            ..SimulatorParameters::new(PriceBook::lambda_x86(), self.seed)
        }
    }

    /// One cold execution of a deployment and `warm` more.
    pub(crate) fn run(&self, deployment: &Deployment, warm: usize, stream: u64) -> Vec<Execution> {
        let inputs = vec![Data::Null; warm + 1];
        self.simulator().run(deployment, Load::Sequence, &inputs, stream)
    }
}

pub(crate) fn name(index: usize) -> TaskName {
    TaskName(format!("t{index}"))
}

/// How property tests run. A failing case is printed, to be made a test of its own, not written to
/// a file.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The same, with the same cases every time: for bounds that hold of what was tried, not of all there
/// could be.
pub(crate) fn same_cases(count: u32) -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(1), ..cases(count) }
}

/// What a search went through.
pub(crate) struct Course {
    pub(crate) trials: Vec<(String, Verdict)>,
    pub(crate) recommendation: Recommendation,
}

impl Course {
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.trials.iter().map(|(_, verdict)| verdict.decision).collect()
    }
}

/// Runs a search to its end against a simulator, in a new process after every step if `resumed`.
pub(crate) fn drive<S: Search>(mut search: S, simulator: &Simulator, resumed: Resumed) -> Course {
    let mut trials = Vec::new();
    for round in 0..1_000 {
        if resumed == Resumed::Yes {
            let text = serde_json::to_string(&search).unwrap();
            search = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&search).unwrap(), text);
        }
        assert_eq!(search.next(), search.next(), "the same answer until it observes");
        match search.next() {
            Step::Try(trial) => {
                let verdict = search.observe(&simulator.measure(&trial, round));
                trials.push((trial.deployment.to_string(), verdict));
            }
            Step::Done(recommendation) => {
                return Course { trials, recommendation };
            }
        }
    }
    panic!("the search does not end");
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Resumed {
    Yes,
    No,
}

/// Cost of ten executions of a deployment and whether they keep the SLO.
pub(crate) fn judge(case: &Case, deployment: &Deployment) -> (u64, bool) {
    let executions = case.run(deployment, 10, 9_999);
    let cost = measurement::warm(&executions).map(|execution| execution.cost().0).sum();
    (cost, measurement::keeps_slo(&executions, case.slo))
}
