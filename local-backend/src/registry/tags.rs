//! The tags of a function.

use std::collections::BTreeMap;

use super::{Registry, find, find_mut};
use crate::error::ApiError;

/// Tags of one function at most.
const MAX_TAGS: usize = 50;

/// Refuses tags that Lambda would refuse.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(ApiError::invalid_parameter(format!(
            "a function has at most {MAX_TAGS} tags, not {}",
            tags.len()
        )));
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_ascii_lowercase().starts_with("aws:")
    };
    match tags.iter().find(|tag| !fits(*tag)) {
        Some((key, _)) => Err(ApiError::invalid_parameter(format!(
            "tag `{key}` is refused: a key has 1–128 characters and does not start with `aws:`, a value has at most 256"
        ))),
        None => Ok(()),
    }
}

impl Registry {
    /// A function's tags.
    pub(crate) fn tags(&self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        Ok(find(&self.lock(), name)?.tags.clone())
    }

    /// Adds tags over those that are there.
    pub(crate) fn tag(&self, name: &str, tags: BTreeMap<String, String>) -> Result<(), ApiError> {
        let mut functions = self.lock();
        let function = find_mut(&mut functions, name)?;
        let mut all = function.tags.clone();
        all.extend(tags);
        check(&all)?;
        function.tags = all;
        Ok(())
    }

    /// Removes the tags that are there of these.
    pub(crate) fn untag(&self, name: &str, keys: &[String]) -> Result<(), ApiError> {
        find_mut(&mut self.lock(), name)?.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    }
}
