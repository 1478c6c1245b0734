//! What a check says, and what the user may say to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::workflow::TaskName;

/// How a check stands to a fusion.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to say against it, or the user lifted what there is.
    Allow,
    /// Something changes.
    Warn,
    /// Something breaks.
    Forbid,
}

/// What a verdict does to a fusion.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    None,
    /// It is shown.
    Shown,
    /// The fusion is measured, but not recommended unless the user allows it.
    KeptOut,
    /// The fusion is not even tried.
    NeverTried,
}

impl Effect {
    /// Level that results print for it.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::None => Level::Allow,
            Self::Shown | Self::KeptOut => Level::Warn,
            Self::NeverTried => Level::Forbid,
        }
    }
}

/// What one check says about one fusion.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// The check.
    pub check: Check,
    /// How it stands to the fusion.
    pub level: Level,
    /// What that does.
    pub effect: Effect,
    /// The tasks, the figures and what to do.
    pub text: String,
    /// Line of the workflow file's `constraints.allow` that lifts it, if one can.
    pub allow_with: Option<String>,
}

/// The user's word that a check is not to stand in the way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Permission {
    /// Tasks that may be fused.
    pub fuse: BTreeSet<TaskName>,
    /// The check.
    pub check: Check,
    /// Why; needed to lift what forbids.
    pub reason: Option<String>,
    /// Whether it lifts what forbids, too.
    pub force: Force,
}

/// How far a permission goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Force {
    /// It lifts warnings.
    Warnings,
    /// It lifts what forbids, too.
    Everything,
}

/// One thing that a check found.
pub(super) struct Finding {
    /// Tasks it is about; a permission has to name them all.
    pub(super) tasks: BTreeSet<TaskName>,
    pub(super) effect: Effect,
    pub(super) text: String,
}

impl Permission {
    /// Whether it lifts this finding of its check in a function of these tasks. A permission to fuse
    /// some tasks counts for a part of them and for more.
    fn lifts(&self, check: Check, finding: &Finding, group: &BTreeSet<TaskName>) -> bool {
        let concerns = self.check == check
            && finding.tasks.is_subset(&self.fuse)
            && (self.fuse.is_subset(group) || group.is_subset(&self.fuse));
        let far_enough = match finding.effect {
            Effect::NeverTried => self.force == Force::Everything && self.reason.is_some(),
            Effect::KeptOut | Effect::Shown | Effect::None => true,
        };
        concerns && far_enough && check.can_be_lifted()
    }
}

/// Makes the findings of one check into its verdict.
pub(super) fn verdict(
    check: Check,
    findings: &[Finding],
    root: &TaskName,
    group: &BTreeSet<TaskName>,
    permissions: &[Permission],
) -> Verdict {
    let (mut open, mut lifted) = (Vec::new(), Vec::new());
    for finding in findings {
        match permissions.iter().find(|permission| permission.lifts(check, finding, group)) {
            Some(permission) => {
                let reason = permission.reason.as_deref().unwrap_or("no reason given");
                lifted.push(format!("allowed ({reason}): {}", finding.text));
            }
            None => open.push(finding),
        }
    }
    let effect = open.iter().map(|finding| finding.effect).max().unwrap_or(Effect::None);
    let text = match (open.is_empty(), lifted.is_empty()) {
        (true, true) => check.fine().to_owned(),
        (true, false) => lifted.join("; "),
        _ => open.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>().join("; "),
    };
    let stands_in_the_way = effect >= Effect::KeptOut && check.can_be_lifted();
    let allow_with = stands_in_the_way.then(|| allow_line(check, root, &open, effect));
    Verdict { check, level: effect.level(), effect, text, allow_with }
}

/// What to write under `constraints.allow`.
fn allow_line(check: Check, root: &TaskName, open: &[&Finding], effect: Effect) -> String {
    let concerned = open.iter().flat_map(|finding| &finding.tasks);
    let tasks: BTreeSet<&str> = concerned.chain([root]).map(|task| task.0.as_str()).collect();
    let tasks: Vec<&str> = tasks.into_iter().collect();
    let force = if effect == Effect::NeverTried { ", force: true" } else { "" };
    format!("{{ fuse: [{}], check: {}, reason: \"…\"{force} }}", tasks.join(", "), check.code())
}
