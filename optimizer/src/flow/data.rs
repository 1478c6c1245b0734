//! JSON that is cheap to clone and to put together: what steps and states pass on.
//!
//! Parts of a value are shared, never copied. Every list and object knows how long its JSON is and how
//! deep it nests, because with sharing a machine that goes round could otherwise make a value of a few
//! nodes whose JSON does not fit into any memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

use super::path::{Part, Path};

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Data {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Arc<str>),
    /// A list.
    List(Arc<List>),
    /// An object.
    Object(Arc<Object>),
}

/// The elements of a list.
#[derive(Debug, Default, PartialEq)]
pub struct List {
    items: Vec<Data>,
    extent: Extent,
}

/// The fields of an object, ordered by name.
#[derive(Debug, Default, PartialEq)]
pub struct Object {
    fields: BTreeMap<Arc<str>, Data>,
    extent: Extent,
}

/// How much JSON a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Extent {
    bytes: u64,
    depth: u32,
}

impl Extent {
    /// That of a list or an object that also holds this value.
    fn with(self, part: &Data) -> Self {
        Self {
            // One byte for the comma or, for the last part, its share of the brackets.
            bytes: self.bytes.saturating_add(part.bytes()).saturating_add(1),
            depth: self.depth.max(part.depth().saturating_add(1)),
        }
    }
}

impl Data {
    /// The list of these elements.
    #[must_use]
    pub fn list(items: Vec<Data>) -> Self {
        let empty = Extent { bytes: 1, depth: 1 };
        let extent = items.iter().fold(empty, |extent, item| extent.with(item));
        Self::List(Arc::new(List { items, extent }))
    }

    /// The object with these fields.
    #[must_use]
    pub fn object(fields: BTreeMap<Arc<str>, Data>) -> Self {
        let empty = Extent { bytes: 1, depth: 1 };
        let extent = fields.iter().fold(empty, |extent, (name, field)| {
            let with = extent.with(field);
            Extent { bytes: with.bytes.saturating_add(name.len() as u64 + 3), ..with }
        });
        Self::Object(Arc::new(Object { fields, extent }))
    }

    /// About how many bytes its JSON takes, without counting what has to be escaped in strings.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Null => 4,
            Self::Boolean(yes) => 5 - u64::from(*yes),
            // Exact for whole numbers from 0; others are short as well.
            Self::Number(number) => number.as_u64().map_or(8, |n| u64::from(digits(n))),
            Self::String(text) => text.len() as u64 + 2,
            Self::List(list) => list.extent.bytes,
            Self::Object(object) => object.extent.bytes,
        }
    }

    /// How deep lists and objects nest: 0 for a value without parts.
    #[must_use]
    pub fn depth(&self) -> u32 {
        match self {
            Self::List(list) => list.extent.depth,
            Self::Object(object) => object.extent.depth,
            _ => 0,
        }
    }

    /// Its elements, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Data]> {
        match self {
            Self::List(list) => Some(&list.items),
            _ => None,
        }
    }

    /// Its fields by name, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&BTreeMap<Arc<str>, Data>> {
        match self {
            Self::Object(object) => Some(&object.fields),
            _ => None,
        }
    }

    /// Its text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Itself as a number, if it is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// The field of this name, if it is an object that has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Data> {
        self.as_object()?.get(name)
    }

    /// What is at a path in it.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Data> {
        path.0.iter().try_fold(self, |data, part| match part {
            Part::Field(name) => data.get(name),
            Part::Element(number) => data.as_list()?.get(*number),
        })
    }

    /// What is at a JSON pointer (RFC 6901) in it; the empty pointer is the value itself.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<&Data> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |data, token| match data {
            Self::Object(object) if token.contains('~') => {
                object.fields.get(token.replace("~1", "/").replace("~0", "~").as_str())
            }
            Self::Object(object) => object.fields.get(token),
            // A number has one form, so that two pointers never name the same element.
            Self::List(_) if token.starts_with('+') => None,
            Self::List(_) if token.len() > 1 && token.starts_with('0') => None,
            Self::List(list) => list.items.get(token.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The same with `value` at a path. Fields on the way that are not there are made; `None` if the
    /// path leads through something else than objects and existing elements of lists.
    #[must_use]
    pub fn with(&self, path: &Path, value: Data) -> Option<Self> {
        self.with_parts(&path.0, value)
    }

    fn with_parts(&self, parts: &[Part], value: Data) -> Option<Self> {
        match (parts.split_first(), self) {
            (None, _) => Some(value),
            (Some((Part::Field(name), rest)), Self::Object(object)) => {
                let empty = || Self::object(BTreeMap::new());
                let field = object.fields.get(name.as_str()).cloned().unwrap_or_else(empty);
                let mut fields = object.fields.clone();
                fields.insert(name.as_str().into(), field.with_parts(rest, value)?);
                Some(Self::object(fields))
            }
            (Some((Part::Element(number), rest)), Self::List(list)) => {
                let element = list.items.get(*number)?.with_parts(rest, value)?;
                let mut items = list.items.clone();
                items[*number] = element;
                Some(Self::list(items))
            }
            _ => None,
        }
    }
}

