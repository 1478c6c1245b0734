//! What AARC itself takes, from the base configuration to the recommendation: executions are recorded
//! once and replayed, so that making them does not count.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use optimizer::aarc::{AarcParameters, AarcSearch};
use optimizer::deployment::Deployment;
use optimizer::search::{Outcome, Search, Step};
use orchestrated::{Needs, Steps};

#[path = "../tests/searches/orchestrated.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod orchestrated;

/// Functions in layers of three, each after those of the layer before.
fn steps(count: usize) -> Steps {
    let tasks = (0..count as u64).map(|task| Needs {
        waiting_us: 100_000 * (task % 3),
        serial_us: 1_000_000 + 700_000 * (task % 5),
        parallel_us: 5_000_000 * (task % 4),
        floor_mb: 200 + 150 * (task as u32 % 7),
    });
    let after: Vec<Vec<usize>> = (0..count)
        .map(|step| match step / 3 {
            0 => Vec::new(),
            layer => ((layer - 1) * 3..layer * 3).collect(),
        })
        .collect();
    let after: Vec<&[usize]> = after.iter().map(Vec::as_slice).collect();
    Steps::new(tasks.collect(), &after).with_slo_percent(200)
}

/// What every trial of the search shows.
fn record(mut search: AarcSearch, steps: &Steps) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while let Step::Try(trial) = search.next() {
        let outcome = steps.measure(&trial, outcomes.len() as u64);
        search.observe(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aarc");
    for count in [10, 100] {
        let steps = steps(count);
        let workflow = steps.workflow();
        let start = Deployment::unfused(&workflow);
        let parameters = AarcParameters { max_trials: 10_000, ..AarcParameters::default() };
        let search = AarcSearch::new(&workflow, start, steps.space.clone(), parameters)
            .expect("the largest configuration is legal");
        let outcomes = record(search.clone(), &steps);
        let id = BenchmarkId::new(format!("{}_trials", outcomes.len()), count);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let mut search = search.clone();
                for outcome in &outcomes {
                    black_box(search.next());
                    search.observe(outcome);
                }
                search.next()
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
