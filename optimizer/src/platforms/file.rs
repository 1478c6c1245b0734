//! The file of a platform, as it is written.
//!
//! Numbers are read as they stand there and checked afterwards, so that every fault can say which field
//! holds the wrong one and what to do about it. Whoever read the text knows where that field is.

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

/// What a platform's file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlatformFile {
    pub(super) name: String,
    #[serde(default)]
    pub(super) notes: Vec<String>,
    pub(super) space: Option<SpaceSection>,
    #[serde(default)]
    pub(super) prices: IndexMap<String, PriceSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SpaceSection {
    pub(super) source: String,
    pub(super) date: String,
    pub(super) memory_per_vcpu: f64,
    pub(super) bundled: Option<SizesSection>,
    pub(super) cells: Option<Vec<CellsSection>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CellsSection {
    pub(super) vcpu: SizesSection,
    pub(super) memory: SizesSection,
    pub(super) memory_per_vcpu: Option<RatioSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PriceSection {
    pub(super) source: String,
    pub(super) date: String,
    pub(super) unit: String,
    #[serde(default)]
    pub(super) per: Period,
    pub(super) vcpu: f64,
    pub(super) gb: f64,
    #[serde(default)]
    pub(super) storage_gb: f64,
    pub(super) request: f64,
    pub(super) granularity_ms: f64,
    #[serde(default)]
    pub(super) minimum_ms: f64,
    pub(super) init_billed: bool,
}

/// Time that the prices of vCPU and memory are for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Period {
    #[default]
    Second,
    Hour,
}

/// One size, or a range of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum SizesSection {
    One(f64),
    Range { from: f64, to: f64, step: f64 },
}

/// One ratio, or from one to another.
#[derive(Clone, Copy, Debug)]
pub(super) enum RatioSection {
    One(f64),
    Range { from: f64, to: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: f64,
    to: f64,
    step: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratios {
    from: f64,
    to: f64,
}

/// A number, or a map of numbers.
macro_rules! deserialize_number_or_map {
    ($type:ty, $map:ty, $expected:literal, $of_map:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NumberOrMap;
                impl<'de> Visitor<'de> for NumberOrMap {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        Ok(<$type>::One(number))
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        Ok(<$type>::One(number as f64))
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        Ok(<$type>::One(number as f64))
                    }
                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$map>::deserialize(MapAccessDeserializer::new(map)).map($of_map)
                    }
                }
                deserializer.deserialize_any(NumberOrMap)
            }
        }
    };
}

deserialize_number_or_map!(
    SizesSection,
    Range,
    "a number or a map such as { from: 128, to: 1024, step: 64 }",
    |Range { from, to, step }| SizesSection::Range { from, to, step }
);
deserialize_number_or_map!(
    RatioSection,
    Ratios,
    "a number or a map such as { from: 1024, to: 4096 }",
    |Ratios { from, to }| RatioSection::Range { from, to }
);

/// What is wrong with a platform's file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} {message}", path.dotted())]
pub struct PlatformFault {
    /// Which field it is about.
    pub path: FieldPath,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

/// The way to a field of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldPath(pub Vec<Field>);

/// A step of the way to a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Field {
    /// A key of a map.
    Key(String),
    /// A place in a list, counted from 0.
    Index(usize),
}

impl FieldPath {
    pub(super) fn key(&self, key: &str) -> Self {
        self.and(Field::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.and(Field::Index(index))
    }

    fn and(&self, field: Field) -> Self {
        Self(self.0.iter().cloned().chain([field]).collect())
    }

    pub(super) fn fault(
        &self,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) -> PlatformFault {
        PlatformFault { path: self.clone(), message: message.into(), next_step: next_step.into() }
    }

    /// As in `space.cells[2].memory`.
    #[must_use]
    pub fn dotted(&self) -> String {
        let mut text = String::new();
        for field in &self.0 {
            match field {
                Field::Key(key) if text.is_empty() => text.push_str(key),
                Field::Key(key) => text.push_str(&format!(".{key}")),
                Field::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}
