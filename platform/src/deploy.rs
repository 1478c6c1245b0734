//! Deploys: functions, versions and the alias that production calls.
//!
//! Every function of a deployment is published as a version, callees before callers, and each
//! version pins the versions of the functions it calls. So a version of the entry's function *is*
//! a deployment: two of them can be driven at the same time, and going back means moving one alias.

mod adopt;
mod aliases;
mod destroy;
mod error;
mod functions;
mod images;
mod layer;
mod planned;
mod roles;
mod sizes;
mod stand_in;
mod undo;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use optimizer::deployment::{Deployment, Function};
use optimizer::space::ResourceSpace;
use optimizer::units::Resources;
use optimizer::workflow::TaskName;
use serde_json::Value;
use tokio::sync::OnceCell;
use wire::manifest::{INLINED_VARIABLE, ROUTES_VARIABLE};
use wire::payload::RECORD_PAYLOADS_VARIABLE;

pub use self::adopt::Adoption;
pub(crate) use self::aliases::alias;
pub use self::error::DeployError;
pub(crate) use self::error::{aws_message, refused};
pub use self::planned::Draft;
pub use self::undo::RolledBack;
use crate::bucket::Bucket;
use crate::bundle::bundle;
use crate::change::Zip;
use crate::changes::Changes;
use crate::digest::sha256;
use crate::endpoint::Endpoint;
use crate::image::ImageSettings;
use crate::journal::JournalError;
use crate::package_form::PackageForm;
use crate::project::Project;

