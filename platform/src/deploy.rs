//! Deploys: functions, versions and the alias that production calls.
//!
//! Every function of a deployment is published as a version, callees before callers, and each
//! version pins the versions of the functions it calls. So a version of the entry's function *is*
//! a deployment: two of them can be driven at the same time, and going back means moving one alias.

mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_lambda::client::Waiters;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    self, EphemeralStorage, FileSystemConfig, FunctionCode, LayerVersionContentInput, VpcConfig,
};
use indexmap::IndexMap;
use optimizer::deployment::{Deployment, Function};
use optimizer::gate::Configuration;
use optimizer::space::ResourceSpace;
use optimizer::units::Resources;
use optimizer::workflow::TaskName;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use wire::manifest::{INLINED_VARIABLE, ROUTES_VARIABLE};
use wire::payload::RECORD_PAYLOADS_VARIABLE;

use crate::bundle::{BundleError, bundle, supervisor_layer};
use crate::endpoint::Endpoint;
use crate::package_form::{PackageForm, WRAPPER};
use crate::project::{Architecture, Project};

/// Alias of the functions that production calls.
pub const LIVE_ALIAS: &str = "live";
/// Variable that marks a function as ours and says which workflow it belongs to.
const WORKFLOW_VARIABLE: &str = "FUSELINE_WORKFLOW";
/// Variable whose change makes a new version, with new instances, of the same code.
const GENERATION_VARIABLE: &str = "FUSELINE_GENERATION";
/// Variable that gives a function of the local backend another vCPU than goes with its memory.
pub(crate) const VCPU_VARIABLE: &str = "FUSELINE_VCPU";
/// Role named where the workflow file names none; endpoints other than AWS check none.
const NO_ROLE: &str = "arn:aws:iam::000000000000:role/fuseline-local";
/// Longest wait for a function to become active or updated.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// Why a deployment failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A bundle cannot be made.
    #[error("`{0}` cannot be bundled")]
    Bundle(TaskName, #[source] BundleError),
    /// The layer that holds the supervisor cannot be made.
    #[error("the supervisor's layer cannot be made")]
    Layer(#[source] Box<BundleError>),
    /// The tasks' runtimes fit into no zip.
    #[error(
        "`{function}` needs a container image, because it holds tasks of several managed runtimes ({}), and images are not pushed yet; fuse only tasks of one managed runtime and `provided.*`, or build it from what `fuseline bundle` writes",
        runtimes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    )]
    NeedsImage {
        /// Root task of the function.
        function: TaskName,
        /// Lambda's names of the runtimes.
        runtimes: BTreeSet<String>,
    },
    /// The endpoint refused a step.
    #[error("{step} of function `{function}` failed: {message}")]
    Refused {
        /// What was asked for.
        step: &'static str,
        /// Of which function.
        function: String,
        /// What the endpoint or the connection said.
        message: String,
    },
    /// A function of that name exists and is not this workflow's.
    #[error(
        "a function named `{0}` exists and was not made by Fuseline for this workflow; rename the task or remove the function"
    )]
    Foreign(String),
    /// A folder that functions are to share cannot be made.
    #[error("the folder {} cannot be made", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
}

/// A deployment that is up, as versions of functions.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// What was deployed.
    pub deployment: Deployment,
    /// Published version of each of its functions.
    pub versions: IndexMap<TaskName, String>,
}

impl Deployed {
    /// Version of a task's function. That of the entry's is the deployment as a whole, unless an
    /// orchestrator runs the tasks.
    #[must_use]
    pub fn version(&self, task: &TaskName) -> &str {
        self.versions.get(task).map_or("$LATEST", String::as_str)
    }
}

/// Deploys one project to one endpoint.
pub struct Deployer<'a> {
    endpoint: &'a Endpoint,
    project: &'a Project,
    supervisor: PathBuf,
    /// Whether the endpoint is the local backend, which takes folders of this machine and whose
    /// sandboxes hold every runtime.
    is_local: bool,
    /// Whether the functions add payloads to their records.
    records_payloads: bool,
    /// Every task's own function as it was first deployed: where calls go that find no free
    /// process inside.
    own: Mutex<BTreeMap<String, String>>,
    /// Bundles already made, by root and inlined tasks.
    bundles: Mutex<BTreeMap<(TaskName, Vec<TaskName>), Bundle>>,
    /// ARN of the layer that holds the supervisor, once a function has needed it.
    layer: OnceCell<String>,
    /// What the functions' unpublished versions are, if [`Deployer::deploy_sizes`] changed them last.
    sizes: Mutex<Option<Deployment>>,
}

