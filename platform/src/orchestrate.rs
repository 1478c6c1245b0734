//! Executes an orchestrated workflow: invokes the functions that its flow asks for, waits, and passes
//! data on.
//!
//! When the flow has ended, invocations that nobody waits for any more may still be under way. They are
//! paid for all the same, so they are waited for before the execution is told; its latency is that of
//! the flow.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::path::Path as Key;
use optimizer::execution::Outcome;
use optimizer::flow::failure::{DATA_LIMIT_EXCEEDED, RUNTIME, TIMEOUT};
use optimizer::flow::{AttemptId, Command, Data, Event, Failure, Flow, FlowRun, StepName, TimerId};
use optimizer::workflow::TaskName;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::invocation::{self, Reply, invoke};
use crate::load::{Attempt, Sent, Target, new_trace, unix_us};
use crate::objects::{ObjectError, Objects};
use crate::payload::Request;

/// Invocations of one execution under way at the same time, at most; others wait.
const INVOCATIONS_LIMIT: usize = 1000;
/// Error of an object store that does not work.
const OBJECT_STORE_FAILED: &str = "Fuseline.ObjectStoreFailed";

/// Executes one flow at one endpoint.
pub(crate) struct Orchestrator {
    client: aws_sdk_lambda::Client,
    flow: Flow,
    /// By task, the version or alias that is invoked.
    qualifiers: BTreeMap<TaskName, String>,
    objects: Objects,
}

/// An attempt that is to be made.
struct Planned {
    attempt: AttemptId,
    /// Its place in the list of attempts.
    number: usize,
    task: TaskName,
    payload: Data,
}

/// An attempt that has ended.
struct Answered {
    attempt: AttemptId,
    number: usize,
    request_id: String,
    outcome: Outcome,
    result: Result<Data, Failure>,
    objects: Vec<Key>,
}

/// What a timer was for.
enum Elapsed {
    Wait(TimerId),
    Timeout(AttemptId, usize),
}

impl Orchestrator {
    /// An orchestrator of the flow, which is the target's.
    ///
    /// # Errors
    /// If the store for large data cannot be used.
    pub(crate) async fn new(target: Target<'_>, flow: &Flow) -> Result<Self, ObjectError> {
        let roots = target.project.workflow.roots().into_iter();
        Ok(Self {
            client: target.endpoint.lambda.clone(),
            flow: flow.clone(),
            qualifiers: roots
                .map(|task| (task.clone(), target.qualifier(task).to_owned()))
                .collect(),
            objects: Objects::open(target.project.objects.as_ref(), &target.endpoint.settings)
                .await?,
        })
    }

    /// Executes the flow once.
    pub(crate) async fn execute(self: Arc<Self>, request: &Request) -> Sent {
        let mut execution = Execution {
            trace: new_trace(),
            started: Instant::now(),
            attempts: Vec::new(),
            settled: Vec::new(),
            open: JoinSet::new(),
            timers: JoinSet::new(),
            slots: Arc::new(Semaphore::new(INVOCATIONS_LIMIT)),
            objects: Vec::new(),
            orchestrator: self,
        };
        let start_us = unix_us();
        let result = execution.run(request).await;
        let latency_us = execution.started.elapsed().as_micros() as u64;
        execution.finish().await;
        let (outcome, answer) = match &result {
            Ok(data) => {
                let answer = Value::from(data);
                let accepted = request.accepts(&answer);
                (if accepted { Outcome::Ok } else { Outcome::Error }, answer)
            }
            Err(Failure { error, cause }) => {
                (outcome(error), json!({ "Error": error, "Cause": cause }))
            }
        };
        Sent {
            trace: execution.trace,
            request_id: String::new(),
            attempts: Some(execution.attempts),
            start_us,
            latency_us,
            outcome,
            status: if result.is_ok() { 200 } else { 0 },
            function_error: result.err().map(|failure| failure.error),
            answer,
            not_json: None,
        }
    }

