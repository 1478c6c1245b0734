//! An optimisation under way: drives searches, counts what they spend, and stops them when the budget
//! is spent.

use optimizer::comparison::Choice;
use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::measurement::Measurement;
use optimizer::search::{Outcome, Recommendation, Search, Step, Trial};

use super::report::{FunctionReport, RecommendationReport, Report, Spent, TrialReport};
use super::{Conditions, Exhausted, Parameters, Planned};
use crate::events::{Observer, RunEvent};
use crate::lab::Lab;
use crate::measure::{Effort, MeasureError};
use crate::project::Project;
use crate::verify;

/// What searches are given and have used up.
pub(super) struct Run<'a, L> {
    lab: &'a L,
    pub(super) project: &'a Project,
    pub(super) parameters: &'a Parameters,
    pub(super) observer: &'a dyn Observer,
    pub(super) trials: Vec<TrialReport>,
    pub(super) spent: Spent,
    /// What the last trial took of it.
    last: Spent,
    /// The limit that ended a search before it was done.
    pub(super) exhausted: Option<Exhausted>,
    started_seconds: f64,
}

/// How the trials of a search are measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Measuring {
    /// As deployments of their own, from cold, beside their controls.
    Anew,
    /// As other sizes of functions that go on; such trials have no controls.
    Sizes,
}

impl<'a, L: Lab> Run<'a, L> {
    /// Deploys every task; nothing is spent yet.
    pub(super) async fn start(
        lab: &'a L,
        project: &'a Project,
        parameters: &'a Parameters,
        observer: &'a dyn Observer,
    ) -> Result<Self, MeasureError> {
        let started_seconds = lab.seconds();
        observer.on_event(RunEvent::Deploying { tasks: project.workflow.tasks().len() });
        lab.deploy_tasks().await?;
        Ok(Self {
            lab,
            project,
            parameters,
            observer,
            trials: Vec::new(),
            spent: Spent::default(),
            last: Spent::default(),
            exhausted: None,
            started_seconds,
        })
    }

    /// Drives a search to its end, or until the budget is spent.
    pub(super) async fn search(
        &mut self,
        name: &'static str,
        search: &mut impl Search,
        measuring: Measuring,
    ) -> Result<Recommendation, MeasureError> {
        self.observer.on_event(RunEvent::SearchStarted { search: name });
        loop {
            let trial = match search.next() {
                Step::Done(found) => return Ok(found),
                Step::Try(trial) => trial,
            };
            if self.is_exhausted_by(self.planned(&trial, measuring)) {
                return Ok(search.best_so_far());
            }
            let number = self.trials.len() as u32 + 1;
            self.observer.on_event(RunEvent::TrialStarted { number, trial: trial.clone() });
            let outcome = self.outcome(&trial, measuring).await?;
            let verdict = search.observe(&outcome);
            self.observer.on_event(RunEvent::TrialDecided { number, verdict: verdict.clone() });
            let measured = |deployment: &Deployment, executions: &[Execution]| {
                Measurement::of(deployment, executions, self.parameters.seed)
            };
            self.trials.push(TrialReport {
                search: name,
                deployment: trial.deployment.to_string(),
                measurement: measured(&trial.deployment, &outcome.deployment),
                control: trial.control.map(|control| measured(&control, &outcome.control)),
                decision: verdict.decision,
                reason: verdict.reasons.join("; "),
            });
        }
    }

    /// Executions that a trial takes.
    fn planned(&self, trial: &Trial, measuring: Measuring) -> u64 {
        match measuring {
            Measuring::Anew => {
                let arms = 1 + u64::from(trial.control.is_some());
                arms * self.effort(trial).all()
            }
            Measuring::Sizes => u64::from(trial.executions),
        }
    }

    fn effort(&self, trial: &Trial) -> Effort {
        Effort { executions: trial.executions, ..self.parameters.trial }
    }

    /// Whether so many more executions would pass a limit; remembers which.
    fn is_exhausted_by(&mut self, executions: u64) -> bool {
        self.spent.seconds = self.lab.seconds() - self.started_seconds;
        let Parameters { strategy, comparison, .. } = self.parameters;
        let comparison = super::least_executions(*strategy, *comparison);
        let planned = Planned { trial: executions, comparison };
        self.exhausted = self.parameters.budget.exhausted_by(&self.spent, &self.last, planned);
        if let Some(limit) = self.exhausted {
            self.observer.on_event(RunEvent::BudgetSpent { limit: limit.to_string() });
        }
        self.exhausted.is_some()
    }

