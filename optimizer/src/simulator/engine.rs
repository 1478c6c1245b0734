//! The course of a simulation: requests are sent, and events happen in the order of virtual time.

use crate::execution::{Execution, Outcome, Span};
use crate::flow::data::Data;
use crate::workflow::CallKind;

use super::draws::{Draws, LogNormal};
use super::instances::Instances;
use super::invocations::{Caller, Invocations};
use super::plan::Plan;
use super::queue::{Event, Queue};
use super::{Load, Overhead, PAUSE_US, Simulator, SimulatorParameters};

/// Tells the seed of arrival times from that of all else, so that they do not depend on what is
/// executed.
const ARRIVALS: u64 = 0x6172_7269_7661_6C73;

/// A simulation under way.
pub(super) struct Engine<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) parameters: &'a SimulatorParameters,
    pub(super) draws: Draws,
    pub(super) queue: Queue,
    pub(super) invocations: Invocations,
    pub(super) instances: Instances,
    pub(super) overhead: LogNormal,
    client_overhead: LogNormal,
    /// By the requests sent so far.
    pub(super) executions: Vec<Execution>,
    /// Invocations that are not over, and when the request was sent, by request.
    progress: Vec<Progress>,
    load: Load,
    arrivals: Draws,
    inputs: &'a [Data],
    stream: u64,
}

struct Progress {
    sent_us: u64,
    /// What it caused and is not over.
    outstanding: u32,
}

impl From<Overhead> for LogNormal {
    fn from(Overhead { median_us, p95_us }: Overhead) -> Self {
        Self::of_percentiles(median_us as f64, p95_us as f64)
    }
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        simulator: &'a Simulator,
        plan: Plan<'a>,
        load: Load,
        inputs: &'a [Data],
        stream: u64,
    ) -> Self {
        let parameters = &simulator.parameters;
        Self {
            draws: Draws::new(parameters.seed, stream),
            queue: Queue::default(),
            invocations: Invocations::default(),
            instances: Instances::new(&plan, parameters.concurrency, parameters.idle_expiry_us),
            overhead: parameters.overhead.into(),
            client_overhead: parameters.client_overhead.into(),
            executions: Vec::with_capacity(inputs.len()),
            progress: Vec::with_capacity(inputs.len()),
            load,
            arrivals: Draws::new(parameters.seed ^ ARRIVALS, stream),
            inputs,
            stream,
            plan,
            parameters,
        }
    }

    /// Executes everything.
    pub(super) fn run(mut self) -> Vec<Execution> {
        let clients = match self.load {
            Load::Closed { clients } => clients.max(1),
            Load::Sequence | Load::Open { .. } => 1,
        };
        for _ in 0..clients.min(self.inputs.len()) {
            self.queue.push(0, Event::Request);
        }
        while let Some((now_us, event)) = self.queue.pop() {
            match event {
                Event::Request => self.request(now_us),
                Event::Arrival(slot) => self.arrive(slot, now_us),
                Event::End(slot) => self.end(slot, now_us),
                Event::Deadline(ticket) => {
                    if self.invocations.is_live(ticket) {
                        self.deadline(ticket.slot, now_us);
                    }
                }
            }
        }
        self.executions
    }

    /// Sends the next request, if any is left.
    fn request(&mut self, now_us: u64) {
        let request = self.executions.len();
        let Some(input) = self.inputs.get(request) else { return };
        let spans = self.executions.last().map_or(1, |execution| execution.spans.len());
        self.executions.push(Execution {
            trace: format!("sim-{}-{request}", self.stream),
            latency_us: 0,
            spans: Vec::with_capacity(spans),
            outcome: Outcome::Ok,
        });
        self.progress.push(Progress { sent_us: now_us, outstanding: 0 });
        if let Load::Open { rate_per_second } = self.load {
            // Exponential gaps make a Poisson process.
            let gap_us = -self.arrivals.unit().ln() / rate_per_second * 1e6;
            self.queue.push(now_us.saturating_add(gap_us as u64), Event::Request);
        }
        let entry = 0;
        let span = self.open_span(
            request,
            self.plan.functions[entry].units.start,
            entry,
            None,
            CallKind::Sync,
            now_us,
        );
        let overhead_us = self.draws.log_normal(self.client_overhead) as u64;
        self.dispatch(request, span, entry, Caller::Client, input.clone(), now_us + overhead_us);
    }

    /// Sends an invocation on its way, which ends at `arrival_us`.
    pub(super) fn dispatch(
        &mut self,
        request: usize,
        span: usize,
        function: usize,
        caller: Caller,
        input: Data,
        arrival_us: u64,
    ) {
        let slot = self.invocations.open(request, span, function, caller, input);
        self.progress[request].outstanding += 1;
        self.queue.push(arrival_us, Event::Arrival(slot));
    }

    /// The request is answered.
    pub(super) fn answer(&mut self, request: usize, outcome: Outcome, now_us: u64) {
        let execution = &mut self.executions[request];
        execution.latency_us = now_us - self.progress[request].sent_us;
        execution.outcome = outcome;
        if let Load::Closed { .. } = self.load {
            self.queue.push(now_us, Event::Request);
        }
    }

    /// Something that a request caused is over.
    pub(super) fn settle(&mut self, request: usize, now_us: u64) {
        let progress = &mut self.progress[request];
        progress.outstanding -= 1;
        if progress.outstanding == 0 && self.load == Load::Sequence {
            self.queue.push(now_us + PAUSE_US, Event::Request);
        }
    }

    /// A new span of a unit in a function.
    pub(super) fn open_span(
        &mut self,
        request: usize,
        unit: usize,
        function: usize,
        parent: Option<usize>,
        kind: CallKind,
        start_us: u64,
    ) -> usize {
        let spans = &mut self.executions[request].spans;
        spans.push(Span {
            task: self.plan.units[unit].task.clone(),
            step: None,
            function: self.plan.functions[function].root.clone(),
            parent,
            kind,
            start_us,
            duration_us: 0,
            billed: None,
            outcome: Outcome::Ok,
        });
        spans.len() - 1
    }

    /// A span as its caller saw it.
    pub(super) fn close_span(
        &mut self,
        request: usize,
        span: usize,
        outcome: Outcome,
        now_us: u64,
    ) {
        let span = &mut self.executions[request].spans[span];
        span.duration_us = now_us - span.start_us;
        span.outcome = outcome;
    }
}
