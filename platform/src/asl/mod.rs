//! Reads a state machine in Amazon States Language (JSONPath), from JSON or YAML. What Fuseline does not
//! run is refused with the path of the state and the name of the field.

mod choice;
mod document;
mod resource;
#[cfg(test)]
mod tests;
mod unsupported;

use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;
use optimizer::flow::Retry;
use optimizer::flow::path::Path as DataPath;
use optimizer::flow::states::{Catch, Kind, Placement, Processing, Selection, State, States, Wait};
use optimizer::flow::template::Template;
use optimizer::workflow::TaskName;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

pub(crate) use self::document::Node;
use self::document::{Fault, Fields};
use crate::input_error::InputError;

/// Microseconds in so many seconds.
fn us(seconds: u32) -> u64 {
    u64::from(seconds) * 1_000_000
}

/// The state machine that a document is; `file` is where it stands, for errors.
///
/// # Errors
/// If it is none, or uses what is not supported.
pub(crate) fn read(
    document: &Spanned<Node>,
    file: &Path,
    tasks: &[&TaskName],
) -> Result<States, InputError> {
    let machine = || {
        let mut fields = Fields::of(document, "", "a state machine")?;
        json_path_only(&mut fields)?;
        if let Some((version, at)) = fields.take_text("Version")?
            && version != "1.0"
        {
            return Err(fields.fault(at, format!("version {version} is not known"), "write 1.0"));
        }
        machine(fields, tasks)
    };
    machine().map_err(|fault| fault.in_file(file))
}

/// Refuses another query language than JSONPath.
fn json_path_only(fields: &mut Fields<'_>) -> Result<(), Fault> {
    match fields.take_text("QueryLanguage")? {
        Some((language, at)) if language != "JSONPath" => {
            let next_step = unsupported::instead_of("QueryLanguage").unwrap_or_default();
            Err(fields.fault(
                at,
                format!("the query language {language} is not supported"),
                next_step,
            ))
        }
        _ => Ok(()),
    }
}

/// A machine, or a branch of one; `fields` lacks what only whole machines have.
fn machine(mut fields: Fields<'_>, tasks: &[&TaskName]) -> Result<States, Fault> {
    let (start, start_at) = fields.require_text("StartAt")?;
    let list = fields.require("States")?;
    let Node::Object(nodes) = &list.value else {
        return Err(fields.wrong("States", list, "an object of states"));
    };
    let mut states = IndexMap::new();
    // Where each state names others.
    let mut ways = Vec::new();
    for (name, node) in nodes {
        let place = match fields.place.as_str() {
            "" => name.value.clone(),
            outer => format!("{outer}/{}", name.value),
        };
        let state = state(Fields::of(node, &place, "a state")?, tasks, nodes)?;
        ways.push(targets(&state));
        states.insert(name.value.clone(), state);
    }
    if !states.contains_key(start) {
        let message = format!("`StartAt` names `{start}`, and there is no such state");
        return Err(fields.fault(start_at, message, "name one of `States`"));
    }
    let mut reached = BTreeSet::from([start.to_owned()]);
    let mut waiting = vec![start.to_owned()];
    while let Some(name) = waiting.pop() {
        let number = states.get_index_of(&name).expect("every target is checked");
        for target in &ways[number] {
            if reached.insert(target.clone()) {
                waiting.push(target.clone());
            }
        }
    }
    if let Some((name, node)) = nodes.iter().find(|(name, _)| !reached.contains(&name.value)) {
        let message = format!("nothing leads to the state `{}`", name.value);
        return Err(fields.fault(node.referenced, message, "remove it, or name it as `Next`"));
    }
    fields.finish()?;
    Ok(States { start: start.to_owned(), states })
}

/// Names of the states that may follow.
fn targets(state: &State) -> Vec<String> {
    let mut targets: Vec<String> = state.next.iter().cloned().collect();
    targets.extend(state.catch.iter().map(|catch| catch.next.clone()));
    if let Kind::Choice { rules, default } = &state.kind {
        targets.extend(rules.iter().map(|(_, next)| next.clone()).chain(default.clone()));
    }
    targets
}

