//! What the supervisor costs: a fused call against the same SDK call to an endpoint that answers at
//! once, and an invocation through the supervisor against one without it.
//!
//! `cargo bench` prints Criterion's estimates, and then the medians that the targets are about, taken
//! in turns. Call times are the probe's own, taken around the SDK call.

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use uuid::Uuid;

use support::fake::Fake;
use support::{Bundle, event_headers, function_environment, probe};

/// Turns of the paired measurement, and calls or invocations in each.
const TURNS: usize = 40;
const TURN_LENGTH: u64 = 100;

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

/// Times of `rounds` fused or bare calls, made by one invocation, in microseconds.
async fn time_calls(fake: &Fake, rounds: u64) -> Vec<u64> {
    let (answer, _) = invoke(fake, &calls(rounds)).await;
    let times = answer["call_us"].as_array().expect("the probe times its calls");
    times.iter().filter_map(Value::as_u64).collect()
}

/// Times of `rounds` invocations of a function that does nothing, in microseconds.
async fn time_invocations(fake: &Fake, rounds: u64) -> Vec<u64> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let (_, took) = invoke(fake, &json!({})).await;
        times.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
    times
}

/// Value at a percentile.
fn at(values: &mut [i64], percent: usize) -> i64 {
    values.sort_unstable();
    values[(values.len() - 1) * percent / 100]
}

/// Measures with and without the supervisor in turns, so that what else the machine does disturbs
/// both alike, and prints both medians and the supervisor's share: the median over all turns of the
/// difference between the turn's medians, with the middle 80 % of the turns.
async fn in_turns<'f, Times: Future<Output = Vec<u64>>>(
    name: &str,
    fakes: [&'f Fake; 2],
    time: impl Fn(&'f Fake, u64) -> Times,
) {
    let (mut all, mut shares) = ([Vec::new(), Vec::new()], Vec::new());
    for turn in 0..=TURNS {
        let mut medians = [0, 0];
        for (arm, fake) in fakes.into_iter().enumerate() {
            let times = time(fake, TURN_LENGTH).await;
            let mut times: Vec<i64> = times.into_iter().map(|us| us as i64).collect();
            medians[arm] = at(&mut times, 50);
            // The first turn warms up.
            if turn > 0 {
                all[arm].extend(times);
            }
        }
        if turn > 0 {
            shares.push(medians[0] - medians[1]);
        }
    }
    let [with, without] = &mut all;
    writeln!(
        std::io::stdout().lock(),
        "{name}: p50 {} us, p99 {} us; without the supervisor p50 {} us, p99 {} us; its share {} us \
         (80 % of {TURNS} turns: {} to {} us)",
        at(with, 50),
        at(with, 99),
        at(without, 50),
        at(without, 99),
        at(&mut shares, 50),
        at(&mut shares, 10),
        at(&mut shares, 90),
    )
    .expect("standard output is open");
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fused = runtime.block_on(Bundle::of(&["a", "b"]).start());
    let bare = runtime.block_on(Bare::start());
    let mut criterion = Criterion::default()
        .sample_size(20)
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let total = |times: Vec<u64>| Duration::from_micros(times.iter().sum());
    for (name, fake) in [("fused", &fused.fake), ("floor", &bare.fake)] {
        criterion.bench_function(&format!("call/{name}"), |bencher| {
            bencher.iter_custom(|rounds| total(runtime.block_on(time_calls(fake, rounds))));
        });
    }
    for (name, fake) in [("supervised", &fused.fake), ("bare", &bare.fake)] {
        criterion.bench_function(&format!("invocation/{name}"), |bencher| {
            bencher.iter_custom(|rounds| total(runtime.block_on(time_invocations(fake, rounds))));
        });
    }
    criterion.final_summary();
    let fakes = [&fused.fake, &bare.fake];
    runtime.block_on(in_turns("call", fakes, time_calls));
    runtime.block_on(in_turns("invocation", fakes, time_invocations));
}
