//! A project: a workflow file with everything in it resolved and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use optimizer::flow::Flow;
pub use optimizer::gate::Architecture;
use optimizer::gate::{Configuration, DEFAULT_EPHEMERAL_STORAGE_MB, Family};
use optimizer::performance_model::Models;
use optimizer::price::PriceBook;
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{Call, CallKind, Slo, Task, TaskName, Workflow, WorkflowError};
use serde_saphyr::{Location, Spanned};

use crate::choice::lambda_prices;
use crate::constraints::Constraints;
use crate::input_error::InputError;
use crate::interpolation::interpolate;
use crate::objects::{ObjectPlace, ObjectSettings};
use crate::package_form::PackageForm;
use crate::payload::{PayloadTemplates, Template};
use crate::quantity::{DurationUs, MegaBytes};
use crate::workflow_file::{CallWord, TaskSection, WorkflowFile};
use crate::{flow_file, package, policy};

/// Variable that a workflow file's values may use for the folder the file is in.
const WORKFLOW_DIRECTORY: &str = "WORKFLOW_DIRECTORY";
/// Longest timeout that Lambda gives a function.
const LONGEST_TIMEOUT_US: u64 = 900_000_000;
/// Largest `/tmp` that Lambda gives a function, in MB.
const LARGEST_EPHEMERAL_STORAGE_MB: u32 = 10_240;

/// A workflow with all that deploying and driving it needs.
#[derive(Clone, Debug)]
pub struct Project {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Absolute path of the folder the file is in; commands run there.
    pub directory: PathBuf,
    /// The workflow itself.
    pub workflow: Workflow,
    /// How each task is deployed, in the order of the file.
    pub tasks: IndexMap<TaskName, TaskCode>,
    /// Command that builds the tasks' code.
    pub build: Option<String>,
    /// Command that is given the payloads of a load, a line of JSON each, before they are sent.
    pub prepare: Option<String>,
    /// Environment of `prepare`: the environment that all tasks have.
    pub environment: BTreeMap<String, String>,
    /// Directories of this machine that functions on the local backend see at the same path.
    pub local_directories: Vec<PathBuf>,
    /// Where an orchestrator puts data that are too large for an invocation.
    pub objects: Option<ObjectSettings>,
    /// What requests carry.
    pub payloads: PayloadTemplates,
    /// What the user says about fusing and sizing.
    pub constraints: Constraints,
    /// How the tasks behave when they are simulated, of those that have a `model`.
    pub models: Models,
}

/// How one task is deployed.
#[derive(Clone, Debug)]
pub struct TaskCode {
    /// Its package.
    pub code: PathBuf,
    /// Lambda's name of its runtime.
    pub runtime: String,
    /// Its handler; `bootstrap` for custom runtimes that name none.
    pub handler: String,
    /// Longest an invocation may take, in milliseconds.
    pub timeout_ms: u64,
    /// IAM role that its function runs with.
    pub role: Option<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The rest of its function's configuration.
    pub configuration: Configuration,
    /// By callee, the largest request or answer of its synchronous calls, in MB, where known.
    pub max_payload_mb: BTreeMap<TaskName, u32>,
    /// Where the file says `code`, for errors about it.
    code_position: (u64, u64),
}