/// The states of a machine, to check names against.
type Nodes = IndexMap<Spanned<String>, Spanned<Node>>;

fn state(mut fields: Fields<'_>, tasks: &[&TaskName], nodes: &Nodes) -> Result<State, Fault> {
    json_path_only(&mut fields)?;
    let (kind, at) = fields.require_text("Type")?;
    fields.what = format!("a {kind} state");
    let mut data = Processing::default();
    let kind = match kind {
        "Task" => {
            let invocation = resource::invocation(&mut fields, tasks)?;
            data.parameters = invocation.parameters;
            data.selector = invocation.selector;
            let timeout_us = fields.take_whole("TimeoutSeconds", 1)?.map(us);
            Kind::Task { task: invocation.task, timeout_us }
        }
        "Parallel" => {
            let list = fields.require("Branches")?;
            let Node::List(branches) = &list.value else {
                return Err(fields.wrong("Branches", list, "a list of machines"));
            };
            let branches = branches.iter().enumerate().map(|(number, branch)| {
                machine(
                    Fields::of(branch, &format!("{}/{number}", fields.place), "a branch")?,
                    tasks,
                )
            });
            let branches: Vec<States> = branches.collect::<Result<_, _>>()?;
            if branches.is_empty() {
                return Err(fields.wrong("Branches", list, "a list of at least one machine"));
            }
            data.parameters = template(&mut fields, "Parameters")?;
            data.selector = template(&mut fields, "ResultSelector")?;
            Kind::Parallel { branches }
        }
        "Map" => {
            data.selector = template(&mut fields, "ResultSelector")?;
            map(&mut fields, tasks)?
        }
        "Choice" => choices(&mut fields, nodes)?,
        "Pass" => {
            data.parameters = template(&mut fields, "Parameters")?;
            Kind::Pass { result: fields.take("Result").map(|node| node.value.value().into()) }
        }
        "Wait" => Kind::Wait(wait(&mut fields)?),
        "Succeed" => Kind::Succeed,
        "Fail" => {
            let mut text =
                |name| Ok(fields.take_text(name)?.map_or("", |(text, _)| text).to_owned());
            Kind::Fail { error: text("Error")?, cause: text("Cause")? }
        }
        other => {
            return Err(fields.fault(
                at,
                format!("the state type `{other}` is not supported"),
                "use Task, Parallel, Map, Choice, Pass, Wait, Succeed or Fail",
            ));
        }
    };
    // Which of the common fields a state has, as in the language's table of them.
    if !matches!(kind, Kind::Fail { .. }) {
        data.input = selection(&mut fields, "InputPath")?;
        data.output = selection(&mut fields, "OutputPath")?;
    }
    let runs = matches!(kind, Kind::Task { .. } | Kind::Parallel { .. } | Kind::Map { .. });
    if runs || matches!(kind, Kind::Pass { .. }) {
        data.result = placement(&mut fields)?;
    }
    let (retry, catch) = match runs {
        true => (retries(&mut fields)?, catches(&mut fields, nodes)?),
        false => (Vec::new(), Vec::new()),
    };
    let next = match kind {
        Kind::Choice { .. } | Kind::Succeed | Kind::Fail { .. } => None,
        _ => next(&mut fields, nodes)?,
    };
    fields.finish()?;
    Ok(State { kind, data, next, retry, catch })
}

