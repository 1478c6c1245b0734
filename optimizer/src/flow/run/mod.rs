//! The orchestrator: what to do next in an execution of a flow, as a pure state machine.
//!
//! It is told what came of an attempt or that a time has elapsed, and answers with what to do: invoke
//! tasks, wait, or take the result. Whoever drives it does the invoking and waiting, on a real platform
//! or in virtual time. It can be serialised between any two events and go on elsewhere. Equal events in
//! equal order give equal commands.
//!
//! When a branch or an element of a map fails for good, its siblings are given up: what comes of their
//! attempts is ignored, and the same goes for all attempts that are under way when the execution ends.

mod states;
mod steps;

use serde::{Deserialize, Serialize};

use self::states::StatesRun;
use self::steps::StepsRun;
use super::data::Data;
use super::failure::{DATA_LIMIT_EXCEEDED, Failure};
use super::{Flow, StepName};
use crate::workflow::TaskName;

/// Levels of lists and objects that data may have: what readers of JSON take.
const DEPTH_LIMIT: u32 = 100;
/// Bytes of JSON that data may have.
const BYTES_LIMIT: u64 = 1 << 30;

/// An attempt to run a task. Later attempts of an execution are greater.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct AttemptId(u64);

/// A time that is waited for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TimerId(u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Invoke a task and tell what it answers.
    Invoke {
        /// What the answer is told with.
        attempt: AttemptId,
        /// Step or Task state.
        step: StepName,
        /// Its task.
        task: TaskName,
        /// What the task gets.
        payload: Data,
        /// After which the attempt has failed with `States.Timeout`, in microseconds.
        timeout_us: Option<u64>,
    },
    /// Wait and tell when the time has elapsed.
    Wait {
        /// What is told then.
        timer: TimerId,
        /// How long, in microseconds.
        duration_us: u64,
    },
    /// The execution has ended. Nothing follows.
    Done(Result<Data, Failure>),
}

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An attempt has ended.
    Answered {
        /// Which.
        attempt: AttemptId,
        /// What the task answered.
        result: Result<Data, Failure>,
    },
    /// A time has elapsed.
    Elapsed(TimerId),
}

/// One execution in progress.
///
/// Every call takes the flow it was started with; with another one it may panic.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FlowRun {
    progress: Progress,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Steps(StepsRun),
    States(StatesRun),
    Ended,
}

/// How an execution, a machine or a branch ended.
type Ending = Result<Data, Failure>;

impl FlowRun {
    /// An execution with this input, and what is to be done first.
    #[must_use]
    pub fn start(flow: &Flow, input: Data) -> (Self, Vec<Command>) {
        let mut commands = Vec::new();
        let (progress, ending) = match flow {
            Flow::Steps(steps) => {
                let (run, ending) = StepsRun::start(steps, input, &mut commands);
                (Progress::Steps(run), ending)
            }
            Flow::States(states) => {
                let (run, ending) = StatesRun::start(states, input, &mut commands);
                (Progress::States(run), ending)
            }
        };
        let mut run = Self { progress };
        run.finish(ending, &mut commands);
        (run, commands)
    }

    /// Takes in what has happened; returns what is to be done then. An event of an attempt or a timer
    /// that is of no interest any more changes nothing.
    #[must_use]
    pub fn on(&mut self, flow: &Flow, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        let ending = match (&mut self.progress, flow) {
            (Progress::Steps(run), Flow::Steps(steps)) => run.on(steps, event, &mut commands),
            (Progress::States(run), Flow::States(states)) => run.on(states, event, &mut commands),
            // Ended, or asked about another flow.
            _ => None,
        };
        self.finish(ending, &mut commands);
        commands
    }

    /// Whether the execution has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.progress, Progress::Ended)
    }

    fn finish(&mut self, ending: Option<Ending>, commands: &mut Vec<Command>) {
        if let Some(ending) = ending {
            // What was to be started in the same moment is given up like all else.
            commands.clear();
            let within = ending.and_then(|result| check_limits(&result).map(|()| result));
            commands.push(Command::Done(within));
            self.progress = Progress::Ended;
        }
    }
}

/// Refuses data that could not be written down.
fn check_limits(data: &Data) -> Result<(), Failure> {
    if data.depth() > DEPTH_LIMIT {
        let cause = format!("data nest deeper than {DEPTH_LIMIT} levels");
        return Err(Failure::new(DATA_LIMIT_EXCEEDED, cause));
    }
    if data.bytes() > BYTES_LIMIT {
        let cause = format!("data are larger than {BYTES_LIMIT} bytes");
        return Err(Failure::new(DATA_LIMIT_EXCEEDED, cause));
    }
    Ok(())
}

/// What an event is about, and who waits for it: the number of a slot in the lower half, and in the
/// upper half one that counts up, so that a slot that is used again does not take an old answer for its
/// own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
struct Ticket(u64);

impl Ticket {
    fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// What a slot waits for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Awaited {
    Answer(Ticket),
    Time(Ticket),
}

/// Hands out tickets.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
struct Tickets(u32);

impl Tickets {
    fn take(&mut self, slot: u32) -> Ticket {
        self.0 = self.0.wrapping_add(1);
        Ticket(u64::from(self.0) << 32 | u64::from(slot))
    }
}

impl Event {
    /// The ticket that it answers to, and the result of an attempt.
    fn split(self) -> (Awaited, Option<Ending>) {
        match self {
            Self::Answered { attempt, result } => {
                (Awaited::Answer(Ticket(attempt.0)), Some(result))
            }
            Self::Elapsed(timer) => (Awaited::Time(Ticket(timer.0)), None),
        }
    }
}

impl Awaited {
    fn slot(self) -> u32 {
        match self {
            Self::Answer(ticket) | Self::Time(ticket) => ticket.slot(),
        }
    }
}

/// Values by number. The numbers of those that are taken out are given again.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Slots<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    fn new() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }

    fn put(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.values[slot as usize] = Some(value);
                slot
            }
            None => {
                self.values.push(Some(value));
                u32::try_from(self.values.len() - 1).expect("fewer than 2^32 at the same time")
            }
        }
    }

    fn get(&self, slot: u32) -> Option<&T> {
        self.values.get(slot as usize)?.as_ref()
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.values.get_mut(slot as usize)?.as_mut()
    }

    /// Takes out all others.
    fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for slot in 0..self.values.len() {
            if self.values[slot].as_ref().is_some_and(|value| !keep(value)) {
                self.take(slot as u32);
            }
        }
    }

    fn take(&mut self, slot: u32) -> Option<T> {
        let value = self.values.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_used_again_does_not_take_an_old_answer() {
        let (mut slots, mut tickets) = (Slots::new(), Tickets::default());
        let first = slots.put('a');
        let old = tickets.take(first);
        assert_eq!(slots.take(first), Some('a'));
        assert_eq!(slots.take(first), None);
        assert_eq!(slots.put('b'), first);
        assert_eq!((old.slot(), slots.get(first)), (first, Some(&'b')));
        assert_ne!(tickets.take(first), old);
    }
}