#[derive(Clone)]
struct Bundle {
    zip: Vec<u8>,
    /// As Lambda gives it: base64.
    sha256: String,
}

/// One function as it is to be.
struct Wanted<'w> {
    task: &'w TaskName,
    inlined: &'w [TaskName],
    resources: Resources,
    environment: BTreeMap<String, String>,
    form: PackageForm,
}

impl<'a> Deployer<'a> {
    /// A deployer that puts the supervisor at the given path into every bundle.
    #[must_use]
    pub fn new(
        endpoint: &'a Endpoint,
        project: &'a Project,
        supervisor: PathBuf,
        is_local: bool,
    ) -> Self {
        Self {
            endpoint,
            project,
            supervisor,
            is_local,
            records_payloads: false,
            own: Mutex::default(),
            bundles: Mutex::default(),
            layer: OnceCell::new(),
            sizes: Mutex::default(),
        }
    }

    /// The same with functions that add payloads to their records; has deployed nothing yet.
    #[must_use]
    pub fn recording_payloads(&self) -> Self {
        Self {
            endpoint: self.endpoint,
            project: self.project,
            supervisor: self.supervisor.clone(),
            is_local: self.is_local,
            records_payloads: true,
            own: Mutex::default(),
            bundles: Mutex::new(self.bundles.lock().expect("not poisoned").clone()),
            layer: self.layer.clone(),
            sizes: Mutex::default(),
        }
    }

    /// Whether the functions add payloads to their records.
    #[must_use]
    pub fn records_payloads(&self) -> bool {
        self.records_payloads
    }

    /// Deploys every task as a function of its own. What this call created is removed again if it
    /// fails.
    ///
    /// # Errors
    /// If a bundle cannot be made or the endpoint refuses a step.
    pub async fn deploy_tasks(&self) -> Result<(), DeployError> {
        if self.is_local {
            for directory in &self.project.local_directories {
                fs_err::create_dir_all(directory)
                    .map_err(|error| DeployError::Directory(directory.clone(), error))?;
            }
        }
        // Bundles first: what is wrong with the packages shows before anything is changed.
        for task in self.project.tasks.keys() {
            self.bundle(task, &[])?;
        }
        let mut created = Vec::new();
        let result = self.publish_tasks(&mut created).await;
        if result.is_err() {
            for function in &created {
                // The first error is the one to report; a leftover shows in `fuseline status`.
                let _ = self.endpoint.lambda.delete_function().function_name(function).send().await;
            }
        }
        result
    }

    async fn publish_tasks(&self, created: &mut Vec<String>) -> Result<(), DeployError> {
        let unfused = Deployment::unfused(&self.project.workflow);
        let mut versions = BTreeMap::new();
        let mut order = self.callees_first(&unfused);
        order.extend(
            self.project
                .tasks
                .keys()
                .filter(|task| !order.contains(task))
                .cloned()
                .collect::<Vec<_>>(),
        );
        for task in &order {
            let resources = self.project.workflow.tasks()[task].resources;
            let function = Function { inlined: Vec::new(), resources };
            let wanted = Wanted {
                task,
                inlined: &function.inlined,
                resources,
                environment: self.environment(task, &function, &versions, 0),
                form: self.form(task, &[])?,
            };
            let version = self.publish(&wanted, created).await?;
            self.reserve(task).await?;
            versions.insert(task.0.clone(), version);
        }
        *self.own.lock().expect("not poisoned") = versions;
        Ok(())
    }

    /// Deploys functions and publishes a version of each, with new instances for every generation.
    ///
    /// # Errors
    /// If a bundle cannot be made or the endpoint refuses a step.
    pub async fn deploy(
        &self,
        deployment: &Deployment,
        generation: u64,
    ) -> Result<Deployed, DeployError> {
        let mut routes = self.own.lock().expect("not poisoned").clone();
        let mut versions = IndexMap::new();
        for task in self.callees_first(deployment) {
            let function = &deployment.functions()[&task];
            let wanted = Wanted {
                task: &task,
                inlined: &function.inlined,
                resources: function.resources,
                environment: self.environment(&task, function, &routes, generation),
                form: self.form(&task, &function.inlined)?,
            };
            let version = self.publish(&wanted, &mut Vec::new()).await?;
            routes.insert(task.0.clone(), version.clone());
            versions.insert(task, version);
        }
        versions.sort_by_key(|task, _| deployment.functions().get_index_of(task));
        Ok(Deployed { deployment: deployment.clone(), versions })
    }

