//! Conditions on values: the rules of Choice states, and when a step runs.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::data::Data;
use super::path::Path;

/// What may hold of a value.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
    /// Not this one.
    Not(Box<Condition>),
    /// Something about what is at a path. Nothing but [`Test::Present`] can be asked if nothing is there.
    Is(Path, Test),
}

/// What may hold of what is at a path.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Whether there is anything.
    Present(bool),
    /// Whether it is null.
    Null(bool),
    /// Whether it is a boolean.
    Boolean(bool),
    /// Whether it is a number.
    Numeric(bool),
    /// Whether it is a string.
    String(bool),
    /// How it compares with a value of its own type; never holds for another type.
    Compare(Comparison, Operand),
    /// Whether it is a string that matches a pattern in which `*` stands for any text, `\*` for a star
    /// and `\\` for a backslash.
    Matches(String),
}

/// How two values of one type compare.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// Equal.
    Equals,
    /// Less.
    Less,
    /// Less or equal.
    LessEquals,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterEquals,
}

/// What a value is compared with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operand {
    /// A boolean; only equality is asked for.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    String(String),
    /// What is at another path, of the type that the test names.
    Path(Path, OperandType),
}

/// Type of an operand that is at a path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperandType {
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
}

/// A condition asks about something that is not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is nothing at {0}")]
pub struct Absent(pub Path);

impl Condition {
    /// Whether it holds. Conditions are looked at in their order, and only as many as needed.
    ///
    /// # Errors
    /// If there is nothing at a path that is asked about.
    pub fn holds(&self, data: &Data) -> Result<bool, Absent> {
        match self {
            Self::And(all) => {
                for condition in all {
                    if !condition.holds(data)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(any) => {
                for condition in any {
                    if condition.holds(data)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(condition) => Ok(!condition.holds(data)?),
            Self::Is(path, Test::Present(present)) => Ok(data.at(path).is_some() == *present),
            Self::Is(path, test) => test.holds(found(data, path)?, data),
        }
    }
}

fn found<'d>(data: &'d Data, path: &Path) -> Result<&'d Data, Absent> {
    data.at(path).ok_or_else(|| Absent(path.clone()))
}

impl Test {
    /// Whether it holds of `value`; operands at paths are in `data`.
    fn holds(&self, value: &Data, data: &Data) -> Result<bool, Absent> {
        Ok(match self {
            Self::Present(present) => *present,
            Self::Null(is) => matches!(value, Data::Null) == *is,
            Self::Boolean(is) => matches!(value, Data::Boolean(_)) == *is,
            Self::Numeric(is) => matches!(value, Data::Number(_)) == *is,
            Self::String(is) => matches!(value, Data::String(_)) == *is,
            Self::Matches(pattern) => value.as_str().is_some_and(|text| matches(pattern, text)),
            Self::Compare(comparison, operand) => {
                operand.order(value, data)?.is_some_and(|order| comparison.allows(order))
            }
        })
    }
}

impl Operand {
    /// How the value compares with it; `None` if it is of another type.
    fn order(&self, value: &Data, data: &Data) -> Result<Option<Ordering>, Absent> {
        Ok(match self {
            Self::Boolean(operand) => boolean(value).map(|value| value.cmp(operand)),
            Self::Number(operand) => value.as_f64().and_then(|value| value.partial_cmp(operand)),
            Self::String(operand) => value.as_str().map(|value| value.cmp(operand)),
            Self::Path(path, kind) => {
                let operand = found(data, path)?;
                match kind {
                    OperandType::Boolean => order(boolean(value), boolean(operand)),
                    OperandType::Number => order(value.as_f64(), operand.as_f64()),
                    OperandType::String => order(value.as_str(), operand.as_str()),
                }
            }
        })
    }
}

fn boolean(data: &Data) -> Option<bool> {
    match data {
        Data::Boolean(yes) => Some(*yes),
        _ => None,
    }
}

fn order<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<Ordering> {
    one?.partial_cmp(&other?)
}

impl Comparison {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Equals => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessEquals => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterEquals => order.is_ge(),
        }
    }
}

