//! A task given by a formula.
//!
//! An execution takes CPU work on the vCPUs it gets, of which a share runs on several cores (Amdahl's
//! law), and waiting that no resource shortens. Both vary together, log-normally. It holds the memory
//! of its runtime and code and a working set. All but the former may depend on the input, as products
//! of powers: a feature twice its reference multiplies the CPU work by 2 to its exponent.

use crate::flow::Data;
use crate::units::{MemoryMb, MilliVcpu};

/// Longest that one piece of work takes, in microseconds (about eleven days): exponents cannot make
/// sums of times overflow.
pub(crate) const LONGEST_WORK_US: f64 = 1e12;

/// What one execution of a task takes.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformanceModel {
    /// CPU time on one vCPU, in microseconds.
    pub cpu_us: u64,
    /// How it uses more than one.
    pub parallel: Parallel,
    /// Time that passes without using the CPU, in microseconds.
    pub waiting_us: u64,
    /// Memory that its process has before it does anything.
    pub memory_floor: MemoryMb,
    /// Memory that an execution needs on top.
    pub working_set: MemoryMb,
    /// By how much times vary: the standard deviation as a share of the mean (coefficient of
    /// variation), 0 to 10. They are log-normally distributed, and their mean is the one given.
    pub noise: f64,
    /// What they depend on.
    pub features: Vec<Feature>,
}

/// How a task uses several cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parallel {
    /// Share of its CPU time that several cores can divide, 0 to 1.
    pub share: f64,
    /// Cores that they can be, at least 1.
    pub width: u32,
}

/// A feature of the input that a task's needs depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// JSON pointer (RFC 6901) to it in the input. A number counts as it is, a list by its elements,
    /// a string by its bytes, and anything else, or nothing, as the reference value.
    pub at: String,
    /// Its value where needs are as given, above 0.
    pub reference: f64,
    /// Exponent for the CPU time, −10 to 10.
    pub cpu: f64,
    /// Exponent for the waiting time, −10 to 10.
    pub waiting: f64,
    /// Exponent for the working set, −10 to 10.
    pub memory: f64,
}

/// Why a model is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A parallel share outside its range.
    #[error("a parallel share is from 0 to 1, not {0}")]
    Share(f64),
    /// Parallel work on no core.
    #[error("a parallel width is at least 1")]
    Width,
    /// Noise outside its range.
    #[error("a coefficient of variation is from 0 to 10, not {0}")]
    Noise(f64),
    /// A reference value that is not above 0.
    #[error("the reference value of `{at}` is above 0, not {reference}")]
    Reference {
        /// The feature.
        at: String,
        /// The value.
        reference: f64,
    },
    /// An exponent outside its range.
    #[error("an exponent of `{at}` is from -10 to 10, not {exponent}")]
    Exponent {
        /// The feature.
        at: String,
        /// The exponent.
        exponent: f64,
    },
    /// A feature that is nowhere.
    #[error("`{0}` is no JSON pointer such as /video/seconds")]
    Pointer(String),
    /// An input that was not recorded.
    #[error("no execution with the input `{input}` was recorded; there are {inputs}")]
    NotRecorded {
        /// The input.
        input: String,
        /// Those that were, separated by commas.
        inputs: String,
    },
}

/// By how much an input multiplies what a task needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) cpu: f64,
    pub(crate) waiting: f64,
    pub(crate) memory: f64,
}

impl Parallel {
    /// All on one core.
    pub const NONE: Self = Self { share: 0.0, width: 1 };
}

impl Feature {
    /// Its value in an input, or the reference value.
    fn value(&self, input: &Data) -> f64 {
        let value = match input.pointer(&self.at) {
            Some(Data::Number(number)) => number.as_f64(),
            Some(Data::List(_)) => {
                input.pointer(&self.at).and_then(Data::as_list).map(|list| list.len() as f64)
            }
            Some(Data::String(text)) => Some(text.len() as f64),
            _ => None,
        };
        value.unwrap_or(self.reference)
    }
}

