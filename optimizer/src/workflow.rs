//! A workflow: its tasks, which of them call which, where it starts and what latency it promises.

use std::fmt;

use indexmap::{IndexMap, IndexSet};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use crate::flow::Flow;
use crate::units::Resources;

/// Name of a task, and of the function it is deployed as.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TaskName(pub String);

/// How a task calls another.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// The caller waits for the result.
    Sync,
    /// The caller goes on at once.
    Async,
}

/// One edge of the call graph.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Call {
    /// Task that calls.
    pub caller: TaskName,
    /// Task that is called.
    pub callee: TaskName,
    /// Whether the caller waits.
    pub kind: CallKind,
}

/// Limit on the end-to-end latency of one execution.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Slo {
    /// The limit, in microseconds.
    pub latency_us: u64,
    /// Per cent of the executions that have to stay within it, 1 to 100.
    pub percentile: u8,
}

/// A task as the developer deployed it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Task {
    /// What its function gets before anything is optimised.
    pub resources: Resources,
}

/// Tasks and their calls: a directed graph in which synchronous calls form no cycle.
///
/// It is serialised as its parts and checked again when it is read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Workflow {
    name: String,
    entry: TaskName,
    slo: Slo,
    tasks: IndexMap<TaskName, Task>,
    graph: DiGraph<TaskName, CallKind>,
    flow: Option<Flow>,
}

/// What a workflow is written as.
#[derive(Deserialize, Serialize)]
struct Parts {
    name: String,
    entry: TaskName,
    slo: Slo,
    tasks: IndexMap<TaskName, Task>,
    calls: Vec<Call>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
}

impl TryFrom<Parts> for Workflow {
    type Error = WorkflowError;

    fn try_from(parts: Parts) -> Result<Self, WorkflowError> {
        let workflow = Self::new(parts.name, parts.entry, parts.slo, parts.tasks, &parts.calls)?;
        match parts.flow {
            None => Ok(workflow),
            Some(flow) => workflow.with_flow(flow),
        }
    }
}

impl From<Workflow> for Parts {
    fn from(workflow: Workflow) -> Self {
        let calls = workflow.calls().collect();
        let Workflow { name, entry, slo, tasks, graph: _, flow } = workflow;
        Self { name, entry, slo, tasks, calls, flow }
    }
}

/// Why tasks and calls make no workflow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WorkflowError {
    /// A call or the entry names a task that there is none of.
    #[error("there is no task `{0}`")]
    UnknownTask(TaskName),
    /// Synchronous calls form a cycle: tasks on it in calling order, the first again at the end.
    #[error("synchronous calls form a cycle: {}", .0.iter().map(|t| t.0.as_str()).collect::<Vec<_>>().join(" → "))]
    SynchronousCycle(Vec<TaskName>),
    /// An orchestrator that invokes nothing.
    #[error("the workflow invokes no task")]
    NoTask,
    /// The percentile of the SLO is not within 1 to 100.
    #[error("an SLO's percentile is from 1 to 100, not {0}")]
    Percentile(u8),
}

impl Workflow {
    /// Checks and builds a workflow. A call named twice counts once, synchronous before
    /// asynchronous.
    ///
    /// # Errors
    /// If the entry or a call names an unknown task or synchronous calls form a cycle.
    pub fn new(
        name: String,
        entry: TaskName,
        slo: Slo,
        tasks: IndexMap<TaskName, Task>,
        calls: &[Call],
    ) -> Result<Self, WorkflowError> {
        let unknown = |task: &TaskName| WorkflowError::UnknownTask(task.clone());
        if !(1..=100).contains(&slo.percentile) {
            return Err(WorkflowError::Percentile(slo.percentile));
        }
        if !tasks.contains_key(&entry) {
            return Err(unknown(&entry));
        }
        let mut graph = DiGraph::new();
        // Node i is task i, because nodes are added in the order of `tasks` and never removed.
        tasks.keys().for_each(|task| {
            graph.add_node(task.clone());
        });
        let node = |task: &TaskName| {
            tasks.get_index_of(task).map(NodeIndex::new).ok_or_else(|| unknown(task))
        };
        for call in calls {
            let (caller, callee) = (node(&call.caller)?, node(&call.callee)?);
            let kind = match graph.find_edge(caller, callee) {
                Some(edge) => call.kind.min(graph[edge]),
                None => call.kind,
            };
            graph.update_edge(caller, callee, kind);
        }
        let workflow = Self { name, entry, slo, tasks, graph, flow: None };
        match workflow.synchronous_cycle() {
            Some(cycle) => Err(WorkflowError::SynchronousCycle(cycle)),
            None => Ok(workflow),
        }
    }

