//! What goes into a state and what comes out: the rules of `InputPath`, `ResultSelector`, `ResultPath`
//! and `OutputPath`.

use std::collections::BTreeMap;

use super::data::Data;
use super::failure::{Failure, RESULT_PATH_MATCH_FAILURE, RUNTIME};
use super::states::{Placement, Processing, Selection};
use super::template::Context;

impl Selection {
    /// The part of `data`.
    ///
    /// # Errors
    /// `States.Runtime` if it is not there.
    pub(super) fn of(&self, data: &Data, state: &str) -> Result<Data, Failure> {
        match self {
            Self::All => Ok(data.clone()),
            Self::Nothing => Ok(Data::object(BTreeMap::new())),
            Self::At(path) => data.at(path).cloned().ok_or_else(|| {
                Failure::new(
                    RUNTIME,
                    format!("there is nothing at {path} in the data of `{state}`"),
                )
            }),
        }
    }
}

impl Placement {
    /// The input with the result in its place.
    ///
    /// # Errors
    /// `States.ResultPathMatchFailure` if the input has no such place.
    pub(super) fn put(&self, input: &Data, result: Data, state: &str) -> Result<Data, Failure> {
        match self {
            Self::Replace => Ok(result),
            Self::Discard => Ok(input.clone()),
            Self::At(path) => input.with(path, result).ok_or_else(|| {
                let cause = format!("the input of `{state}` has no place {path} for the result");
                Failure::new(RESULT_PATH_MATCH_FAILURE, cause)
            }),
        }
    }
}

impl Processing {
    /// What the state works on, of its input: `InputPath`, then `Parameters`.
    pub(super) fn given(&self, input: &Data, context: Context<'_>) -> Result<Data, Failure> {
        let selected = self.input.of(input, context.state)?;
        match &self.parameters {
            None => Ok(selected),
            Some(parameters) => parameters.fill(&selected, context),
        }
    }

    /// What the state gives of its input and its result: `ResultSelector`, `ResultPath`, then
    /// `OutputPath`.
    pub(super) fn output(
        &self,
        input: &Data,
        result: Data,
        context: Context<'_>,
    ) -> Result<Data, Failure> {
        let selected = match &self.selector {
            None => result,
            Some(selector) => selector.fill(&result, context)?,
        };
        let placed = self.result.put(input, selected, context.state)?;
        self.output.of(&placed, context.state)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::flow::template::Template;

    #[test]
    fn data_are_processed_in_the_order_of_the_language() {
        let template = |json: Value| Some(Template::parse(&json).unwrap());
        let processing = Processing {
            input: Selection::At("$.in".parse().unwrap()),
            parameters: template(json!({"x.$": "$.a"})),
            selector: template(json!({"y.$": "$.b"})),
            result: Placement::At("$.out.r".parse().unwrap()),
            output: Selection::At("$.out".parse().unwrap()),
        };
        let input = Data::from(json!({"in": {"a": 1}, "out": {"kept": 2}}));
        let context =
            Context { execution_input: &Data::Null, item: None, state: "s", retry_count: 0 };
        assert_eq!(processing.given(&input, context), Ok(json!({"x": 1}).into()));
        let result = Data::from(json!({"b": 3, "c": 4}));
        let output = processing.output(&input, result, context);
        // The result goes into the whole input, not into what `InputPath` selects.
        assert_eq!(output, Ok(json!({"kept": 2, "r": {"y": 3}}).into()));
    }

    #[test]
    fn null_selects_nothing_and_discards() {
        let data = Data::from(json!({"a": 1}));
        assert_eq!(Selection::Nothing.of(&data, "s"), Ok(json!({}).into()));
        assert_eq!(Placement::Discard.put(&data, Data::Null, "s"), Ok(data.clone()));
        let nowhere = Selection::At("$.b".parse().unwrap());
        assert_eq!(nowhere.of(&data, "s").unwrap_err().error, RUNTIME);
        let nowhere = Placement::At("$.a.b".parse().unwrap());
        let failure = nowhere.put(&data, Data::Null, "s").unwrap_err();
        assert_eq!(failure.error, RESULT_PATH_MATCH_FAILURE);
    }
}
