//! Checks of what a task's own function means to others: limits that protect something, callers
//! outside the workflow, privileges, and what the user keeps apart.

use std::collections::BTreeSet;

use super::common::about_both;
use super::policy::Privilege;
use super::verdict::{Effect, Finding};
use super::{Group, Member};
use crate::workflow::TaskName;

/// Privileges that a text names; the rest is counted.
const NAMED_PRIVILEGES: usize = 8;

pub(super) fn apart(group: &Group, sets: &[BTreeSet<TaskName>]) -> Vec<Finding> {
    let names = group.names();
    let both = sets.iter().map(|set| set.intersection(&names).cloned().collect::<BTreeSet<_>>());
    let kept = both.filter(|both| both.len() > 1);
    kept.map(|tasks| {
        let list: Vec<String> = tasks.iter().map(|task| format!("`{task}`")).collect();
        let text = format!("`constraints.apart` keeps {} apart", list.join(" and "));
        Finding { tasks, effect: Effect::NeverTried, text }
    })
    .collect()
}

pub(super) fn reserved_concurrency(group: &Group) -> Vec<Finding> {
    let limited = group.inlined.iter().filter_map(|member| {
        member.facts.configuration.reserved_concurrency.map(|limit| (member, limit))
    });
    limited
        .map(|(Member { name, .. }, limit)| Finding {
            tasks: [(*name).clone()].into(),
            effect: Effect::KeptOut,
            text: format!(
                "`{name}` runs at most {limit} times at once, which does not count in the function \
                 of `{}`: allow it if the limit protects nothing, such as a database",
                group.root.name
            ),
        })
        .collect()
}

pub(super) fn own_triggers(group: &Group) -> Vec<Finding> {
    let triggered = group.inlined.iter();
    triggered
        .filter(|member| !member.facts.configuration.triggers.is_empty())
        .map(|Member { name, facts }| Finding {
            tasks: [(*name).clone()].into(),
            effect: Effect::Shown,
            text: format!(
                "`{name}` keeps a function of its own for {}, and its logs, metrics and alarms no \
                 longer see the calls in the function of `{}`: watch that one too",
                facts.configuration.triggers.join(", "),
                group.root.name
            ),
        })
        .collect()
}

pub(super) fn role(group: &Group) -> Vec<Finding> {
    group.inlined.iter().flat_map(|inlined| compare_roles(group.root, *inlined)).collect()
}

fn compare_roles(root: Member, inlined: Member) -> Vec<Finding> {
    let (outer, inner) = (root.facts, inlined.facts);
    if outer.role == inner.role && outer.role.is_some() {
        return Vec::new();
    }
    let same_name = outer.role == inner.role;
    let policies = (&outer.configuration.policy, &inner.configuration.policy);
    let (Some(had), Some(needed)) = policies else {
        let text = format!(
            "`{}` would run with {} instead of {}, and what they allow is not known: give both \
             their `policy` to have it compared",
            inlined.name,
            role_name(root),
            role_name(inlined)
        );
        let differing = (!same_name).then(|| about_both(root, inlined, Effect::KeptOut, text));
        return differing.into_iter().collect();
    };
    let (lost, gained) = (needed.beyond(had), had.beyond(needed));
    let mut findings = Vec::new();
    if !lost.is_empty() {
        let text = format!(
            "`{}` would lose {}: give them to {}",
            inlined.name,
            privileges(&lost),
            role_name(root)
        );
        findings.push(about_both(root, inlined, Effect::NeverTried, text));
    }
    if !gained.is_empty() {
        let text = format!("`{}` would gain {}", inlined.name, privileges(&gained));
        findings.push(about_both(root, inlined, Effect::KeptOut, text));
    }
    if findings.is_empty() && !same_name {
        let text = format!(
            "`{}` would run with {} instead of {}, which allows the same",
            inlined.name,
            role_name(root),
            role_name(inlined)
        );
        findings.push(about_both(root, inlined, Effect::Shown, text));
    }
    findings
}

fn role_name(member: Member) -> String {
    match &member.facts.role {
        Some(role) => format!("the role {role}"),
        None => format!("the role of `{}`", member.name),
    }
}

fn privileges(all: &[Privilege]) -> String {
    let named: Vec<String> = all.iter().take(NAMED_PRIVILEGES).map(ToString::to_string).collect();
    match all.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
