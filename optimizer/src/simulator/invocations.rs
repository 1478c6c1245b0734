//! Invocations under way.

use crate::execution::Outcome;
use crate::flow::{AttemptId, Data};

use super::instances::Instance;

/// Names an invocation, also when it is over.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Ticket {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Who is told how an invocation ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// The client that sent the request.
    Client,
    /// An invocation that waits.
    Invocation(Ticket),
    /// The orchestrator, of an attempt.
    Orchestrator(AttemptId),
    /// Nobody: the caller's patience is over.
    Gone,
    /// Nobody: it did not wait.
    Nobody,
}

/// An invocation of a function.
#[derive(Debug)]
pub(super) struct Invocation {
    /// Number of the request that caused it.
    pub(super) request: usize,
    /// Its span in the execution.
    pub(super) span: usize,
    pub(super) function: usize,
    pub(super) caller: Caller,
    /// When the orchestrator gives up, if it is the caller.
    pub(super) patience_us: u64,
    pub(super) input: Data,
    pub(super) instance: Instance,
    /// Time to start the instance, if it was started for it.
    pub(super) init_us: Option<u64>,
    /// When the handler was started.
    pub(super) start_us: u64,
    /// Time spent waiting for calls so far.
    pub(super) waited_us: u64,
    /// The call it waits for.
    pub(super) waiting: Option<Waiting>,
    /// Deadline that was queued last.
    pub(super) queued_deadline_us: u64,
    /// The function's root task, and on top of it what is served inside.
    pub(super) frames: Vec<Frame>,
    /// How it ends, once that is known.
    pub(super) end: Outcome,
    generation: u32,
}

/// A call that is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) span: usize,
    pub(super) since_us: u64,
}

/// A task at work in an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) unit: usize,
    pub(super) span: usize,
    /// Its next call, as an index into the plan's, and how often that was made already.
    pub(super) call: usize,
    pub(super) made: u32,
    /// When it has to be over, as all on top of it, in microseconds.
    pub(super) deadline_us: u64,
}

/// The invocations under way, by slots that are used again.
#[derive(Debug, Default)]
pub(super) struct Invocations {
    slots: Vec<Invocation>,
    free: Vec<u32>,
}

impl Invocations {
    /// A new invocation that has not reached its function yet.
    pub(super) fn open(
        &mut self,
        request: usize,
        span: usize,
        function: usize,
        caller: Caller,
        input: Data,
    ) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Invocation::empty());
                u32::try_from(self.slots.len() - 1).expect("fewer invocations than fit into memory")
            }
        };
        let invocation = &mut self.slots[slot as usize];
        invocation.request = request;
        invocation.span = span;
        invocation.function = function;
        invocation.caller = caller;
        invocation.patience_us = u64::MAX;
        invocation.input = input;
        invocation.waited_us = 0;
        invocation.waiting = None;
        invocation.queued_deadline_us = 0;
        invocation.end = Outcome::Ok;
        slot
    }

    /// Frees the slot of an invocation that is over.
    pub(super) fn close(&mut self, slot: u32) {
        let invocation = &mut self.slots[slot as usize];
        invocation.generation = invocation.generation.wrapping_add(1);
        invocation.frames.clear();
        invocation.input = Data::Null;
        self.free.push(slot);
    }

    pub(super) fn ticket(&self, slot: u32) -> Ticket {
        Ticket { slot, generation: self.slots[slot as usize].generation }
    }

    /// Whether the invocation is not over.
    pub(super) fn is_live(&self, ticket: Ticket) -> bool {
        self.slots[ticket.slot as usize].generation == ticket.generation
    }
}

impl std::ops::Index<u32> for Invocations {
    type Output = Invocation;

    fn index(&self, slot: u32) -> &Invocation {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Invocations {
    fn index_mut(&mut self, slot: u32) -> &mut Invocation {
        &mut self.slots[slot as usize]
    }
}

impl Invocation {
    fn empty() -> Self {
        Self {
            request: 0,
            span: 0,
            function: 0,
            caller: Caller::Nobody,
            patience_us: u64::MAX,
            input: Data::Null,
            instance: Instance { peak_mb: 0 },
            init_us: None,
            start_us: 0,
            waited_us: 0,
            waiting: None,
            queued_deadline_us: 0,
            frames: Vec::new(),
            end: Outcome::Ok,
            generation: 0,
        }
    }
}
