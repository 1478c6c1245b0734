//! Ends an entry of the journal: finishes it, or undoes it in reverse.

use std::collections::BTreeMap;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use serde::Serialize;

use super::adopt::KEPT;
use super::functions::variable;
use super::{DeployError, Deployed, Deployer, WORKFLOW_VARIABLE, refused};
use crate::change::Change;
use crate::journal::{Record, Undo};

/// What was undone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RolledBack {
    /// The command whose changes they were.
    pub command: String,
    /// What it deployed, in notation.
    pub deployment: String,
    /// When it began.
    pub at: String,
    /// Whether it had done all it had to.
    pub was_finished: bool,
}

impl Deployer<'_> {
    /// Finishes what [`Deployer::begin`] began: removes versions that an interrupted run left and that the
    /// deployment does not use.
    ///
    /// # Errors
    /// If the endpoint refuses, or the journal cannot be written.
    pub async fn finish(&self, deployed: &Deployed) -> Result<(), DeployError> {
        let Some(entry) = self.changes.last() else { return Ok(()) };
        let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut use_one = |function: &str, version: &str| {
            used.entry(function.to_owned()).or_default().push(version.to_owned());
        };
        for (function, version) in self.own.lock().expect("not poisoned").iter() {
            use_one(function, version);
        }
        for (task, version) in &deployed.versions {
            use_one(&task.0, version);
        }
        let mut oldest: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, undo) in &entry.undo {
            match undo {
                Undo::DeleteVersions { function, after } => {
                    let known = oldest.entry(function).or_insert(*after);
                    *known = (*known).min(*after);
                }
                Undo::Latest { function, version } => use_one(function, version),
                Undo::Alias { function, from: Some(version), .. } => use_one(function, version),
                _ => {}
            }
        }
        for (function, after) in oldest {
            let used = used.get(function).map_or(&[][..], Vec::as_slice);
            let used: Vec<&str> = used.iter().map(String::as_str).collect();
            self.delete_versions(function, after, &used).await?;
        }
        self.changes.end(Record::Finished)
    }

    /// Undoes the newest entry of the journal, finished or not; none if there is none. Being interrupted, it can be
    /// run again.
    ///
    /// # Errors
    /// If the endpoint refuses, somebody else changed what is to be undone, or the journal cannot be written.
    pub async fn roll_back(&self) -> Result<Option<RolledBack>, DeployError> {
        let Some(entry) = self.changes.last() else { return Ok(None) };
        for (_, undo) in entry.undo.iter().rev() {
            self.undo(undo).await?;
        }
        self.changes.end(Record::Undone)?;
        Ok(Some(RolledBack {
            command: entry.command,
            deployment: entry.deployment,
            at: entry.at,
            was_finished: entry.is_finished,
        }))
    }

    async fn undo(&self, undo: &Undo) -> Result<(), DeployError> {
        match undo {
            Undo::DeleteFunction { function } => {
                let Some(existing) = self.existing(function).await? else { return Ok(()) };
                if !self.is_ours(&existing) {
                    return Ok(());
                }
                self.delete(function, None).await?;
                let log_group_name = format!("/aws/lambda/{function}");
                let change = Change::DeleteLogGroup { log_group_name };
                // As when it is destroyed.
                let _ = self.changes.make(self.endpoint, &change, None, None).await;
                Ok(())
            }
            Undo::DeleteVersions { function, after } => {
                self.delete_versions(function, *after, &[]).await
            }
            Undo::DeleteLayerVersions { after, .. } => self.delete_layers(*after).await,
            Undo::Alias { function, name, from, to } => {
                let Some(found) = self.alias(function).await? else { return Ok(()) };
                if Some(&found.version) == from.as_ref() {
                    return Ok(());
                }
                let by_us = self.moves(function).iter().any(|(_, it)| *it == found.version);
                if found.version != *to && !by_us {
                    return Err(DeployError::Drifted {
                        function: function.clone(),
                        alias: name.clone(),
                        found: found.version,
                    });
                }
                match from {
                    None => self.delete_alias(function).await,
                    Some(version) => {
                        let (function_name, name) = (function.clone(), name.clone());
                        let function_version = version.clone();
                        let change = Change::UpdateAlias { function_name, name, function_version };
                        let revision = found.revision.as_deref();
                        self.changes.make(self.endpoint, &change, revision, None).await.map(drop)
                    }
                }
            }
            Undo::Concurrency { function, reserved } => {
                let function_name = function.clone();
                let change = match *reserved {
                    Some(reserved_concurrent_executions) => Change::PutFunctionConcurrency {
                        function_name,
                        reserved_concurrent_executions,
                    },
                    None => Change::DeleteFunctionConcurrency { function_name },
                };
                self.changes.make(self.endpoint, &change, None, None).await.map(drop)
            }
            Undo::Latest { function, version } => self.restore(function, version).await,
        }
    }

    /// Deletes versions that Fuseline published of a function, of those newer than one, but for some.
    pub(super) async fn delete_versions(
        &self,
        function: &str,
        after: u64,
        but: &[&str],
    ) -> Result<(), DeployError> {
        let call = self.endpoint.lambda.list_versions_by_function().function_name(function);
        let mut pages = call.into_paginator().items().send();
        let mut doomed = Vec::new();
        while let Some(version) = pages.next().await {
            let version = match version {
                Ok(version) => version,
                Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
                Err(error) => return Err(refused("listing of the versions", function)(error)),
            };
            let workflow = variable(version.environment(), WORKFLOW_VARIABLE);
            let is_ours = workflow == Some(self.project.workflow.name())
                || version.description() == Some(KEPT);
            let number = version.version().and_then(|it| it.parse::<u64>().ok());
            let Some(number) = number.filter(|number| is_ours && *number > after) else { continue };
            if !but.contains(&number.to_string().as_str()) {
                doomed.push(number);
            }
        }
        for number in doomed {
            self.delete(function, Some(&number.to_string())).await?;
        }
        Ok(())
    }
}
