//! The alias that production calls, and versions that nothing calls any more.

use std::collections::BTreeMap;

use aws_sdk_lambda::error::ProvideErrorMetadata;

use super::{DeployError, Deployer, LIVE_ALIAS, refused};
use crate::change::{Change, Routing, weights};
use crate::journal::Undo;

/// An alias as it is.
pub(super) struct Alias {
    pub(super) version: String,
    /// Other versions with their shares of the calls.
    pub(super) weights: BTreeMap<String, f64>,
    pub(super) revision: Option<String>,
}

impl Deployer<'_> {
    /// What the alias `live` of a function calls; none if it does not exist.
    pub(super) async fn alias(&self, function: &str) -> Result<Option<Alias>, DeployError> {
        let alias = self.endpoint.lambda.get_alias().function_name(function).name(LIVE_ALIAS);
        match alias.send().await {
            Ok(alias) => Ok(Some(Alias {
                version: alias.function_version().unwrap_or_default().to_owned(),
                weights: weights(alias.routing_config()),
                revision: alias.revision_id().map(str::to_owned),
            })),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(refused("look-up of the alias", function)(error)),
        }
    }

    /// Makes the alias `live` of a function call a version, and no other.
    pub(super) async fn move_alias(
        &self,
        function: &str,
        version: &str,
    ) -> Result<(), DeployError> {
        let found = self.alias(function).await?;
        let is_there = |alias: &Alias| alias.version == version && alias.weights.is_empty();
        if found.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        let from = found.as_ref().map(|alias| alias.version.clone());
        let (function_name, name) = (function.to_owned(), LIVE_ALIAS.to_owned());
        let (to, function_version) = (version.to_owned(), version.to_owned());
        // An interrupted run may have moved it already, to a version that nothing needs any more.
        let from = self.moves(function).first().map_or(from, |(from, _)| from.clone());
        let undo = Undo::Alias { function: function_name.clone(), name: name.clone(), from, to };
        let routing_config = Routing::default();
        let change = match found {
            Some(_) => {
                Change::UpdateAlias { function_name, name, function_version, routing_config }
            }
            None => Change::CreateAlias { function_name, name, function_version },
        };
        let revision = found.and_then(|alias| alias.revision);
        self.changes.make(self.endpoint, &change, revision.as_deref(), Some(undo)).await.map(drop)
    }

    /// Makes the alias `live` of a function call a version with a share of its calls, from 0 to 1, beside the one
    /// that it calls now. What it calls otherwise is not changed.
    ///
    /// # Errors
    /// If the alias calls another version than `stable`, or the endpoint refuses.
    pub(super) async fn weigh(
        &self,
        function: &str,
        stable: &str,
        canary: &str,
        share: f64,
    ) -> Result<(), DeployError> {
        let found = self.alias(function).await?.unwrap_or(Alias {
            version: "none".into(),
            weights: BTreeMap::new(),
            revision: None,
        });
        if found.version != stable {
            return Err(DeployError::Drifted {
                function: function.to_owned(),
                alias: LIVE_ALIAS.to_owned(),
                found: found.version,
            });
        }
        let additional_version_weights = BTreeMap::from([(canary.to_owned(), share)]);
        if found.weights == additional_version_weights {
            return Ok(());
        }
        let (function_name, name) = (function.to_owned(), LIVE_ALIAS.to_owned());
        let undo = Undo::Alias {
            function: function_name.clone(),
            name: name.clone(),
            from: Some(stable.to_owned()),
            to: canary.to_owned(),
        };
        let function_version = stable.to_owned();
        let routing_config = Routing { additional_version_weights };
        let change = Change::UpdateAlias { function_name, name, function_version, routing_config };
        let revision = found.revision.as_deref();
        self.changes.make(self.endpoint, &change, revision, Some(undo)).await.map(drop)
    }

    /// Where this entry of the journal has moved a function's alias from and to, in order; the last move may not have
    /// been made.
    pub(super) fn moves(&self, function: &str) -> Vec<(Option<String>, String)> {
        let undo = self.changes.last().map(|entry| entry.undo).unwrap_or_default();
        let moves = undo.into_iter().filter_map(|(_, undo)| match undo {
            Undo::Alias { function: of, from, to, .. } if of == function => Some((from, to)),
            _ => None,
        });
        moves.collect()
    }

    pub(super) async fn delete_alias(&self, function: &str) -> Result<(), DeployError> {
        let (function_name, name) = (function.to_owned(), LIVE_ALIAS.to_owned());
        let change = Change::DeleteAlias { function_name, name };
        self.changes.make(self.endpoint, &change, None, None).await.map(drop)
    }

    /// Deletes a function or one of its versions.
    pub(super) async fn delete(
        &self,
        function: &str,
        version: Option<&str>,
    ) -> Result<(), DeployError> {
        let function_name = function.to_owned();
        let change =
            Change::DeleteFunction { function_name, qualifier: version.map(str::to_owned) };
        self.changes.make(self.endpoint, &change, None, None).await.map(drop)
    }
}
