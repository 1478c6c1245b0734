//! Checks of Lambda's limits and of time and room that the tasks of one function share.

use super::common::{about_both, names, needs_image};
use super::facts::DEFAULT_EPHEMERAL_STORAGE_MB;
use super::verdict::{Effect, Finding};
use super::{Group, Member};

/// Largest request and answer of a synchronous call.
const PAYLOAD_LIMIT_MB: u32 = 6;
/// Names and values of a function's environment variables.
const ENVIRONMENT_LIMIT_BYTES: u64 = 4 << 10;
/// A function's code unpacked.
const UNPACKED_LIMIT_BYTES: u64 = 250 << 20;
/// A container image unpacked.
const IMAGE_LIMIT_BYTES: u64 = 10 << 30;
/// What naming one inlined task takes in the environment besides its name: quotes and a comma.
const INLINED_NAME_BYTES: u64 = 3;

pub(super) fn ephemeral_storage(group: &Group) -> Vec<Finding> {
    let of = |member: &Member| u64::from(member.facts.configuration.ephemeral_storage_mb);
    let default = u64::from(DEFAULT_EPHEMERAL_STORAGE_MB);
    let asking: Vec<&Member> = group.inlined.iter().filter(|member| of(member) > default).collect();
    // What the function's own task needs is not known once its size was raised for the others.
    let needs = default + asking.iter().map(|member| of(member)).sum::<u64>();
    let has = of(&group.root);
    if asking.is_empty() || needs <= has {
        return Vec::new();
    }
    let each: Vec<String> =
        asking.iter().map(|member| format!("`{}` {} MB", member.name, of(member))).collect();
    let root = group.root.name;
    let text = format!(
        "the /tmp of the function of `{root}` has {has} MB, and now {} alone: set \
         `ephemeralStorage: {needs}` on `{root}`",
        each.join(", ")
    );
    vec![Finding { tasks: group.names(), effect: Effect::KeptOut, text }]
}

pub(super) fn payload_size(group: &Group) -> Vec<Finding> {
    let mut findings = Vec::new();
    for caller in group.members() {
        for callee in group.members() {
            let Some(size_mb) = caller.facts.max_payload_mb.get(callee.name) else { continue };
            if *size_mb > PAYLOAD_LIMIT_MB {
                let text = format!(
                    "`{}` and `{}` pass up to {size_mb} MB, and a synchronous call carries \
                     {PAYLOAD_LIMIT_MB} MB, fused or not: pass a reference to the data instead",
                    caller.name, callee.name
                );
                findings.push(about_both(caller, callee, Effect::NeverTried, text));
            }
        }
    }
    findings
}

pub(super) fn environment_size(group: &Group) -> Vec<Finding> {
    let inlined = group.inlined.iter();
    let named: u64 = inlined.map(|m| m.name.0.len() as u64 + INLINED_NAME_BYTES).sum();
    let bytes = group.root.facts.environment_bytes + named;
    if bytes <= ENVIRONMENT_LIMIT_BYTES {
        return Vec::new();
    }
    let root = group.root.name;
    let text = format!(
        "the environment of the function of `{root}` takes {bytes} bytes with what the supervisor \
         needs, and Lambda takes {ENVIRONMENT_LIMIT_BYTES}: shorten the `environment` of `{root}`"
    );
    vec![Finding { tasks: [root.clone()].into(), effect: Effect::NeverTried, text }]
}

pub(super) fn package_size(group: &Group, supervisor_bytes: u64) -> Vec<Finding> {
    // What is not built yet is asked about again before anything is tried.
    let known: u64 = group.members().filter_map(|member| member.facts.package_bytes).sum();
    let bytes = known + supervisor_bytes;
    let (limit, form) = if needs_image(group) {
        (IMAGE_LIMIT_BYTES, "a container image holds")
    } else {
        (UNPACKED_LIMIT_BYTES, "Lambda takes")
    };
    if bytes > limit {
        let text = format!(
            "{} are {} MB unpacked with the supervisor, and {form} {} MB: fuse fewer tasks or make \
             their packages smaller",
            names(group),
            bytes.div_ceil(1 << 20),
            limit >> 20
        );
        return vec![Finding { tasks: group.names(), effect: Effect::NeverTried, text }];
    }
    Vec::new()
}

pub(super) fn timeout_path(group: &Group) -> Vec<Finding> {
    let root = group.root;
    let longer = group.inlined.iter().filter(|m| m.facts.timeout_ms > root.facts.timeout_ms);
    longer
        .map(|member| {
            let (inner_s, outer_s) =
                (member.facts.timeout_ms / 1000, root.facts.timeout_ms / 1000);
            let text = format!(
                "`{}` may run {inner_s} s, but in the function of `{}` it ends with the {outer_s} s \
                 of that one: set `timeout: {inner_s}s` on `{}`",
                member.name, root.name, root.name
            );
            about_both(root, *member, Effect::KeptOut, text)
        })
        .collect()
}
