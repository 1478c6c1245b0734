//! Asynchronous invocations: accepted at once, tried until they are over, and then told to a
//! destination.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;
use wire::function_name::FunctionName;

use crate::backend::Backend;
use crate::error::ApiError;
use crate::function::{LATEST, function_arn};
use crate::instance::{Answer, Invocation};
use crate::retries::{Attempt, Condition, Next, Retries};

/// Events accepted and not yet over at most.
const QUEUE: usize = 1_000;
/// Functions that one event may pass through by way of destinations, as on Lambda; so a circle of
/// them ends.
const MAX_HOPS: u32 = 16;

/// The events that a server has accepted.
#[derive(Debug)]
pub(crate) struct AsyncQueue {
    slots: Arc<Semaphore>,
    retry_delays: [Duration; 2],
}

impl AsyncQueue {
    pub(crate) fn new(retry_delays: [Duration; 2]) -> Self {
        Self { slots: Arc::new(Semaphore::new(QUEUE)), retry_delays }
    }

    /// A place for one more event.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let slots = Arc::clone(&self.slots);
        slots.try_acquire_owned().map_err(|_| ApiError::throttled("CallerRateLimitExceeded"))
    }
}

/// An asynchronous invocation.
#[derive(Debug)]
pub(crate) struct Event {
    /// Whom it is for; the version is found anew for every attempt.
    pub(crate) target: FunctionName,
    pub(crate) invocation: Invocation,
    /// Functions whose destinations led here.
    pub(crate) hops: u32,
}

/// What is known of the attempts at an event.
#[derive(Debug, Default)]
struct Attempts {
    /// Those that came as far as the function.
    count: u32,
    /// Version and answer of the last one of them.
    last: Option<(String, Answer)>,
}

impl Backend {
    /// Accepts an invocation that nobody waits for.
    pub(crate) fn invoke_async(self: &Arc<Self>, event: Event) -> Result<(), ApiError> {
        let slot = self.queue.admit()?;
        let backend = Arc::clone(self);
        self.tasks.spawn(async move {
            let closing = backend.closing.clone();
            closing.run_until_cancelled(backend.run_async(event)).await;
            drop(slot);
        });
        Ok(())
    }

    async fn run_async(self: Arc<Self>, event: Event) {
        let accepted = Instant::now();
        let mut retries = Retries::new(self.queue.retry_delays);
        let mut attempts = Attempts::default();
        loop {
            let attempt = self.attempt(&event, &mut attempts).await;
            let rules = self.registry.event_policy(&event.target).rules;
            match retries.after(attempt, accepted.elapsed(), &rules) {
                Next::Again(wait) => tokio::time::sleep(wait).await,
                Next::Over(condition) => return self.tell(&event, condition, &attempts),
                Next::Dropped => return,
            }
        }
    }

    async fn attempt(self: &Arc<Self>, event: &Event, attempts: &mut Attempts) -> Attempt {
        let version = match self.registry.route(&event.target) {
            Ok(version) => version,
            Err(error) => return Attempt::refused(&error),
        };
        let number = version.version.clone();
        match self.invoke(version, event.invocation.clone()).await {
            Ok(answer) => {
                let attempt = if answer.is_error { Attempt::Error } else { Attempt::Success };
                attempts.count += 1;
                attempts.last = Some((number, answer));
                attempt
            }
            Err(error) => Attempt::refused(&error),
        }
    }

    /// Tells the destination for this end, if there is one, what came of an event.
    fn tell(self: &Arc<Self>, event: &Event, condition: Condition, attempts: &Attempts) {
        let policy = self.registry.event_policy(&event.target);
        let target = match condition {
            Condition::Success => policy.on_success,
            _ => policy.on_failure,
        };
        let Some(target) = target else {
            return;
        };
        if event.hops >= MAX_HOPS {
            tracing::warn!(%target, "an event went through {MAX_HOPS} functions and ends here");
            return;
        }
        let qualifier = target.qualifier.as_ref().map(|q| format!(":{q}")).unwrap_or_default();
        let invocation = Invocation {
            request_id: Uuid::new_v4().to_string(),
            payload: record(event, condition, attempts).to_string().into(),
            trace_id: event.invocation.trace_id.clone(),
            client_context: None,
            function_arn: format!("{}{qualifier}", function_arn(&target.name)),
            wants_tail: false,
        };
        let told = self.invoke_async(Event { target, invocation, hops: event.hops + 1 });
        if let Err(error) = told {
            tracing::warn!(error = %error.message, "a destination was not told");
        }
    }
}

/// Lambda's record of an event that is over.
fn record(event: &Event, condition: Condition, attempts: &Attempts) -> Value {
    let qualifier = event.target.qualifier.as_deref().unwrap_or(LATEST);
    let mut record = json!({
        "version": "1.0",
        "timestamp": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "requestContext": {
            "requestId": event.invocation.request_id,
            "functionArn": format!("{}:{qualifier}", function_arn(&event.target.name)),
            "condition": condition.name(),
            "approximateInvokeCount": attempts.count,
        },
        "requestPayload": as_json(&event.invocation.payload),
    });
    if let Some((version, answer)) = &attempts.last {
        let mut context = json!({ "statusCode": 200, "executedVersion": version });
        if answer.is_error {
            context["functionError"] = json!("Unhandled");
        }
        record["responseContext"] = context;
        record["responsePayload"] = as_json(&answer.payload);
    }
    record
}

/// A payload as it stands in a record: a function may answer what is no JSON.
fn as_json(payload: &Bytes) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into())
}
