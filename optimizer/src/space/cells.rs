//! Combinations of vCPU and memory that obey one rule.

use serde::{Deserialize, Serialize};

use crate::space::Dimension;
use crate::space::sizes::Sizes;
use crate::units::{MemoryMb, MilliVcpu, Resources};

/// Every vCPU size with every memory size, as far as their ratio is allowed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Cells {
    /// Thousandths of a vCPU.
    pub(crate) vcpu: Sizes,
    /// MB.
    pub(crate) memory: Sizes,
    /// Least and most memory for every vCPU, in MB and not 0, if the platform ties the two.
    pub(crate) memory_per_vcpu: Option<(u32, u32)>,
}

impl Cells {
    /// Memory sizes that go with one of its vCPU sizes.
    fn memory_of(&self, vcpu: u32) -> Option<Sizes> {
        let Some((least, most)) = self.memory_per_vcpu else { return Some(self.memory) };
        let product = |ratio: u32| u64::from(vcpu) * u64::from(ratio);
        let bound = |mb: u64| u32::try_from(mb).unwrap_or(u32::MAX);
        self.memory.between(bound(product(least).div_ceil(1_000)), bound(product(most) / 1_000))
    }

    /// vCPU sizes that go with a memory size.
    pub(crate) fn vcpu_of(&self, memory: u32) -> Option<Sizes> {
        if !self.memory.contains(memory) {
            return None;
        }
        let Some((least, most)) = self.memory_per_vcpu else { return Some(self.vcpu) };
        let thousand = u64::from(memory) * 1_000;
        let bound = |milli: u64| u32::try_from(milli).unwrap_or(u32::MAX);
        let (smallest, largest) = (thousand.div_ceil(u64::from(most)), thousand / u64::from(least));
        self.vcpu.between(bound(smallest), bound(largest))
    }

    pub(crate) fn contains(&self, resources: Resources) -> bool {
        let Resources { vcpu, memory } = resources;
        self.vcpu.contains(vcpu.0)
            && self.memory_of(vcpu.0).is_some_and(|sizes| sizes.contains(memory.0))
    }

    /// vCPU sizes that some memory goes with.
    pub(crate) fn vcpu_sizes(&self) -> impl Iterator<Item = u32> {
        self.vcpu.iter().filter(|vcpu| self.memory_of(*vcpu).is_some())
    }

    /// Memory sizes that some vCPU goes with.
    pub(crate) fn memory_sizes(&self) -> impl Iterator<Item = u32> {
        self.memory.iter().filter(|memory| self.vcpu_of(*memory).is_some())
    }

    /// The resources up to a limit of each dimension that have most of the dimension to `keep`, and
    /// of those the ones with most of the other.
    ///
    /// Goes through vCPU sizes downwards, but only if a ratio is to be kept, and only until no
    /// smaller one can do better: usually the first or second is the answer.
    pub(crate) fn largest_within(&self, limit: Resources, keep: Dimension) -> Option<Resources> {
        let Resources { vcpu: MilliVcpu(vcpu_limit), memory: MemoryMb(memory_limit) } = limit;
        let found = |vcpu: u32| {
            let memory = self.memory_of(vcpu)?.at_most(memory_limit)?;
            Some(Resources { vcpu: MilliVcpu(vcpu), memory: MemoryMb(memory) })
        };
        let Some((least, most)) = self.memory_per_vcpu else {
            return found(self.vcpu.at_most(vcpu_limit)?);
        };
        let ceiling = u64::from(self.memory.at_most(memory_limit)?);
        // More vCPU than this needs more memory than there may be.
        let needs = ceiling * 1_000 / u64::from(least);
        let top = vcpu_limit.min(u32::try_from(needs).unwrap_or(u32::MAX));
        let mut best: Option<Resources> = None;
        for vcpu in self.vcpu.between(0, top)?.iter().rev() {
            let reachable = ceiling.min(u64::from(vcpu) * u64::from(most) / 1_000);
            let done =
                |best: Resources| keep == Dimension::Vcpu || u64::from(best.memory.0) >= reachable;
            if best.is_some_and(done) {
                break;
            }
            let better = |it: &Resources| best.is_none_or(|best| it.memory > best.memory);
            best = found(vcpu).filter(better).or(best);
        }
        best
    }

    /// The same with memory sizes narrowed; `None` if no combination is left.
    pub(crate) fn with_memory(&self, sizes: Sizes) -> Option<Self> {
        let narrowed = Self { memory: self.memory.and(sizes)?, ..*self };
        narrowed.vcpu_sizes().next().is_some().then_some(narrowed)
    }
}
