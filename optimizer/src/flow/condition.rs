//! Conditions on values: the rules of Choice states, and when a step runs.

use serde::{Deserialize, Serialize};

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
    /// Something about what is at a path. Does not hold if nothing is there, unless it asks for that.
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
    /// Whether it is a string that matches a pattern in which `*` stands for any text.
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
