//! CloudWatch Logs, as far as a client needs it to read what functions logged.

mod insights;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{read_body, text_header};
use crate::backend::Backend;
use crate::function::{ACCOUNT, REGION};
use crate::logs::{LogStore, MissingGroup, Pattern, Position, Queries, Query, Stream, StreamQuery};

/// Prefix of every operation's target.
const TARGET: &str = "Logs_20140328.";
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Events on one page at most, and unless asked otherwise.
const MAX_EVENTS: usize = 10_000;
/// Streams or groups on one page unless asked otherwise.
const LIST_LIMIT: usize = 50;

/// Parameters of every operation offered.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parameters {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_group_names: Vec<String>,
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_stream_name: Option<String>,
    log_stream_names: Vec<String>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
    order_by: Option<String>,
    descending: bool,
    start_from_head: bool,
    query_string: Option<String>,
    query_id: Option<String>,
    max_items: Option<usize>,
}

/// An error in the form of AWS's JSON 1.1.
struct LogsError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl LogsError {
    fn invalid(message: impl Into<String>) -> Self {
        Self::of("InvalidParameterException", message)
    }

    fn of(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, message: message.into() }
    }

    fn not_found(what: &str) -> Self {
        let message = format!("The specified log {what} does not exist.");
        Self::of("ResourceNotFoundException", message)
    }
}

impl From<MissingGroup> for LogsError {
    fn from(_: MissingGroup) -> Self {
        Self::not_found("group")
    }
}

impl IntoResponse for LogsError {
    fn into_response(self) -> Response {
        let body = json!({ "__type": self.kind, "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

pub(super) async fn operation(
    State(backend): State<Arc<Backend>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let target = text_header(&headers, "x-amz-target").unwrap_or_default();
    let mut response = match run(&backend.logs, &backend.queries, target, body).await {
        Ok(value) => Json(value).into_response(),
        Err(error) => error.into_response(),
    };
    let kind = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn run(
    logs: &LogStore,
    queries: &Queries,
    target: &str,
    body: Body,
) -> Result<Value, LogsError> {
    let body = read_body(body, MAX_REQUEST_BYTES).await;
    let body = body.map_err(|error| LogsError::invalid(error.message))?;
    let parameters: Parameters = serde_json::from_slice(&body)
        .map_err(|error| LogsError::invalid(format!("the request is no JSON: {error}")))?;
    match target.strip_prefix(TARGET) {
        Some("FilterLogEvents") => filter_events(logs, parameters),
        Some("GetLogEvents") => get_events(logs, &parameters),
        Some("DescribeLogStreams") => describe_streams(logs, &parameters),
        Some("DescribeLogGroups") => describe_groups(logs, &parameters),
        Some("StartQuery") => insights::start(logs, queries, &parameters),
        Some("GetQueryResults") => insights::results(logs, queries, &parameters),
        Some("StopQuery") => insights::stop(queries, &parameters),
        Some("DeleteLogGroup") => {
            logs.delete(&group_name(&parameters)?)?;
            Ok(json!({}))
        }
        _ => Err(LogsError {
            status: StatusCode::BAD_REQUEST,
            kind: "UnknownOperationException",
            message: format!(
                "the local backend does not offer `{target}`; of CloudWatch Logs it offers DescribeLogGroups, DescribeLogStreams, FilterLogEvents, GetLogEvents, StartQuery, GetQueryResults, StopQuery and DeleteLogGroup"
            ),
        }),
    }
}

/// The group's name, out of an ARN where one is given.
fn group_name(parameters: &Parameters) -> Result<String, LogsError> {
    let given = parameters.log_group_name.as_ref().or(parameters.log_group_identifier.as_ref());
    let given = given.ok_or_else(|| LogsError::invalid("logGroupName is missing"))?;
    let name = given.split_once(":log-group:").map_or(given.as_str(), |(_, name)| name);
    Ok(name.trim_end_matches(":*").to_owned())
}

fn token(parameters: &Parameters) -> Result<u64, LogsError> {
    match &parameters.next_token {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| LogsError::invalid(format!("`{text}` is no token"))),
    }
}

fn filter_events(logs: &LogStore, parameters: Parameters) -> Result<Value, LogsError> {
    let group = group_name(&parameters)?;
    let from_sequence = token(&parameters)?;
    let pattern = parameters.filter_pattern.as_deref().unwrap_or_default();
    let pattern = Pattern::parse(pattern).map_err(|error| LogsError::invalid(error.to_string()))?;
    let query = Query {
        from_ms: parameters.start_time.unwrap_or(0),
        to_ms: parameters.end_time.unwrap_or(i64::MAX),
        streams: parameters.log_stream_names,
        stream_prefix: parameters.log_stream_name_prefix.unwrap_or_default(),
        pattern,
        from_sequence,
        limit: parameters.limit.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS),
    };
    let page = logs.query(&group, &query)?;
    let events: Vec<Value> = page
        .events
        .into_iter()
        .map(|event| {
            json!({
                "logStreamName": event.stream.as_ref(),
                "timestamp": event.time_ms,
                "message": event.message,
                "ingestionTime": event.time_ms,
                "eventId": format!("{:056}", event.sequence),
            })
        })
        .collect();
    let mut value = json!({ "events": events, "searchedLogStreams": [] });
    if let Some(next) = page.next_sequence {
        value["nextToken"] = json!(next.to_string());
    }
    Ok(value)
}

/// One page of a stream. Its tokens are positions: `f/7` from the event 7 on, `b/7` before it.
fn get_events(logs: &LogStore, parameters: &Parameters) -> Result<Value, LogsError> {
    let group = group_name(parameters)?;
    let stream = parameters.log_stream_name.as_deref();
    let stream = stream.ok_or_else(|| LogsError::invalid("logStreamName is missing"))?;
    let position = match parameters.next_token.as_deref() {
        None if parameters.start_from_head => Position::From(0),
        None => Position::Before(u64::MAX),
        Some(token) => {
            let number = |text: &str| text.parse().ok();
            token
                .strip_prefix("f/")
                .and_then(|text| number(text).map(Position::From))
                .or_else(|| token.strip_prefix("b/").and_then(number).map(Position::Before))
                .ok_or_else(|| LogsError::invalid("The specified nextToken is invalid."))?
        }
    };
    let query = StreamQuery {
        position,
        from_ms: parameters.start_time.unwrap_or(0),
        until_ms: parameters.end_time.unwrap_or(i64::MAX),
        limit: parameters.limit.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS),
    };
    let page = logs.read(&group, stream, query)?;
    let page = page.ok_or_else(|| LogsError::not_found("stream"))?;
    let events: Vec<Value> = page
        .events
        .into_iter()
        .map(|event| {
            json!({
                "timestamp": event.time_ms,
                "message": event.message,
                "ingestionTime": event.time_ms,
            })
        })
        .collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": format!("f/{}", page.after),
        "nextBackwardToken": format!("b/{}", page.before),
    }))
}