fn map(fields: &mut Fields<'_>, tasks: &[&TaskName]) -> Result<Kind, Fault> {
    let iterator = match (fields.take("ItemProcessor"), fields.take("Iterator")) {
        (Some(one), None) | (None, Some(one)) => one,
        _ => {
            let message = "a Map state has one of the fields `ItemProcessor` and `Iterator`";
            return Err(fields.fault(fields.at, message, "add or remove one"));
        }
    };
    let mut inner = Fields::of(iterator, &fields.place, "the machine of a Map state")?;
    if let Some(config) = inner.take("ProcessorConfig") {
        let mut config = Fields::of(config, &fields.place, "`ProcessorConfig`")?;
        if let Some((mode, at)) = config.take_text("Mode")?
            && mode != "INLINE"
        {
            let next_step = unsupported::instead_of("ItemReader").unwrap_or_default();
            return Err(fields.fault(at, format!("the mode {mode} is not supported"), next_step));
        }
        config.finish()?;
    }
    let iterator = Box::new(machine(inner, tasks)?);
    let items = match fields.take_text("ItemsPath")? {
        None => DataPath::default(),
        Some((text, at)) => path(fields, "ItemsPath", text, at)?,
    };
    let selector = match (template(fields, "ItemSelector")?, template(fields, "Parameters")?) {
        (Some(_), Some(_)) => {
            let message = "`Parameters` is the old name of `ItemSelector`; both are there";
            return Err(fields.fault(fields.at, message, "remove one"));
        }
        (one, other) => one.or(other),
    };
    // 0 stands for no limit.
    let concurrency = fields.take_whole("MaxConcurrency", 0)?.filter(|most| *most > 0);
    Ok(Kind::Map { items, selector, concurrency, iterator })
}

fn choices(fields: &mut Fields<'_>, nodes: &Nodes) -> Result<Kind, Fault> {
    let list = fields.require("Choices")?;
    let Node::List(list) = &list.value else {
        return Err(fields.wrong("Choices", list, "a list of rules"));
    };
    let mut rules = Vec::new();
    for rule in list {
        let mut rule = Fields::of(rule, &fields.place, "a rule")?;
        let condition = choice::condition(&mut rule)?;
        let (next, at) = rule.require_text("Next")?;
        known(fields, "Next", next, at, nodes)?;
        rule.finish()?;
        rules.push((condition, next.to_owned()));
    }
    let default = fields.take_text("Default")?;
    if let Some((name, at)) = default {
        known(fields, "Default", name, at, nodes)?;
    }
    Ok(Kind::Choice { rules, default: default.map(|(name, _)| name.to_owned()) })
}

fn wait(fields: &mut Fields<'_>) -> Result<Wait, Fault> {
    match (fields.take_whole("Seconds", 0)?, fields.take_text("SecondsPath")?) {
        (Some(seconds), None) => Ok(Wait::For(us(seconds))),
        (None, Some((text, at))) => path(fields, "SecondsPath", text, at).map(Wait::Path),
        _ => {
            let left = fields.left().map(|(name, _)| name).find_map(unsupported::instead_of);
            let next_step = left.unwrap_or("write how long to wait, as one of them");
            let message = "a Wait state has one of the fields `Seconds` and `SecondsPath`";
            Err(fields.fault(fields.at, message, next_step))
        }
    }
}

/// `Next` or `End`.
fn next(fields: &mut Fields<'_>, nodes: &Nodes) -> Result<Option<String>, Fault> {
    let end = fields.take("End").is_some_and(|end| end.value == Node::Scalar(true.into()));
    match (fields.take_text("Next")?, end) {
        (Some((name, at)), false) => {
            known(fields, "Next", name, at, nodes)?;
            Ok(Some(name.to_owned()))
        }
        (None, true) => Ok(None),
        _ => {
            let message = format!("{} has `Next` or `End: true`, one of them", fields.what);
            Err(fields.fault(fields.at, message, "add or remove one"))
        }
    }
}

/// Checks that there is a state of a name.
fn known(
    fields: &Fields<'_>,
    field: &str,
    name: &str,
    at: Location,
    nodes: &Nodes,
) -> Result<(), Fault> {
    if nodes.keys().any(|key| key.value == name) {
        return Ok(());
    }
    let message = format!("`{field}` names `{name}`, and there is no such state beside it");
    Err(fields.fault(at, message, "name a state of the same machine or branch"))
}

fn retries(fields: &mut Fields<'_>) -> Result<Vec<Retry>, Fault> {
    handlers(fields, "Retry", |handler, errors| {
        if let Some((jitter, at)) = handler.take_text("JitterStrategy")?
            && jitter != "NONE"
        {
            let next_step = unsupported::instead_of("JitterStrategy").unwrap_or_default();
            let message = format!("the jitter strategy {jitter} is not supported");
            return Err(handler.fault(at, message, next_step));
        }
        Ok(Retry {
            errors,
            attempts: handler.take_whole("MaxAttempts", 0)?.unwrap_or(3),
            interval_us: us(handler.take_whole("IntervalSeconds", 1)?.unwrap_or(1)),
            backoff: handler.take_number("BackoffRate", 1.0)?.unwrap_or(2.0),
            longest_us: handler.take_whole("MaxDelaySeconds", 1)?.map(us),
        })
    })
}

