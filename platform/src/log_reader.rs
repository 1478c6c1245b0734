//! Reads a log group again and again: what is ours in it, once each, by the cheaper of two ways.
//!
//! `FilterLogEvents` gives what matches a pattern as soon as it is there, but goes through a group page by page. Logs
//! Insights searches much at once, but is late, has a price, gives so many rows at most, and may cut a message. So a look
//! begins with `FilterLogEvents`. If that is not done after [`MANY_PAGES`], Insights is asked for what is old, and
//! `FilterLogEvents` for the rest. Whatever Insights cannot give is read with `FilterLogEvents`.

mod insights;
mod range;
mod seen;
#[cfg(test)]
mod tests;
mod way;

use optimizer::workflow::TaskName;

pub use self::way::LogWay;

use self::insights::{Answer, Failure};
use self::range::Range;
use self::seen::Seen;
use crate::deploy::{aws_message, log_group};
use crate::endpoint::Endpoint;
use crate::events::{Observer, RunEvent};
use crate::observe::ObserveError;

/// After so many pages of `FilterLogEvents` a group is large. A page is a megabyte, 10,000 events, or what CloudWatch
/// searched in its time.
const MANY_PAGES: usize = 20;
/// Insights finds an event after so long, in seconds.
const SETTLED_S: i64 = 120;
/// The same on what stands for AWS, which is never late.
const SETTLED_EMULATED_S: i64 = 1;
/// A look that needs more queries than this is not worth them.
const MANY_QUERIES: usize = 1_000;
/// One of these is in every line that is read, and in few others. They are whole words of it, because it is not said
/// whether CloudWatch's patterns find parts of words. Reports, starts and killed runtimes have `RequestId:`.
const WORDS: [&str; 5] =
    ["RequestId:", "INIT_REPORT", "platform.report", "platform.start", "fuseline"];

/// Reads a log group again and again.
pub(crate) struct LogReader<'a> {
    endpoint: &'a Endpoint,
    group: String,
    seen: Seen,
    way: LogWay,
    /// What is asked of `FilterLogEvents`.
    pattern: Option<String>,
    observer: Option<&'a dyn Observer>,
}

