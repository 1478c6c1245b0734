//! One function's part in Algorithm 3.2: its way down its curve of cost by memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::random::SplitMix64;
use crate::space::ResourceSpace;
use crate::units::{MemoryMb, PicoUsd};

/// A run that the function may need.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Side {
    /// At its present size, which a probe or a restart left unmeasured.
    Here,
    /// One step smaller.
    Left,
    /// One step larger.
    Right,
}

/// What a size was seen to do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Observed {
    /// It worked.
    Cost {
        /// Mean cost of the function in one execution.
        cost: PicoUsd,
        /// Mean time of the function in one execution.
        runtime_us: u64,
    },
    /// It ran out of memory or time, or crashed: infinitely expensive.
    Failed,
}

/// Sizes that a function may have, a step apart.
pub(crate) struct Grid<'a> {
    pub(crate) space: &'a ResourceSpace,
    pub(crate) step_mb: u32,
}

impl Grid<'_> {
    fn left(&self, memory: MemoryMb) -> MemoryMb {
        self.space.memory_at_most(memory.0.saturating_sub(self.step_mb))
    }

    fn right(&self, memory: MemoryMb) -> MemoryMb {
        self.space.memory_at_least(memory.0.saturating_add(self.step_mb))
    }

    /// All sizes, the smallest first.
    fn sizes(&self) -> impl Iterator<Item = MemoryMb> {
        let (smallest, largest) = self.space.memory_range();
        std::iter::successors(Some(smallest), move |memory| {
            let next = self.right(*memory);
            (next.0 - memory.0 >= self.step_mb && next <= largest).then_some(next)
        })
    }
}

/// Where a function is on its way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Phase {
    /// Going to the cheaper neighbour as long as there is one.
    Descending,
    /// Trying whether a size below the local minimum `from` is cheaper than it.
    Probing { from: MemoryMb },
    /// Nothing more is tried.
    Settled,
}

/// The counter of local minima, the memo and the position of one function.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Descent {
    current: MemoryMb,
    phase: Phase,
    /// Local minima met.
    minima: u32,
    /// What each size was seen to do.
    seen: BTreeMap<MemoryMb, Observed>,
}

impl Descent {
    /// A function that has its first size.
    pub(crate) fn new(current: MemoryMb) -> Self {
        Self { current, phase: Phase::Descending, minima: 0, seen: BTreeMap::new() }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.phase == Phase::Settled
    }

    /// Ends its way.
    pub(crate) fn settle(&mut self) {
        self.phase = Phase::Settled;
    }

    /// What each size was seen to do.
    pub(crate) fn seen(&self) -> &BTreeMap<MemoryMb, Observed> {
        &self.seen
    }

    /// Notes what a size did. The first measurement of a size counts, as in the thesis, but a later
    /// failure overrides it.
    pub(crate) fn note(&mut self, memory: MemoryMb, observed: Observed) {
        match observed {
            Observed::Failed => {
                self.seen.insert(memory, observed);
            }
            Observed::Cost { .. } => {
                self.seen.entry(memory).or_insert(observed);
            }
        }
    }

    /// The cheapest size that works, the larger one on a tie, because it is not slower.
    pub(crate) fn cheapest(&self) -> Option<(MemoryMb, PicoUsd, u64)> {
        let working = self.seen.iter().rev().filter_map(|(memory, observed)| match observed {
            Observed::Cost { cost, runtime_us } => Some((*memory, *cost, *runtime_us)),
            Observed::Failed => None,
        });
        working.min_by_key(|(_, cost, _)| *cost)
    }

    /// Size whose cost this run would show it, if it has use for one.
    fn wanted(&self, side: Side, grid: &Grid) -> Option<MemoryMb> {
        match (side, self.phase) {
            (_, Phase::Settled) | (Side::Left | Side::Right, Phase::Probing { .. }) => None,
            (Side::Here, _) => Some(self.current),
            (Side::Left, Phase::Descending) => Some(grid.left(self.current)),
            (Side::Right, Phase::Descending) => Some(grid.right(self.current)),
        }
    }

