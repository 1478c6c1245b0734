//! Rolls a new deployment out: more and more of production's calls go to it, as long as a sequential test of what
//! both deployments' logs say does not show that it is worse.

use std::time::Duration;

use optimizer::canary::{Arm, Canary, Figures, Limits, Verdict};
use optimizer::price::PriceBook;
use optimizer::workflow::TaskName;
use serde::Serialize;
use tokio::time::Instant;

use crate::deploy::{DeployError, Deployed, Deployer};
use crate::endpoint::Endpoint;
use crate::events::{Observer, RunEvent};
use crate::observe::ObserveError;
use crate::plan::Predicted;
use crate::project::Project;
use crate::traffic::{Arms, Traffic};

/// Of this much of the canary's executions the logs may be incomplete.
const INCOMPLETE_SHARE: f64 = 0.2;
/// Fewer than this many incomplete ones say nothing.
const INCOMPLETE_LEAST: usize = 5;

/// How a deployment is rolled out.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Shares of production's calls in per cent, ascending, the last one 100.
    pub steps: Vec<f64>,
    /// Warm executions of the canary in each step; with 0 nothing is waited for.
    pub executions: u64,
    /// What the canary may do worse.
    pub limits: Limits,
    /// Longest time for all steps together.
    pub patience: Duration,
}

/// Why a rollout stopped, other than by its own decision.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A call was refused.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The logs cannot be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Production calls the new deployment.
    Promoted,
    /// The new deployment is worse.
    Worse,
    /// Time was up before enough was known.
    Undecided,
}

/// What a rollout saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rollout {
    /// How it ended.
    pub decision: Decision,
    /// Why, if it was not promoted.
    pub reasons: Vec<String>,
    /// Its steps, in order.
    pub steps: Vec<StepReport>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Share of production's calls, in per cent.
    pub percent: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Figures at its end of every function that is invoked from outside.
    pub functions: Vec<FunctionFigures>,
}

/// Figures of a function that is invoked from outside, since the rollout began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionFigures {
    /// Its root task.
    pub function: String,
    /// Of the present deployment.
    pub stable: Figures,
    /// Of the new one.
    pub canary: Figures,
}

/// What a canary may do worse where its plan's measurements foresee that it will: as much as they foresee, and the
/// usual tolerance.
#[must_use]
pub fn limits(predicted: Option<&Predicted>, usual: Limits) -> Limits {
    let Some(Predicted { saving, .. }) = predicted else { return usual };
    let dearer = -saving.cost_ci95.map_or(saving.cost, |interval| interval.lower);
    Limits {
        cost_increase: usual.cost_increase + dearer.max(0.0),
        latency_increase: usual.latency_increase + (-saving.latency_p95).max(0.0),
        ..usual
    }
}

/// A rollout between two deployments that are up.
pub struct Roller<'a> {
    /// Where.
    pub endpoint: &'a Endpoint,
    /// Of which project.
    pub project: &'a Project,
    /// Makes the changes.
    pub deployer: &'a Deployer<'a>,
    /// What executions cost.
    pub prices: PriceBook,
    /// How.
    pub settings: Settings,
    /// Told of progress.
    pub observer: &'a dyn Observer,
}

impl Roller<'_> {
    /// Moves production's calls from one deployment to another, step by step. Does not undo anything: if the decision
    /// is not [`Decision::Promoted`], the caller does.
    ///
    /// # Errors
    /// If an alias cannot be moved or logs cannot be read.
    pub async fn roll_out(
        &self,
        stable: &Deployed,
        canary: &Deployed,
    ) -> Result<Rollout, RolloutError> {
        let started = Instant::now();
        let mut steps = Vec::new();
        let mut watch = self.watch(stable, canary);
        for percent in &self.settings.steps {
            if watch.tests.is_empty() {
                break;
            }
            let begun = Instant::now();
            self.observer.on_event(RunEvent::RolloutStep { percent: *percent });
            self.deployer.route(stable, canary, percent / 100.0).await?;
            let stopped = self.step(&mut watch, started).await?;
            let seconds = begun.elapsed().as_secs_f64();
            steps.push(StepReport { percent: *percent, seconds, functions: watch.figures() });
            if let Some((decision, reasons)) = stopped {
                return Ok(Rollout { decision, reasons, steps });
            }
        }
        Ok(Rollout { decision: Decision::Promoted, reasons: Vec::new(), steps })
    }

    /// The functions whose aliases move, each with its test; those of a version that does not change have none.
    fn watch<'w>(&'w self, stable: &'w Deployed, canary: &'w Deployed) -> Watch<'w> {
        let workflow = &self.project.workflow;
        let roots = workflow.roots().into_iter();
        let moving: Vec<_> =
            roots.filter(|root| stable.version(root) != canary.version(root)).collect();
        let usual = &self.settings.limits;
        let limits = Limits { alpha: usual.alpha / moving.len().max(1) as f64, ..*usual };
        // The SLO is one of the whole workflow.
        let slo = workflow.flow().is_none().then(|| workflow.slo());
        let tests = moving.into_iter().map(|root| (root, Canary::new(limits, slo)));
        let (arms, prices) = (Arms { stable, canary }, self.prices.clone());
        let traffic = Traffic::new(self.endpoint, self.project, prices, arms, self.observer);
        Watch { traffic, tests: tests.collect() }
    }

    /// Watches one step to its end. Returns why the rollout ends with it, if it does.
    async fn step(
        &self,
        watch: &mut Watch<'_>,
        started: Instant,
    ) -> Result<Option<(Decision, Vec<String>)>, RolloutError> {
        let wanted: Vec<u64> = watch.seen().map(|seen| seen + self.settings.executions).collect();
        if self.settings.executions == 0 {
            return Ok(None);
        }
        loop {
            tokio::time::sleep(self.endpoint.pause()).await;
            watch.look().await?;
            let verdicts = watch.verdicts(&wanted);
            let worse = watch.worse(&verdicts);
            if !worse.is_empty() {
                return Ok(Some((Decision::Worse, worse)));
            }
            let mut all = watch.tests.iter().zip(&verdicts);
            let open = all.find_map(|((root, test), verdict)| match verdict {
                Verdict::Open(waiting_for) => Some((root, test, waiting_for)),
                Verdict::Worse(_) | Verdict::Good => None,
            });
            let Some((root, test, waiting_for)) = open else { return Ok(None) };
            self.observer.on_event(RunEvent::RolloutSeen {
                stable: test.figures(Arm::Stable),
                canary: test.figures(Arm::Canary),
                waiting_for: waiting_for.clone(),
            });
            if started.elapsed() > self.settings.patience {
                let minutes = self.settings.patience.as_secs_f64() / 60.0;
                let reason = format!(
                    "after {minutes:.0} min too little is known of `{root}`: {waiting_for}"
                );
                return Ok(Some((Decision::Undecided, vec![reason])));
            }
        }
    }
}