    /// Invokes a function, and takes its data to it and back.
    async fn attempt(&self, planned: Planned, trace: &str) -> Answered {
        let Planned { attempt, number, task, payload } = planned;
        let mut answered = Answered {
            attempt,
            number,
            request_id: String::new(),
            outcome: Outcome::Refused,
            result: Ok(Data::Null),
            objects: Vec::new(),
        };
        let key = format!("{trace}/{number}.json");
        let payload = match self.objects.send(&payload, &key).await {
            Ok(outgoing) => {
                answered.objects.extend(outgoing.object);
                outgoing.bytes
            }
            Err(error) => {
                answered.result = Err(object_failure(&task, &error));
                return answered;
            }
        };
        let qualifier = self.qualifiers.get(&task).map_or("$LATEST", String::as_str);
        let invocation = invoke(&self.client, &task.0, qualifier, payload, trace).await;
        answered.result = match invocation.reply {
            Reply::Refused { code, message } => Err(refused(code.as_deref(), message)),
            Reply::Answered { request_id, function_error: Some(_), body } => {
                answered.request_id = request_id;
                let payload = serde_json::from_slice(&body).unwrap_or_default();
                answered.outcome = invocation::function_error(&payload);
                Err(function_failure(&payload, &body))
            }
            Reply::Answered { request_id, function_error: None, body } => {
                answered.request_id = request_id;
                answered.outcome = Outcome::Error;
                match serde_json::from_slice(&body) {
                    Err(_) => {
                        let cause = format!("`{task}` did not answer with JSON");
                        Err(Failure { error: "Lambda.Unknown".into(), cause })
                    }
                    Ok(data) => match self.objects.receive(data).await {
                        Ok(incoming) => {
                            answered.outcome = Outcome::Ok;
                            answered.objects.extend(incoming.object);
                            Ok(incoming.data)
                        }
                        Err(error) => Err(object_failure(&task, &error)),
                    },
                }
            }
        };
        answered
    }
}

/// One execution under way.
struct Execution {
    orchestrator: Arc<Orchestrator>,
    trace: String,
    started: Instant,
    /// In the order of their start.
    attempts: Vec<Attempt>,
    /// Whether the flow knows how they ended.
    settled: Vec<bool>,
    open: JoinSet<Answered>,
    timers: JoinSet<Elapsed>,
    slots: Arc<Semaphore>,
    /// Objects to remove in the end.
    objects: Vec<Key>,
}

impl Execution {
    /// Runs the flow to its end.
    async fn run(&mut self, request: &Request) -> Result<Data, Failure> {
        let orchestrator = Arc::clone(&self.orchestrator);
        let input = Data::from(request.body.clone());
        let (mut run, mut commands) = FlowRun::start(&orchestrator.flow, input);
        loop {
            for command in commands {
                match command {
                    Command::Invoke { attempt, step, task, payload, timeout_us } => {
                        self.invoke(attempt, step, task, payload, timeout_us);
                    }
                    Command::Wait { timer, duration_us } => {
                        self.sleep(duration_us, Elapsed::Wait(timer));
                    }
                    Command::Done(result) => return result,
                }
            }
            let event = tokio::select! {
                Some(answered) = self.open.join_next() => {
                    let Ok(answered) = answered else { return Err(broken()) };
                    self.answered(answered)
                }
                Some(elapsed) = self.timers.join_next() => match elapsed {
                    Ok(Elapsed::Wait(timer)) => Some(Event::Elapsed(timer)),
                    Ok(Elapsed::Timeout(attempt, number)) => self.timed_out(attempt, number),
                    Err(_) => return Err(broken()),
                },
                else => return Err(broken()),
            };
            commands = match event {
                Some(event) => run.on(&orchestrator.flow, event),
                None => Vec::new(),
            };
        }
    }

    fn invoke(
        &mut self,
        attempt: AttemptId,
        step: StepName,
        task: TaskName,
        payload: Data,
        timeout_us: Option<u64>,
    ) {
        let number = self.attempts.len();
        self.attempts.push(Attempt {
            step,
            task: task.clone(),
            request_id: String::new(),
            start_us: unix_us(),
            duration_us: 0,
            outcome: Outcome::Refused,
        });
        self.settled.push(false);
        if let Some(timeout_us) = timeout_us {
            self.sleep(timeout_us, Elapsed::Timeout(attempt, number));
        }
        let (orchestrator, trace) = (Arc::clone(&self.orchestrator), self.trace.clone());
        let slots = Arc::clone(&self.slots);
        self.open.spawn(async move {
            let _slot = slots.acquire().await.expect("never closed");
            orchestrator.attempt(Planned { attempt, number, task, payload }, &trace).await
        });
    }

    fn sleep(&mut self, duration_us: u64, elapsed: Elapsed) {
        self.timers.spawn(async move {
            tokio::time::sleep(Duration::from_micros(duration_us)).await;
            elapsed
        });
    }