impl Project {
    /// Reads and checks a workflow file. `variables` gives the values of environment variables.
    ///
    /// # Errors
    /// If the file cannot be read or says anything wrong.
    pub fn load(
        file: &Path,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, InputError> {
        let whole_file = |message: String, next_step: &str| InputError {
            file: file.to_owned(),
            position: None,
            message,
            next_step: next_step.to_owned(),
        };
        let text = fs_err::read_to_string(file).map_err(|error| {
            let message = format!("the workflow file cannot be read: {}", reason(&error));
            whole_file(message, "name an existing workflow file, such as fuseline.yaml")
        })?;
        let directory = fs_err::canonicalize(file)
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned))
            .ok_or_else(|| whole_file("the file is in no folder".into(), "move it into one"))?;
        Self::parse(file, &directory, &text, variables)
    }

    /// As [`Project::load`], from the file's text.
    ///
    /// # Errors
    /// If the text says anything wrong.
    pub fn parse(
        file: &Path,
        directory: &Path,
        text: &str,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, InputError> {
        let raw: WorkflowFile = serde_saphyr::from_str(text).map_err(|error| InputError {
            file: file.to_owned(),
            position: error.location().map(position),
            message: plain_message(&error),
            next_step: "correct the line; docs/WORKFLOW-FILE.md lists every key".into(),
        })?;
        let variables = |name: &str| match name {
            WORKFLOW_DIRECTORY => Some(directory.display().to_string()),
            _ => variables(name),
        };
        Resolver { file, directory, variables: &variables }.resolve(raw)
    }

    /// The form in which a function goes to Lambda, by the runtimes of the tasks in it.
    #[must_use]
    pub fn form(&self, root: &TaskName, inlined: &[TaskName]) -> PackageForm {
        let tasks = std::iter::once(root).chain(inlined);
        PackageForm::of(tasks.map(|task| self.tasks[task].runtime.as_str()))
    }

    /// What executions cost on Lambda, by the architecture of the entry.
    #[must_use]
    pub fn prices(&self) -> PriceBook {
        lambda_prices(self.tasks[self.workflow.entry()].configuration.architecture)
    }

    /// Checks what only exists once `build` has run: every task's package.
    ///
    /// # Errors
    /// If a package is missing or lacks what its runtime starts.
    pub fn check_code(&self) -> Result<(), InputError> {
        for (name, task) in &self.tasks {
            let error = |message: String| InputError {
                file: self.file.clone(),
                position: Some(task.code_position),
                message,
                next_step: match &self.build {
                    Some(build) => format!(
                        "correct the path, or make `build: {build}` write it there (it runs before \
                         every deployment)"
                    ),
                    None => "correct the path, or add a `build:` command that makes it".into(),
                },
            };
            if let Some(fault) = package::fault(task) {
                return Err(error(format!("the code of task `{name}` {fault}")));
            }
        }
        Ok(())
    }
}

/// Turns what the file says into what it means.
pub(crate) struct Resolver<'a> {
    file: &'a Path,
    directory: &'a Path,
    variables: &'a dyn Fn(&str) -> Option<String>,
}

