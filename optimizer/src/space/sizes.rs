//! Sizes of one dimension that lie a step apart.

use serde::{Deserialize, Serialize};

/// Sizes from the smallest to the largest, a step apart: MB, or thousandths of a vCPU.
///
/// The largest is a whole number of steps from the smallest, and the step is not 0.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Sizes {
    smallest: u32,
    largest: u32,
    step: u32,
}

impl Sizes {
    /// Sizes from one to another; `None` if no whole number of steps leads from one to the other.
    pub(crate) fn new(smallest: u32, largest: u32, step: u32) -> Option<Self> {
        let distance = largest.checked_sub(smallest)?;
        (step > 0 && distance.is_multiple_of(step)).then_some(Self { smallest, largest, step })
    }

    /// One size alone.
    pub(crate) fn one(size: u32) -> Self {
        Self { smallest: size, largest: size, step: 1 }
    }

    pub(crate) fn smallest(self) -> u32 {
        self.smallest
    }

    pub(crate) fn largest(self) -> u32 {
        self.largest
    }

    /// How many there are.
    pub(crate) fn count(self) -> u32 {
        (self.largest - self.smallest) / self.step + 1
    }

    pub(crate) fn contains(self, size: u32) -> bool {
        (self.smallest..=self.largest).contains(&size)
            && (size - self.smallest).is_multiple_of(self.step)
    }

    /// The largest size up to `limit`.
    pub(crate) fn at_most(self, limit: u32) -> Option<u32> {
        let above = limit.min(self.largest).checked_sub(self.smallest)?;
        Some(self.smallest + above / self.step * self.step)
    }

    /// The size closest to `wanted`, the larger one of two.
    pub(crate) fn nearest(self, wanted: u32) -> u32 {
        let wanted = wanted.clamp(self.smallest, self.largest);
        let above = u64::from(wanted - self.smallest) + u64::from(self.step) / 2;
        // Rounding up cannot lead past the largest, which is a whole number of steps away.
        self.smallest + (above / u64::from(self.step)) as u32 * self.step
    }

    /// Those from `from` to `to`.
    pub(crate) fn between(self, from: u32, to: u32) -> Option<Self> {
        let below = from.saturating_sub(self.smallest).div_ceil(self.step);
        let smallest = self.smallest.checked_add(below.checked_mul(self.step)?)?;
        let largest = self.at_most(to)?;
        (smallest <= largest).then_some(Self { smallest, largest, ..self })
    }

    /// Those that are among `others` as well.
    pub(crate) fn and(self, others: Self) -> Option<Self> {
        let clipped = self.between(others.smallest, others.largest)?;
        // After as many steps as the other step has, the remainders repeat.
        let first =
            clipped.iter().take(others.step as usize).find(|size| others.contains(*size))?;
        let common = u64::from(self.step) / gcd(self.step, others.step) * u64::from(others.step);
        let step = u32::try_from(common).unwrap_or(u32::MAX);
        let (smallest, count) = (first, (clipped.largest - first) / step);
        Some(Self { smallest, largest: smallest + count * step, step })
    }

    /// All of them, the smallest first.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = u32> {
        (0..self.count()).map(move |index| self.smallest + index * self.step)
    }
}

fn gcd(a: u32, b: u32) -> u64 {
    let (mut a, mut b) = (u64::from(a), u64::from(b));
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_sizes() -> impl Strategy<Value = Sizes> {
        (0u32..60, 0u32..12, 1u32..9)
            .prop_map(|(smallest, count, step)| Sizes::new(smallest, smallest + count * step, step))
            .prop_map(|sizes| sizes.expect("a whole number of steps"))
    }

    #[test]
    fn a_step_has_to_lead_to_the_end() {
        assert_eq!(Sizes::new(128, 1_024, 64).map(Sizes::count), Some(15));
        assert_eq!(Sizes::new(512, 512, 7).map(Sizes::count), Some(1));
        for (smallest, largest, step) in [(128, 1_024, 100), (1, 2, 0), (2, 1, 1)] {
            assert_eq!(Sizes::new(smallest, largest, step), None);
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_trouble() {
        let sizes = Sizes::new(u32::MAX - 2, u32::MAX, 2).expect("two sizes");
        assert_eq!(sizes.nearest(u32::MAX - 1), u32::MAX);
        assert_eq!(
            sizes.between(u32::MAX - 1, u32::MAX),
            Some(Sizes::one(u32::MAX)).map(|one| Sizes { step: 2, ..one })
        );
        assert_eq!(Sizes::new(0, 8, 4).and_then(|s| s.between(5, 7)), None);
    }

    proptest! {
        #[test]
        fn looking_up_is_what_listing_says(sizes in any_sizes(), at in 0u32..200, to in 0u32..200) {
            let all: Vec<u32> = sizes.iter().collect();
            prop_assert_eq!(sizes.contains(at), all.contains(&at));
            prop_assert_eq!(sizes.at_most(at), all.iter().copied().rfind(|size| *size <= at));
            let distance = |size: &u32| size.abs_diff(at);
            let nearest = all.iter().copied().rev().min_by_key(distance);
            prop_assert_eq!(Some(sizes.nearest(at)), nearest);
            let between: Vec<u32> =
                all.iter().copied().filter(|size| (at..=to).contains(size)).collect();
            let found: Vec<u32> =
                sizes.between(at, to).into_iter().flat_map(Sizes::iter).collect();
            prop_assert_eq!(found, between);
        }

        #[test]
        fn what_two_have_in_common_is_found(one in any_sizes(), other in any_sizes()) {
            let expected: Vec<u32> = one.iter().filter(|size| other.contains(*size)).collect();
            let found: Vec<u32> = one.and(other).into_iter().flat_map(Sizes::iter).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
