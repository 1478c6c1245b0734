//! A task given by executions that were recorded over a grid of vCPU and memory, as CSV:
//!
//! ```text
//! input,vcpu,memory_mb,duration_ms,outcome
//! faces,0.5,512,5332.1,ok
//! faces,0.5,128,8417.8,failed
//! ```
//!
//! **A configuration that was recorded** gives one of its rows, each as likely.
//!
//! **One in between** gives what lies between its neighbours: of the next lower and the next higher vCPU,
//! in each the next lower and the next higher memory that was recorded there. The share that fails is
//! interpolated linearly over the logarithms of vCPU and memory. A time is the same quantile of each
//! neighbour's times, their logarithms interpolated in the same way, so that times which are inverse to
//! the vCPU stay so.
//!
//! **One outside** is never better than what was recorded: below the least vCPU times grow in
//! proportion, less memory than was recorded at that vCPU fails (as out of memory), and more of either
//! than was recorded changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::formula::LONGEST_WORK_US;
use crate::units::{MemoryMb, MilliVcpu, Resources};

/// First line of the text.
const HEADER: &str = "input,vcpu,memory_mb,duration_ms,outcome";

/// Executions of a task with several inputs and resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordedTable {
    inputs: BTreeMap<String, Grid>,
}

/// Why a text is no table.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordedError {
    /// Other columns, or none.
    #[error("the columns are `{HEADER}`, not `{0}`")]
    Header(String),
    /// A line that is no row.
    #[error("{reason}")]
    Row {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There are only the columns' names.
    #[error("there is no row")]
    Empty,
}

impl RecordedError {
    /// The line that is wrong, from 1. Messages do not repeat it.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::Header(_) => 1,
            Self::Row { line, .. } => *line,
            // Where the first row would be.
            Self::Empty => 2,
        }
    }
}

/// The cells recorded with one input, by vCPU and then by memory, both ascending.
type Grid = BTreeMap<MilliVcpu, BTreeMap<MemoryMb, Arc<Cell>>>;

/// The executions recorded with one input and one configuration: times in microseconds, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cell {
    succeeded_us: Vec<u64>,
    failed_us: Vec<u64>,
}

/// What one execution took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) duration_us: u64,
    pub(crate) failed: bool,
}

/// Executions with one input and one configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// Recorded neighbours with their weights, which are above 0 and add up to 1.
    corners: Vec<(f64, Arc<Cell>)>,
    /// Share that fails.
    failing: f64,
    /// Multiplies every time.
    factor: f64,
}

impl Cell {
    fn rows(&self) -> usize {
        self.succeeded_us.len() + self.failed_us.len()
    }

    fn failing(&self) -> f64 {
        self.failed_us.len() as f64 / self.rows() as f64
    }

    /// Times of the rows that ended like this.
    fn times_us(&self, failed: bool) -> &[u64] {
        if failed { &self.failed_us } else { &self.succeeded_us }
    }
}

impl RecordedTable {
    /// Reads a table.
    ///
    /// # Errors
    /// If a line has another form, or there is no row.
    pub fn parse(text: &str) -> Result<Self, RecordedError> {
        let mut lines = text.lines().map(str::trim_end).enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        if header != HEADER {
            return Err(RecordedError::Header(header.to_owned()));
        }
        let mut cells: BTreeMap<String, BTreeMap<MilliVcpu, BTreeMap<MemoryMb, Cell>>> =
            BTreeMap::new();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let row = Row::parse(line)
                .map_err(|reason| RecordedError::Row { line: index + 1, reason })?;
            let grid = match cells.get_mut(row.input) {
                Some(grid) => grid,
                None => cells.entry(row.input.to_owned()).or_default(),
            };
            let cell = grid.entry(row.vcpu).or_default().entry(row.memory).or_default();
            let times_us = if row.failed { &mut cell.failed_us } else { &mut cell.succeeded_us };
            times_us.push(row.duration_us);
        }
        if cells.is_empty() {
            return Err(RecordedError::Empty);
        }
        let sorted = |mut cell: Cell| {
            cell.succeeded_us.sort_unstable();
            cell.failed_us.sort_unstable();
            Arc::new(cell)
        };
        let level = |level: BTreeMap<MemoryMb, Cell>| {
            level.into_iter().map(|(memory, cell)| (memory, sorted(cell))).collect()
        };
        let grid = |grid: BTreeMap<MilliVcpu, BTreeMap<MemoryMb, Cell>>| {
            grid.into_iter().map(|(vcpu, cells)| (vcpu, level(cells))).collect()
        };
        Ok(Self { inputs: cells.into_iter().map(|(input, cells)| (input, grid(cells))).collect() })
    }

    /// The inputs recorded, by name.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.keys().map(String::as_str)
    }

    /// The configurations recorded with an input, by vCPU and memory.
    pub fn configurations(&self, input: &str) -> impl Iterator<Item = Resources> {
        self.inputs.get(input).into_iter().flatten().flat_map(|(vcpu, level)| {
            level.keys().map(|memory| Resources { vcpu: *vcpu, memory: *memory })
        })
    }

    /// Executions with an input and a configuration; none if the input was not recorded.
    pub(crate) fn sampler(&self, input: &str, resources: Resources) -> Option<Sampler> {
        let grid = self.inputs.get(input)?;
        let Resources { vcpu, memory } = resources;
        let levels = neighbours(grid, vcpu);
        let least = levels[0].1.0;
        let factor = (f64::from(least.0) / f64::from(vcpu.0.max(1))).max(1.0);
        let mut corners = Vec::new();
        let mut too_small = false;
        for (level_weight, (_, level)) in levels {
            too_small |= level.keys().next().is_some_and(|smallest| memory < *smallest);
            for (weight, (_, cell)) in neighbours(level, memory) {
                corners.push((level_weight * weight, Arc::clone(cell)));
            }
        }
        let shares = corners.iter().map(|(weight, cell)| weight * cell.failing());
        let failing = if too_small { 1.0 } else { shares.sum() };
        Some(Sampler { corners, failing, factor })
    }
}

