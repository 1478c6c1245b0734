//! Moves on the built-in spaces, as Algorithm 4.2 makes one in every trial: a step down of each dimension
//! from resources in the middle, and the check of the result.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use optimizer::platforms;
use optimizer::space::{Dimension, ResourceSpace};

fn moves(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reduce");
    for name in platforms::space_names() {
        let space = ResourceSpace::named(name).expect("it is built in");
        for dimension in space.dimensions() {
            let half = space.reduce(space.largest(), *dimension, 3).expect("more than four sizes");
            let id = BenchmarkId::new(name, format!("{dimension:?}"));
            group.bench_with_input(id, &half, |bencher, from| {
                bencher.iter(|| space.reduce(black_box(*from), *dimension, 1));
            });
        }
    }
    group.finish();
    let space = ResourceSpace::named("cloud-run").expect("it is built in");
    let largest = space.largest();
    criterion.bench_function("check/cloud-run", |bencher| {
        bencher.iter(|| space.check(black_box(largest)));
    });
    // The worst reduction there is: less than 1 vCPU takes 1024 MB at most.
    let one = space.reduce(largest, Dimension::Vcpu, 4).expect("1 vCPU");
    criterion.bench_function("reduce/cloud-run to less than 1 vCPU", |bencher| {
        bencher.iter(|| space.reduce(black_box(one), Dimension::Vcpu, 1));
    });
    criterion.bench_function("named/lambda", |bencher| bencher.iter(ResourceSpace::lambda));
}

criterion_group!(benches, moves);
criterion_main!(benches);