impl PerformanceModel {
    /// Only CPU time on one core and memory, always the same.
    #[must_use]
    pub fn cpu(cpu_us: u64, memory: MemoryMb) -> Self {
        Self {
            cpu_us,
            parallel: Parallel::NONE,
            waiting_us: 0,
            memory_floor: memory,
            working_set: MemoryMb(0),
            noise: 0.0,
            features: Vec::new(),
        }
    }

    /// Checks that every number is within its range.
    ///
    /// # Errors
    /// If one is not.
    pub fn check(&self) -> Result<(), ModelError> {
        // The ranges also refuse what is not a number.
        if !(0.0..=1.0).contains(&self.parallel.share) {
            return Err(ModelError::Share(self.parallel.share));
        }
        if self.parallel.width == 0 {
            return Err(ModelError::Width);
        }
        if !(0.0..=10.0).contains(&self.noise) {
            return Err(ModelError::Noise(self.noise));
        }
        for Feature { at, reference, cpu, waiting, memory } in &self.features {
            if !at.is_empty() && !at.starts_with('/') {
                return Err(ModelError::Pointer(at.clone()));
            }
            if !(*reference > 0.0 && reference.is_finite()) {
                return Err(ModelError::Reference { at: at.clone(), reference: *reference });
            }
            let wrong = [*cpu, *waiting, *memory].into_iter().find(|e| !(-10.0..=10.0).contains(e));
            if let Some(exponent) = wrong {
                return Err(ModelError::Exponent { at: at.clone(), exponent });
            }
        }
        Ok(())
    }

    /// Time that its CPU work takes on so many vCPUs, as a multiple of that on one. One core does at
    /// most one vCPU's work, and several share the quota.
    #[must_use]
    pub fn slowdown(&self, vcpu: MilliVcpu) -> f64 {
        let Parallel { share, width } = self.parallel;
        let vcpus = f64::from(vcpu.0.max(1)) / 1_000.0;
        (1.0 - share) / vcpus.min(1.0) + share / vcpus.min(f64::from(width))
    }

    /// By how much this input multiplies what it needs.
    pub(crate) fn scale(&self, input: &Data) -> Scale {
        let mut scale = Scale { cpu: 1.0, waiting: 1.0, memory: 1.0 };
        for feature in &self.features {
            let ratio = (feature.value(input) / feature.reference).max(0.0);
            scale.cpu *= ratio.powf(feature.cpu);
            scale.waiting *= ratio.powf(feature.waiting);
            scale.memory *= ratio.powf(feature.memory);
        }
        scale
    }

    /// Memory that an execution needs with this input, in MB.
    #[must_use]
    pub fn memory_mb(&self, input: &Data) -> u32 {
        let scale = if self.features.is_empty() { 1.0 } else { self.scale(input).memory };
        // Converting saturates, and what is no number becomes 0.
        let working_set = (f64::from(self.working_set.0) * scale).ceil() as u32;
        self.memory_floor.0.saturating_add(working_set)
    }

    /// Time that an execution takes on so many vCPUs with this input, on average, in microseconds.
    #[must_use]
    pub fn mean_us(&self, vcpu: MilliVcpu, input: &Data) -> f64 {
        self.scaled_us(self.slowdown(vcpu), input)
    }

