//! Steps that start as soon as those they come after are done: a directed acyclic graph.
//!
//! A step that comes after nothing gets the workflow's input, one that comes after one other its
//! result, and one that comes after several an object with their results by name. The workflow's
//! result follows the same rule over the steps that nothing comes after.
//!
//! A step that is left out has no result: the object of those that come after it and others lacks its
//! name, and a workflow whose only last step is left out results in null. An element of a map is tried
//! again by itself. If it fails for good the whole step fails, and what still runs for its other
//! elements is of no interest any more. A step that fails and that nothing stands in for fails the
//! workflow; nor does anything stand in for what stands in.

use indexmap::{IndexMap, IndexSet};
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};

use super::Retry;
use super::condition::Condition;
use crate::workflow::TaskName;

/// Steps by name, each after those it comes after.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "IndexMap<String, Step>", into = "IndexMap<String, Step>")]
pub struct Steps {
    steps: IndexMap<String, Step>,
    /// For each step the numbers of those it comes after, in the order it names them.
    before: Vec<Vec<usize>>,
    /// For each step the numbers of those that come after it, in their order.
    following: Vec<Vec<usize>>,
}

/// One step.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Step {
    /// Task that is invoked with the step's input.
    pub task: TaskName,
    /// Steps that are done before it starts.
    pub after: Vec<String>,
    /// Whether the task is invoked once for every element of a list in the input; then the result is
    /// the list of results.
    pub map: Option<Map>,
    /// What has to hold of the input. If it does not, or asks about something that is not there, the
    /// step is left out, as is a step that comes after nothing but steps that are left out.
    pub when: Option<Condition>,
    /// What is tried again, the first that matches.
    pub retry: Vec<Retry>,
    /// What stands in for a step that failed, the first that matches.
    pub catch: Vec<Catch>,
}

/// A list over which a step is invoked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Map {
    /// JSON pointer (RFC 6901) to the list in the step's input; empty for the input itself.
    pub items: String,
    /// Invocations at the same time, at most; without it all of them.
    pub concurrency: Option<u32>,
}

/// What stands in for a step that failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Catch {
    /// Names of errors; `States.ALL` for any.
    pub errors: Vec<String>,
    /// What the step's result is then: the task's with `{"Error", "Cause", "Input"}`.
    pub task: TaskName,
}

/// Why steps make no flow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StepsError {
    /// There is none.
    #[error("there are no steps")]
    Empty,
    /// A step comes after one that there is none of.
    #[error("step `{step}` comes after `{after}`, and there is no such step")]
    Unknown {
        /// The step.
        step: String,
        /// What it names.
        after: String,
    },
    /// Steps wait for each other.
    #[error("steps wait for each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
    /// A map that may run nothing.
    #[error("step `{0}`: a concurrency is at least 1")]
    Concurrency(String),
}

impl TryFrom<IndexMap<String, Step>> for Steps {
    type Error = StepsError;

    fn try_from(steps: IndexMap<String, Step>) -> Result<Self, StepsError> {
        if steps.is_empty() {
            return Err(StepsError::Empty);
        }
        let mut graph = DiGraph::<(), ()>::new();
        steps.iter().for_each(|_| {
            graph.add_node(());
        });
        let (mut before, mut following) = (Vec::new(), vec![Vec::new(); steps.len()]);
        for (index, (name, step)) in steps.iter().enumerate() {
            if step.map.as_ref().is_some_and(|map| map.concurrency == Some(0)) {
                return Err(StepsError::Concurrency(name.clone()));
            }
            // Named twice, it counts once.
            let mut others = IndexSet::new();
            for after in &step.after {
                let Some(other) = steps.get_index_of(after) else {
                    return Err(StepsError::Unknown { step: name.clone(), after: after.clone() });
                };
                if others.insert(other) {
                    graph.add_edge(NodeIndex::new(other), NodeIndex::new(index), ());
                    following[other].push(index);
                }
            }
            before.push(others.into_iter().collect());
        }
        let cyclic = petgraph::algo::tarjan_scc(&graph).into_iter().find(|component| {
            component.len() > 1 || graph.contains_edge(component[0], component[0])
        });
        match cyclic {
            None => Ok(Self { steps, before, following }),
            Some(mut component) => {
                component.sort_unstable();
                let name = |node: &NodeIndex| steps.get_index(node.index()).map(|(name, _)| name);
                Err(StepsError::Cycle(component.iter().filter_map(name).cloned().collect()))
            }
        }
    }
}

impl From<Steps> for IndexMap<String, Step> {
    fn from(steps: Steps) -> Self {
        steps.steps
    }
}

impl Steps {
    /// The steps with their names, in the order they were given in.
    pub fn iter(&self) -> indexmap::map::Iter<'_, String, Step> {
        self.steps.iter()
    }

    /// The step of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Step> {
        self.steps.get(name)
    }

    /// Names of the steps that nothing comes after, in the order they were given in.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        let steps = self.steps.keys().zip(&self.following);
        steps.filter(|(_, following)| following.is_empty()).map(|(name, _)| name.as_str())
    }

    /// Number of steps.
    pub(super) fn count(&self) -> usize {
        self.steps.len()
    }

    /// A step with its name, by number. Numbers count from 0 in the order the steps were given in.
    pub(super) fn at(&self, number: usize) -> (&str, &Step) {
        let (name, step) = self.steps.get_index(number).expect("numbers are those of steps");
        (name, step)
    }

    /// Numbers of the steps that a step comes after, each once.
    pub(super) fn before(&self, number: usize) -> &[usize] {
        &self.before[number]
    }

    /// Numbers of the steps that come after a step.
    pub(super) fn following(&self, number: usize) -> &[usize] {
        &self.following[number]
    }
}
