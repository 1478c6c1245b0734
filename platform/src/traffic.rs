//! Reads from the logs what production sends: executions that nobody of ours has started, by the version of the
//! function that was invoked from outside.
//!
//! An invocation is known by its START line, which the platform writes even if the function cannot start. Its
//! latency is what its log says, so the way to the function and back is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use optimizer::execution::{Execution, Outcome};
use optimizer::price::PriceBook;
use optimizer::workflow::TaskName;
use tokio::time::Instant;
use wire::log::{Entry, entries};
use wire::record::CallOutcome;

use crate::assemble;
use crate::deploy::Deployed;
use crate::endpoint::Endpoint;
use crate::events::Observer;
use crate::load::{Attempt, Sent};
use crate::log_reader::LogReader;
use crate::logs::Logs;
use crate::observe::ObserveError;
use crate::project::Project;
use crate::rates::Rates;

/// Longest wait for the rest of an execution's logs.
const LOG_LIMIT: Duration = Duration::from_secs(120);

/// An execution that production caused.
pub struct Observed {
    /// Function that was invoked.
    pub root: TaskName,
    /// Which of the deployments served it, as an index.
    pub deployment: usize,
    /// What it was.
    pub execution: Execution,
}

/// Production's executions of some deployments, read again and again.
pub struct Traffic<'a> {
    project: &'a Project,
    rates: Rates,
    deployments: Vec<&'a Deployed>,
    /// With the root whose group it reads.
    readers: Vec<(Option<&'a TaskName>, LogReader<'a>)>,
    logs: Logs,
    open: BTreeMap<String, Open>,
    closed: BTreeSet<String>,
    /// Executions of each deployment whose logs stayed incomplete.
    incomplete: Vec<usize>,
}

/// An invocation whose execution is not complete yet.
struct Open {
    root: TaskName,
    deployment: Option<usize>,
    since: Instant,
    /// When it began and how long it took, in microseconds, and how it ended.
    record: Option<(u64, u64, Outcome)>,
}

impl<'a> Traffic<'a> {
    /// Of deployments of a project from a time on, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(
        endpoint: &'a Endpoint,
        project: &'a Project,
        prices: PriceBook,
        deployments: Vec<&'a Deployed>,
        from_ms: i64,
        observer: &'a dyn Observer,
    ) -> Self {
        let roots = project.workflow.roots();
        let readers = project.tasks.keys().map(|task| {
            let root = roots.iter().find(|root| **root == task).copied();
            (root, LogReader::new(endpoint, task, from_ms, observer))
        });
        Self {
            project,
            rates: Rates::of(project, prices),
            readers: readers.collect(),
            logs: Logs::default(),
            open: BTreeMap::new(),
            closed: BTreeSet::new(),
            incomplete: vec![0; deployments.len()],
            deployments,
        }
    }

    /// What has become complete since the last look.
    ///
    /// # Errors
    /// If logs cannot be read.
    pub async fn look(&mut self) -> Result<Vec<Observed>, ObserveError> {
        let Self { readers, logs, open, closed, deployments, .. } = self;
        for (root, reader) in readers {
            let root = *root;
            let on_page = |page: &[u8]| {
                logs.read(page);
                if let Some(root) = root {
                    note(page, root, deployments, open, closed);
                }
            };
            reader.read(on_page).await?;
        }
        let mut complete = Vec::new();
        let known: Vec<String> = self.open.keys().cloned().collect();
        for request in known {
            let is_complete = self.logs.is_complete(&request);
            if !is_complete && self.open[&request].since.elapsed() < LOG_LIMIT {
                continue;
            }
            let Some(one) = self.open.remove(&request) else { continue };
            let Some(deployment) = one.deployment else { continue };
            self.closed.insert(request.clone());
            // The function called itself, or another task of the workflow called it.
            if self.logs.is_called(&request) {
                continue;
            }
            match self.execution(&one, deployment, &request) {
                Some(execution) => {
                    complete.push(Observed { root: one.root, deployment, execution });
                }
                None => self.incomplete[deployment] += 1,
            }
        }
        Ok(complete)
    }

    /// Executions of each deployment whose logs stayed incomplete for two minutes.
    #[must_use]
    pub fn incomplete(&self) -> &[usize] {
        &self.incomplete
    }

    fn execution(&self, one: &Open, deployment: usize, request: &str) -> Option<Execution> {
        let bill = self.logs.bills(self.logs.invocation(request)?).last()?;
        let (start_us, duration_us, outcome) = match one.record {
            Some(record) => record,
            // It was killed before it could write its record.
            None => (0, bill.duration_us, Outcome::Crash),
        };
        let latency_us = duration_us + bill.init_us.unwrap_or(0);
        let mut sent = Sent {
            trace: String::new(),
            request_id: request.to_owned(),
            attempts: None,
            start_us,
            latency_us,
            outcome,
            status: 200,
            function_error: None,
            answer: serde_json::Value::Null,
            not_json: None,
        };
        if self.project.workflow.flow().is_some() {
            // The orchestrator is not ours: each of its invocations is looked at by itself.
            sent.attempts = Some(vec![Attempt {
                step: one.root.0.as_str().into(),
                task: one.root.clone(),
                request_id: std::mem::take(&mut sent.request_id),
                start_us,
                duration_us: latency_us,
                outcome,
            }]);
        }
        let workflow = &self.project.workflow;
        let deployed = &self.deployments[deployment].deployment;
        let mut execution =
            assemble::execution(&sent, &self.logs, deployed, workflow, &self.rates)?;
        // The platform knows better how it ended.
        execution.outcome = execution.spans.first().map_or(outcome, |span| span.outcome);
        Some(execution)
    }
}

/// Remembers which invocations a page of a root's log tells of.
fn note(
    page: &[u8],
    root: &TaskName,
    deployments: &[&Deployed],
    open: &mut BTreeMap<String, Open>,
    closed: &BTreeSet<String>,
) {
    let served = |version: &str| deployments.iter().position(|it| it.version(root) == version);
    let mut note = |request: &str, version: &str, record: Option<(u64, u64, Outcome)>| {
        if closed.contains(request) {
            return;
        }
        let one = open.entry(request.to_owned()).or_insert_with(|| Open {
            root: root.clone(),
            deployment: None,
            since: Instant::now(),
            record: None,
        });
        one.deployment = served(version).or(one.deployment);
        one.record = record.or(one.record);
    };
    for start in wire::start::starts(page) {
        note(start.request, start.version, None);
    }
    for entry in entries(page) {
        if let Entry::Invocation(record) = entry {
            let outcome = match record.outcome {
                CallOutcome::Ok => Outcome::Ok,
                CallOutcome::Error => Outcome::Error,
                CallOutcome::Crash => Outcome::Crash,
                CallOutcome::Timeout => Outcome::Timeout,
                CallOutcome::Refused => Outcome::Refused,
            };
            let told = (record.start_us, record.duration_us, outcome);
            note(&record.request, &record.version, Some(told));
        }
    }
}
