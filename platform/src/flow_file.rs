//! `steps` and `stateMachine` of the workflow file, checked.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use optimizer::flow::steps::{Catch, Map, Step, Steps, StepsError};
use optimizer::flow::{Flow, Retry};
use optimizer::workflow::TaskName;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::asl::{self, Node};
use crate::condition_text;
use crate::input_error::InputError;
use crate::project::{Resolver, reason};
use crate::quantity::DurationUs;
use crate::workflow_file::WorkflowFile;

/// Name that stands for every error.
const ALL: &str = "States.ALL";

/// Steps by name. An empty value is one without a word to say.
pub(crate) type StepSections = IndexMap<Spanned<String>, Option<StepSection>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepSection {
    task: Option<Spanned<String>>,
    #[serde(default)]
    after: Vec<Spanned<String>>,
    map: Option<Spanned<MapSection>>,
    when: Option<Spanned<String>>,
    #[serde(default)]
    retry: Several<RetrySection>,
    #[serde(default)]
    catch: Several<CatchSection>,
}

/// The list that a step goes through: its place, or a map with more to say.
#[derive(Debug)]
struct MapSection {
    items: String,
    concurrency: Option<u32>,
}

impl<'de> Deserialize<'de> for MapSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            items: String,
            concurrency: Option<u32>,
        }
        struct Section;
        impl<'de> Visitor<'de> for Section {
            type Value = MapSection;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a place such as /chunks, or { items: /chunks, concurrency: 4 }")
            }
            fn visit_str<E: de::Error>(self, items: &str) -> Result<MapSection, E> {
                Ok(MapSection { items: items.to_owned(), concurrency: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MapSection, A::Error> {
                let Fields { items, concurrency } =
                    Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(MapSection { items, concurrency })
            }
        }
        deserializer.deserialize_any(Section)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetrySection {
    #[serde(default)]
    errors: Vec<String>,
    attempts: Option<u32>,
    interval: Option<DurationUs>,
    backoff: Option<Spanned<f64>>,
    longest: Option<DurationUs>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CatchSection {
    #[serde(default)]
    errors: Vec<String>,
    task: Spanned<String>,
}

/// A list, or one element without the brackets.
#[derive(Debug)]
struct Several<T>(Vec<T>);

impl<T> Default for Several<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Several<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map such as { errors: [States.Timeout] }, or a list of such maps")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Several<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Several)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Several<T>, A::Error> {
                Ok(Several(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
            }
        }
        deserializer.deserialize_any(Elements(std::marker::PhantomData))
    }
}

/// How an orchestrator runs the tasks, if the file says so.
pub(crate) fn resolve(
    resolver: &Resolver<'_>,
    raw: &WorkflowFile,
) -> Result<Option<Flow>, InputError> {
    match (&raw.entry, &raw.steps, &raw.state_machine) {
        (Some(_), None, None) => Ok(None),
        (None, Some(sections), None) => steps(resolver, raw, sections).map(Flow::Steps).map(Some),
        (None, None, Some(machine)) => {
            let tasks: Vec<TaskName> =
                raw.tasks.keys().map(|task| TaskName(task.value.clone())).collect();
            state_machine(resolver, machine, &tasks.iter().collect::<Vec<_>>())
                .map(Flow::States)
                .map(Some)
        }
        (entry, steps, machine) => {
            let at = [
                machine.as_ref().map(|machine| machine.referenced),
                steps.as_ref().and_then(|steps| steps.keys().next()).map(|step| step.referenced),
                entry.as_ref().map(|entry| entry.referenced),
            ];
            let message = match at.iter().flatten().next() {
                None => "the file has none of the keys `entry`, `steps` and `stateMachine`",
                Some(_) => {
                    "the file has more than one of the keys `entry`, `steps` and `stateMachine`"
                }
            };
            Err(resolver.error(
                at.into_iter().flatten().next().unwrap_or(Location::UNKNOWN),
                message,
                "write `entry` if a task calls the others, or one of the other two if an orchestrator \
                 runs them",
            ))
        }
    }
}

fn state_machine(
    resolver: &Resolver<'_>,
    machine: &Spanned<Node>,
    tasks: &[&TaskName],
) -> Result<optimizer::flow::States, InputError> {
    let Some(path) = machine.value.text() else {
        return asl::read(machine, resolver.file(), tasks);
    };
    let file = resolver.file().with_file_name(path);
    let text = fs_err::read_to_string(resolver.directory().join(path)).map_err(|error| {
        resolver.error(
            machine.referenced,
            format!("the state machine {path} cannot be read: {}", reason(&error)),
            "correct the path, which is relative to this file, or write the machine itself here",
        )
    })?;
    let document = Node::parse(&text, &file)?;
    asl::read(&document, &file, tasks)
}

fn steps(
    resolver: &Resolver<'_>,
    raw: &WorkflowFile,
    sections: &StepSections,
) -> Result<Steps, InputError> {
    let none = StepSection::default();
    let mut steps = IndexMap::new();
    let mut positions = BTreeMap::new();
    for (name, section) in sections {
        resolver.check_name("step", name)?;
        let section = section.as_ref().unwrap_or(&none);
        for after in &section.after {
            if !sections.keys().any(|step| step.value == after.value) {
                let known: Vec<&str> = sections.keys().map(|step| step.value.as_str()).collect();
                return Err(resolver.error(
                    after.referenced,
                    format!(
                        "step `{}` comes after `{}`, and there is no such step",
                        name.value, after.value
                    ),
                    &format!("add it under `steps`, or use one of: {}", known.join(", ")),
                ));
            }
        }
        let at = section.after.first().map_or(name.referenced, |after| after.referenced);
        positions.insert(name.value.as_str(), at);
        steps.insert(name.value.clone(), step(resolver, raw, name, section)?);
    }
    Steps::try_from(steps).map_err(|error| match &error {
        StepsError::Cycle(names) => {
            let at = names.first().and_then(|name| positions.get(name.as_str()));
            resolver.error(
                at.copied().unwrap_or(Location::UNKNOWN),
                error.to_string(),
                "remove one of them from `after`: none of them could ever start",
            )
        }
        StepsError::Empty | StepsError::Unknown { .. } | StepsError::Concurrency(_) => {
            resolver.error(Location::UNKNOWN, error.to_string(), "correct `steps`")
        }
    })
}

fn step(
    resolver: &Resolver<'_>,
    raw: &WorkflowFile,
    name: &Spanned<String>,
    section: &StepSection,
) -> Result<Step, InputError> {
    let task = |name: &Spanned<String>| match raw.tasks.keys().any(|task| task.value == name.value)
    {
        true => Ok(TaskName(name.value.clone())),
        false => Err(resolver.unknown_task(raw, name)),
    };
    let when = section.when.as_ref().map(|when| {
        condition_text::parse(&when.value).map_err(|message| {
            resolver.error(
                when.referenced,
                format!("`when` of step `{}`: {message}", name.value),
                "write it as in docs/WORKFLOW-FILE.md, such as /score > 0.5 and /kind = \"image\"",
            )
        })
    });
    let retries = section.retry.0.iter().map(|retry| {
        let backoff = retry.backoff.as_ref();
        if let Some(wrong) = backoff.filter(|backoff| !(1.0..=1000.0).contains(&backoff.value)) {
            return Err(resolver.error(
                wrong.referenced,
                "a backoff is a number from 1 to 1000",
                "write 1 to wait equally long before every attempt, or 2 to wait twice as long each \
                 time",
            ));
        }
        Ok(Retry {
            errors: errors(&retry.errors),
            attempts: retry.attempts.unwrap_or(3),
            interval_us: retry.interval.map_or(1_000_000, |DurationUs(us)| us),
            backoff: backoff.map_or(2.0, |backoff| backoff.value),
            longest_us: retry.longest.map(|DurationUs(us)| us),
        })
    });
    let catches = section.catch.0.iter();
    let catches =
        catches.map(|catch| Ok(Catch { errors: errors(&catch.errors), task: task(&catch.task)? }));
    Ok(Step {
        task: task(section.task.as_ref().unwrap_or(name))?,
        after: section.after.iter().map(|after| after.value.clone()).collect(),
        map: section.map.as_ref().map(|map| checked_map(resolver, map)).transpose()?,
        when: when.transpose()?,
        retry: retries.collect::<Result<_, _>>()?,
        catch: catches.collect::<Result<_, InputError>>()?,
    })
}

/// Names of errors; none stand for all.
fn errors(names: &[String]) -> Vec<String> {
    match names {
        [] => vec![ALL.to_owned()],
        names => names.to_vec(),
    }
}

fn checked_map(resolver: &Resolver<'_>, map: &Spanned<MapSection>) -> Result<Map, InputError> {
    let MapSection { items, concurrency } = &map.value;
    let wrong =
        |message: String, next_step: &str| Err(resolver.error(map.referenced, message, next_step));
    if !items.is_empty() && !items.starts_with('/') {
        return wrong(
            format!("`{items}` is no place of a list"),
            "write it as a JSON pointer, such as /chunks, or \"\" for the input itself",
        );
    }
    if *concurrency == Some(0) {
        return wrong(
            "a concurrency is at least 1".to_owned(),
            "leave it out to go through all elements at the same time",
        );
    }
    Ok(Map { items: items.clone(), concurrency: *concurrency })
}
