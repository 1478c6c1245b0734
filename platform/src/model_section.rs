//! `model:` of a task in the workflow file: how the task behaves when it is simulated.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use optimizer::performance_model::{
    Feature, ModelError, OutputTemplate, Parallel, PerformanceModel, Recorded, RecordedInput,
    RecordedTable, TaskModel, Work,
};
use optimizer::units::MemoryMb;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::input_error::InputError;
use crate::project::{Resolver, reason};
use crate::quantity::{DurationUs, MegaBytes};

/// A formula, or `recorded` with an `input`; `init` and `output` go with both.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ModelSection {
    cpu: Option<Spanned<DurationUs>>,
    parallel: Option<Spanned<ParallelSection>>,
    wait: Option<Spanned<DurationUs>>,
    memory: Option<Spanned<MegaBytes>>,
    working_set: Option<Spanned<MegaBytes>>,
    noise: Option<Spanned<f64>>,
    #[serde(default)]
    features: IndexMap<Spanned<String>, FeatureSection>,
    init: Option<DurationUs>,
    output: Option<Spanned<Value>>,
    recorded: Option<Spanned<String>>,
    /// A name, or a JSON pointer to one in the task's input.
    input: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParallelSection {
    share: Spanned<f64>,
    width: Spanned<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureSection {
    reference: Spanned<f64>,
    cpu: Option<Spanned<f64>>,
    wait: Option<Spanned<f64>>,
    memory: Option<Spanned<f64>>,
}

impl ModelSection {
    /// What the section means.
    ///
    /// # Errors
    /// If it says anything wrong, or the recorded executions cannot be read.
    pub(crate) fn resolve(&self, resolver: &Resolver) -> Result<TaskModel, InputError> {
        let work = match &self.recorded {
            Some(path) => self.recorded(resolver, path)?,
            None => self.formula(resolver)?,
        };
        let output = self.output.as_ref().map(|output| {
            OutputTemplate::parse(&output.value).map_err(|error| {
                let next_step = "correct it; docs/WORKFLOW-FILE.md says what an output may be";
                resolver.error(output.referenced, error.to_string(), next_step)
            })
        });
        Ok(TaskModel {
            work,
            init_us: self.init.map_or(0, |DurationUs(us)| us),
            output: output.transpose()?,
        })
    }

    fn formula(&self, resolver: &Resolver) -> Result<Work, InputError> {
        if let Some(input) = &self.input {
            let message = "`input` says which recorded executions are meant, and none are recorded";
            let next_step = "add `recorded:` with the path of a CSV file, or remove `input`";
            return Err(resolver.error(input.referenced, message, next_step));
        }
        let us = |time: &Option<Spanned<DurationUs>>| time.as_ref().map_or(0, |time| time.value.0);
        let mb = |amount: &Option<Spanned<MegaBytes>>| {
            MemoryMb(amount.as_ref().map_or(0, |amount| amount.value.0))
        };
        let exponent = |value: &Option<Spanned<f64>>| value.as_ref().map_or(0.0, |e| e.value);
        let model = PerformanceModel {
            cpu_us: us(&self.cpu),
            parallel: self.parallel.as_ref().map_or(Parallel::NONE, |parallel| Parallel {
                share: parallel.value.share.value,
                width: parallel.value.width.value,
            }),
            waiting_us: us(&self.wait),
            memory_floor: mb(&self.memory),
            working_set: mb(&self.working_set),
            noise: self.noise.as_ref().map_or(0.0, |noise| noise.value),
            features: self
                .features
                .iter()
                .map(|(at, feature)| Feature {
                    at: at.value.clone(),
                    reference: feature.reference.value,
                    cpu: exponent(&feature.cpu),
                    waiting: exponent(&feature.wait),
                    memory: exponent(&feature.memory),
                })
                .collect(),
        };
        model.check().map_err(|error| {
            resolver.error(self.place_of(&error), error.to_string(), "correct the number")
        })?;
        Ok(Work::Formula(model))
    }

    /// Where the section says what is wrong.
    fn place_of(&self, error: &ModelError) -> Location {
        let feature = |at: &str| {
            self.features.iter().find(|(name, _)| name.value == at).map(|(_, feature)| feature)
        };
        let place = match error {
            ModelError::Share(_) => {
                self.parallel.as_ref().map(|parallel| parallel.value.share.referenced)
            }
            ModelError::Width => {
                self.parallel.as_ref().map(|parallel| parallel.value.width.referenced)
            }
            ModelError::Noise(_) => self.noise.as_ref().map(|noise| noise.referenced),
            ModelError::Reference { at, .. } => feature(at).map(|f| f.reference.referenced),
            ModelError::Exponent { at, exponent } => feature(at).and_then(|feature| {
                let exponents = [&feature.cpu, &feature.wait, &feature.memory];
                let mut given = exponents.into_iter().flatten();
                // What is no number is not equal to itself.
                given.find(|e| e.value.total_cmp(exponent).is_eq()).map(|e| e.referenced)
            }),
            ModelError::Pointer(at) => {
                self.features.keys().find(|name| name.value == *at).map(|name| name.referenced)
            }
            ModelError::NotRecorded { .. } => self.input.as_ref().map(|input| input.referenced),
        };
        place.unwrap_or(Location::UNKNOWN)
    }

    fn recorded(&self, resolver: &Resolver, path: &Spanned<String>) -> Result<Work, InputError> {
        let formula = [
            ("cpu", self.cpu.as_ref().map(|it| it.referenced)),
            ("parallel", self.parallel.as_ref().map(|it| it.referenced)),
            ("wait", self.wait.as_ref().map(|it| it.referenced)),
            ("memory", self.memory.as_ref().map(|it| it.referenced)),
            ("workingSet", self.working_set.as_ref().map(|it| it.referenced)),
            ("noise", self.noise.as_ref().map(|it| it.referenced)),
            ("features", self.features.keys().next().map(|it| it.referenced)),
        ];
        if let Some((key, at)) = formula.iter().find_map(|(key, at)| Some((key, (*at)?))) {
            let message = format!("`{key}` is part of a formula, and this task has `recorded`");
            return Err(resolver.error(at, message, "remove one of the two"));
        }
        let table = read_table(resolver, path)?;
        let inputs: Vec<&str> = table.inputs().collect();
        let input = match (&self.input, inputs.as_slice()) {
            (Some(input), _) if input.value.starts_with('/') => {
                RecordedInput::At(input.value.clone())
            }
            (Some(input), _) => RecordedInput::Named(input.value.clone()),
            (None, [only]) => RecordedInput::Named((*only).to_owned()),
            (None, several) => {
                let message = format!("{} inputs were recorded", several.len());
                let next_step = format!(
                    "add `input:` with a JSON pointer to the name, or one of {}",
                    several.join(", ")
                );
                return Err(resolver.error(path.referenced, message, &next_step));
            }
        };
        let work = Work::Recorded(Recorded { table: Arc::new(table), input });
        let model = TaskModel { work, init_us: 0, output: None };
        model.check().map_err(|error| {
            resolver.error(self.place_of(&error), error.to_string(), "name one of them")
        })?;
        Ok(model.work)
    }
}

/// Reads recorded executions. A mistake in them is shown where it is, in the file that has it.
fn read_table(resolver: &Resolver, path: &Spanned<String>) -> Result<RecordedTable, InputError> {
    let text = fs_err::read_to_string(resolver.directory().join(&path.value)).map_err(|error| {
        let message =
            format!("the recorded executions in {} cannot be read: {}", path.value, reason(&error));
        resolver.error(path.referenced, message, "correct the path")
    })?;
    RecordedTable::parse(&text).map_err(|error| InputError {
        file: beside(resolver.file(), &path.value),
        position: Some((error.line() as u64, 1)),
        message: error.to_string(),
        next_step: "correct the line; docs/WORKFLOW-FILE.md says what the file looks like".into(),
    })
}

/// A path that a file names, as the user would name it.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path).components().collect()
}

