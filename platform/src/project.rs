//! A project: a workflow file with everything in it resolved and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
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
use crate::payload::{PayloadTemplates, Template};
use crate::quantity::{DurationUs, MegaBytes};
use crate::workflow_file::{CallWord, TaskSection, WorkflowFile};
use crate::{package, policy};

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
            local_directories: self.local_directories(&raw.local.directories)?,
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
    fn check_name(&self, what: &str, name: &Spanned<String>) -> Result<(), InputError> {
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

    fn interpolate(&self, value: &Spanned<String>) -> Result<String, InputError> {
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
        let entry = TaskName(raw.entry.value.clone());
        Workflow::new(raw.name.value.clone(), entry, slo, tasks, &calls).map_err(|error| {
            match &error {
                WorkflowError::UnknownTask(_) | WorkflowError::NoTask => {
                    self.unknown_task(raw, &raw.entry)
                }
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
