//! The platform that a workflow is optimised for: what `--space` and `--prices` name.

use std::path::Path;

use optimizer::platforms::{self, Mismatch, Platform, UnknownName, check_together};
use optimizer::price::PriceBook;
use optimizer::space::ResourceSpace;
use optimizer::units::{MemoryMb, Resources};
use optimizer::workflow::TaskName;

use crate::deploy::VCPU_VARIABLE;
use crate::input_error::InputError;
use crate::platform_file;
use crate::project::{Architecture, Project};

/// What can be chosen, and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Resources to choose from.
    pub space: ResourceSpace,
    /// What executions cost.
    pub prices: PriceBook,
}

/// Why there is no such choice.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Neither a built-in name nor a file.
    #[error("{option}: {error}")]
    Unknown {
        /// The option that named it.
        option: &'static str,
        /// What there is.
        error: UnknownName,
    },
    /// The file is wrong.
    #[error("{0}")]
    File(InputError),
    /// The file lacks what it was named for.
    #[error("{option}: {file} has no {what}")]
    Lacking {
        /// The option that named the file.
        option: &'static str,
        /// The file.
        file: String,
        /// What it lacks: `space` or `prices`.
        what: &'static str,
    },
    /// The prices cannot be applied to the space.
    #[error("{0}")]
    Mismatch(Mismatch),
    /// A task has more memory than the space offers.
    #[error("task `{task}` has {memory}, and {space} offers {largest} at most")]
    TooMuchMemory {
        /// The task.
        task: TaskName,
        /// What the workflow file says.
        memory: MemoryMb,
        /// Name of the space.
        space: String,
        /// Largest memory size.
        largest: MemoryMb,
    },
}

impl ChoiceError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Unknown { .. } => {
                "name one of these, or a file such as docs/PLATFORMS.md describes".into()
            }
            Self::File(error) => error.next_step.clone(),
            Self::Lacking { option: "--space", .. } => {
                "add `space` to it, or name another with --space".into()
            }
            Self::Lacking { .. } => "add `prices` to it, or name some with --prices".into(),
            Self::Mismatch(Mismatch::VcpuIsBundled { .. }) => {
                "choose a space with vCPU of its own, such as --space decoupled, or other prices"
                    .into()
            }
            Self::Mismatch(Mismatch::VcpuIsFree { .. }) => {
                "choose prices that have one, such as --prices thesis, or another space".into()
            }
            Self::TooMuchMemory { .. } => "lower its `memory`, or choose another space".into(),
        }
    }
}

impl Choice {
    /// What the options name: built in, or in a file. Without `space`, that of the prices, and
    /// without either, Lambda's. Without `prices`, those of the space's platform, for the architecture
    /// of the project's entry.
    ///
    /// # Errors
    /// If there is no such space or price book, a file is wrong, or the two contradict each other.
    pub fn of(
        space: Option<&str>,
        prices: Option<&str>,
        project: &Project,
    ) -> Result<Self, ChoiceError> {
        let entry = &project.tasks[project.workflow.entry()];
        Self::for_architecture(space, prices, entry.configuration.architecture)
    }

    fn for_architecture(
        space: Option<&str>,
        prices: Option<&str>,
        architecture: Architecture,
    ) -> Result<Self, ChoiceError> {
        let of_space = space.map(|given| platform_of(given, "--space")).transpose()?;
        let of_prices = prices.map(|given| platform_of(given, "--prices")).transpose()?;
        let lacking = |option, platform: &Platform, what| ChoiceError::Lacking {
            option,
            file: platform.name.clone(),
            what,
        };
        let found = match (&of_space, &of_prices) {
            (Some(platform), _) => {
                platform.space.clone().ok_or_else(|| lacking("--space", platform, "space"))?
            }
            (None, Some(platform)) => platform.space.clone().unwrap_or_else(ResourceSpace::lambda),
            (None, None) => ResourceSpace::lambda(),
        };
        let book = match (&of_prices, &of_space) {
            (Some(platform), _) | (None, Some(platform)) => {
                let named = |book: &&PriceBook| prices == Some(book.name.as_str());
                let named = platform.prices.iter().find(named);
                let usual = || usual_prices(platform, architecture);
                named.or_else(usual).ok_or_else(|| lacking("--prices", platform, "prices"))?.clone()
            }
            (None, None) => lambda_prices(architecture),
        };
        check_together(&found, &book).map_err(ChoiceError::Mismatch)?;
        Ok(Self { space: found, prices: book })
    }

