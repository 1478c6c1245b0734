//! Ends an entry of the journal: finishes it, or undoes it in reverse.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use optimizer::workflow::TaskName;
use serde::Serialize;

use super::adopt::KEPT;
use super::aliases::Shares;
use super::functions::variable;
use super::{DeployError, Deployed, Deployer, WORKFLOW_VARIABLE, refused};
use crate::change::{Change, FunctionSettings};
use crate::journal::{Record, Undo};

/// Longest wait for executions under way before the versions that they use are deleted.
const LONGEST_DRAIN: Duration = Duration::from_secs(60);

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
        let mut is_drained = true;
        for (_, undo) in entry.undo.iter().rev() {
            match undo {
                Undo::Alias { function, name, .. } => {
                    is_drained &= !self.move_back(function, name).await?;
                    continue;
                }
                // What is under way may still call these versions.
                Undo::DeleteVersions { .. } if !is_drained => {
                    self.drain().await;
                    is_drained = true;
                }
                _ => {}
            }
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

    /// Waits until executions have ended that began before an alias was moved, as long as the slowest function may
    /// take, but no more than a minute. What stands for AWS has no production.
    async fn drain(&self) {
        if !self.endpoint.is_emulated() {
            let slowest_ms = self.project.tasks.values().map(|task| task.timeout_ms).max();
            let pause = Duration::from_millis(slowest_ms.unwrap_or(0)).min(LONGEST_DRAIN);
            tokio::time::sleep(pause).await;
        }
    }

    /// Makes a function's alias call what it called before the entry, in one move, so that production never calls
    /// what was in between. Whether production was moved.
    async fn move_back(&self, function: &str, name: &str) -> Result<bool, DeployError> {
        let Some(found) = self.alias(function).await? else { return Ok(false) };
        let moves = self.moves(function);
        let from = moves.first().and_then(|(from, _)| from.clone());
        let is_origin = from.as_ref() == Some(&found.version);
        if !is_origin && !moves.iter().any(|(_, to)| *to == found.version) {
            return Err(DeployError::Drifted {
                function: function.to_owned(),
                alias: name.to_owned(),
                found: found.version,
            });
        }
        match from {
            Some(version) => self.point(function, &found, &version, Shares::new(), None).await,
            // Production called nothing before.
            None => self.delete_alias(function).await.map(|()| false),
        }
    }

    async fn undo(&self, undo: &Undo) -> Result<(), DeployError> {
        match undo {
            Undo::DeleteFunction { function } => {
                let Some(existing) = self.existing(function).await? else { return Ok(()) };
                if !self.is_ours(&existing) {
                    return Ok(());
                }
                self.delete_with_log(&TaskName(function.clone())).await
            }
            Undo::DeleteVersions { function, after } => {
                self.delete_versions(function, *after, &[]).await
            }
            Undo::DeleteLayerVersions { after, .. } => self.delete_layers(*after).await,
            Undo::Alias { function, name, .. } => self.move_back(function, name).await.map(drop),
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
            Undo::Role { function, role } => {
                let Some(now) = self.existing(function).await? else { return Ok(()) };
                let role = Some(role.clone());
                let settings = Box::new(FunctionSettings { role, ..FunctionSettings::default() });
                let function_name = function.clone();
                let change = Change::UpdateFunctionConfiguration { function_name, settings };
                self.make_and_settle(&change, &now, None).await.map(drop)
            }
            Undo::DeleteRole { role } => self.delete_role(role).await,
            Undo::DeleteObject { object } => self.delete_object(object).await,
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
