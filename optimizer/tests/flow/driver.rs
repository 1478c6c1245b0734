//! Drives a flow with tasks that are functions, in any order of answers.

use std::collections::BTreeMap;

use optimizer::flow::{AttemptId, Command, Data, Event, Failure, Flow, FlowRun, TimerId};
use serde_json::Value;

/// A flow from JSON in its serialised form.
pub(crate) fn flow(json: Value) -> Flow {
    serde_json::from_value(json).expect("a flow")
}

pub(crate) fn failure(error: &str) -> Failure {
    Failure { error: error.to_owned(), cause: String::new() }
}

/// An attempt that was made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) step: String,
    pub(crate) task: String,
    pub(crate) payload: Data,
}

/// What came of an execution.
pub(crate) struct Ran {
    pub(crate) result: Result<Data, Failure>,
    /// In the order they were started in.
    pub(crate) attempts: Vec<Attempt>,
    /// Times that were waited for, in the order they were asked for.
    pub(crate) waits_us: Vec<u64>,
    /// By step, the most attempts that were open at the same time.
    pub(crate) most_open: BTreeMap<String, usize>,
}

enum Open {
    Attempt(AttemptId, Attempt),
    Timer(TimerId),
}

/// Runs a flow. Of so many open attempts and timers `pick` says which ends next.
pub(crate) fn run(
    flow: &Flow,
    input: Value,
    mut task: impl FnMut(&Attempt) -> Result<Data, Failure>,
    mut pick: impl FnMut(usize) -> usize,
) -> Ran {
    let (mut flow_run, mut commands) = FlowRun::start(flow, input.into());
    let mut open = Vec::new();
    let mut ran = Ran {
        result: Err(failure("unfinished")),
        attempts: Vec::new(),
        waits_us: Vec::new(),
        most_open: BTreeMap::new(),
    };
    loop {
        for command in commands {
            match command {
                Command::Invoke { attempt, step, task, payload, .. } => {
                    let made = Attempt { step: step.0, task: task.0, payload };
                    ran.attempts.push(made.clone());
                    open.push(Open::Attempt(attempt, made));
                }
                Command::Wait { timer, duration_us } => {
                    ran.waits_us.push(duration_us);
                    open.push(Open::Timer(timer));
                }
                Command::Done(result) => {
                    assert!(flow_run.has_ended());
                    ran.result = result;
                    return ran;
                }
            }
        }
        for made in &ran.attempts {
            let of_step =
                |open: &&Open| matches!(open, Open::Attempt(_, it) if it.step == made.step);
            let now = open.iter().filter(of_step).count();
            let most = ran.most_open.entry(made.step.clone()).or_default();
            *most = now.max(*most);
        }
        assert!(!open.is_empty(), "it waits for nothing and has not ended: {flow_run:?}");
        let event = match open.remove(pick(open.len())) {
            Open::Attempt(attempt, made) => Event::Answered { attempt, result: task(&made) },
            Open::Timer(timer) => Event::Elapsed(timer),
        };
        // Goes on in another process, as it were.
        let text = serde_json::to_string(&flow_run).expect("it can be written");
        flow_run = serde_json::from_str(&text).expect("it can be read");
        commands = flow_run.on(flow, event);
    }
}

/// Runs a flow whose attempts and timers end in the order they were started in.
pub(crate) fn run_in_order(
    flow: &Flow,
    input: Value,
    task: impl FnMut(&Attempt) -> Result<Data, Failure>,
) -> Ran {
    run(flow, input, task, |_| 0)
}
