//! Quantiles, means and bootstrap intervals of integer samples.
//!
//! Intervals are 95 % percentile-bootstrap intervals (Efron and Tibshirani, 1993, §13) from a
//! seeded generator: equal samples and seeds give equal intervals, bit by bit.

use serde::{Deserialize, Serialize};

use crate::random::SplitMix64;

/// Samples drawn with replacement for each interval.
const RESAMPLES: usize = 2_000;

/// A 95 % confidence interval, in the unit of the samples; written as `[lower, upper]`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// Its lower end.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

impl From<[f64; 2]> for Interval {
    fn from([lower, upper]: [f64; 2]) -> Self {
        Self { lower, upper }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.lower, interval.upper]
    }
}

impl Interval {
    /// The interval in another unit: both ends times `factor`, which must not be negative.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { lower: self.lower * factor, upper: self.upper * factor }
    }
}

/// The arithmetic mean; `None` of no values.
#[must_use]
pub fn mean(values: &[u64]) -> Option<f64> {
    let total: u128 = values.iter().map(|value| u128::from(*value)).sum();
    (!values.is_empty()).then(|| total as f64 / values.len() as f64)
}

/// The quantile at `share` (0 to 1) of values in ascending order, interpolated linearly (Hyndman
/// and Fan's type 7, as in NumPy and R); `None` of no values.
#[must_use]
pub fn quantile(ascending: &[u64], share: f64) -> Option<f64> {
    let (below, above, weight) = neighbours(ascending.len(), share)?;
    Some(interpolate(ascending[below] as f64, ascending[above] as f64, weight))
}

/// The 95 % interval of the mean of what `values` are a sample of; `None` of no values.
#[must_use]
pub fn mean_interval(values: &[u64], seed: u64) -> Option<Interval> {
    let mut generator = SplitMix64::new(seed, 0);
    percentiles(|| resampled_mean(values, &mut generator))
}

/// The 95 % interval of how much higher the mean behind `first` is than the mean behind `second`;
/// `None` if either is empty.
#[must_use]
pub fn difference_interval(first: &[u64], second: &[u64], seed: u64) -> Option<Interval> {
    let mut generators = [SplitMix64::new(seed, 0), SplitMix64::new(seed, 1)];
    percentiles(|| {
        let [one, other] = &mut generators;
        Some(resampled_mean(first, one)? - resampled_mean(second, other)?)
    })
}

/// The mean of as many values drawn with replacement as there are.
fn resampled_mean(values: &[u64], generator: &mut SplitMix64) -> Option<f64> {
    let drawn = (0..values.len()).map(|_| u128::from(values[generator.below(values.len())]));
    let total: u128 = drawn.sum();
    (!values.is_empty()).then(|| total as f64 / values.len() as f64)
}

/// The 2.5th and 97.5th percentiles of a statistic computed on every resample.
fn percentiles(mut statistic: impl FnMut() -> Option<f64>) -> Option<Interval> {
    let mut values = (0..RESAMPLES).map(|_| statistic()).collect::<Option<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    let at = |share| {
        let (below, above, weight) = neighbours(values.len(), share)?;
        Some(interpolate(values[below], values[above], weight))
    };
    Some(Interval { lower: at(0.025)?, upper: at(0.975)? })
}

/// Indices of the two values that a type-7 quantile lies between and how far it is from the first.
fn neighbours(count: usize, share: f64) -> Option<(usize, usize, f64)> {
    let last = count.checked_sub(1)?;
    let position = last as f64 * share.clamp(0.0, 1.0);
    let below = position.floor() as usize;
    Some((below, (below + 1).min(last), position - below as f64))
}

fn interpolate(below: f64, above: f64, weight: f64) -> f64 {
    below + weight * (above - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        for (values, share, expected) in [
            (&[1, 2, 3, 4][..], 0.95, 3.85),
            (&[15, 20, 35, 40, 50], 0.4, 29.0),
            (&[15, 20, 35, 40, 50], 0.0, 15.0),
            (&[15, 20, 35, 40, 50], 1.0, 50.0),
            (&[7], 0.5, 7.0),
        ] {
            let found = quantile(values, share).unwrap();
            assert!((found - expected).abs() < 1e-12, "{values:?} at {share}: {found}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn means_do_not_overflow() {
        assert_eq!(mean(&[1, 2, 6]), Some(3.0));
        assert_eq!(mean(&[u64::MAX, u64::MAX]), Some(u64::MAX as f64));
        assert_eq!(mean(&[]), None);
    }

    /// The expected values are from an independent implementation of generator, resampling and
    /// quantile, in Python.
    #[test]
    fn intervals_are_the_reference_ones() {
        let first = [12, 15, 11, 19, 14, 13, 17, 16];
        let second = [22, 18, 25, 21, 19, 24];
        let mean = mean_interval(&first, 42).unwrap();
        let difference = difference_interval(&first, &second, 42).unwrap();
        assert_eq!(<[f64; 2]>::from(mean), [13.0, 16.375]);
        let [lower, upper] = difference.into();
        assert!((lower + 9.417_708_333_333_334).abs() < 1e-9, "{lower}");
        assert!((upper + 4.333_333_333_333_332).abs() < 1e-9, "{upper}");
    }

    #[test]
    fn an_interval_of_constant_values_is_a_point() {
        assert_eq!(mean_interval(&[5; 9], 1), Some(Interval { lower: 5.0, upper: 5.0 }));
        let difference = difference_interval(&[5; 9], &[8; 4], 1);
        assert_eq!(difference, Some(Interval { lower: -3.0, upper: -3.0 }));
        assert_eq!(mean_interval(&[], 1), None);
        assert_eq!(difference_interval(&[1], &[], 1), None);
    }

    #[test]
    fn the_interval_covers_the_true_mean_as_often_as_promised() {
        let mut generator = SplitMix64::new(9, 9);
        let covered = (0..200)
            .filter(|round| {
                let sample: Vec<u64> =
                    (0..50).map(|_| (1_000.0 + 100.0 * generator.normals()[0]) as u64).collect();
                let interval = mean_interval(&sample, *round).unwrap();
                (interval.lower..=interval.upper).contains(&999.5)
            })
            .count();
        assert!((180..=199).contains(&covered), "{covered} of 200");
    }
}
