//! The course of a simulation: requests are sent, and events happen in the order of virtual time.

use crate::execution::{Execution, Outcome, Span};
use crate::flow::{self, Data, Flow, StepName};
use crate::performance_model::LONGEST_WORK_US;
use crate::workflow::CallKind;

use super::draws::{Draws, LogNormal};
use super::instances::Instances;
use super::invocations::{Caller, Invocations};
use super::orchestration::Orchestrator;
use super::plan::Plan;
use super::queue::{Event, Queue};
use super::{Load, Overhead, PAUSE_US, Simulator, SimulatorParameters};

/// Tells the seed of arrival times from that of all else, so that they do not depend on what is
/// executed.
const ARRIVALS: u64 = 0x6172_7269_7661_6C73;

/// A simulation under way.
pub(super) struct Engine<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) flow: Option<&'a Flow>,
    pub(super) parameters: &'a SimulatorParameters,
    pub(super) draws: Draws,
    pub(super) queue: Queue,
    pub(super) invocations: Invocations,
    pub(super) instances: Instances,
    pub(super) overhead: LogNormal,
    client_overhead: LogNormal,
    /// By the requests sent so far.
    pub(super) executions: Vec<Execution>,
    pub(super) progress: Vec<Progress>,
    /// Spans of the largest execution that is over: most are alike, and a list need not grow then.
    most_spans: usize,
    /// By request, until it is answered.
    pub(super) orchestrators: Vec<Option<Orchestrator>>,
    load: Load,
    arrivals: Draws,
    inputs: &'a [Data],
    stream: u64,
}

pub(super) struct Progress {
    pub(super) sent_us: u64,
    /// Invocations that it caused and that are not over; an orchestrator counts as one.
    outstanding: u32,
}

/// A span that begins.
#[derive(Clone, Copy)]
pub(super) struct NewSpan {
    pub(super) unit: usize,
    pub(super) function: usize,
    pub(super) parent: Option<usize>,
    pub(super) kind: CallKind,
    pub(super) start_us: u64,
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
            most_spans: 1,
            orchestrators: Vec::new(),
            flow: simulator.workflow.flow(),
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
                Event::Deadline(ticket) => self.deadline(ticket, now_us),
                Event::Elapsed(request, timer) => {
                    let elapsed = flow::Event::Elapsed(timer);
                    self.tell_orchestrator(request as usize, elapsed, now_us);
                }
            }
        }
        self.executions
    }

    /// Sends the next request, if any is left.
    fn request(&mut self, now_us: u64) {
        let request = self.executions.len();
        let Some(input) = self.inputs.get(request) else { return };
        self.executions.push(Execution {
            trace: format!("sim-{}-{request}", self.stream),
            latency_us: 0,
            spans: Vec::with_capacity(self.most_spans),
            outcome: Outcome::Ok,
        });
        self.progress.push(Progress { sent_us: now_us, outstanding: 0 });
        if let Load::Open { rate_per_second } = self.load {
            // Exponential gaps make a Poisson process.
            let gap_us = -self.arrivals.unit().ln() / rate_per_second * 1e6;
            self.queue.push(now_us + gap_us.min(LONGEST_WORK_US) as u64, Event::Request);
        }
        if let Some(flow) = self.flow {
            self.progress[request].outstanding = 1;
            self.orchestrators.push(None);
            return self.start_flow(flow, request, input.clone(), now_us);
        }
        // Deployments have the entry's function first.
        let entry = NewSpan {
            unit: self.plan.functions[0].units.start,
            function: 0,
            parent: None,
            kind: CallKind::Sync,
            start_us: now_us,
        };
        let span = self.open_span(request, entry, None);
        let arrival_us = now_us + self.draws.time_us(1.0, self.client_overhead);
        self.dispatch(request, span, 0, Caller::Client, input.clone(), arrival_us);
    }

    /// Sends an invocation on its way, which ends at `arrival_us`. Returns its slot.
    pub(super) fn dispatch(
        &mut self,
        request: usize,
        span: usize,
        function: usize,
        caller: Caller,
        input: Data,
        arrival_us: u64,
    ) -> u32 {
        let slot = self.invocations.open(request, span, function, caller, input);
        self.progress[request].outstanding += 1;
        self.queue.push(arrival_us, Event::Arrival(slot));
        slot
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
        if progress.outstanding == 0 {
            self.most_spans = self.most_spans.max(self.executions[request].spans.len());
            if self.load == Load::Sequence {
                self.queue.push(now_us + PAUSE_US, Event::Request);
            }
        }
    }

    /// Adds a span to an execution. Returns its number.
    pub(super) fn open_span(
        &mut self,
        request: usize,
        span: NewSpan,
        step: Option<StepName>,
    ) -> usize {
        let NewSpan { unit, function, parent, kind, start_us } = span;
        let spans = &mut self.executions[request].spans;
        spans.push(Span {
            task: self.plan.units[unit].task.clone(),
            step,
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
