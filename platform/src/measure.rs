//! Measures deployments: side by side, interleaved, from cold and warm.
//!
//! A measurement goes in rounds. Each round deploys every arm anew, so that its first request finds
//! no instance anywhere (one cold execution per round), and then sends warm requests to the arms in
//! turns of a few, in an order drawn anew for every turn: whatever disturbs the machine disturbs
//! all arms alike.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use optimizer::deployment::Deployment;
use optimizer::execution::{Execution, Outcome};
use optimizer::price::PriceBook;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::command::{self, CommandError};
use crate::deploy::{DeployError, Deployed, Deployer};
use crate::endpoint::Endpoint;
use crate::events::{Observer, RunEvent};
use crate::lab::{self, Lab};
use crate::load::{self, LoadError, Pace, Sent, Target, Version};
use crate::observe::{self, ObserveError};
use crate::optimize::Verification;
use crate::payload::Request;
use crate::project::Project;
use crate::rates::Rates;
use crate::verify::{self, Payloads, Verifier};

/// Requests that an arm gets in one turn.
const TURN: usize = 5;

/// Why a measurement failed. That requests fail is a result, not an error.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// A deployment failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The logs cannot be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// `prepare` failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Nothing could be sent.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What is to be compared with was not executed.
    #[error(
        "{refused} of {sent} requests to the unfused functions were refused, so there is nothing to compare: {message}"
    )]
    Refused {
        /// How many.
        refused: usize,
        /// Of how many.
        sent: usize,
        /// What the endpoint said to one of them.
        message: String,
    },
}

/// How much to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Effort {
    /// Warm executions of each deployment.
    pub executions: u32,
    /// Rounds they are spread over, each with one cold execution; at least 1.
    pub rounds: u32,
}

impl Effort {
    /// Rounds, of which there is at least one.
    pub(crate) fn rounds(self) -> u32 {
        self.rounds.max(1)
    }

    /// Warm executions in a round, counted from 0: the first rounds have the remainder.
    pub(crate) fn warm_in(self, round: u32) -> u32 {
        let rounds = self.rounds();
        self.executions / rounds + u32::from(round < self.executions % rounds)
    }

    /// Executions, cold ones included.
    pub(crate) fn all(self) -> u64 {
        u64::from(self.executions) + u64::from(self.rounds())
    }
}

/// Measures deployments of one project on one endpoint.
pub struct Bench<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Project.
    pub project: &'a Project,
    /// Its deployer.
    pub deployer: &'a Deployer<'a>,
    /// What executions cost.
    rates: Rates,
    /// Seed of payloads and orders.
    pub seed: u64,
    /// Told of progress.
    pub observer: &'a dyn Observer,
    generation: AtomicU64,
    started: Instant,
}

