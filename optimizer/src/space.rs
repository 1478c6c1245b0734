//! What resources a platform lets a function have.

use serde::{Deserialize, Serialize};

use crate::units::{MemoryMb, MilliVcpu, Resources};

/// What of a function's resources can be chosen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// CPU time per wall time.
    Vcpu,
    /// The memory limit.
    Memory,
}

/// A range of memory sizes and how vCPU goes with them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ResourceSpace {
    name: String,
    smallest: MemoryMb,
    largest: MemoryMb,
    step_mb: u32,
    /// Memory that brings one vCPU.
    memory_per_vcpu: MemoryMb,
    /// vCPU sizes, if they can be chosen; otherwise they follow from the memory.
    vcpu: Option<VcpuRange>,
}

/// vCPU sizes that can be chosen apart from the memory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct VcpuRange {
    smallest: MilliVcpu,
    largest: MilliVcpu,
    step_milli: u32,
}

/// Why a platform does not take some resources, or a range is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpaceError {
    /// The memory is too small, too large or between two steps.
    #[error("{space} takes {smallest} to {largest} in steps of {step_mb} MB, not {given}")]
    Memory {
        /// Name of the space.
        space: String,
        /// Smallest size.
        smallest: MemoryMb,
        /// Largest size.
        largest: MemoryMb,
        /// Distance between sizes.
        step_mb: u32,
        /// What was given.
        given: MemoryMb,
    },
    /// The vCPU is too small, too large or between two steps.
    #[error("{space} takes {smallest} to {largest} in steps of {step}, not {given}")]
    Vcpu {
        /// Name of the space.
        space: String,
        /// Smallest size.
        smallest: MilliVcpu,
        /// Largest size.
        largest: MilliVcpu,
        /// Distance between sizes.
        step: MilliVcpu,
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

impl ResourceSpace {
    /// AWS Lambda: 128 to 10,240 MB in steps of 1 MB, one vCPU for every 1769 MB.
    #[must_use]
    pub fn lambda() -> Self {
        Self {
            name: "lambda".to_owned(),
            smallest: MemoryMb(128),
            largest: MemoryMb(10_240),
            step_mb: 1,
            memory_per_vcpu: MemoryMb(1_769),
            vcpu: None,
        }
    }

    /// The thesis's decoupled space (§4.4.2): 128 to 10,240 MB in steps of 64 MB and, independently
    /// of it, 0.1 to 10 vCPU in steps of 0.1.
    #[must_use]
    pub fn decoupled() -> Self {
        Self {
            name: "decoupled".to_owned(),
            step_mb: 64,
            memory_per_vcpu: MemoryMb(1_024),
            vcpu: Some(VcpuRange {
                smallest: MilliVcpu(100),
                largest: MilliVcpu(10_000),
                step_milli: 100,
            }),
            ..Self::lambda()
        }
    }

    /// The same space narrowed to memory sizes from `smallest` to `largest` in steps of `step_mb`.
    ///
    /// # Errors
    /// If the platform does not take these sizes, or `largest` is no whole number of steps away.
    pub fn with_memory_range(
        mut self,
        smallest: MemoryMb,
        largest: MemoryMb,
        step_mb: u32,
    ) -> Result<Self, SpaceError> {
        self.check_memory(smallest)?;
        self.check_memory(largest)?;
        let whole = |distance_mb: u32, step_mb| distance_mb.is_multiple_of(step_mb);
        let distance_mb = largest.0.checked_sub(smallest.0);
        let fits = step_mb > 0
            && whole(step_mb, self.step_mb)
            && distance_mb.is_some_and(|distance_mb| whole(distance_mb, step_mb));
        if !fits {
            return Err(SpaceError::Range { smallest, largest, step_mb });
        }
        (self.smallest, self.largest, self.step_mb) = (smallest, largest, step_mb);
        Ok(self)
    }

    /// Its name, as in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The smallest and the largest memory size.
    #[must_use]
    pub fn memory_range(&self) -> (MemoryMb, MemoryMb) {
        (self.smallest, self.largest)
    }

    /// Distance between memory sizes.
    pub(crate) fn step_mb(&self) -> u32 {
        self.step_mb
    }

    /// The memory size in the range that is closest to `memory_mb`.
    pub(crate) fn clamp_memory(&self, memory_mb: u32) -> MemoryMb {
        MemoryMb(memory_mb.clamp(self.smallest.0, self.largest.0))
    }

    /// What a function with this memory gets: on Lambda what it is given with it; where vCPU can be
    /// chosen, one vCPU for every 1024 MB (the coupling of the thesis's MAFF), on the vCPU grid.
    #[must_use]
    pub fn resources_for_memory(&self, memory: MemoryMb) -> Resources {
        let per_vcpu = u64::from(self.memory_per_vcpu.0);
        let share = (u64::from(memory.0) * 1_000 + per_vcpu / 2) / per_vcpu;
        // At most 2³² · 1000 / 1024, which fits.
        let share = share as u32;
        let vcpu = match self.vcpu {
            None => share,
            Some(range) => {
                let steps = (share + range.step_milli / 2) / range.step_milli;
                (steps * range.step_milli).clamp(range.smallest.0, range.largest.0)
            }
        };
        Resources { vcpu: MilliVcpu(vcpu), memory }
    }

    /// What can be chosen: only memory where vCPU follows from it.
    #[must_use]
    pub fn dimensions(&self) -> &'static [Dimension] {
        match self.vcpu {
            None => &[Dimension::Memory],
            Some(_) => &[Dimension::Vcpu, Dimension::Memory],
        }
    }

    /// The over-provisioned base configuration of the thesis's Algorithm 4.1.
    #[must_use]
    pub fn largest(&self) -> Resources {
        let bundled = self.resources_for_memory(self.largest);
        Resources { vcpu: self.vcpu.map_or(bundled.vcpu, |range| range.largest), ..bundled }
    }

    /// The largest legal resources that have at least `steps` grid steps less of one dimension, all
    /// else equal; `None` at the lower end.
    #[must_use]
    pub fn reduce(&self, from: Resources, dimension: Dimension, steps: u32) -> Option<Resources> {
        let less = |value: u32, step: u32| value.checked_sub(steps.max(1).checked_mul(step)?);
        let reduced = match (dimension, self.vcpu) {
            (Dimension::Memory, None) => {
                self.resources_for_memory(MemoryMb(less(from.memory.0, self.step_mb)?))
            }
            (Dimension::Memory, Some(_)) => {
                Resources { memory: MemoryMb(less(from.memory.0, self.step_mb)?), ..from }
            }
            (Dimension::Vcpu, range) => {
                Resources { vcpu: MilliVcpu(less(from.vcpu.0, range?.step_milli)?), ..from }
            }
        };
        self.check(reduced).is_ok().then_some(reduced)
    }

    /// Whether a function may have these resources.
    ///
    /// # Errors
    /// If not: the range they are outside of, and what was given.
    pub fn check(&self, resources: Resources) -> Result<(), SpaceError> {
        self.check_memory(resources.memory)?;
        let given = resources.vcpu;
        let Some(range) = self.vcpu else {
            let expected = self.resources_for_memory(resources.memory).vcpu;
            return if given == expected {
                Ok(())
            } else {
                let memory = resources.memory;
                Err(SpaceError::Bundled { space: self.name.clone(), memory, expected, given })
            };
        };
        let VcpuRange { smallest, largest, step_milli } = range;
        if on_grid(given.0, smallest.0, largest.0, step_milli) {
            return Ok(());
        }
        let step = MilliVcpu(step_milli);
        Err(SpaceError::Vcpu { space: self.name.clone(), smallest, largest, step, given })
    }

    fn check_memory(&self, given: MemoryMb) -> Result<(), SpaceError> {
        let Self { smallest, largest, step_mb, .. } = *self;
        if on_grid(given.0, smallest.0, largest.0, step_mb) {
            return Ok(());
        }
        Err(SpaceError::Memory { space: self.name.clone(), smallest, largest, step_mb, given })
    }
}

