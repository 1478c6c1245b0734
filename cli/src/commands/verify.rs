//! `fuseline verify`: whether a fused deployment answers like the unfused one.

use optimizer::deployment::Deployment;
use platform::deploy::Deployer;
use platform::endpoint::Endpoint;
use platform::events::{Observer, RunEvent};
use platform::project::Project;
use platform::verify::{self, Payloads, Report, Verifier};

use crate::arguments::{Format, VerifyArguments};
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
    let progress = Progress::new();
    let job = Job { arguments, project: &project, fused: &fused, progress: &progress };
    // What was recorded is in the logs of functions that are deployed already.
    let report = if arguments.target.endpoint.is_some() || arguments.recorded {
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
        let endpoint = session::endpoint(&self.arguments.target).await?;
        let payloads = match given {
            Some(given) => given,
            None if self.arguments.recorded => self.recorded(&endpoint).await?,
            None => self.templates(),
        };
        session::build(self.project, self.progress).await?;
        let interrupted = session::interrupted();
        let recording = self.arguments.record_payloads;
        tokio::select! {
            report = self.verify(&endpoint, &payloads, recording) => {
                let put_back = self.put_back(&endpoint).await;
                // What stopped the verification says more than that it could not be tidied up.
                let report = report?;
                put_back?;
                Ok(report)
            }
            () = interrupted => {
                self.put_back(&endpoint).await?;
                Err(CliError::Interrupted {
                    message: "the functions are deployed unfused, the alias `live` was not moved"
                        .into(),
                })
            }
        }
    }

    /// On a server that is started for it and removed with all it started, whatever happens.
    async fn on_own_server(&self, given: Option<Payloads>) -> Result<Report, CliError> {
        let payloads = given.unwrap_or_else(|| self.templates());
        session::build(self.project, self.progress).await?;
        let interrupted = session::interrupted();
        let backend = &self.arguments.backend;
        let server = session::start_own_server(backend, self.arguments.seed).await?;
        let sandbox = session::sandbox_line(server.sandbox());
        self.progress.line(&format!("local backend: sandbox {sandbox}"));
        let endpoint = Endpoint::at(&server.endpoint()).await;
        let result = tokio::select! {
            // The logs go with the server, so they may hold payloads.
            report = self.verify(&endpoint, &payloads, true) => report,
            () = interrupted => {
                let message = "everything that was started is removed".into();
                Err(CliError::Interrupted { message })
            }
        };
        server.shutdown().await;
        result
    }

    async fn verify(
        &self,
        endpoint: &Endpoint,
        payloads: &Payloads,
        recording: bool,
    ) -> Result<Report, CliError> {
        let mut deployer = self.deployer(endpoint)?;
        if recording {
            deployer = deployer.recording_payloads();
        }
        let stopped = |error| CliError::failed("the verification stopped", &error);
        let tasks = self.project.tasks.len();
        self.progress.on_event(RunEvent::Deploying { tasks });
        deployer.deploy_tasks().await.map_err(|error| stopped(error.into()))?;
        let verifier = Verifier {
            endpoint,
            project: self.project,
            deployer: &deployer,
            observer: self.progress,
        };
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

    /// Leaves a server that goes on with every task as a function of its own.
    async fn put_back(&self, endpoint: &Endpoint) -> Result<(), CliError> {
        self.deployer(endpoint)?.deploy_tasks().await.map_err(|error| {
            CliError::failed("the functions are left as they were verified", &error)
                .or_try("put them back with `fuseline deploy`")
        })
    }

    fn deployer<'a>(&'a self, endpoint: &'a Endpoint) -> Result<Deployer<'a>, CliError> {
        let local = self.arguments.target.endpoint_is_local();
        Ok(Deployer::new(endpoint, self.project, session::supervisor()?, local))
    }
}
