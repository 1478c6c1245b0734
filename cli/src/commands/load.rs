//! `fuseline load`: load on the deployed workflow, and what it cost and how long it took.

use std::sync::atomic::{AtomicU64, Ordering};

use optimizer::execution::Outcome;
use optimizer::measurement::Measurement;
use platform::command;
use platform::events::{Observer, RunEvent};
use platform::load::{self, Pace, Target, Version};
use platform::observe;
use serde_json::json;

use crate::arguments::{Format, LoadArguments};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &LoadArguments) -> Result<(), CliError> {
    let target = &arguments.target;
    let project = session::load(&target.file)?;
    let endpoint = session::endpoint(target).await?;
    let deployment = session::live(&endpoint, &project, target).await?;
    let requests = project.payloads.requests(arguments.seed, 0, arguments.requests);
    command::prepare(&project, &requests)
        .await
        .map_err(|error| CliError::failed("the requests cannot be prepared", &error))?;
    let progress = Progress::new();
    let (answered, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let pace = match arguments.rate {
        Some(rate_per_second) => Pace::Open { rate_per_second, seed: arguments.seed },
        None => Pace::Closed { concurrency: usize::from(arguments.concurrency) },
    };
    let to = Target { endpoint: &endpoint, project: &project, deployed: Version::Live };
    let sent = load::send(to, &requests, pace, |one| {
        let this = u64::from(one.outcome != Outcome::Ok);
        progress.on_event(RunEvent::Progress {
            answered: answered.fetch_add(1, Ordering::Relaxed) + 1,
            of: arguments.requests,
            failed: failed.fetch_add(this, Ordering::Relaxed) + this,
        });
    })
    .await
    .map_err(|error| CliError::failed("nothing was sent", &error))?;
    let prices = project.prices();
    let tasks = project.tasks.keys();
    let logs = observe::logs(&endpoint, tasks, &sent)
        .await
        .map_err(|error| CliError::failed("the load was sent, but not measured", &error))?;
    let calls = logs.past_supervisor(&project.workflow, &deployment);
    if !calls.is_empty() {
        progress.on_event(RunEvent::PastSupervisor { calls: calls.clone() });
    }
    let executions = observe::executions(&logs, &deployment, &sent, &project.workflow, &prices);
    let measurement = Measurement::of(&deployment, &executions, arguments.seed);
    match target.format {
        Format::Json => render::json(&json!({
            "workflow": project.workflow.name(),
            "prices": prices.name,
            "measurement": measurement,
            "past_supervisor": calls,
        })),
        Format::Text => {
            let column = measurement.deployment.clone();
            render::result(&render::measurements(&[(&column, &measurement)]))
        }
    }
}