/// What is known of a rollout.
struct Watch<'a> {
    traffic: Traffic<'a>,
    /// Of the functions that are invoked from outside, by their roots.
    tests: Vec<(&'a TaskName, Canary)>,
}

impl Watch<'_> {
    /// Takes in what has become known since the last look.
    async fn look(&mut self) -> Result<(), ObserveError> {
        for one in self.traffic.look().await? {
            let test = self.tests.iter_mut().find(|(root, _)| **root == one.root);
            if let Some((_, test)) = test {
                test.observe(one.arm, &one.execution);
            }
        }
        Ok(())
    }

    /// Warm executions of the new deployment, by function.
    fn seen(&self) -> impl Iterator<Item = u64> {
        self.tests.iter().map(|(_, test)| test.executions(Arm::Canary))
    }

    fn verdicts(&self, wanted: &[u64]) -> Vec<Verdict> {
        let tests = self.tests.iter().zip(wanted);
        tests.map(|((_, test), wanted)| test.verdict(*wanted)).collect()
    }

    /// Why the new deployment is worse, with the function where there are several.
    fn worse(&self, verdicts: &[Verdict]) -> Vec<String> {
        let mut reasons = Vec::new();
        for ((root, _), verdict) in self.tests.iter().zip(verdicts) {
            if let Verdict::Worse(why) = verdict {
                let name = if self.tests.len() > 1 { format!("{root}: ") } else { String::new() };
                reasons.extend(why.iter().map(|why| format!("{name}{why}")));
            }
        }
        reasons.extend(self.incomplete());
        reasons
    }

    /// A canary whose logs do not come cannot be judged, and something is wrong with it.
    fn incomplete(&self) -> Option<String> {
        let lost = self.traffic.incomplete();
        let figures = self.tests.iter().map(|(_, test)| test.figures(Arm::Canary));
        let seen: u64 = figures.map(|it| it.executions + it.cold_executions).sum();
        let many = lost as f64 > INCOMPLETE_SHARE * (seen as f64 + lost as f64);
        (lost >= INCOMPLETE_LEAST && many).then(|| {
            format!("the logs of {lost} of its executions are incomplete, of {seen} complete")
        })
    }

    fn figures(&self) -> Vec<FunctionFigures> {
        let figures = self.tests.iter().map(|(root, test)| FunctionFigures {
            function: root.0.clone(),
            stable: test.figures(Arm::Stable),
            canary: test.figures(Arm::Canary),
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use optimizer::comparison::Saving;
    use optimizer::statistics::Interval;

    use super::*;

    #[test]
    fn what_a_plan_foresees_is_allowed() {
        let usual = Limits::default();
        let foreseen = |lower, latency_p95| {
            let cost_ci95 = Some(Interval { lower, upper: lower + 0.1 });
            let predicted = Predicted {
                platform: "local".into(),
                prices: "lambda-x86".into(),
                executions: 100,
                saving: Saving { cost: lower + 0.05, cost_ci95, latency_p95 },
            };
            limits(Some(&predicted), usual)
        };
        assert_eq!(limits(None, usual), usual);
        assert_eq!(foreseen(0.3, 0.2), usual);
        let dearer = foreseen(-0.25, -0.4);
        assert!((dearer.cost_increase - 0.3).abs() < 1e-9, "{dearer:?}");
        assert!((dearer.latency_increase - 0.5).abs() < 1e-9, "{dearer:?}");
    }
}
