//! Confidence sequences: intervals of a growing sample that hold at all its sizes at once, so that one may look at
//! the sample as often as one likes and stop whenever one likes.

use serde::{Deserialize, Serialize};

use crate::statistics::Interval;

/// Fewest values of which the mean's interval is given: it holds asymptotically, not for a handful.
const LEAST_VALUES: u64 = 40;
/// Sample size for which the mean's interval is made as narrow as can be.
const NARROWEST_AT: f64 = 200.0;
/// Halvings of an interval of shares; they leave 10⁻⁹.
const HALVINGS: usize = 30;

/// How many of so many trials were hits.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Share {
    /// Hits.
    pub hits: u64,
    /// Trials.
    pub all: u64,
    /// Logarithm of the likelihood, averaged over all probabilities by Jeffreys' prior.
    mixture: f64,
}

impl Share {
    /// Adds a trial.
    pub fn add(&mut self, is_hit: bool) {
        let of_its_kind = if is_hit { self.hits } else { self.all - self.hits };
        // The probability that the prior and the trials before give to this one.
        self.mixture += ((of_its_kind as f64 + 0.5) / (self.all as f64 + 1.0)).ln();
        self.hits += u64::from(is_hit);
        self.all += 1;
    }

    /// The interval of the probability of a hit that holds at all times together with probability 1 − `alpha`
    /// (Robbins' mixture; exact for independent trials).
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Interval {
        let (hits, misses) = (self.hits as f64, (self.all - self.hits) as f64);
        let term = |count: f64, share: f64| if count > 0.0 { count * share.ln() } else { 0.0 };
        let is_likely =
            |share: f64| self.mixture - term(hits, share) - term(misses, 1.0 - share) < -alpha.ln();
        let middle = if self.all > 0 { hits / self.all as f64 } else { 0.5 };
        let end = |outside: f64| {
            let (mut outside, mut inside) = (outside, middle);
            if is_likely(outside) {
                return outside;
            }
            for _ in 0..HALVINGS {
                let between = f64::midpoint(outside, inside);
                let moved = if is_likely(between) { &mut inside } else { &mut outside };
                *moved = between;
            }
            outside
        };
        Interval { lower: end(0.0), upper: end(1.0) }
    }
}

/// The mean of so many values.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Mean {
    /// Values.
    pub count: u64,
    /// Their mean; 0 of none.
    pub mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
}

impl Mean {
    /// Adds a value (Welford's recurrence).
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// The interval of the mean of what the values are a sample of that holds at all times together with
    /// probability 1 − `alpha`, asymptotically (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, 2024, Theorem 2.2);
    /// none of fewer than forty values.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        if self.count < LEAST_VALUES {
            return None;
        }
        let count = self.count as f64;
        let deviation = (self.squares / (count - 1.0)).sqrt();
        let twice = -2.0 * alpha.ln();
        let rho_squared = (twice + (1.0 + twice).ln()) / NARROWEST_AT;
        let grown = count * rho_squared + 1.0;
        let width = deviation
            * (2.0 * grown / (count * count * rho_squared) * (grown.sqrt() / alpha).ln()).sqrt();
        Some(Interval { lower: self.mean - width, upper: self.mean + width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    /// How many of 500 growing samples leave an interval at any time.
    fn left(mut one: impl FnMut(&mut SplitMix64) -> bool) -> usize {
        (0..500).filter(|seed| one(&mut SplitMix64::new(*seed, 5))).count()
    }

    #[test]
    fn shares_stay_in_their_interval_at_all_times() {
        for share in [0.0, 0.01, 0.05, 0.5] {
            let left = left(|random| {
                let mut found = Share::default();
                (0..400).any(|_| {
                    found.add(random.unit() < share);
                    let Interval { lower, upper } = found.interval(0.05);
                    !(lower..=upper).contains(&share)
                })
            });
            assert!(left <= 25, "{share}: {left} of 500");
        }
    }

    #[test]
    fn means_stay_in_their_interval_at_all_times() {
        // Skewed, as costs and latencies are.
        let true_mean = 0.125_f64.exp();
        let left = left(|random| {
            let mut found = Mean::default();
            (0..400).any(|_| {
                found.add((0.5 * random.normals()[0]).exp());
                let interval = found.interval(0.05);
                interval.is_some_and(|it| !(it.lower..=it.upper).contains(&true_mean))
            })
        });
        // It holds asymptotically; an ordinary 95 % interval is left by more than a hundred.
        assert!(left <= 35, "{left} of 500");
    }

    #[test]
    fn intervals_close_in() {
        let (mut share, mut mean) = (Share::default(), Mean::default());
        assert_eq!(share.interval(0.05), Interval { lower: 0.0, upper: 1.0 });
        assert_eq!(mean.interval(0.05), None);
        for number in 0..10_000 {
            share.add(number % 10 == 0);
            mean.add(f64::from(number % 10));
        }
        let of_share = share.interval(0.05);
        assert!(of_share.lower > 0.085 && of_share.upper < 0.115, "{of_share:?}");
        let of_mean = mean.interval(0.05).unwrap();
        assert!(of_mean.lower > 4.35 && of_mean.upper < 4.65, "{of_mean:?}");
    }
}
