//! Measures deployments on the simulator: in virtual time, by the tasks' models, from nothing but the
//! workflow file.

use std::sync::atomic::{AtomicU64, Ordering};

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::flow::Data;
use optimizer::price::PriceBook;
use optimizer::simulator::{Load, Overhead, Simulator, SimulatorError, SimulatorParameters};

use crate::lab::Lab;
use crate::measure::{Effort, MeasureError};
use crate::optimize::Verification;
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

    /// One cold execution of a deployment and so many more.
    fn run(&self, deployment: &Deployment, warm: u32) -> Vec<Execution> {
        let stream = self.runs.fetch_add(1, Ordering::Relaxed);
        let requests = u64::from(warm) + 1;
        // Payloads of their own for every run, as on an endpoint.
        let requests = self.project.payloads.requests(self.seed ^ stream, 0, requests);
        let inputs: Vec<Data> =
            requests.into_iter().map(|request| Data::from(request.body)).collect();
        let executions = self.simulator.run(deployment, Load::Sequence, &inputs, stream);
        let passed_us = executions.iter().map(|execution| execution.latency_us).sum();
        self.clock_us.fetch_add(passed_us, Ordering::Relaxed);
        executions
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
        let rounds = effort.rounds.max(1);
        let mut measured = vec![Vec::new(); arms.len()];
        for round in 0..rounds {
            let warm = effort.executions / rounds + u32::from(round < effort.executions % rounds);
            for (arm, executions) in arms.iter().zip(&mut measured) {
                executions.extend(self.run(arm, warm));
            }
        }
        Ok(measured)
    }

    async fn measure_sizes(
        &self,
        deployment: &Deployment,
        executions: u32,
    ) -> Result<Vec<Execution>, MeasureError> {
        let mut measured = self.run(deployment, executions);
        // On the local backend the instances would have been there.
        if measured.first().is_some_and(|cold| !cold.failed()) {
            measured.remove(0);
        }
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
