//! Makes plans, and the calls that a rollout consists of.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::OrderBy;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use indexmap::IndexMap;
use optimizer::deployment::Deployment;
use optimizer::workflow::TaskName;
use serde_json::json;

use super::adopt::managed_by;
use super::{DeployError, Deployed, Deployer, log_group, refused};
use crate::digest::sha256;
use crate::plan::{Managed, Parent, Plan, PlannedFunction, Predicted, Widening, differences};
use crate::status;

/// How entries of the journal that are rollouts begin; the plan's fingerprint follows.
const APPLY: &str = "apply ";

/// Calls that are older say nothing about today's callers.
const RECENT_MS: i64 = 24 * 3_600 * 1_000;

/// Whether an entry of the journal is a rollout, which only its plan can finish.
pub(super) fn is_rollout(command: &str) -> bool {
    command.starts_with(APPLY)
}

/// A plan to be made, beside what is found out.
pub struct Draft {
    /// What production is to call.
    pub deployment: Deployment,
    /// Why.
    pub reasons: Vec<String>,
    /// What was measured.
    pub predicted: Option<Predicted>,
}

impl Deployer<'_> {
    /// Makes a plan from what is live; changes nothing.
    ///
    /// # Errors
    /// If a bundle cannot be made, or the endpoint refuses.
    pub async fn plan(&self, draft: Draft) -> Result<Plan, DeployError> {
        let Draft { deployment, reasons, predicted } = draft;
        self.choose_forms(&deployment).await?;
        let live = self.live().await?;
        let before = match &live {
            Some(live) => live.deployment.clone(),
            None => Deployment::unfused(&self.project.workflow),
        };
        let mut functions = IndexMap::new();
        for (task, function) in deployment.functions() {
            let planned = PlannedFunction {
                inlined: function.inlined.clone(),
                resources: function.resources,
                code_sha256: self.identity(task, &function.inlined).await?,
                settings_sha256: self.settings_sha256(task),
            };
            functions.insert(task.clone(), planned);
        }
        let plan = Plan {
            format: 0,
            workflow: self.project.workflow.name().to_owned(),
            made: jiff::Timestamp::now().to_string(),
            place: self.endpoint.place.clone(),
            changes: differences(&before, &deployment),
            widenings: self.widenings(&deployment),
            managed: self.managed().await?,
            deployment: deployment.to_string(),
            parent: live.map(|live| self.parent(live)),
            functions,
            reasons,
            predicted,
            fingerprint: String::new(),
        };
        Ok(plan.sealed())
    }

    /// What production calls, with the versions that its aliases call; none if that is nothing of Fuseline's.
    ///
    /// # Errors
    /// If the endpoint refuses.
    pub async fn live(&self) -> Result<Option<Deployed>, DeployError> {
        let live = status::live(self.endpoint, self.project).await?;
        Ok(live.map(|live| live.deployed))
    }

    /// What a plan starts from.
    fn parent(&self, live: Deployed) -> Parent {
        let functions = live.deployment.functions().iter();
        Parent {
            deployment: live.deployment.to_string(),
            resources: functions.map(|(task, it)| (task.clone(), it.resources)).collect(),
            versions: live.versions,
            plan: self.changes.last().and_then(|entry| {
                entry.command.strip_prefix(APPLY).map(str::to_owned).filter(|_| entry.is_finished)
            }),
        }
    }

    /// What the workflow file says about a function's configuration. What it says about inlined tasks is in the package.
    fn settings_sha256(&self, task: &TaskName) -> String {
        let code = &self.project.tasks[task];
        let it = &code.configuration;
        let settings = json!([
            code.runtime,
            code.handler,
            code.timeout_ms,
            code.role,
            code.environment.keys().collect::<Vec<_>>(),
            it.layers,
            it.vpc.subnet_ids,
            it.vpc.security_group_ids,
            it.file_systems.iter().map(|it| [&it.arn, &it.local_mount_path]).collect::<Vec<_>>(),
            it.ephemeral_storage_mb,
            it.reserved_concurrency,
        ]);
        sha256(settings.to_string().as_bytes())
    }

    /// Functions of the workflow that a stack manages.
    async fn managed(&self) -> Result<BTreeMap<TaskName, Managed>, DeployError> {
        let mut managed = BTreeMap::new();
        for task in self.project.tasks.keys() {
            if self.existing(&task.0).await?.is_none() {
                continue;
            }
            let function = self.function(&task.0, None).await?;
            let Some(tags) = function.tags() else { continue };
            if let Some(by) = managed_by(tags) {
                let logical_id = tags.get("aws:cloudformation:logical-id").cloned();
                managed.insert(task.clone(), Managed { by, logical_id });
            }
        }
        Ok(managed)
    }

    /// Functions whose tasks have several roles.
    fn widenings(&self, deployment: &Deployment) -> Vec<Widening> {
        let role = |task: &TaskName| self.project.tasks[task].role.clone();
        let mut widenings = Vec::new();
        for (task, function) in deployment.functions() {
            let Some(own) = role(task) else { continue };
            let mut with: Vec<String> = function.inlined.iter().filter_map(role).collect();
            with.retain(|other| *other != own);
            with.sort();
            with.dedup();
            if !with.is_empty() {
                widenings.push(Widening { function: task.clone(), from: own, with });
            }
        }
        widenings
    }

    /// Checks that a plan still fits what is there, and begins its rollout or goes on with it. Returns what
    /// production calls now, and its versions. `force` allows that callers of a function's unpublished state, where it
    /// was taken over, get the new deployment at once.
    ///
    /// # Errors
    /// If something has changed since the plan was made, another command was interrupted, or the endpoint refuses.
    pub async fn begin_rollout(
        &self,
        plan: &Plan,
        deployment: &Deployment,
        force: bool,
    ) -> Result<Deployed, DeployError> {
        let stale = |reason: String| DeployError::Stale { plan: plan.short().to_owned(), reason };
        if plan.place != self.endpoint.place {
            let here = &self.endpoint.place;
            return Err(stale(format!("it is for {}, and this is {here}", plan.place)));
        }
        let Some(live) = self.live().await? else {
            return Err(stale("nothing of Fuseline's is deployed there".into()));
        };
        let Some(planned) = &plan.parent else {
            return Err(stale("it was made before anything was deployed there".into()));
        };
        let command = format!("{APPLY}{}", plan.short());
        let open = self.changes.last().filter(|entry| !entry.is_finished);
        if let Some(entry) = open.as_ref().filter(|entry| entry.command != command) {
            return Err(DeployError::Interrupted(entry.command.clone()));
        }
        // What an interrupted rollout of the same plan did to the aliases is known.
        if open.is_none()
            && (&planned.versions, &planned.deployment)
                != (&live.versions, &live.deployment.to_string())
        {
            return Err(stale(format!("production calls {} now", live.deployment)));
        }
        self.choose_forms(deployment).await?;
        for (task, function) in deployment.functions() {
            let planned = plan.functions.get(task);
            if planned.map(|it| &it.settings_sha256) != Some(&self.settings_sha256(task)) {
                return Err(stale(format!(
                    "the workflow file says something else about `{task}` by now"
                )));
            }
            let sha256 = self.identity(task, &function.inlined).await?;
            if planned.map(|it| &it.code_sha256) != Some(&sha256) {
                return Err(stale(format!("the code of `{task}` is another one by now")));
            }
        }
        self.check_packages(deployment).await?;
        self.check(deployment).await?;
        if !force {
            self.check_unpublished(deployment).await?;
        }
        self.changes.begin(&command, &plan.deployment)?;
        Ok(live)
    }

    /// Refuses functions that were taken over and are invoked without a version: their callers would get the new
    /// deployment at once, and not by shares.
    async fn check_unpublished(&self, deployment: &Deployment) -> Result<(), DeployError> {
        for task in deployment.functions().keys() {
            let Some(existing) = self.existing(&task.0).await? else { continue };
            if self.original_of(&existing).is_some() && self.unpublished_is_called(task).await? {
                return Err(DeployError::Unpublished(task.0.clone()));
            }
        }
        Ok(())
    }

    /// Whether the log has events of the unpublished state that are less than a day old.
    async fn unpublished_is_called(&self, task: &TaskName) -> Result<bool, DeployError> {
        let call = self.endpoint.logs.describe_log_streams().log_group_name(log_group(task));
        let call = call.order_by(OrderBy::LastEventTime).descending(true).send().await;
        let streams = match call {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(false),
            found => found.map_err(refused("look-up of the log streams", &task.0))?,
        };
        let since_ms = jiff::Timestamp::now().as_millisecond() - RECENT_MS;
        Ok(streams.log_streams().iter().any(|stream| {
            let is_unpublished =
                stream.log_stream_name().is_some_and(|it| it.contains("[$LATEST]"));
            // The time of the last event comes with hours of delay, that of the last upload does not.
            let last = stream.last_event_timestamp().max(stream.last_ingestion_time());
            is_unpublished && last.is_none_or(|last_ms| last_ms > since_ms)
        }))
    }

    /// Gives a deployment a share of production's calls, above 0 and up to 1; with 1 production calls nothing else.
    ///
    /// # Errors
    /// If an alias was moved by somebody else, or the endpoint refuses.
    pub async fn route(
        &self,
        stable: &Deployed,
        canary: &Deployed,
        share: f64,
    ) -> Result<(), DeployError> {
        if share >= 1.0 {
            return self.promote(canary).await;
        }
        for root in self.project.workflow.roots() {
            let (stable, canary) = (stable.version(root), canary.version(root));
            if stable != canary {
                self.weigh(&root.0, stable, canary, share).await?;
            }
        }
        Ok(())
    }
}