impl<'a> Bench<'a> {
    /// A bench that has measured nothing yet.
    #[must_use]
    pub fn new(
        endpoint: &'a Endpoint,
        project: &'a Project,
        deployer: &'a Deployer<'a>,
        prices: PriceBook,
        seed: u64,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            endpoint,
            project,
            deployer,
            rates: Rates::of(project, prices),
            seed,
            observer,
            generation: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    /// Measures deployments side by side; returns the executions of each, cold ones included, in
    /// the order they were sent in.
    ///
    /// # Errors
    /// If a deployment, `prepare` or the reading of logs fails.
    pub async fn measure(
        &self,
        arms: &[&Deployment],
        effort: Effort,
    ) -> Result<Vec<Vec<Execution>>, MeasureError> {
        let mut rng = StdRng::seed_from_u64(self.seed ^ self.generation.load(Ordering::Relaxed));
        let progress = Progress::new(self.observer, arms.len() as u64 * effort.all());
        let mut executions = vec![Vec::new(); arms.len()];
        for round in 0..effort.rounds() {
            let warm = effort.warm_in(round);
            let mut deployed = Vec::new();
            for arm in arms {
                let generation = self.generation.fetch_add(1, Ordering::Relaxed);
                deployed.push(self.deployer.deploy(arm, generation).await?);
            }
            let sent = self.round(&deployed, warm as usize, &mut rng, &progress).await?;
            for ((arm, sent), executions) in arms.iter().zip(&sent).zip(&mut executions) {
                executions.extend(self.executions(arm, sent).await?);
            }
            for deployed in &deployed {
                self.deployer.retire(deployed).await?;
            }
        }
        Ok(executions)
    }

    /// The executions that requests to a deployment caused.
    async fn executions(
        &self,
        deployment: &Deployment,
        sent: &[Sent],
    ) -> Result<Vec<Execution>, MeasureError> {
        let Project { tasks, workflow, .. } = self.project;
        let logs = observe::logs(self.endpoint, tasks.keys(), sent, self.observer).await?;
        let calls = logs.past_supervisor(workflow, deployment);
        if !calls.is_empty() {
            self.observer.on_event(RunEvent::PastSupervisor { calls });
        }
        Ok(observe::executions(&logs, deployment, sent, workflow, &self.rates))
    }

    /// One round: a cold request to each arm, then the warm ones in turns.
    async fn round(
        &self,
        arms: &[Deployed],
        warm: usize,
        rng: &mut StdRng,
        progress: &Progress<'_>,
    ) -> Result<Vec<Vec<Sent>>, MeasureError> {
        // Every arm gets payloads of its own, because a request may use up what `prepare` made
        // for it.
        let each = 1 + warm;
        let requests: Vec<Request> =
            self.project.payloads.requests(rng.random(), 0, (each * arms.len()) as u64);
        command::prepare(self.project, &requests).await?;
        let mut queues: Vec<Vec<Request>> = requests.chunks(each).map(<[_]>::to_vec).collect();
        let mut sent = vec![Vec::new(); arms.len()];
        let mut order: Vec<usize> = (0..arms.len()).collect();
        let mut turn = 1;
        while queues.iter().any(|queue| !queue.is_empty()) {
            order.shuffle(rng);
            for &arm in &order {
                let queue = &mut queues[arm];
                let now: Vec<Request> = queue.drain(..turn.min(queue.len())).collect();
                let target = Target {
                    endpoint: self.endpoint,
                    project: self.project,
                    deployed: Version::Of(&arms[arm]),
                };
                let pace = Pace::Closed { concurrency: 1 };
                let answered = load::send(target, &now, pace, |one| progress.answered(one)).await?;
                sent[arm].extend(answered);
            }
            turn = TURN;
        }
        Ok(sent)
    }
}

impl Lab for Bench<'_> {
    async fn deploy_tasks(&self) -> Result<(), MeasureError> {
        Ok(self.deployer.deploy_tasks().await?)
    }

    async fn measure(
        &self,
        arms: &[&Deployment],
        effort: Effort,
    ) -> Result<Vec<Vec<Execution>>, MeasureError> {
        Bench::measure(self, arms, effort).await
    }

    async fn measure_sizes(
        &self,
        deployment: &Deployment,
        executions: u32,
    ) -> Result<Vec<Execution>, MeasureError> {
        let deployed = self.deployer.deploy_sizes(deployment).await?;
        let run = self.generation.fetch_add(1, Ordering::Relaxed);
        let progress = Progress::new(self.observer, u64::from(executions));
        let target = Target {
            endpoint: self.endpoint,
            project: self.project,
            deployed: Version::Of(&deployed),
        };
        let mut measured: Vec<Execution> = Vec::new();
        for _ in 0..lab::SIZE_ATTEMPTS {
            let missing = lab::missing(executions, &measured);
            if missing == 0 {
                break;
            }
            let (payloads, first) = (&self.project.payloads, measured.len() as u64);
            let requests = payloads.requests(self.seed ^ run, first, u64::from(missing));
            command::prepare(self.project, &requests).await?;
            let pace = Pace::Closed { concurrency: 1 };
            let sent = load::send(target, &requests, pace, |one| progress.answered(one)).await?;
            measured.extend(self.executions(deployment, &sent).await?);
        }
        Ok(measured)
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    async fn verify(
        &self,
        unfused: &Deployment,
        fused: &Deployment,
        verification: &Verification,
    ) -> Result<Option<verify::Report>, MeasureError> {
        // On deployments of its own, so that nothing that is measured records payloads.
        let recording = self.deployer.recording_payloads();
        let deployer = if verification.record_payloads { &recording } else { self.deployer };
        deployer.deploy_tasks().await?;
        let Bench { endpoint, project, observer, seed, .. } = *self;
        let verifier = Verifier { endpoint, project, deployer, observer };
        let payloads = Payloads::Templates { each: verification.requests, seed };
        verifier.verify(unfused, fused, &payloads, &verification.ignore).await.map(Some)
    }
}

/// Counts answers and tells the observer.
struct Progress<'a> {
    observer: &'a dyn Observer,
    of: u64,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl<'a> Progress<'a> {
    fn new(observer: &'a dyn Observer, of: u64) -> Self {
        Self { observer, of, answered: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    fn answered(&self, one: &Sent) {
        let failed = u64::from(one.outcome != Outcome::Ok);
        self.observer.on_event(RunEvent::Progress {
            answered: self.answered.fetch_add(1, Ordering::Relaxed) + 1,
            of: self.of,
            failed: self.failed.fetch_add(failed, Ordering::Relaxed) + failed,
        });
    }
}
