//! Where an alias leads: to one version, or to two with a weight.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::error::ApiError;
use crate::function::LATEST;

/// The second version of an alias and the share of its invocations, 0–1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighted {
    pub(crate) version: String,
    pub(crate) weight: f64,
}

/// Versions that an alias leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Routing {
    pub(crate) version: String,
    pub(crate) additional: Option<Weighted>,
}

impl Routing {
    /// Checked as Lambda does, but for whether the versions exist.
    pub(crate) fn new(version: String, weights: &BTreeMap<String, f64>) -> Result<Self, ApiError> {
        if weights.len() > 1 {
            return Err(ApiError::invalid_parameter(
                "Number of items in AdditionalVersionWeights cannot be greater than 1",
            ));
        }
        let Some((additional, &weight)) = weights.first_key_value() else {
            return Ok(Self { version, additional: None });
        };
        let refuse = |constraint: &str| {
            ApiError::validation(format!(
                "1 validation error detected: Value '{{{additional}={weight}}}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: {constraint}"
            ))
        };
        if !(0.0..=1.0).contains(&weight) {
            return Err(refuse("Map value must be between 0.0 and 1.0"));
        }
        if additional.is_empty() || !additional.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse("Map keys must be version numbers, [0-9]+"));
        }
        if version == LATEST {
            return Err(ApiError::invalid_parameter(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ));
        }
        if *additional == version {
            return Err(ApiError::invalid_parameter(format!(
                "Invalid function version {version}. Function version {version} is already included in routing configuration."
            )));
        }
        let additional = Some(Weighted { version: additional.clone(), weight });
        Ok(Self { version, additional })
    }

    /// Weights as Lambda's API takes them.
    pub(crate) fn weights(&self) -> BTreeMap<String, f64> {
        self.additional.iter().map(|other| (other.version.clone(), other.weight)).collect()
    }

    /// Whether invocations can lead to this version.
    pub(crate) fn leads_to(&self, version: &str) -> bool {
        self.version == version
            || self.additional.as_ref().is_some_and(|other| other.version == version)
    }

    /// Version of the next invocation.
    pub(crate) fn choose(&self, draws: &Draws) -> &str {
        match &self.additional {
            Some(other) if draws.draw() < other.weight => &other.version,
            _ => &self.version,
        }
    }
}

/// Draws the versions of one server's weighted invocations.
#[derive(Debug)]
pub(crate) struct Draws(Mutex<StdRng>);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A number in [0, 1).
    fn draw(&self) -> f64 {
        self.0.lock().expect("no draw panics").random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(version: &str, weights: &[(&str, f64)]) -> Result<Routing, ApiError> {
        let weights = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight));
        Routing::new(version.to_owned(), &weights.collect())
    }

    #[test]
    fn what_lambda_refuses_is_refused() {
        for (version, weights, kind) in [
            ("1", [("2", 0.1), ("3", 0.1)].as_slice(), "InvalidParameterValueException"),
            ("1", &[("2", 1.1)], "ValidationException"),
            ("1", &[("2", -0.1)], "ValidationException"),
            ("1", &[(LATEST, 0.1)], "ValidationException"),
            ("1", &[("1", 0.1)], "InvalidParameterValueException"),
            (LATEST, &[("2", 0.1)], "InvalidParameterValueException"),
        ] {
            let error = routing(version, weights).unwrap_err();
            assert_eq!(error.kind, kind, "{version} {weights:?}: {}", error.message);
        }
        assert_eq!(routing(LATEST, &[]).unwrap().additional, None);
    }

    #[test]
    fn shares_follow_the_weight_and_repeat_with_the_seed() {
        let chosen = |weight, seed| -> Vec<bool> {
            let (routing, draws) = (routing("1", &[("2", weight)]).unwrap(), Draws::new(seed));
            (0..1_000).map(|_| routing.choose(&draws) == "2").collect()
        };
        let share = |weight| chosen(weight, 1).iter().filter(|second| **second).count();
        assert_eq!((share(0.0), share(1.0)), (0, 1_000));
        assert!((260..340).contains(&share(0.3)), "{}", share(0.3));
        assert_eq!(chosen(0.3, 7), chosen(0.3, 7));
        assert_ne!(chosen(0.3, 7), chosen(0.3, 8));
    }
}