    /// Whether this run has to be made for it.
    pub(crate) fn needs(&self, side: Side, grid: &Grid) -> bool {
        self.wanted(side, grid).is_some_and(|memory| !self.seen.contains_key(&memory))
    }

    /// Size it has in a run: the wanted one, unless that is known to fail and would only spoil what
    /// the run shows of other functions; else the best it knows.
    pub(crate) fn size_in(&self, side: Side, grid: &Grid) -> MemoryMb {
        let wanted = self.wanted(side, grid);
        wanted
            .filter(|memory| self.seen.get(memory) != Some(&Observed::Failed))
            .unwrap_or_else(|| self.best(grid))
    }

    /// The cheapest size that works. If none is known, one step above those known to fail.
    pub(crate) fn best(&self, grid: &Grid) -> MemoryMb {
        match (self.cheapest(), self.seen.last_key_value()) {
            (Some((memory, ..)), _) => memory,
            (None, Some((failed, _))) => grid.right(*failed),
            (None, None) => self.current,
        }
    }

    /// Moves on, when everything that it needs has been measured.
    pub(crate) fn advance(&mut self, grid: &Grid, threshold: u32, generator: &mut SplitMix64) {
        match self.phase {
            Phase::Settled => {}
            Phase::Probing { from } if self.cost(self.current) < self.cost(from) => {
                self.phase = Phase::Descending;
            }
            Phase::Probing { .. } => self.restart(grid, generator),
            Phase::Descending => self.descend(grid, threshold, generator),
        }
    }

    fn descend(&mut self, grid: &Grid, threshold: u32, generator: &mut SplitMix64) {
        let (left, right) = (grid.left(self.current), grid.right(self.current));
        let (at_left, here, at_right) =
            (self.cost(left), self.cost(self.current), self.cost(right));
        if at_left < here && at_left <= at_right {
            self.current = left;
        } else if at_right < here || (here == u64::MAX && right > self.current) {
            // Where both neighbours fail too, only more memory can help.
            self.current = right;
        } else {
            self.minima += 1;
            if self.minima >= threshold {
                self.phase = Phase::Settled;
                return;
            }
            match self.unexplored(grid).rfind(|memory| *memory < self.current) {
                Some(memory) => {
                    self.phase = Phase::Probing { from: self.current };
                    self.current = memory;
                }
                None => self.restart(grid, generator),
            }
        }
    }

    /// Goes on from a random size not yet measured, if there is one.
    fn restart(&mut self, grid: &Grid, generator: &mut SplitMix64) {
        let sizes: Vec<MemoryMb> = self.unexplored(grid).collect();
        self.phase = if sizes.is_empty() { Phase::Settled } else { Phase::Descending };
        if !sizes.is_empty() {
            self.current = sizes[generator.below(sizes.len())];
        }
    }

    /// Sizes not measured, except those smaller than one that failed: they would fail as well.
    fn unexplored(&self, grid: &Grid) -> impl DoubleEndedIterator<Item = MemoryMb> + use<> {
        let failed = self.seen.iter().rfind(|(_, observed)| **observed == Observed::Failed);
        let above = failed.map_or(MemoryMb(0), |(memory, _)| *memory);
        let sizes = grid.sizes().filter(|m| *m > above && !self.seen.contains_key(m));
        sizes.collect::<Vec<_>>().into_iter()
    }

