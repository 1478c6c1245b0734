//! What a simulated task answers: JSON, parts of which come from its input.
//!
//! `{"$input": "/a/b"}` stands for what is at that JSON pointer in the input, null if nothing is, and
//! `{"$repeat": n, "item": …}` for a list of n times the item, where n is a number, or a pointer to a
//! number or to a list as long.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::flow::Data;

/// Elements that a repetition has, at most.
const LONGEST_REPETITION: u64 = 100_000;

/// What a task answers, some of it from its input.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTemplate(Part);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// The same for every input.
    Constant(Data),
    /// What is at a JSON pointer.
    Input(String),
    Repeat(Count, Box<Part>),
    List(Vec<Part>),
    Object(Vec<(Arc<str>, Part)>),
}

#[derive(Clone, Debug, PartialEq)]
enum Count {
    Exactly(u64),
    /// What a JSON pointer leads to.
    At(String),
}

/// Why JSON is no template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OutputError {
    /// An object with a name that begins with `$` and means nothing.
    #[error(
        "`{0}` means nothing in an output; there are {{\"$input\": \"/pointer\"}} and {{\"$repeat\": 3, \"item\": …}}"
    )]
    Unknown(String),
    /// Something where a JSON pointer has to be.
    #[error("{0} is no JSON pointer such as /video/chunks")]
    Pointer(String),
    /// Something where a number of elements has to be.
    #[error(
        "a list is repeated 0 to {LONGEST_REPETITION} times, or as often as a JSON pointer says, not {0}"
    )]
    Count(String),
}

impl OutputTemplate {
    /// The template that this JSON is.
    ///
    /// # Errors
    /// If a name that begins with `$` is not used as above.
    pub fn parse(json: &Value) -> Result<Self, OutputError> {
        part(json).map(Self)
    }

    /// What a task with this input answers.
    #[must_use]
    pub fn fill(&self, input: &Data) -> Data {
        self.0.fill(input)
    }
}

impl Part {
    fn fill(&self, input: &Data) -> Data {
        match self {
            Self::Constant(data) => data.clone(),
            Self::Input(pointer) => input.pointer(pointer).cloned().unwrap_or_default(),
            Self::Repeat(count, item) => {
                let count = count.of(input).min(LONGEST_REPETITION);
                Data::list(vec![item.fill(input); count as usize])
            }
            Self::List(parts) => Data::list(parts.iter().map(|part| part.fill(input)).collect()),
            Self::Object(parts) => {
                let fields = parts.iter().map(|(name, part)| (Arc::clone(name), part.fill(input)));
                Data::object(fields.collect())
            }
        }
    }

    /// The same, constant if all of its parts are.
    fn folded(self, constant: bool) -> Self {
        if constant { Self::Constant(self.fill(&Data::Null)) } else { self }
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }
}

impl Count {
    fn of(&self, input: &Data) -> u64 {
        match self {
            Self::Exactly(count) => *count,
            Self::At(pointer) => match input.pointer(pointer) {
                // Converting saturates, below at 0.
                Some(Data::Number(number)) => number.as_f64().unwrap_or(0.0) as u64,
                Some(other) => other.as_list().map_or(0, |list| list.len() as u64),
                None => 0,
            },
        }
    }
}

fn part(json: &Value) -> Result<Part, OutputError> {
    match json {
        Value::Array(items) => {
            let parts: Vec<Part> = items.iter().map(part).collect::<Result<_, _>>()?;
            let constant = parts.iter().all(Part::is_constant);
            Ok(Part::List(parts).folded(constant))
        }
        Value::Object(fields) => match fields.keys().find(|name| name.starts_with('$')) {
            Some(name) => operation(name, fields),
            None => {
                let parts: BTreeMap<Arc<str>, Part> = fields
                    .iter()
                    .map(|(name, field)| Ok((name.as_str().into(), part(field)?)))
                    .collect::<Result<_, _>>()?;
                let constant = parts.values().all(Part::is_constant);
                Ok(Part::Object(parts.into_iter().collect()).folded(constant))
            }
        },
        other => Ok(Part::Constant(other.clone().into())),
    }
}

/// What an object stands for that has this name beginning with `$`.
fn operation(name: &str, fields: &serde_json::Map<String, Value>) -> Result<Part, OutputError> {
    match (name, fields.len(), fields.get("item")) {
        ("$input", 1, _) => pointer(&fields[name]).map(Part::Input),
        ("$repeat", 2, Some(item)) => {
            let count = &fields[name];
            let count = match (count.as_u64(), pointer(count)) {
                (Some(count), _) if count <= LONGEST_REPETITION => Count::Exactly(count),
                (_, Ok(pointer)) => Count::At(pointer),
                _ => return Err(OutputError::Count(count.to_string())),
            };
            let item = part(item)?;
            let constant = item.is_constant() && matches!(count, Count::Exactly(_));
            Ok(Part::Repeat(count, Box::new(item)).folded(constant))
        }
        _ => Err(OutputError::Unknown(name.to_owned())),
    }
}

fn pointer(json: &Value) -> Result<String, OutputError> {
    match json.as_str() {
        Some(text) if text.is_empty() || text.starts_with('/') => Ok(text.to_owned()),
        _ => Err(OutputError::Pointer(json.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_come_from_the_input() {
        let check = |template: Value, expect: Value| {
            let input = Data::from(json!({"a": {"b": 3}, "list": ["x", "y"], "many": 1e300}));
            let filled = OutputTemplate::parse(&template).unwrap().fill(&input);
            assert_eq!(Value::from(&filled), expect, "{template}");
        };
        check(json!({"k": [1, "x", null]}), json!({"k": [1, "x", null]}));
        check(json!({"$input": "/a/b"}), json!(3));
        check(json!({"x": {"$input": "/a"}}), json!({"x": {"b": 3}}));
        check(json!([{"$input": "/nothing"}]), json!([null]));
        check(
            json!({"$repeat": 2, "item": {"at": {"$input": "/a/b"}}}),
            json!([{"at": 3}, {"at": 3}]),
        );
        check(json!({"$repeat": "/list", "item": 0}), json!([0, 0]));
        check(json!({"$repeat": "/a/b", "item": []}), json!([[], [], []]));
        check(json!({"$repeat": "/nothing", "item": 0}), json!([]));
        check(json!({"$repeat": 0, "item": 0}), json!([]));
    }

    #[test]
    fn repetitions_are_bounded() {
        let template = OutputTemplate::parse(&json!({"$repeat": "/many", "item": 0})).unwrap();
        let filled = template.fill(&json!({"many": 1e300}).into());
        assert_eq!(filled.as_list().unwrap().len() as u64, LONGEST_REPETITION);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let error = |template: Value| OutputTemplate::parse(&template).unwrap_err();
        let unknown = |name: &str| OutputError::Unknown(name.to_owned());
        assert_eq!(error(json!({"x": [{"$inputs": "/a"}]})), unknown("$inputs"));
        assert_eq!(error(json!({"$input": "/a", "b": 1})), unknown("$input"));
        assert_eq!(error(json!({"$repeat": 1})), unknown("$repeat"));
        assert_eq!(error(json!({"$input": 1})), OutputError::Pointer("1".into()));
        assert_eq!(error(json!({"$input": "a"})), OutputError::Pointer("\"a\"".into()));
        assert!(matches!(error(json!({"$repeat": -1, "item": 0})), OutputError::Count(_)));
        assert!(matches!(error(json!({"$repeat": 1e6 as u64, "item": 0})), OutputError::Count(_)));
    }
}