fn describe_streams(logs: &LogStore, parameters: &Parameters) -> Result<Value, LogsError> {
    let group = group_name(parameters)?;
    let prefix = parameters.log_stream_name_prefix.as_deref().unwrap_or_default();
    let mut streams = logs.streams(&group, prefix)?;
    match parameters.order_by.as_deref() {
        None | Some("LogStreamName") => {}
        Some("LastEventTime") => streams.sort_by_key(|stream| stream.last_event_ms),
        Some(other) => return Err(LogsError::invalid(format!("cannot order by `{other}`"))),
    }
    if parameters.descending {
        streams.reverse();
    }
    let streams = streams.iter().map(|stream| describe_stream(&group, stream)).collect();
    page("logStreams", streams, parameters)
}

fn describe_stream(group: &str, stream: &Stream) -> Value {
    json!({
        "logStreamName": stream.name.as_ref(),
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_event_ms,
        "lastEventTimestamp": stream.last_event_ms,
        "lastIngestionTime": stream.last_event_ms,
        "arn": format!("{}:log-stream:{}", group_arn(group), stream.name),
        "storedBytes": 0,
    })
}

fn describe_groups(logs: &LogStore, parameters: &Parameters) -> Result<Value, LogsError> {
    let prefix = parameters.log_group_name_prefix.as_deref().unwrap_or_default();
    let part = parameters.log_group_name_pattern.as_deref().unwrap_or_default();
    let groups = logs.groups(prefix).into_iter().filter(|(name, ..)| name.contains(part));
    let groups = groups.map(|(name, created_ms, bytes)| {
        json!({
            "logGroupName": name,
            "creationTime": created_ms,
            "storedBytes": bytes,
            "metricFilterCount": 0,
            "arn": format!("{}:*", group_arn(&name)),
        })
    });
    page("logGroups", groups.collect(), parameters)
}

fn group_arn(group: &str) -> String {
    format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}")
}

fn page(key: &str, items: Vec<Value>, parameters: &Parameters) -> Result<Value, LogsError> {
    let first = usize::try_from(token(parameters)?).unwrap_or(usize::MAX);
    let total = items.len();
    let limit = parameters.limit.unwrap_or(LIST_LIMIT).clamp(1, LIST_LIMIT);
    let page: Vec<Value> = items.into_iter().skip(first).take(limit).collect();
    let next = first.saturating_add(page.len());
    let mut value = json!({ key: page });
    if next < total {
        value["nextToken"] = json!(next.to_string());
    }
    Ok(value)
}