    /// The project with its tasks' memory, and vCPU to match, as the space offers it: the next size
    /// up where it does not have the one in the file. Returns what that changed, too.
    ///
    /// # Errors
    /// If a task has more memory than the space offers.
    pub fn apply(&self, mut project: Project) -> Result<(Project, Vec<SizeChange>), ChoiceError> {
        let mut changes = Vec::new();
        for (task, written) in project.workflow.tasks() {
            let memory = written.resources.memory;
            let offered = self.space.resources_from(memory).ok_or_else(|| {
                let (_, largest) = self.space.memory_range();
                let space = self.space.name().to_owned();
                ChoiceError::TooMuchMemory { task: task.clone(), memory, space, largest }
            })?;
            if offered.memory != memory {
                changes.push(SizeChange { task: task.clone(), written: memory, offered });
            }
        }
        let space = self.space.clone();
        let offered = move |_: &TaskName, written: Resources| {
            space.resources_from(written.memory).unwrap_or(written)
        };
        project.workflow = project.workflow.with_resources(offered);
        if !self.space.vcpu_is_bundled() {
            // The space decides now.
            for task in project.tasks.values_mut() {
                task.environment.remove(VCPU_VARIABLE);
            }
        }
        Ok((project, changes))
    }
}

/// A task's memory that a space does not offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SizeChange {
    /// The task.
    pub task: TaskName,
    /// What the workflow file says.
    pub written: MemoryMb,
    /// What it gets instead.
    pub offered: Resources,
}

/// Lambda's prices.
pub(crate) fn lambda_prices(architecture: Architecture) -> PriceBook {
    match architecture {
        Architecture::X86_64 => PriceBook::lambda_x86(),
        Architecture::Arm64 => PriceBook::lambda_arm64(),
    }
}

/// The platform's first prices, or on arm64 the first that are for it.
fn usual_prices(platform: &Platform, architecture: Architecture) -> Option<&PriceBook> {
    let arm64 = || platform.prices.iter().find(|book| book.name.ends_with("-arm64"));
    let own = match architecture {
        Architecture::X86_64 => None,
        Architecture::Arm64 => arm64(),
    };
    own.or(platform.prices.first())
}

