//! A plan: what a rollout will change and why, as a file that is written once and never changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use optimizer::comparison::Saving;
use optimizer::deployment::{Deployment, DeploymentError};
use optimizer::units::Resources;
use optimizer::workflow::{TaskName, Workflow};
use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;

/// Version of the file's format that this program writes and reads.
const FORMAT: u32 = 1;
/// Characters of a fingerprint that people are shown.
const SHORT: usize = 12;

/// What a rollout will change.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the file's format.
    pub format: u32,
    /// Name of the workflow.
    pub workflow: String,
    /// When it was made.
    pub made: String,
    /// Account and region, or endpoint, that it is for.
    pub place: String,
    /// What it starts from; none if Fuseline has deployed nothing there, and then it can only be exported.
    pub parent: Option<Parent>,
    /// What production is to call, as `(A,B)-(C)`.
    pub deployment: String,
    /// Its functions.
    pub functions: IndexMap<TaskName, PlannedFunction>,
    /// What changes, a sentence each.
    pub changes: Vec<String>,
    /// Roles that have to allow more before the rollout.
    pub widenings: Vec<Widening>,
    /// Functions that a stack manages.
    pub managed: BTreeMap<TaskName, Managed>,
    /// Why this deployment.
    pub reasons: Vec<String>,
    /// What was measured; none if the deployment was written by hand.
    pub predicted: Option<Predicted>,
    /// SHA-256 of all else, in hexadecimal.
    pub fingerprint: String,
}

/// What production calls when a plan is made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// As `(A,B)-(C)`.
    pub deployment: String,
    /// What each function has.
    pub resources: IndexMap<TaskName, Resources>,
    /// Version that the alias of each function calls which is invoked from outside.
    pub versions: IndexMap<TaskName, String>,
    /// Fingerprint of the plan that it comes from; none if it was deployed without one.
    pub plan: Option<String>,
}

/// A function as it will be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFunction {
    /// Tasks inlined into it.
    pub inlined: Vec<TaskName>,
    /// What it gets.
    pub resources: Resources,
    /// SHA-256 of its zip, in base64 as Lambda gives it, or the tag of its image.
    pub code_sha256: String,
    /// SHA-256 of what the workflow file says about its configuration, in base64. The values of variables are not in
    /// it, because a hash of a short secret gives it away.
    pub settings_sha256: String,
}

/// What manages a function.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Managed {
    /// In words.
    pub by: String,
    /// Logical id of its resource, if that is a CloudFormation stack.
    pub logical_id: Option<String>,
}

/// A function whose role has to allow what the tasks inlined into it need.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Widening {
    /// The function.
    pub function: TaskName,
    /// ARN of the role that it has.
    pub from: String,
    /// ARNs of the roles of the tasks inlined into it.
    pub with: Vec<String>,
}

/// What an optimisation measured of a plan's deployment, against its parent's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Predicted {
    /// Where it was measured.
    pub platform: String,
    /// Prices that costs were computed with.
    pub prices: String,
    /// Warm executions of each deployment.
    pub executions: usize,
    /// What it saves.
    pub saving: Saving,
}

/// The part of what `fuseline optimize --format json` prints that plans are made from.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Optimization {
    /// Name of the workflow.
    pub workflow: String,
    platform: String,
    prices: String,
    recommendation: Recommended,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Recommended {
    deployment: String,
    measurement: Measured,
    saving: Saving,
    reasons: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Measured {
    resources: IndexMap<TaskName, Resources>,
    executions: usize,
}

/// Why a plan cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read or written.
    #[error("{} cannot be used", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// A plan is written once.
    #[error("{} exists, and a plan is never overwritten", .0.display())]
    Exists(PathBuf),
    /// It is no plan.
    #[error("{} is no {what}", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It has another format.
    #[error("{} has the format {found}; this program reads {FORMAT}", file.display())]
    Format {
        /// Which file.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Somebody changed it.
    #[error("{} was changed after it was made: its fingerprint is not that of its content", .0.display())]
    Changed(PathBuf),
    /// Its deployment does not fit the workflow file.
    #[error("the deployment {0} does not fit the workflow file")]
    Deployment(String, #[source] DeploymentError),
}

impl Optimization {
    /// Reads what `fuseline optimize --format json` printed.
    ///
    /// # Errors
    /// If it is something else.
    pub fn read(file: &Path) -> Result<Self, PlanError> {
        let text = fs_err::read(file).map_err(|error| PlanError::File(file.to_owned(), error))?;
        serde_json::from_slice(&text).map_err(|source| PlanError::Content {
            file: file.to_owned(),
            what: "result of `fuseline optimize --format json` that recommends a deployment",
            source,
        })
    }

    /// The deployment that it recommends.
    ///
    /// # Errors
    /// If that does not fit the workflow.
    pub fn deployment(&self, workflow: &Workflow) -> Result<Deployment, PlanError> {
        let Recommended { deployment, measurement, .. } = &self.recommendation;
        parsed(workflow, deployment, |task| measurement.resources.get(task).copied())
    }

    /// Why it recommends that.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.recommendation.reasons
    }

    /// What it measured.
    #[must_use]
    pub fn predicted(&self) -> Predicted {
        Predicted {
            platform: self.platform.clone(),
            prices: self.prices.clone(),
            executions: self.recommendation.measurement.executions,
            saving: self.recommendation.saving,
        }
    }
}

impl Plan {
    /// The same with its format and fingerprint.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.format = FORMAT;
        self.fingerprint = self.computed();
        self
    }

    fn computed(&self) -> String {
        let content = Self { fingerprint: String::new(), ..self.clone() };
        let bytes = serde_json::to_vec(&content).expect("a plan is JSON");
        sha256_hex(&bytes)
    }

    /// Writes it to a new file.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), PlanError> {
        use std::io::Write;
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => PlanError::Exists(file.to_owned()),
            _ => PlanError::File(file.to_owned(), error),
        };
        let mut text = serde_json::to_vec_pretty(self).expect("a plan is JSON");
        text.push(b'\n');
        let mut new = fs_err::File::create_new(file).map_err(failed)?;
        new.write_all(&text).and_then(|()| new.sync_all()).map_err(failed)
    }

    /// Reads one and checks that it is as it was made.
    ///
    /// # Errors
    /// If it cannot be read, is no plan or was changed.
    pub fn read(file: &Path) -> Result<Self, PlanError> {
        let text = fs_err::read(file).map_err(|error| PlanError::File(file.to_owned(), error))?;
        let plan: Self = serde_json::from_slice(&text).map_err(|source| PlanError::Content {
            file: file.to_owned(),
            what: "plan of `fuseline plan`",
            source,
        })?;
        if plan.format != FORMAT {
            return Err(PlanError::Format { file: file.to_owned(), found: plan.format });
        }
        match plan.computed() == plan.fingerprint {
            true => Ok(plan),
            false => Err(PlanError::Changed(file.to_owned())),
        }
    }

    /// The beginning of its fingerprint, by which people know it.
    #[must_use]
    pub fn short(&self) -> &str {
        self.fingerprint.get(..SHORT).unwrap_or(&self.fingerprint)
    }

    /// The deployment that it rolls out.
    ///
    /// # Errors
    /// If the workflow file is another one by now.
    pub fn deployment(&self, workflow: &Workflow) -> Result<Deployment, PlanError> {
        let resources = |task: &TaskName| Some(self.functions.get(task)?.resources);
        parsed(workflow, &self.deployment, resources)
    }
}

