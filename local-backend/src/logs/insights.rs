//! Queries of Logs Insights, as far as events are selected by parts of their text.
//!
//! A query runs for a moment, and finds what is in the log when it is done. As on CloudWatch it gives so many rows at
//! most, the newest first, in pages; its statistics say how many there would be. Long messages are cut.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::store::Event;
use super::{LogStore, MissingGroup, Pattern, Query};

/// How long a query waits and then runs.
const SCHEDULED: Duration = Duration::from_millis(10);
const RUNNING: Duration = Duration::from_millis(30);
/// Queries that run at once.
const CONCURRENT: usize = 30;
/// Queries whose results are kept; the oldest make room.
const KEPT: usize = 100;
/// Rows that a query gives unless asked otherwise.
const USUAL_ROWS: usize = 10_000;
/// Characters of a message, as has been reported of CloudWatch.
const MESSAGE_CHARACTERS: usize = 1_000;

/// The queries of a server.
#[derive(Debug)]
pub(crate) struct Queries {
    /// Rows that a query gives at most.
    most_rows: usize,
    queries: Mutex<VecDeque<Asked>>,
}

/// What is asked of a group.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) group: String,
    /// First and last second, both included.
    pub(crate) from_s: i64,
    pub(crate) to_s: i64,
    /// In the query language.
    pub(crate) text: String,
    pub(crate) limit: Option<usize>,
}

/// Why a query is not run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum QueryError {
    MissingGroup,
    /// It is another than those that are understood.
    Malformed,
    /// Too many run.
    Busy,
}

/// How far a query is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    Scheduled,
    Running,
    Cancelled,
    Complete(Found),
}

/// What a query found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    /// Events that have one of the words, were they given or not.
    pub(crate) matched: usize,
    pub(crate) scanned: usize,
    pub(crate) scanned_bytes: usize,
}

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) time_ms: i64,
    pub(crate) message: String,
    /// Characters of the whole message.
    pub(crate) length: usize,
    pub(crate) sequence: u64,
}

#[derive(Debug)]
struct Asked {
    id: String,
    question: Question,
    words: Pattern,
    since: Instant,
    is_stopped: bool,
    found: Option<Found>,
}

impl Asked {
    fn runs(&self) -> bool {
        !self.is_stopped && self.found.is_none() && self.since.elapsed() < RUNNING
    }
}

