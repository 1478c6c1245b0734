//! The critical path of a weighted step graph (thesis, Algorithm 2.1) and the detours around it
//! (thesis §4.3.1).
//!
//! Where it differs from the thesis:
//! * The time is a step's, not an edge's. A virtual source and sink lie before and behind all steps.
//! * Algorithm 2.1 returns every step without slack, so that paths of equal length are merged. Here one
//!   path comes out: at every fork the first of the steps that fit.
//! * A graph can have exponentially many detours. Algorithm 4.1 schedules every step once, so they
//!   are reduced to parts that hold every step beside the critical path exactly once; see [`detours`].

use std::cmp::Reverse;
use std::collections::VecDeque;

use crate::flow::StepGraph;

/// When every step starts, at the earliest and at the latest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule {
    weights_us: Vec<u64>,
    earliest_us: Vec<u64>,
    latest_us: Vec<u64>,
    duration_us: u64,
}

impl Schedule {
    /// The schedule if every step takes the time given for its number, in microseconds.
    ///
    /// # Panics
    /// If there are not as many times as steps.
    #[must_use]
    pub fn new(graph: &StepGraph, weights_us: Vec<u64>) -> Self {
        assert_eq!(graph.nodes().len(), weights_us.len(), "every step has a time");
        let mut earliest_us = vec![0; weights_us.len()];
        let mut duration_us = 0;
        for node in graph.order() {
            let ends = graph.before(*node).iter();
            let ends = ends.map(|before| weights_us[*before].saturating_add(earliest_us[*before]));
            earliest_us[*node] = ends.max().unwrap_or(0);
            duration_us = duration_us.max(earliest_us[*node].saturating_add(weights_us[*node]));
        }
        let mut latest_us = vec![0; weights_us.len()];
        for node in graph.order().iter().rev() {
            let end_us = graph.after(*node).iter().map(|after| latest_us[*after]).min();
            latest_us[*node] = end_us.unwrap_or(duration_us).saturating_sub(weights_us[*node]);
        }
        Self { weights_us, earliest_us, latest_us, duration_us }
    }

    /// From the start of the first step to the end of the last.
    #[must_use]
    pub fn duration_us(&self) -> u64 {
        self.duration_us
    }

    /// By how much longer a step may take before everything takes longer.
    #[must_use]
    pub fn slack_us(&self, node: usize) -> u64 {
        self.latest_us[node].saturating_sub(self.earliest_us[node])
    }

    /// How long steps that follow each other may take together before everything takes longer: from
    /// when the first can start at the earliest to when the last must have ended at the latest. Of a
    /// detour this is the time that the critical path spends between the detour's ends.
    #[must_use]
    pub fn room_us(&self, first: usize, last: usize) -> u64 {
        let end_us = self.latest_us[last].saturating_add(self.weights_us[last]);
        end_us.saturating_sub(self.earliest_us[first])
    }

    /// The steps of one longest path, from a step that waits for nothing to one that nothing waits
    /// for; of several such paths the one that takes the lower number wherever they part.
    #[must_use]
    pub fn critical_path(&self, graph: &StepGraph) -> Vec<usize> {
        let fits = |node: usize, start_us: u64| {
            self.earliest_us[node] == start_us && self.latest_us[node] == start_us
        };
        let mut all = 0..self.weights_us.len();
        let mut next = all.find(|node| graph.before(*node).is_empty() && fits(*node, 0));
        let mut path = Vec::new();
        while let Some(node) = next {
            path.push(node);
            let end_us = self.earliest_us[node].saturating_add(self.weights_us[node]);
            next = graph.after(node).iter().copied().find(|after| fits(*after, end_us));
        }
        path
    }
}

/// Steps beside the critical path that follow each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detour {
    /// Step after which it leaves the critical path or an earlier detour; none if it starts with the
    /// workflow.
    pub from: Option<usize>,
    /// Its own steps, in order; none of them is on the critical path or an earlier detour.
    pub steps: Vec<usize>,
    /// Step at which it is back on the critical path or an earlier detour; none if it ends with the
    /// workflow.
    pub to: Option<usize>,
}