    /// The same workflow, its tasks run by an orchestrator. Its entry is then the first task that the
    /// flow names.
    ///
    /// # Errors
    /// If the flow names an unknown task, or none.
    pub fn with_flow(mut self, flow: Flow) -> Result<Self, WorkflowError> {
        let tasks = flow.tasks();
        let unknown = flow.invoked().into_iter().find(|task| !self.tasks.contains_key(*task));
        if let Some(task) = unknown {
            return Err(WorkflowError::UnknownTask(task.clone()));
        }
        self.entry = tasks.first().map(|(_, task)| (*task).clone()).ok_or(WorkflowError::NoTask)?;
        self.flow = Some(flow);
        Ok(self)
    }

    /// The same workflow with another limit on its latency, in microseconds.
    #[must_use]
    pub fn with_slo_latency(mut self, latency_us: u64) -> Self {
        self.slo.latency_us = latency_us;
        self
    }

    /// The same workflow with other resources of its tasks.
    #[must_use]
    pub fn with_resources(mut self, of: impl Fn(&TaskName, Resources) -> Resources) -> Self {
        for (name, task) in &mut self.tasks {
            task.resources = of(name, task.resources);
        }
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Task that an execution starts with; of an orchestrated workflow, the first it names.
    #[must_use]
    pub fn entry(&self) -> &TaskName {
        &self.entry
    }

    /// How an orchestrator runs the tasks; none if the entry calls the others.
    #[must_use]
    pub fn flow(&self) -> Option<&Flow> {
        self.flow.as_ref()
    }

    /// The tasks that are invoked from outside the workflow's tasks: the entry first, then what an
    /// orchestrator runs, each once.
    #[must_use]
    pub fn roots(&self) -> Vec<&TaskName> {
        let flow = self.flow.iter().flat_map(|flow| flow.invoked());
        std::iter::once(&self.entry).chain(flow).collect::<IndexSet<_>>().into_iter().collect()
    }

    /// What it promises.
    #[must_use]
    pub fn slo(&self) -> Slo {
        self.slo
    }

    /// Its tasks, in the order they were given in.
    #[must_use]
    pub fn tasks(&self) -> &IndexMap<TaskName, Task> {
        &self.tasks
    }

    /// Every call once, ordered by caller and callee in the order of the tasks.
    pub fn calls(&self) -> impl Iterator<Item = Call> + '_ {
        let mut edges: Vec<_> = self.graph.edge_references().collect();
        edges.sort_by_key(|edge| (edge.source(), edge.target()));
        edges.into_iter().map(|edge| Call {
            caller: self.graph[edge.source()].clone(),
            callee: self.graph[edge.target()].clone(),
            kind: *edge.weight(),
        })
    }

