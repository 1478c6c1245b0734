//! Widens the roles of functions that tasks with other roles are inlined into.
//!
//! An alias calls two versions only if they have the same role. So before a rollout the function that production
//! calls gets a version that differs from the present one in nothing but the role, and production calls that. The new
//! role has the policies of all tasks' roles; the old ones are not changed.

use std::collections::BTreeMap;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use optimizer::workflow::TaskName;
use percent_encoding::percent_decode_str;

use super::{DeployError, Deployed, Deployer, aws_message};
use crate::change::{Change, FunctionSettings};
use crate::digest::sha256_hex;
use crate::journal::Undo;
use crate::plan::{Plan, Widening};

/// Longest name that IAM takes.
const LONGEST_NAME: usize = 64;

/// What a role allows, and who may take it.
struct Role {
    trust: String,
    boundary: Option<String>,
    /// ARNs of managed policies.
    attached: Vec<String>,
    /// Policies of its own, by their names.
    inline: BTreeMap<String, String>,
}

impl Deployer<'_> {
    /// Gives the functions of a plan the roles that they need, and returns what production calls afterwards: the same
    /// code and sizes with wider roles. Production calls it already.
    ///
    /// # Errors
    /// If roles cannot be read or made, or the endpoint refuses.
    pub async fn widen(&self, plan: &Plan, stable: &Deployed) -> Result<Deployed, DeployError> {
        let mut stable = stable.clone();
        let roots = self.project.workflow.roots();
        for widening in &plan.widenings {
            let task = &widening.function;
            let name = task.0.as_str();
            let Some(existing) = self.existing(name).await? else { continue };
            if self.original_of(&existing).is_some() {
                let reason = format!(
                    "tasks with other roles ({}) would be inlined into it, and its role is not Fuseline's to change; give it a role that allows what they need, and name that in the workflow file",
                    widening.with.join(", ")
                );
                let function = name.to_owned();
                return Err(DeployError::NotAdoptable { function, reason });
            }
            let role = self.union(widening).await?;
            self.widened.lock().expect("not poisoned").insert(task.clone(), role.clone());
            let version = stable.versions.get(task).filter(|_| roots.contains(&task)).cloned();
            // An interrupted rollout may have done it, or only begun.
            let has = match &version {
                Some(version) => {
                    let live = self.function(name, Some(version)).await?;
                    live.configuration().and_then(|it| it.role()).map(str::to_owned)
                }
                None => existing.role().map(str::to_owned),
            };
            if has.as_ref() == Some(&role) {
                continue;
            }
            if let Some(version) = &version {
                self.restore(name, version).await?;
            }
            let Some(settled) = self.existing(name).await? else { continue };
            let undo = Undo::Role {
                function: name.to_owned(),
                role: existing.role().unwrap_or(&widening.from).to_owned(),
            };
            let settings = FunctionSettings { role: Some(role), ..FunctionSettings::default() };
            let change = Change::UpdateFunctionConfiguration {
                function_name: name.to_owned(),
                settings: Box::new(settings),
            };
            let settled = self.make_and_settle(&change, &settled, Some(undo)).await?;
            if version.is_some() {
                let widened = self.publish_as_it_is(name, &settled, None).await?;
                self.move_alias(name, &widened).await?;
                stable.versions.insert(task.clone(), widened);
            }
        }
        Ok(stable)
    }

    /// ARN of a role that allows what the roles of a function's tasks do; made if it is not there.
    async fn union(&self, widening: &Widening) -> Result<String, DeployError> {
        let name = self.role_name(&widening.function);
        let mut union = self.role(&widening.from).await?;
        for (number, arn) in widening.with.iter().enumerate() {
            let other = self.role(arn).await?;
            if other.boundary != union.boundary {
                return Err(DeployError::Role {
                    role: arn.clone(),
                    message: format!(
                        "its permissions boundary is not that of {}, and a role cannot have both; give `{}` a role by hand",
                        widening.from, widening.function
                    ),
                });
            }
            union.attached.extend(other.attached);
            let inline = other.inline.into_iter();
            // Two roles may have policies of the same name.
            union
                .inline
                .extend(inline.map(|(policy, text)| (format!("{policy}-{}", number + 2), text)));
        }
        union.attached.sort();
        union.attached.dedup();
        let change = Change::CreateRole {
            role_name: name.clone(),
            assume_role_policy_document: union.trust,
            permissions_boundary: union.boundary,
            description: self.role_description(&widening.function),
        };
        let undo = Undo::DeleteRole { role: name.clone() };
        let made = self.changes.make(self.endpoint, &change, None, Some(undo)).await?;
        for policy_arn in union.attached {
            let change = Change::AttachRolePolicy { role_name: name.clone(), policy_arn };
            self.changes.make(self.endpoint, &change, None, None).await?;
        }
        for (policy_name, policy_document) in union.inline {
            let change =
                Change::PutRolePolicy { role_name: name.clone(), policy_name, policy_document };
            self.changes.make(self.endpoint, &change, None, None).await?;
        }
        Ok(made.arn.unwrap_or_default())
    }

    /// What a role allows.
    async fn role(&self, arn: &str) -> Result<Role, DeployError> {
        let name = arn.rsplit('/').next().unwrap_or(arn);
        let iam = &self.endpoint.iam;
        let found = iam.get_role().role_name(name).send().await;
        let found = found.map_err(unknown(arn))?;
        let role = found.role();
        // IAM encodes documents as in URLs.
        let text = |encoded: &str| percent_decode_str(encoded).decode_utf8_lossy().into_owned();
        let trust = role.and_then(|it| it.assume_role_policy_document()).map(text);
        let boundary = role.and_then(|it| it.permissions_boundary());
        let attached = iam.list_attached_role_policies().role_name(name).into_paginator();
        let attached = attached.items().send().collect::<Result<Vec<_>, _>>().await;
        let attached = attached.map_err(unknown(arn))?;
        let names = iam.list_role_policies().role_name(name).into_paginator();
        let names = names.items().send().collect::<Result<Vec<_>, _>>().await;
        let mut inline = BTreeMap::new();
        for policy in names.map_err(unknown(arn))? {
            let found = iam.get_role_policy().role_name(name).policy_name(&policy).send().await;
            let found = found.map_err(unknown(arn))?;
            inline.insert(policy, text(found.policy_document()));
        }
        Ok(Role {
            trust: trust.unwrap_or_default(),
            boundary: boundary.and_then(|it| it.permissions_boundary_arn().map(str::to_owned)),
            attached: attached.iter().filter_map(|it| it.policy_arn().map(str::to_owned)).collect(),
            inline,
        })
    }

    /// Deletes a role that [`Deployer::widen`] made, with its policies.
    pub(super) async fn delete_role(&self, name: &str) -> Result<(), DeployError> {
        let iam = &self.endpoint.iam;
        let found = match iam.get_role().role_name(name).send().await {
            Err(error) if error.code() == Some("NoSuchEntity") => return Ok(()),
            found => found.map_err(unknown(name))?,
        };
        let described = found.role().and_then(|role| role.description()).unwrap_or_default();
        let ours = format!("Fuseline, workflow {}:", self.project.workflow.name());
        if !described.starts_with(&ours) {
            return Ok(());
        }
        let role = self.role(name).await?;
        let role_name = || name.to_owned();
        let detached = role
            .attached
            .into_iter()
            .map(|policy_arn| Change::DetachRolePolicy { role_name: role_name(), policy_arn });
        let deleted = role
            .inline
            .into_keys()
            .map(|policy_name| Change::DeleteRolePolicy { role_name: role_name(), policy_name });
        let last = std::iter::once(Change::DeleteRole { role_name: role_name() });
        for change in detached.chain(deleted).chain(last) {
            self.changes.make(self.endpoint, &change, None, None).await?;
        }
        Ok(())
    }

    /// Name of the role that a function is given.
    pub(super) fn role_name(&self, task: &TaskName) -> String {
        self.role_name_of(&task.0)
    }

    /// Name of a role of the workflow's own.
    pub(super) fn role_name_of(&self, what: &str) -> String {
        let name = format!("fuseline-{}-{what}", self.project.workflow.name());
        if name.len() <= LONGEST_NAME {
            return name;
        }
        let end = &sha256_hex(name.as_bytes())[..8];
        format!("{}-{end}", &name[..LONGEST_NAME - 1 - end.len()])
    }

    fn role_description(&self, task: &TaskName) -> String {
        format!(
            "Fuseline, workflow {}: what the tasks in {task} may do",
            self.project.workflow.name()
        )
    }
}

fn unknown<'n, E: ProvideErrorMetadata + std::error::Error + 'static>(
    role: &'n str,
) -> impl FnOnce(E) -> DeployError + 'n {
    move |error| DeployError::Role { role: role.to_owned(), message: aws_message(&error) }
}