    fn cost(&self, memory: MemoryMb) -> u64 {
        match self.seen.get(&memory) {
            Some(Observed::Cost { cost, .. }) => cost.0,
            Some(Observed::Failed) | None => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks down a curve of costs at 128, 256, … MB (`None` fails) and returns the sizes measured,
    /// in order, and the best.
    fn walk(curve: &[Option<u64>], start_mb: u32, threshold: u32) -> (Vec<u32>, u32) {
        let largest = MemoryMb(128 * curve.len() as u32);
        let space = ResourceSpace::lambda().with_memory_range(MemoryMb(128), largest, 128).unwrap();
        let grid = Grid { space: &space, step_mb: 128 };
        let mut generator = SplitMix64::new(5, 0);
        let mut descent = Descent::new(MemoryMb(start_mb));
        let mut measured = Vec::new();
        for _ in 0..100 {
            if descent.is_settled() {
                break;
            }
            for side in [Side::Here, Side::Left, Side::Right] {
                if descent.needs(side, &grid) {
                    let memory = descent.size_in(side, &grid);
                    measured.push(memory.0);
                    descent.note(
                        memory,
                        match curve[(memory.0 / 128 - 1) as usize] {
                            Some(cost) => Observed::Cost { cost: PicoUsd(cost), runtime_us: 1 },
                            None => Observed::Failed,
                        },
                    );
                }
            }
            descent.advance(&grid, threshold, &mut generator);
        }
        assert!(descent.is_settled());
        (measured, descent.best(&grid).0)
    }

    #[test]
    fn a_descent_ends_in_the_minimum_of_a_convex_curve() {
        let curve = [9, 7, 4, 3, 5, 6, 7, 8].map(Some);
        for start_mb in [128, 512, 640, 1_024] {
            assert_eq!(walk(&curve, start_mb, 1).1, 512, "from {start_mb} MB");
        }
        assert_eq!(walk(&curve, 640, 1).0, [640, 512, 768, 384]);
    }

    #[test]
    fn a_probe_below_the_first_minimum_finds_the_lower_one() {
        // From 768 MB the descent stops at once; 640 MB is its left neighbour, 512 MB the probe.
        let curve = [9, 8, 7, 3, 6, 5, 7, 8].map(Some);
        let (measured, best) = walk(&curve, 768, 2);
        assert_eq!(measured[..4], [768, 640, 896, 512]);
        assert_eq!(best, 512);
        assert_eq!(walk(&curve, 768, 1).1, 768, "the threshold ends the search before");
    }

    #[test]
    fn restarts_explore_every_size_if_the_threshold_allows() {
        let curve = [9, 8, 7, 6, 5, 6, 7, 1].map(Some);
        let (mut measured, best) = walk(&curve, 640, 9);
        measured.sort_unstable();
        assert_eq!(measured, [128, 256, 384, 512, 640, 768, 896, 1_024]);
        assert_eq!(best, 1_024);
    }

    #[test]
    fn sizes_that_fail_are_left_upwards_and_not_gone_below() {
        let curve = [None, None, None, Some(5), Some(4), Some(6), Some(7), Some(8)];
        let (measured, best) = walk(&curve, 256, 9);
        assert_eq!(best, 640);
        assert_eq!(measured[..2], [256, 128], "the first step shows both");
        assert_eq!(walk(&curve, 640, 9).1, 640);
        assert!(!walk(&curve, 640, 9).0.contains(&128), "384 MB failed already");
    }

    #[test]
    fn a_function_that_always_fails_ends_at_the_largest_size() {
        assert_eq!(walk(&[None; 4], 256, 2).1, 512);
    }

    #[test]
    fn the_first_measurement_counts_and_failures_override_it() {
        let mut descent = Descent::new(MemoryMb(128));
        let cost = |cost| Observed::Cost { cost: PicoUsd(cost), runtime_us: 1 };
        descent.note(MemoryMb(128), cost(5));
        descent.note(MemoryMb(128), cost(4));
        descent.note(MemoryMb(256), cost(5));
        assert_eq!(descent.cheapest(), Some((MemoryMb(256), PicoUsd(5), 1)), "larger on a tie");
        descent.note(MemoryMb(256), Observed::Failed);
        assert_eq!(descent.cheapest().map(|best| best.0), Some(MemoryMb(128)));
    }
}
