//! Which task a Task state invokes, what it gives it and what it makes of the answer.
//!
//! `Resource` is the ARN of a Lambda function, whose name is that of a task, or the task's name alone;
//! then the state's data are the task's. Or it is `arn:aws:states:::lambda:invoke`, with the function's
//! name and the payload in `Parameters` and the answer in `Payload` of the result: this is put as
//! templates of the payload and the answer alone.

use optimizer::flow::Data;
use optimizer::flow::path::{Part, Path};
use optimizer::flow::template::{Source, Template};
use optimizer::workflow::TaskName;
use serde_json::json;
use serde_saphyr::Location;

use super::document::{Fault, Fields};

/// `Resource` of the integration with Lambda.
const LAMBDA_INVOKE: &str = "arn:aws:states:::lambda:invoke";

/// What a Task state says of its invocation.
pub(super) struct Invocation {
    pub(super) task: TaskName,
    pub(super) parameters: Option<Template>,
    pub(super) selector: Option<Template>,
}

/// Reads `Resource`, `Parameters` and `ResultSelector`.
pub(super) fn invocation(
    fields: &mut Fields<'_>,
    tasks: &[&TaskName],
) -> Result<Invocation, Fault> {
    let (resource, at) = fields.require_text("Resource")?;
    let selector = super::template(fields, "ResultSelector")?;
    if resource != LAMBDA_INVOKE {
        let name = if resource.starts_with("arn:") {
            function_name(resource).ok_or_else(|| {
                fields.fault(
                    at,
                    format!("the resource `{resource}` is not supported"),
                    format!(
                        "name a task, the ARN of a Lambda function, or {LAMBDA_INVOKE} without \
                         .waitForTaskToken; what other services do has to be done by a task"
                    ),
                )
            })?
        } else {
            resource
        };
        let task = task(fields, name, at, tasks)?;
        return Ok(Invocation {
            task,
            parameters: super::template(fields, "Parameters")?,
            selector,
        });
    }
    let parameters = fields.require("Parameters")?;
    let mut parameters = Fields::of(parameters, &fields.place, "`Parameters` of lambda:invoke")?;
    let (name, at) = parameters.require_text("FunctionName")?;
    let name = function_name(name).unwrap_or(name);
    let task = task(fields, name, at, tasks)?;
    if let Some((kind, at)) = parameters.take_text("InvocationType")?
        && kind != "RequestResponse"
    {
        return Err(fields.fault(
            at,
            format!("the invocation type `{kind}` is not supported"),
            "write RequestResponse, which waits for the answer, or leave it out",
        ));
    }
    let payload = payload(&mut parameters)?;
    parameters.finish()?;
    let selector = match selector {
        None => envelope(),
        Some(selector) => through_envelope(selector).map_err(|path| {
            fields.fault(
                fields.at,
                format!("`ResultSelector` uses {path}, which there is not"),
                "of what Lambda returns there are $.Payload and $.StatusCode",
            )
        })?,
    };
    Ok(Invocation { task, parameters: Some(payload), selector: Some(selector) })
}

/// `Payload` or `Payload.$`; a function that is given nothing gets an empty object.
fn payload(parameters: &mut Fields<'_>) -> Result<Template, Fault> {
    let constant = super::template(parameters, "Payload")?;
    let Some((text, at)) = parameters.take_text("Payload.$")? else {
        return Ok(constant.unwrap_or_else(|| Template::Constant(json!({}).into())));
    };
    let source: Result<Source, _> = text.parse();
    source.map(Template::At).map_err(|error| {
        parameters.fault(at, format!("`Parameters/Payload.$`: {error}"), "name one place")
    })
}

/// Name of a function in its ARN, in full or from the account on.
fn function_name(text: &str) -> Option<&str> {
    let (before, name) = text.split_once(":function:")?;
    let of_lambda = !before.starts_with("arn:") || before.split(':').nth(2) == Some("lambda");
    of_lambda.then(|| name.split(':').next().unwrap_or(name))
}

fn task(
    fields: &Fields<'_>,
    name: &str,
    at: Location,
    tasks: &[&TaskName],
) -> Result<TaskName, Fault> {
    // A function may be named with the version it is called by, which the deployment decides here.
    let plain = name.split(':').next().unwrap_or(name);
    let found = tasks.iter().find(|task| task.0 == plain);
    found.map(|task| (*task).clone()).ok_or_else(|| {
        let known: Vec<&str> = tasks.iter().map(|task| task.0.as_str()).collect();
        fields.fault(
            at,
            format!("there is no task `{name}`"),
            format!("add it under `tasks`, or use one of: {}", known.join(", ")),
        )
    })
}

/// What the integration makes of an answer.
fn envelope() -> Template {
    let answer = ("Payload".into(), Template::At(Source::Input(Path::default())));
    let status = ("StatusCode".into(), Template::Constant(Data::from(200)));
    Template::Object([answer, status].into())
}

/// The template of an answer that looks up the same as `template` does in its envelope.
///
/// # Errors
/// A path to something that the envelope lacks.
fn through_envelope(template: Template) -> Result<Template, Path> {
    Ok(match template {
        Template::At(Source::Input(path)) => match path.0.split_first() {
            None => envelope(),
            Some((Part::Field(name), rest)) if name == "Payload" => {
                Template::At(Source::Input(Path(rest.to_vec())))
            }
            Some((Part::Field(name), [])) if name == "StatusCode" => {
                Template::Constant(Data::from(200))
            }
            Some(_) => return Err(path),
        },
        Template::List(parts) => {
            Template::List(parts.into_iter().map(through_envelope).collect::<Result<_, _>>()?)
        }
        Template::Object(parts) => Template::Object(
            parts
                .into_iter()
                .map(|(name, part)| Ok((name, through_envelope(part)?)))
                .collect::<Result<_, Path>>()?,
        ),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_in_many_ways() {
        for (text, expect) in [
            ("arn:aws:lambda:eu-west-1:123456789012:function:f", Some("f")),
            ("arn:aws:lambda:eu-west-1:123456789012:function:f:live", Some("f")),
            ("123456789012:function:f", Some("f")),
            ("arn:aws:states:::sqs:sendMessage", None),
            ("arn:aws:other:eu-west-1:1:function:f", None),
            ("f", None),
        ] {
            assert_eq!(function_name(text), expect, "{text}");
        }
    }
}
