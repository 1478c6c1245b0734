//! The steps of a flow as a directed acyclic graph: which step waits for which.
//!
//! Its nodes are the steps or Task states, those inside maps and branches included; a map is one node
//! however many iterations it has, because they all do the same. The other states are no nodes: their
//! time is in no step's, only in the end-to-end latency.
//!
//! What may happen counts as if it happened: the alternatives of a Choice, and what a failure leads
//! to, are paths beside each other. A state machine that goes back to a state it came from is taken
//! as going through its loop once: the way back is left out, and a step's time, from its first start to
//! its last end, covers all rounds.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use serde::{Deserialize, Serialize};

use super::states::{Kind, State};
use super::{Flow, States, StepName, Steps};
use crate::workflow::TaskName;

/// Steps and what they wait for. Nodes have numbers, from 0 in the order of [`Flow::tasks`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StepGraph {
    nodes: Vec<StepNode>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    order: Vec<usize>,
}

/// One step.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StepNode {
    /// Its name.
    pub step: StepName,
    /// The task it invokes, then those that stand in for it when that fails.
    pub tasks: Vec<TaskName>,
}

/// The graph of a flow.
#[must_use]
pub fn graph(flow: &Flow) -> StepGraph {
    let mut nodes: Vec<StepNode> = flow
        .tasks()
        .into_iter()
        .map(|(step, task)| StepNode { step, tasks: vec![task.clone()] })
        .collect();
    let edges = match flow {
        Flow::Steps(steps) => {
            for (node, (_, step)) in nodes.iter_mut().zip(steps.iter()) {
                node.tasks.extend(step.catch.iter().map(|catch| catch.task.clone()));
            }
            edges_of_steps(steps)
        }
        Flow::States(states) => {
            let numbers = nodes.iter().enumerate().map(|(number, node)| (&node.step, number));
            let mut builder = Builder { numbers: numbers.collect(), edges: BTreeSet::new() };
            builder.machine("", states, &BTreeSet::new());
            builder.edges
        }
    };
    StepGraph::new(nodes, &edges)
}

fn edges_of_steps(steps: &Steps) -> BTreeSet<(usize, usize)> {
    let numbers: HashMap<&str, usize> =
        steps.iter().enumerate().map(|(number, (name, _))| (name.as_str(), number)).collect();
    steps
        .iter()
        .enumerate()
        .flat_map(|(number, (_, step))| step.after.iter().map(move |after| (after, number)))
        // Every step that is named exists: `Steps` is checked when it is made.
        .filter_map(|(after, number)| Some((*numbers.get(after.as_str())?, number)))
        .collect()
}

impl StepGraph {
    /// A graph of one step, such as the entry of a workflow that no orchestrator runs.
    #[must_use]
    pub fn single(step: StepName, task: TaskName) -> Self {
        Self::new(vec![StepNode { step, tasks: vec![task] }], &BTreeSet::new())
    }

    /// The graph with these edges, which form no cycle.
    pub(crate) fn new(nodes: Vec<StepNode>, edges: &BTreeSet<(usize, usize)>) -> Self {
        let (mut before, mut after) =
            (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
        for (from, to) in edges {
            before[*to].push(*from);
            after[*from].push(*to);
        }
        let order = topological_order(&before, &after);
        Self { nodes, before, after, order }
    }

    /// The steps, by number.
    #[must_use]
    pub fn nodes(&self) -> &[StepNode] {
        &self.nodes
    }

    /// Steps that this one waits for, in ascending order.
    #[must_use]
    pub fn before(&self, node: usize) -> &[usize] {
        &self.before[node]
    }

    /// Steps that wait for this one, in ascending order.
    #[must_use]
    pub fn after(&self, node: usize) -> &[usize] {
        &self.after[node]
    }

    /// All steps, each behind those it waits for.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

/// The nodes in an order that the edges allow, the first in number where there is a choice.
fn topological_order(before: &[Vec<usize>], after: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let free = (0..missing.len()).filter(|node| missing[*node] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(Reverse).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for next in &after[node] {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    debug_assert_eq!(order.len(), before.len(), "the edges form no cycle");
    order
}

/// Finds the edges of a state machine.
struct Builder<'a> {
    numbers: HashMap<&'a StepName, usize>,
    edges: BTreeSet<(usize, usize)>,
}

impl Builder<'_> {
    /// Adds the edges of a machine or branch that starts after the steps `entered`, and returns the
    /// steps after which it is done: `entered` itself where it invokes nothing.
    fn machine(
        &mut self,
        prefix: &str,
        machine: &States,
        entered: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let order = forward_order(machine);
        let position: HashMap<&str, usize> =
            order.iter().enumerate().map(|(position, name)| (*name, position)).collect();
        let mut waiting: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); order.len()];
        if let Some(first) = waiting.first_mut() {
            first.clone_from(entered);
        }
        let mut done = BTreeSet::new();
        for (at, name) in order.iter().enumerate() {
            let Some(state) = machine.states.get(*name) else { continue };
            let left = self.state(prefix, name, state, &waiting[at]);
            let successors = successors(state);
            if ends(state) {
                done.extend(&left);
            }
            for next in successors {
                match position.get(next) {
                    Some(to) if *to > at => waiting[*to].extend(&left),
                    // Back to a state it came from: the loop counts as gone through once.
                    _ => {}
                }
            }
        }
        done
    }

