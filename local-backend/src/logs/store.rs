//! Log groups, their streams and their events: a bounded ring per group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Pattern;

/// Messages kept per group, in bytes; the oldest make room.
const GROUP_BYTES: usize = 32 << 20;
/// What an event costs beside its message, in bytes.
const EVENT_BYTES: usize = 64;
/// Streams listed per group; the oldest make room.
const GROUP_STREAMS: usize = 2_000;
/// Messages returned on one page, in bytes, as on AWS.
const PAGE_BYTES: usize = 1 << 20;

/// One line in a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    /// Position in its group, without gaps; part of the paging token.
    pub(crate) sequence: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) time_ms: i64,
    pub(crate) stream: Arc<str>,
    pub(crate) message: String,
}

/// A stream: the lines of one instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    pub(crate) created_ms: i64,
    pub(crate) first_event_ms: i64,
    pub(crate) last_event_ms: i64,
}

#[derive(Debug)]
struct Group {
    created_ms: i64,
    events: VecDeque<Event>,
    bytes: usize,
    next_sequence: u64,
    /// In order of creation.
    streams: VecDeque<Stream>,
}

/// Every log group of a server.
#[derive(Debug, Default)]
pub(crate) struct LogStore {
    groups: Mutex<BTreeMap<String, Group>>,
}

/// A log group that does not exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MissingGroup;

/// What to find in a group.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// First and last millisecond, both included.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// Only these streams; empty for all.
    pub(crate) streams: Vec<String>,
    /// Only streams whose name starts so.
    pub(crate) stream_prefix: String,
    pub(crate) pattern: Pattern,
    /// First event to look at.
    pub(crate) from_sequence: u64,
    /// Events on one page at most.
    pub(crate) limit: usize,
}

impl Query {
    fn matches(&self, event: &Event) -> bool {
        (self.from_ms..=self.to_ms).contains(&event.time_ms)
            && event.stream.starts_with(&self.stream_prefix)
            && (self.streams.is_empty() || self.streams.iter().any(|name| **name == *event.stream))
            && self.pattern.matches(&event.message)
    }
}

/// Where to read a stream from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Position {
    /// This event and those after it.
    From(u64),
    /// Those before this event.
    Before(u64),
}

/// What to read of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamQuery {
    pub(crate) position: Position,
    /// First millisecond.
    pub(crate) from_ms: i64,
    /// First millisecond that is too late.
    pub(crate) until_ms: i64,
    /// Events at most.
    pub(crate) limit: usize,
}

/// Some events of a stream in order, and where those after and before them are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamPage {
    pub(crate) events: Vec<Event>,
    pub(crate) after: u64,
    pub(crate) before: u64,
}

/// Some events and where to go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Page {
    pub(crate) events: Vec<Event>,
    pub(crate) next_sequence: Option<u64>,
}

