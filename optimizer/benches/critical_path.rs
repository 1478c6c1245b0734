//! Critical path and detours of large flows: how they grow with the number of steps.
//!
//! `layers` are layers of 20 steps, each after three of the layer before. `comb` is the critical chain,
//! a second one beside it, and a step that goes off from every link of that: all these detours have
//! the second chain up to there in common, so that following each from its start would take
//! quadratic time.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use indexmap::IndexMap;
use optimizer::critical_path::{Schedule, detours};
use optimizer::flow::steps::Step;
use optimizer::flow::{Flow, StepGraph, graph};

/// Numbers that look random (Knuth's multiplier).
fn scatter(number: usize) -> usize {
    number.wrapping_mul(2_654_435_761) >> 7
}

fn flow(count: usize, after: impl Fn(usize) -> Vec<usize>) -> Flow {
    let steps: IndexMap<String, Step> = (0..count)
        .map(|number| {
            let step = Step {
                task: format!("t{number}").as_str().into(),
                after: after(number).into_iter().map(|before| format!("s{before}")).collect(),
                map: None,
                when: None,
                retry: Vec::new(),
                catch: Vec::new(),
            };
            (format!("s{number}"), step)
        })
        .collect();
    Flow::Steps(steps.try_into().expect("the edges form no cycle"))
}

fn layers(count: usize) -> Flow {
    flow(count, |number| {
        let layer = number / 20;
        let before = |at: usize| Some((layer.checked_sub(1)?) * 20 + scatter(3 * number + at) % 20);
        (0..3).filter_map(before).collect()
    })
}

fn comb(count: usize) -> Flow {
    let third = count / 3;
    flow(count, |number| match number {
        0 => Vec::new(),
        // The critical chain.
        number if number < third => vec![number - 1],
        // The chain beside it.
        number if number < 2 * third => vec![if number == third { 0 } else { number - 1 }],
        // What goes off from its links.
        number => vec![(number - third).min(2 * third - 1)],
    })
}

/// Times in which, in `comb`, the first chain is the longest path.
fn weights_us(graph: &StepGraph) -> Vec<u64> {
    let count = graph.nodes().len();
    (0..count)
        .map(|number| {
            let base = if number < count / 3 { 2_000_000 } else { 1_000 };
            base + scatter(number) as u64 % 1_000
        })
        .collect()
}

fn benches(criterion: &mut Criterion) {
    for (name, make) in [("layers", layers as fn(usize) -> Flow), ("comb", comb)] {
        let mut group = criterion.benchmark_group(name);
        for count in [100, 1_000, 10_000] {
            let flow = make(count);
            let steps = graph(&flow);
            let weights_us = weights_us(&steps);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new("graph", count), |bencher| {
                bencher.iter(|| graph(black_box(&flow)));
            });
            group.bench_function(BenchmarkId::new("path_and_detours", count), |bencher| {
                bencher.iter(|| {
                    let schedule = Schedule::new(&steps, weights_us.clone());
                    let path = schedule.critical_path(&steps);
                    detours(&steps, &weights_us, black_box(&path))
                });
            });
        }
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
