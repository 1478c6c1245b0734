//! A document in JSON or YAML with the places its parts stand at, and objects whose fields are taken one
//! by one so that none is overlooked.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::input_error::InputError;

/// A value and its parts, each with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A value without parts.
    Scalar(Value),
    /// A list.
    List(Vec<Spanned<Node>>),
    /// An object.
    Object(IndexMap<Spanned<String>, Spanned<Node>>),
}

impl Node {
    /// The document that the text of a file is; of a JSON file also what YAML's reader does not take.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Spanned<Self>, InputError> {
        let error = match serde_saphyr::from_str(text) {
            Ok(node) => return Ok(node),
            Err(error) => error,
        };
        let wrong = |message, position| InputError {
            file: file.to_owned(),
            position,
            message,
            next_step: "correct the line".into(),
        };
        // Tabs before fields and surrogate pairs in strings are JSON, but no YAML.
        if file.extension().is_some_and(|extension| extension == "json") {
            return serde_json::from_str::<Value>(text)
                .map(|value| without_place(value.into()))
                .map_err(|error| {
                    let message = error.to_string();
                    let message = message.split(" at line ").next().unwrap_or_default();
                    wrong(message.to_owned(), Some((error.line() as u64, error.column() as u64)))
                });
        }
        let position = error.location().map(|at| (at.line(), at.column()));
        Err(wrong(crate::project::plain_message(&error), position))
    }

    /// The value without places.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.value()).collect(),
            Self::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, field)| (name.value.clone(), field.value.value()))
                    .collect(),
            ),
        }
    }

    /// Its text, if it is a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }
}

fn without_place<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(items) => {
                Self::List(items.into_iter().map(|item| without_place(item.into())).collect())
            }
            Value::Object(fields) => Self::Object(
                fields
                    .into_iter()
                    .map(|(name, field)| (without_place(name), without_place(field.into())))
                    .collect(),
            ),
            scalar => Self::Scalar(scalar),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
            fn visit_none<E: de::Error>(self) -> Result<Node, E> {
                self.visit_unit()
            }
            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
                Node::deserialize(inner)
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Node, E> {
                Ok(Node::Scalar(yes.into()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Scalar(number.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Scalar(number.into()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Scalar(number.into()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Scalar(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, field)) = map.next_entry()? {
                    fields.insert(name, field);
                }
                Ok(Node::Object(fields))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What is wrong at a place of a state machine, and what to do.
pub(super) struct Fault {
    pub(super) at: Location,
    /// Names of states and fields that lead there, joined by `/`; empty for the machine itself.
    pub(super) place: String,
    pub(super) message: String,
    pub(super) next_step: String,
}

impl Fault {
    pub(super) fn in_file(self, file: &Path) -> InputError {
        let place = match self.place.as_str() {
            "" => "the state machine".to_owned(),
            place => format!("state `{place}`"),
        };
        InputError {
            file: file.to_owned(),
            position: (self.at.line() > 0).then(|| (self.at.line(), self.at.column())),
            message: format!("{place}: {}", self.message),
            next_step: self.next_step,
        }
    }
}

/// An object whose fields are taken one by one.
pub(super) struct Fields<'n> {
    /// States that lead to it.
    pub(super) place: String,
    /// Where it stands.
    pub(super) at: Location,
    /// What it is, for errors: `a Task state`.
    pub(super) what: String,
    fields: &'n IndexMap<Spanned<String>, Spanned<Node>>,
    taken: BTreeSet<&'n str>,
}

impl<'n> Fields<'n> {
    /// The fields of an object. Comments are taken.
    pub(super) fn of(node: &'n Spanned<Node>, place: &str, what: &str) -> Result<Self, Fault> {
        match &node.value {
            Node::Object(fields) => Ok(Self {
                place: place.to_owned(),
                at: node.referenced,
                what: what.to_owned(),
                fields,
                taken: ["Comment"].into(),
            }),
            _ => Err(Fault {
                at: node.referenced,
                place: place.to_owned(),
                message: format!("{what} is an object"),
                next_step: "correct it as in the Amazon States Language".into(),
            }),
        }
    }

    /// The field of this name, if it is there.
    pub(super) fn take(&mut self, name: &str) -> Option<&'n Spanned<Node>> {
        let (key, field) = self.fields.iter().find(|(key, _)| key.value == name)?;
        self.taken.insert(&key.value);
        Some(field)
    }

    /// The field of this name.
    pub(super) fn require(&mut self, name: &'static str) -> Result<&'n Spanned<Node>, Fault> {
        self.take(name).ok_or_else(|| self.lacks(name))
    }

    /// The field of this name as a string, if it is there.
    pub(super) fn take_text(
        &mut self,
        name: &'static str,
    ) -> Result<Option<(&'n str, Location)>, Fault> {
        let Some(field) = self.take(name) else { return Ok(None) };
        match field.value.text() {
            Some(text) => Ok(Some((text, field.referenced))),
            None => Err(self.wrong(name, field, "a string")),
        }
    }

    /// The field of this name as a string.
    pub(super) fn require_text(
        &mut self,
        name: &'static str,
    ) -> Result<(&'n str, Location), Fault> {
        self.take_text(name)?.ok_or_else(|| self.lacks(name))
    }

    /// The field of this name as a number from `least` on, if it is there.
    pub(super) fn take_number(
        &mut self,
        name: &'static str,
        least: f64,
    ) -> Result<Option<f64>, Fault> {
        let Some(field) = self.take(name) else { return Ok(None) };
        match &field.value {
            Node::Scalar(Value::Number(number)) if number.as_f64().is_some_and(|n| n >= least) => {
                Ok(number.as_f64())
            }
            _ => Err(self.wrong(name, field, &format!("a number of at least {least}"))),
        }
    }

    /// The field of this name as a whole number from `least` on, if it is there.
    pub(super) fn take_whole(
        &mut self,
        name: &'static str,
        least: u32,
    ) -> Result<Option<u32>, Fault> {
        let Some(field) = self.take(name) else { return Ok(None) };
        let number = match &field.value {
            Node::Scalar(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        match number.and_then(|number| u32::try_from(number).ok()).filter(|n| *n >= least) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, field, &format!("a whole number of at least {least}"))),
        }
    }

    fn lacks(&self, name: &str) -> Fault {
        self.fault(self.at, format!("{} has no field `{name}`", self.what), "add it")
    }

    /// That a field is of another kind.
    pub(super) fn wrong(&self, name: &str, field: &Spanned<Node>, expected: &str) -> Fault {
        self.fault(field.referenced, format!("`{name}` is {expected}"), "correct it")
    }

    /// That something here is wrong.
    pub(super) fn fault(
        &self,
        at: Location,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Fault {
        Fault {
            at,
            place: self.place.clone(),
            message: message.into(),
            next_step: next_step.into(),
        }
    }

    /// Names of the fields that are left.
    pub(super) fn left(&self) -> impl Iterator<Item = (&'n str, &'n Spanned<Node>)> {
        let left = self.fields.iter().filter(|(key, _)| !self.taken.contains(key.value.as_str()));
        left.map(|(key, field)| (key.value.as_str(), field))
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), Fault> {
        let left = self.fields.keys().find(|key| !self.taken.contains(key.value.as_str()));
        let Some(key) = left else { return Ok(()) };
        let next_step = super::unsupported::instead_of(&key.value).unwrap_or(
            "remove it; docs/WORKFLOW-FILE.md lists what Fuseline runs of the Amazon States Language",
        );
        let message = format!("{} with the field `{}` is not supported", self.what, key.value);
        Err(self.fault(key.referenced, message, next_step))
    }
}
