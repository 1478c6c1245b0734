//! What happens when, in virtual time.
//!
//! Deadlines have a queue of their own: most of them never come to pass, so those of invocations that
//! are over are swept out now and then and the queue of events stays short.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::flow::TimerId;

use super::invocations::Ticket;

/// Deadlines queued before it is worth to look for those that are void.
const SWEPT_FROM: usize = 64;

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Event {
    /// A client sends its next request.
    Request,
    /// An invocation reaches its function.
    Arrival(u32),
    /// An invocation is over.
    End(u32),
    /// An invocation that waits has to be over, or the orchestrator no longer waits for it.
    Deadline(Ticket),
    /// What the orchestrator of a request waits for.
    Elapsed(u32, TimerId),
}

/// An event or a deadline with its time; of the same time, the first queued comes first.
type Timed<T> = Reverse<(u64, u64, T)>;

#[derive(Debug, Default)]
pub(super) struct Queue {
    events: BinaryHeap<Timed<Event>>,
    deadlines: BinaryHeap<Timed<Ticket>>,
    /// Deadlines that were left when void ones were last swept out.
    kept: usize,
    /// Queued so far.
    count: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at_us: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at_us, self.count, event)));
    }

    /// Queues the deadline of an invocation. `is_live` tells which invocations are not over.
    pub(super) fn push_deadline(
        &mut self,
        at_us: u64,
        ticket: Ticket,
        is_live: impl Fn(Ticket) -> bool,
    ) {
        if self.deadlines.len() >= SWEPT_FROM + 2 * self.kept {
            self.deadlines.retain(|Reverse((_, _, ticket))| is_live(*ticket));
            self.kept = self.deadlines.len();
        }
        self.count += 1;
        self.deadlines.push(Reverse((at_us, self.count, ticket)));
    }

    /// The next event and its time. What happens at the time of a deadline is still in time.
    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        let deadline_us = self.deadlines.peek().map(|Reverse((at_us, ..))| *at_us);
        let event_us = self.events.peek().map(|Reverse((at_us, ..))| *at_us);
        if event_us.is_some_and(|event_us| deadline_us.is_none_or(|at_us| event_us <= at_us)) {
            self.events.pop().map(|Reverse((at_us, _, event))| (at_us, event))
        } else {
            let deadline = self.deadlines.pop();
            deadline.map(|Reverse((at_us, _, ticket))| (at_us, Event::Deadline(ticket)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_and_then_of_queueing() {
        let mut queue = Queue::default();
        let ticket = Ticket { slot: 7, generation: 1 };
        queue.push_deadline(20, ticket, |_| true);
        for (at_us, event) in [(20, Event::End(1)), (10, Event::Request), (20, Event::Arrival(0))] {
            queue.push(at_us, event);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let expect = [
            (10, Event::Request),
            (20, Event::End(1)),
            (20, Event::Arrival(0)),
            (20, Event::Deadline(ticket)),
        ];
        assert_eq!(order, expect);
    }

    #[test]
    fn void_deadlines_are_swept_out() {
        let mut queue = Queue::default();
        for slot in 0..10_000 {
            let is_live = |ticket: Ticket| ticket.slot + 10 > slot;
            queue.push_deadline(u64::from(slot), Ticket { slot, generation: 0 }, is_live);
        }
        assert!(queue.deadlines.len() < 200, "{}", queue.deadlines.len());
    }
}