    /// Functions in an order in which each stands behind those it calls, except where
    /// asynchronous calls form a cycle.
    fn callees_first(&self, deployment: &Deployment) -> Vec<TaskName> {
        fn visit(
            root: &TaskName,
            calls: &BTreeMap<TaskName, Vec<TaskName>>,
            seen: &mut Vec<TaskName>,
            order: &mut Vec<TaskName>,
        ) {
            if seen.contains(root) {
                return;
            }
            seen.push(root.clone());
            calls
                .get(root)
                .into_iter()
                .flatten()
                .for_each(|callee| visit(callee, calls, seen, order));
            order.push(root.clone());
        }
        let mut calls: BTreeMap<TaskName, Vec<TaskName>> = BTreeMap::new();
        for call in self.project.workflow.calls() {
            for root in deployment.holders(&call.caller) {
                if deployment.functions().contains_key(&call.callee) {
                    calls.entry(root.clone()).or_default().push(call.callee.clone());
                }
            }
        }
        let (mut seen, mut order) = (Vec::new(), Vec::new());
        for root in deployment.functions().keys() {
            visit(root, &calls, &mut seen, &mut order);
        }
        order
    }

    fn environment(
        &self,
        task: &TaskName,
        function: &Function,
        routes: &BTreeMap<String, String>,
        generation: u64,
    ) -> BTreeMap<String, String> {
        let routes = serde_json::to_string(routes).expect("strings");
        let inlined = serde_json::to_string(&function.inlined).expect("strings");
        let mut environment = self.project.tasks[task].environment.clone();
        environment.insert(WORKFLOW_VARIABLE.into(), self.project.workflow.name().into());
        environment.insert(GENERATION_VARIABLE.into(), generation.to_string());
        environment.insert(INLINED_VARIABLE.into(), inlined);
        environment.insert(ROUTES_VARIABLE.into(), routes);
        if self.records_payloads {
            environment.insert(RECORD_PAYLOADS_VARIABLE.into(), "1".into());
        }
        let Resources { vcpu, memory } = function.resources;
        // On Lambda the vCPU follows from the memory, as on the local backend if nothing is said.
        if self.is_local && vcpu != ResourceSpace::lambda().resources_for_memory(memory).vcpu {
            environment.insert(VCPU_VARIABLE.into(), (f64::from(vcpu.0) / 1000.0).to_string());
        }
        environment
    }

    fn form(&self, root: &TaskName, inlined: &[TaskName]) -> Result<PackageForm, DeployError> {
        let tasks = std::iter::once(root).chain(inlined);
        let form = PackageForm::of(tasks.map(|task| self.project.tasks[task].runtime.as_str()));
        match form {
            form if self.is_local => Ok(form.where_all_runtimes_are()),
            PackageForm::Image { runtimes } => {
                Err(DeployError::NeedsImage { function: root.clone(), runtimes })
            }
            form => Ok(form),
        }
    }

    /// ARN of the layer with this supervisor, published if its newest version is another.
    async fn layer(&self) -> Result<&str, DeployError> {
        let publish = async {
            let zip = supervisor_layer(&self.supervisor)
                .map_err(|error| DeployError::Layer(Box::new(error)))?;
            let sha256 = sha256(&zip);
            let lambda = &self.endpoint.lambda;
            let name = self.layer_name();
            if let Some(newest) = self.layer_versions().await?.first() {
                let known = lambda
                    .get_layer_version()
                    .layer_name(&name)
                    .version_number(*newest)
                    .send()
                    .await
                    .map_err(refused("look-up of the layer", &name))?;
                if known.content().and_then(|content| content.code_sha256()) == Some(&sha256) {
                    return Ok(known.layer_version_arn().unwrap_or_default().to_owned());
                }
            }
            let content = LayerVersionContentInput::builder().zip_file(Blob::new(zip)).build();
            let published = lambda
                .publish_layer_version()
                .layer_name(&name)
                .description("Fuseline's supervisor")
                .content(content)
                .send()
                .await
                .map_err(refused("publication of the layer", &name))?;
            Ok(published.layer_version_arn().unwrap_or_default().to_owned())
        };
        self.layer.get_or_try_init(|| publish).await.map(String::as_str)
    }

    /// Of the workflow's own, so that `destroy` may delete it.
    fn layer_name(&self) -> String {
        format!("fuseline-{}", self.project.workflow.name())
    }

