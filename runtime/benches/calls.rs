//! What the supervisor costs: a fused call against the same SDK call to an endpoint that answers at
//! once, and an invocation through the supervisor against one without it.
//!
//! `cargo bench -p runtime` prints Criterion's estimates and then the medians that the targets are
//! about. Call times are the probe's own, taken around the SDK call.

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use uuid::Uuid;

use support::fake::Fake;
use support::{Bundle, event_headers, function_environment, probe};

/// Calls or invocations made before any is counted.
const WARM_UP: usize = 200;

/// A probe without a supervisor, whose calls go to a platform that answers at once.
struct Bare {
    fake: Fake,
    _process: Child,
}

impl Bare {
    async fn start() -> Self {
        // As large as a probe's own answer, so that only the way there differs.
        let fake = Fake::start(&json!({ "padding": "x".repeat(1200) })).await;
        let mut command = Command::new(probe());
        function_environment(&mut command, &fake);
        let process =
            command.env("_HANDLER", "h").kill_on_drop(true).spawn().expect("the probe starts");
        Self { fake, _process: process }
    }
}

/// An event that makes `rounds` calls with 1 KB there and 1 KB back.
fn calls(rounds: u64) -> Value {
    let payload = json!({ "environment": ["X".repeat(1000)], "pad_bytes": 1000 });
    json!({ "calls": [{ "function": "b", "payload": payload, "rounds": rounds }] })
}

/// Invokes once, and returns the answer and how long it took.
async fn invoke(fake: &Fake, event: &Value) -> (Value, Duration) {
    let headers = event_headers(&Uuid::new_v4().to_string());
    let payload = event.to_string().into();
    let started = Instant::now();
    let posted = fake.invoke(headers, payload).await;
    let took = started.elapsed();
    (serde_json::from_slice(&posted.body).expect("the probe answers in JSON"), took)
}

/// Times of many of one thing, in microseconds.
#[derive(Default)]
struct Times(RefCell<Vec<u64>>);

impl Times {
    /// Benchmarks calls made by one invocation per sample.
    fn of_calls(&self, bencher: &mut Bencher<'_>, runtime: &Runtime, fake: &Fake) {
        bencher.iter_custom(|rounds| {
            let (answer, _) = runtime.block_on(invoke(fake, &calls(rounds)));
            let times = answer["call_us"].as_array().expect("the probe times its calls");
            let times = times.iter().filter_map(Value::as_u64);
            self.add(times)
        });
    }

    /// Benchmarks invocations of a function that does nothing.
    fn of_invocations(&self, bencher: &mut Bencher<'_>, runtime: &Runtime, fake: &Fake) {
        bencher.iter_custom(|rounds| {
            let event = json!({});
            let times = (0..rounds).map(|_| {
                let (_, took) = runtime.block_on(invoke(fake, &event));
                u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
            });
            self.add(times)
        });
    }

    fn add(&self, times: impl Iterator<Item = u64>) -> Duration {
        let mut all = self.0.borrow_mut();
        let before = all.len();
        all.extend(times);
        Duration::from_micros(all[before..].iter().sum())
    }

    /// Median and 99th percentile, in microseconds.
    fn quantiles(&self) -> (u64, u64) {
        let mut times = self.0.borrow_mut();
        // What comes first is Criterion's warm-up and the children's.
        let counted = WARM_UP.min(times.len() / 2);
        let times = &mut times[counted..];
        times.sort_unstable();
        let at =
            |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        (at(50), at(99))
    }
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fused = runtime.block_on(Bundle::of(&["a", "b"]).start());
    let bare = runtime.block_on(Bare::start());
    let [call, floor, through, without] = [(); 4].map(|()| Times::default());
    let mut criterion = Criterion::default()
        .sample_size(20)
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    criterion.bench_function("call/fused", |b| call.of_calls(b, &runtime, &fused.fake));
    criterion.bench_function("call/floor", |b| floor.of_calls(b, &runtime, &bare.fake));
    criterion.bench_function("invocation/supervised", |b| {
        through.of_invocations(b, &runtime, &fused.fake)
    });
    criterion
        .bench_function("invocation/bare", |b| without.of_invocations(b, &runtime, &bare.fake));
    criterion.final_summary();

    let mut out = std::io::stdout().lock();
    for (name, with, without) in [("call", &call, &floor), ("invocation", &through, &without)] {
        let ((p50, p99), (floor_p50, floor_p99)) = (with.quantiles(), without.quantiles());
        let share = p50.saturating_sub(floor_p50);
        writeln!(
            out,
            "{name}: p50 {p50} us, p99 {p99} us; without the supervisor p50 {floor_p50} us, p99 {floor_p99} us; \
             its share at the median {share} us"
        )
        .expect("standard output is open");
    }
}