/// Decimal digits of a number.
fn digits(number: u64) -> u32 {
    number.checked_ilog10().unwrap_or(0) + 1
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<u64> for Data {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Boolean(yes),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::String(text.into()),
            Value::Array(items) => Self::list(items.into_iter().map(Self::from).collect()),
            Value::Object(fields) => Self::object(
                fields.into_iter().map(|(name, field)| (name.into(), field.into())).collect(),
            ),
        }
    }
}

impl From<&Data> for Value {
    fn from(data: &Data) -> Self {
        match data {
            Data::Null => Self::Null,
            Data::Boolean(yes) => Self::Bool(*yes),
            Data::Number(number) => Self::Number(number.clone()),
            Data::String(text) => Self::String(text.to_string()),
            Data::List(list) => Self::Array(list.items.iter().map(Self::from).collect()),
            Data::Object(object) => {
                let fields = object.fields.iter();
                Self::Object(fields.map(|(name, field)| (name.to_string(), field.into())).collect())
            }
        }
    }
}

/// As JSON.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(yes) => serializer.serialize_bool(*yes),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(&list.items),
            Self::Object(object) => serializer.collect_map(
                object.fields.iter().map(|(name, field)| (name.as_ref() as &str, field)),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Json;
        impl<'de> Visitor<'de> for Json {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Data, E> {
                Ok(Data::Null)
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Data, E> {
                Ok(Data::Boolean(yes))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Data, E> {
                Ok(Data::Number(number.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Data, E> {
                Ok(Data::Number(number.into()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Data, E> {
                Ok(Number::from_f64(number).map_or(Data::Null, Data::Number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Data, E> {
                Ok(Data::String(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Data::list(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, field)) = map.next_entry::<String, Data>()? {
                    fields.insert(name.into(), field);
                }
                Ok(Data::object(fields))
            }
        }
        deserializer.deserialize_any(Json)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any JSON without characters that have to be escaped.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..100_000_000_u64).prop_map(Value::from),
            "[a-z /~é]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c0-2/~]{0,2}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_the_same_json(value in any_json()) {
            let data = Data::from(value.clone());
            prop_assert_eq!(Value::from(&data), value.clone());
            let text = serde_json::to_string(&data).unwrap();
            prop_assert_eq!(&text, &value.to_string());
            prop_assert_eq!(serde_json::from_str::<Data>(&text).unwrap(), data);
        }

        #[test]
        fn its_size_is_that_of_its_json(value in any_json()) {
            let empty = value.to_string().matches("[]").count()
                + value.to_string().matches("{}").count();
            // An empty list is counted as one byte, all else exactly.
            let bytes = Data::from(value.clone()).bytes() as usize;
            prop_assert_eq!(bytes + empty, value.to_string().len());
        }

        #[test]
        fn pointers_find_what_serde_json_finds(value in any_json(), pointer in "(/[a-c0-2~/]{0,4})?") {
            let data = Data::from(value.clone());
            prop_assert_eq!(data.pointer(&pointer).map(Value::from), value.pointer(&pointer).cloned());
        }
    }

    #[test]
    fn values_are_put_at_paths() {
        let check = |path: &str, expect: Option<Value>| {
            let data = Data::from(json!({"a": {"b": [1, 2]}, "c": "x"}));
            let with = data.with(&path.parse().unwrap(), Data::Null);
            assert_eq!(with, expect.map(Data::from), "{path}");
        };
        check("$", Some(Value::Null));
        check("$.c", Some(json!({"a": {"b": [1, 2]}, "c": null})));
        check("$.a.b[1]", Some(json!({"a": {"b": [1, null]}, "c": "x"})));
        check("$.d.e", Some(json!({"a": {"b": [1, 2]}, "c": "x", "d": {"e": null}})));
        check("$.a.b[2]", None);
        check("$.c.d", None);
        check("$.a[0]", None);
        check("$.d[0]", None);
    }

    #[test]
    fn depth_counts_lists_and_objects() {
        for (value, depth) in [(json!(1), 0), (json!([]), 1), (json!({"a": [1, {}], "b": 2}), 3)] {
            assert_eq!(Data::from(value.clone()).depth(), depth, "{value}");
        }
    }
}