impl<'a> LogReader<'a> {
    /// A reader of a task's log from a time on, in milliseconds since the Unix epoch.
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        task: &TaskName,
        from_ms: i64,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            way: endpoint.log_way,
            observer: Some(observer),
            ..Self::filtering(endpoint, task, from_ms)
        }
    }

    /// A reader that never asks Insights.
    pub(crate) fn filtering(endpoint: &'a Endpoint, task: &TaskName, from_ms: i64) -> Self {
        Self {
            endpoint,
            group: log_group(task),
            seen: Seen::from(from_ms),
            way: LogWay::Filter,
            pattern: Some(WORDS.map(|word| format!("?\"{word}\"")).join(" ")),
            observer: None,
        }
    }

    /// Makes it possible to [`start_over`](Self::start_over), which needs memory for every event.
    pub(crate) fn remembering(mut self) -> Self {
        self.seen.keep_all();
        self
    }

    /// From now on everything since the beginning is looked for once more, in the plainest way: without a pattern and
    /// without Insights.
    pub(crate) fn start_over(&mut self) {
        if self.seen.start_over() {
            self.way = LogWay::Filter;
            self.pattern = None;
        }
    }

    /// Reads what is new since the last time, in pages of whole lines.
    pub(crate) async fn read(
        &mut self,
        mut on_page: impl FnMut(&[u8]),
    ) -> Result<(), ObserveError> {
        let on_page = &mut on_page;
        let from_ms = self.seen.next_ms();
        let old = self.old(from_ms);
        let pages = match (self.way, old) {
            (LogWay::Filter, _) | (_, None) => usize::MAX,
            (LogWay::Auto, Some(_)) => MANY_PAGES,
            (LogWay::Insights, Some(_)) => 0,
        };
        if !self.filter(from_ms, None, pages, on_page).await?
            && let Some(old) = old
        {
            let rest_ms = match self.query(old, on_page).await? {
                Ok(()) => old.until_ms(),
                Err(failure) => {
                    self.way = LogWay::Filter;
                    self.tell(failure);
                    from_ms
                }
            };
            self.filter(rest_ms, None, usize::MAX, on_page).await?;
        }
        self.seen.go_on();
        Ok(())
    }

    /// What Insights may be asked for of the time since `from_ms`.
    fn old(&self, from_ms: i64) -> Option<Range> {
        let settled_s = if self.endpoint.is_emulated() { SETTLED_EMULATED_S } else { SETTLED_S };
        let until_s = jiff::Timestamp::now().as_second() - settled_s;
        let old = Range::new(from_ms, until_s)?;
        // Less than what has to be read with the other anyway does not pay.
        (self.way == LogWay::Insights || old.seconds() > settled_s).then_some(old)
    }

    fn tell(&self, failure: Failure) {
        let (group, reason) = (self.group.clone(), failure.0);
        if let Some(observer) = self.observer {
            observer.on_event(RunEvent::InsightsFailed { group, reason });
        }
    }

    /// Reads pages of events since a time, until another if there is one; both are included. Says whether that was all.
    async fn filter(
        &mut self,
        from_ms: i64,
        until_ms: Option<i64>,
        pages: usize,
        on_page: &mut impl FnMut(&[u8]),
    ) -> Result<bool, ObserveError> {
        use aws_sdk_lambda::error::ProvideErrorMetadata;
        let mut stream = self
            .endpoint
            .logs
            .filter_log_events()
            .log_group_name(&self.group)
            .set_filter_pattern(self.pattern.clone())
            .start_time(from_ms)
            .set_end_time(until_ms)
            .into_paginator()
            .send();
        for _ in 0..pages {
            let page = match stream.next().await {
                None => return Ok(true),
                Some(Ok(page)) => page,
                // A function that has not been invoked yet has no log group.
                Some(Err(error)) if error.code() == Some("ResourceNotFoundException") => {
                    return Ok(true);
                }
                Some(Err(error)) => {
                    let message = aws_message(&error);
                    return Err(ObserveError::Refused { group: self.group.clone(), message });
                }
            };
            let events = page.events().iter();
            self.take(
                events.map(|event| {
                    (event.timestamp().unwrap_or_default(), event.message().unwrap_or_default())
                }),
                on_page,
            );
        }
        Ok(false)
    }

    /// Reads what Insights has of a time, which it is asked for in parts as small as need be.
    async fn query(
        &mut self,
        old: Range,
        on_page: &mut impl FnMut(&[u8]),
    ) -> Result<Result<(), Failure>, ObserveError> {
        let mut parts = vec![old];
        for _ in 0..MANY_QUERIES {
            let Some(part) = parts.pop() else { return Ok(Ok(())) };
            let (rows, again) = match insights::ask(&self.endpoint.logs, &self.group, part).await {
                Ok(Answer::Rows(rows)) => {
                    // The time of the first and the last message that is not known whole.
                    let mut cut = rows.iter().filter(|row| row.is_cut).map(|row| row.at_ms);
                    let again = cut.next().map(|at_ms| {
                        cut.fold((at_ms, at_ms), |(first, last), at_ms| {
                            (first.min(at_ms), last.max(at_ms))
                        })
                    });
                    (rows, again)
                }
                Ok(Answer::TooMany { parts: wanted }) => match part.cut(wanted) {
                    Some(smaller) => {
                        parts.extend(smaller);
                        continue;
                    }
                    None => (Vec::new(), Some((part.first_ms(), part.until_ms() - 1))),
                },
                Err(failure) => return Ok(Err(failure)),
            };
            let whole = rows.iter().filter(|row| !row.is_cut && part.has(row.at_ms));
            self.take(whole.map(|row| (row.at_ms, row.message.as_str())), on_page);
            if let Some((first_ms, last_ms)) = again {
                let first_ms = first_ms.max(part.first_ms());
                self.filter(first_ms, Some(last_ms), usize::MAX, on_page).await?;
            }
        }
        Ok(Err(Failure(format!("{MANY_QUERIES} queries were not enough"))))
    }

    /// Gives a page of the events that are new.
    fn take<'e>(
        &mut self,
        events: impl Iterator<Item = (i64, &'e str)>,
        on_page: &mut impl FnMut(&[u8]),
    ) {
        let mut lines = Vec::new();
        for (at_ms, message) in events {
            if self.seen.is_new(at_ms, message) {
                // An event is whole: what was too long for one ends in the middle of a line, but does not go on in the
                // next.
                lines.extend_from_slice(message.as_bytes());
                lines.push(b'\n');
            }
        }
        on_page(&lines);
    }
}
