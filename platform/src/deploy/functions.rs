//! Brings one function to what is wanted and publishes it.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{EnvironmentResponse, LastUpdateStatus, State};
use optimizer::gate::Architecture;
use optimizer::workflow::TaskName;

use super::{DeployError, Deployer, WORKFLOW_VARIABLE, Wanted, refused};
use crate::change::{
    Change, Code, FileSystem, FunctionSettings, Network, Object, Storage, versions,
};
use crate::journal::Undo;
use crate::package_form::{PackageForm, WRAPPER};

/// Longest wait for a function to become active or updated.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// First pause between two looks at a function that is not settled; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A function as it is.
pub(super) type Existing = GetFunctionConfigurationOutput;

impl Deployer<'_> {
    /// Brings a function to what is wanted and publishes it; returns the version.
    pub(super) async fn publish(
        &self,
        wanted: &Wanted<'_>,
        created: &mut Vec<String>,
    ) -> Result<String, DeployError> {
        let package = Box::pin(self.package(wanted.task, wanted.inlined)).await?;
        let name = wanted.task.0.as_str();
        let settled = match self.existing(name).await? {
            None => {
                created.push(name.to_owned());
                self.create(wanted, package).await?
            }
            Some(existing) => self.update(wanted, &package, &existing).await?,
        };
        self.publish_as_it_is(name, &settled, None).await
    }

    /// Publishes a function's unpublished state; the endpoint may give the version that it published last, if
    /// nothing changed.
    pub(super) async fn publish_as_it_is(
        &self,
        name: &str,
        settled: &Existing,
        description: Option<String>,
    ) -> Result<String, DeployError> {
        let after = self.newest_version(name).await?;
        let change = Change::PublishVersion {
            function_name: name.to_owned(),
            code_sha256: settled.code_sha256().unwrap_or_default().to_owned(),
            description,
            after,
        };
        let undo = Undo::DeleteVersions { function: name.to_owned(), after };
        let revision = settled.revision_id();
        let answer = self.changes.make(self.endpoint, &change, revision, Some(undo)).await?;
        Ok(answer.version.unwrap_or_else(|| "$LATEST".to_owned()))
    }

    async fn newest_version(&self, name: &str) -> Result<u64, DeployError> {
        if self.changes.is_dry() {
            return Ok(0);
        }
        let known = versions(&self.endpoint.lambda, name).await.map_err(|failure| {
            let (step, function) = ("listing of the versions", name.to_owned());
            DeployError::Refused { step, function, message: failure.message }
        })?;
        Ok(known.last().map_or(0, |(number, _)| *number))
    }

    /// Brings a function that is there to what is wanted, unpublished.
    pub(super) async fn update(
        &self,
        wanted: &Wanted<'_>,
        package: &Code,
        existing: &Existing,
    ) -> Result<Existing, DeployError> {
        let name = wanted.task.0.as_str();
        let kept = self.keep(wanted.task, existing).await?;
        // The unpublished versions are no longer what sizes were tried on.
        self.sizes.lock().expect("not poisoned").take();
        let undo = kept.map(|version| Undo::Latest { function: name.to_owned(), version });
        let mut settled = existing.clone();
        if undo.is_some() {
            // Publishing the version that is kept has changed its revision.
            settled = self.existing(name).await?.unwrap_or(settled);
        }
        if settled.code_sha256() != Some(package.sha256()) {
            let function_name = name.to_owned();
            let code = self.placed(name, package.clone()).await?;
            let change = Change::UpdateFunctionCode { function_name, code };
            settled = self.make_and_settle(&change, &settled, undo.clone()).await?;
        }
        let settings = Box::new(match undo {
            Some(_) => self.adopted_settings(wanted, &settled, &undo).await?,
            None => self.settings(wanted).await?,
        });
        let change =
            Change::UpdateFunctionConfiguration { function_name: name.to_owned(), settings };
        self.make_and_settle(&change, &settled, undo).await
    }

    /// Makes a change of a function that is settled, and waits until it is again.
    pub(super) async fn make_and_settle(
        &self,
        change: &Change,
        settled: &Existing,
        undo: Option<Undo>,
    ) -> Result<Existing, DeployError> {
        self.changes.make(self.endpoint, change, settled.revision_id(), undo).await?;
        let name = change.function();
        let code = match change {
            Change::CreateFunction { code, .. } | Change::UpdateFunctionCode { code, .. } => {
                Some(code)
            }
            _ => None,
        };
        if self.changes.is_dry() {
            if let Some(code) = code {
                let sha256 = code.sha256().to_owned();
                self.pretended.lock().expect("not poisoned").insert(name.to_owned(), sha256);
            }
            return Ok(self
                .pretend(name, settled.environment())
                .unwrap_or_else(|| settled.clone()));
        }
        let settled = self.settled(change.step(), name).await?;
        match code {
            // Anybody who may write there could have put something else in its place.
            Some(Code::Object { object, sha256 }) if settled.code_sha256() != Some(sha256) => {
                let Object { bucket, key } = object;
                let message = format!(
                    "s3://{bucket}/{key} holds something else than it is named for; delete it and run the command again"
                );
                Err(DeployError::Code { function: name.to_owned(), message })
            }
            _ => Ok(settled),
        }
    }

    /// The function as it is once nothing about it is pending; none if there is none. In a dry run, as it would be.
    pub(super) async fn existing(&self, name: &str) -> Result<Option<Existing>, DeployError> {
        let found = self.endpoint.lambda.get_function_configuration().function_name(name);
        let found = match found.send().await {
            Ok(found) if is_pending(&found) => self.settled("update", name).await?,
            Ok(found) => found,
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                return Ok(self.pretend(name, None));
            }
            Err(error) => return Err(refused("look-up", name)(error)),
        };
        let pretended = self.pretended.lock().expect("not poisoned").get(name).cloned();
        Ok(Some(match pretended {
            Some(sha256) => {
                let mut found = found;
                found.code_sha256 = Some(sha256);
                found
            }
            None => found,
        }))
    }

    /// A function after a dry run's calls.
    fn pretend(&self, name: &str, environment: Option<&EnvironmentResponse>) -> Option<Existing> {
        let sha256 = self.pretended.lock().expect("not poisoned").get(name).cloned()?;
        let workflow = self.project.workflow.name();
        let environment = environment.cloned().unwrap_or_else(|| {
            EnvironmentResponse::builder().variables(WORKFLOW_VARIABLE, workflow).build()
        });
        Some(Existing::builder().code_sha256(sha256).environment(environment).build())
    }

    /// Whether a function is this workflow's.
    pub(super) fn is_ours(&self, configuration: &Existing) -> bool {
        let workflow = self.project.workflow.name();
        variable(configuration.environment(), WORKFLOW_VARIABLE) == Some(workflow)
    }

    /// What the file and the deployment say of the function.
    async fn settings(&self, wanted: &Wanted<'_>) -> Result<FunctionSettings, DeployError> {
        let task = &self.project.tasks[wanted.task];
        let mut variables = wanted.environment.clone();
        // The safety gate has seen to it that its other tasks need no more.
        let mut layers = task.configuration.layers.clone();
        self.add_wrapper(wanted, &mut variables, &mut layers).await?;
        let is_image = matches!(wanted.form, PackageForm::Image { .. });
        let configuration = &task.configuration;
        let vpc = configuration.vpc.clone();
        let widened = self.widened.lock().expect("not poisoned").get(wanted.task).cloned();
        let settings = FunctionSettings {
            runtime: wanted.form.runtime().map(str::to_owned),
            role: widened.or_else(|| task.role.clone()),
            // An image has neither.
            handler: (!is_image).then(|| task.handler.clone()),
            layers: (!is_image).then_some(layers),
            description: Some(self.description(wanted)),
            memory_size: Some(wanted.resources.memory.0 as i32),
            timeout: Some((task.timeout_ms / 1000) as i32),
            file_system_configs: self.file_systems(wanted.task),
            // None takes it out of every network.
            vpc_config: Some(Network {
                subnet_ids: vpc.subnet_ids,
                security_group_ids: vpc.security_group_ids,
            }),
            ephemeral_storage: Some(Storage {
                size: i32::try_from(configuration.ephemeral_storage_mb).unwrap_or(i32::MAX),
            }),
            ..FunctionSettings::default()
        };
        Ok(settings.with_environment(variables))
    }

    /// Has a managed runtime started by the supervisor.
    pub(super) async fn add_wrapper(
        &self,
        wanted: &Wanted<'_>,
        variables: &mut BTreeMap<String, String>,
        layers: &mut Vec<String>,
    ) -> Result<(), DeployError> {
        if let PackageForm::ManagedRuntime { .. } = wanted.form {
            let (name, path) = WRAPPER;
            variables.insert(name.to_owned(), path.to_owned());
            layers.push(self.layer().await?.to_owned());
        }
        Ok(())
    }

    async fn create(&self, wanted: &Wanted<'_>, package: Code) -> Result<Existing, DeployError> {
        let task = &self.project.tasks[wanted.task];
        let name = wanted.task.0.clone();
        let architecture = match task.configuration.architecture {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
        };
        let settings = self.settings(wanted).await?;
        let role = match &settings.role {
            Some(role) => role.clone(),
            None => self.stand_in_role().await?.to_owned(),
        };
        let settings = FunctionSettings {
            role: Some(role),
            architectures: Some(vec![architecture.to_owned()]),
            ..settings
        };
        let change = Change::CreateFunction {
            function_name: name.clone(),
            settings: Box::new(settings),
            code: self.placed(&wanted.task.0, package).await?,
        };
        let nothing = Existing::builder().build();
        let undo = Undo::DeleteFunction { function: name };
        self.make_and_settle(&change, &nothing, Some(undo)).await
    }

    /// Reserves the concurrency that the task asks for. What is reserved otherwise is left alone: the
    /// file does not speak of it.
    pub(super) async fn reserve(&self, task: &TaskName) -> Result<(), DeployError> {
        let configuration = &self.project.tasks[task].configuration;
        let Some(reserved) = configuration.reserved_concurrency else { return Ok(()) };
        let wanted = i32::try_from(reserved).unwrap_or(i32::MAX);
        let name = task.0.as_str();
        let found =
            self.endpoint.lambda.get_function_concurrency().function_name(name).send().await;
        let reserved = match found {
            Ok(found) => found.reserved_concurrent_executions(),
            // A dry run's function may not be there.
            Err(error) if error.code() == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(refused("look-up of the concurrency", name)(error)),
        };
        if reserved == Some(wanted) {
            return Ok(());
        }
        let change = Change::PutFunctionConcurrency {
            function_name: name.to_owned(),
            reserved_concurrent_executions: wanted,
        };
        let undo = Undo::Concurrency { function: name.to_owned(), reserved };
        self.changes.make(self.endpoint, &change, None, Some(undo)).await.map(drop)
    }

    /// Waits until a function is active and its last update is through.
    pub(super) async fn settled(
        &self,
        step: &'static str,
        name: &str,
    ) -> Result<Existing, DeployError> {
        let failed = |message: String| {
            let function = name.to_owned();
            DeployError::Refused { step, function, message }
        };
        let started = tokio::time::Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let found = self.endpoint.lambda.get_function_configuration().function_name(name);
            match found.send().await {
                Ok(found) if is_pending(&found) => {}
                Ok(found) => {
                    let state = found.state() == Some(&State::Failed);
                    let update = found.last_update_status() == Some(&LastUpdateStatus::Failed);
                    if !state && !update {
                        return Ok(found);
                    }
                    let update = found.last_update_status_reason();
                    let reason = update.or_else(|| found.state_reason()).unwrap_or_default();
                    return Err(failed(reason.to_owned()));
                }
                // It may take a moment until a new function is known everywhere.
                Err(error) if error.code() == Some("ResourceNotFoundException") => {}
                Err(error) => return Err(refused(step, name)(error)),
            }
            if started.elapsed() > SETTLE_LIMIT {
                let seconds = SETTLE_LIMIT.as_secs();
                return Err(failed(format!("it did not settle within {seconds} s")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn description(&self, wanted: &Wanted<'_>) -> String {
        let mut text =
            format!("Fuseline, workflow {}: {}", self.project.workflow.name(), wanted.task);
        if !wanted.inlined.is_empty() {
            let inlined: Vec<&str> = wanted.inlined.iter().map(|task| task.0.as_str()).collect();
            text.push_str(&format!(" with {} inlined", inlined.join(", ")));
        }
        // Lambda takes 256 characters.
        text.chars().take(256).collect()
    }

    /// The task's own, and on the local backend the folders that are shared with it.
    fn file_systems(&self, task: &TaskName) -> Option<Vec<FileSystem>> {
        let own = self.project.tasks[task].configuration.file_systems.iter();
        let own = own.map(|system| FileSystem {
            arn: system.arn.clone(),
            local_mount_path: system.local_mount_path.clone(),
        });
        let directories = self.project.local_directories.iter().filter(|_| self.is_local);
        let shared = directories.map(|directory| {
            let path = directory.display().to_string();
            FileSystem { arn: format!("file://{path}"), local_mount_path: path }
        });
        let configs: Vec<_> = own.chain(shared).collect();
        (!configs.is_empty()).then_some(configs)
    }
}

fn is_pending(found: &Existing) -> bool {
    found.state() == Some(&State::Pending)
        || found.last_update_status() == Some(&LastUpdateStatus::InProgress)
}

/// A function's variable.
pub(super) fn variable<'e>(
    environment: Option<&'e EnvironmentResponse>,
    name: &str,
) -> Option<&'e str> {
    environment?.variables()?.get(name).map(String::as_str)
}
