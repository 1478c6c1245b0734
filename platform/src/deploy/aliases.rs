//! The alias that production calls, and versions that nothing calls any more.

use std::collections::BTreeMap;

use aws_sdk_lambda::error::ProvideErrorMetadata;

use super::{DeployError, Deployer, LIVE_ALIAS, refused};
use crate::change::{Change, Routing, weights};
use crate::endpoint::Endpoint;
use crate::journal::Undo;

/// Versions that an alias calls beside its own, with their shares of the calls, from 0 to 1.
pub(crate) type Shares = BTreeMap<String, f64>;

/// An alias as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alias {
    pub(crate) version: String,
    pub(crate) shares: Shares,
    pub(super) revision: Option<String>,
}

/// What the alias `live` of a function calls; none if it does not exist.
pub(crate) async fn alias(
    endpoint: &Endpoint,
    function: &str,
) -> Result<Option<Alias>, DeployError> {
    let alias = endpoint.lambda.get_alias().function_name(function).name(LIVE_ALIAS);
    match alias.send().await {
        Ok(alias) => Ok(Some(Alias {
            version: alias.function_version().unwrap_or_default().to_owned(),
            shares: weights(alias.routing_config()),
            revision: alias.revision_id().map(str::to_owned),
        })),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(refused("look-up of the alias", function)(error)),
    }
}

impl Deployer<'_> {
    /// What the alias `live` of a function calls; none if it does not exist.
    pub(super) async fn alias(&self, function: &str) -> Result<Option<Alias>, DeployError> {
        alias(self.endpoint, function).await
    }

    /// Makes the alias `live` of a function, which is there, call a version, and others by their shares. Whether
    /// anything had to be changed.
    pub(super) async fn point(
        &self,
        function: &str,
        found: &Alias,
        version: &str,
        shares: Shares,
        undo: Option<Undo>,
    ) -> Result<bool, DeployError> {
        if found.version == version && found.shares == shares {
            return Ok(false);
        }
        let change = Change::UpdateAlias {
            function_name: function.to_owned(),
            name: LIVE_ALIAS.to_owned(),
            function_version: version.to_owned(),
            routing_config: Routing { additional_version_weights: shares },
        };
        self.changes.make(self.endpoint, &change, found.revision.as_deref(), undo).await?;
        Ok(true)
    }

    /// Makes the alias `live` of a function call a version, and no other.
    pub(super) async fn move_alias(
        &self,
        function: &str,
        version: &str,
    ) -> Result<(), DeployError> {
        let found = self.alias(function).await?;
        let from = found.as_ref().map(|alias| alias.version.clone());
        // An interrupted run may have moved it already, to a version that nothing needs any more.
        let from = self.moves(function).first().map_or(from, |(from, _)| from.clone());
        let undo = Some(moved(function, from, version));
        if let Some(found) = found {
            return self.point(function, &found, version, Shares::new(), undo).await.map(drop);
        }
        let change = Change::CreateAlias {
            function_name: function.to_owned(),
            name: LIVE_ALIAS.to_owned(),
            function_version: version.to_owned(),
        };
        self.changes.make(self.endpoint, &change, None, undo).await.map(drop)
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
        let found = self.alias(function).await?;
        let found = found.unwrap_or(Alias { version: "none".into(), ..Alias::default() });
        if found.version != stable {
            return Err(DeployError::Drifted {
                function: function.to_owned(),
                alias: LIVE_ALIAS.to_owned(),
                found: found.version,
            });
        }
        let shares = Shares::from([(canary.to_owned(), share)]);
        let undo = Some(moved(function, Some(stable.to_owned()), canary));
        self.point(function, &found, stable, shares, undo).await.map(drop)
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

/// How a move of an alias is undone.
fn moved(function: &str, from: Option<String>, to: &str) -> Undo {
    let (function, name) = (function.to_owned(), LIVE_ALIAS.to_owned());
    Undo::Alias { function, name, from, to: to.to_owned() }
}
