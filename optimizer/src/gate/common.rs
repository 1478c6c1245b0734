//! Checks of what the tasks of one function have to have in common, because the function has it
//! once: runtime, architecture, network, file systems, layers.

use std::collections::BTreeSet;

use super::runtime::{Family, managed};
use super::verdict::{Effect, Finding};
use super::{Group, Member};
use crate::workflow::TaskName;

/// Layers that Lambda gives a function at most.
const MOST_LAYERS: usize = 5;

/// A finding about an inlined task beside the root.
pub(super) fn about_both(root: Member, inlined: Member, effect: Effect, text: String) -> Finding {
    Finding { tasks: [root.name.clone(), inlined.name.clone()].into(), effect, text }
}

pub(super) fn runtime_start(group: &Group) -> Vec<Finding> {
    if group.inlined.is_empty() {
        return Vec::new();
    }
    let unknown = |member: &Member| {
        !Family::of(&member.facts.runtime).is_some_and(Family::starts_beside_others)
    };
    group
        .members()
        .filter(unknown)
        .map(|Member { name, facts }| Finding {
            tasks: [name.clone()].into(),
            effect: Effect::NeverTried,
            text: format!(
                "`{name}` runs on {}, which the supervisor is not known to start beside other \
                 tasks: leave it a function of its own",
                facts.runtime
            ),
        })
        .collect()
}

/// The managed runtimes of a function.
pub(super) fn managed_runtimes<'a>(group: &Group<'a>) -> BTreeSet<&'a str> {
    managed(group.members().map(|member| member.facts.runtime.as_str()))
}

/// Whether only a container image holds all its runtimes.
pub(super) fn needs_image(group: &Group) -> bool {
    managed_runtimes(group).len() > 1
}

pub(super) fn package_form(group: &Group, no_images: bool) -> Vec<Finding> {
    let of = |effect, text| Finding { tasks: group.names(), effect, text };
    let finding = |text| of(Effect::Shown, text);
    let managed = managed_runtimes(group);
    if managed.len() > 1 {
        let list = sentence_list(managed.iter().copied());
        if no_images {
            let text = format!(
                "{} run on {list}: they need a container image, and nothing says where it goes \
                 (--repository)",
                names(group)
            );
            return vec![of(Effect::NeverTried, text)];
        }
        return vec![finding(format!(
            "{} run on {list}: on AWS they need a container image with these runtimes",
            names(group)
        ))];
    }
    let all: BTreeSet<&str> = group.members().map(|member| member.facts.runtime.as_str()).collect();
    let provided: Vec<&str> =
        all.into_iter().filter(|runtime| Family::of(runtime) == Some(Family::Provided)).collect();
    if provided.len() > 1 {
        return vec![finding(format!(
            "{} run on {}, and the function has only that of `{}`: check that the others' programs \
             start there, or give all the same `runtime`",
            names(group),
            sentence_list(provided),
            group.root.name
        ))];
    }
    Vec::new()
}

pub(super) fn architecture(group: &Group) -> Vec<Finding> {
    let root = group.root;
    let of = |member: Member| member.facts.configuration.architecture;
    let differing = group.inlined.iter().filter(|member| of(**member) != of(root));
    differing
        .map(|member| {
            let text = format!(
                "`{}` is built for {} and `{}` for {}: give both the same `architecture`",
                root.name,
                of(root).name(),
                member.name,
                of(*member).name()
            );
            about_both(root, *member, Effect::NeverTried, text)
        })
        .collect()
}

pub(super) fn vpc(group: &Group) -> Vec<Finding> {
    let root = group.root;
    fn sets(member: Member<'_>) -> [BTreeSet<&str>; 2] {
        let vpc = &member.facts.configuration.vpc;
        [&vpc.subnet_ids, &vpc.security_group_ids]
            .map(|ids| ids.iter().map(String::as_str).collect())
    }
    let network = |member: Member| {
        let [subnets, groups] = sets(member);
        if subnets.is_empty() {
            return format!("`{}` is in no VPC", member.name);
        }
        let (subnets, groups) = (sentence_list(subnets), sentence_list(groups));
        format!("`{}` is in {subnets} with {groups}", member.name)
    };
    let differing = group.inlined.iter().filter(|member| sets(**member) != sets(root));
    differing
        .map(|member| {
            let text = format!(
                "{} and {}, so it would reach another network: give both the same `vpc`",
                network(root),
                network(*member)
            );
            about_both(root, *member, Effect::NeverTried, text)
        })
        .collect()
}

pub(super) fn file_systems(group: &Group) -> Vec<Finding> {
    let root = group.root;
    let of = |member: Member<'_>| member.facts.configuration.file_systems.clone();
    let mut findings = Vec::new();
    for member in &group.inlined {
        for missing in of(*member).iter().filter(|one| !of(root).contains(one)) {
            let text = format!(
                "`{}` would not find {} at {} in the function of `{}`: add it to `fileSystems` \
                 there",
                member.name, missing.arn, missing.local_mount_path, root.name
            );
            findings.push(about_both(root, *member, Effect::NeverTried, text));
        }
        for added in of(root).iter().filter(|one| !of(*member).contains(one)) {
            let text = format!(
                "`{}` would see {} at {}, which only `{}` sees now: give both the same \
                 `fileSystems`",
                member.name, added.arn, added.local_mount_path, root.name
            );
            findings.push(about_both(root, *member, Effect::KeptOut, text));
        }
    }
    findings
}

pub(super) fn layers(group: &Group) -> Vec<Finding> {
    let root = group.root;
    let of = |member: Member<'_>| member.facts.configuration.layers.clone();
    let mut findings = Vec::new();
    for member in &group.inlined {
        let wanted = of(*member);
        let mut there = of(root).into_iter();
        // As a subsequence, because a later layer's files hide those of an earlier one.
        if let Some(missing) = wanted.iter().find(|layer| !there.any(|one| one == **layer)) {
            let text = format!(
                "`{}` needs the layer {missing} in its order, and the function of `{}` has {}: add \
                 it to `layers` there",
                member.name,
                root.name,
                layer_list(&of(root))
            );
            findings.push(about_both(root, *member, Effect::NeverTried, text));
        }
    }
    let layers = of(root).len();
    let supervisor = managed_runtimes(group).len();
    if needs_image(group) && layers > 0 {
        let text = format!(
            "the function of `{}` needs a container image, which takes no layers, and has {layers}: \
             put their files into the packages",
            root.name
        );
        findings.push(Finding { tasks: group.names(), effect: Effect::NeverTried, text });
    } else if layers + supervisor > MOST_LAYERS {
        let text = format!(
            "the function of `{}` needs {} layers with the supervisor's, and Lambda takes \
             {MOST_LAYERS}: merge some",
            root.name,
            layers + supervisor
        );
        findings.push(Finding { tasks: group.names(), effect: Effect::NeverTried, text });
    }
    findings
}

fn layer_list(layers: &[String]) -> String {
    if layers.is_empty() { "none".to_owned() } else { layers.join(", ") }
}

/// The tasks of a function, as they stand in texts.
pub(super) fn names(group: &Group) -> String {
    let quoted: Vec<String> = group.members().map(|member| quoted(member.name)).collect();
    sentence_list(quoted.iter().map(String::as_str))
}

fn quoted(name: &TaskName) -> String {
    format!("`{name}`")
}

/// `a, b and c`.
fn sentence_list<'s>(parts: impl IntoIterator<Item = &'s str>) -> String {
    let parts: Vec<&str> = parts.into_iter().collect();
    match parts.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