#[cfg(test)]
mod tests {
    use optimizer::flow::Data;
    use optimizer::units::MilliVcpu;
    use serde_json::json;

    use super::*;
    use crate::project::Project;

    /// A file whose task has this model, in a folder with a recorded file.
    fn load(model: &str) -> Result<Project, InputError> {
        let folder = tempfile::tempdir().unwrap();
        let rows = "a,1,512,10,ok\nb,1,512,20,ok\n";
        let header = "input,vcpu,memory_mb,duration_ms,outcome";
        fs_err::write(folder.path().join("two.csv"), format!("{header}\n{rows}")).unwrap();
        fs_err::write(folder.path().join("one.csv"), format!("{header}\na,1,512,10,ok\n")).unwrap();
        fs_err::write(folder.path().join("bad.csv"), format!("{header}\na,1,512,ok\n")).unwrap();
        let text = format!(
            "name: w\nentry: t\nslo: {{ latency: 1s }}\ndefaults: {{ runtime: provided.al2023 }}\n\
             tasks:\n  t:\n    code: ./t\n    model:\n      {}\n",
            model.replace('\n', "\n      ")
        );
        Project::parse(Path::new("x/w.yaml"), folder.path(), &text, &|_| None)
    }

    fn model(text: &str) -> TaskModel {
        load(text).unwrap().models.remove(&"t".into()).unwrap()
    }