    /// The synchronous calls, in the order of [`Workflow::calls`].
    pub fn synchronous_calls(&self) -> impl Iterator<Item = Call> + '_ {
        self.calls().filter(|call| call.kind == CallKind::Sync)
    }

    /// The tasks that `task` calls, in the order of the tasks.
    pub(crate) fn callees(&self, task: &TaskName) -> impl Iterator<Item = (&TaskName, CallKind)> {
        let node = self.tasks.get_index_of(task).map(NodeIndex::new);
        let mut edges: Vec<_> = node.into_iter().flat_map(|node| self.graph.edges(node)).collect();
        edges.sort_by_key(|edge| edge.target());
        edges.into_iter().map(|edge| (&self.graph[edge.target()], *edge.weight()))
    }

    /// For every task, in the order of the tasks, the number of its region: tasks that synchronous
    /// calls join, in whatever direction, are in the same one. Numbers count up from 0.
    pub(crate) fn regions(&self) -> Vec<usize> {
        let mut sets = petgraph::unionfind::UnionFind::new(self.tasks.len());
        for edge in self.graph.edge_references().filter(|edge| *edge.weight() == CallKind::Sync) {
            sets.union(edge.source().index(), edge.target().index());
        }
        let mut numbers = IndexMap::new();
        (0..self.tasks.len())
            .map(|task| {
                let next = numbers.len();
                *numbers.entry(sets.find(task)).or_insert(next)
            })
            .collect()
    }

    /// A cycle of synchronous calls, if there is one.
    fn synchronous_cycle(&self) -> Option<Vec<TaskName>> {
        let synchronous = self.graph.filter_map(
            |_, task| Some(task.clone()),
            |_, kind| (*kind == CallKind::Sync).then_some(()),
        );
        let component = petgraph::algo::tarjan_scc(&synchronous).into_iter().find(|component| {
            component.len() > 1 || synchronous.contains_edge(component[0], component[0])
        })?;
        // Every task of the component calls another one of it, so following such calls returns.
        let mut path = vec![*component.iter().min()?];
        loop {
            let next = synchronous
                .neighbors(*path.last()?)
                .filter(|task| component.contains(task))
                .min()?;
            let closed = path.iter().position(|task| *task == next);
            path.push(next);
            if let Some(start) = closed {
                return Some(path[start..].iter().map(|task| synchronous[*task].clone()).collect());
            }
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TaskName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workflow;

    #[test]
    fn a_cycle_is_named_in_calling_order() {
        let error = workflow("a", &["a>b", "b>c", "c>d", "d>b"]).unwrap_err();
        let text = "synchronous calls form a cycle: b → c → d → b";
        assert_eq!(error.to_string(), text);
        let error = workflow("a", &["a>a"]).unwrap_err();
        assert_eq!(error.to_string(), "synchronous calls form a cycle: a → a");
    }

    #[test]
    fn an_asynchronous_call_may_close_a_cycle() {
        assert!(workflow("a", &["a>b", "b>c", "c~a"]).is_ok());
    }

    #[test]
    fn unknown_tasks_are_named() {
        let tasks = workflow("a", &["a>b"]).unwrap().tasks().clone();
        let slo = Slo { latency_us: 1, percentile: 95 };
        let build = |entry: &str, callee: &str, percentile| {
            let (caller, callee) = (TaskName::from("a"), TaskName::from(callee));
            let call = Call { caller, callee, kind: CallKind::Sync };
            let slo = Slo { percentile, ..slo };
            Workflow::new("w".to_owned(), TaskName::from(entry), slo, tasks.clone(), &[call])
                .map(|_| ())
        };
        assert_eq!(build("a", "b", 95), Ok(()));
        assert_eq!(build("x", "b", 95), Err(WorkflowError::UnknownTask(TaskName::from("x"))));
        assert_eq!(build("a", "y", 95), Err(WorkflowError::UnknownTask(TaskName::from("y"))));
        assert_eq!(build("a", "b", 0), Err(WorkflowError::Percentile(0)));
        assert_eq!(build("a", "b", 101), Err(WorkflowError::Percentile(101)));
    }

    #[test]
    fn a_call_named_twice_counts_once_and_as_synchronous() {
        for calls in [["a~b", "a>b"], ["a>b", "a~b"], ["a>b", "a>b"]] {
            let workflow = workflow("a", &calls).unwrap();
            let kinds: Vec<_> = workflow.calls().map(|call| call.kind).collect();
            assert_eq!(kinds, [CallKind::Sync], "{calls:?}");
        }
    }

    #[test]
    fn calls_come_in_the_order_of_the_tasks() {
        let workflow = workflow("a", &["a>b", "a>c", "b>c", "a~d"]).unwrap();
        let calls: Vec<_> = workflow.calls().map(|c| format!("{}{}", c.caller, c.callee)).collect();
        assert_eq!(calls, ["ab", "ac", "ad", "bc"]);
        let callees: Vec<_> = workflow.callees(&TaskName::from("a")).collect();
        assert_eq!(callees.len(), 3);
        assert_eq!(callees[2], (&TaskName::from("d"), CallKind::Async));
    }

    #[test]
    fn asynchronous_calls_separate_regions() {
        let workflow = workflow("a", &["a>b", "b~c", "c>d", "e>d", "a~f"]).unwrap();
        // Tasks in the order a b c d e f.
        assert_eq!(workflow.regions(), [0, 0, 1, 1, 1, 2]);
    }

    #[test]
    fn reading_checks_again() {
        let workflow = workflow("a", &["a>b", "b~c"]).unwrap();
        let text = serde_json::to_string(&workflow).unwrap();
        let read: Workflow = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.calls().collect::<Vec<_>>(), workflow.calls().collect::<Vec<_>>());
        let broken = text.replace(r#""entry":"a""#, r#""entry":"z""#);
        let error = serde_json::from_str::<Workflow>(&broken).unwrap_err();
        assert!(error.to_string().contains("there is no task `z`"), "{error}");
    }
}
