//! Reads the functions' logs until everything that was sent can be accounted for.

use std::collections::BTreeSet;
use std::time::Duration;

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::price::PriceBook;
use optimizer::workflow::{TaskName, Workflow};

use crate::assemble;
use crate::deploy::{aws_message, log_group};
use crate::endpoint::Endpoint;
use crate::load::Sent;
use crate::logs::{Logs, Missing};

/// Events are asked for from this long before the first request, because clocks differ.
const CLOCK_MARGIN_MS: i64 = 5_000;
/// First pause between two looks at the logs; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the logs of requests that have been answered; CloudWatch takes seconds.
const LOG_LIMIT: Duration = Duration::from_secs(90);

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
    /// Log lines of some requests did not arrive.
    #[error(
        "the logs of {missing} of {sent} requests were still incomplete after {} s ({example}); check \
         that the functions may write logs, and measure again",
        LOG_LIMIT.as_secs()
    )]
    Incomplete {
        /// Requests that cannot be accounted for.
        missing: usize,
        /// Requests that were sent.
        sent: usize,
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
    prices: &PriceBook,
) -> Vec<Execution> {
    let execution = |one| assemble::execution(one, logs, deployment, workflow, prices);
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
) -> Result<Logs, ObserveError> {
    let mut logs = Logs::default();
    let Some(first_us) = sent.iter().map(|one| one.start_us).min() else { return Ok(logs) };
    let from_ms = (first_us / 1000) as i64 - CLOCK_MARGIN_MS;
    let groups: Vec<String> = tasks.map(log_group).collect();
    let mut seen = BTreeSet::new();
    let started = tokio::time::Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        for group in &groups {
            read_group(endpoint, group, from_ms, &mut seen, |line| logs.read_line(line)).await?;
        }
        let mut missing =
            sent.iter().filter_map(|one| one.request_ids().find_map(|id| logs.missing(id)));
        let Some(example) = missing.next() else { return Ok(logs) };
        if started.elapsed() > LOG_LIMIT {
            let missing = 1 + missing.count();
            return Err(ObserveError::Incomplete { missing, sent: sent.len(), example });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reads the lines that a log group got since a time, apart from events already seen.
pub(crate) async fn read_group(
    endpoint: &Endpoint,
    group: &str,
    from_ms: i64,
    seen: &mut BTreeSet<String>,
    mut on_line: impl FnMut(&str),
) -> Result<(), ObserveError> {
    use aws_sdk_lambda::error::ProvideErrorMetadata;
    let mut pages = endpoint
        .logs
        .filter_log_events()
        .log_group_name(group)
        .start_time(from_ms)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            // A function that has not been invoked yet has no log group.
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
            Err(error) => {
                let message = aws_message(&error);
                return Err(ObserveError::Refused { group: group.to_owned(), message });
            }
        };
        for event in page.events() {
            let id = event.event_id().unwrap_or_default();
            if seen.insert(format!("{group}{id}")) {
                event.message().unwrap_or_default().lines().for_each(&mut on_line);
            }
        }
    }
    Ok(())
}
