//! Units: memory, vCPU and money as integers, so that equal inputs give equal bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Memory in MB (2²⁰ bytes), as Lambda counts it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MemoryMb(pub u32);

/// Thousandths of a vCPU.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MilliVcpu(pub u32);

/// Money in units of 10⁻¹² US dollars (or of a price book's own unit, see [`crate::price`]).
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct PicoUsd(pub u64);

/// What one function gets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Resources {
    /// CPU time per wall time, at most.
    #[serde(rename = "milli_vcpu")]
    pub vcpu: MilliVcpu,
    /// Memory limit.
    #[serde(rename = "memory_mb")]
    pub memory: MemoryMb,
}

impl PicoUsd {
    /// The amount in dollars.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl std::ops::Add for PicoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::iter::Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |total, amount| total + amount)
    }
}

impl fmt::Display for MemoryMb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MB", self.0)
    }
}

impl fmt::Display for MilliVcpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vCPU", f64::from(self.0) / 1000.0)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.vcpu, self.memory)
    }
}
