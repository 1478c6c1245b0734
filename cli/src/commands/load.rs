//! `fuseline load`: load on the deployed workflow, and what it cost and how long it took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use optimizer::deployment::Deployment;
use optimizer::execution::Outcome;
use optimizer::measurement::Measurement;
use optimizer::price::PriceBook;
use optimizer::simulator::Load;
use optimizer::workflow::TaskName;
use platform::command;
use platform::events::{Observer, RunEvent};
use platform::load::{self, Pace, Target, Version};
use platform::observe;
use platform::project::Project;
use platform::rates::Rates;
use serde_json::json;

use crate::arguments::{Format, LoadArguments, Platform};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

pub(crate) async fn run(arguments: &LoadArguments) -> Result<(), CliError> {
    let target = &arguments.target;
    let project = session::load(&target.file)?;
    if target.platform == Platform::Sim {
        return simulate(arguments, &project);
    }
    if arguments.invoke_overhead.is_some() {
        return Err(CliError::usage(
            "--invoke-overhead: a server has its own",
            "say it to `fuseline local`, or use --platform sim",
        ));
    }
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
    if let Some(refusal) = sent.iter().find_map(session::refusal) {
        return Err(refusal);
    }
    let prices = project.prices();
    let tasks = project.tasks.keys();
    let logs = observe::logs(&endpoint, tasks, &sent, &progress)
        .await
        .map_err(|error| CliError::failed("the load was sent, but not measured", &error))?;
    let calls = logs.past_supervisor(&project.workflow, &deployment);
    if !calls.is_empty() {
        progress.on_event(RunEvent::PastSupervisor { calls: calls.clone() });
    }
    let rates = Rates::of(&project, prices.clone());
    let executions = observe::executions(&logs, &deployment, &sent, &project.workflow, &rates);
    let measurement = Measurement::of(&deployment, &executions, arguments.seed);
    print(&project, &prices, &measurement, &calls, target.format)
}

/// The workflow, unfused, in virtual time.
fn simulate(arguments: &LoadArguments, project: &Project) -> Result<(), CliError> {
    let LoadArguments { seed, requests, .. } = *arguments;
    let prices = project.prices();
    let overhead = arguments.invoke_overhead.unwrap_or_default();
    let simulation = session::simulation(project, prices.clone(), &overhead, seed)?;
    let load = match (arguments.rate, arguments.concurrency) {
        (Some(rate_per_second), _) => Load::Open { rate_per_second },
        (None, 1) => Load::Sequence,
        (None, clients) => Load::Closed { clients: usize::from(clients) },
    };
    let deployment = Deployment::unfused(&project.workflow);
    let requests = project.payloads.requests(seed, 0, requests);
    let executions = simulation.run(&deployment, load, requests);
    let measurement = Measurement::of(&deployment, &executions, seed);
    print(project, &prices, &measurement, &BTreeMap::new(), arguments.target.format)
}

fn print(
    project: &Project,
    prices: &PriceBook,
    measurement: &Measurement,
    past_supervisor: &BTreeMap<TaskName, usize>,
    format: Format,
) -> Result<(), CliError> {
    match format {
        Format::Json => render::json(&json!({
            "workflow": project.workflow.name(),
            "prices": prices.name,
            "measurement": measurement,
            "past_supervisor": past_supervisor,
        })),
        Format::Text => {
            let column = measurement.deployment.clone();
            render::result(&render::measurements(&[(&column, measurement)]))
        }
    }
}
