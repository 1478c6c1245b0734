//! A user's own platform: a file of the form of the built-in ones, in YAML or JSON.

use std::path::Path;

use indexmap::IndexMap;
use optimizer::platforms::Platform;
use optimizer::platforms::file::{Field, FieldPath, PlatformFile};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Spanned};

use crate::input_error::InputError;
use crate::project::{plain_message, position, reason};

/// Reads and checks a platform's file.
///
/// # Errors
/// If the file cannot be read or says anything wrong.
pub fn load(file: &Path) -> Result<Platform, InputError> {
    let text = fs_err::read_to_string(file).map_err(|error| InputError {
        file: file.to_owned(),
        position: None,
        message: format!("the platform's file cannot be read: {}", reason(&error)),
        next_step: "name an existing file; docs/PLATFORMS.md says how to write one".into(),
    })?;
    parse(file, &text)
}

/// As [`load`], from the file's text.
///
/// # Errors
/// If the text says anything wrong.
pub fn parse(file: &Path, text: &str) -> Result<Platform, InputError> {
    let written: PlatformFile = serde_saphyr::from_str(text).map_err(|error| InputError {
        file: file.to_owned(),
        position: error.location().map(position),
        message: plain_message(&error),
        next_step: "correct the line; docs/PLATFORMS.md lists every key".into(),
    })?;
    written.check().map_err(|fault| InputError {
        file: file.to_owned(),
        position: locate(text, &fault.path).map(position),
        message: fault.to_string(),
        next_step: fault.next_step,
    })
}

/// Where a field stands, or what would have to hold it if it is not there.
fn locate(text: &str, path: &FieldPath) -> Option<Location> {
    // What is no finite number has been found fault with; here it is only looked for.
    let options = serde_saphyr::options! {
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let read = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options);
    let mut node = read.ok()?;
    for field in &path.0 {
        let below = match (node.value, field) {
            (Node::Map(mut map), Field::Key(key)) => map.swap_remove(key),
            (Node::List(mut list), Field::Index(index)) if *index < list.len() => {
                Some(list.swap_remove(*index))
            }
            _ => None,
        };
        match below {
            Some(below) => node = below,
            None => return Some(node.referenced),
        }
    }
    Some(node.referenced)
}

/// Any YAML, with positions.
enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Map(IndexMap<String, Spanned<Node>>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Node;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = IndexMap::new();
                while let Some((key, value)) = entries.next_entry()? {
                    map.insert(key, value);
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(Anything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
name: cluster
notes: [two nodes of our own]
space:
  source: own measurements
  date: 2026-11-27
  memoryPerVcpu: 2048
  cells:
    - { vcpu: { from: 0.25, to: 4, step: 0.25 }, memory: { from: 256, to: 8192, step: 256 } }
    - vcpu: 8
      memory: 16384
prices:
  cluster: { source: own bill, date: 2026-11-27, unit: EUR, per: hour, vcpu: 0.03, gb: 0.004, request: 0, granularityMs: 1, initBilled: true }
";

    fn parse(text: &str) -> Result<Platform, InputError> {
        super::parse(Path::new("p.yaml"), text)
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let platform = parse(GOOD).unwrap();
        assert_eq!(platform.name, "cluster");
        let space = platform.space.as_ref().unwrap();
        assert_eq!(space.largest().to_string(), "8 vCPU and 16384 MB");
        assert_eq!(platform.prices[0].unit, "EUR");
        let value: serde_json::Value = serde_saphyr::from_str(GOOD).unwrap();
        assert_eq!(parse(&value.to_string()), Ok(platform));
    }

    #[test]
    fn built_in_files_are_templates() {
        let text = include_str!("../../optimizer/src/platforms/cloud-run.json");
        assert_eq!(
            parse(text).unwrap().space,
            Some(optimizer::platforms::space("cloud-run").unwrap())
        );
    }

    #[test]
    fn faults_have_positions_and_name_the_field() {
        for (from, to, position, message) in [
            (
                "step: 0.25",
                "step: 0.3",
                Some((8, 15)),
                "space.cells[0].vcpu does not reach 4 from 0.25",
            ),
            ("vcpu: 8\n", "vcpu: 0\n", Some((9, 13)), "space.cells[1].vcpu cannot be 0 vCPU"),
            ("gb: 0.004", "gb: .nan", Some((12, 88)), "prices.cluster.gb cannot be NaN"),
            ("gb: 0.004", "gb: -1", Some((12, 88)), "prices.cluster.gb cannot be -1"),
            (
                "memoryPerVcpu: 2048",
                "memoryPerVcpu: 0.5",
                Some((6, 18)),
                "space.memoryPerVcpu cannot be",
            ),
            ("  cells:", "  rows:", Some((7, 3)), "unknown field"),
            ("unit: EUR, ", "", Some((12, 114)), "missing field"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.message.contains(message), "{error}");
            assert_eq!(error.position, position, "{error}");
            assert!(!error.next_step.is_empty());
        }
        // What is not there is looked for where it should be.
        let without = GOOD.split("  cells:").next().unwrap();
        let error = parse(without).unwrap_err();
        assert_eq!(
            (error.position, error.message.as_str()),
            (Some((4, 3)), "space offers nothing")
        );
    }
}
