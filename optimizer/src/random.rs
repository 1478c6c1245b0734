//! Random numbers for resampling, restarts and the simulator.
//!
//! SplitMix64 instead of a generator of the `rand` crate, because the state is part of serialised
//! searches and of promised results: it must mean the same after any update of a dependency.

use serde::{Deserialize, Serialize};

/// A seeded generator (Steele, Lea and Flood, 2014) whose whole state is one number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator of one sub-problem: equal seeds and streams give equal numbers, and other
    /// streams of the same seed unrelated ones.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Self(stream);
        Self(seed ^ mixer.next())
    }

    /// The next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// An index below `bound`, which must not be 0. The bias is below `bound` / 2⁶⁴.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number from (0, 1].
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Two independent numbers from the standard normal distribution (Box and Muller).
    pub(crate) fn normals(&mut self) -> [f64; 2] {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.unit()).sin_cos();
        [radius * cosine, radius * sine]
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    #[test]
    fn gives_the_published_numbers() {
        let mut generator = SplitMix64(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| generator.next()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, published);
    }

    #[test]
    fn indices_cover_the_range_and_stay_below_the_bound() {
        let mut generator = SplitMix64::new(1, 0);
        let mut seen = [0; 7];
        for _ in 0..7_000 {
            seen[generator.below(7)] += 1;
        }
        assert!(seen.iter().all(|count| (850..1_150).contains(count)), "{seen:?}");
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut generator = SplitMix64::new(2, 0);
        let numbers: Vec<f64> = (0..10_000).flat_map(|_| generator.normals()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
