//! Reads the functions' logs until everything that was sent can be accounted for.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::workflow::{TaskName, Workflow};

use crate::assemble;
use crate::deploy::{aws_message, log_group};
use crate::endpoint::Endpoint;
use crate::load::Sent;
use crate::logs::{Logs, Missing};
use crate::rates::Rates;

/// Events are asked for from this long before the first request, because clocks differ.
const CLOCK_MARGIN_MS: i64 = 5_000;
/// An event that becomes visible when others are there that are so much younger may be overlooked.
const LATE_MS: i64 = 120_000;
/// First pause between two looks at the logs; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the logs of requests that have been answered. CloudWatch takes seconds; what stands for AWS has
/// them at once, or never.
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
) -> Result<Logs, ObserveError> {
    let mut logs = Logs::default();
    let Some(first_us) = sent.iter().map(|one| one.start_us).min() else { return Ok(logs) };
    let from_ms = (first_us / 1000) as i64 - CLOCK_MARGIN_MS;
    let mut readers: Vec<_> = tasks.map(|task| LogReader::new(endpoint, task, from_ms)).collect();
    let limit = if endpoint.is_emulated() { LOG_LIMIT_EMULATED } else { LOG_LIMIT };
    let started = tokio::time::Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        for reader in &mut readers {
            reader.read(|page| logs.read(page)).await?;
        }
        let mut missing =
            sent.iter().filter_map(|one| one.request_ids().find_map(|id| logs.missing(id)));
        let Some(example) = missing.next() else { return Ok(logs) };
        if started.elapsed() > limit {
            let (missing, seconds) = (1 + missing.count(), limit.as_secs());
            return Err(ObserveError::Incomplete { missing, sent: sent.len(), seconds, example });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reads a log group again and again.
pub(crate) struct LogReader<'a> {
    endpoint: &'a Endpoint,
    group: String,
    seen: Seen,
}

impl<'a> LogReader<'a> {
    /// A reader of a task's log from a time on, in milliseconds since the Unix epoch.
    pub(crate) fn new(endpoint: &'a Endpoint, task: &TaskName, from_ms: i64) -> Self {
        Self { endpoint, group: log_group(task), seen: Seen::from(from_ms) }
    }

    /// Reads what is new since the last time, in pages of whole lines.
    pub(crate) async fn read(
        &mut self,
        mut on_page: impl FnMut(&[u8]),
    ) -> Result<(), ObserveError> {
        use aws_sdk_lambda::error::ProvideErrorMetadata;
        let mut pages = self
            .endpoint
            .logs
            .filter_log_events()
            .log_group_name(&self.group)
            .start_time(self.seen.from_ms)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                // A function that has not been invoked yet has no log group.
                Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
                Err(error) => {
                    let message = aws_message(&error);
                    return Err(ObserveError::Refused { group: self.group.clone(), message });
                }
            };
            let mut lines = Vec::new();
            for event in page.events() {
                let message = event.message().unwrap_or_default();
                if self.seen.is_new(event.timestamp().unwrap_or_default(), message) {
                    // An event is whole: what was too long for one ends in the middle of a line, but
                    // does not go on in the next.
                    lines.extend_from_slice(message.as_bytes());
                    lines.push(b'\n');
                }
            }
            on_page(&lines);
        }
        self.seen.go_on();
        Ok(())
    }
}

/// Which events have been read. CloudWatch gives some more than once, has some twice with ids of their
/// own, and shows some later than others of the same time. So an event is known by its time and text:
/// no line that is ours can be there twice in a millisecond.
struct Seen {
    /// What is older is not asked for any more, in milliseconds since the Unix epoch.
    from_ms: i64,
    /// Those since then, by time and a hash of the text.
    events: BTreeSet<(i64, u64)>,
}

impl Seen {
    fn from(from_ms: i64) -> Self {
        Self { from_ms, events: BTreeSet::new() }
    }

    fn is_new(&mut self, at_ms: i64, message: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(message.as_bytes());
        self.events.insert((at_ms, hasher.finish()))
    }

    /// Once all events there are have been read: goes on with the latest, and those a little older.
    fn go_on(&mut self) {
        let Some((latest_ms, _)) = self.events.last() else { return };
        self.from_ms = self.from_ms.max(latest_ms - LATE_MS);
        self.events = self.events.split_off(&(self.from_ms, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_count_once_however_late_and_often_they_come() {
        let mut seen = Seen::from(0);
        for (at_ms, text, new) in [(5, "a", true), (5, "b", true), (5, "a", false), (3, "a", true)]
        {
            assert_eq!(seen.is_new(at_ms, text), new, "{at_ms} {text}");
        }
        seen.go_on();
        assert_eq!(seen.from_ms, 0);
        assert!(seen.is_new(5 + LATE_MS, "d"));
        seen.go_on();
        // Asked for from here on, they come again, and late ones with them.
        assert_eq!(seen.from_ms, 5);
        assert!(!seen.is_new(5, "a") && !seen.is_new(5 + LATE_MS, "d") && seen.is_new(6, "e"));
        assert_eq!(seen.events.len(), 4);
    }
}