    /// Notes what came of an attempt. Of one that has timed out the flow is not told any more.
    fn answered(&mut self, answered: Answered) -> Option<Event> {
        let Answered { attempt, number, request_id, outcome, result, objects } = answered;
        self.objects.extend(objects);
        self.attempts[number].request_id = request_id;
        if self.settled[number] {
            return None;
        }
        self.settle(number, outcome);
        Some(Event::Answered { attempt, result })
    }

    fn timed_out(&mut self, attempt: AttemptId, number: usize) -> Option<Event> {
        if self.settled[number] {
            return None;
        }
        self.settle(number, Outcome::Timeout);
        let cause = format!("`{}` did not answer in time", self.attempts[number].task);
        let result = Err(Failure { error: TIMEOUT.to_owned(), cause });
        Some(Event::Answered { attempt, result })
    }

    fn settle(&mut self, number: usize, outcome: Outcome) {
        self.settled[number] = true;
        let attempt = &mut self.attempts[number];
        attempt.outcome = outcome;
        attempt.duration_us = unix_us().saturating_sub(attempt.start_us);
    }

    /// Waits for what is still under way, and removes what was made.
    async fn finish(&mut self) {
        self.timers.abort_all();
        while let Some(answered) = self.open.join_next().await {
            if let Ok(answered) = answered {
                self.answered(answered);
            }
        }
        self.orchestrator.objects.remove(&self.objects).await;
    }
}

/// An orchestrator that waits for nothing, or one of whose own tasks broke down.
fn broken() -> Failure {
    Failure { error: RUNTIME.to_owned(), cause: "the orchestrator broke down".to_owned() }
}

/// The failure that a refused invocation is, by Step Functions' names.
fn refused(code: Option<&str>, message: String) -> Failure {
    let error = match code {
        Some("RequestTooLargeException") => DATA_LIMIT_EXCEEDED.to_owned(),
        Some(code) => format!("Lambda.{code}"),
        None => "Lambda.SdkClientException".to_owned(),
    };
    Failure { error, cause: message }
}

/// The failure that a function error is: its type, and all it says.
fn function_failure(payload: &Value, body: &[u8]) -> Failure {
    let error = payload["errorType"].as_str().filter(|error| !error.is_empty());
    Failure {
        error: error.unwrap_or("Lambda.Unknown").to_owned(),
        cause: String::from_utf8_lossy(body).into_owned(),
    }
}

fn object_failure(task: &TaskName, error: &ObjectError) -> Failure {
    let name = match error {
        ObjectError::NoStore(_) => DATA_LIMIT_EXCEEDED,
        _ => OBJECT_STORE_FAILED,
    };
    let reason = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Failure { error: name.to_owned(), cause: format!("`{task}`: {error}{reason}") }
}

/// How an execution ended that failed with this error.
fn outcome(error: &str) -> Outcome {
    match error {
        TIMEOUT | "Sandbox.Timedout" => Outcome::Timeout,
        "Runtime.OutOfMemory" => Outcome::OutOfMemory,
        "Runtime.ExitError" => Outcome::Crash,
        DATA_LIMIT_EXCEEDED => Outcome::Refused,
        error if error.starts_with("Lambda.") && error != "Lambda.Unknown" => Outcome::Refused,
        _ => Outcome::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_names_of_step_functions() {
        for (code, expect, ended) in [
            (Some("TooManyRequestsException"), "Lambda.TooManyRequestsException", Outcome::Refused),
            (Some("RequestTooLargeException"), "States.DataLimitExceeded", Outcome::Refused),
            (None, "Lambda.SdkClientException", Outcome::Refused),
        ] {
            let failure = refused(code, String::new());
            assert_eq!(failure.error, expect);
            assert_eq!(outcome(&failure.error), ended);
        }
        for (payload, expect, ended) in [
            (json!({"errorType": "ValueError"}), "ValueError", Outcome::Error),
            (json!({"errorType": "Runtime.ExitError"}), "Runtime.ExitError", Outcome::Crash),
            (json!({"errorType": "Sandbox.Timedout"}), "Sandbox.Timedout", Outcome::Timeout),
            (json!({"errorMessage": "no"}), "Lambda.Unknown", Outcome::Error),
            (json!("no"), "Lambda.Unknown", Outcome::Error),
        ] {
            let body = payload.to_string().into_bytes();
            let failure = function_failure(&payload, &body);
            assert_eq!((failure.error.as_str(), failure.cause), (expect, payload.to_string()));
            assert_eq!(outcome(expect), ended);
        }
    }
}