/// A position on one axis.
trait Position: Copy + Ord {
    fn logarithm(self) -> f64;
}

impl Position for MilliVcpu {
    fn logarithm(self) -> f64 {
        f64::from(self.0.max(1)).ln()
    }
}

impl Position for MemoryMb {
    fn logarithm(self) -> f64 {
        f64::from(self.0.max(1)).ln()
    }
}

/// What is recorded at `at`, else its neighbours on both sides with their weights, else the only one.
/// A map that is recorded is never empty, so there is at least one.
fn neighbours<K: Position, V>(recorded: &BTreeMap<K, V>, at: K) -> Vec<(f64, (K, &V))> {
    let below = recorded.range(..=at).next_back();
    let above = recorded.range(at..).next();
    match (below, above) {
        (Some((low, one)), Some((high, other))) if low < high => {
            let share = (at.logarithm() - low.logarithm()) / (high.logarithm() - low.logarithm());
            vec![(1.0 - share, (*low, one)), (share, (*high, other))]
        }
        (one, other) => {
            one.or(other).into_iter().map(|(key, value)| (1.0, (*key, value))).collect()
        }
    }
}

impl Sampler {
    /// The execution at this quantile, from (0, 1], of all: first those that succeed, by time, then
    /// those that fail.
    pub(crate) fn draw(&self, quantile: f64) -> Drawn {
        let succeeding = 1.0 - self.failing;
        let failed = quantile > succeeding;
        let within =
            if failed { (quantile - succeeding) / self.failing } else { quantile / succeeding };
        // Where none ended like this, such as with less memory than was recorded, the others' times
        // are the best guess.
        let logarithm = self.logarithm(failed, within).or_else(|| self.logarithm(!failed, within));
        let duration_us = match self.corners.as_slice() {
            // Exactly, without rounding.
            [(_, cell)] if !cell.times_us(failed).is_empty() && self.factor == 1.0 => {
                at_quantile(cell.times_us(failed), within)
            }
            _ => (logarithm.unwrap_or(0.0).exp() * self.factor).min(LONGEST_WORK_US).round() as u64,
        };
        Drawn { duration_us, failed }
    }

    /// Mean over the neighbours of the logarithm of the time at this quantile of the rows that ended
    /// like this; none without such rows.
    fn logarithm(&self, failed: bool, quantile: f64) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (weight, cell) in &self.corners {
            let times_us = cell.times_us(failed);
            if !times_us.is_empty() {
                sum += weight * (at_quantile(times_us, quantile).max(1) as f64).ln();
                weights += weight;
            }
        }
        (weights > 0.0).then(|| sum / weights)
    }
}

/// The element at a quantile from (0, 1], each as likely.
fn at_quantile(ascending: &[u64], quantile: f64) -> u64 {
    let rank = (quantile * ascending.len() as f64).ceil() as usize;
    ascending[rank.clamp(1, ascending.len()) - 1]
}

