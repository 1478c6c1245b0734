//! The safety gate: whether tasks may share a function at all, whatever it saves.
//!
//! Data in, data out: a [`Gate`] holds what is known of every task and what the user said about
//! fusions; asked about a function, it answers with one [`Verdict`] per [`Check`]. What the checks
//! say is listed in [`RULES`] and, for users, in docs/SAFETY.md.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::workflow::{Call, TaskName, Workflow};

mod check;
mod common;
mod facts;
mod limits;
mod meaning;
mod policy;
mod runtime;
#[cfg(test)]
mod tests;
mod verdict;

pub use check::{Check, RULES, Rule};
pub use facts::{
    Architecture, Configuration, DEFAULT_EPHEMERAL_STORAGE_MB, FileSystem, TaskFacts, Vpc,
};
pub use policy::{Effect as PolicyEffect, Policy, Privilege, Statement};
pub use runtime::{Family, managed};
pub use verdict::{Effect, Force, Level, Permission, Verdict};

use verdict::Finding;

/// What is known of the tasks and what the user said about fusing them. Tasks that it knows nothing
/// of pass all checks.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Gate {
    /// The tasks, in the workflow's order.
    pub tasks: IndexMap<TaskName, TaskFacts>,
    /// Size of the supervisor, in bytes.
    pub supervisor_bytes: u64,
    /// Sets of tasks of which no two may share a function.
    pub apart: Vec<BTreeSet<TaskName>>,
    /// Pairs of caller and callee that are to be fused whether or not that is cheaper.
    pub together: Vec<BTreeSet<TaskName>>,
    /// What the user allows all the same.
    pub allow: Vec<Permission>,
    /// Whether functions cannot be container images, because nobody said where those go.
    #[serde(default)]
    pub no_images: bool,
}

/// The verdicts about fusing the two tasks of one call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CallVerdicts {
    /// Task that calls.
    pub caller: TaskName,
    /// Task that is called.
    pub callee: TaskName,
    /// The strictest level of its verdicts.
    pub level: Level,
    /// What the verdicts together do.
    pub effect: Effect,
    /// One verdict for each check.
    pub verdicts: Vec<Verdict>,
}

/// The tasks of one function.
struct Group<'a> {
    root: Member<'a>,
    inlined: Vec<Member<'a>>,
}

/// A task in a function.
#[derive(Clone, Copy)]
struct Member<'a> {
    name: &'a TaskName,
    facts: &'a TaskFacts,
}

impl<'a> Group<'a> {
    fn members(&self) -> impl Iterator<Item = Member<'a>> {
        std::iter::once(self.root).chain(self.inlined.iter().copied())
    }

    /// All its tasks.
    fn names(&self) -> BTreeSet<TaskName> {
        self.members().map(|member| member.name.clone()).collect()
    }
}

impl Gate {
    /// One verdict per check about a function with this root and these tasks inlined.
    #[must_use]
    pub fn judge(&self, root: &TaskName, inlined: &[TaskName]) -> Vec<Verdict> {
        let member = |name: &TaskName| {
            self.tasks.get_key_value(name).map(|(name, facts)| Member { name, facts })
        };
        let Some(root) = member(root) else { return Vec::new() };
        let mut inlined: Vec<Member> = inlined.iter().filter_map(member).collect();
        inlined.retain(|member| member.name != root.name);
        inlined.sort_by_key(|member| self.tasks.get_index_of(member.name));
        inlined.dedup_by_key(|member| member.name);
        let group = Group { root, inlined };
        let names = group.names();
        Check::ALL
            .into_iter()
            .map(|check| {
                let findings = self.findings(check, &group);
                verdict::verdict(check, &findings, root.name, &names, &self.allow)
            })
            .collect()
    }

    fn findings(&self, check: Check, group: &Group) -> Vec<Finding> {
        match check {
            Check::Apart => meaning::apart(group, &self.apart),
            Check::RuntimeStart => common::runtime_start(group),
            Check::PackageForm => common::package_form(group, self.no_images),
            Check::Architecture => common::architecture(group),
            Check::Vpc => common::vpc(group),
            Check::FileSystems => common::file_systems(group),
            Check::Layers => common::layers(group),
            Check::EphemeralStorage => limits::ephemeral_storage(group),
            Check::ReservedConcurrency => meaning::reserved_concurrency(group),
            Check::OwnTriggers => meaning::own_triggers(group),
            Check::PayloadSize => limits::payload_size(group),
            Check::EnvironmentSize => limits::environment_size(group),
            Check::PackageSize => limits::package_size(group, self.supervisor_bytes),
            Check::TimeoutPath => limits::timeout_path(group),
            Check::Role => meaning::role(group),
        }
    }

    /// The verdicts about each synchronous call of a workflow, as if it alone were fused.
    #[must_use]
    pub fn judge_calls(&self, workflow: &Workflow) -> Vec<CallVerdicts> {
        let judge = |call: Call| {
            let verdicts = self.judge(&call.caller, std::slice::from_ref(&call.callee));
            let effect = verdicts.iter().map(|one| one.effect).max().unwrap_or(Effect::None);
            let Call { caller, callee, .. } = call;
            CallVerdicts { caller, callee, level: effect.level(), effect, verdicts }
        };
        workflow.synchronous_calls().map(judge).collect()
    }

    /// What speaks against the functions of a deployment that `before` does not have: the verdicts
    /// that do more than being shown, without repetition.
    #[must_use]
    pub fn objections(&self, before: &Deployment, after: &Deployment) -> Vec<Verdict> {
        let mut objections: Vec<Verdict> = Vec::new();
        for (root, function) in after.functions() {
            let known = before.functions().get(root).is_some_and(|f| f.inlined == function.inlined);
            if known || function.inlined.is_empty() {
                continue;
            }
            for verdict in self.judge(root, &function.inlined) {
                if verdict.effect >= Effect::KeptOut && !objections.contains(&verdict) {
                    objections.push(verdict);
                }
            }
        }
        objections
    }

    /// Whether the user wants the two tasks of a call fused, cheaper or not.
    #[must_use]
    pub fn wants_together(&self, call: &Call) -> bool {
        let both =
            |pair: &BTreeSet<TaskName>| pair.contains(&call.caller) && pair.contains(&call.callee);
        self.together.iter().any(both)
    }
}