/// Every step that is not on `path`, in detours.
///
/// Again and again the longest detour that holds a step not yet in one is taken. What it has in
/// common with earlier ones counts as scheduled, as in Algorithm 4.1, so that it is cut there; hence
/// all detours together have no more steps than the graph. Takes `n log n` for `n` steps and edges.
///
/// # Panics
/// If there are not as many times as steps.
#[must_use]
pub fn detours(graph: &StepGraph, weights_us: &[u64], path: &[usize]) -> Vec<Detour> {
    assert_eq!(graph.nodes().len(), weights_us.len(), "every step has a time");
    let mut place = vec![None; weights_us.len()];
    path.iter().enumerate().for_each(|(at, node)| place[*node] = Some(at));
    let beside: Vec<usize> =
        graph.order().iter().copied().filter(|node| place[*node].is_none()).collect();
    let reversed: Vec<usize> = beside.iter().rev().copied().collect();
    let before = longest_ways(&beside, weights_us, |node| graph.before(node));
    let after = longest_ways(&reversed, weights_us, |node| graph.after(node));

    let length_us =
        |node: usize| before[node].length_us + u128::from(weights_us[node]) + after[node].length_us;
    let mut by_length = beside;
    by_length.sort_by_key(|node| (Reverse(length_us(*node)), *node));
    let mut covered: Vec<bool> = place.iter().map(Option::is_some).collect();
    let mut found = Vec::new();
    for start in by_length {
        if covered[start] {
            continue;
        }
        let mut steps = VecDeque::from([start]);
        let mut from = before[start].neighbour;
        while let Some(node) = from.filter(|node| !covered[*node]) {
            steps.push_front(node);
            from = before[node].neighbour;
        }
        let mut to = after[start].neighbour;
        while let Some(node) = to.filter(|node| !covered[*node]) {
            steps.push_back(node);
            to = after[node].neighbour;
        }
        let steps = Vec::from(steps);
        steps.iter().for_each(|node| covered[*node] = true);
        // Where nothing beside the path comes before the first step or after the last, all that does
        // is on the path: it leaves as late and is back as early as its edges let it.
        let last_of = |nodes: &[usize]| nodes.iter().copied().max_by_key(|node| place[*node]);
        let first_of = |nodes: &[usize]| nodes.iter().copied().min_by_key(|node| place[*node]);
        let from = from.or_else(|| last_of(graph.before(steps[0])));
        let to = to.or_else(|| first_of(graph.after(steps[steps.len() - 1])));
        found.push(Detour { from, steps, to });
    }
    found
}

/// The longest way, through steps beside the critical path, to or from a step.
#[derive(Clone, Copy, Default)]
struct Way {
    /// Times of its steps without that of the step itself.
    length_us: u128,
    /// The step next to it on the way.
    neighbour: Option<usize>,
}