/// Alias of the functions that production calls.
pub const LIVE_ALIAS: &str = "live";
/// Variable that marks a function as ours and says which workflow it belongs to.
const WORKFLOW_VARIABLE: &str = "FUSELINE_WORKFLOW";
/// Variable whose change makes a new version, with new instances, of the same code.
const GENERATION_VARIABLE: &str = "FUSELINE_GENERATION";
/// Variable that says where functions find Lambda.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_LAMBDA";
/// Variable that gives a function of the local backend another vCPU than goes with its memory.
pub(crate) const VCPU_VARIABLE: &str = "FUSELINE_VCPU";

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
    /// Whether functions that were not made by Fuseline are taken over.
    adoption: Adoption,
    /// Where packages go that are too large for a call.
    bucket: Option<Bucket>,
    /// Where images go and what they are built on.
    images: Option<ImageSettings>,
    /// Functions that are images in every deployment.
    as_images: Mutex<BTreeSet<TaskName>>,
    /// Images already looked for and built, by root and inlined tasks.
    made: tokio::sync::Mutex<BTreeMap<(TaskName, Vec<TaskName>), images::Made>>,
    /// Where changes go.
    changes: Arc<Changes>,
    /// Every task's own function as it was first deployed: where calls go that find no free
    /// process inside.
    own: Mutex<BTreeMap<String, String>>,
    /// Bundles already made, by root and inlined tasks.
    bundles: Mutex<BTreeMap<(TaskName, Vec<TaskName>), Zip>>,
    /// ARN of the layer that holds the supervisor, once a function has needed it.
    layer: OnceCell<String>,
    /// What the functions' unpublished versions are, if [`Deployer::deploy_sizes`] changed them last.
    sizes: Mutex<Option<Deployment>>,
    /// The versions that keep functions which were taken over as they were, by their names.
    kept: Mutex<BTreeMap<String, String>>,
    /// ARN of the role of functions for which none is named, once one has needed it.
    stand_in: OnceCell<String>,
    /// ARNs of the roles that functions were given because of the tasks inlined into them.
    widened: Mutex<BTreeMap<TaskName, String>>,
    /// SHA-256 of the code that functions would have after a dry run's calls so far.
    pretended: Mutex<BTreeMap<String, String>>,
    /// Keys of objects that are in the bucket, or would be in a dry run.
    uploaded: Mutex<BTreeSet<String>>,
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
            adoption: Adoption::Refused,
            bucket: None,
            images: None,
            as_images: Mutex::default(),
            made: tokio::sync::Mutex::default(),
            changes: Arc::new(Changes::Direct),
            own: Mutex::default(),
            bundles: Mutex::default(),
            layer: OnceCell::new(),
            sizes: Mutex::default(),
            kept: Mutex::default(),
            stand_in: OnceCell::new(),
            widened: Mutex::default(),
            pretended: Mutex::default(),
            uploaded: Mutex::default(),
        }
    }

    /// The same with a journal of its changes in a folder that holds those of other endpoints, too.
    ///
    /// # Errors
    /// If the journal cannot be read, or another process has it open.
    pub fn journalled(self, folder: &Path) -> Result<Self, JournalError> {
        let folder = folder.join(&self.endpoint.place);
        let changes = Changes::journalled(&folder, self.project.workflow.name())?;
        Ok(Self { changes: Arc::new(changes), ..self })
    }

    /// The same that changes nothing, but lists what it would have changed.
    #[must_use]
    pub fn dry(self) -> Self {
        Self { changes: Arc::new(Changes::Dry(Mutex::default())), ..self }
    }

    /// Calls that a dry run would have made, in order, with Lambda's names of operations and parameters. Values of
    /// environment variables that are not ours are masked.
    #[must_use]
    pub fn would_be_calls(&self) -> Vec<Value> {
        match &*self.changes {
            Changes::Dry(list) => list.lock().expect("not poisoned").clone(),
            Changes::Direct | Changes::Journalled { .. } => Vec::new(),
        }
    }

    /// The same that may change functions which were not made by Fuseline.
    #[must_use]
    pub fn adopting(self, adoption: Adoption) -> Self {
        Self { adoption, ..self }
    }

    /// The same with functions that add payloads to their records; has deployed nothing yet.
    #[must_use]
    pub fn recording_payloads(&self) -> Self {
        let (endpoint, project, supervisor) = (self.endpoint, self.project, &self.supervisor);
        Self {
            records_payloads: true,
            adoption: self.adoption,
            changes: Arc::clone(&self.changes),
            bundles: Mutex::new(self.bundles.lock().expect("not poisoned").clone()),
            layer: self.layer.clone(),
            bucket: self.bucket.clone(),
            images: self.images.clone(),
            as_images: Mutex::new(self.as_images.lock().expect("not poisoned").clone()),
            ..Self::new(endpoint, project, supervisor.clone(), self.is_local)
        }
    }

    /// Whether the functions add payloads to their records.
    #[must_use]
    pub fn records_payloads(&self) -> bool {
        self.records_payloads
    }

    /// Begins to deploy for good: what follows is one entry of the journal, until [`Deployer::finish`]. Goes on
    /// with the entry that an interrupted command left. Checks first, without changing anything, that the
    /// functions can be deployed.
    ///
    /// # Errors
    /// If they cannot, the endpoint refuses, or the journal cannot be written.
    pub async fn begin(&self, deployment: &Deployment) -> Result<(), DeployError> {
        if let Some(entry) = self.changes.last().filter(|entry| !entry.is_finished)
            && planned::is_rollout(&entry.command)
        {
            return Err(DeployError::Interrupted(entry.command));
        }
        self.choose_forms(deployment).await?;
        self.check_packages(deployment).await?;
        self.check(deployment).await?;
        self.changes.begin("deploy", &deployment.to_string())
    }

    /// Begins to try deployments, which [`Deployer::roll_back`] undoes afterwards.
    ///
    /// # Errors
    /// If an interrupted command has to be finished first, or the journal cannot be written.
    pub fn begin_trials(&self, command: &str) -> Result<(), DeployError> {
        match self.changes.last().filter(|entry| !entry.is_finished) {
            Some(entry) => Err(DeployError::Interrupted(entry.command)),
            None => self.changes.begin(command, "trials"),
        }
    }

    /// Deploys every task as a function of its own. Without a journal, what this call
    /// created is removed again if it fails.
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
            Box::pin(self.prepare(task, &[])).await?;
        }
        let mut created = Vec::new();
        let result = self.publish_tasks(&mut created).await;
        // With a journal, the next run goes on or undoes it.
        if result.is_err() && matches!(*self.changes, Changes::Direct) {
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
        // What stands for AWS has to be said; on AWS itself and on the local backend functions find it.
        if !self.is_local && self.endpoint.is_emulated() {
            let url = self.endpoint.url.clone();
            environment.entry(ENDPOINT_VARIABLE.into()).or_insert(url);
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
        let runtimes = tasks.map(|task| self.project.tasks[task].runtime.as_str());
        let form = match self.is_image(root) {
            true => PackageForm::image(runtimes),
            false => PackageForm::of(runtimes),
        };
        match form {
            form if self.is_local => Ok(form.where_all_runtimes_are()),
            PackageForm::Image { runtimes } if self.images.is_none() => {
                Err(DeployError::NeedsImage { function: root.clone(), runtimes })
            }
            form => Ok(form),
        }
    }

    fn bundle(&self, root: &TaskName, inlined: &[TaskName]) -> Result<Zip, DeployError> {
        let key = (root.clone(), inlined.to_vec());
        if let Some(known) = self.bundles.lock().expect("not poisoned").get(&key) {
            return Ok(known.clone());
        }
        let in_layer = matches!(self.form(root, inlined)?, PackageForm::ManagedRuntime { .. });
        let supervisor = (!in_layer).then_some(self.supervisor.as_path());
        let bytes = bundle(self.project, supervisor, root, inlined)
            .map_err(|error| DeployError::Bundle(root.clone(), error))?;
        let made = Zip { sha256: sha256(&bytes), bytes: bytes.into() };
        self.bundles.lock().expect("not poisoned").insert(key, made.clone());
        Ok(made)
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

    /// Deletes the versions of a deployment that is not needed any more.
    ///
    /// # Errors
    /// If the endpoint refuses.
    pub async fn retire(&self, deployed: &Deployed) -> Result<(), DeployError> {
        for (task, version) in &deployed.versions {
            self.delete(&task.0, Some(version)).await?;
        }
        Ok(())
    }
}

/// Log group of a task's own function.
#[must_use]
pub fn log_group(task: &TaskName) -> String {
    format!("/aws/lambda/{task}")
}