/// Whether a value is in a range and a whole number of steps from its lower end.
fn on_grid(value: u32, smallest: u32, largest: u32, step: u32) -> bool {
    (smallest..=largest).contains(&value) && (value - smallest).is_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(milli_vcpu: u32, memory_mb: u32) -> Resources {
        Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(memory_mb) }
    }

    #[test]
    fn lambda_gives_vcpu_by_memory() {
        let space = ResourceSpace::lambda();
        for (memory_mb, milli_vcpu) in
            [(128, 72), (512, 289), (1_024, 579), (1_769, 1_000), (10_240, 5_789)]
        {
            let given = space.resources_for_memory(MemoryMb(memory_mb));
            assert_eq!(given, resources(milli_vcpu, memory_mb));
            assert_eq!(space.check(given), Ok(()));
        }
    }

    #[test]
    fn errors_name_the_range_and_what_was_given() {
        let check = |space: ResourceSpace, given: Resources, message: &str| {
            assert_eq!(space.check(given).unwrap_err().to_string(), message);
        };
        check(
            ResourceSpace::lambda(),
            resources(58, 64),
            "lambda takes 128 MB to 10240 MB in steps of 1 MB, not 64 MB",
        );
        check(
            ResourceSpace::lambda(),
            resources(1_000, 512),
            "lambda gives 512 MB a share of 0.289 vCPU, not 1 vCPU; leave the vCPU out",
        );
        check(
            ResourceSpace::decoupled(),
            resources(1_000, 200),
            "decoupled takes 128 MB to 10240 MB in steps of 64 MB, not 200 MB",
        );
        check(
            ResourceSpace::decoupled(),
            resources(50, 512),
            "decoupled takes 0.1 vCPU to 10 vCPU in steps of 0.1 vCPU, not 0.05 vCPU",
        );
    }

    #[test]
    fn decoupled_takes_any_combination_on_its_grid() {
        let space = ResourceSpace::decoupled();
        assert_eq!(space.check(resources(10_000, 128)), Ok(()));
        assert_eq!(space.check(resources(100, 10_240)), Ok(()));
        for memory_mb in [128, 512, 5_120, 10_240] {
            let given = space.resources_for_memory(MemoryMb(memory_mb));
            assert_eq!(space.check(given), Ok(()), "{given}");
        }
    }

    #[test]
    fn a_range_can_be_narrowed_but_not_widened() {
        let narrow = |smallest, largest, step_mb| {
            let (smallest, largest) = (MemoryMb(smallest), MemoryMb(largest));
            ResourceSpace::decoupled().with_memory_range(smallest, largest, step_mb)
        };
        let space = narrow(128, 1_024, 128).unwrap();
        assert!(space.check(space.resources_for_memory(MemoryMb(1_152))).is_err());
        assert!(space.check(space.resources_for_memory(MemoryMb(192))).is_err());
        assert!(matches!(narrow(64, 1_024, 64), Err(SpaceError::Memory { .. })));
        for (smallest, largest, step_mb) in
            [(128, 1_024, 0), (128, 1_024, 100), (1_024, 128, 64), (128, 1_024, 256)]
        {
            let narrowed = narrow(smallest, largest, step_mb);
            assert!(matches!(narrowed, Err(SpaceError::Range { .. })), "{step_mb}");
        }
    }
}
