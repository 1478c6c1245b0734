//! The delay that every invoke gets before it is dispatched.
//!
//! A call between two functions on one machine takes 1 ms, on AWS 10–60 ms; without a delay the
//! local backend would hide most of what fusion saves. The delay is not part of the function's
//! duration, is drawn from a seeded generator, and can be switched off.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// 95th percentile of the standard normal distribution.
const Z_P95: f64 = 1.644_853_626_951_472_2;

/// Distribution of the delay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvokeOverhead {
    /// No delay: the bare machine.
    None,
    /// Log-normal, given by two of its percentiles.
    LogNormal {
        /// Median in microseconds.
        median_us: u64,
        /// 95th percentile in microseconds; not below the median.
        p95_us: u64,
    },
}

impl Default for InvokeOverhead {
    fn default() -> Self {
        Self::LogNormal { median_us: 15_000, p95_us: 40_000 }
    }
}

impl fmt::Display for InvokeOverhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::LogNormal { median_us, p95_us } => {
                write!(f, "{},{}", Micros(*median_us), Micros(*p95_us))
            }
        }
    }
}

/// Microseconds in the largest unit that shows them as an integer.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us.is_multiple_of(1_000) => write!(f, "{}ms", us / 1_000),
            us => write!(f, "{us}us"),
        }
    }
}

/// A text that is no invoke overhead.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no invoke overhead; use `none` or median and 95th percentile, such as `15ms,40ms`"
)]
pub struct InvokeOverheadError(String);

impl FromStr for InvokeOverhead {
    type Err = InvokeOverheadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::None);
        }
        let parse = || {
            let (median, p95) = text.split_once(',')?;
            let (median_us, p95_us) = (micros(median.trim())?, micros(p95.trim())?);
            (median_us > 0 && p95_us >= median_us).then_some(Self::LogNormal { median_us, p95_us })
        };
        parse().ok_or_else(|| InvokeOverheadError(text.to_owned()))
    }
}

/// Microseconds in `40ms`, `1s` or `250us`.
fn micros(text: &str) -> Option<u64> {
    let (digits, unit_us) = if let Some(digits) = text.strip_suffix("us") {
        (digits, 1)
    } else if let Some(digits) = text.strip_suffix("ms") {
        (digits, 1_000)
    } else {
        (text.strip_suffix('s')?, 1_000_000)
    };
    digits.parse::<u64>().ok()?.checked_mul(unit_us)
}

/// Draws the delays of one server.
#[derive(Debug)]
pub(crate) struct Delays {
    overhead: InvokeOverhead,
    generator: Mutex<StdRng>,
}

impl Delays {
    pub(crate) fn new(overhead: InvokeOverhead, seed: u64) -> Self {
        Self { overhead, generator: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// The next delay, if there is any.
    pub(crate) fn draw(&self) -> Option<Duration> {
        let InvokeOverhead::LogNormal { median_us, p95_us } = self.overhead else {
            return None;
        };
        let (median, p95) = (median_us as f64, p95_us as f64);
        let sigma = (p95 / median).ln() / Z_P95;
        let us = median * (sigma * self.standard_normal()).exp();
        Some(Duration::from_micros(us.round() as u64))
    }

    /// Box–Muller: one normal deviate out of two uniform ones.
    fn standard_normal(&self) -> f64 {
        let mut generator = self.generator.lock().expect("no draw panics");
        let radius: f64 = generator.random();
        let angle: f64 = generator.random();
        // `1 - radius` is in (0, 1], where the logarithm is finite.
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overheads_read_back() {
        for text in ["none", "15ms,40ms", "250us,1ms"] {
            assert_eq!(text.parse::<InvokeOverhead>().unwrap().to_string(), text);
        }
        assert_eq!("15ms,40ms".parse(), Ok(InvokeOverhead::default()));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "15ms", "40ms,15ms", "0ms,1ms", "15,40", "-1ms,2ms"] {
            assert!(text.parse::<InvokeOverhead>().is_err(), "{text}");
        }
    }

    #[test]
    fn delays_have_the_stated_percentiles_and_repeat_with_the_seed() {
        let delays = Delays::new(InvokeOverhead::default(), 7);
        let draws: Vec<_> = (0..10_000).map(|_| delays.draw().unwrap().as_micros()).collect();
        let mut sorted = draws.clone();
        sorted.sort_unstable();
        assert!((14_500..15_500).contains(&sorted[5_000]), "{}", sorted[5_000]);
        assert!((38_000..42_000).contains(&sorted[9_500]), "{}", sorted[9_500]);

        let again = Delays::new(InvokeOverhead::default(), 7);
        assert!(draws.iter().all(|us| again.draw().unwrap().as_micros() == *us));
    }
}
