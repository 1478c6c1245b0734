//! When an asynchronous invocation is tried again, and when it is over: Lambda's rules.

use std::time::Duration;

use http::StatusCode;

use crate::error::ApiError;

/// First and longest wait for room, in case of throttling. On Lambda they are one second and five
/// minutes.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is set on a function for its asynchronous invocations, with Lambda's defaults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rules {
    /// Retries after function errors at most, 0–2.
    pub(crate) max_retries: usize,
    /// An event that is older is given up.
    pub(crate) max_age: Duration,
    /// Whether the function may not run at all.
    pub(crate) is_stopped: bool,
}

/// How one attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    Success,
    /// The function failed, or this server did.
    Error,
    /// There was no room, or the function is not ready yet.
    NoRoom,
    /// The function is not there any more.
    Gone,
}

impl Attempt {
    /// An attempt that did not come as far as the function.
    pub(crate) fn refused(error: &ApiError) -> Self {
        match error.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => Self::NoRoom,
            StatusCode::NOT_FOUND => Self::Gone,
            _ => Self::Error,
        }
    }
}

/// What comes after an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    Again(Duration),
    Over(Condition),
    /// Nobody is told.
    Dropped,
}

/// Why an event is over, as destinations are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
    ZeroReservedConcurrency,
}

impl Condition {
    /// Lambda's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
        }
    }
}

/// The attempts at one event so far.
#[derive(Debug)]
pub(crate) struct Retries {
    delays: [Duration; 2],
    errors: usize,
    pause: Duration,
}

impl Retries {
    pub(crate) fn new(delays: [Duration; 2]) -> Self {
        Self { delays, errors: 0, pause: FIRST_PAUSE }
    }

    /// What comes after an attempt at an event of this age.
    pub(crate) fn after(&mut self, attempt: Attempt, age: Duration, rules: &Rules) -> Next {
        let wait = match attempt {
            Attempt::Success => return Next::Over(Condition::Success),
            Attempt::Gone => return Next::Dropped,
            Attempt::NoRoom if rules.is_stopped => {
                return Next::Over(Condition::ZeroReservedConcurrency);
            }
            Attempt::NoRoom => {
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
            Attempt::Error => {
                let delay = self.delays.get(self.errors).copied();
                match delay.filter(|_| self.errors < rules.max_retries) {
                    Some(delay) => {
                        self.errors += 1;
                        delay
                    }
                    None => return Next::Over(Condition::RetriesExhausted),
                }
            }
        };
        // It would be too old by then.
        if age + wait > rules.max_age {
            return Next::Over(Condition::EventAgeExceeded);
        }
        Next::Again(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::LAMBDAS_RETRY_DELAYS;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rules(max_retries: usize, max_age: Duration) -> Rules {
        Rules { max_retries, max_age, is_stopped: false }
    }

    fn after_errors(rules: &Rules) -> Vec<Next> {
        let mut retries = Retries::new(LAMBDAS_RETRY_DELAYS);
        let mut age = Duration::ZERO;
        let mut seen = Vec::new();
        loop {
            let next = retries.after(Attempt::Error, age, rules);
            seen.push(next);
            match next {
                Next::Again(wait) => age += wait,
                Next::Over(_) | Next::Dropped => return seen,
            }
        }
    }

    #[test]
    fn errors_are_retried_twice_unless_less_is_asked_for() {
        let over = Next::Over(Condition::RetriesExhausted);
        let (one, two) = (Next::Again(MINUTE), Next::Again(2 * MINUTE));
        assert_eq!(after_errors(&rules(2, 60 * MINUTE)), [one, two, over]);
        assert_eq!(after_errors(&rules(1, 60 * MINUTE)), [one, over]);
        assert_eq!(after_errors(&rules(0, 60 * MINUTE)), [over]);
        let too_old = Next::Over(Condition::EventAgeExceeded);
        assert_eq!(after_errors(&rules(2, 2 * MINUTE)), [one, too_old]);
    }

    #[test]
    fn throttled_events_wait_until_they_are_too_old() {
        let mut retries = Retries::new(LAMBDAS_RETRY_DELAYS);
        let mut age = Duration::ZERO;
        let mut waits = Vec::new();
        while let Next::Again(wait) = retries.after(Attempt::NoRoom, age, &rules(0, MINUTE)) {
            waits.push(wait);
            age += wait;
        }
        assert!(waits.is_sorted() && waits.last() == Some(&LONGEST_PAUSE), "{waits:?}");
        assert!(age > MINUTE - LONGEST_PAUSE && age <= MINUTE, "{age:?}");
        let stopped = Rules { is_stopped: true, ..rules(2, MINUTE) };
        let next = Retries::new(LAMBDAS_RETRY_DELAYS).after(Attempt::NoRoom, age, &stopped);
        assert_eq!(next, Next::Over(Condition::ZeroReservedConcurrency));
    }
}
