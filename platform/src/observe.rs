//! Reads the functions' logs until everything that was sent can be accounted for.

use std::time::Duration;

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::workflow::{TaskName, Workflow};

use crate::assemble;
use crate::endpoint::Endpoint;
use crate::events::Observer;
use crate::load::Sent;
use crate::log_reader::LogReader;
use crate::logs::{Logs, Missing};
use crate::rates::Rates;

/// Events are asked for from this long before the first request, because clocks differ.
pub(crate) const CLOCK_MARGIN_MS: i64 = 5_000;
/// First pause between two looks at the logs; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the logs of requests that have been answered. CloudWatch takes seconds; what stands for AWS has
/// them at once, or never. After half of it everything is looked for once more: what came too late, or was not found.
const LOG_LIMIT: Duration = Duration::from_secs(90);
const LOG_LIMIT_EMULATED: Duration = Duration::from_secs(30);

/// Why logs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The endpoint refused.
    #[error("the log group {group} cannot be read: {message}")]
    Refused {
        /// Which log group.
        group: String,
        /// What the endpoint or the connection said.
        message: String,
    },
    /// Production sent too little.
    #[error(
        "after {minutes:.0} min production has sent {seen} of {wanted} warm executions that a deployment was to have"
    )]
    TooFew {
        /// Warm executions that were seen.
        seen: usize,
        /// Wanted.
        wanted: usize,
        /// Waited for so long.
        minutes: f64,
    },
    /// Log lines of some requests did not arrive.
    #[error(
        "the logs of {missing} of {sent} requests were still incomplete after {seconds} s ({example}); check \
         that the functions may write logs, and measure again"
    )]
    Incomplete {
        /// Requests that cannot be accounted for.
        missing: usize,
        /// Requests that were sent.
        sent: usize,
        /// Waited for so long.
        seconds: u64,
        /// What is missing of one of them.
        example: Missing,
    },
}

/// Executions of everything that was sent to one deployment, in the order it was sent in.
#[must_use]
pub fn executions(
    logs: &Logs,
    deployment: &Deployment,
    sent: &[Sent],
    workflow: &Workflow,
    rates: &Rates,
) -> Vec<Execution> {
    let execution = |one| assemble::execution(one, logs, deployment, workflow, rates);
    sent.iter().filter_map(execution).collect()
}

/// The functions' logs since the first request was sent, once everything that the requests caused
/// is in them.
///
/// # Errors
/// If logs cannot be read or stay incomplete.
pub async fn logs(
    endpoint: &Endpoint,
    tasks: impl Iterator<Item = &TaskName>,
    sent: &[Sent],
    observer: &dyn Observer,
) -> Result<Logs, ObserveError> {
    let mut logs = Logs::default();
    let Some(first_us) = sent.iter().map(|one| one.start_us).min() else { return Ok(logs) };
    let from_ms = (first_us / 1000) as i64 - CLOCK_MARGIN_MS;
    let reader = |task| LogReader::new(endpoint, task, from_ms, observer).remembering();
    let mut readers: Vec<_> = tasks.map(reader).collect();
    // Large logs take longer to read than others to come.
    let mut read_first = None;
    let mut has_started_over = false;
    let limit = if endpoint.is_emulated() { LOG_LIMIT_EMULATED } else { LOG_LIMIT };
    let mut pause = FIRST_PAUSE;
    loop {
        for reader in &mut readers {
            reader.read(|page| logs.read(page)).await?;
        }
        let mut missing =
            sent.iter().filter_map(|one| one.request_ids().find_map(|id| logs.missing(id)));
        let Some(example) = missing.next() else { return Ok(logs) };
        let waited = read_first.get_or_insert_with(tokio::time::Instant::now).elapsed();
        if waited > limit {
            let (missing, seconds) = (1 + missing.count(), limit.as_secs());
            return Err(ObserveError::Incomplete { missing, sent: sent.len(), seconds, example });
        }
        if waited > limit / 2 && !has_started_over {
            has_started_over = true;
            readers.iter_mut().for_each(LogReader::start_over);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