    /// Adds the edges of one state, and returns the steps after which it is done.
    fn state(
        &mut self,
        prefix: &str,
        name: &str,
        state: &State,
        entered: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let place = format!("{prefix}{name}");
        match &state.kind {
            Kind::Task { .. } => {
                let Some(node) = self.numbers.get(&StepName(place)).copied() else {
                    return entered.clone();
                };
                self.edges.extend(entered.iter().map(|before| (*before, node)));
                BTreeSet::from([node])
            }
            Kind::Map { iterator, .. } => self.machine(&format!("{place}/"), iterator, entered),
            Kind::Parallel { branches } => branches
                .iter()
                .enumerate()
                .flat_map(|(number, branch)| {
                    self.machine(&format!("{place}/{number}/"), branch, entered)
                })
                .collect(),
            Kind::Choice { .. }
            | Kind::Pass { .. }
            | Kind::Wait(_)
            | Kind::Succeed
            | Kind::Fail { .. } => entered.clone(),
        }
    }
}

/// Whether the machine or branch can end with this state.
fn ends(state: &State) -> bool {
    match &state.kind {
        Kind::Choice { .. } => false,
        Kind::Succeed | Kind::Fail { .. } => true,
        _ => state.next.is_none(),
    }
}

/// States that may follow: what a Choice leads to, the next one, and what failures lead to.
fn successors(state: &State) -> Vec<&str> {
    match &state.kind {
        Kind::Choice { rules, default } => {
            let rules = rules.iter().map(|(_, next)| next.as_str());
            rules.chain(default.as_deref()).collect()
        }
        Kind::Succeed | Kind::Fail { .. } => Vec::new(),
        _ => {
            let caught = state.catch.iter().map(|catch| catch.next.as_str());
            state.next.as_deref().into_iter().chain(caught).collect()
        }
    }
}

