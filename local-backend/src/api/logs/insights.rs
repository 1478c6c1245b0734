//! The operations of Logs Insights.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{LogsError, Parameters, group_name};
use crate::logs::{Found, LogStore, Progress, Queries, QueryError, Question, Row};

/// Rows on one page at most, and unless asked otherwise.
const PAGE_ROWS: usize = 10_000;
/// Highest limit that a query may be given.
const HIGHEST_LIMIT: usize = 100_000;

pub(super) fn start(
    logs: &LogStore,
    queries: &Queries,
    parameters: &Parameters,
) -> Result<Value, LogsError> {
    let group = match parameters.log_group_names.as_slice() {
        [] => group_name(parameters)?,
        [group] => group.clone(),
        _ => return Err(LogsError::invalid("the local backend queries one log group at a time")),
    };
    let (Some(from_s), Some(to_s)) = (parameters.start_time, parameters.end_time) else {
        return Err(LogsError::invalid("startTime or endTime is missing"));
    };
    if from_s > to_s || parameters.limit.is_some_and(|limit| !(1..=HIGHEST_LIMIT).contains(&limit))
    {
        return Err(LogsError::invalid("startTime is after endTime, or limit not in 1..=100000"));
    }
    let text = parameters.query_string.clone().unwrap_or_default();
    let question = Question { group, from_s, to_s, text, limit: parameters.limit };
    let id = queries.start(logs, question).map_err(|error| match error {
        QueryError::MissingGroup => LogsError::not_found("group"),
        QueryError::Malformed => LogsError::of(
            "MalformedQueryException",
            "the local backend understands `fields @timestamp, @message, strlen(@message) as length | filter @message like \"a\" or @message like \"b\"` with other words, and no other queries",
        ),
        QueryError::Busy => {
            LogsError::of("LimitExceededException", "Account maximum query concurrency limit reached")
        }
    })?;
    Ok(json!({ "queryId": id }))
}

pub(super) fn results(
    logs: &LogStore,
    queries: &Queries,
    parameters: &Parameters,
) -> Result<Value, LogsError> {
    let id = parameters.query_id.as_deref().unwrap_or_default();
    let first = usize::try_from(super::token(parameters)?).unwrap_or(usize::MAX);
    let rows = parameters.max_items.unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS);
    let progress = queries.progress(logs, id).ok_or_else(|| LogsError::not_found("query"))?;
    Ok(match progress {
        Progress::Scheduled => without_rows("Scheduled"),
        Progress::Running => without_rows("Running"),
        Progress::Cancelled => without_rows("Cancelled"),
        Progress::Complete(found) => page(&found, first, rows),
    })
}

pub(super) fn stop(queries: &Queries, parameters: &Parameters) -> Result<Value, LogsError> {
    match queries.stop(parameters.query_id.as_deref().unwrap_or_default()) {
        Some(true) => Ok(json!({ "success": true })),
        Some(false) => Err(LogsError::invalid("Query is already ended")),
        None => Err(LogsError::not_found("query")),
    }
}

fn without_rows(status: &str) -> Value {
    json!({ "status": status, "results": [], "statistics": statistics(&Found::default()) })
}

fn statistics(found: &Found) -> Value {
    json!({
        "recordsMatched": found.matched as f64,
        "recordsScanned": found.scanned as f64,
        "bytesScanned": found.scanned_bytes as f64,
    })
}

fn page(found: &Found, first: usize, rows: usize) -> Value {
    let results: Vec<Value> = found.rows.iter().skip(first).take(rows).map(row).collect();
    let next = first.saturating_add(results.len());
    let mut value = json!({
        "queryLanguage": "CWLI",
        "status": "Complete",
        "results": results,
        "statistics": statistics(found),
    });
    if next < found.rows.len() {
        value["nextToken"] = json!(next.to_string());
    }
    value
}

fn row(row: &Row) -> Value {
    let field = |name: &str, value: String| json!({ "field": name, "value": value });
    let time = Timestamp::from_millisecond(row.time_ms).unwrap_or_default();
    json!([
        field("@timestamp", time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()),
        field("@message", row.message.clone()),
        field("length", row.length.to_string()),
        field("@ptr", format!("{:056}", row.sequence)),
    ])
}
