//! Sends load: requests in a closed loop (so many at a time) or an open one (so many per second).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use optimizer::execution::Outcome;
use optimizer::flow::StepName;
use optimizer::workflow::TaskName;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::deploy::{Deployed, LIVE_ALIAS};
use crate::endpoint::Endpoint;
use crate::invocation::{Invocation, Reply, function_error, invoke};
use crate::objects::ObjectError;
use crate::orchestrate::Orchestrator;
use crate::payload::Request;
use crate::project::Project;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The next request is sent when one of `concurrency` has been answered.
    Closed {
        /// Requests under way at the same time, at least 1.
        concurrency: usize,
    },
    /// Requests are sent at random (Poisson) times, however long answers take.
    Open {
        /// Mean requests per second, above 0.
        rate_per_second: f64,
        /// Seed of the times.
        seed: u64,
    },
}

/// Requests under way at the same time in an open loop, at most; beyond it requests are late.
const OPEN_LOOP_LIMIT: usize = 1000;

/// A request that was sent, with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Root of the trace id that it carried.
    pub trace: String,
    /// Request id of the entry's invocation; empty if it was refused, or if an orchestrator ran the
    /// workflow.
    pub request_id: String,
    /// What the orchestrator did, in the order of the start; none if the entry was invoked.
    pub attempts: Option<Vec<Attempt>>,
    /// When it was sent, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// Until the last byte of its answer, in microseconds.
    pub latency_us: u64,
    /// How it ended. A wrong answer counts as an error.
    pub outcome: Outcome,
    /// HTTP status of the answer; 0 if there was none, or if the orchestrator ended with a failure.
    pub status: u16,
    /// `X-Amz-Function-Error` of the answer, or the name of the orchestrator's failure.
    pub function_error: Option<String>,
    /// What was answered: the result, the function error, or what the service or the orchestrator said.
    /// Null if it was not JSON.
    pub answer: Value,
    /// What was answered, if it was not JSON.
    pub not_json: Option<Vec<u8>>,
}

/// An attempt of an orchestrator to run a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Step or state.
    pub step: StepName,
    /// Its task.
    pub task: TaskName,
    /// Request id of the invocation, empty if there was none.
    pub request_id: String,
    /// When it was started, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// Until the orchestrator had the answer or did not wait for it any more, in microseconds.
    pub duration_us: u64,
    /// How it ended, as far as the orchestrator knows.
    pub outcome: Outcome,
}

impl Sent {
    /// Request ids of all invocations that were made for it from outside of functions.
    pub fn request_ids(&self) -> impl Iterator<Item = &str> {
        let attempts = self.attempts.iter().flatten().map(|attempt| &attempt.request_id);
        let all = std::iter::once(&self.request_id).chain(attempts).map(String::as_str);
        all.filter(|request| !request.is_empty())
    }
}

impl Sent {
    /// What the service or the orchestrator said, if the request was not executed.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let said = |key: &str| self.answer[key].as_str();
        let message = said("message").or_else(|| said("Cause"));
        message.filter(|_| self.outcome == Outcome::Refused)
    }
}

/// Why nothing could be sent. That requests fail is a result, not an error.
#[derive(Debug, thiserror::Error)]
#[error("the workflow cannot be run")]
pub struct LoadError(#[source] ObjectError);

/// Where requests go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Project.
    pub project: &'a Project,
    /// Which of its deployments.
    pub deployed: Version<'a>,
}

/// A deployment that requests go to.
#[derive(Clone, Copy, Debug)]
pub enum Version<'a> {
    /// What production calls.
    Live,
    /// This one.
    Of(&'a Deployed),
}

impl Target<'_> {
    /// Version or alias of a task's function.
    pub(crate) fn qualifier(&self, task: &TaskName) -> &str {
        match self.deployed {
            Version::Live => LIVE_ALIAS,
            Version::Of(deployed) => deployed.version(task),
        }
    }
}