/// The states that can be reached, each behind all those that lead to it otherwise than by a way
/// back: the reverse postorder of a depth-first walk.
fn forward_order(machine: &States) -> Vec<&str> {
    let mut seen = BTreeSet::from([machine.start.as_str()]);
    let mut order = Vec::new();
    // States being walked, each with what may follow it and has not been looked at. It is a stack of
    // our own because a machine may be longer than the thread's stack is deep.
    let follow = |name| machine.states.get(name).map(successors).unwrap_or_default();
    let mut walk = vec![(machine.start.as_str(), follow(machine.start.as_str()))];
    while let Some((name, left)) = walk.last_mut() {
        match left.pop() {
            Some(next) if seen.insert(next) => walk.push((next, follow(next))),
            Some(_) => {}
            None => {
                order.push(*name);
                walk.pop();
            }
        }
    }
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::flow::path::Path;
    use crate::flow::states::{Catch, Placement, Processing, Wait};
    use crate::flow::steps::{self, Step};

    fn edges(graph: &StepGraph) -> Vec<String> {
        let name = |node: usize| &graph.nodes()[node].step;
        (0..graph.nodes().len())
            .flat_map(|from| graph.after(from).iter().map(move |to| (from, *to)))
            .map(|(from, to)| format!("{}>{}", name(from), name(to)))
            .collect()
    }

    fn state(kind: Kind, next: Option<&str>) -> State {
        State {
            kind,
            data: Processing::default(),
            next: next.map(str::to_owned),
            retry: Vec::new(),
            catch: Vec::new(),
        }
    }

    fn task(next: Option<&str>) -> State {
        state(Kind::Task { task: "t".into(), timeout_us: None }, next)
    }

    fn choice(targets: &[&str], default: Option<&str>) -> State {
        let always = || crate::flow::condition::Condition::And(Vec::new());
        let rules = targets.iter().map(|target| (always(), (*target).to_owned())).collect();
        state(Kind::Choice { rules, default: default.map(str::to_owned) }, None)
    }

    fn machine(states: Vec<(&str, State)>) -> States {
        let start = states[0].0.to_owned();
        States { start, states: states.into_iter().map(|(n, s)| (n.to_owned(), s)).collect() }
    }

    fn of(states: Vec<(&str, State)>) -> Vec<String> {
        edges(&graph(&Flow::States(machine(states))))
    }

    #[test]
    fn steps_wait_for_those_they_come_after() {
        let step = |after: &[&str], stand_in: Option<&str>| Step {
            task: "t".into(),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            map: None,
            when: None,
            retry: Vec::new(),
            catch: stand_in
                .map(|task| steps::Catch { errors: Vec::new(), task: task.into() })
                .into_iter()
                .collect(),
        };
        let steps: IndexMap<String, Step> = [
            ("last".to_owned(), step(&["one", "other", "one"], None)),
            ("one".to_owned(), step(&["first"], Some("instead"))),
            ("other".to_owned(), step(&["first"], None)),
            ("first".to_owned(), step(&[], None)),
        ]
        .into();
        let graph = graph(&Flow::Steps(steps.try_into().unwrap()));
        let expected = ["one>last", "other>last", "first>one", "first>other"];
        assert_eq!(edges(&graph), expected);
        assert_eq!(graph.order(), [3, 1, 2, 0]);
        assert_eq!(graph.nodes()[1].tasks, ["t".into(), "instead".into()]);
    }

    #[test]
    fn states_without_tasks_pass_precedence_on() {
        let found = of(vec![
            ("a", task(Some("wait"))),
            ("wait", state(Kind::Wait(Wait::For(1)), Some("choose"))),
            ("choose", choice(&["b", "pass"], Some("stop"))),
            ("b", task(Some("pass"))),
            ("pass", state(Kind::Pass { result: None }, Some("c"))),
            ("stop", state(Kind::Succeed, None)),
            ("c", task(None)),
        ]);
        assert_eq!(found, ["a>b", "a>c", "b>c"], "without b, a comes directly before c");
    }

    #[test]
    fn branches_and_iterators_lie_between_their_neighbours() {
        let empty = machine(vec![("p", state(Kind::Pass { result: None }, None))]);
        let branches = vec![machine(vec![("x", task(Some("y"))), ("y", task(None))]), empty];
        let map = Kind::Map {
            items: Path::default(),
            selector: None,
            concurrency: None,
            iterator: Box::new(machine(vec![("e", task(Some("c"))), ("c", task(None))])),
        };
        let found = of(vec![
            ("a", task(Some("par"))),
            ("par", state(Kind::Parallel { branches }, Some("map"))),
            ("map", state(map, Some("z"))),
            ("z", task(None)),
        ]);
        let expected =
            ["a>par/0/x", "a>map/e", "par/0/x>par/0/y", "par/0/y>map/e", "map/e>map/c", "map/c>z"];
        assert_eq!(found, expected, "an empty branch lets a through to the map");
    }

    #[test]
    fn what_a_failure_leads_to_comes_after_what_failed() {
        let mut risky = task(Some("b"));
        risky.catch.push(Catch {
            errors: vec!["States.ALL".to_owned()],
            next: "rescue".to_owned(),
            result: Placement::Replace,
        });
        let fail = Kind::Fail { error: "E".to_owned(), cause: String::new() };
        let found = of(vec![
            ("a", risky),
            ("b", task(None)),
            ("rescue", task(Some("give-up"))),
            ("give-up", state(fail, None)),
        ]);
        assert_eq!(found, ["a>b", "a>rescue"]);
    }

    #[test]
    fn a_loop_is_gone_through_once() {
        let found = of(vec![
            ("submit", task(Some("poll"))),
            ("poll", task(Some("ready"))),
            ("ready", choice(&["fetch"], Some("again"))),
            ("again", state(Kind::Wait(Wait::For(1)), Some("poll"))),
            ("fetch", task(None)),
        ]);
        assert_eq!(found, ["submit>poll", "poll>fetch"]);
    }

    #[test]
    fn a_long_machine_needs_no_deep_stack() {
        let count = 100_000;
        let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
        let states = names
            .iter()
            .enumerate()
            .map(|(number, name)| (name.clone(), task(names.get(number + 1).map(String::as_str))));
        let machine = States { start: names[0].clone(), states: states.collect() };
        let graph = graph(&Flow::States(machine));
        assert_eq!(graph.order().len(), count);
        assert_eq!(graph.before(count - 1), [count - 2]);
    }

    #[test]
    fn states_that_are_never_reached_stand_alone() {
        let found = of(vec![("a", task(None)), ("b", task(Some("a")))]);
        assert!(found.is_empty(), "{found:?}");
    }
}
