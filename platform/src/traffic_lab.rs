//! Measures deployments on what production sends: each gets a share of production's calls for a while.
//!
//! An alias calls at most one version beside its own, so deployments are tried one after the other, in turns. The one
//! that production calls is observed all the while. A deployment that is shown to fail or to miss the latency
//! objective gets no more calls at once, whatever was still wanted of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use optimizer::canary::{Arm, Canary, Limits, Verdict};
use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::price::PriceBook;

use crate::deploy::{Deployed, Deployer};
use crate::endpoint::Endpoint;
use crate::events::{Observer, RunEvent};
use crate::lab::Lab;
use crate::measure::{Effort, MeasureError};
use crate::observe::ObserveError;
use crate::optimize::Verification;
use crate::project::Project;
use crate::traffic::{Arms, Traffic};
use crate::verify;

/// What only stops a trial that does harm: it may cost more, and be slower within the objective.
const HARM: Limits = Limits {
    alpha: 0.05,
    cost_increase: f64::INFINITY,
    latency_increase: f64::INFINITY,
    failure_increase: 0.01,
};

/// How much of production a trial gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Share of production's calls, above 0 and below 1.
    pub share: f64,
    /// Longest wait for the executions of one deployment in one turn.
    pub patience: Duration,
}

/// Measures on production's own calls.
pub struct TrafficLab<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Project; functions that call each other.
    pub project: &'a Project,
    /// Its deployer.
    pub deployer: &'a Deployer<'a>,
    /// What executions cost.
    pub prices: PriceBook,
    /// What production calls.
    pub live: &'a Deployed,
    /// What a trial gets of it.
    pub allowance: Allowance,
    /// Told of progress.
    pub observer: &'a dyn Observer,
    generation: AtomicU64,
    started: Instant,
}

impl<'a> TrafficLab<'a> {
    /// A lab that has measured nothing yet.
    #[must_use]
    pub fn new(
        endpoint: &'a Endpoint,
        project: &'a Project,
        deployer: &'a Deployer<'a>,
        prices: PriceBook,
        live: &'a Deployed,
        allowance: Allowance,
        observer: &'a dyn Observer,
    ) -> Self {
        let (generation, started) = (AtomicU64::new(1), Instant::now());
        Self { endpoint, project, deployer, prices, live, allowance, observer, generation, started }
    }

    /// Gives a deployment its share until enough warm executions of it are there, and takes it away again. Executions
    /// of both deployments, what production calls first.
    async fn turn(
        &self,
        trial: &Deployed,
        warm: usize,
    ) -> Result<[Vec<Execution>; 2], MeasureError> {
        let is_live = trial == self.live;
        if !is_live {
            self.deployer.route(self.live, trial, self.allowance.share).await?;
        }
        let seen = self.watch(trial, warm).await;
        if !is_live {
            self.deployer.promote(self.live).await?;
        }
        seen
    }

    async fn watch(
        &self,
        trial: &Deployed,
        warm: usize,
    ) -> Result<[Vec<Execution>; 2], MeasureError> {
        let arms = Arms { stable: self.live, canary: trial };
        let watched = if trial == self.live { Arm::Stable } else { Arm::Canary } as usize;
        let prices = self.prices.clone();
        let mut traffic = Traffic::new(self.endpoint, self.project, prices, arms, self.observer);
        let mut test = Canary::new(HARM, Some(self.project.workflow.slo()));
        let mut seen = [Vec::new(), Vec::new()];
        let started = Instant::now();
        loop {
            tokio::time::sleep(self.endpoint.pause()).await;
            for one in traffic.look().await? {
                test.observe(one.arm, &one.execution);
                seen[one.arm as usize].push(one.execution);
            }
            let count = |at: usize| seen[at].iter().filter(|one| !one.is_cold()).count();
            let failed = seen[watched].iter().filter(|one| one.failed()).count();
            self.observer.on_event(RunEvent::Progress {
                answered: count(watched).min(warm) as u64,
                of: warm as u64,
                failed: failed as u64,
            });
            if count(watched) >= warm || matches!(test.verdict(u64::MAX), Verdict::Worse(_)) {
                return Ok(seen);
            }
            if started.elapsed() > self.allowance.patience {
                return Err(MeasureError::Observe(ObserveError::TooFew {
                    seen: count(watched),
                    wanted: warm,
                    minutes: self.allowance.patience.as_secs_f64() / 60.0,
                }));
            }
        }
    }
}

impl Lab for TrafficLab<'_> {
    async fn deploy_tasks(&self) -> Result<(), MeasureError> {
        Ok(self.deployer.deploy_tasks().await?)
    }

    async fn measure(
        &self,
        arms: &[&Deployment],
        effort: Effort,
    ) -> Result<Vec<Vec<Execution>>, MeasureError> {
        let live = arms.iter().position(|arm| **arm == self.live.deployment);
        let mut executions = vec![Vec::new(); arms.len()];
        for round in 0..effort.rounds() {
            let warm = effort.warm_in(round) as usize;
            for (at, arm) in arms.iter().enumerate() {
                // What production calls is observed beside the others.
                if Some(at) == live && arms.len() > 1 {
                    continue;
                }
                let trial = match Some(at) == live {
                    true => self.live.clone(),
                    false => {
                        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
                        self.deployer.deploy(arm, generation).await?
                    }
                };
                let [present, tried] = self.turn(&trial, warm).await?;
                if let Some(live) = live {
                    executions[live].extend(present);
                }
                executions[at].extend(tried);
            }
        }
        Ok(executions)
    }

    async fn measure_sizes(
        &self,
        deployment: &Deployment,
        executions: u32,
    ) -> Result<Vec<Execution>, MeasureError> {
        let mut measured = self.measure(&[deployment], Effort { executions, rounds: 1 }).await?;
        Ok(std::mem::take(&mut measured[0]))
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Production's requests cannot be sent again.
    async fn verify(
        &self,
        _: &Deployment,
        _: &Deployment,
        _: &Verification,
    ) -> Result<Option<verify::Report>, MeasureError> {
        Ok(None)
    }
}
