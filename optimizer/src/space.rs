//! What resources a platform lets a function have.
//!
//! A space is either *bundled*, as AWS Lambda's, where the memory is chosen and brings vCPU with it;
//! or it lists *cells*, combinations of vCPU and memory, each by a rule: every vCPU size of a range
//! with every memory size of a range, as far as their ratio is allowed. Cloud Run's minimum of vCPU
//! by memory, Function Compute's ratios and Fargate's table are all lists of such rules.
//!
//! Spaces are data: [`crate::platforms`] reads the built-in ones and a user's own from files.

mod cells;
mod sizes;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use cells::Cells;
pub(crate) use sizes::Sizes;

use crate::platforms::{self, UnknownName};
use crate::units::{MemoryMb, MilliVcpu, Resources};

/// What of a function's resources can be chosen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// CPU time per wall time, at most.
    Vcpu,
    /// Memory limit.
    Memory,
}

/// The combinations of vCPU and memory that a platform offers.
///
/// Copies are cheap: the sizes are shared.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Definition", into = "Definition")]
pub struct ResourceSpace {
    definition: Definition,
    /// vCPU sizes that some memory goes with, the smallest first; empty where vCPU is bundled.
    vcpu_sizes: Arc<[u32]>,
    /// Memory sizes that some vCPU goes with, the smallest first.
    memory_sizes: Arc<[u32]>,
    /// Least distance between two memory sizes.
    step_mb: u32,
}

/// What a space is made of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// Where the sizes are from.
    pub(crate) source: String,
    /// Day they were valid, as YYYY-MM-DD.
    pub(crate) date: String,
    /// Memory that brings one vCPU: always where it is bundled, else where only memory is chosen.
    pub(crate) memory_per_vcpu: MemoryMb,
    pub(crate) offer: Offer,
}

/// What can be chosen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Offer {
    /// Memory, in MB; vCPU follows.
    Bundled(Sizes),
    /// vCPU and memory, of which some combination is offered.
    Cells(Vec<Cells>),
}

/// Why a platform does not take some resources, or a range is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpaceError {
    /// The memory is too small, too large or between two sizes.
    #[error("{space} takes {offered}, not {given}")]
    Memory {
        /// Name of the space.
        space: String,
        /// The sizes it takes, in words.
        offered: String,
        /// What was given.
        given: MemoryMb,
    },
    /// The vCPU is too small, too large or between two sizes.
    #[error("{space} takes {offered}, not {given}")]
    Vcpu {
        /// Name of the space.
        space: String,
        /// The sizes it takes, in words.
        offered: String,
        /// What was given.
        given: MilliVcpu,
    },
    /// The platform sets the vCPU by the memory, to another value.
    #[error("{space} gives {memory} a share of {expected}, not {given}; leave the vCPU out")]
    Bundled {
        /// Name of the space.
        space: String,
        /// The memory.
        memory: MemoryMb,
        /// vCPU that goes with it.
        expected: MilliVcpu,
        /// What was given.
        given: MilliVcpu,
    },
    /// Both sizes are offered, but not together.
    #[error("{space} gives {} {smallest} to {largest}, not {}", given.memory, given.vcpu)]
    Combination {
        /// Name of the space.
        space: String,
        /// Smallest vCPU that goes with the memory.
        smallest: MilliVcpu,
        /// Largest vCPU that goes with the memory.
        largest: MilliVcpu,
        /// What was given.
        given: Resources,
    },
    /// A range in which the sizes do not go from one end to the other.
    #[error("there is no whole number of steps of {step_mb} MB from {smallest} to {largest}")]
    Range {
        /// Smallest size.
        smallest: MemoryMb,
        /// Largest size.
        largest: MemoryMb,
        /// Distance between sizes.
        step_mb: u32,
    },
}