/// Whether a text matches a pattern. Linear in the pattern for each character of the text.
fn matches(pattern: &str, text: &str) -> bool {
    /// One part of a pattern: any text, or a character.
    enum Part {
        Any,
        Exactly(char),
    }
    let mut parts = Vec::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        parts.push(match character {
            '*' => Part::Any,
            '\\' => Part::Exactly(rest.next().unwrap_or('\\')),
            character => Part::Exactly(character),
        });
    }
    // Whether the text so far matches the first so many parts.
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    let skip_stars = |reached: &mut Vec<bool>| {
        for (at, part) in parts.iter().enumerate() {
            reached[at + 1] |= reached[at] && matches!(part, Part::Any);
        }
    };
    skip_stars(&mut reached);
    for character in text.chars() {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::Exactly(expected) => next[at + 1] |= *expected == character,
            }
        }
        skip_stars(&mut next);
        reached = next;
    }
    reached[parts.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is(path: &str, test: Test) -> Condition {
        Condition::Is(path.parse().unwrap(), test)
    }

    fn data() -> Data {
        json!({"n": 3, "m": 3.5, "s": "abc", "t": "abd", "b": true, "none": null}).into()
    }

    #[test]
    fn values_compare_with_their_own_type() {
        use Comparison::{Equals, Greater, GreaterEquals, Less, LessEquals};
        let path = |text: &str, kind: OperandType| Operand::Path(text.parse().unwrap(), kind);
        for (at, comparison, operand, expect) in [
            ("$.n", Equals, Operand::Number(3.0), true),
            ("$.n", Less, Operand::Number(3.0), false),
            ("$.n", LessEquals, Operand::Number(3.0), true),
            ("$.n", Greater, Operand::Number(2.5), true),
            ("$.n", GreaterEquals, Operand::Number(3.1), false),
            ("$.n", Equals, Operand::String("3".into()), false),
            ("$.s", Less, Operand::String("abd".into()), true),
            ("$.s", Less, path("$.t", OperandType::String), true),
            ("$.s", Less, path("$.t", OperandType::Number), false),
            ("$.m", Greater, path("$.n", OperandType::Number), true),
            ("$.b", Equals, Operand::Boolean(true), true),
            ("$.b", Equals, Operand::Boolean(false), false),
            ("$.none", Equals, Operand::Boolean(false), false),
        ] {
            let condition = is(at, Test::Compare(comparison, operand));
            assert_eq!(condition.holds(&data()), Ok(expect), "{condition:?}");
        }
    }

    #[test]
    fn types_and_presence_are_asked_for() {
        for (at, test, expect) in [
            ("$.none", Test::Null(true), true),
            ("$.n", Test::Null(false), true),
            ("$.n", Test::Numeric(true), true),
            ("$.s", Test::Numeric(true), false),
            ("$.s", Test::String(true), true),
            ("$.b", Test::Boolean(false), false),
            ("$.none", Test::Present(true), true),
            ("$.x", Test::Present(true), false),
            ("$.x.y", Test::Present(false), true),
        ] {
            let condition = is(at, test);
            assert_eq!(condition.holds(&data()), Ok(expect), "{condition:?}");
        }
    }

    #[test]
    fn only_what_is_needed_is_looked_at() {
        let absent = || is("$.x", Test::Null(false));
        let (yes, no) = (|| is("$.n", Test::Numeric(true)), || is("$.n", Test::Numeric(false)));
        let error = Err(Absent("$.x".parse().unwrap()));
        for (condition, expect) in [
            (Condition::And(vec![no(), absent()]), Ok(false)),
            (Condition::And(vec![yes(), absent()]), error.clone()),
            (Condition::Or(vec![yes(), absent()]), Ok(true)),
            (Condition::Or(vec![no(), absent()]), error.clone()),
            (Condition::Or(vec![no(), yes()]), Ok(true)),
            (Condition::And(vec![yes(), yes()]), Ok(true)),
            (Condition::Not(Box::new(no())), Ok(true)),
            (Condition::Not(Box::new(absent())), error),
        ] {
            assert_eq!(condition.holds(&data()), expect, "{condition:?}");
        }
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expect) in [
            ("abc", "abc", true),
            ("ab", "abc", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*", "axxbyy", true),
            ("a*b", "axxbyy", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\\*", r"a\b", true),
            ("**é*", "xéy", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
    }
}
