//! Which functions a step reaches, and which functions wait for which.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::flow::StepGraph;
use crate::workflow::{CallKind, Workflow};

/// Functions are named by their place in the deployment, steps by their number in the graph.
///
/// A function that several steps invoke, or that functions call, is one: what it gets, it has
/// everywhere.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Topology {
    /// For every step, the functions that its invocation reaches.
    reached: Vec<Vec<usize>>,
    /// For every step, the functions that it invokes itself.
    invoked: Vec<Vec<usize>>,
    /// For every function, itself and those that wait for it.
    waiting: Vec<Vec<usize>>,
}

impl Topology {
    pub(super) fn new(workflow: &Workflow, deployment: &Deployment, graph: &StepGraph) -> Self {
        let functions = deployment.functions();
        let count = functions.len();
        let (mut calls, mut waited_by) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for (caller, (root, function)) in functions.iter().enumerate() {
            for task in std::iter::once(root).chain(&function.inlined) {
                for (callee, kind) in workflow.callees(task) {
                    let inside = kind == CallKind::Sync && deployment.holds(root, callee);
                    let Some(callee) = functions.get_index_of(callee).filter(|_| !inside) else {
                        continue;
                    };
                    calls[caller].push(callee);
                    if kind == CallKind::Sync {
                        waited_by[callee].push(caller);
                    }
                }
            }
        }
        let invoked: Vec<Vec<usize>> = graph
            .nodes()
            .iter()
            .map(|node| node.tasks.iter().filter_map(|task| functions.get_index_of(task)).collect())
            .collect();
        Self {
            reached: invoked.iter().map(|from| closure(from, &calls)).collect(),
            invoked,
            waiting: (0..count).map(|function| closure(&[function], &waited_by)).collect(),
        }
    }

    /// The functions that these steps reach, each once, in the order of the steps.
    pub(super) fn reached<'a>(&'a self, steps: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        let mut seen = BTreeSet::new();
        let all = steps.iter().flat_map(|step| &self.reached[*step]).copied();
        all.filter(move |function| seen.insert(*function))
    }

    /// The functions whose time and cost depend on what this one has: itself and those that wait
    /// for it, in ascending order.
    pub(super) fn affected(&self, function: usize) -> &[usize] {
        &self.waiting[function]
    }

    /// Whether the time of a step depends on what the function has.
    pub(super) fn is_step_affected(&self, step: usize, function: usize) -> bool {
        self.invoked[step].iter().any(|invoked| self.affected(function).contains(invoked))
    }
}

/// These functions and all that edges lead to from them, in ascending order.
fn closure(from: &[usize], edges: &[Vec<usize>]) -> Vec<usize> {
    let mut found: BTreeSet<usize> = from.iter().copied().collect();
    let mut open: Vec<usize> = found.iter().copied().collect();
    while let Some(next) = open.pop() {
        open.extend(edges[next].iter().copied().filter(|to| found.insert(*to)));
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workflow;

    #[test]
    fn callers_that_wait_are_affected_and_everything_called_is_reached() {
        let workflow = workflow("a", &["a>b", "b~c", "c>d", "e>d"]).unwrap();
        let deployment = Deployment::unfused(&workflow);
        let graph = StepGraph::single("a".into(), "a".into());
        let topology = Topology::new(&workflow, &deployment, &graph);
        assert!(topology.reached(&[0]).eq(0..4), "not e");
        assert_eq!(topology.affected(1), [0, 1]);
        assert_eq!(topology.affected(3), [2, 3], "b does not wait for c");
        assert!(topology.is_step_affected(0, 1) && !topology.is_step_affected(0, 3));
    }

    #[test]
    fn what_is_inlined_is_part_of_its_root() {
        let workflow = workflow("a", &["a>b", "b>c"]).unwrap();
        let deployment = Deployment::parse(&workflow, "(a,b)-(c)").unwrap();
        let graph = StepGraph::single("a".into(), "a".into());
        let topology = Topology::new(&workflow, &deployment, &graph);
        assert!(topology.reached(&[0]).eq(0..2));
        assert_eq!(topology.affected(1), [0, 1], "b waits inside a");
    }
}
