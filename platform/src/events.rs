//! What happens during a long command, as one stream of typed events that every output is made of.

use std::collections::BTreeMap;

use optimizer::canary::Figures;
use optimizer::search::{Trial, Verdict};
use optimizer::workflow::TaskName;
use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// `build` is running.
    Building {
        /// The command.
        command: String,
    },
    /// The tasks are being deployed as functions of their own.
    Deploying {
        /// How many.
        tasks: usize,
    },
    /// A search starts.
    SearchStarted {
        /// Which, in words.
        search: &'static str,
    },
    /// A deployment is about to be measured.
    TrialStarted {
        /// Its number, from 1 on.
        number: u32,
        /// What is tried and why.
        trial: Trial,
    },
    /// The final comparison starts.
    ComparisonStarted {
        /// Deployments compared, in notation and with the memory of each function.
        deployments: Vec<String>,
    },
    /// The answers of two deployments are about to be compared.
    VerificationStarted {
        /// In notation, the unfused one first.
        deployments: [String; 2],
    },
    /// A search ends before it is done, because the budget is spent.
    BudgetSpent {
        /// The limit, in words.
        limit: String,
    },
    /// Calls of inlined tasks went past the supervisor to the tasks' own functions.
    PastSupervisor {
        /// How many, by task called.
        calls: BTreeMap<TaskName, usize>,
    },
    /// Logs Insights could not be used; what it was to give is read with `FilterLogEvents`.
    InsightsFailed {
        /// Of which log group.
        group: String,
        /// Why.
        reason: String,
    },
    /// Requests have been answered.
    Progress {
        /// So many, of the current measurement.
        answered: u64,
        /// Of so many.
        of: u64,
        /// So many failed.
        failed: u64,
    },
    /// A new deployment gets a share of production's calls.
    RolloutStep {
        /// The share, in per cent.
        percent: f64,
    },
    /// What a rollout has seen so far.
    RolloutSeen {
        /// Of the present deployment.
        stable: Figures,
        /// Of the new one.
        canary: Figures,
        /// What is waited for.
        waiting_for: String,
    },
    /// A trial was decided on.
    TrialDecided {
        /// Its number.
        number: u32,
        /// What became of it.
        verdict: Verdict,
    },
}

/// Takes events as they happen.
pub trait Observer: Sync {
    /// Called for every event, in order.
    fn on_event(&self, event: RunEvent);
}