impl LogStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().expect("no holder of the logs panics")
    }

    /// Adds a line; its group and stream come into being with it.
    pub(crate) fn append(&self, group: &str, stream: &Arc<str>, message: String) {
        let now_ms = now_ms();
        let mut groups = self.lock();
        if !groups.contains_key(group) {
            groups.insert(group.to_owned(), Group::new(now_ms));
        }
        if let Some(group) = groups.get_mut(group) {
            group.append(now_ms, stream, message);
        }
    }

    /// Events of a group in order.
    pub(crate) fn query(&self, group: &str, query: &Query) -> Result<Page, MissingGroup> {
        let groups = self.lock();
        let group = groups.get(group).ok_or(MissingGroup)?;
        let first = group.events.front().map_or(group.next_sequence, |event| event.sequence);
        let skip = usize::try_from(query.from_sequence.saturating_sub(first)).unwrap_or(usize::MAX);
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in group.events.iter().skip(skip) {
            if !query.matches(event) {
                continue;
            }
            if events.len() >= query.limit
                || (bytes > 0 && bytes + event.message.len() > PAGE_BYTES)
            {
                return Ok(Page { events, next_sequence: Some(event.sequence) });
            }
            bytes += event.message.len();
            events.push(event.clone());
        }
        Ok(Page { events, next_sequence: None })
    }

    /// Events of one stream; none if the group has no such stream.
    pub(crate) fn read(
        &self,
        group: &str,
        stream: &str,
        query: StreamQuery,
    ) -> Result<Option<StreamPage>, MissingGroup> {
        let groups = self.lock();
        let group = groups.get(group).ok_or(MissingGroup)?;
        if !group.streams.iter().any(|known| *known.name == *stream) {
            return Ok(None);
        }
        let matching = group.events.iter().filter(|event| {
            *event.stream == *stream && (query.from_ms..query.until_ms).contains(&event.time_ms)
        });
        // Positions after the newest event are that of the next one.
        let (events, position): (Vec<Event>, u64) = match query.position {
            Position::From(first) => {
                let rest = matching.skip_while(|event| event.sequence < first);
                (rest.take(query.limit).cloned().collect(), first.min(group.next_sequence))
            }
            Position::Before(end) => {
                let end = end.min(group.next_sequence);
                let rest = matching.rev().skip_while(|event| event.sequence >= end);
                let mut events: Vec<Event> = rest.take(query.limit).cloned().collect();
                events.reverse();
                (events, end)
            }
        };
        Ok(Some(StreamPage {
            after: events.last().map_or(position, |event| event.sequence + 1),
            before: events.first().map_or(position, |event| event.sequence),
            events,
        }))
    }

    /// Streams of a group whose name starts with `prefix`, by name.
    pub(crate) fn streams(&self, group: &str, prefix: &str) -> Result<Vec<Stream>, MissingGroup> {
        let groups = self.lock();
        let group = groups.get(group).ok_or(MissingGroup)?;
        let matching = group.streams.iter().filter(|stream| stream.name.starts_with(prefix));
        let mut streams: Vec<Stream> = matching.cloned().collect();
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(streams)
    }

    /// Names of the groups that start with `prefix`, when they were created in milliseconds since
    /// the Unix epoch, and their size in bytes.
    pub(crate) fn groups(&self, prefix: &str) -> Vec<(String, i64, usize)> {
        let groups = self.lock();
        let matching = groups.iter().filter(|(name, _)| name.starts_with(prefix));
        matching.map(|(name, group)| (name.clone(), group.created_ms, group.bytes)).collect()
    }

    /// Deletes a group with everything in it.
    pub(crate) fn delete(&self, group: &str) -> Result<(), MissingGroup> {
        self.lock().remove(group).map(|_| ()).ok_or(MissingGroup)
    }
}

impl Group {
    fn new(created_ms: i64) -> Self {
        Self {
            created_ms,
            events: VecDeque::new(),
            bytes: 0,
            next_sequence: 0,
            streams: VecDeque::new(),
        }
    }