/// The longest ways for the steps `among`, by number. The neighbours of each that are among them come
/// before it.
fn longest_ways<'a>(
    among: &[usize],
    weights_us: &[u64],
    neighbours: impl Fn(usize) -> &'a [usize],
) -> Vec<Way> {
    let mut ways = vec![None; weights_us.len()];
    for node in among {
        let mut best = Way::default();
        for neighbour in neighbours(*node) {
            let Some(Way { length_us, .. }) = ways[*neighbour] else { continue };
            let length_us = length_us + u128::from(weights_us[*neighbour]);
            if best.neighbour.is_none() || length_us > best.length_us {
                best = Way { length_us, neighbour: Some(*neighbour) };
            }
        }
        ways[*node] = Some(best);
    }
    ways.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::test_runner::Config;

    use super::*;
    use crate::flow::{StepName, StepNode};

    /// A graph of steps with these edges.
    fn graph(count: usize, edges: &[(usize, usize)]) -> StepGraph {
        let node = |number: usize| StepNode {
            step: StepName(format!("s{number}")),
            tasks: vec![format!("t{number}").as_str().into()],
        };
        StepGraph::new((0..count).map(node).collect(), &edges.iter().copied().collect())
    }

    /// Every path from a step that waits for nothing to one that nothing waits for.
    fn all_paths(graph: &StepGraph) -> Vec<Vec<usize>> {
        let starts = (0..graph.nodes().len()).filter(|node| graph.before(*node).is_empty());
        let mut open: Vec<Vec<usize>> = starts.map(|node| vec![node]).collect();
        let mut paths = Vec::new();
        while let Some(path) = open.pop() {
            let after = graph.after(path[path.len() - 1]);
            if after.is_empty() {
                paths.push(path.clone());
            }
            open.extend(after.iter().map(|next| [&path[..], &[*next]].concat()));
        }
        paths
    }

    fn length_us(path: &[usize], weights_us: &[u64]) -> u64 {
        path.iter().map(|node| weights_us[*node]).sum()
    }

    /// The parts of all paths that lie between two steps of the critical path.
    fn all_detours(graph: &StepGraph, path: &[usize]) -> BTreeSet<Vec<usize>> {
        let paths = all_paths(graph);
        let parts = paths.iter().flat_map(|whole| whole.split(|node| path.contains(node)));
        parts.filter(|part| !part.is_empty()).map(<[usize]>::to_vec).collect()
    }

    fn cases() -> impl Strategy<Value = (StepGraph, Vec<u64>)> {
        (1_usize..=8)
            .prop_flat_map(|count| {
                let edges = prop::collection::vec(any::<bool>(), count * count);
                (Just(count), edges, prop::collection::vec(0_u64..6, count), any::<u64>())
            })
            .prop_map(|(count, wanted, weights_us, shuffle)| {
                // Numbers are no topological order.
                let mut names: Vec<usize> = (0..count).collect();
                names.sort_by_key(|name| (*name as u64 + 1).wrapping_mul(shuffle | 1));
                let edges: Vec<(usize, usize)> = (0..count)
                    .flat_map(|to| (0..to).map(move |from| (from, to)))
                    .filter(|(from, to)| wanted[from * count + to])
                    .map(|(from, to)| (names[from], names[to]))
                    .collect();
                (graph(count, &edges), weights_us)
            })
    }

    proptest! {
        #![proptest_config(Config { cases: 600, failure_persistence: None, ..Config::default() })]

        #[test]
        fn one_longest_path_comes_out((graph, weights_us) in cases()) {
            let schedule = Schedule::new(&graph, weights_us.clone());
            let paths = all_paths(&graph);
            let longest = paths.iter().map(|path| length_us(path, &weights_us)).max().unwrap();
            prop_assert_eq!(schedule.duration_us(), longest);
            let of_longest: BTreeSet<_> =
                paths.iter().filter(|path| length_us(path, &weights_us) == longest).collect();
            let path = schedule.critical_path(&graph);
            prop_assert_eq!(Some(&&path), of_longest.first(), "the first of {:?}", of_longest);
        }

        #[test]
        fn slack_is_what_the_longest_path_through_a_step_leaves((graph, weights_us) in cases()) {
            let schedule = Schedule::new(&graph, weights_us.clone());
            let paths = all_paths(&graph);
            for node in 0..weights_us.len() {
                let through = paths.iter().filter(|path| path.contains(&node));
                let longest = through.map(|path| length_us(path, &weights_us)).max().unwrap();
                prop_assert_eq!(schedule.slack_us(node), schedule.duration_us() - longest);
            }
        }

        #[test]
        fn a_step_that_takes_its_slack_longer_is_critical((graph, weights_us) in cases()) {
            let schedule = Schedule::new(&graph, weights_us.clone());
            for node in 0..weights_us.len() {
                for (more_us, longer) in [(0, 0), (1, 1)] {
                    let mut slower = weights_us.clone();
                    slower[node] += schedule.slack_us(node) + more_us;
                    let slower = Schedule::new(&graph, slower);
                    prop_assert_eq!(slower.duration_us(), schedule.duration_us() + longer);
                }
            }
        }

        #[test]
        fn detours_cover_every_step_beside_the_path_once((graph, weights_us) in cases()) {
            let schedule = Schedule::new(&graph, weights_us.clone());
            let path = schedule.critical_path(&graph);
            let detours = detours(&graph, &weights_us, &path);
            let mut covered: BTreeSet<usize> = path.iter().copied().collect();
            for detour in &detours {
                let Detour { from, steps, to } = detour;
                prop_assert!(!steps.is_empty());
                let whole: Vec<usize> = from.iter().chain(steps).chain(to).copied().collect();
                for pair in whole.windows(2) {
                    prop_assert!(graph.after(pair[0]).contains(&pair[1]), "{:?}", detour);
                }
                prop_assert!(from.is_some() || graph.before(steps[0]).is_empty());
                prop_assert!(to.is_some() || graph.after(steps[steps.len() - 1]).is_empty());
                let ends = from.iter().chain(to);
                prop_assert!(ends.into_iter().all(|end| covered.contains(end)), "{:?}", detour);
                for step in steps {
                    prop_assert!(covered.insert(*step), "{} twice", step);
                }
                let room_us = schedule.room_us(steps[0], steps[steps.len() - 1]);
                prop_assert!(length_us(steps, &weights_us) <= room_us);
            }
            prop_assert_eq!(covered.len(), weights_us.len());
        }

        #[test]
        fn longer_detours_come_first((graph, weights_us) in cases()) {
            let path = Schedule::new(&graph, weights_us.clone()).critical_path(&graph);
            let all = all_detours(&graph, &path);
            let mut covered: BTreeSet<usize> = path.iter().copied().collect();
            for Detour { steps, .. } in detours(&graph, &weights_us, &path) {
                // Of all detours with a step that is not covered yet, one of the longest holds them.
                let open = all.iter().filter(|whole| whole.iter().any(|s| !covered.contains(s)));
                let open: Vec<_> = open.collect();
                let longest = open.iter().map(|whole| length_us(whole, &weights_us)).max();
                let holds = open.iter().any(|whole| {
                    Some(length_us(whole, &weights_us)) == longest
                        && whole.windows(steps.len()).any(|part| part == steps)
                });
                prop_assert!(holds, "{:?} of {:?}", steps, open);
                covered.extend(steps);
            }
        }
    }

    #[test]
    fn equal_branches_are_not_merged() {
        let diamond = graph(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]);
        let weights_us = vec![5, 7, 7, 1];
        let schedule = Schedule::new(&diamond, weights_us.clone());
        let path = schedule.critical_path(&diamond);
        assert_eq!(path, [0, 1, 3]);
        assert_eq!(schedule.slack_us(2), 0);
        let expected = [Detour { from: Some(0), steps: vec![2], to: Some(3) }];
        assert_eq!(detours(&diamond, &weights_us, &path), expected);
        assert_eq!(schedule.room_us(2, 2), 7, "what the path spends between 0 and 3");
    }

    #[test]
    fn detours_may_start_and_end_with_the_workflow() {
        let graph = graph(4, &[(0, 1), (2, 1), (0, 3)]);
        let weights_us = vec![9, 9, 4, 3];
        let schedule = Schedule::new(&graph, weights_us.clone());
        let found = detours(&graph, &weights_us, &schedule.critical_path(&graph));
        let expected = [
            Detour { from: None, steps: vec![2], to: Some(1) },
            Detour { from: Some(0), steps: vec![3], to: None },
        ];
        assert_eq!(found, expected);
        assert_eq!((schedule.room_us(2, 2), schedule.room_us(3, 3)), (9, 9));
    }

    #[test]
    fn later_detours_are_cut_at_earlier_ones_and_have_the_room_that_those_leave() {
        // The path is 0, 1, 5; the detour 2, 3 is longer than 2, 4, which shares step 2 with it.
        let graph = graph(6, &[(0, 1), (1, 5), (0, 2), (2, 3), (3, 5), (2, 4), (4, 5)]);
        let weights_us = vec![1, 20, 5, 6, 4, 1];
        let schedule = Schedule::new(&graph, weights_us.clone());
        let found = detours(&graph, &weights_us, &schedule.critical_path(&graph));
        let expected = [
            Detour { from: Some(0), steps: vec![2, 3], to: Some(5) },
            Detour { from: Some(2), steps: vec![4], to: Some(5) },
        ];
        assert_eq!(found, expected);
        // The path spends 20 between 0 and 5. Step 2, scheduled before, takes 5 of that.
        assert_eq!(schedule.room_us(2, 3), 20);
        assert_eq!(schedule.room_us(4, 4), 20 - 5);
    }
}
