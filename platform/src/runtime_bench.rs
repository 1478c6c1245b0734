//! What the supervisor costs and saves, by language: calls inside an instance beside the same calls
//! to another function, and how long groups take to start.
//!
//! Times of calls are the functions' own, taken around the SDK call. Both kinds of call are made in
//! turns, so that what disturbs the machine disturbs both.

use std::time::Instant;

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LogType;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use optimizer::deployment::{Deployment, DeploymentError};
use optimizer::units::Resources;
use optimizer::workflow::TaskName;
use serde::Serialize;
use serde_json::{Value, json};
use wire::report::Report;

use crate::deploy::{DeployError, Deployed, Deployer, aws_message};
use crate::endpoint::Endpoint;
use crate::events::{Observer, RunEvent};
use crate::project::Project;

/// Calls that one invocation makes.
const TURN: usize = 100;
/// Payload of a call and of its answer, in bytes.
const PAYLOAD_BYTES: usize = 1000;
/// Languages, as the tasks of the benchmark's workflows are named.
const LANGUAGES: [&str; 3] = ["rust", "python", "node"];
/// Sizes of the groups whose start is measured.
const GROUP_SIZES: [usize; 4] = [1, 2, 4, 8];

/// Why the benchmark stopped.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeBenchError {
    /// A deployment failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The workflow is not the benchmark's.
    #[error("the workflow is not one of templates/runtime-bench")]
    Workflow(#[from] DeploymentError),
    /// A function of the benchmark failed.
    #[error("`{function}` failed: {message}")]
    Failed {
        /// Which.
        function: String,
        /// What it answered.
        message: String,
    },
}

/// Times of calls, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// How many calls.
    pub calls: usize,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
}

impl Times {
    fn of(mut us: Vec<f64>) -> Self {
        us.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| us.get(((us.len() as f64 - 1.0) * share) as usize).copied();
        Self {
            calls: us.len(),
            p50_us: at(0.5).unwrap_or(f64::NAN),
            p99_us: at(0.99).unwrap_or(f64::NAN),
        }
    }
}

/// What a function of the benchmark does a turn of.
#[derive(Clone, Copy, Debug)]
enum Calls<'a> {
    /// Calls this function.
    Of(&'a str),
    /// Asks whether it could.
    DryRunOf(&'a str),
    /// Does that function's work itself.
    InProcess,
}

/// Calls from one language to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Language of the caller.
    pub caller: &'static str,
    /// Language of the callee.
    pub callee: &'static str,
    /// The callee is inlined into the caller's function.
    pub fused: Times,
    /// The same call to it as a dry run, which the supervisor answers at once: what the SDK and the
    /// machine take, whatever is called.
    pub sdk: Times,
    /// The callee is a function of its own.
    pub remote: Times,
    /// The callee is invoked by this program.
    pub direct: Times,
    /// The callee's work done by the caller itself, with JSON both ways.
    pub in_process: Times,
}

/// How long groups of one language take to start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Start {
    /// Language.
    pub language: &'static str,
    /// Tasks in the group, all started at once.
    pub tasks: usize,
    /// Median init duration, in milliseconds.
    pub init_ms: f64,
    /// Shortest and longest.
    pub range_ms: (f64, f64),
}

/// Measures one of the benchmark's workflows; every function gets `resources`.
pub struct RuntimeBench<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Workflow.
    pub project: &'a Project,
    /// Its deployer.
    pub deployer: &'a Deployer<'a>,
    /// What every function gets.
    pub resources: Resources,
    /// Told of progress.
    pub observer: &'a dyn Observer,
}

