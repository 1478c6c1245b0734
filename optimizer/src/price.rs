//! What a platform charges: eq. 2-1 to 2-3 of the thesis with real prices, and its eq. 4-1.
//!
//! Amounts are integers of 10⁻¹² dollars. A book may have a currency of its own; then
//! [`PriceBook::unit`] says what the 10⁻¹² are of.

use serde::{Deserialize, Serialize};

use crate::platforms::{self, UnknownName};
use crate::units::{PicoUsd, Resources};

/// Prices of one platform. One request is part of the cost of every invocation; free tiers and
/// volume discounts are left out, because they depend on what else an account runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PriceBook {
    /// Short name, as in results.
    pub name: String,
    /// What one dollar in results stands for.
    pub unit: String,
    /// For one GB (1024 MB) of memory limit over one second.
    pub per_gb_second: PicoUsd,
    /// For one vCPU over one second; 0 where CPU comes with the memory.
    pub per_vcpu_second: PicoUsd,
    /// For one GB (1024 MB) of /tmp beyond [`FREE_STORAGE_MB`] over one second; 0 where none is charged.
    #[serde(default)]
    pub per_storage_gb_second: PicoUsd,
    /// For each invocation.
    pub per_request: PicoUsd,
    /// Billed time is a multiple of this, rounded up, and at least one of it, in milliseconds.
    pub granularity_ms: u64,
    /// Time billed at least, in milliseconds.
    pub minimum_ms: u64,
    /// Whether starting an instance is billed like running.
    pub init_billed: bool,
    /// Where the prices are from.
    pub source: String,
    /// Day they were valid, as YYYY-MM-DD.
    pub date: String,
}

/// Size of /tmp that every function has for nothing, in MB.
pub const FREE_STORAGE_MB: u32 = 512;

