//! Reads a log and lets ripgrep count the reports in the same file, in turns: what reading every
//! record and report costs beside finding them.
//!
//! ```text
//! cargo run --release --example ripgrep [megabytes]
//! ```
//!
//! ripgrep must be installed (`apt install ripgrep`). Processor time is what counts on a machine that
//! is busy with other things; it is known to a hundredth of a second.

#![expect(clippy::print_stdout, reason = "it is a program to look at")]

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wire::log::{Entry, entries, split};

use self::lines::{Format, Lines};

#[path = "../benches/logs/lines.rs"]
mod lines;

const ROUNDS: u32 = 5;
const PAGE_BYTES: usize = 1 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes = std::env::args().nth(1).map_or(Ok(256), |argument| argument.parse())?;
    let file = std::env::temp_dir().join(format!("fuseline-logs-{}", std::process::id()));
    for (name, format) in [("text", Format::Text), ("JSON", Format::Json)] {
        let mut lines = Lines::new(1);
        while lines.text.len() < megabytes << 20 {
            lines.invocation(format);
        }
        std::fs::write(&file, &lines.text)?;
        let bytes = lines.text.len();
        drop(lines);
        let compared = compare(name, &file, bytes);
        std::fs::remove_file(&file)?;
        compared?;
    }
    Ok(())
}

fn compare(name: &str, file: &Path, bytes: usize) -> Result<(), Box<dyn std::error::Error>> {
    let (mut ours, mut ripgrep) = (Times::default(), Times::default());
    let mut found = Found::default();
    let mut counted = String::new();
    for _ in 0..ROUNDS {
        ripgrep.measure(|| {
            let word = if name == "text" { "REPORT" } else { "platform.report" };
            let output = Command::new("rg").args(["-c", word]).arg(file).output()?;
            counted = String::from_utf8(output.stdout)?;
            Ok(())
        })?;
        ours.measure(|| {
            found = read(file)?;
            Ok(())
        })?;
    }
    println!("{} MB of {name} logs, {ROUNDS} times in turns", bytes >> 20);
    println!("  rg -c     {}, {} lines with a report", ripgrep.line(bytes), counted.trim());
    let Found { reports, records } = found;
    println!("  fuseline  {}, {reports} reports and {records} records read", ours.line(bytes));
    Ok(())
}

#[derive(Default)]
struct Found {
    reports: usize,
    records: usize,
}

fn read(file: &Path) -> std::io::Result<Found> {
    let mut file = File::open(file)?;
    let mut found = Found::default();
    let mut page = vec![0; PAGE_BYTES];
    let mut filled = 0;
    loop {
        let length = file.read(&mut page[filled..])?;
        if length == 0 {
            return Ok(found);
        }
        filled += length;
        let (lines, rest) = split(&page[..filled]);
        for entry in entries(lines) {
            match entry {
                Entry::Report(_) => found.reports += 1,
                Entry::Call(_) | Entry::Invocation(_) => found.records += 1,
                Entry::InitReport(_) | Entry::Killed(_) => {}
            }
        }
        let (from, left) = (lines.len(), rest.len());
        page.copy_within(from..from + left, 0);
        filled = left;
    }
}

#[derive(Default)]
struct Times {
    wall: Vec<Duration>,
    processor: Duration,
}

impl Times {
    fn measure(
        &mut self,
        what: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let (started, before) = (Instant::now(), processor_time()?);
        what()?;
        self.wall.push(started.elapsed());
        self.processor += processor_time()? - before;
        Ok(())
    }

    fn line(&self, bytes: usize) -> String {
        let speed = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        let best = self.wall.iter().min().copied().unwrap_or_default();
        let mean = self.processor / ROUNDS;
        format!(
            "{:5.0} MB/s by processor time ({:.0} ms), {:5.0} MB/s by the clock at best ({:.0} ms)",
            speed(mean),
            mean.as_secs_f64() * 1e3,
            speed(best),
            best.as_secs_f64() * 1e3,
        )
    }
}

/// Processor time of this process and of those that it has waited for, in user and kernel mode.
fn processor_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no such process")?;
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(10 * ticks))
}
