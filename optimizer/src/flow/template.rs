//! Templates of data: `Parameters`, `ItemSelector` and `ResultSelector`, in whose fields with names that
//! end in `.$` a path stands for what is there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data::Data;
use super::failure::{Failure, PARAMETER_PATH_FAILURE};
use super::path::{Path, PathError};

/// JSON some of whose parts are looked up when it is used.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// Nothing is looked up.
    Constant(Data),
    /// What is at a place.
    At(Source),
    /// A list of templates.
    List(Vec<Template>),
    /// An object of templates, by the names that the fields get.
    Object(#[serde(with = "fields")] BTreeMap<Arc<str>, Template>),
}

/// Where a part of a template comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A path in the input (`$…`).
    Input(Path),
    /// A path in the input of the execution (`$$.Execution.Input…`).
    ExecutionInput(Path),
    /// Number of the iteration of the innermost Map, from 0 (`$$.Map.Item.Index`).
    ItemIndex,
    /// A path in its element (`$$.Map.Item.Value…`).
    ItemValue(Path),
    /// Name of the state (`$$.State.Name`).
    StateName,
    /// How often the state was tried again (`$$.State.RetryCount`).
    RetryCount,
}

/// Why a text is no source.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// It calls a function.
    #[error("intrinsic functions such as `{0}` are not supported")]
    Intrinsic(String),
    /// It names a part of the context that there is none of.
    #[error(
        "`{0}` is not supported; of the context there are $$.Execution.Input, $$.Map.Item.Index, $$.Map.Item.Value, $$.State.Name and $$.State.RetryCount"
    )]
    Context(String),
    /// It is no path.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Why JSON is no template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct TemplateError {
    /// Fields and elements that lead to it, joined by `/`.
    pub place: String,
    /// What is wrong there.
    pub problem: TemplateProblem,
}

/// What is wrong at one place of a template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateProblem {
    /// The field's name ends in `.$`, and its value is no string.
    #[error("a field whose name ends in `.$` holds a path in quotes")]
    NoText,
    /// There are a field and a field of the same name with `.$`.
    #[error("the field is there twice, with `.$` and without")]
    Twice,
    /// What is looked up is no source.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What templates are filled from besides the input.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Input of the execution.
    pub execution_input: &'a Data,
    /// Number and element of the innermost iteration.
    pub item: Option<(usize, &'a Data)>,
    /// Name of the state.
    pub state: &'a str,
    /// How often the state was tried again.
    pub retry_count: u32,
}

impl Template {
    /// The template that JSON is.
    ///
    /// # Errors
    /// If a field whose name ends in `.$` does not say where its value is.
    pub fn parse(json: &Value) -> Result<Self, TemplateError> {
        let below = |place: &str, error: TemplateError| TemplateError {
            place: match error.place.as_str() {
                "" => place.to_owned(),
                rest => format!("{place}/{rest}"),
            },
            ..error
        };
        let here = |problem| TemplateError { place: String::new(), problem };
        match json {
            Value::Array(items) => {
                let parts = items.iter().enumerate().map(|(number, item)| {
                    Self::parse(item).map_err(|error| below(&number.to_string(), error))
                });
                parts.collect::<Result<Vec<_>, _>>().map(|parts| Self::List(parts).folded())
            }
            Value::Object(fields) => {
                let mut parts = BTreeMap::new();
                for (key, field) in fields {
                    let looked_up = key.strip_suffix(".$");
                    let part = match (looked_up, field) {
                        (None, field) => Self::parse(field),
                        (Some(_), Value::String(text)) => text
                            .parse()
                            .map(Self::At)
                            .map_err(|error| here(TemplateProblem::Source(error))),
                        (Some(_), _) => Err(here(TemplateProblem::NoText)),
                    };
                    let name = looked_up.unwrap_or(key);
                    let part = part.map_err(|error| below(key, error))?;
                    if parts.insert(name.into(), part).is_some() {
                        return Err(below(name, here(TemplateProblem::Twice)));
                    }
                }
                Ok(Self::Object(parts).folded())
            }
            constant => Ok(Self::Constant(constant.clone().into())),
        }
    }

    /// A constant, if nothing in it is looked up, so that filling it copies nothing.
    fn folded(self) -> Self {
        let constant = |template: &Self| match template {
            Self::Constant(data) => Some(data.clone()),
            _ => None,
        };
        let folded = match &self {
            Self::List(parts) => parts.iter().map(constant).collect::<Option<_>>().map(Data::list),
            Self::Object(parts) => parts
                .iter()
                .map(|(name, part)| Some((Arc::clone(name), constant(part)?)))
                .collect::<Option<_>>()
                .map(Data::object),
            Self::Constant(_) | Self::At(_) => None,
        };
        folded.map_or(self, Self::Constant)
    }

    /// The data it stands for.
    ///
    /// # Errors
    /// `States.ParameterPathFailure` if something it looks up is not there.
    pub fn fill(&self, input: &Data, context: Context<'_>) -> Result<Data, Failure> {
        match self {
            Self::Constant(data) => Ok(data.clone()),
            Self::At(source) => source.find(input, context).ok_or_else(|| {
                let cause =
                    format!("there is nothing at {source} in the data of `{}`", context.state);
                Failure::new(PARAMETER_PATH_FAILURE, cause)
            }),
            Self::List(parts) => {
                let items = parts.iter().map(|part| part.fill(input, context));
                items.collect::<Result<_, _>>().map(Data::list)
            }
            Self::Object(parts) => {
                let fields = parts.iter().map(|(name, part)| {
                    part.fill(input, context).map(|field| (Arc::clone(name), field))
                });
                fields.collect::<Result<_, _>>().map(Data::object)
            }
        }
    }
}

