//! `fuseline invoke`: one request to the deployed workflow.

use optimizer::execution::Outcome;
use platform::command;
use platform::deploy::LIVE_ALIAS;
use platform::load::{self, Pace, Target};
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
    session::live(&endpoint, &project).await?;
    if arguments.payload.is_none() {
        command::prepare(&project, std::slice::from_ref(&request))
            .await
            .map_err(|error| CliError::failed("the request cannot be prepared", &error))?;
    }
    let target = Target {
        endpoint: &endpoint,
        function: &project.workflow.entry().0,
        qualifier: LIVE_ALIAS,
    };
    let pace = Pace::Closed { concurrency: 1 };
    let sent = load::send(target, &[request], pace, |_| {}).await.remove(0);
    render::json(&sent.answer)?;
    let latency_ms = sent.latency_us as f64 / 1000.0;
    render::talk(&format!("{latency_ms:.1} ms, request {}, trace {}", sent.request_id, sent.trace));
    match sent.outcome {
        Outcome::Ok => Ok(()),
        Outcome::Refused => Err(CliError::Failed {
            message: "the endpoint refused the request; what it said is above".into(),
            next_step: None,
        }),
        outcome => Err(CliError::Failed {
            message: format!("the workflow did not return what it should ({outcome:?})"),
            next_step: Some("its answer is above, its logs are in its log groups".into()),
        }),
    }
}