impl Resolver<'_> {
    fn resolve(&self, raw: WorkflowFile) -> Result<Project, InputError> {
        self.check_name("workflow", &raw.name)?;
        let tasks = self.tasks(&raw)?;
        let workflow = self.workflow(&raw)?;
        let constraints = Constraints::resolve(self, &raw, &workflow)?;
        let environment = self.environment([&raw.defaults.environment])?;
        let mut templates = Vec::new();
        for payload in &raw.payloads {
            let template = Template {
                body: payload.value.body.clone(),
                weight: payload.value.weight,
                expect: payload.value.expect.clone(),
            };
            PayloadTemplates::new(vec![template.clone()]).map_err(|error| {
                self.error(payload.referenced, error.to_string(), "correct the placeholder")
            })?;
            templates.push(template);
        }
        let payloads = PayloadTemplates::new(templates).expect("each template is checked above");
        let objects = self.objects(&raw)?;
        let mut local_directories = self.local_directories(&raw.local.directories)?;
        let folder = objects.iter().filter_map(|objects| match &objects.place {
            ObjectPlace::Folder(folder) => Some(folder),
            ObjectPlace::Bucket(_) => None,
        });
        // Functions read and write there.
        local_directories.extend(
            folder.filter(|it| !local_directories.contains(it)).cloned().collect::<Vec<_>>(),
        );
        let mut models = Models::new();
        for (name, task) in &raw.tasks {
            if let Some(model) = &task.model {
                models.insert(TaskName(name.value.clone()), model.resolve(self)?);
            }
        }
        Ok(Project {
            file: self.file.to_owned(),
            directory: self.directory.to_owned(),
            workflow,
            tasks,
            build: raw.build,
            prepare: raw.prepare,
            environment,
            local_directories,
            objects,
            payloads,
            constraints,
            models,
        })
    }

    /// The workflow file, as the user named it.
    pub(crate) fn file(&self) -> &Path {
        self.file
    }

    /// Absolute path of the folder that it is in.
    pub(crate) fn directory(&self) -> &Path {
        self.directory
    }

    pub(crate) fn error(
        &self,
        at: Location,
        message: impl Into<String>,
        next_step: &str,
    ) -> InputError {
        InputError {
            file: self.file.to_owned(),
            position: (at.line() > 0).then(|| position(at)),
            message: message.into(),
            next_step: next_step.to_owned(),
        }
    }

    /// Names become function names, so they have to be ones.
    pub(crate) fn check_name(&self, what: &str, name: &Spanned<String>) -> Result<(), InputError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.value.is_empty() && name.value.len() <= 64 && name.value.chars().all(plain) {
            return Ok(());
        }
        Err(self.error(
            name.referenced,
            format!("`{}` cannot name a {what}", name.value),
            "use 1 to 64 letters, digits, hyphens and underscores, as Lambda does",
        ))
    }

    fn tasks(&self, raw: &WorkflowFile) -> Result<IndexMap<TaskName, TaskCode>, InputError> {
        let mut tasks = IndexMap::new();
        for (name, task) in &raw.tasks {
            self.check_name("task", name)?;
            tasks.insert(TaskName(name.value.clone()), self.task(raw, name, task)?);
        }
        Ok(tasks)
    }

    fn task(
        &self,
        raw: &WorkflowFile,
        name: &Spanned<String>,
        task: &TaskSection,
    ) -> Result<TaskCode, InputError> {
        let runtime = task.runtime.as_ref().or(raw.defaults.runtime.as_ref()).ok_or_else(|| {
            self.error(
                name.referenced,
                format!("task `{}` has no runtime", name.value),
                "add `runtime: provided.al2023` to it or to `defaults`",
            )
        })?;
        let family = Family::of(&runtime.value).ok_or_else(|| {
            self.error(
                runtime.referenced,
                format!("Lambda has no runtime `{}`", runtime.value),
                "write it by Lambda's name, such as provided.al2023, python3.12 or nodejs20.x",
            )
        })?;
        let handler = task.handler.as_ref().or(raw.defaults.handler.as_ref());
        if handler.is_none() && family.is_managed() {
            return Err(self.error(
                name.referenced,
                format!("task `{}` has no handler, which {} needs", name.value, runtime.value),
                "add `handler:` to it, such as app.handler",
            ));
        }
        let timeout = task.timeout.as_ref().or(raw.defaults.timeout.as_ref());
        if let Some(timeout) = timeout.filter(|timeout| {
            timeout.value.0 < 1_000_000
                || timeout.value.0 > LONGEST_TIMEOUT_US
                || timeout.value.0 % 1_000_000 != 0
        }) {
            return Err(self.error(
                timeout.referenced,
                "a timeout is a whole number of seconds from 1s to 900s",
                "correct it; Lambda has no others",
            ));
        }
        Ok(TaskCode {
            code: self.directory.join(&task.code.value),
            runtime: runtime.value.clone(),
            handler: handler.map_or_else(|| "bootstrap".to_owned(), String::clone),
            timeout_ms: timeout.map_or(30_000, |timeout| timeout.value.0 / 1000),
            role: task.role.clone().or_else(|| raw.defaults.role.clone()),
            environment: self.environment([&raw.defaults.environment, &task.environment])?,
            configuration: self.configuration(raw, task)?,
            max_payload_mb: max_payload_mb(task),
            code_position: position(task.code.referenced),
        })
    }

    /// What the task says, else what `defaults` says, else what Lambda gives.
    fn configuration(
        &self,
        raw: &WorkflowFile,
        task: &TaskSection,
    ) -> Result<Configuration, InputError> {
        let defaults = &raw.defaults;
        let storage = task.ephemeral_storage.as_ref().or(defaults.ephemeral_storage.as_ref());
        let range = DEFAULT_EPHEMERAL_STORAGE_MB..=LARGEST_EPHEMERAL_STORAGE_MB;
        if let Some(wrong) = storage.filter(|storage| !range.contains(&storage.value.0)) {
            return Err(self.error(
                wrong.referenced,
                format!("/tmp has 512 MB to 10240 MB, not {} MB", wrong.value.0),
                "choose an amount within the range",
            ));
        }
        let read = |document: &Spanned<serde_json::Value>| {
            policy::read(&document.value, self.directory).map_err(|message| {
                self.error(
                    document.referenced,
                    format!("this is no policy that can be compared: {message}"),
                    "write statements with Effect, Action and Resource, or leave `policy` out to have \
                     only the roles' names compared",
                )
            })
        };
        Ok(Configuration {
            architecture: task.architecture.or(defaults.architecture).unwrap_or_default(),
            vpc: task.vpc.clone().or_else(|| defaults.vpc.clone()).unwrap_or_default(),
            layers: task.layers.clone().or_else(|| defaults.layers.clone()).unwrap_or_default(),
            file_systems: task
                .file_systems
                .clone()
                .or_else(|| defaults.file_systems.clone())
                .unwrap_or_default(),
            ephemeral_storage_mb: storage
                .map_or(DEFAULT_EPHEMERAL_STORAGE_MB, |storage| storage.value.0),
            reserved_concurrency: task.reserved_concurrency.or(defaults.reserved_concurrency),
            triggers: task.triggers.clone(),
            policy: task.policy.as_ref().or(defaults.policy.as_ref()).map(read).transpose()?,
        })
    }

    /// Environments laid over each other, the last on top.
    fn environment<const N: usize>(
        &self,
        layers: [&IndexMap<String, Spanned<String>>; N],
    ) -> Result<BTreeMap<String, String>, InputError> {
        let mut environment = BTreeMap::new();
        for (key, value) in layers.into_iter().flatten() {
            if key.starts_with("AWS_LAMBDA_")
                || key.starts_with("FUSELINE_") && key != "FUSELINE_VCPU"
            {
                return Err(self.error(
                    value.referenced,
                    format!("the variable {key} is reserved"),
                    "choose another name",
                ));
            }
            environment.insert(key.clone(), self.interpolate(value)?);
        }
        Ok(environment)
    }

    pub(crate) fn interpolate(&self, value: &Spanned<String>) -> Result<String, InputError> {
        interpolate(&value.value, self.variables).map_err(|error| {
            self.error(value.referenced, error.to_string(), "set the variable or give a default")
        })
    }

    fn workflow(&self, raw: &WorkflowFile) -> Result<Workflow, InputError> {
        let space = ResourceSpace::lambda();
        let mut tasks = IndexMap::new();
        let mut calls = Vec::new();
        // Position of each call, in the order of `calls`.
        let mut positions = Vec::new();
        for (name, task) in &raw.tasks {
            let fixed = raw.constraints.fixed.iter().find(|(fixed, _)| fixed.value == name.value);
            let fixed = fixed.map(|(_, section)| &section.memory);
            let memory = fixed.or(task.memory.as_ref()).or(raw.defaults.memory.as_ref());
            let MegaBytes(memory_mb) = memory.map_or(MegaBytes(128), |memory| memory.value);
            let resources = space.resources_for_memory(MemoryMb(memory_mb));
            space.check(resources).map_err(|error| {
                let at = memory.map_or(name.referenced, |memory| memory.referenced);
                self.error(at, error.to_string(), "choose an amount within the range")
            })?;
            tasks.insert(TaskName(name.value.clone()), Task { resources });
            for (callee, call) in &task.calls {
                if !raw.tasks.keys().any(|task| task.value == callee.value) {
                    return Err(self.unknown_task(raw, callee));
                }
                calls.push(Call {
                    caller: TaskName(name.value.clone()),
                    callee: TaskName(callee.value.clone()),
                    kind: match call.kind {
                        CallWord::Sync => CallKind::Sync,
                        CallWord::Async => CallKind::Async,
                    },
                });
                positions.push(callee.referenced);
            }
        }
        let DurationUs(latency_us) = raw.slo.latency;
        let slo = Slo { latency_us, percentile: raw.slo.percentile.value };
        let flow = flow_file::resolve(self, raw)?;
        let flow_tasks = flow.as_ref().map(Flow::tasks).unwrap_or_default();
        let entry = match (&raw.entry, flow_tasks.first()) {
            (Some(entry), _) => TaskName(entry.value.clone()),
            (None, Some((_, task))) => (*task).clone(),
            (None, None) => {
                let at = raw.state_machine.as_ref().map_or(Location::UNKNOWN, |it| it.referenced);
                let next_step = "add a state of the type Task";
                return Err(self.error(at, WorkflowError::NoTask.to_string(), next_step));
            }
        };
        let workflow = Workflow::new(raw.name.value.clone(), entry, slo, tasks, &calls);
        let workflow = workflow.and_then(|workflow| match flow {
            Some(flow) => workflow.with_flow(flow),
            None => Ok(workflow),
        });
        workflow.map_err(|error| {
            match &error {
                // The tasks of a flow are checked where it is read.
                WorkflowError::UnknownTask(_) | WorkflowError::NoTask => match &raw.entry {
                    Some(entry) => self.unknown_task(raw, entry),
                    None => self.error(Location::UNKNOWN, error.to_string(), "correct `tasks`"),
                },
                WorkflowError::Percentile(_) => self.error(
                    raw.slo.percentile.referenced,
                    error.to_string(),
                    "write `percentile: 95`, for example",
                ),
                WorkflowError::SynchronousCycle(cycle) => {
                    let at = calls.iter().position(|call| {
                        [&call.caller, &call.callee] == [&cycle[cycle.len() - 2], &cycle[0]]
                    });
                    self.error(
                        at.map_or(Location::UNKNOWN, |at| positions[at]),
                        error.to_string(),
                        "a function that waits for itself never ends: make one of the calls async \
                         or remove it",
                    )
                }
            }
        })
    }

    pub(crate) fn unknown_task(&self, raw: &WorkflowFile, name: &Spanned<String>) -> InputError {
        let known: Vec<&str> = raw.tasks.keys().map(|task| task.value.as_str()).collect();
        self.error(
            name.referenced,
            format!("there is no task `{}`", name.value),
            &format!("add it under `tasks`, or use one of: {}", known.join(", ")),
        )
    }

    /// Absolute paths; `-path` may be missing, as in systemd's units, and what lies in the
    /// workflow's own folder is made when it is needed.
    fn local_directories(&self, raw: &[Spanned<String>]) -> Result<Vec<PathBuf>, InputError> {
        let mut directories = Vec::new();
        for entry in raw {
            let text = self.interpolate(entry)?;
            let (text, optional) = match text.strip_prefix('-') {
                Some(path) => (path, true),
                None => (text.as_str(), false),
            };
            // Components are rebuilt so that `./data` becomes `…/data`.
            let path: PathBuf = self.directory.join(text).components().collect();
            if path.is_dir() || path.starts_with(self.directory) {
                directories.push(path);
            } else if !optional {
                return Err(self.error(
                    entry.referenced,
                    format!("there is no folder {}", path.display()),
                    "create it, correct the path, or write a `-` before it if it may be missing",
                ));
            }
        }
        Ok(directories)
    }
}