    /// As [`PerformanceModel::mean_us`], the slowdown known.
    pub(crate) fn scaled_us(&self, slowdown: f64, input: &Data) -> f64 {
        let (cpu_us, waiting_us) = (self.cpu_us as f64 * slowdown, self.waiting_us as f64);
        if self.features.is_empty() {
            return cpu_us + waiting_us;
        }
        let scale = self.scale(input);
        let mean_us = cpu_us * scale.cpu + waiting_us * scale.waiting;
        // A feature of 0 under a negative exponent makes it infinite, or 0 times that.
        if mean_us.is_nan() { 0.0 } else { mean_us.min(LONGEST_WORK_US) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model() -> PerformanceModel {
        PerformanceModel {
            parallel: Parallel { share: 0.75, width: 4 },
            waiting_us: 50_000,
            working_set: MemoryMb(100),
            ..PerformanceModel::cpu(400_000, MemoryMb(30))
        }
    }

    fn feature(at: &str) -> Feature {
        Feature { at: at.to_owned(), reference: 10.0, cpu: 1.0, waiting: 0.0, memory: 0.5 }
    }

    #[test]
    fn cpu_work_follows_amdahl_up_to_the_width_and_waiting_is_never_shorter() {
        for (milli_vcpu, expect_us) in [
            // Below one vCPU everything takes proportionally longer.
            (500, 800_000.0 + 50_000.0),
            (1_000, 400_000.0 + 50_000.0),
            // 100 ms alone and 300 ms on two, four and, at most, four cores.
            (2_000, 100_000.0 + 150_000.0 + 50_000.0),
            (2_500, 100_000.0 + 120_000.0 + 50_000.0),
            (4_000, 100_000.0 + 75_000.0 + 50_000.0),
            (10_000, 100_000.0 + 75_000.0 + 50_000.0),
        ] {
            assert_eq!(model().mean_us(MilliVcpu(milli_vcpu), &Data::Null), expect_us);
        }
    }

    #[test]
    fn needs_follow_the_features_of_the_input() {
        let mut model = model();
        model.features = vec![feature("/size")];
        let check = |input: serde_json::Value, cpu_factor: f64, memory_mb| {
            let input = Data::from(input);
            let expect_us = 400_000.0 * cpu_factor + 50_000.0;
            assert!((model.mean_us(MilliVcpu(1_000), &input) - expect_us).abs() < 1e-6, "{input}");
            assert_eq!(model.memory_mb(&input), memory_mb, "{input}");
        };
        check(json!({"size": 10}), 1.0, 130);
        check(json!({"size": 40}), 4.0, 30 + 200);
        check(json!({"size": [0, 0, 0, 0, 0]}), 0.5, 30 + 71);
        check(json!({"size": "0123456789"}), 1.0, 130);
        check(json!({"size": 0}), 0.0, 30);
        check(json!({"size": null}), 1.0, 130);
        check(json!({}), 1.0, 130);
    }

    #[test]
    fn features_multiply_and_no_exponent_makes_times_overflow() {
        let mut model = model();
        model.features = vec![feature("/a"), feature("/b")];
        let both = Data::from(json!({"a": 20, "b": 30}));
        assert!((model.scale(&both).cpu - 6.0).abs() < 1e-9);
        model.features[0].cpu = -10.0;
        let endless = Data::from(json!({"a": 0, "b": 1e300}));
        assert_eq!(model.mean_us(MilliVcpu(1_000), &endless), LONGEST_WORK_US);
        assert_eq!(model.memory_mb(&Data::from(json!({"a": 1e300, "b": 1e300}))), u32::MAX);
    }

    #[test]
    fn numbers_outside_their_ranges_are_refused() {
        let wrong = |change: fn(&mut PerformanceModel)| {
            let mut model = model();
            model.features = vec![feature("/a")];
            assert_eq!(model.check(), Ok(()));
            change(&mut model);
            model.check().unwrap_err()
        };
        assert_eq!(wrong(|m| m.parallel.share = 1.5), ModelError::Share(1.5));
        assert_eq!(wrong(|m| m.parallel.width = 0), ModelError::Width);
        assert_eq!(wrong(|m| m.noise = -0.1), ModelError::Noise(-0.1));
        assert!(matches!(wrong(|m| m.noise = f64::NAN), ModelError::Noise(_)));
        assert!(matches!(wrong(|m| m.features[0].reference = 0.0), ModelError::Reference { .. }));
        assert!(matches!(wrong(|m| m.features[0].memory = 11.0), ModelError::Exponent { .. }));
        assert_eq!(wrong(|m| m.features[0].at = "a".into()), ModelError::Pointer("a".into()));
    }
}
