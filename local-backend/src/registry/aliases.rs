//! The aliases of a function.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Function, Registry, find, find_mut, not_found, stale_revision};
use crate::error::ApiError;
use crate::function::function_arn;
use crate::routing::Routing;

/// An alias of a function.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    pub(super) routing: Routing,
    description: String,
    revision_id: String,
}

/// Body of `CreateAlias` and `UpdateAlias`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AliasSettings {
    pub(crate) name: Option<String>,
    pub(crate) function_version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) revision_id: Option<String>,
    pub(crate) routing_config: Option<RoutingConfig>,
}

/// Weights of an alias's further versions.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RoutingConfig {
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

impl RoutingConfig {
    fn weights(self) -> BTreeMap<String, f64> {
        self.additional_version_weights.unwrap_or_default()
    }
}

impl Registry {
    /// Creates an alias.
    pub(crate) fn create_alias(
        &self,
        function: &str,
        settings: AliasSettings,
    ) -> Result<Value, ApiError> {
        let missing = |what: &str| ApiError::invalid_parameter(format!("{what} is missing"));
        let name = settings.name.ok_or_else(|| missing("Name"))?;
        let version = settings.function_version.ok_or_else(|| missing("FunctionVersion"))?;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if name.is_empty() || name.len() > 128 || !plain || name.parse::<u64>().is_ok() {
            return Err(ApiError::invalid_parameter(format!(
                "`{name}` is no alias name: letters, digits, `-` and `_`, not only digits"
            )));
        }
        let weights = settings.routing_config.map(RoutingConfig::weights).unwrap_or_default();
        let mut functions = self.lock();
        let owner = find_mut(&mut functions, function)?;
        if owner.aliases.contains_key(&name) {
            return Err(ApiError::conflict(format!(
                "Alias already exists: {}",
                alias_arn(function, &name)
            )));
        }
        let routing = owner.checked_routing(function, version, &weights)?;
        let description = settings.description.unwrap_or_default();
        let alias = Alias { routing, description, revision_id: Uuid::new_v4().to_string() };
        let value = describe(function, &name, &alias);
        owner.aliases.insert(name, alias);
        Ok(value)
    }

    /// Points an alias somewhere else. A routing that is not given stays.
    pub(crate) fn update_alias(
        &self,
        function: &str,
        name: &str,
        settings: AliasSettings,
    ) -> Result<Value, ApiError> {
        let mut functions = self.lock();
        let owner = find_mut(&mut functions, function)?;
        let alias = owner.aliases.get(name).ok_or_else(|| missing(function, name))?.clone();
        if settings.revision_id.is_some_and(|id| id != alias.revision_id) {
            return Err(stale_revision());
        }
        let version = settings.function_version.unwrap_or_else(|| alias.routing.version.clone());
        let weights = settings.routing_config.map(RoutingConfig::weights);
        let weights = weights.unwrap_or_else(|| alias.routing.weights());
        let alias = Alias {
            routing: owner.checked_routing(function, version, &weights)?,
            description: settings.description.unwrap_or(alias.description),
            revision_id: Uuid::new_v4().to_string(),
        };
        let value = describe(function, name, &alias);
        owner.aliases.insert(name.to_owned(), alias);
        Ok(value)
    }

    /// One alias.
    pub(crate) fn alias(&self, function: &str, name: &str) -> Result<Value, ApiError> {
        let functions = self.lock();
        let alias = find(&functions, function)?.aliases.get(name);
        Ok(describe(function, name, alias.ok_or_else(|| missing(function, name))?))
    }

    /// The aliases of a function, those of one version only if it is given.
    pub(crate) fn aliases(
        &self,
        function: &str,
        version: Option<&str>,
    ) -> Result<Vec<Value>, ApiError> {
        let functions = self.lock();
        let aliases = find(&functions, function)?.aliases.iter();
        Ok(aliases
            .filter(|(_, alias)| version.is_none_or(|version| alias.routing.leads_to(version)))
            .map(|(name, alias)| describe(function, name, alias))
            .collect())
    }

    /// Deletes an alias; one that does not exist is deleted already.
    pub(crate) fn delete_alias(&self, function: &str, name: &str) -> Result<(), ApiError> {
        let mut functions = self.lock();
        let owner = find_mut(&mut functions, function)?;
        owner.aliases.remove(name);
        owner.events.remove(name);
        Ok(())
    }
}

impl Function {
    /// Name of an alias that leads to a version.
    pub(super) fn alias_to(&self, version: &str) -> Option<&str> {
        let mut aliases = self.aliases.iter();
        aliases.find(|(_, alias)| alias.routing.leads_to(version)).map(|(name, _)| name.as_str())
    }

    fn checked_routing(
        &self,
        function: &str,
        version: String,
        weights: &BTreeMap<String, f64>,
    ) -> Result<Routing, ApiError> {
        let routing = Routing::new(version, weights)?;
        let all = weights.keys().chain([&routing.version]);
        for version in all {
            self.find(version).ok_or_else(|| not_found(function, Some(version)))?;
        }
        Ok(routing)
    }
}

fn alias_arn(function: &str, name: &str) -> String {
    format!("{}:{name}", function_arn(function))
}

fn missing(function: &str, name: &str) -> ApiError {
    ApiError::not_found(format!("Cannot find alias arn: {}", alias_arn(function, name)))
}

fn describe(function: &str, name: &str, alias: &Alias) -> Value {
    let mut value = json!({
        "AliasArn": alias_arn(function, name),
        "Name": name,
        "FunctionVersion": alias.routing.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    });
    let weights = alias.routing.weights();
    if !weights.is_empty() {
        value["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
    }
    value
}
