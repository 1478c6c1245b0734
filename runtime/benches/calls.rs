//! What the supervisor costs: a fused call against the same SDK call to an endpoint that answers at
//! once, an invocation through the supervisor against one without it, its start and its memory.
//!
//! `cargo bench` prints Criterion's estimates, and then the medians that the targets are about, taken
//! in turns. Call times are the probe's own, taken around the SDK call.

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use uuid::Uuid;

use support::fake::Fake;
use support::{Bundle, Function, event_headers, function_environment, probe};

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
/// both alike, and prints both medians, the supervisor's share (the median over all turns of the
/// difference between the turn's medians, with the middle 80 % of the turns) and the processor time
/// that the supervisor itself took.
async fn in_turns<'f, Times: Future<Output = Vec<u64>>>(
    name: &str,
    pair: &'f Pair,
    time: impl Fn(&'f Fake, u64) -> Times,
) {
    let (mut all, mut shares) = ([Vec::new(), Vec::new()], Vec::new());
    let mut cpu_us = 0;
    for turn in 0..=TURNS {
        let mut medians = [0, 0];
        let before_us = pair.supervisor_cpu_us();
        for (arm, fake) in pair.fakes().into_iter().enumerate() {
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
            cpu_us += pair.supervisor_cpu_us() - before_us;
        }
    }
    let [with, without] = &mut all;
    writeln!(
        std::io::stdout().lock(),
        "{name}: p50 {} us, p99 {} us; without the supervisor p50 {} us, p99 {} us; its share {} us \
         (80 % of {TURNS} turns: {} to {} us), of which its own processor time {} us",
        at(with, 50),
        at(with, 99),
        at(without, 50),
        at(without, 99),
        at(&mut shares, 50),
        at(&mut shares, 10),
        at(&mut shares, 90),
        cpu_us / (TURNS as u64 * TURN_LENGTH),
    )
    .expect("standard output is open");
}

/// A function with two fused tasks, and the same root without a supervisor.
struct Pair {
    fused: Function,
    bare: Bare,
}

impl Pair {
    async fn start() -> Self {
        Self { fused: Bundle::of(&["a", "b"]).start().await, bare: Bare::start().await }
    }

    fn fakes(&self) -> [&Fake; 2] {
        [&self.fused.fake, &self.bare.fake]
    }

    /// Processor time that the supervisor has taken, in microseconds.
    fn supervisor_cpu_us(&self) -> u64 {
        let id = self.fused.process.id().expect("the supervisor runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/schedstat"));
        // Nanoseconds that it has run come first.
        let run_ns = stat.ok().and_then(|stat| stat.split(' ').next()?.parse::<u64>().ok());
        run_ns.expect("the kernel keeps count") / 1000
    }
}

/// Starts of each kind.
const STARTS: usize = 30;

/// Starts functions with and without the supervisor in turns, up to the first answer, and prints what
/// the supervisor adds and how much memory it takes.
async fn starts() {
    let event = json!({});
    let (mut added, mut resident_kb) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let before = Instant::now();
        let bare = Bare::start().await;
        invoke(&bare.fake, &event).await;
        let without = before.elapsed();
        let before = Instant::now();
        let supervised = Bundle::of(&["a"]).start().await;
        invoke(&supervised.fake, &event).await;
        added.push(before.elapsed().as_micros() as i64 - without.as_micros() as i64);
        resident_kb.push(resident_memory_kb(supervised.process.id()));
    }
    writeln!(
        std::io::stdout().lock(),
        "start: the supervisor adds {} us up to the first answer (80 % of {STARTS} starts: {} to {} \
         us), and takes {} KB of resident memory",
        at(&mut added, 50),
        at(&mut added, 10),
        at(&mut added, 90),
        at(&mut resident_kb, 50),
    )
    .expect("standard output is open");
}

fn resident_memory_kb(process: Option<u32>) -> i64 {
    let id = process.expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the kernel says");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of KB")
}

/// Measures where the instance has the processors it was given, in Criterion's way and in turns.
fn measure(placement: &str, criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pair = runtime.block_on(Pair::start());
    let [fused, bare] = pair.fakes();
    let total = |times: Vec<u64>| Duration::from_micros(times.iter().sum());
    for (name, fake) in [("fused", fused), ("floor", bare)] {
        criterion.bench_function(&format!("call/{placement}/{name}"), |bencher| {
            bencher.iter_custom(|rounds| total(runtime.block_on(time_calls(fake, rounds))));
        });
    }
    for (name, fake) in [("supervised", fused), ("bare", bare)] {
        criterion.bench_function(&format!("invocation/{placement}/{name}"), |bencher| {
            bencher.iter_custom(|rounds| total(runtime.block_on(time_invocations(fake, rounds))));
        });
    }
    runtime.block_on(in_turns(&format!("call, {placement}"), &pair, time_calls));
    runtime.block_on(in_turns(&format!("invocation, {placement}"), &pair, time_invocations));
    drop(pair);
    runtime.block_on(starts());
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    // What a function of up to 1,769 MB has. With more, every message between processes also wakes
    // a processor that sleeps, and what that takes depends on the machine, not on the supervisor.
    let all = sched_getaffinity(None).expect("the kernel says where this may run");
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).rfind(|cpu| all.is_set(*cpu)).expect("it runs somewhere"));
    for (placement, processors) in [("one processor", &one), ("all processors", &all)] {
        // What is started from here on inherits it.
        sched_setaffinity(None, processors).expect("its own processors may be chosen from");
        measure(placement, &mut criterion);
    }
    criterion.final_summary();
}