impl From<Definition> for ResourceSpace {
    fn from(definition: Definition) -> Self {
        let (vcpu_sizes, memory_sizes) = match &definition.offer {
            Offer::Bundled(memory) => (Arc::default(), memory.iter().collect()),
            Offer::Cells(cells) => (
                union(cells.iter().flat_map(Cells::vcpu_sizes)),
                union(cells.iter().flat_map(Cells::memory_sizes)),
            ),
        };
        let gaps = memory_sizes.windows(2).map(|pair| pair[1] - pair[0]);
        let step_mb = gaps.min().unwrap_or(1);
        Self { definition, vcpu_sizes, memory_sizes, step_mb }
    }
}

impl From<ResourceSpace> for Definition {
    fn from(space: ResourceSpace) -> Self {
        space.definition
    }
}

impl ResourceSpace {
    /// The built-in space of this name; [`platforms::space_names`] lists them.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        platforms::space(name)
    }

    /// AWS Lambda: 128 to 10,240 MB in steps of 1 MB, one vCPU for every 1769 MB.
    #[must_use]
    pub fn lambda() -> Self {
        Self::named("lambda").expect("it is built in")
    }

    /// The thesis's decoupled space (§4.4.2): 128 to 10,240 MB in steps of 64 MB and, independently
    /// of it, 0.1 to 10 vCPU in steps of 0.1.
    #[must_use]
    pub fn decoupled() -> Self {
        Self::named("decoupled").expect("it is built in")
    }

    /// The same space narrowed to memory sizes from `smallest` to `largest` in steps of `step_mb`,
    /// as far as the platform takes them.
    ///
    /// # Errors
    /// If the platform does not take the ends, or `largest` is no whole number of steps away.
    pub fn with_memory_range(
        self,
        smallest: MemoryMb,
        largest: MemoryMb,
        step_mb: u32,
    ) -> Result<Self, SpaceError> {
        self.check_memory(smallest)?;
        self.check_memory(largest)?;
        let range = SpaceError::Range { smallest, largest, step_mb };
        let sizes = Sizes::new(smallest.0, largest.0, step_mb).ok_or(range)?;
        let offer = match &self.definition.offer {
            // The smallest is in both, so there is something left.
            Offer::Bundled(memory) => Offer::Bundled(memory.and(sizes).unwrap_or(sizes)),
            Offer::Cells(cells) => {
                Offer::Cells(cells.iter().filter_map(|cells| cells.with_memory(sizes)).collect())
            }
        };
        Ok(Definition { offer, ..self.definition }.into())
    }

    /// Its name, as in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Where the sizes are from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.definition.source
    }

    /// Day the sizes were valid, as YYYY-MM-DD.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.definition.date
    }

    /// What can be chosen: only memory where vCPU follows from it.
    #[must_use]
    pub fn dimensions(&self) -> &'static [Dimension] {
        match self.definition.offer {
            Offer::Bundled(_) => &[Dimension::Memory],
            Offer::Cells(_) => &[Dimension::Vcpu, Dimension::Memory],
        }
    }

    /// Whether vCPU follows from the memory.
    #[must_use]
    pub fn vcpu_is_bundled(&self) -> bool {
        matches!(self.definition.offer, Offer::Bundled(_))
    }

    /// The smallest and the largest memory size.
    #[must_use]
    pub fn memory_range(&self) -> (MemoryMb, MemoryMb) {
        let ends = self.memory_sizes.first().zip(self.memory_sizes.last());
        let (smallest, largest) = ends.expect("a space has sizes");
        (MemoryMb(*smallest), MemoryMb(*largest))
    }

    /// Least distance between memory sizes.
    pub(crate) fn step_mb(&self) -> u32 {
        self.step_mb
    }

    /// The largest memory size up to `memory_mb`, or the smallest there is.
    pub(crate) fn memory_at_most(&self, memory_mb: u32) -> MemoryMb {
        let above = self.memory_sizes.partition_point(|size| *size <= memory_mb);
        MemoryMb(self.memory_sizes[above.saturating_sub(1)])
    }

    /// The smallest memory size from `memory_mb` up, or the largest there is.
    pub(crate) fn memory_at_least(&self, memory_mb: u32) -> MemoryMb {
        let at = self.memory_sizes.partition_point(|size| *size < memory_mb);
        MemoryMb(self.memory_sizes[at.min(self.memory_sizes.len() - 1)])
    }

    /// What a function with this memory gets: on Lambda what it is given with it; where vCPU can be
    /// chosen, the size closest to the platform's usual share (in the thesis's space one vCPU for
    /// every 1024 MB, the coupling of its MAFF) among those that go with the memory.
    #[must_use]
    pub fn resources_for_memory(&self, memory: MemoryMb) -> Resources {
        let per_vcpu = u64::from(self.definition.memory_per_vcpu.0);
        let share = (u64::from(memory.0) * 1_000 + per_vcpu / 2) / per_vcpu;
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        // Of two sizes that are as close, the larger one.
        let rank = |vcpu: &u32| (vcpu.abs_diff(share), std::cmp::Reverse(*vcpu));
        let vcpu = match &self.definition.offer {
            Offer::Bundled(_) => share,
            Offer::Cells(cells) => {
                let offered = cells.iter().filter_map(|cells| cells.vcpu_of(memory.0));
                let closest = offered.map(|sizes| sizes.nearest(share)).min_by_key(rank);
                // Where the memory is not offered, neither is the result: `check` says so.
                let any = || self.vcpu_sizes.iter().copied().min_by_key(rank);
                closest.or_else(any).unwrap_or(share)
            }
        };
        Resources { vcpu: MilliVcpu(vcpu), memory }
    }

    /// What a function gets with the smallest memory size from this one up; `None` above the largest.
    #[must_use]
    pub fn resources_from(&self, memory: MemoryMb) -> Option<Resources> {
        let size = self.memory_at_least(memory.0);
        (size >= memory).then(|| self.resources_for_memory(size))
    }

    /// The resources with most vCPU, and of those the ones with most memory: the over-provisioned
    /// base configuration of the thesis's Algorithm 4.1.
    #[must_use]
    pub fn largest(&self) -> Resources {
        let any = Resources { vcpu: MilliVcpu(u32::MAX), memory: MemoryMb(u32::MAX) };
        match &self.definition.offer {
            Offer::Bundled(memory) => self.resources_for_memory(MemoryMb(memory.largest())),
            Offer::Cells(_) => {
                self.largest_within(any, Dimension::Vcpu).expect("a space has sizes")
            }
        }
    }

    /// The largest with at most so much vCPU; `None` if there are none.
    #[must_use]
    pub fn largest_up_to(&self, vcpu: MilliVcpu) -> Option<Resources> {
        let dimension = *self.dimensions().first()?;
        let mut size = self.largest();
        while size.vcpu > vcpu {
            size = self.reduce(size, dimension, 1)?;
        }
        Some(size)
    }

    /// The largest legal resources that have at least `steps` sizes less of one dimension and not
    /// more of the other; `None` if there are none. `from` itself need not be legal.
    ///
    /// The other dimension stays as it is if the platform offers that. Where its rules tie the two,
    /// the other shrinks by as little as possible, and then this one does. Steps are counted among
    /// all sizes of the platform, and 0 counts as 1. Where vCPU is bundled, it cannot be reduced by
    /// itself.
    ///
    /// Takes the time of a binary search and a look at each of the platform's rules.
    #[must_use]
    pub fn reduce(&self, from: Resources, dimension: Dimension, steps: u32) -> Option<Resources> {
        let (sizes, present) = match dimension {
            Dimension::Vcpu => (&self.vcpu_sizes, from.vcpu.0),
            Dimension::Memory => (&self.memory_sizes, from.memory.0),
        };
        let smaller = sizes.partition_point(|size| *size < present);
        let limit = sizes[smaller.checked_sub(steps.max(1) as usize)?];
        match (&self.definition.offer, dimension) {
            (Offer::Bundled(_), Dimension::Vcpu) => None,
            (Offer::Bundled(_), Dimension::Memory) => {
                Some(self.resources_for_memory(MemoryMb(limit)))
            }
            (Offer::Cells(_), Dimension::Vcpu) => {
                let limit = Resources { vcpu: MilliVcpu(limit), ..from };
                self.largest_within(limit, Dimension::Memory)
            }
            (Offer::Cells(_), Dimension::Memory) => {
                let limit = Resources { memory: MemoryMb(limit), ..from };
                self.largest_within(limit, Dimension::Vcpu)
            }
        }
    }

    /// The cell within a limit that has most of one dimension, and then of the other.
    fn largest_within(&self, limit: Resources, keep: Dimension) -> Option<Resources> {
        let Offer::Cells(cells) = &self.definition.offer else { return None };
        let found = cells.iter().filter_map(|cells| cells.largest_within(limit, keep));
        found.max_by_key(|it| match keep {
            Dimension::Vcpu => (it.vcpu.0, it.memory.0),
            Dimension::Memory => (it.memory.0, it.vcpu.0),
        })
    }

    /// Whether a function may have these resources.
    ///
    /// # Errors
    /// If not: what the space takes, and what was given.
    pub fn check(&self, resources: Resources) -> Result<(), SpaceError> {
        self.check_memory(resources.memory)?;
        let Resources { vcpu: given, memory } = resources;
        let space = || self.name().to_owned();
        let Offer::Cells(cells) = &self.definition.offer else {
            let expected = self.resources_for_memory(memory).vcpu;
            return match given == expected {
                true => Ok(()),
                false => Err(SpaceError::Bundled { space: space(), memory, expected, given }),
            };
        };
        if cells.iter().any(|cells| cells.contains(resources)) {
            return Ok(());
        }
        if self.vcpu_sizes.binary_search(&given.0).is_err() {
            let offered = offered(&self.vcpu_sizes, given.0, MilliVcpu);
            return Err(SpaceError::Vcpu { space: space(), offered, given });
        }
        let with_memory = || cells.iter().filter_map(|cells| cells.vcpu_of(memory.0));
        let smallest = with_memory().map(Sizes::smallest).min();
        let largest = with_memory().map(Sizes::largest).max();
        Err(SpaceError::Combination {
            space: space(),
            smallest: smallest.map_or(given, MilliVcpu),
            largest: largest.map_or(given, MilliVcpu),
            given: resources,
        })
    }

    fn check_memory(&self, given: MemoryMb) -> Result<(), SpaceError> {
        if self.memory_sizes.binary_search(&given.0).is_ok() {
            return Ok(());
        }
        let offered = offered(&self.memory_sizes, given.0, MemoryMb);
        Err(SpaceError::Memory { space: self.name().to_owned(), offered, given })
    }
}

/// Sizes in words, those around the one that is not among them where the distances differ.
fn offered<T: fmt::Display>(sizes: &[u32], given: u32, unit: fn(u32) -> T) -> String {
    let (Some(smallest), Some(largest)) = (sizes.first(), sizes.last()) else {
        return "nothing".to_owned();
    };
    let ends = format!("{} to {}", unit(*smallest), unit(*largest));
    let mut gaps = sizes.windows(2).map(|pair| pair[1] - pair[0]);
    let first = gaps.next().unwrap_or(1);
    if gaps.all(|gap| gap == first) {
        return format!("{ends} in steps of {}", unit(first));
    }
    match sizes.partition_point(|size| *size < given) {
        0 => ends,
        above if above == sizes.len() => ends,
        above => {
            let (below, above) = (unit(sizes[above - 1]), unit(sizes[above]));
            format!("{ends}, here {below} and then {above}")
        }
    }
}

/// All sizes once, the smallest first.
fn union(sizes: impl Iterator<Item = u32>) -> Arc<[u32]> {
    let mut sizes: Vec<u32> = sizes.collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.into()
}

#[cfg(test)]
mod tests;
