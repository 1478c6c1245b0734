//! A state machine: the part of the Amazon States Language that Fuseline runs.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::data::Data;
use super::path::Path;
use super::template::Template;
use super::{Retry, StepName};
use crate::workflow::TaskName;

/// A state machine, or a branch of one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct States {
    /// State it starts with; one of `states`.
    pub start: String,
    /// States by name; every `next` is one of them.
    pub states: IndexMap<String, State>,
}

/// One state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct State {
    /// What it does.
    pub kind: Kind,
    /// What goes in and comes out.
    pub data: Processing,
    /// State that follows; none ends the machine or branch. Of no meaning for Choice, Succeed, Fail.
    pub next: Option<String>,
    /// What is tried again, the first that matches (Task, Parallel, Map).
    pub retry: Vec<Retry>,
    /// Where a failure leads, the first that matches (Task, Parallel, Map).
    pub catch: Vec<Catch>,
}

/// What a state does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Invokes a task.
    Task {
        /// Task.
        task: TaskName,
        /// After which it counts as failed with `States.Timeout`, in microseconds.
        timeout_us: Option<u64>,
    },
    /// Runs branches at the same time; its result is the list of theirs.
    Parallel {
        /// Branches; at least one.
        branches: Vec<States>,
    },
    /// Runs a machine for each element of a list; its result is the list of theirs.
    Map {
        /// The list, in the state's input.
        items: Path,
        /// `ItemSelector`: what each iteration gets instead of its element.
        selector: Option<Template>,
        /// Iterations at the same time, at most; none for all of them.
        concurrency: Option<u32>,
        /// What runs for each element.
        iterator: Box<States>,
    },
    /// Goes to the state of the first condition that holds.
    Choice {
        /// Conditions and states, in order.
        rules: Vec<(Condition, String)>,
        /// State if none holds; without it the machine fails with `States.NoChoiceMatched`.
        default: Option<String>,
    },
    /// Its result is its input, or a constant.
    Pass {
        /// The constant.
        result: Option<Data>,
    },
    /// Waits.
    Wait(Wait),
    /// Ends the machine or branch.
    Succeed,
    /// Ends the machine with an error.
    Fail {
        /// Name of the error.
        error: String,
        /// What is said of it.
        cause: String,
    },
}

/// How long a Wait state waits.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// So many microseconds.
    For(u64),
    /// The seconds that a number in the input says.
    Path(Path),
}

/// What goes into a state and what comes out, as the language's fields of the same names.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Processing {
    /// `InputPath`: which part of the input the state sees.
    pub input: Selection,
    /// `Parameters`: what is made of it.
    pub parameters: Option<Template>,
    /// `ResultSelector`: what is made of the result.
    pub selector: Option<Template>,
    /// `ResultPath`: where the result goes in the state's input.
    pub result: Placement,
    /// `OutputPath`: which part goes on.
    pub output: Selection,
}

/// Part of a value.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// All of it (`$`).
    #[default]
    All,
    /// What is at a path.
    At(Path),
    /// An empty object (`null`).
    Nothing,
}

/// Where a result goes in a state's input.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// It replaces the input (`$`).
    #[default]
    Replace,
    /// To a path in it.
    At(Path),
    /// Nowhere: the input goes on (`null`).
    Discard,
}

/// Where a failure leads.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Catch {
    /// Names of errors; `States.ALL` for any.
    pub errors: Vec<String>,
    /// State that follows.
    pub next: String,
    /// Where `{"Error", "Cause"}` goes in the state's input.
    pub result: Placement,
}

impl States {
    /// Every Task state with its task, in the order they are written in.
    #[must_use]
    pub fn tasks(&self) -> Vec<(StepName, &TaskName)> {
        let mut tasks = Vec::new();
        self.collect_tasks("", &mut tasks);
        tasks
    }

    fn collect_tasks<'a>(&'a self, before: &str, tasks: &mut Vec<(StepName, &'a TaskName)>) {
        for (name, state) in &self.states {
            match &state.kind {
                Kind::Task { task, .. } => tasks.push((StepName(format!("{before}{name}")), task)),
                Kind::Map { iterator, .. } => {
                    iterator.collect_tasks(&format!("{before}{name}/"), tasks);
                }
                Kind::Parallel { branches } => {
                    for (number, branch) in branches.iter().enumerate() {
                        branch.collect_tasks(&format!("{before}{name}/{number}/"), tasks);
                    }
                }
                _ => {}
            }
        }
    }
}
