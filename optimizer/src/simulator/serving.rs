//! What functions do with invocations.
//!
//! An instance computes on its own until it waits for another function, so all work up to there is one
//! step: it goes ahead of the events to the time at which the invocation waits or is over. Nobody
//! sees the instance in between.

use crate::execution::{Billed, Outcome};
use crate::flow::{Data, Event, Failure};
use crate::workflow::CallKind;

use super::engine::{Engine, NewSpan};
use super::instances::Acquired;
use super::invocations::{Caller, Frame, Ticket, Waiting};
use super::orchestration::failure;
use super::plan::Target;
use super::queue;

impl Engine<'_> {
    /// An invocation reaches its function.
    pub(super) fn arrive(&mut self, slot: u32, now_us: u64) {
        let function = self.invocations[slot].function;
        let (instance, is_cold) = match self.instances.acquire(function, now_us) {
            Acquired::Warm(instance) => (instance, false),
            Acquired::Cold(instance) => (instance, true),
            Acquired::Throttled => return self.tell(slot, Outcome::Refused, now_us),
        };
        let planned = &self.plan.functions[function];
        let (root, limit_mb) = (planned.units.start, planned.resources.memory.0);
        let init_us = is_cold.then_some(planned.init_us);
        let invocation = &mut self.invocations[slot];
        let needed_mb = self.plan.memory_mb(function, &invocation.input);
        invocation.instance = instance;
        invocation.instance.peak_mb = instance.peak_mb.max(needed_mb.min(limit_mb));
        invocation.init_us = init_us;
        invocation.start_us = now_us + init_us.unwrap_or(0);
        let (span, start_us) = (invocation.span, invocation.start_us);
        let Some(done_us) = self.execute(slot, root, span, start_us) else { return };
        if needed_mb > limit_mb {
            self.finish(slot, 0, Outcome::OutOfMemory, done_us);
        } else {
            self.advance(slot, done_us);
        }
    }

    /// Starts a task in an instance and returns when its own work is done, or nothing if it fails and
    /// with it the invocation.
    fn execute(&mut self, slot: u32, unit: usize, span: usize, start_us: u64) -> Option<u64> {
        let planned = &self.plan.units[unit];
        let invocation = &mut self.invocations[slot];
        let latest_us = invocation.frames.last().map_or(u64::MAX, |caller| caller.deadline_us);
        let deadline_us = latest_us.min(start_us.saturating_add(planned.timeout_us));
        let call = planned.calls.start;
        invocation.frames.push(Frame { unit, span, call, made: 0, deadline_us });
        let took = planned.execute(&invocation.input, &mut self.draws);
        let done_us = start_us + took.duration_us;
        if done_us > deadline_us {
            self.time_out(slot);
            return None;
        }
        if took.outcome != Outcome::Ok {
            let culprit = self.invocations[slot].frames.len() - 1;
            self.finish(slot, culprit, took.outcome, done_us);
            return None;
        }
        Some(done_us)
    }

    /// Goes on with an invocation from `now_us` until it is over or waits.
    fn advance(&mut self, slot: u32, mut now_us: u64) {
        loop {
            let invocation = &mut self.invocations[slot];
            let (request, function) = (invocation.request, invocation.function);
            let is_root = invocation.frames.len() == 1;
            let Some(frame) = invocation.frames.last_mut() else { return };
            let (span, deadline_us) = (frame.span, frame.deadline_us);
            if frame.call == self.plan.units[frame.unit].calls.end {
                if is_root {
                    return self.finish(slot, 0, Outcome::Ok, now_us);
                }
                invocation.frames.pop();
                self.close_span(request, span, Outcome::Ok, now_us);
                continue;
            }
            let call = &self.plan.calls[frame.call];
            frame.made += 1;
            if frame.made == call.times {
                (frame.call, frame.made) = (frame.call + 1, 0);
            }
            let (target, kind) = (call.target, call.kind);
            let mut child =
                NewSpan { unit: 0, function, parent: Some(span), kind, start_us: now_us };
            match target {
                Target::Unit(unit) => {
                    child.unit = unit;
                    let child = self.open_span(request, child, None);
                    let start_us = now_us + self.plan.functions[function].inline_call_us;
                    match self.execute(slot, unit, child, start_us) {
                        Some(done_us) => now_us = done_us,
                        None => return,
                    }
                }
                Target::Function(callee) => {
                    (child.unit, child.function) =
                        (self.plan.functions[callee].units.start, callee);
                    let child = self.open_span(request, child, None);
                    let input = self.invocations[slot].input.clone();
                    let arrival_us = now_us + self.draws.time_us(1.0, self.overhead);
                    if kind == CallKind::Sync {
                        let caller = Caller::Invocation(self.invocations.ticket(slot));
                        self.dispatch(request, child, callee, caller, input, arrival_us);
                        return self.wait(slot, Waiting { span: child, since_us: now_us });
                    }
                    self.dispatch(request, child, callee, Caller::Nobody, input, arrival_us);
                    self.close_span(request, child, Outcome::Ok, arrival_us.min(deadline_us));
                    if arrival_us > deadline_us {
                        return self.time_out(slot);
                    }
                    now_us = arrival_us;
                }
            }
        }
    }

    fn wait(&mut self, slot: u32, waiting: Waiting) {
        let invocation = &mut self.invocations[slot];
        invocation.waiting = Some(waiting);
        let Some(deadline_us) = invocation.frames.last().map(|frame| frame.deadline_us) else {
            return;
        };
        // Often the one that was queued for an earlier call.
        if invocation.queued_deadline_us != deadline_us {
            invocation.queued_deadline_us = deadline_us;
            self.queue_deadline(slot, deadline_us);
        }
    }

    pub(super) fn queue_deadline(&mut self, slot: u32, at_us: u64) {
        let (ticket, invocations) = (self.invocations.ticket(slot), &self.invocations);
        self.queue.push_deadline(at_us, ticket, |ticket| invocations.is_live(ticket));
    }

    /// The time is up for an invocation, unless it is over, or it was for a task that is.
    pub(super) fn deadline(&mut self, ticket: Ticket, now_us: u64) {
        if !self.invocations.is_live(ticket) {
            return;
        }
        let invocation = &self.invocations[ticket.slot];
        let deadline_us = invocation.frames.last().map(|frame| frame.deadline_us);
        let is_given_up = invocation.patience_us == now_us;
        if invocation.waiting.is_some() && deadline_us == Some(now_us) {
            self.time_out(ticket.slot);
        }
        if is_given_up {
            self.give_up(ticket, now_us);
        }
    }

    /// The call that an invocation waits for is over.
    fn resume(&mut self, slot: u32, outcome: Outcome, now_us: u64) {
        let invocation = &mut self.invocations[slot];
        if let Some(Waiting { since_us, .. }) = invocation.waiting.take() {
            invocation.waited_us += now_us - since_us;
        }
        if outcome == Outcome::Ok {
            self.advance(slot, now_us);
        } else {
            let culprit = invocation.frames.len() - 1;
            self.finish(slot, culprit, Outcome::Error, now_us);
        }
    }

    /// An invocation runs into the first of its tasks' deadlines.
    fn time_out(&mut self, slot: u32) {
        let invocation = &mut self.invocations[slot];
        let Some(at_us) = invocation.frames.last().map(|frame| frame.deadline_us) else { return };
        // Tasks on top of the one whose time is up have the same deadline, and go with it.
        let culprit = invocation.frames.iter().position(|frame| frame.deadline_us == at_us);
        if let Some(Waiting { span, since_us }) = invocation.waiting.take() {
            invocation.waited_us += at_us - since_us;
            let request = invocation.request;
            self.close_span(request, span, Outcome::Timeout, at_us);
        }
        self.finish(slot, culprit.unwrap_or(0), Outcome::Timeout, at_us);
    }

    /// An invocation is over at `at_us`, because one of its tasks is, an index into the frames, and
    /// ended like this.
    fn finish(&mut self, slot: u32, culprit: usize, outcome: Outcome, at_us: u64) {
        let request = self.invocations[slot].request;
        for index in (1..self.invocations[slot].frames.len()).rev() {
            let span = self.invocations[slot].frames[index].span;
            let outcome = if index >= culprit { outcome } else { Outcome::Error };
            self.close_span(request, span, outcome, at_us);
        }
        self.invocations[slot].end = match outcome {
            // Memory is the whole instance's.
            Outcome::OutOfMemory => outcome,
            _ if culprit == 0 => outcome,
            _ => Outcome::Error,
        };
        self.queue.push(at_us, queue::Event::End(slot));
    }

    /// An invocation is over.
    pub(super) fn end(&mut self, slot: u32, now_us: u64) {
        let invocation = &self.invocations[slot];
        let (function, outcome) = (invocation.function, invocation.end);
        let is_killed = matches!(outcome, Outcome::OutOfMemory | Outcome::Timeout);
        let instance = (!is_killed).then_some(invocation.instance);
        self.instances.release(function, instance, now_us);
        let resources = self.plan.functions[function].resources;
        let prices = &self.parameters.prices;
        let duration_us = now_us - invocation.start_us;
        let billed_ms = prices.billed_ms(duration_us, invocation.init_us);
        self.executions[invocation.request].spans[invocation.span].billed = Some(Billed {
            duration_us,
            billed_ms,
            resources,
            init_us: invocation.init_us,
            peak_memory_mb: invocation.instance.peak_mb,
            waiting_us: invocation.waited_us,
            cost: prices.cost(resources, billed_ms),
        });
        self.tell(slot, outcome, now_us);
    }

    /// Tells the caller how an invocation ended.
    fn tell(&mut self, slot: u32, outcome: Outcome, now_us: u64) {
        let invocation = &mut self.invocations[slot];
        let (request, span, caller) = (invocation.request, invocation.span, invocation.caller);
        let (function, input) = (invocation.function, std::mem::take(&mut invocation.input));
        self.invocations.close(slot);
        match caller {
            Caller::Client => {
                self.close_span(request, span, outcome, now_us);
                self.answer(request, outcome, now_us);
            }
            Caller::Orchestrator(attempt) => {
                self.close_span(request, span, outcome, now_us);
                let result = self.result(function, input, outcome);
                self.tell_orchestrator(request, Event::Answered { attempt, result }, now_us);
            }
            Caller::Invocation(ticket) if self.waits_for(ticket, span) => {
                self.close_span(request, span, outcome, now_us);
                self.resume(ticket.slot, outcome, now_us);
            }
            Caller::Nobody => self.executions[request].spans[span].outcome = outcome,
            // The caller's patience was over before, which is how the span ended unless it was killed.
            Caller::Invocation(_) | Caller::Gone => {
                if !matches!(outcome, Outcome::Ok | Outcome::Error) {
                    self.executions[request].spans[span].outcome = outcome;
                }
            }
        }
        self.settle(request, now_us);
    }

    /// Whether an invocation waits for the call with this span.
    fn waits_for(&self, ticket: Ticket, span: usize) -> bool {
        let waits = |waiting: Waiting| waiting.span == span;
        self.invocations.is_live(ticket) && self.invocations[ticket.slot].waiting.is_some_and(waits)
    }

    /// What a function's root answers.
    fn result(&self, function: usize, input: Data, outcome: Outcome) -> Result<Data, Failure> {
        let root = &self.plan.units[self.plan.functions[function].units.start];
        match outcome {
            Outcome::Ok => Ok(root.answer(&input)),
            failed => Err(failure(root.task, failed)),
        }
    }
}