struct Row<'a> {
    input: &'a str,
    vcpu: MilliVcpu,
    memory: MemoryMb,
    duration_us: u64,
    failed: bool,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split(',').collect();
        let [input, vcpu, memory, duration, outcome] = fields[..] else {
            return Err(format!("there are {} fields instead of 5", fields.len()));
        };
        let number = |name: &str, text: &str, most: f64| {
            let number = text.parse().ok().filter(|number: &f64| *number >= 0.0 && *number <= most);
            number.ok_or_else(|| format!("{name}: `{text}` is no number from 0 to {most}"))
        };
        let vcpu = MilliVcpu((number("vcpu", vcpu, 1_000.0)? * 1_000.0).round() as u32);
        let memory = MemoryMb(number("memory_mb", memory, 1e7)?.round() as u32);
        if vcpu.0 == 0 || memory.0 == 0 {
            return Err("vcpu and memory_mb are above 0".to_owned());
        }
        let duration_us = number("duration_ms", duration, LONGEST_WORK_US / 1e3)? * 1e3;
        let failed = match outcome {
            "ok" => false,
            "failed" => true,
            other => return Err(format!("outcome: `{other}` is neither `ok` nor `failed`")),
        };
        Ok(Self { input, vcpu, memory, duration_us: duration_us.round() as u64, failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&str]) -> RecordedTable {
        RecordedTable::parse(&format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap()
    }

    fn sampler(table: &RecordedTable, milli_vcpu: u32, memory_mb: u32) -> Sampler {
        let resources = Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(memory_mb) };
        table.sampler("a", resources).unwrap()
    }

    fn ok(duration_us: u64) -> Drawn {
        Drawn { duration_us, failed: false }
    }

    #[test]
    fn a_recorded_cell_gives_its_rows_each_as_likely() {
        let table = table(&["a,1,128,2.5,ok", "a,1,128,1,ok", "a,1,128,9,failed", "a,1,128,4,ok"]);
        let sampler = sampler(&table, 1_000, 128);
        let drawn: Vec<Drawn> =
            [0.1, 0.25, 0.3, 0.5, 0.75, 0.76, 1.0].iter().map(|at| sampler.draw(*at)).collect();
        let failed = Drawn { duration_us: 9_000, failed: true };
        assert_eq!(drawn, [ok(1_000), ok(1_000), ok(2_500), ok(2_500), ok(4_000), failed, failed]);
    }

    #[test]
    fn cells_in_between_keep_power_laws() {
        // 40 ms ÷ vCPU, at 256 MB half of that.
        let table = table(&[
            "a,0.5,128,80,ok",
            "a,2,128,20,ok",
            "a,0.5,512,20,ok",
            "a,2,512,5,ok",
            "b,1,1024,1,ok",
        ]);
        for (milli_vcpu, memory_mb, expect_us) in
            [(500, 128, 80_000), (1_000, 128, 40_000), (500, 256, 40_000), (1_000, 256, 20_000)]
        {
            let drawn = sampler(&table, milli_vcpu, memory_mb).draw(0.5);
            assert_eq!(drawn, ok(expect_us), "{milli_vcpu} {memory_mb}");
        }
        assert_eq!(table.inputs().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(table.configurations("a").count(), 4);
        let resources = Resources { vcpu: MilliVcpu(1_000), memory: MemoryMb(128) };
        assert_eq!(table.sampler("c", resources), None);
    }

    #[test]
    fn failing_shares_are_interpolated() {
        let table = table(&["a,1,128,8,failed", "a,1,512,2,ok"]);
        let between = sampler(&table, 1_000, 256);
        assert_eq!(between.draw(0.5), ok(2_000));
        assert_eq!(between.draw(0.51), Drawn { duration_us: 8_000, failed: true });
    }

    #[test]
    fn nothing_outside_is_better_than_what_was_recorded() {
        let table = table(&["a,0.5,256,10,ok", "a,1,128,6,ok", "a,1,256,5,ok"]);
        for (milli_vcpu, memory_mb, expect) in [
            (250, 256, ok(20_000)),
            (4_000, 256, ok(5_000)),
            (1_000, 4_096, ok(5_000)),
            (1_000, 64, Drawn { duration_us: 6_000, failed: true }),
            // Recorded at 1 vCPU, not at 0.5: 10^0.5146 · 6^0.4854.
            (700, 128, Drawn { duration_us: 7_804, failed: true }),
        ] {
            let drawn = sampler(&table, milli_vcpu, memory_mb).draw(0.4);
            assert_eq!(drawn, expect, "{milli_vcpu} {memory_mb}");
        }
    }

    #[test]
    fn wrong_lines_are_named() {
        let error = |text: &str| {
            let error = RecordedTable::parse(text).unwrap_err();
            format!("{}: {error}", error.line())
        };
        assert_eq!(error(""), format!("1: the columns are `{HEADER}`, not ``"));
        assert_eq!(error(HEADER), "2: there is no row");
        let row = |row: &str| error(&format!("{HEADER}\r\na,1,128,1,ok\r\n\r\n{row}\r\n"));
        for (wrong, expect) in [
            ("a,1,128,1", "4: there are 4 fields instead of 5"),
            ("a,x,128,1,ok", "4: vcpu: `x` is no number from 0 to 1000"),
            ("a,1,128,-1,ok", "4: duration_ms: `-1` is no number from 0 to 1000000000"),
            ("a,0,128,1,ok", "4: vcpu and memory_mb are above 0"),
            ("a,1,128,1,OK", "4: outcome: `OK` is neither `ok` nor `failed`"),
            ("a,1,NaN,1,ok", "4: memory_mb: `NaN` is no number from 0 to 10000000"),
        ] {
            assert_eq!(row(wrong), expect);
        }
    }
}