fn parsed(
    workflow: &Workflow,
    text: &str,
    resources: impl Fn(&TaskName) -> Option<Resources>,
) -> Result<Deployment, PlanError> {
    let parsed = Deployment::parse(workflow, text)
        .map_err(|error| PlanError::Deployment(text.to_owned(), error))?;
    Ok(parsed.with_all_resources(|task| {
        resources(task).unwrap_or_else(|| parsed.functions()[task].resources)
    }))
}

/// What differs between two deployments, a sentence each.
#[must_use]
pub fn differences(before: &Deployment, after: &Deployment) -> Vec<String> {
    let mut found = Vec::new();
    for (task, function) in after.functions() {
        let was = before.functions().get(task);
        let none = Vec::new();
        let inlined = was.map_or(&none, |was| &was.inlined);
        let names =
            |of: Vec<&TaskName>| of.iter().map(|it| it.0.as_str()).collect::<Vec<_>>().join(", ");
        let new: Vec<_> = function.inlined.iter().filter(|it| !inlined.contains(it)).collect();
        if !new.is_empty() {
            found.push(format!("{task} serves calls of {} itself", names(new)));
        }
        let old: Vec<_> = inlined.iter().filter(|it| !function.inlined.contains(it)).collect();
        if !old.is_empty() {
            found.push(format!("{task} calls the functions of {} again", names(old)));
        }
        if let Some(was) = was.filter(|was| was.resources != function.resources) {
            found.push(format!("{task} gets {} instead of {}", function.resources, was.resources));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use optimizer::statistics::Interval;
    use optimizer::units::{MemoryMb, MilliVcpu};

    use super::*;

    fn plan() -> Plan {
        let resources = Resources { vcpu: MilliVcpu(289), memory: MemoryMb(512) };
        let function = PlannedFunction {
            inlined: Vec::new(),
            resources,
            code_sha256: "abc=".into(),
            settings_sha256: "def=".into(),
        };
        Plan {
            format: 0,
            workflow: "w".into(),
            made: "2026-11-27T15:00:00Z".into(),
            place: "here".into(),
            parent: None,
            deployment: "(a)".into(),
            functions: IndexMap::from([("a".into(), function)]),
            changes: vec!["a gets more".into()],
            widenings: Vec::new(),
            managed: BTreeMap::new(),
            reasons: Vec::new(),
            predicted: Some(Predicted {
                platform: "local".into(),
                prices: "lambda-x86".into(),
                executions: 100,
                saving: Saving {
                    cost: 0.1 + 0.2,
                    cost_ci95: Some(Interval { lower: 0.1, upper: 1.0 / 3.0 }),
                    latency_p95: -0.08,
                },
            }),
            fingerprint: String::new(),
        }
        .sealed()
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_and_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        let plan = plan();
        plan.write(&file).unwrap();
        assert_eq!(Plan::read(&file).unwrap(), plan);
        assert_eq!(plan.short().len(), SHORT);
        assert!(matches!(plan.write(&file), Err(PlanError::Exists(_))));
    }

    #[test]
    fn a_changed_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        plan().write(&file).unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        for (from, to, says) in [
            ("512", "128", "was changed after it was made"),
            ("\"format\": 1", "\"format\": 2", "has the format 2"),
            ("\"place\"", "\"places\"", "is no plan"),
        ] {
            fs_err::write(&file, text.replace(from, to)).unwrap();
            let error = Plan::read(&file).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
