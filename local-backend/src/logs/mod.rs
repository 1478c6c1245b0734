//! Logs: what functions print and what the server writes about their invocations, kept in memory
//! and read through CloudWatch's API.

mod insights;
mod instance;
mod pattern;
mod store;

pub(crate) use insights::{Found, Progress, Queries, QueryError, Question, Row};
pub(crate) use instance::{InstanceLog, LineSplitter};
pub(crate) use pattern::Pattern;
pub(crate) use store::{LogStore, MissingGroup, Position, Query, Stream, StreamQuery, now_ms};
