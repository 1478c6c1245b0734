//! Brute force (thesis §3.4.2): measures every fusion setup of a small workflow.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::ranking::Ranking;
use crate::search::{Decision, Outcome, Recommendation, Search, Step, Trial, Verdict};
use crate::workflow::{Call, Workflow};

/// A workflow has more fusion setups than were asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the workflow has more than {limit} fusion setups; brute force is for small workflows")]
pub struct TooMany {
    /// How many were asked for.
    pub limit: usize,
}

/// Every distinct deployment that inlining synchronous calls leads to, the unfused one first and
/// then by the number of calls fused.
///
/// # Errors
/// If there are more than `limit`.
pub fn setups(workflow: &Workflow, limit: usize) -> Result<Vec<Deployment>, TooMany> {
    let calls: Vec<Call> = workflow.synchronous_calls().collect();
    let mut found = vec![Deployment::unfused(workflow)];
    let mut seen: BTreeSet<String> = found.iter().map(Deployment::to_string).collect();
    let mut index = 0;
    while index < found.len() {
        if found.len() > limit {
            return Err(TooMany { limit });
        }
        for call in &calls {
            let fused = found[index].fuse(workflow, call);
            if seen.insert(fused.to_string()) {
                found.push(fused);
            }
        }
        index += 1;
    }
    Ok(found)
}

/// Measures every setup and recommends the cheapest that keeps the SLO.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct BruteForceSearch {
    setups: Vec<Deployment>,
    /// Setups measured so far.
    measured: usize,
    executions: u32,
    ranking: Ranking,
    reasons: Vec<String>,
}

impl BruteForceSearch {
    /// A search over all setups, with `executions` warm executions of each.
    ///
    /// # Errors
    /// If there are more than `limit`.
    pub fn new(workflow: &Workflow, limit: usize, executions: u32) -> Result<Self, TooMany> {
        Ok(Self {
            setups: setups(workflow, limit)?,
            measured: 0,
            executions,
            ranking: Ranking::new(workflow.slo()),
            reasons: Vec::new(),
        })
    }
}

impl Search for BruteForceSearch {
    fn next(&self) -> Step {
        let count = self.setups.len();
        match self.setups.get(self.measured) {
            Some(deployment) => Step::Try(Trial {
                deployment: deployment.clone(),
                control: None,
                executions: self.executions,
                reason: format!("measures setup {} of {count}", self.measured + 1),
            }),
            None => Step::Done(self.best_so_far()),
        }
    }

    fn best_so_far(&self) -> Recommendation {
        Recommendation {
            deployment: self.ranking.best().unwrap_or(&self.setups[0]).clone(),
            standing: self.ranking.standing(),
            reasons: self.reasons.clone(),
        }
    }

    fn observe(&mut self, outcome: &Outcome) -> Verdict {
        let Some(deployment) = self.setups.get(self.measured) else {
            return Verdict { decision: Decision::Measured, reasons: Vec::new() };
        };
        self.measured += 1;
        let name = deployment.to_string();
        let verdict = self.ranking.enter(&name, deployment, &outcome.deployment);
        self.reasons.extend(verdict.reasons.iter().cloned());
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workflow;

    fn texts(calls: &[&str]) -> Vec<String> {
        let setups = setups(&workflow("a", calls).unwrap(), 100).unwrap();
        setups.iter().map(Deployment::to_string).collect()
    }

    #[test]
    fn a_chain_has_a_setup_for_every_subset_of_calls() {
        let expected = ["(a)-(b)-(c)", "(a,b)-(c)", "(a)-(b,c)", "(a,b,c)"];
        assert_eq!(texts(&["a>b", "b>c"]), expected);
        assert_eq!(texts(&["a>b", "b>c", "c>d", "d>e"]).len(), 16);
    }

    #[test]
    fn asynchronous_calls_are_no_choice() {
        assert_eq!(texts(&["a>b", "b~c", "c>d"]).len(), 4);
        assert_eq!(texts(&["a~b"]), ["(a)-(b)"]);
    }

    #[test]
    fn setups_are_distinct_and_valid() {
        let workflow = workflow("a", &["a>b", "a>c", "b>d", "c>d"]).unwrap();
        let setups = setups(&workflow, 100).unwrap();
        let texts: BTreeSet<String> = setups.iter().map(Deployment::to_string).collect();
        assert_eq!(texts.len(), setups.len());
        for setup in &setups {
            assert_eq!(Deployment::parse(&workflow, &setup.to_string()).as_ref(), Ok(setup));
        }
    }

    #[test]
    fn too_many_setups_are_refused() {
        let chain = workflow("a", &["a>b", "b>c", "c>d"]).unwrap();
        assert_eq!(setups(&chain, 8).map(|setups| setups.len()), Ok(8));
        let error = setups(&chain, 7).unwrap_err();
        assert_eq!(error, TooMany { limit: 7 });
        let text = "the workflow has more than 7 fusion setups; brute force is for small workflows";
        assert_eq!(error.to_string(), text);
    }
}
