//! `fuseline invoke`: one request to the deployed workflow.

use optimizer::execution::Outcome;
use platform::command;
use platform::load::{self, Pace, Target, Version};
use platform::payload::Request;

use crate::arguments::InvokeArguments;
use crate::error::CliError;
use crate::{render, session};

pub(crate) async fn run(arguments: &InvokeArguments) -> Result<(), CliError> {
    let project = session::load(&arguments.target.file)?;
    let request = match &arguments.payload {
        None => project.payloads.requests(arguments.seed, 0, 1).remove(0),
        Some(text) => Request::any(serde_json::from_str(text).map_err(|error| {
            CliError::usage(
                format!("--payload is no JSON: {error}"),
                "quote it for the shell, such as --payload '{\"orderId\": \"1\"}'",
            )
        })?),
    };
    let endpoint = session::endpoint(&arguments.target).await?;
    session::live(&endpoint, &project, &arguments.target).await?;
    if arguments.payload.is_none() {
        command::prepare(&project, std::slice::from_ref(&request))
            .await
            .map_err(|error| CliError::failed("the request cannot be prepared", &error))?;
    }
    let target = Target { endpoint: &endpoint, project: &project, deployed: Version::Live };
    let pace = Pace::Closed { concurrency: 1 };
    let sent = load::send(target, &[request], pace, |_| {})
        .await
        .map_err(|error| CliError::failed("the request was not sent", &error))?
        .remove(0);
    render::json(&sent.answer)?;
    let latency_ms = sent.latency_us as f64 / 1000.0;
    let what = match &sent.attempts {
        None => format!("request {}", sent.request_id),
        Some(attempts) => format!("{} invocations", attempts.len()),
    };
    render::talk(&format!("{latency_ms:.1} ms, {what}, trace {}", sent.trace));
    for attempt in sent.attempts.iter().flatten() {
        let from_ms = attempt.start_us.saturating_sub(sent.start_us) as f64 / 1000.0;
        render::talk(&format!(
            "  {}: {:?} after {:.1} ms, from {from_ms:.1} ms, request {}",
            attempt.step,
            attempt.outcome,
            attempt.duration_us as f64 / 1000.0,
            attempt.request_id,
        ));
    }
    match sent.outcome {
        Outcome::Ok => Ok(()),
        Outcome::Refused => Err(session::refusal(&sent).unwrap_or(CliError::Failed {
            message: "the endpoint refused the request; what it said is above".into(),
            next_step: None,
        })),
        outcome => Err(CliError::Failed {
            message: format!("the workflow did not return what it should ({outcome:?})"),
            next_step: Some("its answer is above, its logs are in its log groups".into()),
        }),
    }
}