fn max_payload_mb(task: &TaskSection) -> BTreeMap<TaskName, u32> {
    let synchronous = task.calls.iter().filter(|(_, call)| call.kind == CallWord::Sync);
    let sized = synchronous.filter_map(|(callee, call)| Some((callee, call.max_payload?)));
    sized.map(|(callee, MegaBytes(mb))| (TaskName(callee.value.clone()), mb)).collect()
}

pub(crate) fn position(at: Location) -> (u64, u64) {
    (at.line(), at.column())
}

/// The error without the position, which is shown before it.
pub(crate) fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// What the operating system said, without the path, which is shown before it.
/// Why a file cannot be read, in few words.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::IsADirectory => "it is a folder".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
name: w
entry: a
slo: { latency: 500ms }
defaults: { runtime: provided.al2023, memory: 512, environment: { URL: \"${URL:-x:${WORKFLOW_DIRECTORY}/d}\" } }
tasks:
  a: { code: ./a, calls: { b: sync } }
  b: { code: ./b, memory: 1GB, environment: { K: v } }
";

    fn parse(text: &str) -> Result<Project, InputError> {
        Project::parse(Path::new("w.yaml"), Path::new("/p"), text, &|_| None)
    }

    fn check_error(from: &str, to: &str, expect: &str) {
        assert!(GOOD.contains(from), "{from}");
        let error = parse(&GOOD.replace(from, to)).expect_err(to);
        assert!(!error.next_step.is_empty());
        assert_eq!(error.to_string(), expect, "{to}");
    }

    #[test]
    fn a_good_file_is_resolved() {
        let project = parse(GOOD).unwrap();
        assert_eq!(project.workflow.slo(), Slo { latency_us: 500_000, percentile: 95 });
        let b = &project.tasks[&TaskName::from("b")];
        assert_eq!(b.environment["URL"], "x:/p/d");
        assert_eq!(b.environment["K"], "v");
        assert_eq!(b.code, Path::new("/p/./b"));
        assert_eq!(project.workflow.tasks()[1].resources.memory, MemoryMb(1024));
        assert_eq!(project.workflow.calls().count(), 1);
    }

    #[test]
    fn wrong_files_say_where_and_what() {
        check_error("b: sync", "c: sync", "w.yaml:6:28: there is no task `c`");
        check_error("entry: a", "entry: z", "w.yaml:2:8: there is no task `z`");
        check_error(
            "K: v } }",
            "K: v }, calls: { a: sync } }",
            "w.yaml:7:64: synchronous calls form a cycle: a → b → a",
        );
        check_error(
            "500ms",
            "500",
            "w.yaml:3:17: `500` is not a time: write a number with the unit us, ms, s, min or h, \
             such as 500ms",
        );
        check_error(
            "memory: 1GB",
            "memory: 1KB",
            "w.yaml:7:27: `1KB` is not an amount of memory: write whole MB, such as 512, 512MB or \
             2GB",
        );
        check_error(
            "calls:",
            "call:",
            "w.yaml:6:19: unknown field `call`, expected one of code, runtime, handler, memory, timeout, role, environment, calls, architecture, vpc, layers, fileSystems, ephemeralStorage, reservedConcurrency, policy, triggers, model",
        );
        check_error(
            "runtime: provided.al2023",
            "runtime: python",
            "w.yaml:4:22: Lambda has no runtime `python`",
        );
        check_error(
            "runtime: provided.al2023",
            "runtime: python3.12",
            "w.yaml:6:3: task `a` has no handler, which python3.12 needs",
        );
        check_error("K: v", "FUSELINE_X: v", "w.yaml:7:59: the variable FUSELINE_X is reserved");
        check_error(
            ":-x:${WORKFLOW_DIRECTORY}/d}",
            "}",
            "w.yaml:4:72: the environment variable URL is not set and no default is given (`${URL:-default}`)",
        );
    }

    const STEPS: &str = "\
name: w
slo: { latency: 500ms }
defaults: { runtime: provided.al2023 }
tasks: { a: { code: ./a, calls: { c: sync } }, b: { code: ./b }, c: { code: ./c } }
steps:
  split: { task: b }
  each: { after: [split], map: { items: /l, concurrency: 2 }, task: a, retry: { attempts: 2, interval: 100ms } }
  b:
  join: { after: [each, b], task: a, when: /each exists, catch: [ { errors: [E], task: c } ] }
";

    #[test]
    fn steps_are_resolved() {
        let project = parse(STEPS).unwrap();
        assert_eq!(project.workflow.entry().0, "b");
        let roots: Vec<&str> = project.workflow.roots().iter().map(|it| it.0.as_str()).collect();
        assert_eq!(roots, ["b", "a", "c"]);
        let Some(Flow::Steps(steps)) = project.workflow.flow() else { panic!("no steps") };
        let each = steps.get("each").unwrap();
        assert_eq!((each.task.0.as_str(), each.after.as_slice()), ("a", &["split".to_owned()][..]));
        let map = each.map.as_ref().unwrap();
        assert_eq!((map.items.as_str(), map.concurrency), ("/l", Some(2)));
        let retry = &each.retry[0];
        assert_eq!((retry.attempts, retry.interval_us, retry.backoff), (2, 100_000, 2.0));
        assert_eq!(retry.errors, ["States.ALL"]);
        assert_eq!(steps.get("join").unwrap().catch[0].errors, ["E"]);
    }

    #[test]
    fn wrong_steps_say_where_and_what() {
        for (from, to, expect) in [
            ("task: b }", "task: x }", "w.yaml:6:18: there is no task `x`"),
            (
                "after: [split]",
                "after: [cut]",
                "w.yaml:7:19: step `each` comes after `cut`, and there is no such step",
            ),
            (
                "split: { task: b }",
                "split: { task: b, after: [join] }",
                "w.yaml:6:29: steps wait for each other: split, each, join",
            ),
            ("items: /l", "items: l", "w.yaml:7:32: `l` is no place of a list"),
            ("concurrency: 2", "concurrency: 0", "w.yaml:7:32: a concurrency is at least 1"),
            (
                "/each exists",
                "/each is list",
                "w.yaml:9:44: `when` of step `join`: after `is` stands null, boolean, number or string",
            ),
            ("task: c }", "task: d }", "w.yaml:9:88: there is no task `d`"),
            (
                "attempts: 2",
                "tries: 2",
                "w.yaml:7:81: unknown field `tries`, expected one of errors, attempts, interval, backoff, longest",
            ),
            ("attempts: 2", "backoff: 0.5", "w.yaml:7:90: a backoff is a number from 1 to 1000"),
            ("  b:\n", "  b c:\n", "w.yaml:8:3: `b c` cannot name a step"),
            (
                "name: w\n",
                "name: w\nentry: a\n",
                "w.yaml:7:3: the file has more than one of the keys `entry`, `steps` and `stateMachine`",
            ),
            (
                "steps:",
                "x: 1\nsteps:",
                "w.yaml:5:1: unknown field `x`, expected one of name, entry, steps, stateMachine, slo, defaults, build, prepare, local, objects, tasks, payloads, constraints",
            ),
        ] {
            assert!(STEPS.contains(from), "{from}");
            let error = parse(&STEPS.replacen(from, to, 1)).expect_err(to);
            assert!(!error.next_step.is_empty());
            assert_eq!(error.to_string(), expect, "{to}");
        }
        let none = parse(STEPS.split("steps:").next().unwrap()).unwrap_err();
        let expect = "w.yaml: the file has none of the keys `entry`, `steps` and `stateMachine`";
        assert_eq!(none.to_string(), expect);
    }

    #[test]
    fn large_data_go_to_a_folder_that_functions_see() {
        let with = |objects: &str| parse(&format!("{STEPS}objects: {{ {objects} }}"));
        let project = with("folder: ./o/./p, above: 2MB").unwrap();
        let folder = PathBuf::from("/p/o/p");
        assert_eq!(project.local_directories, std::slice::from_ref(&folder));
        let place = ObjectPlace::Folder(folder);
        assert_eq!(project.objects, Some(ObjectSettings { place, above_bytes: Some(2 << 20) }));
        let project = with("bucket: large.data/some/keys/").unwrap();
        let place = ObjectPlace::Bucket("large.data/some/keys".parse().unwrap());
        assert_eq!(project.objects, Some(ObjectSettings { place, above_bytes: None }));
        assert!(project.local_directories.is_empty());
        let error = with("bucket: \"s3://b/p\"").unwrap_err();
        let expect = "w.yaml:10:20: `b` is no name of a bucket: 3 to 63 ";
        assert!(error.to_string().starts_with(expect), "{error}");
        for neither in ["above: 1MB", "folder: o, bucket: large"] {
            let error = with(neither).unwrap_err();
            let expect = "w.yaml:10:10: `objects` needs either a `folder` or a `bucket`";
            assert_eq!(error.to_string(), expect);
        }
        let error = with("folder: \"s3://b/p\"").unwrap_err();
        assert_eq!(error.to_string(), "w.yaml:10:20: `s3://b/p` is no folder");
        let error = parse(&format!("{GOOD}objects: {{ folder: o }}")).unwrap_err();
        let expect = "w.yaml:8:10: `objects` is for data that an orchestrator passes on";
        assert_eq!(error.to_string(), expect);
    }

    #[test]
    fn a_state_machine_is_in_the_file_or_beside_it() {
        let with = |machine: &str| STEPS.split("steps:").next().unwrap().to_owned() + machine;
        let inline = "stateMachine:\n  StartAt: A\n  States:\n    A: { Type: Task, Resource: b, End: true }\n";
        let project = parse(&with(inline)).unwrap();
        assert!(matches!(project.workflow.flow(), Some(Flow::States(_))));
        assert_eq!(project.workflow.entry().0, "b");

        let wrong = parse(&with(&inline.replace("Resource: b", "Resource: x"))).unwrap_err();
        assert_eq!(wrong.to_string(), "w.yaml:8:32: state `A`: there is no task `x`");
        let none = parse(&with("stateMachine: ./m.asl.json")).unwrap_err();
        let expect =
            "w.yaml:5:15: the state machine ./m.asl.json cannot be read: there is no such file";
        assert_eq!(none.to_string(), expect);
        let pass = parse(&with("stateMachine: { StartAt: A, States: { A: { Type: Succeed } } }"));
        let expect = "w.yaml:5:15: the workflow invokes no task";
        assert_eq!(pass.unwrap_err().to_string(), expect);

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("m.yaml"), &inline["stateMachine:\n".len()..]).unwrap();
        let text = with("stateMachine: m.yaml");
        let read =
            |text: &str| Project::parse(Path::new("some/w.yaml"), folder.path(), text, &|_| None);
        assert_eq!(read(&text).unwrap().workflow.entry().0, "b");
        let machine = "{\"StartAt\": \"A\",\n \"States\": {\"A\": {\"Type\": \"Activity\"}}}";
        std::fs::write(folder.path().join("m.yaml"), machine).unwrap();
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with("some/m.yaml:2:27: state `A`: the state type"), "{error}");
    }

    #[test]
    fn a_tasks_own_configuration_replaces_that_of_defaults() {
        let text = GOOD
            .replace("memory: 512,", "memory: 512, layers: [l], vpc: { subnetIds: [s] },")
            .replace("memory: 1GB,", "layers: [], architecture: arm64, triggers: [t],")
            .replace("b: sync", "b: { kind: sync, maxPayload: 2MB }");
        let project = parse(&(text + "constraints: { fixed: { b: { memory: 640 } } }")).unwrap();
        let configuration = |task: &str| &project.tasks[&TaskName::from(task)].configuration;
        assert_eq!(configuration("a").layers, ["l"]);
        assert_eq!(configuration("a").architecture, Architecture::X86_64);
        assert_eq!(configuration("b").layers, [""; 0]);
        assert_eq!(configuration("b").architecture, Architecture::Arm64);
        assert_eq!(configuration("b").vpc.subnet_ids, ["s"]);
        assert_eq!(configuration("b").triggers, ["t"]);
        assert_eq!(project.tasks[&TaskName::from("a")].max_payload_mb[&TaskName::from("b")], 2);
        assert_eq!(project.workflow.tasks()[1].resources.memory, MemoryMb(640));
    }

    #[test]
    fn memory_outside_the_range_names_the_range() {
        let error = parse(&GOOD.replace("1GB", "64")).unwrap_err();
        assert_eq!(error.position, Some((7, 27)));
        assert!(error.message.contains("128") && error.message.contains("10240"), "{error}");
    }
}