    #[test]
    fn a_formula_has_units_and_defaults() {
        let text = "cpu: 1.5s\nparallel: { share: 0.9, width: 4 }\nwait: 30ms\nmemory: 64\n\
                    workingSet: 1GB\nnoise: 0.1\ninit: 80ms\n\
                    features: { /frames: { reference: 100, cpu: 1, memory: 0.5 } }\n\
                    output: { chunks: { $repeat: /n, item: x } }";
        let TaskModel { work: Work::Formula(formula), init_us, output } = model(text) else {
            panic!("no formula")
        };
        let expect = PerformanceModel {
            cpu_us: 1_500_000,
            parallel: Parallel { share: 0.9, width: 4 },
            waiting_us: 30_000,
            memory_floor: MemoryMb(64),
            working_set: MemoryMb(1_024),
            noise: 0.1,
            features: vec![Feature {
                at: "/frames".into(),
                reference: 100.0,
                cpu: 1.0,
                waiting: 0.0,
                memory: 0.5,
            }],
        };
        assert_eq!((formula, init_us), (expect, 80_000));
        let answer = output.unwrap().fill(&Data::from(json!({"n": 2})));
        assert_eq!(Value::from(&answer), json!({"chunks": ["x", "x"]}));

        let TaskModel { work: Work::Formula(formula), init_us, output } = model("cpu: 20ms") else {
            panic!("no formula")
        };
        assert_eq!(formula, PerformanceModel::cpu(20_000, MemoryMb(0)));
        assert_eq!((init_us, output), (0, None));
        assert_eq!(formula.mean_us(MilliVcpu(500), &Data::Null), 40_000.0);
        assert!(load("cpu: 20ms").unwrap().models.len() == 1);
    }

    #[test]
    fn recorded_executions_are_read_from_a_file_beside_it() {
        let input = |text: &str| match model(text).work {
            Work::Recorded(recorded) => recorded.input,
            Work::Formula(_) => panic!("a formula"),
        };
        assert_eq!(input("recorded: ./one.csv"), RecordedInput::Named("a".into()));
        assert_eq!(input("recorded: two.csv\ninput: b"), RecordedInput::Named("b".into()));
        assert_eq!(input("recorded: two.csv\ninput: /x"), RecordedInput::At("/x".into()));
        assert_eq!(model("recorded: one.csv\ninit: 1s").init_us, 1_000_000);
    }

    #[test]
    fn wrong_models_say_where_and_what() {
        for (text, expect) in [
            (
                "cpu: 5",
                "x/w.yaml:9:12: `5` is not a time: write a number with the unit us, ms, s, min or h, such as 500ms",
            ),
            (
                "cpus: 5ms",
                "x/w.yaml:9:7: unknown field `cpus`, expected one of cpu, parallel, wait, memory, workingSet, noise, features, init, output, recorded, input",
            ),
            (
                "cpu: 5ms\nnoise: 11",
                "x/w.yaml:10:14: a coefficient of variation is from 0 to 10, not 11",
            ),
            (
                "parallel: { share: 1.5, width: 2 }",
                "x/w.yaml:9:26: a parallel share is from 0 to 1, not 1.5",
            ),
            ("parallel: { share: 0.5, width: 0 }", "x/w.yaml:9:38: a parallel width is at least 1"),
            (
                "features: { n: { reference: 1 } }",
                "x/w.yaml:9:19: `n` is no JSON pointer such as /video/seconds",
            ),
            (
                "features: { /n: { reference: 0 } }",
                "x/w.yaml:9:36: the reference value of `/n` is above 0, not 0",
            ),
            (
                "features: { /n: { reference: 1, cpu: 1, wait: 99 } }",
                "x/w.yaml:9:53: an exponent of `/n` is from -10 to 10, not 99",
            ),
            (
                "output: { $input: name }",
                "x/w.yaml:9:15: \"name\" is no JSON pointer such as /video/chunks",
            ),
            (
                "input: a",
                "x/w.yaml:9:14: `input` says which recorded executions are meant, and none are recorded",
            ),
            (
                "recorded: one.csv\nmemory: 64",
                "x/w.yaml:10:15: `memory` is part of a formula, and this task has `recorded`",
            ),
            (
                "recorded: no.csv",
                "x/w.yaml:9:17: the recorded executions in no.csv cannot be read: there is no such file",
            ),
            ("recorded: two.csv", "x/w.yaml:9:17: 2 inputs were recorded"),
            (
                "recorded: two.csv\ninput: c",
                "x/w.yaml:10:14: no execution with the input `c` was recorded; there are a, b",
            ),
            ("recorded: ./bad.csv", "x/bad.csv:2:1: there are 4 fields instead of 5"),
        ] {
            let error = load(text).expect_err(text);
            assert_eq!(error.to_string(), expect, "{text}");
            assert!(!error.next_step.is_empty());
        }
    }
}