    /// Versions of the layer, the newest first.
    async fn layer_versions(&self) -> Result<Vec<i64>, DeployError> {
        let name = self.layer_name();
        let mut pages = self
            .endpoint
            .lambda
            .list_layer_versions()
            .layer_name(&name)
            .into_paginator()
            .items()
            .send();
        let mut versions = Vec::new();
        while let Some(version) = pages.next().await {
            versions.push(version.map_err(refused("listing of the layer", &name))?.version());
        }
        Ok(versions)
    }

    /// Layers and environment of the function: its root's, and what its form adds.
    async fn settings(
        &self,
        wanted: &Wanted<'_>,
    ) -> Result<(Vec<String>, types::Environment), DeployError> {
        let mut variables = wanted.environment.clone();
        // The safety gate has seen to it that its other tasks need no more.
        let mut layers = self.project.tasks[wanted.task].configuration.layers.clone();
        if let PackageForm::ManagedRuntime { .. } = wanted.form {
            let (name, path) = WRAPPER;
            variables.insert(name.to_owned(), path.to_owned());
            layers.push(self.layer().await?.to_owned());
        }
        let variables = Some(variables.into_iter().collect());
        Ok((layers, types::Environment::builder().set_variables(variables).build()))
    }

    fn bundle(&self, root: &TaskName, inlined: &[TaskName]) -> Result<Bundle, DeployError> {
        let key = (root.clone(), inlined.to_vec());
        if let Some(known) = self.bundles.lock().expect("not poisoned").get(&key) {
            return Ok(known.clone());
        }
        let in_layer = matches!(self.form(root, inlined)?, PackageForm::ManagedRuntime { .. });
        let supervisor = (!in_layer).then_some(self.supervisor.as_path());
        let zip = bundle(self.project, supervisor, root, inlined)
            .map_err(|error| DeployError::Bundle(root.clone(), error))?;
        let made = Bundle { sha256: sha256(&zip), zip };
        self.bundles.lock().expect("not poisoned").insert(key, made.clone());
        Ok(made)
    }

    /// Brings a function to what is wanted and publishes it.
    async fn publish(
        &self,
        wanted: &Wanted<'_>,
        created: &mut Vec<String>,
    ) -> Result<String, DeployError> {
        let bundle = self.bundle(wanted.task, wanted.inlined)?;
        let name = wanted.task.0.as_str();
        match self.existing(name).await? {
            None => {
                self.create(wanted, &bundle).await?;
                created.push(name.to_owned());
            }
            Some(existing) => self.update(wanted, &bundle, &existing).await?,
        }
        let published = self
            .endpoint
            .lambda
            .publish_version()
            .function_name(name)
            .code_sha256(&bundle.sha256)
            .send()
            .await
            .map_err(refused("publishing", name))?;
        Ok(published.version().unwrap_or("$LATEST").to_owned())
    }

    /// Brings a function that is there to what is wanted, unpublished.
    async fn update(
        &self,
        wanted: &Wanted<'_>,
        bundle: &Bundle,
        existing: &GetFunctionConfigurationOutput,
    ) -> Result<(), DeployError> {
        let name = wanted.task.0.as_str();
        if self.workflow_of(existing) != Some(self.project.workflow.name()) {
            return Err(DeployError::Foreign(name.to_owned()));
        }
        // The unpublished versions are no longer what sizes were tried on.
        self.sizes.lock().expect("not poisoned").take();
        if existing.code_sha256() != Some(&bundle.sha256) {
            self.update_code(name, bundle).await?;
        }
        self.update_configuration(wanted).await
    }

