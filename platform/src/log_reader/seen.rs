//! Which events have been read.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};

/// An event that becomes visible when others are there that are so much younger may be overlooked.
const LATE_MS: i64 = 120_000;

/// Which events have been read. CloudWatch gives some more than once, has some twice with ids of their
/// own, and shows some later than others of the same time. So an event is known by its time and text:
/// no line that is ours can be there twice in a millisecond.
pub(super) struct Seen {
    /// What is older is not asked for any more, in milliseconds since the Unix epoch.
    from_ms: i64,
    /// What is older is never asked for.
    first_ms: i64,
    /// Those since then, by time and a hash of the text.
    events: BTreeSet<(i64, u64)>,
    /// Whether older ones stay known.
    keeps_all: bool,
}

impl Seen {
    pub(super) fn from(from_ms: i64) -> Self {
        Self { from_ms, first_ms: from_ms, events: BTreeSet::new(), keeps_all: false }
    }

    pub(super) fn keep_all(&mut self) {
        self.keeps_all = true;
    }

    /// What to ask for from here on.
    pub(super) fn next_ms(&self) -> i64 {
        self.from_ms
    }

    pub(super) fn is_new(&mut self, at_ms: i64, message: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        // Whether a line end is given may depend on the way.
        hasher.write(message.trim_end().as_bytes());
        self.events.insert((at_ms, hasher.finish()))
    }

    /// Once all events there are have been read: goes on with the latest, and those a little older.
    pub(super) fn go_on(&mut self) {
        let Some((latest_ms, _)) = self.events.last() else { return };
        self.from_ms = self.from_ms.max(latest_ms - LATE_MS);
        if !self.keeps_all {
            self.events = self.events.split_off(&(self.from_ms, 0));
        }
    }

    /// Asks for everything again, if no event would count twice then.
    pub(super) fn start_over(&mut self) -> bool {
        if self.keeps_all {
            self.from_ms = self.first_ms;
        }
        self.keeps_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_count_once_however_late_and_often_they_come() {
        let mut seen = Seen::from(0);
        for (at_ms, text, new) in
            [(5, "a", true), (5, "b", true), (5, "a", false), (5, "a\n", false), (3, "a", true)]
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
        assert!(!seen.start_over());
    }

    #[test]
    fn what_keeps_all_can_start_over() {
        let mut seen = Seen::from(0);
        seen.keep_all();
        assert!(seen.is_new(1, "a") && seen.is_new(5 + LATE_MS, "b"));
        seen.go_on();
        assert_eq!(seen.from_ms, 5);
        assert!(seen.start_over());
        assert_eq!(seen.from_ms, 0);
        assert!(!seen.is_new(1, "a") && seen.is_new(2, "a"));
    }
}