impl Source {
    fn find(&self, input: &Data, context: Context<'_>) -> Option<Data> {
        match self {
            Self::Input(path) => input.at(path).cloned(),
            Self::ExecutionInput(path) => context.execution_input.at(path).cloned(),
            Self::ItemIndex => context.item.map(|(number, _)| Data::from(number as u64)),
            Self::ItemValue(path) => context.item?.1.at(path).cloned(),
            Self::StateName => Some(context.state.into()),
            Self::RetryCount => Some(u64::from(context.retry_count).into()),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let Some(context) = text.strip_prefix("$$") else {
            return match text.split_once('(') {
                Some((function, _)) if function.starts_with("States.") => {
                    Err(SourceError::Intrinsic(function.to_owned()))
                }
                _ => Ok(Self::Input(text.parse()?)),
            };
        };
        let below = |prefix: &str| {
            let rest = context.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("${rest}"))
        };
        match context {
            ".Map.Item.Index" => Ok(Self::ItemIndex),
            ".State.Name" => Ok(Self::StateName),
            ".State.RetryCount" => Ok(Self::RetryCount),
            _ => match (below(".Execution.Input"), below(".Map.Item.Value")) {
                (Some(path), _) => Ok(Self::ExecutionInput(path.parse()?)),
                (_, Some(path)) => Ok(Self::ItemValue(path.parse()?)),
                (None, None) => Err(SourceError::Context(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Behind the names of the context a path stands without its `$`.
        let below = |path: &Path| path.to_string().split_off(1);
        match self {
            Self::Input(path) => write!(f, "{path}"),
            Self::ExecutionInput(path) => write!(f, "$$.Execution.Input{}", below(path)),
            Self::ItemIndex => f.write_str("$$.Map.Item.Index"),
            Self::ItemValue(path) => write!(f, "$$.Map.Item.Value{}", below(path)),
            Self::StateName => f.write_str("$$.State.Name"),
            Self::RetryCount => f.write_str("$$.State.RetryCount"),
        }
    }
}

/// Shared names are written and read like others.
mod fields {
    use super::{Arc, BTreeMap, Deserialize, Template};

    pub(super) fn serialize<S: serde::Serializer>(
        fields: &BTreeMap<Arc<str>, Template>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(fields.iter().map(|(name, field)| (name.as_ref() as &str, field)))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Arc<str>, Template>, D::Error> {
        let fields = BTreeMap::<String, Template>::deserialize(deserializer)?;
        Ok(fields.into_iter().map(|(name, field)| (name.into(), field)).collect())
    }
}

impl TryFrom<String> for Source {
    type Error = SourceError;

    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled() {
        let template = Template::parse(&json!({
            "constant": {"a": [1, {"b.c": null}]},
            "whole.$": "$",
            "part.$": "$.list[1]",
            "nested": [{"index.$": "$$.Map.Item.Index", "id.$": "$$.Map.Item.Value.id"}, "$.x"],
            "of.$": "$$.Execution.Input['of it']",
            "state.$": "$$.State.Name",
            "retries.$": "$$.State.RetryCount",
        }))
        .unwrap();
        let (input, execution_input) =
            (Data::from(json!({"list": [1, "two"]})), Data::from(json!({"of it": true})));
        let item = Data::from(json!({"id": 7}));
        let context = Context {
            execution_input: &execution_input,
            item: Some((3, &item)),
            state: "s",
            retry_count: 2,
        };
        let expect = json!({
            "constant": {"a": [1, {"b.c": null}]},
            "whole": {"list": [1, "two"]},
            "part": "two",
            "nested": [{"index": 3, "id": 7}, "$.x"],
            "of": true,
            "state": "s",
            "retries": 2,
        });
        assert_eq!(template.fill(&input, context), Ok(expect.into()));
        let text = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);

        let failure = template.fill(&Data::Null, Context { item: None, ..context }).unwrap_err();
        assert_eq!(failure.error, PARAMETER_PATH_FAILURE);
    }

    #[test]
    fn what_cannot_be_looked_up_is_refused_with_its_place() {
        for (json, expect) in [
            (json!({"a": [{"b.$": 1}]}), "a/0/b.$: a field whose name ends in `.$` holds"),
            (json!({"a.$": "$.b[*]"}), "a.$: `$.b[*]` is no path"),
            (
                json!({"a.$": "States.Format('{}', $.b)"}),
                "a.$: intrinsic functions such as `States.Format`",
            ),
            (json!({"a.$": "$$.Execution.Id"}), "a.$: `$$.Execution.Id` is not supported; of"),
            (json!({"a.$": "$$.Execution.Inputs"}), "a.$: `$$.Execution.Inputs` is not supported"),
            (json!({"a.$": "$", "a": 1}), "a: the field is there twice"),
            (json!({"a.$": "b"}), "a.$: `b` is no path"),
        ] {
            let error = Template::parse(&json).unwrap_err();
            let text = format!("{}: {error}", error.place);
            assert!(text.starts_with(expect), "{text}");
        }
    }
}