impl PriceBook {
    /// The built-in book of this name; [`platforms::price_names`] lists them.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        platforms::prices(name)
    }

    /// AWS Lambda on x86-64, first tier, us-east-1. The start of an instance has been billed for
    /// every kind of function since 1 August 2025.
    #[must_use]
    pub fn lambda_x86() -> Self {
        Self::named("lambda-x86").expect("it is built in")
    }

    /// AWS Lambda on arm64, first tier, us-east-1.
    #[must_use]
    pub fn lambda_arm64() -> Self {
        Self::named("lambda-arm64").expect("it is built in")
    }

    /// The thesis's decoupled prices, eq. 4-1: t · (0.512 · vCPU + 0.001 · MB), with t in
    /// milliseconds and no price per request.
    ///
    /// They have no currency. One dollar here is one million of the thesis's units, so that its
    /// 2390.9k reads as 2.3909 and sums stay far from overflow.
    #[must_use]
    pub fn thesis_decoupled() -> Self {
        Self::named("thesis").expect("it is built in")
    }

    /// What the /tmp of one invocation costs that was billed for `billed_ms`, rounded half up.
    #[must_use]
    pub fn storage_cost(&self, storage_mb: u32, billed_ms: u64) -> PicoUsd {
        let beyond = u128::from(storage_mb.saturating_sub(FREE_STORAGE_MB));
        let divisor = 1_024 * 1_000;
        let product = beyond
            .saturating_mul(u128::from(self.per_storage_gb_second.0))
            .saturating_mul(u128::from(billed_ms));
        PicoUsd(u64::try_from(product.saturating_add(divisor / 2) / divisor).unwrap_or(u64::MAX))
    }

    /// What one invocation costs that was billed for `billed_ms` with these resources, rounded
    /// half up; the largest amount there is if it would not fit.
    #[must_use]
    pub fn cost(&self, resources: Resources, billed_ms: u64) -> PicoUsd {
        // Both products are in 10⁻¹² dollars times 1024 · 1000 per millisecond.
        let memory = u128::from(resources.memory.0) * u128::from(self.per_gb_second.0) * 1_000;
        let vcpu = u128::from(resources.vcpu.0) * u128::from(self.per_vcpu_second.0) * 1_024;
        let divisor = 1_024 * 1_000 * 1_000;
        let running = (memory + vcpu).saturating_mul(u128::from(billed_ms));
        let running = running.saturating_add(divisor / 2) / divisor;
        let total = running + u128::from(self.per_request.0);
        PicoUsd(u64::try_from(total).unwrap_or(u64::MAX))
    }

    /// Time billed for an invocation that ran for `duration_us`, after a start of its instance of
    /// `init_us` if it had to be started, in milliseconds.
    #[must_use]
    pub fn billed_ms(&self, duration_us: u64, init_us: Option<u64>) -> u64 {
        let init_us = init_us.filter(|_| self.init_billed).unwrap_or(0);
        let billed_us = (duration_us + init_us).max(self.minimum_ms * 1_000);
        billed_us.div_ceil(self.granularity_ms * 1_000).max(1) * self.granularity_ms
    }

    /// Time billed for an invocation whose REPORT line says `reported_ms`, in milliseconds. That is
    /// Lambda's own figure and counts if the book bills by Lambda's rule: each millisecond begun, and
    /// the start too. Otherwise see [`PriceBook::billed_ms`].
    #[must_use]
    pub fn billed_ms_of_report(
        &self,
        reported_ms: u64,
        duration_us: u64,
        init_us: Option<u64>,
    ) -> u64 {
        match self {
            Self { granularity_ms: 1, minimum_ms: 0 | 1, init_billed: true, .. } => reported_ms,
            _ => self.billed_ms(duration_us, init_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MemoryMb, MilliVcpu};

    fn resources(milli_vcpu: u32, memory_mb: u32) -> Resources {
        Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(memory_mb) }
    }

    #[test]
    fn billed_time_is_what_real_reports_say() {
        let book = PriceBook::lambda_x86();
        for (duration_us, init_us, billed_ms) in [
            (395_990, Some(265_720), 662),
            (1_233_960, Some(463_512), 1_698),
            (1_293_830, Some(1_049_630), 2_344),
            (198_790, Some(132_790), 332),
            (35_500, None, 36),
            (3_000_000, None, 3_000),
            (0, None, 1),
        ] {
            assert_eq!(book.billed_ms(duration_us, init_us), billed_ms, "{duration_us}");
        }
        // A sample from before INIT was billed.
        let before = PriceBook { init_billed: false, ..book };
        assert_eq!(before.billed_ms(976_250, Some(430_470)), 977);
    }

    #[test]
    fn billed_time_is_rounded_up_by_the_books_rule() {
        let coarse = PriceBook { granularity_ms: 100, ..PriceBook::lambda_x86() };
        let minimum = PriceBook { minimum_ms: 250, ..coarse.clone() };
        for (duration_us, init_us, rounded_ms, at_least_ms) in [
            (0, None, 100, 300),
            (100_000, None, 100, 300),
            (100_001, None, 200, 300),
            (100_000, Some(250_000), 400, 400),
        ] {
            assert_eq!(coarse.billed_ms(duration_us, init_us), rounded_ms);
            assert_eq!(minimum.billed_ms(duration_us, init_us), at_least_ms);
        }
        // Lambda bills what it says it bills; other platforms do not know what Lambda says.
        assert_eq!(PriceBook::lambda_x86().billed_ms_of_report(977, 976_250, Some(430_470)), 977);
        assert_eq!(coarse.billed_ms_of_report(977, 976_250, Some(430_470)), 1_500);
        let without = PriceBook { init_billed: false, ..PriceBook::lambda_x86() };
        assert_eq!(without.billed_ms_of_report(1_407, 976_250, Some(430_470)), 977);
    }

    #[test]
    fn lambda_charges_for_memory_time_and_requests() {
        // One GB for one second and one request.
        let one = resources(579, 1_024);
        assert_eq!(PriceBook::lambda_x86().cost(one, 1_000), PicoUsd(16_666_700 + 200_000));
        assert_eq!(PriceBook::lambda_arm64().cost(one, 1_000), PicoUsd(13_333_400 + 200_000));
        // A million requests alone.
        assert_eq!(PriceBook::lambda_x86().cost(one, 0).0 * 1_000_000, 200_000_000_000);
        // 128 MB for one millisecond: 2083.3375 · 10⁻¹² dollars, rounded.
        assert_eq!(PriceBook::lambda_x86().cost(resources(72, 128), 1), PicoUsd(202_083));
    }

    #[test]
    fn halves_are_rounded_up() {
        let book = PriceBook { per_gb_second: PicoUsd(1_000), ..PriceBook::thesis_decoupled() };
        let book = PriceBook { per_vcpu_second: PicoUsd(0), ..book };
        assert_eq!(book.cost(resources(0, 512), 1), PicoUsd(1));
        assert_eq!(book.cost(resources(0, 511), 1), PicoUsd(0));
    }

    #[test]
    fn the_thesis_weighs_one_vcpu_like_512_mb() {
        let book = PriceBook::thesis_decoupled();
        assert_eq!(book.cost(resources(1_000, 0), 7), book.cost(resources(0, 512), 7));
        // 1 vCPU and 512 MB for one second: 1.024 · 1000 units.
        assert_eq!(book.cost(resources(1_000, 512), 1_000), PicoUsd(1_024_000_000));
        // 2390.9k units are 2.3909 "dollars".
        let chatbot = book.cost(resources(1_000, 512), 2_334_863);
        assert!((chatbot.usd() - 2.3909).abs() < 1e-4, "{}", chatbot.usd());
    }

    #[test]
    fn a_cost_that_does_not_fit_is_the_largest() {
        let book = PriceBook::thesis_decoupled();
        assert_eq!(book.cost(resources(u32::MAX, u32::MAX), u64::MAX), PicoUsd(u64::MAX));
    }
}