fn catches(fields: &mut Fields<'_>, nodes: &Nodes) -> Result<Vec<Catch>, Fault> {
    handlers(fields, "Catch", |handler, errors| {
        let (next, at) = handler.require_text("Next")?;
        known(handler, "Next", next, at, nodes)?;
        Ok(Catch { errors, next: next.to_owned(), result: placement(handler)? })
    })
}

/// `Retry` or `Catch`, each of whose elements names errors.
fn handlers<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    mut read: impl FnMut(&mut Fields<'_>, Vec<String>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let Some(list) = fields.take(name) else { return Ok(Vec::new()) };
    let Node::List(nodes) = &list.value else {
        return Err(fields.wrong(name, list, "a list"));
    };
    let mut handlers = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let mut handler = Fields::of(node, &fields.place, &format!("an element of `{name}`"))?;
        let list = handler.require("ErrorEquals")?;
        let errors = match &list.value {
            Node::List(items) => items.iter().map(|item| item.value.text()).collect(),
            _ => None,
        };
        let errors: Vec<&str> = errors
            .filter(|errors: &Vec<&str>| !errors.is_empty())
            .ok_or_else(|| handler.wrong("ErrorEquals", list, "a list of names of errors"))?;
        let any = errors.contains(&"States.ALL");
        if any && (errors.len() > 1 || number + 1 < nodes.len()) {
            let message = "`States.ALL` stands alone, in the last element of the list";
            return Err(handler.fault(list.referenced, message, "move it there"));
        }
        let errors = errors.into_iter().map(str::to_owned).collect();
        handlers.push(read(&mut handler, errors)?);
        handler.finish()?;
    }
    Ok(handlers)
}

fn selection(fields: &mut Fields<'_>, name: &'static str) -> Result<Selection, Fault> {
    match path_or_null(fields, name)? {
        None => Ok(Selection::All),
        Some(None) => Ok(Selection::Nothing),
        Some(Some(path)) if path.0.is_empty() => Ok(Selection::All),
        Some(Some(path)) => Ok(Selection::At(path)),
    }
}

fn placement(fields: &mut Fields<'_>) -> Result<Placement, Fault> {
    match path_or_null(fields, "ResultPath")? {
        None => Ok(Placement::Replace),
        Some(None) => Ok(Placement::Discard),
        Some(Some(path)) if path.0.is_empty() => Ok(Placement::Replace),
        Some(Some(path)) => Ok(Placement::At(path)),
    }
}

/// A path, or null.
fn path_or_null(
    fields: &mut Fields<'_>,
    name: &'static str,
) -> Result<Option<Option<DataPath>>, Fault> {
    match fields.take(name) {
        None => Ok(None),
        Some(node) => match &node.value {
            Node::Scalar(Value::Null) => Ok(Some(None)),
            Node::Scalar(Value::String(text)) => {
                path(fields, name, text, node.referenced).map(Some).map(Some)
            }
            _ => Err(fields.wrong(name, node, "a path or null")),
        },
    }
}

fn path(fields: &Fields<'_>, name: &str, text: &str, at: Location) -> Result<DataPath, Fault> {
    text.parse().map_err(|_| {
        let message = format!("`{name}`: `{text}` is not supported");
        let next_step = "name one place, such as $.order.items[0]; filters, wildcards, intrinsic \
                         functions and, here, the context ($$) are not supported";
        fields.fault(at, message, next_step)
    })
}

fn template(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<Template>, Fault> {
    let Some(node) = fields.take(name) else { return Ok(None) };
    Template::parse(&node.value.value()).map(Some).map_err(|error| {
        let message = format!("`{name}/{}`: {error}", error.place);
        fields.fault(node.referenced, message, "correct it, or do it in a task")
    })
}
