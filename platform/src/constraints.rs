//! What the user says about fusing and sizing: `constraints` of the workflow file, checked.

use std::collections::{BTreeMap, BTreeSet};

use optimizer::gate::{Force, Permission};
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{TaskName, Workflow};
use serde_saphyr::Spanned;

use crate::input_error::InputError;
use crate::project::Resolver;
use crate::quantity::MegaBytes;
use crate::workflow_file::{AllowSection, TaskList, WorkflowFile};

/// What the user says about fusing and sizing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// Pairs of a caller and whom it waits for that are fused, cheaper or not.
    pub together: Vec<BTreeSet<TaskName>>,
    /// Sets of tasks of which no two share a function.
    pub apart: Vec<BTreeSet<TaskName>>,
    /// Functions, by root, that keep this memory.
    pub fixed: BTreeMap<TaskName, MemoryMb>,
    /// Checks of the safety gate that are not to stand in the way.
    pub allow: Vec<Permission>,
}

impl Constraints {
    /// Checks what the file says.
    pub(crate) fn resolve(
        resolver: &Resolver,
        raw: &WorkflowFile,
        workflow: &Workflow,
    ) -> Result<Self, InputError> {
        let lists = |lists: &[TaskList]| -> Result<Vec<BTreeSet<TaskName>>, InputError> {
            lists.iter().map(|list| tasks(resolver, raw, list)).collect()
        };
        let section = &raw.constraints;
        let constraints = Self {
            together: lists(&section.together)?,
            apart: lists(&section.apart)?,
            fixed: fixed(resolver, raw)?,
            allow: section
                .allow
                .iter()
                .map(|one| permission(resolver, raw, one))
                .collect::<Result<_, _>>()?,
        };
        for (list, pair) in section.together.iter().zip(&constraints.together) {
            constraints.check_together(resolver, workflow, list, pair)?;
        }
        Ok(constraints)
    }

    fn check_together(
        &self,
        resolver: &Resolver,
        workflow: &Workflow,
        list: &TaskList,
        pair: &BTreeSet<TaskName>,
    ) -> Result<(), InputError> {
        let names = quoted(pair);
        if self.apart.iter().any(|set| set.intersection(pair).count() > 1) {
            return Err(resolver.error(
                list.referenced,
                format!("{names} are both `together` and `apart`"),
                "remove them from one of the two",
            ));
        }
        let joined =
            workflow.synchronous_calls().any(|call| *pair == [call.caller, call.callee].into());
        if joined {
            return Ok(());
        }
        Err(resolver.error(
            list.referenced,
            format!("no synchronous call joins {names}"),
            "name a caller and a task that it waits for, two in each list of `together`",
        ))
    }
}

/// A list of at least two different tasks.
fn tasks(
    resolver: &Resolver,
    raw: &WorkflowFile,
    list: &TaskList,
) -> Result<BTreeSet<TaskName>, InputError> {
    let mut tasks = BTreeSet::new();
    for name in &list.value {
        check_known(resolver, raw, name)?;
        tasks.insert(TaskName(name.value.clone()));
    }
    if tasks.len() < 2 || tasks.len() < list.value.len() {
        return Err(resolver.error(
            list.referenced,
            "a list of tasks that may or may not share a function names two or more different ones",
            "write it as [a, b]",
        ));
    }
    Ok(tasks)
}

fn check_known(
    resolver: &Resolver,
    raw: &WorkflowFile,
    name: &Spanned<String>,
) -> Result<(), InputError> {
    match raw.tasks.keys().any(|task| task.value == name.value) {
        true => Ok(()),
        false => Err(resolver.unknown_task(raw, name)),
    }
}

fn fixed(
    resolver: &Resolver,
    raw: &WorkflowFile,
) -> Result<BTreeMap<TaskName, MemoryMb>, InputError> {
    let mut fixed = BTreeMap::new();
    for (name, section) in &raw.constraints.fixed {
        check_known(resolver, raw, name)?;
        let MegaBytes(memory_mb) = section.memory.value;
        let space = ResourceSpace::lambda();
        let at = section.memory.referenced;
        space.check(space.resources_for_memory(MemoryMb(memory_mb))).map_err(|error| {
            resolver.error(at, error.to_string(), "choose an amount within the range")
        })?;
        let task = raw.tasks.iter().find(|(task, _)| task.value == name.value);
        let own = task.and_then(|(_, task)| task.memory.as_ref()).map(|memory| memory.value);
        if let Some(MegaBytes(own_mb)) = own.filter(|own| *own != section.memory.value) {
            return Err(resolver.error(
                at,
                format!("task `{}` has {own_mb} MB and is fixed to {memory_mb} MB", name.value),
                "write the memory in one place only",
            ));
        }
        fixed.insert(TaskName(name.value.clone()), MemoryMb(memory_mb));
    }
    Ok(fixed)
}

fn permission(
    resolver: &Resolver,
    raw: &WorkflowFile,
    section: &Spanned<AllowSection>,
) -> Result<Permission, InputError> {
    let AllowSection { fuse, check, reason, force } = &section.value;
    let reason = reason.clone().filter(|reason| !reason.trim().is_empty());
    if *force && reason.is_none() {
        return Err(resolver.error(
            section.referenced,
            "`force: true` without a reason",
            "add `reason:`, for whoever reads the file later",
        ));
    }
    if !check.can_be_lifted() {
        return Err(resolver.error(
            section.referenced,
            format!("`{}` cannot be allowed, the file itself asks for it", check.code()),
            "remove the tasks from `constraints.apart` instead",
        ));
    }
    Ok(Permission {
        fuse: tasks(resolver, raw, fuse)?,
        check: *check,
        reason,
        force: if *force { Force::Everything } else { Force::Warnings },
    })
}

fn quoted(tasks: &BTreeSet<TaskName>) -> String {
    let names: Vec<String> = tasks.iter().map(|task| format!("`{task}`")).collect();
    names.join(" and ")
}
