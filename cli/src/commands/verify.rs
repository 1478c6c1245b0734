//! `fuseline verify`: whether a fused deployment answers like the unfused one.

use optimizer::deployment::Deployment;
use platform::deploy::Deployer;
use platform::endpoint::Endpoint;
use platform::events::{Observer, RunEvent};
use platform::project::Project;
use platform::verify::{self, Payloads, Report, Verifier};

use crate::arguments::{Format, Platform, VerifyArguments};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// Requests of each template, and recorded ones, unless asked otherwise.
const OF_EACH_TEMPLATE: u32 = 5;
const RECORDED: u32 = 100;

pub(crate) async fn run(arguments: &VerifyArguments) -> Result<(), CliError> {
    let project = session::load_to_deploy(&arguments.target.file)?;
    let fused = match &arguments.deployment {
        Some(text) => session::deployment(&project.workflow, "--deployment", text)?,
        None => verify::all_synchronous_fused(&project.workflow),
    };
    let given = match &arguments.payloads {
        Some(file) => Some(Payloads::Given {
            bodies: verify::read_file(file)?,
            from: format!("{}", file.display()),
        }),
        None => None,
    };
    if arguments.recorded && project.workflow.flow().is_some() {
        return Err(CliError::usage(
            "--recorded: what the functions of an orchestrated workflow record are not its requests",
            "name requests with --payloads, or leave it out to have the templates' sent",
        ));
    }
    let progress = Progress::new();
    let job = Job { arguments, project: &project, fused: &fused, progress: &progress };
    // What was recorded is in the logs of functions that are deployed already.
    let elsewhere =
        arguments.target.endpoint.is_some() || arguments.target.platform == Platform::Aws;
    let report = if elsewhere || arguments.recorded {
        job.at_endpoint(given).await?
    } else {
        job.on_own_server(given).await?
    };
    match arguments.target.format {
        Format::Json => render::json(&report)?,
        Format::Text => render::result(&render::verification(&report))?,
    }
    if report.equal {
        return Ok(());
    }
    let mut requests: Vec<usize> = report.differences.iter().map(|one| one.request).collect();
    requests.dedup();
    Err(CliError::Failed {
        message: format!(
            "{} answers {} of {} requests differently",
            report.deployments[1],
            requests.len(),
            report.requests
        ),
        next_step: Some(
            "do not fuse it so, or name fields that may differ with --ignore; docs/VERIFY.md says \
             how to read them"
                .into(),
        ),
    })
}

/// One verification, wherever it runs.
struct Job<'a> {
    arguments: &'a VerifyArguments,
    project: &'a Project,
    fused: &'a Deployment,
    progress: &'a Progress,
}

impl Job<'_> {
    /// At an endpoint that goes on afterwards, with every task as a function of its own.
    async fn at_endpoint(&self, given: Option<Payloads>) -> Result<Report, CliError> {
        session::check_images(self.project, self.fused, &self.arguments.target)?;
        let endpoint = session::endpoint(&self.arguments.target).await?;
        let payloads = match given {
            Some(given) => given,
            None if self.arguments.recorded => self.recorded(&endpoint).await?,
            None => self.templates(),
        };
        session::build(self.project, &self.arguments.target, self.progress).await?;
        let work = async |deployer: &Deployer<'_>| {
            self.verify(&endpoint, deployer, &payloads, self.arguments.record_payloads).await
        };
        let left = "they were verified";
        session::leaving_unfused(&endpoint, self.project, &self.arguments.target, left, work).await
    }

    /// On a server that is started for it and removed with all it started, whatever happens.
    async fn on_own_server(&self, given: Option<Payloads>) -> Result<Report, CliError> {
        let payloads = given.unwrap_or_else(|| self.templates());
        session::build(self.project, &self.arguments.target, self.progress).await?;
        let (backend, seed) = (&self.arguments.backend, self.arguments.seed);
        session::on_own_server(backend, seed, self.progress, async |server| {
            let endpoint = Endpoint::at(&server.endpoint()).await;
            // The logs go with the server, so they may hold payloads.
            let deployer = session::deployer(&endpoint, self.project, &self.arguments.target)?;
            self.verify(&endpoint, &deployer, &payloads, true).await
        })
        .await
    }

    async fn verify(
        &self,
        endpoint: &Endpoint,
        deployer: &Deployer<'_>,
        payloads: &Payloads,
        recording: bool,
    ) -> Result<Report, CliError> {
        let recorder = deployer.recording_payloads();
        let deployer = if recording { &recorder } else { deployer };
        let stopped = |error| CliError::failed("the verification stopped", &error);
        let tasks = self.project.tasks.len();
        self.progress.on_event(RunEvent::Deploying { tasks });
        deployer.deploy_tasks().await.map_err(|error| stopped(error.into()))?;
        let verifier =
            Verifier { endpoint, project: self.project, deployer, observer: self.progress };
        let unfused = Deployment::unfused(&self.project.workflow);
        let ignore = &self.arguments.ignore;
        verifier.verify(&unfused, self.fused, payloads, ignore).await.map_err(stopped)
    }

    fn templates(&self) -> Payloads {
        let each = self.arguments.requests.unwrap_or(OF_EACH_TEMPLATE);
        Payloads::Templates { each, seed: self.arguments.seed }
    }

    async fn recorded(&self, endpoint: &Endpoint) -> Result<Payloads, CliError> {
        let limit = self.arguments.requests.unwrap_or(RECORDED) as usize;
        let bodies = verify::recorded(endpoint, self.project, limit)
            .await
            .map_err(|error| CliError::failed("recorded payloads cannot be read", &error))?;
        if bodies.is_empty() {
            return Err(CliError::Failed {
                message: format!(
                    "{} has recorded no payload at {}",
                    self.project.workflow.name(),
                    endpoint.url
                ),
                next_step: Some(
                    "deploy it with `fuseline deploy --record-payloads` and let it serve requests"
                        .into(),
                ),
            });
        }
        Ok(Payloads::Given { from: format!("{} recorded payloads", bodies.len()), bodies })
    }
}
