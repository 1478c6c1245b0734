//! Executions that an orchestrator runs. The orchestrator itself is [`FlowRun`]; here its invocations
//! and its waiting take virtual time.

use crate::execution::Outcome;
use crate::flow::failure::TIMEOUT;
use crate::flow::{Command, Data, Event, Failure, Flow, FlowRun};
use crate::workflow::{CallKind, TaskName};

use super::engine::{Engine, NewSpan};
use super::invocations::{Caller, Ticket};
use super::queue;

/// Invocations and waits of one execution, at most: it may try again for ever. An execution that wants
/// more fails.
pub const COMMAND_LIMIT: usize = 100_000;

/// Longest that an execution may take, as in Step Functions: a year, in microseconds.
const LONGEST_EXECUTION_US: u64 = 365 * 24 * 3_600_000_000;

/// An orchestrator at work on one request.
pub(super) struct Orchestrator {
    run: FlowRun,
    /// Commands that it may still give.
    left: usize,
}

impl Engine<'_> {
    /// Starts the orchestrator of a request.
    pub(super) fn start_flow(&mut self, flow: &Flow, request: usize, input: Data, now_us: u64) {
        let (run, commands) = FlowRun::start(flow, input);
        self.orchestrators[request] = Some(Orchestrator { run, left: COMMAND_LIMIT });
        self.obey(request, commands, now_us);
    }

    /// Tells the orchestrator of a request what has happened.
    pub(super) fn tell_orchestrator(&mut self, request: usize, event: Event, now_us: u64) {
        let latest_us = self.latest_us(request);
        let (Some(flow), Some(orchestrator)) = (self.flow, &mut self.orchestrators[request]) else {
            return;
        };
        if now_us >= latest_us {
            return self.end_flow(request, Outcome::Timeout, now_us);
        }
        let commands = orchestrator.run.on(flow, event);
        self.obey(request, commands, now_us);
    }

    /// When the execution of a request has taken too long.
    fn latest_us(&self, request: usize) -> u64 {
        self.progress[request].sent_us + LONGEST_EXECUTION_US
    }

    /// Does what the orchestrator of a request wants.
    fn obey(&mut self, request: usize, commands: Vec<Command>, now_us: u64) {
        for command in commands {
            let Some(orchestrator) = &mut self.orchestrators[request] else { return };
            let left = orchestrator.left.checked_sub(1);
            orchestrator.left = left.unwrap_or(0);
            match command {
                Command::Done(result) => {
                    self.end_flow(request, outcome(&result), now_us);
                }
                _ if left.is_none() => self.end_flow(request, Outcome::Error, now_us),
                Command::Wait { timer, duration_us } => {
                    let number = u32::try_from(request).expect("fewer than 2^32 requests");
                    let elapsed = queue::Event::Elapsed(number, timer);
                    let at_us = now_us.saturating_add(duration_us).min(self.latest_us(request));
                    self.queue.push(at_us, elapsed);
                }
                Command::Invoke { attempt, step, task, payload, timeout_us } => {
                    let function = self.plan.function(&task);
                    let span = NewSpan {
                        unit: self.plan.functions[function].units.start,
                        function,
                        parent: None,
                        kind: CallKind::Sync,
                        start_us: now_us,
                    };
                    let span = self.open_span(request, span, Some(step));
                    let arrival_us = now_us + self.draws.time_us(1.0, self.overhead);
                    let caller = Caller::Orchestrator(attempt);
                    let slot = self.dispatch(request, span, function, caller, payload, arrival_us);
                    if let Some(timeout_us) = timeout_us {
                        let patience_us = now_us.saturating_add(timeout_us);
                        self.invocations[slot].patience_us = patience_us;
                        self.queue_deadline(slot, patience_us);
                    }
                }
            }
        }
    }

    fn end_flow(&mut self, request: usize, outcome: Outcome, now_us: u64) {
        self.orchestrators[request] = None;
        self.answer(request, outcome, now_us);
        self.settle(request, now_us);
    }

    /// The orchestrator no longer waits for an invocation, which goes on.
    pub(super) fn give_up(&mut self, ticket: Ticket, now_us: u64) {
        let invocation = &mut self.invocations[ticket.slot];
        let Caller::Orchestrator(attempt) = invocation.caller else { return };
        invocation.caller = Caller::Gone;
        let (request, span) = (invocation.request, invocation.span);
        self.close_span(request, span, Outcome::Timeout, now_us);
        let cause = "the task took longer than the orchestrator waits".to_owned();
        let result = Err(Failure { error: TIMEOUT.to_owned(), cause });
        self.tell_orchestrator(request, Event::Answered { attempt, result }, now_us);
    }
}

/// The failure of a task that ended like this, by the name that Lambda gives it.
pub(super) fn failure(task: &TaskName, outcome: Outcome) -> Failure {
    let error = match outcome {
        Outcome::Ok | Outcome::Error => "Error",
        Outcome::Crash => "Runtime.ExitError",
        Outcome::Timeout => "Sandbox.Timedout",
        Outcome::OutOfMemory => "Runtime.OutOfMemory",
        Outcome::Refused => "Lambda.TooManyRequestsException",
    };
    Failure { error: error.to_owned(), cause: format!("task `{task}` failed") }
}

/// How an execution ended.
fn outcome(result: &Result<Data, Failure>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(failure) if failure.error == TIMEOUT => Outcome::Timeout,
        Err(_) => Outcome::Error,
    }
}