impl Queries {
    pub(crate) fn new(most_rows: usize) -> Self {
        Self { most_rows, queries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        self.queries.lock().expect("no holder of the queries panics")
    }

    /// Starts a query; returns its id.
    pub(crate) fn start(&self, logs: &LogStore, question: Question) -> Result<String, QueryError> {
        let words = words(&question.text).ok_or(QueryError::Malformed)?;
        let exists = logs.streams(&question.group, "");
        exists.map_err(|MissingGroup| QueryError::MissingGroup)?;
        let mut queries = self.lock();
        if queries.iter().filter(|asked| asked.runs()).count() >= CONCURRENT {
            return Err(QueryError::Busy);
        }
        let id = Uuid::new_v4().to_string();
        queries.push_back(Asked {
            id: id.clone(),
            question,
            words,
            since: Instant::now(),
            is_stopped: false,
            found: None,
        });
        if queries.len() > KEPT {
            queries.pop_front();
        }
        Ok(id)
    }

    /// How far a query is; none if there is none with this id.
    pub(crate) fn progress(&self, logs: &LogStore, id: &str) -> Option<Progress> {
        let mut queries = self.lock();
        let asked = queries.iter_mut().find(|asked| asked.id == id)?;
        Some(match asked.since.elapsed() {
            _ if asked.is_stopped => Progress::Cancelled,
            time if time < SCHEDULED => Progress::Scheduled,
            time if time < RUNNING => Progress::Running,
            _ => {
                let Asked { question, words, found, .. } = asked;
                let found =
                    found.get_or_insert_with(|| find(logs, question, words, self.most_rows));
                Progress::Complete(found.clone())
            }
        })
    }

    /// Stops a query; says whether it ran, or none if there is none with this id.
    pub(crate) fn stop(&self, id: &str) -> Option<bool> {
        let mut queries = self.lock();
        let asked = queries.iter_mut().find(|asked| asked.id == id)?;
        let runs = asked.runs();
        asked.is_stopped |= runs;
        Some(runs)
    }
}

fn find(logs: &LogStore, question: &Question, words: &Pattern, most_rows: usize) -> Found {
    let mut found = Found::default();
    let mut query = Query {
        from_ms: question.from_s.saturating_mul(1000),
        to_ms: question.to_s.saturating_mul(1000),
        streams: Vec::new(),
        stream_prefix: String::new(),
        pattern: Pattern::default(),
        from_sequence: 0,
        limit: usize::MAX,
    };
    // A group that was deleted meanwhile has nothing.
    while let Ok(page) = logs.query(&question.group, &query) {
        found.scanned += page.events.len();
        found.scanned_bytes += page.events.iter().map(|event| event.message.len()).sum::<usize>();
        let matching = page.events.into_iter().filter(|event| words.matches(&event.message));
        found.rows.extend(matching.map(row));
        match page.next_sequence {
            Some(next) => query.from_sequence = next,
            None => break,
        }
    }
    found.matched = found.rows.len();
    found.rows.reverse();
    found.rows.truncate(question.limit.unwrap_or(USUAL_ROWS).min(most_rows));
    found
}

fn row(event: Event) -> Row {
    Row {
        time_ms: event.time_ms,
        length: event.message.chars().count(),
        message: event.message.chars().take(MESSAGE_CHARACTERS).collect(),
        sequence: event.sequence,
    }
}

/// The words of the one kind of query that is understood:
/// `fields @timestamp, @message, strlen(@message) as length | filter @message like "a" or @message like "b"`.
fn words(text: &str) -> Option<Pattern> {
    let (fields, filter) = text.split_once('|')?;
    let named: Vec<&str> =
        fields.trim().strip_prefix("fields ")?.split(',').map(str::trim).collect();
    if named != ["@timestamp", "@message", "strlen(@message) as length"] {
        return None;
    }
    let mut words = Vec::new();
    let mut rest = filter.trim().strip_prefix("filter ")?;
    loop {
        let (word, after) = rest.trim_start().strip_prefix("@message like \"")?.split_once('"')?;
        words.push(word.to_owned());
        match after.trim_start() {
            "" => return Some(Pattern::any_of(words)),
            after => rest = after.strip_prefix("or ")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fields @timestamp, @message, strlen(@message) as length | filter @message like \"line\" or @message like \"platform.report\"";

    fn question(text: &str) -> Question {
        Question { group: "g".into(), from_s: 0, to_s: i64::MAX, text: text.into(), limit: None }
    }

    fn complete(queries: &Queries, store: &LogStore, id: &str) -> Found {
        loop {
            match queries.progress(store, id) {
                Some(Progress::Complete(found)) => return found,
                Some(Progress::Scheduled | Progress::Running) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_query_gives_so_many_rows_and_says_how_many_there_are() {
        let store = LogStore::default();
        for index in 0..5 {
            store.append("g", &"s".into(), format!("line {index}\n"));
            store.append("g", &"s".into(), "noise\n".into());
        }
        store.append("g", &"s".into(), format!("line {}\n", "ä".repeat(2_000)));
        let queries = Queries::new(3);
        let id = queries.start(&store, question(TEXT)).unwrap();
        assert_eq!(queries.progress(&store, &id), Some(Progress::Scheduled));
        let found = complete(&queries, &store, &id);
        assert_eq!((found.rows.len(), found.matched, found.scanned), (3, 6, 11));
        assert_eq!((found.rows[0].length, found.rows[0].message.chars().count()), (2_006, 1_000));
        assert_eq!((found.rows[1].message.as_str(), found.rows[1].length), ("line 4\n", 7));
        let id = queries.start(&store, Question { to_s: 1, ..question(TEXT) }).unwrap();
        assert_eq!(complete(&queries, &store, &id), Found::default());
        let id = queries.start(&store, Question { limit: Some(1), ..question(TEXT) }).unwrap();
        assert_eq!(complete(&queries, &store, &id).rows.len(), 1);
    }

    #[test]
    fn a_query_can_be_stopped_while_it_runs() {
        let store = LogStore::default();
        store.append("g", &"s".into(), "line\n".into());
        let queries = Queries::new(10);
        let id = queries.start(&store, question(TEXT)).unwrap();
        assert_eq!(queries.stop(&id), Some(true));
        assert_eq!(queries.progress(&store, &id), Some(Progress::Cancelled));
        assert_eq!(queries.stop(&id), Some(false));
        assert_eq!((queries.stop("x"), queries.progress(&store, "x")), (None, None));
        let ids: Vec<_> =
            (0..CONCURRENT).map(|_| queries.start(&store, question(TEXT)).unwrap()).collect();
        assert_eq!(queries.start(&store, question(TEXT)), Err(QueryError::Busy));
        complete(&queries, &store, &ids[CONCURRENT - 1]);
        assert!(queries.start(&store, question(TEXT)).is_ok());
    }

    #[test]
    fn other_queries_are_refused() {
        let store = LogStore::default();
        let queries = Queries::new(10);
        assert_eq!(queries.start(&store, question(TEXT)), Err(QueryError::MissingGroup));
        for text in [
            "",
            "fields @timestamp, @message",
            "fields @timestamp | filter @message like \"a\"",
            "stats count(*)",
            "fields @timestamp, @message, strlen(@message) as length | filter @message like /a/",
            "fields @timestamp, @message, strlen(@message) as length | filter @message like \"a\" and x",
            "fields @timestamp, @message, strlen(@message) as length | filter @message like \"a\" | sort @timestamp",
        ] {
            assert_eq!(queries.start(&store, question(text)), Err(QueryError::Malformed), "{text}");
        }
    }
}
