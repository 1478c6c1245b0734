//! Rules of Choice states.

use optimizer::flow::condition::{Comparison, Condition, Operand, OperandType, Test};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::document::{Fault, Fields, Node};

/// The condition that the fields of a rule say.
pub(super) fn condition(fields: &mut Fields<'_>) -> Result<Condition, Fault> {
    for (name, combine) in
        [("And", Condition::And as fn(Vec<Condition>) -> Condition), ("Or", Condition::Or)]
    {
        let Some(list) = fields.take(name) else { continue };
        let Node::List(rules) = &list.value else {
            return Err(fields.wrong(name, list, "a list of rules"));
        };
        if rules.is_empty() {
            return Err(fields.wrong(name, list, "a list of at least one rule"));
        }
        let rules = rules.iter().map(|rule| nested(fields, rule)).collect::<Result<_, _>>()?;
        return Ok(combine(rules));
    }
    if let Some(rule) = fields.take("Not") {
        return Ok(Condition::Not(Box::new(nested(fields, rule)?)));
    }
    let (variable, at) = fields.require_text("Variable")?;
    let path = super::path(fields, "Variable", variable, at)?;
    let comparators: Vec<_> = fields.left().filter(|(name, _)| *name != "Next").collect();
    let [(name, operand)] = comparators.as_slice() else {
        return Err(fields.fault(
            at,
            format!("a rule has one comparison, not {}", comparators.len()),
            "write several with And or Or",
        ));
    };
    let test = test(fields, name, operand)?;
    fields.take(name);
    Ok(Condition::Is(path, test))
}

/// A rule inside another one.
fn nested(outer: &Fields<'_>, rule: &Spanned<Node>) -> Result<Condition, Fault> {
    let mut fields = Fields::of(rule, &outer.place, "a rule inside another one")?;
    let condition = condition(&mut fields)?;
    fields.finish()?;
    Ok(condition)
}

fn test(fields: &Fields<'_>, name: &str, operand: &Spanned<Node>) -> Result<Test, Fault> {
    let unknown = || {
        fields.fault(
            operand.referenced,
            format!("the comparison `{name}` is not supported"),
            "compare strings, numbers or booleans, or ask with IsPresent, IsNull, IsString, IsNumeric \
             or IsBoolean",
        )
    };
    let is = match name {
        "IsPresent" => Some(Test::Present as fn(bool) -> Test),
        "IsNull" => Some(Test::Null as fn(bool) -> Test),
        "IsBoolean" => Some(Test::Boolean as fn(bool) -> Test),
        "IsNumeric" => Some(Test::Numeric as fn(bool) -> Test),
        "IsString" => Some(Test::String as fn(bool) -> Test),
        _ => None,
    };
    let scalar = match &operand.value {
        Node::Scalar(value) => value,
        _ => &Value::Null,
    };
    if let Some(is) = is {
        let yes = scalar.as_bool();
        return yes.map(is).ok_or_else(|| fields.wrong(name, operand, "true or false"));
    }
    if name == "StringMatches" {
        let pattern = scalar.as_str().ok_or_else(|| fields.wrong(name, operand, "a string"))?;
        return Ok(Test::Matches(pattern.to_owned()));
    }
    let (kind, rest) = [
        ("String", OperandType::String),
        ("Numeric", OperandType::Number),
        ("Boolean", OperandType::Boolean),
    ]
    .iter()
    .find_map(|(prefix, kind)| Some((*kind, name.strip_prefix(prefix)?)))
    .ok_or_else(unknown)?;
    let (comparison, at_path) = match rest.strip_suffix("Path") {
        Some(comparison) => (comparison, true),
        None => (rest, false),
    };
    let comparison = match (comparison, kind) {
        ("Equals", _) => Comparison::Equals,
        (_, OperandType::Boolean) => return Err(unknown()),
        ("LessThan", _) => Comparison::Less,
        ("LessThanEquals", _) => Comparison::LessEquals,
        ("GreaterThan", _) => Comparison::Greater,
        ("GreaterThanEquals", _) => Comparison::GreaterEquals,
        _ => return Err(unknown()),
    };
    let operand = match (at_path, kind, scalar) {
        (true, kind, Value::String(path)) => {
            path.parse().ok().map(|path| Operand::Path(path, kind))
        }
        (false, OperandType::String, Value::String(text)) => Some(Operand::String(text.clone())),
        (false, OperandType::Number, Value::Number(number)) => number.as_f64().map(Operand::Number),
        (false, OperandType::Boolean, Value::Bool(yes)) => Some(Operand::Boolean(*yes)),
        _ => None,
    }
    .ok_or_else(|| {
        let expected = match (at_path, kind) {
            (true, _) => "a path such as $.order.items[0]",
            (false, OperandType::String) => "a string",
            (false, OperandType::Number) => "a number",
            (false, OperandType::Boolean) => "true or false",
        };
        fields.wrong(name, operand, expected)
    })?;
    Ok(Test::Compare(comparison, operand))
}
