//! One query of Logs Insights, from its start to its rows.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_cloudwatchlogs::types::{QueryStatus, ResultField};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use tokio::time::Instant;

use super::WORDS;
use super::range::Range;
use crate::deploy::aws_message;

/// Rows that a query gives at most; they come in pages.
const MOST_ROWS: usize = 100_000;
/// A time that has too many rows is cut into so many parts at most.
const MOST_PARTS: f64 = 32.0;
/// CloudWatch is said to cut messages at 1,000 characters. A shorter one that is as long as Insights says is whole.
const SURELY_WHOLE: usize = 900;
/// A line end may be left out.
const LINE_END: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for a query.
const LONGEST: Duration = Duration::from_secs(300);

/// What a query found.
pub(super) enum Answer {
    /// Everything that there is.
    Rows(Vec<Row>),
    /// More than it may give. In so many parts it would be about half of that.
    TooMany {
        /// Parts of the time.
        parts: u32,
    },
}

/// An event.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Row {
    /// Its time, in milliseconds since the Unix epoch.
    pub(super) at_ms: i64,
    /// Its text, or the beginning of it.
    pub(super) message: String,
    /// Whether there may be more of the text.
    pub(super) is_cut: bool,
}

/// Why Insights is of no use.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

/// Events of interest in a group. Without `sort`, because the order does not matter, and takes Insights time.
fn text() -> String {
    let words = WORDS.map(|word| format!("@message like \"{word}\"")).join(" or ");
    format!("fields @timestamp, @message, strlen(@message) as length | filter {words}")
}

/// Asks for the events of a time. The answer may have some beside it.
pub(super) async fn ask(client: &Client, group: &str, range: Range) -> Result<Answer, Failure> {
    let (from_s, until_s) = range.asked_s();
    let started = client
        .start_query()
        .log_group_name(group)
        .start_time(from_s)
        .end_time(until_s)
        .query_string(text())
        .limit(MOST_ROWS as i32)
        .send()
        .await;
    let id = match started {
        Ok(started) => started.query_id.unwrap_or_default(),
        // A function that has not been invoked yet has no log group.
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            return Ok(Answer::Rows(Vec::new()));
        }
        Err(error) => return Err(Failure(aws_message(&error))),
    };
    let mut query = Query { client, id, runs: true };
    let mut page = query.finish().await?;
    let matched = page.statistics.as_ref().map_or(0.0, |it| it.records_matched);
    let mut rows = Vec::new();
    if matched <= MOST_ROWS as f64 {
        loop {
            for fields in page.results.take().unwrap_or_default() {
                rows.push(Row::of(fields)?);
            }
            let Some(token) = page.next_token.take().filter(|_| rows.len() < MOST_ROWS) else {
                break;
            };
            page = query.results(Some(token)).await?;
        }
    }
    let is_all = rows.len() < MOST_ROWS && rows.len() as f64 >= matched;
    if is_all {
        return Ok(Answer::Rows(rows));
    }
    // Fewer than were asked for are as many as are to be had.
    let most = if rows.is_empty() { MOST_ROWS } else { rows.len() };
    let parts = (2.0 * matched / most as f64).ceil().clamp(2.0, MOST_PARTS);
    Ok(Answer::TooMany { parts: parts as u32 })
}

/// A query that was started. Whoever gives it up stops it, because it counts towards the account's limit.
struct Query<'a> {
    client: &'a Client,
    id: String,
    runs: bool,
}

impl Query<'_> {
    /// Waits for the end; returns the first page of what it found.
    async fn finish(&mut self) -> Result<GetQueryResultsOutput, Failure> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let answer = self.results(None).await?;
            match &answer.status {
                Some(QueryStatus::Scheduled | QueryStatus::Running) => {}
                Some(QueryStatus::Complete) => {
                    self.runs = false;
                    return Ok(answer);
                }
                other => {
                    self.runs = false;
                    let status = other.as_ref().map_or("without a status", QueryStatus::as_str);
                    return Err(Failure(format!("a query ended as {status}")));
                }
            }
            if started.elapsed() > LONGEST {
                let seconds = LONGEST.as_secs();
                return Err(Failure(format!("a query was not done after {seconds} s")));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn results(&self, token: Option<String>) -> Result<GetQueryResultsOutput, Failure> {
        let asked = self.client.get_query_results().query_id(&self.id).set_next_token(token);
        asked.send().await.map_err(|error| Failure(aws_message(&error)))
    }
}

impl Drop for Query<'_> {
    fn drop(&mut self) {
        if let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| self.runs) {
            let stop = self.client.stop_query().query_id(&self.id).send();
            // If it cannot be stopped it ends by itself.
            drop(runtime.spawn(stop));
        }
    }
}

impl Row {
    fn of(fields: Vec<ResultField>) -> Result<Self, Failure> {
        let mut fields: BTreeMap<String, String> = fields
            .into_iter()
            .filter_map(|field| Some((field.field?, field.value.unwrap_or_default())))
            .collect();
        let at = fields.get("@timestamp").map(String::as_str).unwrap_or_default();
        let at_ms = milliseconds(at);
        let at_ms = at_ms.ok_or_else(|| Failure(format!("a row has the time `{at}`")))?;
        let message = fields.remove("@message");
        let message = message.ok_or_else(|| Failure("a row has no message".to_owned()))?;
        let length = fields.get("length").and_then(|text| text.parse::<usize>().ok());
        let got = message.chars().count();
        let is_cut = got >= SURELY_WHOLE || length.is_some_and(|length| length > got + LINE_END);
        Ok(Self { at_ms, message, is_cut })
    }
}

/// Of `2026-11-27 16:30:59.123`; moto has milliseconds.
fn milliseconds(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let time: jiff::civil::DateTime = text.parse().ok()?;
    Some(jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Result<Row, Failure> {
        let field = |(name, value): &(&str, &str)| {
            ResultField::builder().field(*name).value(*value).build()
        };
        Row::of(fields.iter().map(field).collect())
    }

    #[test]
    fn rows_are_events() {
        let at = ("@timestamp", "1970-01-02 00:00:01.005");
        let got = row(&[at, ("@message", "a\n"), ("length", "2"), ("@ptr", "x")]).unwrap();
        assert_eq!(got, Row { at_ms: 86_401_005, message: "a\n".into(), is_cut: false });
        assert_eq!(row(&[("@timestamp", "17"), ("@message", "")]).unwrap().at_ms, 17);
        assert!(row(&[("@timestamp", "today"), ("@message", "a")]).is_err());
        assert!(row(&[at]).is_err());
    }

    #[test]
    fn a_message_is_whole_only_if_it_is_as_long_as_it_should_be() {
        let long = "ä".repeat(SURELY_WHOLE);
        let cut = |message: &str, length: &str| {
            let at = ("@timestamp", "1970-01-01 00:00:00.000");
            row(&[at, ("@message", message), ("length", length)]).unwrap().is_cut
        };
        assert!(!cut("REPORT", "6") && !cut("REPORT", "7") && !cut("REPORT", "?"));
        assert!(cut("REPORT", "20"));
        assert!(cut(&long, "900") && !cut(&long["ä".len()..], "899"));
    }

    #[test]
    fn the_query_has_every_word() {
        let text = text();
        assert!(WORDS.iter().all(|word| text.contains(&format!("like \"{word}\""))), "{text}");
    }
}
