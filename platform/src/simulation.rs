//! Measures deployments on the simulator: in virtual time, by the tasks' models, from nothing but the
//! workflow file.

use std::sync::atomic::{AtomicU64, Ordering};

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::flow::Data;
use optimizer::price::PriceBook;
use optimizer::simulator::{Load, Overhead, Simulator, SimulatorError, SimulatorParameters};

use crate::lab::{self, Lab};
use crate::measure::{Effort, MeasureError};
use crate::optimize::Verification;
use crate::payload::Request;
use crate::project::Project;
use crate::verify;

/// A project's workflow in virtual time.
#[derive(Debug)]
pub struct Simulation<'a> {
    project: &'a Project,
    simulator: Simulator,
    seed: u64,
    /// Runs so far: each sees random times of its own.
    runs: AtomicU64,
    /// Virtual time that has passed, in microseconds.
    clock_us: AtomicU64,
}

impl<'a> Simulation<'a> {
    /// A simulation in which nothing has happened yet. Invocations take `overhead` on top of the
    /// functions' own time.
    ///
    /// # Errors
    /// If a task has no model, or a wrong one.
    pub fn new(
        project: &'a Project,
        prices: PriceBook,
        overhead: Overhead,
        seed: u64,
    ) -> Result<Self, SimulatorError> {
        let timeouts_us =
            project.tasks.iter().map(|(task, code)| (task.clone(), code.timeout_ms * 1_000));
        let reserved = project.tasks.iter().filter_map(|(task, code)| {
            Some((task.clone(), code.configuration.reserved_concurrency?))
        });
        let parameters = SimulatorParameters {
            overhead,
            client_overhead: overhead,
            timeouts_us: timeouts_us.collect(),
            reserved_concurrency: reserved.collect(),
            ..SimulatorParameters::new(prices, seed)
        };
        let simulator =
            Simulator::new(project.workflow.clone(), project.models.clone(), parameters)?;
        Ok(Self { project, simulator, seed, runs: AtomicU64::new(0), clock_us: AtomicU64::new(0) })
    }

    /// Executions of a deployment of which nothing runs yet, one for each request.
    pub fn run(
        &self,
        deployment: &Deployment,
        load: Load,
        requests: Vec<Request>,
    ) -> Vec<Execution> {
        let stream = self.runs.fetch_add(1, Ordering::Relaxed);
        let inputs: Vec<Data> =
            requests.into_iter().map(|request| Data::from(request.body)).collect();
        self.simulator.run(deployment, load, &inputs, stream)
    }

    /// So many executions one after the other. Payloads are others for every run, as on an endpoint.
    fn sequence(&self, deployment: &Deployment, executions: u32) -> Vec<Execution> {
        let seed = self.seed ^ self.runs.load(Ordering::Relaxed);
        let requests = self.project.payloads.requests(seed, 0, u64::from(executions));
        self.run(deployment, Load::Sequence, requests)
    }

    fn pass(&self, executions: &[Execution]) {
        let passed_us = executions.iter().map(|execution| execution.latency_us).sum();
        self.clock_us.fetch_add(passed_us, Ordering::Relaxed);
    }
}

impl Lab for Simulation<'_> {
    async fn deploy_tasks(&self) -> Result<(), MeasureError> {
        Ok(())
    }

    async fn measure(
        &self,
        arms: &[&Deployment],
        effort: Effort,
    ) -> Result<Vec<Vec<Execution>>, MeasureError> {
        let mut measured = vec![Vec::new(); arms.len()];
        for round in 0..effort.rounds() {
            for (arm, executions) in arms.iter().zip(&mut measured) {
                let measured = self.sequence(arm, effort.warm_in(round) + 1);
                self.pass(&measured);
                executions.extend(measured);
            }
        }
        Ok(measured)
    }

    async fn measure_sizes(
        &self,
        deployment: &Deployment,
        executions: u32,
    ) -> Result<Vec<Execution>, MeasureError> {
        // Instances of the simulator do not go on with other sizes: they start anew, and what is cold is
        // left out, as on the local backend it would not have happened.
        let all = self.sequence(deployment, 1 + executions * lab::SIZE_ATTEMPTS);
        let mut measured = Vec::new();
        for one in all.into_iter().filter(|one| !one.is_cold() || one.failed()) {
            if lab::missing(executions, &measured) > 0 {
                measured.push(one);
            }
        }
        self.pass(&measured);
        Ok(measured)
    }

    fn seconds(&self) -> f64 {
        self.clock_us.load(Ordering::Relaxed) as f64 / 1e6
    }

    async fn verify(
        &self,
        _unfused: &Deployment,
        _fused: &Deployment,
        _verification: &Verification,
    ) -> Result<Option<verify::Report>, MeasureError> {
        Ok(None)
    }
}
