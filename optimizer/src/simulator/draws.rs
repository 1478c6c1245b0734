//! Random times.

use crate::performance_model::LONGEST_WORK_US;
use crate::random::SplitMix64;

/// 95th percentile of the standard normal distribution.
const Z_P95: f64 = 1.644_853_626_951_472_2;

/// A log-normal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogNormal {
    median: f64,
    /// Standard deviation of the logarithm.
    sigma: f64,
}

impl LogNormal {
    /// With this median and 95th percentile; it does not vary if the latter is not above the former.
    pub(super) fn of_percentiles(median: f64, p95: f64) -> Self {
        let varies = median > 0.0 && p95 > median;
        let sigma = if varies { (p95 / median).ln() / Z_P95 } else { 0.0 };
        Self { median, sigma }
    }

    /// With mean 1 and this coefficient of variation.
    pub(super) fn of_variation(variation: f64) -> Self {
        let variance = (variation * variation).ln_1p();
        Self { median: (-variance / 2.0).exp(), sigma: variance.sqrt() }
    }
}

/// Where the random numbers of one simulation come from.
#[derive(Debug)]
pub(super) struct Draws {
    generator: SplitMix64,
    /// Normal numbers come in pairs.
    spare: Option<f64>,
}

impl Draws {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self { generator: SplitMix64::new(seed, stream), spare: None }
    }

    /// A number from (0, 1], each as likely.
    pub(super) fn unit(&mut self) -> f64 {
        self.generator.unit()
    }

    /// A time in microseconds, so many times what is drawn from a distribution.
    pub(super) fn time_us(&mut self, times: f64, distribution: LogNormal) -> u64 {
        (times * self.log_normal(distribution)).min(LONGEST_WORK_US).round() as u64
    }

    /// A number from a distribution.
    fn log_normal(&mut self, distribution: LogNormal) -> f64 {
        let LogNormal { median, sigma } = distribution;
        if sigma == 0.0 {
            return median;
        }
        let normal = match self.spare.take() {
            Some(spare) => spare,
            None => {
                let [one, other] = self.generator.normals();
                self.spare = Some(other);
                one
            }
        };
        median * (sigma * normal).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(distribution: LogNormal) -> Vec<f64> {
        let mut draws = Draws::new(3, 0);
        let mut numbers: Vec<f64> = (0..40_000).map(|_| draws.log_normal(distribution)).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    }

    #[test]
    fn percentiles_are_those_given() {
        let numbers = numbers(LogNormal::of_percentiles(15.0, 40.0));
        assert!((numbers[20_000] - 15.0).abs() < 0.3, "{}", numbers[20_000]);
        assert!((numbers[38_000] - 40.0).abs() < 1.2, "{}", numbers[38_000]);
    }

    #[test]
    fn variation_is_that_given_around_a_mean_of_1() {
        let numbers = numbers(LogNormal::of_variation(0.3));
        let mean = numbers.iter().sum::<f64>() / 40_000.0;
        let variance = numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 40_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() - 0.3).abs() < 0.01, "{variance}");
    }

    #[test]
    fn what_does_not_vary_is_drawn_exactly_and_leaves_the_generator_alone() {
        let mut draws = Draws::new(3, 0);
        for distribution in [
            LogNormal::of_variation(0.0),
            LogNormal::of_percentiles(1.0, 1.0),
            LogNormal::of_percentiles(1.0, 0.0),
        ] {
            assert_eq!(draws.log_normal(distribution), 1.0);
        }
        assert_eq!(draws.log_normal(LogNormal::of_percentiles(0.0, 9.0)), 0.0);
        assert_eq!(draws.unit(), Draws::new(3, 0).unit());
    }
}