/// Sends the requests and returns them in their order. `on_sent` is told of each as it is
/// answered.
///
/// # Errors
/// If the store for large data cannot be used.
pub async fn send(
    target: Target<'_>,
    requests: &[Request],
    pace: Pace,
    on_sent: impl Fn(&Sent),
) -> Result<Vec<Sent>, LoadError> {
    let receiver = Arc::new(Receiver::new(target).await.map_err(LoadError)?);
    let (slots, mut schedule) = match pace {
        Pace::Closed { concurrency } => (concurrency.max(1), None),
        Pace::Open { rate_per_second, seed } => {
            (OPEN_LOOP_LIMIT, Some((rate_per_second, StdRng::seed_from_u64(seed))))
        }
    };
    let slots = Arc::new(Semaphore::new(slots));
    let mut tasks = tokio::task::JoinSet::new();
    let mut sent: Vec<Option<Sent>> = vec![None; requests.len()];
    let mut at = tokio::time::Instant::now();
    let mut keep = |done: Result<(usize, Sent), tokio::task::JoinError>| {
        if let Ok((number, one)) = done {
            on_sent(&one);
            sent[number] = Some(one);
        }
    };
    for (number, request) in requests.iter().enumerate() {
        if let Some((rate_per_second, rng)) = &mut schedule {
            // Exponential gaps make a Poisson process.
            let gap = -(1.0 - rng.random::<f64>()).ln() / *rate_per_second;
            at += Duration::from_secs_f64(gap);
            tokio::time::sleep_until(at).await;
        }
        let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
        while let Some(done) = tasks.try_join_next() {
            keep(done);
        }
        let (receiver, request) = (Arc::clone(&receiver), request.clone());
        tasks.spawn(async move {
            let one = receiver.send(&request).await;
            drop(slot);
            (number, one)
        });
    }
    while let Some(done) = tasks.join_next().await {
        keep(done);
    }
    Ok(sent.into_iter().flatten().collect())
}

/// What requests are sent to.
enum Receiver {
    /// The entry's function: the workflow runs itself.
    Function { client: aws_sdk_lambda::Client, function: String, qualifier: String },
    /// The orchestrator of its flow.
    Orchestrator(Arc<Orchestrator>),
}

impl Receiver {
    async fn new(target: Target<'_>) -> Result<Self, ObjectError> {
        let workflow = &target.project.workflow;
        match workflow.flow() {
            Some(flow) => Ok(Self::Orchestrator(Arc::new(Orchestrator::new(target, flow).await?))),
            None => Ok(Self::Function {
                client: target.endpoint.lambda.clone(),
                function: workflow.entry().0.clone(),
                qualifier: target.qualifier(workflow.entry()).to_owned(),
            }),
        }
    }

    async fn send(&self, request: &Request) -> Sent {
        match self {
            Self::Orchestrator(orchestrator) => Arc::clone(orchestrator).execute(request).await,
            Self::Function { client, function, qualifier } => {
                let trace = new_trace();
                let payload = request.body.to_string().into_bytes();
                let invocation = invoke(client, function, qualifier, payload, &trace).await;
                sent(trace, invocation, request)
            }
        }
    }
}

/// What came of a request to the entry's function.
fn sent(trace: String, invocation: Invocation, request: &Request) -> Sent {
    let mut sent = Sent {
        trace,
        request_id: String::new(),
        attempts: None,
        start_us: invocation.start_us,
        latency_us: invocation.duration_us,
        outcome: Outcome::Refused,
        status: invocation.status,
        function_error: None,
        answer: Value::Null,
        not_json: None,
    };
    match invocation.reply {
        Reply::Answered { request_id, function_error: error, body } => {
            match serde_json::from_slice(&body) {
                Ok(answer) => sent.answer = answer,
                Err(_) => sent.not_json = Some(body),
            }
            sent.outcome = match &error {
                Some(_) => function_error(&sent.answer),
                None if request.accepts(&sent.answer) => Outcome::Ok,
                None => Outcome::Error,
            };
            sent.function_error = error;
            sent.request_id = request_id;
        }
        Reply::Refused { code, message } => {
            let code = code.unwrap_or_else(|| "NoAnswer".to_owned());
            sent.answer = serde_json::json!({ "code": code, "message": message });
        }
    }
    sent
}

/// A new root of a trace id: version, seconds since the epoch and 96 random bits.
pub(crate) fn new_trace() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("1-{:08x}-{}", unix_us() / 1_000_000, &random[..24])
}

/// Now, in microseconds since the Unix epoch.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_x_ray_roots_and_differ() {
        let (one, two) = (new_trace(), new_trace());
        assert_ne!(one, two);
        let parts: Vec<&str> = one.split('-').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("1", 8, 24));
    }
}
