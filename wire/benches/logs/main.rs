//! How many bytes of logs are read per second on one processor: the lines of whole invocations in
//! both of Lambda's formats, and each kind of line on its own.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::log::entries;

use self::lines::{Format, Lines};

mod lines;

/// Long enough that no cache holds it.
const PAGE_BYTES: usize = 32 << 20;

fn page(mut write: impl FnMut(&mut Lines)) -> String {
    let mut lines = Lines::new(1);
    while lines.text.len() < PAGE_BYTES {
        write(&mut lines);
    }
    lines.text
}

fn logs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("logs");
    group.sample_size(10);
    let mut measure = |name: &str, page: String| {
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| entries(page.as_bytes()).map(black_box).count());
        });
    };
    measure("invocations", page(|lines| lines.invocation(Format::Text)));
    measure("invocations_json", page(|lines| lines.invocation(Format::Json)));
    let id = Lines::new(0).id();
    measure("reports", page(|lines| lines.report(&id, Format::Text)));
    measure("reports_json", page(|lines| lines.report(&id, Format::Json)));
    measure("calls", page(|lines| lines.call(&id)));
    measure("application", page(|lines| lines.application(&id)));
}

criterion_group!(benches, logs);
criterion_main!(benches);
