//! Reference paths: `$.order.items[0]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a value is in another: the part of JSONPath that names exactly one place.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Path(pub Vec<Part>);

/// One step into a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part {
    /// A field of an object.
    Field(String),
    /// An element of a list, from 0.
    Element(usize),
}

/// A text that is no reference path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no path such as $.order.items[0]")]
pub struct PathError(pub String);

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let error = || PathError(text.to_owned());
        let mut rest = text.strip_prefix('$').ok_or_else(error)?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let name = &after[..end];
                let plain = !name.is_empty()
                    && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
                if !plain {
                    return Err(error());
                }
                parts.push(Part::Field(name.to_owned()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix("['") {
                let (name, after) = after.split_once("']").ok_or_else(error)?;
                parts.push(Part::Field(name.to_owned()));
                rest = after;
            } else {
                let after = rest.strip_prefix('[').ok_or_else(error)?;
                let (number, after) = after.split_once(']').ok_or_else(error)?;
                parts.push(Part::Element(number.parse().map_err(|_| error())?));
                rest = after;
            }
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|part| match part {
            Part::Field(name) => write!(f, "['{name}']"),
            Part::Element(number) => write!(f, "[{number}]"),
        })
    }
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        for (text, written) in
            [("$", "$"), ("$.a.b-c[2].d", "$['a']['b-c'][2]['d']"), ("$['a b'][0]", "$['a b'][0]")]
        {
            let path: Path = text.parse().unwrap();
            assert_eq!(path.to_string(), written);
            assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
    }

    #[test]
    fn what_may_name_several_places_is_refused() {
        for text in ["", "a", "$.", "$..a", "$.a[*]", "$.a[?(@.b)]", "$[-1]", "$.a[0:2]", "$['a'"] {
            assert_eq!(text.parse::<Path>(), Err(PathError(text.to_owned())), "{text}");
        }
    }
}