    fn append(&mut self, now_ms: i64, stream: &Arc<str>, message: String) {
        // The newest streams are the ones that are written to.
        match self.streams.iter_mut().rev().find(|known| known.name == *stream) {
            Some(known) => known.last_event_ms = now_ms,
            None => {
                self.streams.push_back(Stream {
                    name: Arc::clone(stream),
                    created_ms: now_ms,
                    first_event_ms: now_ms,
                    last_event_ms: now_ms,
                });
                if self.streams.len() > GROUP_STREAMS {
                    self.streams.pop_front();
                }
            }
        }
        self.bytes += message.len() + EVENT_BYTES;
        let stream = Arc::clone(stream);
        let event = Event { sequence: self.next_sequence, time_ms: now_ms, stream, message };
        self.next_sequence += 1;
        self.events.push_back(event);
        while self.bytes > GROUP_BYTES
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.message.len() + EVENT_BYTES;
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Query {
        Query {
            from_ms: 0,
            to_ms: i64::MAX,
            streams: Vec::new(),
            stream_prefix: String::new(),
            pattern: Pattern::default(),
            from_sequence: 0,
            limit: 10_000,
        }
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended_even_while_lines_come_in() {
        let store = LogStore::default();
        let stream: Arc<str> = "s".into();
        for index in 0..5 {
            store.append("g", &stream, format!("line {index}"));
            store.append("g", &stream, "noise".into());
        }
        let mut query =
            Query { limit: 2, pattern: Pattern::parse("line").unwrap(), ..everything() };
        let mut seen = Vec::new();
        loop {
            let page = store.query("g", &query).unwrap();
            assert!(page.events.len() <= 2);
            seen.extend(page.events.into_iter().map(|event| event.message));
            if seen.len() == 4 {
                store.append("g", &stream, "line 5".into());
            }
            match page.next_sequence {
                Some(next) => query.from_sequence = next,
                None => break,
            }
        }
        assert_eq!(seen, (0..=5).map(|index| format!("line {index}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_stream_is_read_from_its_end_backwards_or_from_its_start() {
        let store = LogStore::default();
        for index in 0..5 {
            store.append("g", &"s".into(), index.to_string());
            store.append("g", &"other".into(), "noise".into());
        }
        let read = |position| {
            let query = StreamQuery { position, from_ms: 0, until_ms: i64::MAX, limit: 2 };
            let page = store.read("g", "s", query).unwrap().unwrap();
            let messages = page.events.iter().map(|event| event.message.as_str());
            (messages.collect::<Vec<_>>().join(" "), page.after, page.before)
        };
        let (text, after, before) = read(Position::Before(u64::MAX));
        assert_eq!(text, "3 4");
        assert_eq!(read(Position::From(after)), (String::new(), after, after), "the end");
        let (text, _, before) = read(Position::Before(before));
        assert_eq!(text, "1 2");
        let (text, _, before) = read(Position::Before(before));
        assert_eq!((text.as_str(), before), ("0", 0));
        let (text, after, _) = read(Position::From(0));
        assert_eq!(text, "0 1");
        store.append("g", &"s".into(), "5".into());
        assert_eq!(read(Position::From(after)).0, "2 3");
        let query = StreamQuery { position: Position::From(0), from_ms: 0, until_ms: 1, limit: 2 };
        assert_eq!(store.read("g", "s", query).unwrap().unwrap().events, []);
        assert_eq!(store.read("g", "nobody", query), Ok(None));
        assert_eq!(store.read("nowhere", "s", query), Err(MissingGroup));
    }

    #[test]
    fn a_page_ends_before_it_grows_too_large() {
        let store = LogStore::default();
        for _ in 0..3 {
            store.append("g", &"s".into(), "x".repeat(PAGE_BYTES / 2));
        }
        let page = store.query("g", &everything()).unwrap();
        assert_eq!((page.events.len(), page.next_sequence), (2, Some(2)));
    }

    #[test]
    fn old_lines_make_room() {
        let store = LogStore::default();
        let lines = GROUP_BYTES / PAGE_BYTES + 2;
        for index in 0..lines {
            store.append("g", &"s".into(), format!("{index} {}", "x".repeat(PAGE_BYTES)));
        }
        let first = store.query("g", &everything()).unwrap().events.remove(0);
        assert!(first.sequence > 0);
        assert!(store.groups("")[0].2 <= GROUP_BYTES);
        // A token of lines that are gone goes on with the oldest one there is.
        let query = Query { from_sequence: 1, ..everything() };
        assert_eq!(store.query("g", &query).unwrap().events[0], first);
    }

    #[test]
    fn streams_and_times_select() {
        let store = LogStore::default();
        store.append("g", &"a/1".into(), "one".into());
        store.append("g", &"b/2".into(), "two".into());
        let count = |query: Query| store.query("g", &query).unwrap().events.len();
        assert_eq!(count(Query { streams: vec!["b/2".into()], ..everything() }), 1);
        assert_eq!(count(Query { stream_prefix: "a/".into(), ..everything() }), 1);
        assert_eq!(count(Query { to_ms: 1, ..everything() }), 0);
        assert_eq!(store.streams("g", "").unwrap().len(), 2);
        assert_eq!(store.streams("g", "b").unwrap()[0].name.as_ref(), "b/2");
        assert_eq!(store.delete("g"), Ok(()));
        assert_eq!(store.query("g", &everything()), Err(MissingGroup));
    }
}
