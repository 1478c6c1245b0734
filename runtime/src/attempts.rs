//! Calls in progress and who waits for their answers.
//!
//! An SDK that has waited too long sends its call again under the same id. The second request then
//! waits for the first one's answer, so that the callee does not run twice.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use crate::message::Answer;
use crate::pool::ProcessId;

/// A call: who makes it, and the id that the caller's SDK gave it.
pub(crate) type AttemptKey = (ProcessId, String);

/// Calls in progress.
#[derive(Default)]
pub(crate) struct Attempts {
    open: Mutex<HashMap<AttemptKey, Vec<oneshot::Sender<Answer>>>>,
}

/// Whether a request is the first of its call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// It is, and the call has to be made.
    First,
    /// The call is being made already.
    Repeated,
}

impl Attempts {
    /// Waits for a call's answer together with all its other attempts.
    pub(crate) fn join(&self, key: AttemptKey) -> (Attempt, oneshot::Receiver<Answer>) {
        let (answer, wait) = oneshot::channel();
        let mut open = self.open.lock().expect("no holder panics");
        let waiting = open.entry(key).or_default();
        waiting.push(answer);
        let attempt = if waiting.len() == 1 { Attempt::First } else { Attempt::Repeated };
        (attempt, wait)
    }

    /// Answers every attempt of a call.
    pub(crate) fn finish(&self, key: &AttemptKey, answer: &Answer) {
        let waiting = self.open.lock().expect("no holder panics").remove(key).unwrap_or_default();
        for attempt in waiting {
            // An attempt whose client has gone needs no answer.
            let _ = attempt.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_repeated_attempt_gets_the_first_ones_answer_and_a_later_one_is_a_new_call() {
        let attempts = Attempts::default();
        let key = (ProcessId(1), "call".to_owned());
        let (first, mut wait_first) = attempts.join(key.clone());
        let (second, mut wait_second) = attempts.join(key.clone());
        let (other, mut wait_other) = attempts.join((ProcessId(2), "call".to_owned()));
        assert_eq!((first, second, other), (Attempt::First, Attempt::Repeated, Attempt::First));
        attempts.finish(&key, &Answer::empty(StatusCode::OK));
        assert!(wait_first.try_recv().is_ok() && wait_second.try_recv().is_ok());
        assert!(wait_other.try_recv().is_err());
        assert_eq!(attempts.join(key).0, Attempt::First);
    }
}
