//! Reads from the logs what production sends: executions that nobody of ours has started, by the version of the
//! function that was invoked from outside.
//!
//! An invocation is known by its START line, which the platform writes even if the function cannot start. Its
//! latency is what its log says, so the way to the function and back is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use optimizer::canary::Arm;
use optimizer::execution::{Execution, Outcome};
use optimizer::price::PriceBook;
use optimizer::workflow::TaskName;
use tokio::time::Instant;
use wire::log::{Entry, entries};

use crate::assemble;
use crate::deploy::Deployed;
use crate::endpoint::Endpoint;
use crate::events::Observer;
use crate::load::{Attempt, Sent};
use crate::log_reader::LogReader;
use crate::logs::Logs;
use crate::observe::{CLOCK_MARGIN_MS, ObserveError};
use crate::project::Project;
use crate::rates::Rates;

/// Longest wait for the rest of an execution's logs.
const LOG_LIMIT: Duration = Duration::from_secs(120);

/// An execution that production caused.
pub struct Observed {
    /// Function that was invoked.
    pub root: TaskName,
    /// Which of the deployments served it.
    pub arm: Arm,
    /// What it was.
    pub execution: Execution,
}

/// The deployments that production's calls go to; the same one twice if it is alone.
#[derive(Clone, Copy, Debug)]
pub struct Arms<'a> {
    /// The present one.
    pub stable: &'a Deployed,
    /// The new one.
    pub canary: &'a Deployed,
}

impl<'a> Arms<'a> {
    fn of(&self, arm: Arm) -> &'a Deployed {
        match arm {
            Arm::Stable => self.stable,
            Arm::Canary => self.canary,
        }
    }
}

/// Production's executions of two deployments, read again and again.
pub struct Traffic<'a> {
    project: &'a Project,
    rates: Rates,
    arms: Arms<'a>,
    /// With the root whose group it reads.
    readers: Vec<(Option<&'a TaskName>, LogReader<'a>)>,
    logs: Logs,
    open: BTreeMap<String, Open>,
    closed: BTreeSet<String>,
    /// Executions of the canary whose logs stayed incomplete.
    incomplete: usize,
}

/// An invocation whose execution is not complete yet.
struct Open {
    root: TaskName,
    arm: Option<Arm>,
    since: Instant,
    /// When it began and how long it took, in microseconds, and how it ended.
    record: Option<(u64, u64, Outcome)>,
}

impl<'a> Traffic<'a> {
    /// Of two deployments of a project from now on.
    #[must_use]
    pub fn new(
        endpoint: &'a Endpoint,
        project: &'a Project,
        prices: PriceBook,
        arms: Arms<'a>,
        observer: &'a dyn Observer,
    ) -> Self {
        let roots = project.workflow.roots();
        let from_ms = jiff::Timestamp::now().as_millisecond() - CLOCK_MARGIN_MS;
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
            incomplete: 0,
            arms,
        }
    }

    /// What has become complete since the last look.
    ///
    /// # Errors
    /// If logs cannot be read.
    pub async fn look(&mut self) -> Result<Vec<Observed>, ObserveError> {
        let Self { readers, logs, open, closed, arms, .. } = self;
        for (root, reader) in readers {
            let root = *root;
            let on_page = |page: &[u8]| {
                logs.read(page);
                if let Some(root) = root {
                    note(page, root, arms, open, closed);
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
            let Some(arm) = one.arm else { continue };
            self.closed.insert(request.clone());
            // The function called itself, or another task of the workflow called it.
            if self.logs.is_called(&request) {
                continue;
            }
            match self.execution(&one, arm, &request) {
                Some(execution) => complete.push(Observed { root: one.root, arm, execution }),
                None => self.incomplete += usize::from(arm == Arm::Canary),
            }
        }
        Ok(complete)
    }

    /// Executions of the canary whose logs stayed incomplete for two minutes.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.incomplete
    }

    fn execution(&self, one: &Open, arm: Arm, request: &str) -> Option<Execution> {
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
        let deployed = &self.arms.of(arm).deployment;
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
    arms: &Arms<'_>,
    open: &mut BTreeMap<String, Open>,
    closed: &BTreeSet<String>,
) {
    let served = |version: &str| {
        [Arm::Stable, Arm::Canary].into_iter().find(|arm| arms.of(*arm).version(root) == version)
    };
    let mut note = |request: &str, version: &str, record: Option<(u64, u64, Outcome)>| {
        if closed.contains(request) {
            return;
        }
        let one = open.entry(request.to_owned()).or_insert_with(|| Open {
            root: root.clone(),
            arm: None,
            since: Instant::now(),
            record: None,
        });
        one.arm = served(version).or(one.arm);
        one.record = record.or(one.record);
    };
    for start in wire::start::starts(page) {
        note(start.request, start.version, None);
    }
    for entry in entries(page) {
        if let Entry::Invocation(record) = entry {
            let outcome = assemble::outcome(record.outcome);
            let told = (record.start_us, record.duration_us, outcome);
            note(&record.request, &record.version, Some(told));
        }
    }
}