    async fn outcome(
        &mut self,
        trial: &Trial,
        measuring: Measuring,
    ) -> Result<Outcome, MeasureError> {
        if measuring == Measuring::Sizes {
            let measured = self.lab.measure_sizes(&trial.deployment, trial.executions).await?;
            self.count(std::slice::from_ref(&measured));
            return Ok(Outcome { deployment: measured, control: Vec::new() });
        }
        let arms: Vec<&Deployment> =
            std::iter::once(&trial.deployment).chain(&trial.control).collect();
        let mut measured = self.lab.measure(&arms, self.effort(trial)).await?;
        self.count(&measured);
        Ok(Outcome {
            deployment: std::mem::take(&mut measured[0]),
            control: measured.get_mut(1).map(std::mem::take).unwrap_or_default(),
        })
    }

    fn count(&mut self, measured: &[Vec<Execution>]) {
        let all = || measured.iter().flatten();
        let seconds = self.lab.seconds() - self.started_seconds;
        self.last = Spent {
            executions: all().count() as u64,
            usd: all().map(|one| one.cost().usd()).sum(),
            seconds: seconds - self.spent.seconds,
        };
        self.spent = Spent {
            executions: self.spent.executions + self.last.executions,
            usd: self.spent.usd + self.last.usd,
            seconds,
        };
    }

    /// Verifies a fusion against the unfused workflow.
    pub(super) async fn verify(
        &self,
        unfused: &Deployment,
        fused: &Deployment,
    ) -> Result<Option<verify::Report>, MeasureError> {
        if fused == unfused || self.parameters.verification.requests == 0 {
            return Ok(None);
        }
        self.lab.verify(unfused, fused, &self.parameters.verification).await
    }

    /// Measures deployments side by side; equal ones are measured once.
    pub(super) async fn compare<const N: usize>(
        &mut self,
        deployments: [&Deployment; N],
    ) -> Result<[Vec<Execution>; N], MeasureError> {
        let mut arms: Vec<&Deployment> = Vec::new();
        for deployment in deployments {
            if !arms.contains(&deployment) {
                arms.push(deployment);
            }
        }
        self.observer.on_event(RunEvent::ComparisonStarted {
            deployments: arms.iter().map(|arm| with_memory(arm)).collect(),
        });
        let measured = self.lab.measure(&arms, self.parameters.comparison).await?;
        self.count(&measured);
        let of = |deployment: &Deployment| {
            let at = arms.iter().position(|arm| *arm == deployment);
            at.map(|at| measured[at].clone()).unwrap_or_default()
        };
        Ok(deployments.map(of))
    }

    /// What was found, with the reasons for what was chosen, but without what only one strategy has.
    /// `measured` are the deployments that were compared, the original first and the sized one last.
    pub(super) fn report(
        self,
        conditions: Conditions,
        measured: &[Measurement],
        choice: Choice,
        mut reasons: Vec<String>,
    ) -> Report {
        reasons.extend(choice.reasons);
        let recommended = &measured[choice.index];
        let parameters = self.parameters;
        Report {
            workflow: self.project.workflow.name().to_owned(),
            strategy: parameters.strategy,
            platform: conditions.platform,
            sandbox: conditions.sandbox,
            invoke_overhead: conditions.invoke_overhead,
            space: parameters.space.name().to_owned(),
            prices: parameters.prices.name.clone(),
            seed: parameters.seed,
            baseline: measured[0].clone(),
            after_fusion: None,
            after_sizing: measured[measured.len() - 1].clone(),
            gate: Vec::new(),
            functions: FunctionReport::of(recommended),
            trials: self.trials,
            verification: None,
            recommendation: RecommendationReport {
                deployment: recommended.deployment.clone(),
                measurement: recommended.clone(),
                saving: choice.saving,
                reasons,
            },
            budget_spent: self.exhausted.map(|limit| limit.to_string()),
            spent: self.spent,
        }
    }
}

/// A deployment with the memory of each function, such as `(a,b)-(c): a 512 MB, c 256 MB`.
fn with_memory(deployment: &Deployment) -> String {
    let functions = deployment.functions().iter();
    let memory: Vec<String> =
        functions.map(|(root, function)| format!("{root} {}", function.resources.memory)).collect();
    format!("{deployment}: {}", memory.join(", "))
}