    async fn existing(
        &self,
        name: &str,
    ) -> Result<Option<GetFunctionConfigurationOutput>, DeployError> {
        match self.endpoint.lambda.get_function_configuration().function_name(name).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(refused("looking up", name)(error)),
        }
    }

    fn workflow_of<'c>(
        &self,
        configuration: &'c GetFunctionConfigurationOutput,
    ) -> Option<&'c str> {
        let variables = configuration.environment()?.variables()?;
        variables.get(WORKFLOW_VARIABLE).map(String::as_str)
    }

    async fn create(&self, wanted: &Wanted<'_>, bundle: &Bundle) -> Result<(), DeployError> {
        let task = &self.project.tasks[wanted.task];
        let name = wanted.task.0.as_str();
        let (layers, environment) = self.settings(wanted).await?;
        let zip = Blob::new(bundle.zip.clone());
        let architecture = match task.configuration.architecture {
            Architecture::X86_64 => types::Architecture::X8664,
            Architecture::Arm64 => types::Architecture::Arm64,
        };
        self.endpoint
            .lambda
            .create_function()
            .function_name(name)
            .set_runtime(wanted.form.runtime().map(types::Runtime::from))
            .set_layers(Some(layers))
            .handler(&task.handler)
            .role(task.role.as_deref().unwrap_or(NO_ROLE))
            .architectures(architecture)
            .code(FunctionCode::builder().zip_file(zip).build())
            .description(self.description(wanted))
            .memory_size(wanted.resources.memory.0 as i32)
            .timeout((task.timeout_ms / 1000) as i32)
            .environment(environment)
            .set_file_system_configs(self.file_systems(wanted.task))
            .set_vpc_config(vpc(&task.configuration))
            .ephemeral_storage(ephemeral_storage(&task.configuration))
            .send()
            .await
            .map_err(refused("creation", name))?;
        let waiter = self.endpoint.lambda.wait_until_function_active_v2().function_name(name);
        match waiter.wait(SETTLE_LIMIT).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_settled("activation", name, error).await),
        }
    }

    async fn update_code(&self, name: &str, bundle: &Bundle) -> Result<(), DeployError> {
        self.endpoint
            .lambda
            .update_function_code()
            .function_name(name)
            .zip_file(Blob::new(bundle.zip.clone()))
            .send()
            .await
            .map_err(refused("update of the code", name))?;
        self.settled(name).await
    }

    async fn update_configuration(&self, wanted: &Wanted<'_>) -> Result<(), DeployError> {
        let task = &self.project.tasks[wanted.task];
        let name = wanted.task.0.as_str();
        let (layers, environment) = self.settings(wanted).await?;
        self.endpoint
            .lambda
            .update_function_configuration()
            .function_name(name)
            .set_runtime(wanted.form.runtime().map(types::Runtime::from))
            .set_layers(Some(layers))
            .handler(&task.handler)
            .description(self.description(wanted))
            .memory_size(wanted.resources.memory.0 as i32)
            .timeout((task.timeout_ms / 1000) as i32)
            .environment(environment)
            .set_file_system_configs(self.file_systems(wanted.task))
            .set_vpc_config(vpc(&task.configuration))
            .ephemeral_storage(ephemeral_storage(&task.configuration))
            .send()
            .await
            .map_err(refused("update of the configuration", name))?;
        self.settled(name).await
    }

    /// Reserves the concurrency that the task asks for. What is reserved otherwise is left alone: the
    /// file does not speak of it.
    async fn reserve(&self, task: &TaskName) -> Result<(), DeployError> {
        let configuration = &self.project.tasks[task].configuration;
        let Some(reserved) = configuration.reserved_concurrency else { return Ok(()) };
        self.endpoint
            .lambda
            .put_function_concurrency()
            .function_name(&task.0)
            .reserved_concurrent_executions(i32::try_from(reserved).unwrap_or(i32::MAX))
            .send()
            .await
            .map(drop)
            .map_err(refused("reservation of concurrency", &task.0))
    }

    async fn settled(&self, name: &str) -> Result<(), DeployError> {
        let waiter = self.endpoint.lambda.wait_until_function_updated_v2().function_name(name);
        match waiter.wait(SETTLE_LIMIT).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_settled("update", name, error).await),
        }
    }

    /// Why a function did not become active or updated: what the endpoint says of its state, or else
    /// what the wait ended with.
    async fn not_settled(
        &self,
        step: &'static str,
        name: &str,
        error: impl std::fmt::Display,
    ) -> DeployError {
        let found = self.existing(name).await.ok().flatten();
        let reason = found.as_ref().and_then(|configuration| {
            configuration.last_update_status_reason().or_else(|| configuration.state_reason())
        });
        let message = reason.map_or_else(
            || format!("it did not settle within {} s: {error}", SETTLE_LIMIT.as_secs()),
            str::to_owned,
        );
        DeployError::Refused { step, function: name.to_owned(), message }
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
    fn file_systems(&self, task: &TaskName) -> Option<Vec<FileSystemConfig>> {
        let config = |arn: String, path: &str| {
            let config = FileSystemConfig::builder().arn(arn).local_mount_path(path).build();
            config.expect("both fields are set")
        };
        let own = self.project.tasks[task].configuration.file_systems.iter();
        let own = own.map(|system| config(system.arn.clone(), &system.local_mount_path));
        let directories = self.project.local_directories.iter().filter(|_| self.is_local);
        let shared = directories.map(|directory| {
            let path = directory.display().to_string();
            config(format!("file://{path}"), &path)
        });
        let configs: Vec<_> = own.chain(shared).collect();
        (!configs.is_empty()).then_some(configs)
    }

    /// Makes production call a deployment: moves the alias of the entry's function, or of every function
    /// that an orchestrator invokes.
    ///
    /// # Errors
    /// If the endpoint refuses.
    pub async fn promote(&self, deployed: &Deployed) -> Result<(), DeployError> {
        for root in self.project.workflow.roots() {
            self.move_alias(&root.0, deployed.version(root)).await?;
        }
        Ok(())
    }

    async fn move_alias(&self, function: &str, version: &str) -> Result<(), DeployError> {
        let lambda = &self.endpoint.lambda;
        let moved = lambda
            .update_alias()
            .function_name(function)
            .name(LIVE_ALIAS)
            .function_version(version)
            .send()
            .await;
        match moved {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ResourceNotFoundException") => lambda
                .create_alias()
                .function_name(function)
                .name(LIVE_ALIAS)
                .function_version(version)
                .send()
                .await
                .map(drop)
                .map_err(refused("creation of the alias `live`", function)),
            Err(error) => Err(refused("moving the alias `live`", function)(error)),
        }
    }

    /// Deletes the versions of a deployment that is not needed any more.
    ///
    /// # Errors
    /// If the endpoint refuses.
    pub async fn retire(&self, deployed: &Deployed) -> Result<(), DeployError> {
        for (task, version) in &deployed.versions {
            self.endpoint
                .lambda
                .delete_function()
                .function_name(&task.0)
                .qualifier(version)
                .send()
                .await
                .map_err(refused("removal of an old version", &task.0))?;
        }
        Ok(())
    }

    /// Deletes every function of the workflow and its log group; returns the functions' names.
    ///
    /// # Errors
    /// If the endpoint refuses, or a task's name belongs to a function that is not ours.
    pub async fn destroy(&self) -> Result<Vec<String>, DeployError> {
        let mut removed = Vec::new();
        for task in self.project.tasks.keys() {
            let name = task.0.as_str();
            let Some(existing) = self.existing(name).await? else { continue };
            if self.workflow_of(&existing) != Some(self.project.workflow.name()) {
                return Err(DeployError::Foreign(name.to_owned()));
            }
            self.endpoint
                .lambda
                .delete_function()
                .function_name(name)
                .send()
                .await
                .map_err(refused("removal", name))?;
            // A function that was never invoked has no log group.
            let group = log_group(task);
            let _ = self.endpoint.logs.delete_log_group().log_group_name(group).send().await;
            removed.push(name.to_owned());
        }
        let name = self.layer_name();
        for version in self.layer_versions().await? {
            self.endpoint
                .lambda
                .delete_layer_version()
                .layer_name(&name)
                .version_number(version)
                .send()
                .await
                .map_err(refused("removal of the layer", &name))?;
        }
        Ok(removed)
    }
}

