//! JSON pointers: where a field is, and which fields to leave out of a comparison.

use std::fmt;
use std::str::FromStr;

/// One step into a value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// A field of an object.
    Field(String),
    /// An element of a list, from 0.
    Element(usize),
}

/// Where a field is.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Pointer(pub Vec<Step>);

/// Fields, and everything below them: a pointer (RFC 6901) in which `*` stands for any one step.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Part {
    Any,
    Exactly(String),
}

/// A text that is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no JSON pointer that starts with /status, /error, /payload or /calls")]
pub struct PatternError(String);

/// First steps there are: the parts of what came of a request.
const FIRST: [&str; 4] = ["status", "error", "payload", "calls"];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(&escaped(name)),
            Self::Element(index) => write!(f, "{index}"),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{step}"))
    }
}

impl Pattern {
    /// The pattern of fields like the one at `pointer`: in every element of the lists that the way
    /// there goes through. The last step stays as it is, since the elements of a list of plain values
    /// need not be alike.
    #[must_use]
    pub fn like(pointer: &Pointer) -> Self {
        let last = pointer.0.len().saturating_sub(1);
        Self(
            pointer
                .0
                .iter()
                .enumerate()
                .map(|(at, step)| match step {
                    Step::Element(_) if at < last => Part::Any,
                    Step::Element(index) => Part::Exactly(index.to_string()),
                    Step::Field(name) => Part::Exactly(name.clone()),
                })
                .collect(),
        )
    }

    /// Whether it means the field at exactly this place.
    #[must_use]
    pub fn matches(&self, pointer: &Pointer) -> bool {
        self.0.len() == pointer.0.len()
            && self.0.iter().zip(&pointer.0).all(|(part, step)| match (part, step) {
                (Part::Any, _) => true,
                (Part::Exactly(text), Step::Field(name)) => text == name,
                (Part::Exactly(text), Step::Element(index)) => *text == index.to_string(),
            })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError(text.to_owned());
        let parts: Vec<&str> = text.strip_prefix('/').ok_or_else(wrong)?.split('/').collect();
        if !parts.first().is_some_and(|first| FIRST.contains(first)) {
            return Err(wrong());
        }
        let part = |part: &str| match part {
            "*" => Part::Any,
            name => Part::Exactly(name.replace("~1", "/").replace("~0", "~")),
        };
        Ok(Self(parts.into_iter().map(part).collect()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Any => f.write_str("/*"),
            Part::Exactly(name) => write!(f, "/{}", escaped(name)),
        })
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(steps: &[&str]) -> Pointer {
        let step = |text: &&str| match text.parse() {
            Ok(index) => Step::Element(index),
            Err(_) => Step::Field((*text).to_owned()),
        };
        Pointer(steps.iter().map(step).collect())
    }

    #[test]
    fn patterns_name_fields() {
        for (pattern, steps, expect) in [
            ("/payload/at", &["payload", "at"][..], true),
            ("/payload/at", &["payload", "at", "x"], false),
            ("/payload/at", &["payload"], false),
            ("/payload/*/at", &["payload", "3", "at"], true),
            ("/payload/*", &["payload", "x"], true),
            ("/payload/3", &["payload", "3"], true),
            ("/payload/a~1b~0", &["payload", "a/b~"], true),
            ("/calls/b/*/outcome", &["calls", "b", "0", "outcome"], true),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(&pointer(steps)), expect, "{pattern} {steps:?}");
            assert_eq!(parsed.to_string(), pattern);
        }
        for text in ["", "payload", "/", "/at", "payload/at"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_of_one_element_stands_for_that_of_all() {
        for (steps, expect) in [
            (&["payload", "items", "3", "id"][..], "/payload/items/*/id"),
            (&["payload", "items", "3"], "/payload/items/3"),
            (&["calls", "b", "0", "response", "a/b"], "/calls/b/*/response/a~1b"),
        ] {
            assert_eq!(Pattern::like(&pointer(steps)).to_string(), expect);
        }
    }
}
