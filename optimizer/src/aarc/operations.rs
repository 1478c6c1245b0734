//! The operations of Algorithm 4.2 and their priority queue.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::space::{Dimension, ResourceSpace};
use crate::units::{PicoUsd, Resources};

/// What comes first out of the queue.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Priority {
    /// By the cost it just saved; 0 after a failure.
    Saved(PicoUsd),
    /// Never tried: the thesis's ∞.
    Untried,
}

/// Taking some of one resource from one function.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Operation {
    /// The function, by its place in the deployment.
    pub(super) function: usize,
    /// The resource.
    pub(super) dimension: Dimension,
    /// How much of it, at least, in MB or thousandths of a vCPU.
    pub(super) step: u32,
    /// How often it may still fail.
    pub(super) trials: u32,
}

/// Operations, the one with the highest priority first; of equals, the one that waited longest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Queue {
    waiting: Vec<(Priority, Reverse<u64>, Operation)>,
    pushed: u64,
}

impl Queue {
    pub(super) fn push(&mut self, operation: Operation, priority: Priority) {
        self.waiting.push((priority, Reverse(self.pushed), operation));
        self.pushed += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Operation> {
        let waiting = self.waiting.iter().enumerate();
        let (first, _) = waiting.max_by_key(|(_, (priority, pushed, _))| (*priority, *pushed))?;
        Some(self.waiting.swap_remove(first).2)
    }
}

/// How much of one resource there is, in MB or thousandths of a vCPU.
pub(super) fn amount(resources: Resources, dimension: Dimension) -> u32 {
    match dimension {
        Dimension::Vcpu => resources.vcpu.0,
        Dimension::Memory => resources.memory.0,
    }
}

/// The largest resources that the space has with at least `less` less of one resource; `None` if it
/// has none. Spaces count in steps of their own, which need not be equally far apart.
pub(super) fn reduced(
    space: &ResourceSpace,
    from: Resources,
    dimension: Dimension,
    less: u32,
) -> Option<Resources> {
    let after = |steps: u32| space.reduce(from, dimension, steps);
    let present = amount(from, dimension);
    let suffices = |steps: u32| {
        after(steps).is_none_or(|it| present.saturating_sub(amount(it, dimension)) >= less)
    };
    let mut high = 1_u32;
    while !suffices(high) {
        high = high.saturating_mul(2);
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if suffices(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    after(high).filter(|it| space.check(*it).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MemoryMb, MilliVcpu};

    #[test]
    fn what_saved_most_comes_first_and_of_equals_what_waited_longest() {
        let mut queue = Queue::default();
        let operation =
            |function| Operation { function, dimension: Dimension::Vcpu, step: 1, trials: 1 };
        let saved = |amount| Priority::Saved(PicoUsd(amount));
        for (function, priority) in [
            (0, saved(0)),
            (1, saved(7)),
            (2, Priority::Untried),
            (3, saved(9)),
            (4, saved(7)),
            (5, Priority::Untried),
            (6, saved(0)),
        ] {
            queue.push(operation(function), priority);
        }
        let order: Vec<usize> =
            std::iter::from_fn(|| queue.pop()).map(|operation| operation.function).collect();
        assert_eq!(order, [2, 5, 3, 1, 4, 0, 6]);
    }

    #[test]
    fn at_least_so_much_less_and_no_more_than_the_grid_demands() {
        let space = ResourceSpace::decoupled();
        let from = Resources { vcpu: MilliVcpu(10_000), memory: MemoryMb(10_240) };
        let memory = |less| reduced(&space, from, Dimension::Memory, less);
        for (less, left_mb) in [(1, 10_176), (64, 10_176), (65, 10_112), (10_112, 128)] {
            let expected = Resources { memory: MemoryMb(left_mb), ..from };
            assert_eq!(memory(less), Some(expected), "{less} MB less");
        }
        assert_eq!(memory(10_113), None);
        let vcpu = reduced(&space, from, Dimension::Vcpu, 2_450);
        assert_eq!(vcpu, Some(Resources { vcpu: MilliVcpu(7_500), ..from }));
        let lambda = ResourceSpace::lambda();
        let from = lambda.largest();
        let less = reduced(&lambda, from, Dimension::Memory, 2_560);
        assert_eq!(less, Some(lambda.resources_for_memory(MemoryMb(7_680))));
        assert_eq!(reduced(&lambda, from, Dimension::Vcpu, 1), None);
    }
}