/// Log group of a task's own function.
#[must_use]
pub fn log_group(task: &TaskName) -> String {
    format!("/aws/lambda/{task}")
}

/// Network of a function; none takes it out of every network.
fn vpc(configuration: &Configuration) -> Option<VpcConfig> {
    let vpc = &configuration.vpc;
    let config = VpcConfig::builder()
        .set_subnet_ids(Some(vpc.subnet_ids.clone()))
        .set_security_group_ids(Some(vpc.security_group_ids.clone()));
    Some(config.build())
}

fn ephemeral_storage(configuration: &Configuration) -> EphemeralStorage {
    let size = i32::try_from(configuration.ephemeral_storage_mb).unwrap_or(i32::MAX);
    EphemeralStorage::builder().size(size).build().expect("its only field is set")
}

/// As Lambda gives it: base64.
fn sha256(zip: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(zip))
}

/// Turns an SDK error into ours.
pub(crate) fn refused<'n, E: ProvideErrorMetadata + std::error::Error + 'static>(
    step: &'static str,
    function: &'n str,
) -> impl FnOnce(E) -> DeployError + 'n {
    move |error| DeployError::Refused {
        step,
        function: function.to_owned(),
        message: aws_message(&error),
    }
}

/// What the service said, or else what kept it from being asked.
pub(crate) fn aws_message<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &E,
) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => aws_sdk_lambda::error::DisplayErrorContext(error)
            .to_string()
            // The context ends in a debug print of everything, which is of no use to a reader.
            .split(" (")
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}