impl RuntimeBench<'_> {
    /// Measures all pairs of languages, with so many calls of each kind.
    ///
    /// # Errors
    /// If a deployment fails or a function does.
    pub async fn calls(&self, each: usize) -> Result<Vec<Pair>, RuntimeBenchError> {
        self.deploy_tasks().await?;
        let workflow = &self.project.workflow;
        let groups =
            LANGUAGES.map(|language| format!("(from-{language},to-rust,to-python,to-node)"));
        let unfused = self.deploy(Deployment::unfused(workflow), 1).await?;
        let fused = self.deploy(Deployment::parse(workflow, &groups.join("-"))?, 2).await?;
        let turns = each.div_ceil(TURN);
        let of = (LANGUAGES.len() * LANGUAGES.len() * (turns + 1)) as u64;
        let mut answered = 0;
        let mut pairs = Vec::new();
        for caller in LANGUAGES {
            for callee in LANGUAGES {
                let (from, to) = (format!("from-{caller}"), format!("to-{callee}"));
                let mut times: [Vec<f64>; 5] = Default::default();
                for turn in 0..=turns {
                    let now = [
                        self.call(&fused, &from, Calls::Of(&to)).await?,
                        self.call(&fused, &from, Calls::DryRunOf(&to)).await?,
                        self.call(&unfused, &from, Calls::Of(&to)).await?,
                        self.invoke_directly(&unfused, &to).await?,
                        self.call(&unfused, &from, Calls::InProcess).await?,
                    ];
                    answered += 1;
                    self.observer.on_event(RunEvent::Progress { answered, of, failed: 0 });
                    // The first turn starts instances, connections and compilers.
                    if turn > 0 {
                        times.iter_mut().zip(now).for_each(|(all, now)| all.extend(now));
                    }
                }
                let [fused, sdk, remote, direct, in_process] = times.map(Times::of);
                pairs.push(Pair { caller, callee, fused, sdk, remote, direct, in_process });
            }
        }
        for deployed in [&unfused, &fused] {
            self.deployer.retire(deployed).await?;
        }
        Ok(pairs)
    }

    /// Measures how long groups of each language take to start, `rounds` times each.
    ///
    /// # Errors
    /// If a deployment fails or a function does.
    pub async fn starts(&self, rounds: u64) -> Result<Vec<Start>, RuntimeBenchError> {
        self.deploy_tasks().await?;
        let of = (LANGUAGES.len() * GROUP_SIZES.len()) as u64 * rounds;
        let mut answered = 0;
        let mut starts = Vec::new();
        for language in LANGUAGES {
            let root = TaskName(format!("{language}-1"));
            for tasks in GROUP_SIZES {
                let inlined = |function: &TaskName| match *function == root {
                    true => {
                        (2..=tasks).map(|task| TaskName(format!("{language}-{task}"))).collect()
                    }
                    false => Vec::new(),
                };
                let deployment = Deployment::from_groups(&self.project.workflow, inlined);
                let mut init_ms = Vec::new();
                for _ in 0..rounds {
                    answered += 1;
                    let deployed = self.deploy(deployment.clone(), answered).await?;
                    init_ms.push(self.start(&deployed, &root).await?);
                    self.deployer.retire(&deployed).await?;
                    self.observer.on_event(RunEvent::Progress { answered, of, failed: 0 });
                }
                init_ms.sort_unstable_by(f64::total_cmp);
                starts.push(Start {
                    language,
                    tasks,
                    init_ms: init_ms[init_ms.len() / 2],
                    range_ms: (init_ms[0], init_ms[init_ms.len() - 1]),
                });
            }
        }
        Ok(starts)
    }

    async fn deploy_tasks(&self) -> Result<(), DeployError> {
        self.observer.on_event(RunEvent::Deploying { tasks: self.project.tasks.len() });
        self.deployer.deploy_tasks().await
    }

    /// Deploys with the same resources for every function.
    async fn deploy(
        &self,
        deployment: Deployment,
        generation: u64,
    ) -> Result<Deployed, DeployError> {
        let roots: Vec<TaskName> = deployment.functions().keys().cloned().collect();
        let same = |deployment: Deployment, root| deployment.with_resources(root, self.resources);
        self.deployer.deploy(&roots.iter().fold(deployment, same), generation).await
    }

    /// A turn of calls that one function makes; times in microseconds.
    async fn call(
        &self,
        deployed: &Deployed,
        caller: &str,
        calls: Calls<'_>,
    ) -> Result<Vec<f64>, RuntimeBenchError> {
        let mut event = json!({ "rounds": TURN, "payload": payload() });
        if let Calls::Of(callee) | Calls::DryRunOf(callee) = calls {
            event["function"] = json!(callee);
        }
        event["dry_run"] = json!(matches!(calls, Calls::DryRunOf(_)));
        let output = self.send(deployed, caller, &event).await?;
        let body = output.payload().map(Blob::as_ref).unwrap_or_default();
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let times = answer["call_ns"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(times.iter().filter_map(Value::as_f64).map(|ns| ns / 1000.0).collect())
    }

    /// A turn of invocations by this program; times in microseconds.
    async fn invoke_directly(
        &self,
        deployed: &Deployed,
        function: &str,
    ) -> Result<Vec<f64>, RuntimeBenchError> {
        let mut times = Vec::with_capacity(TURN);
        for _ in 0..TURN {
            let started = Instant::now();
            self.send(deployed, function, &payload()).await?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    }

    /// Init duration of a function's first instance, in milliseconds.
    async fn start(&self, deployed: &Deployed, root: &TaskName) -> Result<f64, RuntimeBenchError> {
        let output = self.send(deployed, &root.0, &json!({})).await?;
        let log = output.log_result().and_then(|log| BASE64_STANDARD.decode(log).ok());
        let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
        let init_us = log.lines().find_map(Report::parse).and_then(|report| report.init_us);
        init_us.map(|us| us as f64 / 1000.0).ok_or_else(|| RuntimeBenchError::Failed {
            function: root.0.clone(),
            message: "its log says nothing of a cold start".into(),
        })
    }

    async fn send(
        &self,
        deployed: &Deployed,
        function: &str,
        event: &Value,
    ) -> Result<InvokeOutput, RuntimeBenchError> {
        let failed = |message| RuntimeBenchError::Failed { function: function.to_owned(), message };
        let version = deployed.versions.get(&TaskName::from(function)).map(String::as_str);
        let output = self
            .endpoint
            .lambda
            .invoke()
            .function_name(function)
            .qualifier(version.unwrap_or("$LATEST"))
            .log_type(LogType::Tail)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .map_err(|error| failed(aws_message(&error)))?;
        match output.function_error() {
            None => Ok(output),
            Some(_) => {
                let body = output.payload().map(Blob::as_ref).unwrap_or_default();
                Err(failed(String::from_utf8_lossy(body).into_owned()))
            }
        }
    }
}

fn payload() -> Value {
    json!({ "padding": "x".repeat(PAYLOAD_BYTES), "pad_bytes": PAYLOAD_BYTES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ranked() {
        let times = Times::of((1..=101).rev().map(f64::from).collect());
        assert_eq!((times.calls, times.p50_us, times.p99_us), (101, 51.0, 100.0));
    }
}