/// The built-in platform with a space or price book of this name, or the one in the file of this
/// name.
fn platform_of(given: &str, option: &'static str) -> Result<Platform, ChoiceError> {
    let known = match option {
        "--space" => platforms::built_in().iter().find(|platform| platform.name == given),
        _ => platforms::of_prices(given),
    };
    if let Some(known) = known {
        return Ok(known.clone());
    }
    let path = Path::new(given);
    if path.components().count() > 1 || path.extension().is_some() || path.exists() {
        return platform_file::load(path).map_err(ChoiceError::File);
    }
    let error = match option {
        "--space" => platforms::space(given).err(),
        _ => platforms::prices(given).err(),
    };
    Err(ChoiceError::Unknown { option, error: error.expect("it is not built in") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "\
name: cluster
space:
  source: own
  date: 2026-11-27
  memoryPerVcpu: 2048
  cells: [{ vcpu: { from: 1, to: 4, step: 1 }, memory: { from: 1024, to: 4096, step: 1024 } }]
";

    fn names(
        space: Option<&str>,
        prices: Option<&str>,
        architecture: Architecture,
    ) -> Result<(String, String), String> {
        Choice::for_architecture(space, prices, architecture)
            .map(|choice| (choice.space.name().to_owned(), choice.prices.name))
            .map_err(|error| format!("{error}; {}", error.next_step()))
    }

    #[test]
    fn what_is_not_named_follows_from_what_is() {
        use Architecture::{Arm64, X86_64};
        for (space, prices, architecture, expected) in [
            (None, None, X86_64, ("lambda", "lambda-x86")),
            (None, None, Arm64, ("lambda", "lambda-arm64")),
            (Some("lambda"), None, Arm64, ("lambda", "lambda-arm64")),
            (Some("fargate"), None, X86_64, ("fargate", "fargate-x86")),
            (Some("fargate"), None, Arm64, ("fargate", "fargate-arm64")),
            (Some("cloud-run"), None, Arm64, ("cloud-run", "cloud-run")),
            (None, Some("thesis"), X86_64, ("decoupled", "thesis")),
            (None, Some("lambda-arm64"), X86_64, ("lambda", "lambda-arm64")),
            (Some("cloud-run"), Some("thesis"), X86_64, ("cloud-run", "thesis")),
        ] {
            let expected = Ok((expected.0.to_owned(), expected.1.to_owned()));
            assert_eq!(names(space, prices, architecture), expected);
        }
    }

    #[test]
    fn wrong_choices_say_what_to_do() {
        let fails = |space, prices, expected: &[&str]| {
            let error = names(space, prices, Architecture::X86_64).unwrap_err();
            for text in expected {
                assert!(error.contains(text), "{error}");
            }
        };
        fails(Some("azure"), None, &["--space: there is no space `azure`", "fargate", "a file"]);
        fails(None, Some("azure"), &["--prices: there is no price book `azure`", "thesis"]);
        fails(Some("./no.yaml"), None, &["./no.yaml: the platform's file cannot be read"]);
        fails(Some("lambda"), Some("thesis"), &["charge for vCPU", "--space decoupled"]);
        fails(Some("decoupled"), Some("lambda-x86"), &["have none for vCPU", "--prices thesis"]);
    }

    #[test]
    fn a_users_file_can_hold_either_or_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let prices = "prices: { own: { source: bill, date: 2026-11-27, unit: EUR, vcpu: 0.00001, gb: 0.000001, request: 0, granularityMs: 1, initBilled: true } }\n";
        let space = file("space.yaml", CLUSTER);
        let both = file("both.yaml", &format!("{CLUSTER}{prices}"));
        let prices = file("prices.yaml", &format!("name: mine\n{prices}"));
        let names = |space, prices| names(space, prices, Architecture::X86_64);
        let expected = |space: &str, prices: &str| Ok((space.to_owned(), prices.to_owned()));
        assert_eq!(names(Some(&both), None), expected("cluster", "own"));
        assert_eq!(names(None, Some(&both)), expected("cluster", "own"));
        assert_eq!(names(Some(&space), Some("thesis")), expected("cluster", "thesis"));
        assert_eq!(names(Some("fargate"), Some(&prices)), expected("fargate", "own"));
        let error = names(Some(&space), None).unwrap_err();
        assert_eq!(
            error,
            "--prices: cluster has no prices; add `prices` to it, or name some with --prices"
        );
        assert!(names(Some(&prices), None).unwrap_err().starts_with("--space: mine has no space"));
        assert!(
            names(None, Some(&prices)).unwrap_err().contains("`lambda` brings with the memory")
        );
    }

    #[test]
    fn a_project_gets_sizes_that_the_space_offers() {
        let text = "\
name: w
entry: a
slo: { latency: 500ms }
defaults: { runtime: provided.al2023 }
tasks:
  a: { code: ./a, memory: 1500, environment: { FUSELINE_VCPU: \"3\", K: v }, calls: { b: sync } }
  b: { code: ./b, memory: 2048 }
";
        let project = Project::parse(Path::new("w.yaml"), Path::new("/"), text, &|_| None).unwrap();
        let choose = |space, prices| {
            Choice::for_architecture(Some(space), prices, Architecture::X86_64).unwrap()
        };
        let sizes = |project: &Project| -> Vec<String> {
            project.workflow.tasks().values().map(|task| task.resources.to_string()).collect()
        };
        let (same, changes) = choose("lambda", None).apply(project.clone()).unwrap();
        assert_eq!((sizes(&same), changes), (sizes(&project), Vec::new()));
        assert_eq!(same.tasks[0].environment[VCPU_VARIABLE], "3");

        let (changed, changes) = choose("fargate", None).apply(project.clone()).unwrap();
        assert_eq!(sizes(&changed), ["1 vCPU and 2048 MB", "1 vCPU and 2048 MB"]);
        let changed_tasks: Vec<&str> = changes.iter().map(|it| it.task.0.as_str()).collect();
        assert_eq!(changed_tasks, ["a"]);
        assert_eq!(changed.tasks[0].environment.keys().collect::<Vec<_>>(), ["K"]);

        let small = Project::parse(
            Path::new("w.yaml"),
            Path::new("/"),
            &text.replace("2048", "10240"),
            &|_| None,
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.yaml");
        fs_err::write(&path, CLUSTER).unwrap();
        let error = choose(path.to_str().unwrap(), Some("thesis")).apply(small.unwrap());
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "task `b` has 10240 MB, and cluster offers 4096 MB at most");
    }
}
