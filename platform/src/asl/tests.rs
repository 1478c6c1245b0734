//! State machines that are read, and what is refused.

use std::path::Path;

use optimizer::flow::{Command, Data, Event, Flow, FlowRun, States};
use optimizer::workflow::TaskName;
use serde_json::{Value, json};

use super::{Node, read};
use crate::input_error::InputError;

fn parse(text: &str, file: &str) -> Result<States, InputError> {
    let file = Path::new(file);
    let document = Node::parse(text, file)?;
    let tasks: Vec<TaskName> = ["split", "classify", "test"].map(TaskName::from).into();
    read(&document, file, &tasks.iter().collect::<Vec<_>>())
}

/// Runs a machine whose tasks answer with what they got, at once and in order.
fn run(machine: &str, input: Value) -> (Vec<(String, Value)>, Result<Value, String>) {
    let flow = Flow::States(parse(machine, "m.yaml").unwrap_or_else(|error| panic!("{error}")));
    let (mut run, mut commands) = FlowRun::start(&flow, Data::from(input));
    let mut attempts = Vec::new();
    loop {
        let mut events = Vec::new();
        for command in commands {
            match command {
                Command::Invoke { attempt, step, payload, .. } => {
                    attempts.push((step.0, Value::from(&payload)));
                    events.push(Event::Answered { attempt, result: Ok(payload) });
                }
                Command::Wait { timer, .. } => events.push(Event::Elapsed(timer)),
                Command::Done(result) => {
                    let result = result.as_ref().map(Value::from);
                    return (attempts, result.map_err(|failure| failure.error.clone()));
                }
            }
        }
        commands = events.into_iter().flat_map(|event| run.on(&flow, event)).collect();
    }
}

const MACHINE: &str = r#"
Comment: Every kind of state
StartAt: Split
States:
  Split:
    Type: Task
    Resource: arn:aws:lambda:eu-west-1:123456789012:function:split:live
    TimeoutSeconds: 20
    ResultPath: $.chunks
    Next: Chunks
  Chunks:
    Type: Map
    ItemsPath: $.list
    MaxConcurrency: 2
    ItemSelector: { "item.$": $$.Map.Item.Value, "of.$": $.name }
    ItemProcessor:
      ProcessorConfig: { Mode: INLINE }
      StartAt: Classify
      States:
        Classify:
          Type: Task
          Resource: arn:aws:states:::lambda:invoke
          Parameters: { FunctionName: classify, "Payload.$": $ }
          OutputPath: $.Payload
          Retry:
            - { ErrorEquals: [Lambda.TooManyRequestsException], IntervalSeconds: 2, MaxAttempts: 6, BackoffRate: 1.5, MaxDelaySeconds: 30, JitterStrategy: NONE }
          Catch: [ { ErrorEquals: [States.ALL], Next: Failed, ResultPath: $.error } ]
          End: true
        Failed: { Type: Fail, Error: NotClassified, Cause: see the log }
    ResultPath: $.classified
    Next: Both
  Both:
    Type: Parallel
    Branches:
      - { StartAt: One, States: { One: { Type: Task, Resource: test, InputPath: $.name, End: true } } }
      - { StartAt: Two, States: { Two: { Type: Pass, Parameters: { a: 1 }, End: true } } }
    ResultSelector: { "one.$": "$[0]", "two.$": "$[1]" }
    ResultPath: $.both
    Next: Which
  Which:
    Type: Choice
    Choices:
      - { Variable: $.both.one, StringEquals: never, Next: Done }
      - { And: [ { Variable: $.both.two.a, NumericEquals: 1 }, { Not: { Variable: $.x, IsPresent: true } } ], Next: Pause }
    Default: Done
  Pause: { Type: Wait, Seconds: 3, Next: Done }
  Done: { Type: Succeed, OutputPath: $.both }
"#;

#[test]
fn a_machine_of_every_kind_of_state_runs() {
    let (attempts, result) = run(MACHINE, json!({"name": "n", "list": [1, 2]}));
    let input = json!({"name": "n", "list": [1, 2]});
    assert_eq!(
        attempts,
        [
            ("Split".into(), input),
            ("Chunks/Classify".into(), json!({"item": 1, "of": "n"})),
            ("Chunks/Classify".into(), json!({"item": 2, "of": "n"})),
            ("Both/0/One".into(), json!("n")),
        ]
    );
    assert_eq!(result, Ok(json!({"one": "n", "two": {"a": 1}})));
}

#[test]
fn json_is_read_as_well_even_with_tabs() {
    let state =
        r#""A": {"Type": "Task", "Resource": "test", "Comment": "\ud83d\ude00", "End": true}"#;
    let text = format!("{{\n\t\"StartAt\": \"A\",\n\t\"States\": {{\n\t\t{state}\n\t}}\n}}");
    assert!(parse(&text, "m.json").is_ok());
    let error = parse("{\n \"StartAt\": ]}", "m.json").unwrap_err();
    assert_eq!(error.to_string(), "m.json:2:13: expected value");
}

#[test]
fn the_integration_with_lambda_wraps_answers() {
    let machine = |more: &str| {
        format!(
            "{{ StartAt: A, States: {{ A: {{ Type: Task, Resource: arn:aws:states:::lambda:invoke, \
             Parameters: {{ FunctionName: '123456789012:function:test', Payload: {{ x: 1, 'y.$': $.z }} \
             }}, {more} End: true }} }} }}"
        )
    };
    let input = json!({"z": 2});
    let answer = json!({"x": 1, "y": 2});
    let wrapped = json!({"Payload": answer, "StatusCode": 200});
    for (more, expect) in [
        ("", wrapped.clone()),
        ("OutputPath: $.Payload.y,", json!(2)),
        (
            "ResultSelector: { 'a.$': $.Payload.x, 'b': [ { 'c.$': $ } ], 's.$': $.StatusCode },",
            json!({"a": 1, "b": [{"c": wrapped}], "s": 200}),
        ),
    ] {
        let (attempts, result) = run(&machine(more), input.clone());
        assert_eq!(attempts, [("A".into(), answer.clone())], "{more}");
        assert_eq!(result, Ok(expect), "{more}");
    }
    let more = "ResultSelector: { 'v.$': $.ExecutedVersion },";
    let error = parse(&machine(more), "m.yaml").unwrap_err();
    assert!(error.message.contains("`ResultSelector` uses $['ExecutedVersion']"), "{error}");
}

/// Refused: with the place, and words of what is wrong and of what to do.
fn check(from: &str, to: &str, expect: &str, next_step: &str) {
    assert!(MACHINE.contains(from), "{from}");
    let error = parse(&MACHINE.replacen(from, to, 1), "m.yaml").expect_err(to);
    let text = error.to_string();
    let (position, message) = text.split_once(": ").expect("a position");
    assert!(position.starts_with("m.yaml:") && error.position.is_some(), "{text}");
    assert!(message.starts_with(expect), "{text}\n{expect}");
    assert!(error.next_step.contains(next_step), "{}\n{next_step}", error.next_step);
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_place() {
    for (from, to, expect, next_step) in [
        (
            "Type: Wait, Seconds: 3",
            "Type: Activity, Seconds: 3",
            "state `Pause`: the state type `Activity` is not supported",
            "Choice",
        ),
        (
            "Type: Pass, Parameters",
            "Type: Pass, Assign: { a: 1 }, Parameters",
            "state `Both/1/Two`: a Pass state with the field `Assign` is not supported",
            "JSONata",
        ),
        (
            "OutputPath: $.Payload\n",
            "HeartbeatSeconds: 3\n",
            "state `Chunks/Classify`: a Task state with the field `HeartbeatSeconds` is not",
            "TimeoutSeconds",
        ),
        (
            "Comment: Every",
            "QueryLanguage: JSONata\nComment: Every",
            "the state machine: the query language JSONata",
            "JSONata",
        ),
        (
            "Comment: Every",
            "TimeoutSeconds: 5\nComment: Every",
            "the state machine: a state machine with the field `TimeoutSeconds`",
            "limit tasks",
        ),
        ("Mode: INLINE", "Mode: DISTRIBUTED", "state `Chunks`: the mode DISTRIBUTED", "ItemsPath"),
        (
            "ItemsPath: $.list",
            "ItemReader: {}",
            "state `Chunks`: a Map state with the field `ItemReader`",
            "ItemsPath",
        ),
        (
            "MaxConcurrency: 2",
            "ToleratedFailureCount: 2",
            "state `Chunks`: a Map state with the field `ToleratedFailureCount`",
            "catch",
        ),
        (
            "arn:aws:states:::lambda:invoke",
            "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "state `Chunks/Classify`: the resource `arn:aws:states:::lambda:invoke.waitForTaskToken`",
            "without .waitForTaskToken",
        ),
        (
            "arn:aws:states:::lambda:invoke",
            "arn:aws:states:::sqs:sendMessage",
            "state `Chunks/Classify`: the resource",
            "by a task",
        ),
        (
            "FunctionName: classify",
            "FunctionName: other",
            "state `Chunks/Classify`: there is no task `other`",
            "split, classify, test",
        ),
        (
            "FunctionName: classify",
            "FunctionName: classify, InvocationType: Event",
            "state `Chunks/Classify`: the invocation type `Event`",
            "RequestResponse",
        ),
        (
            "FunctionName: classify",
            "FunctionName: classify, ClientContext: x",
            "state `Chunks/Classify`: `Parameters` of lambda:invoke with the field `ClientContext`",
            "remove",
        ),
        ("function:split:live", "function:cut", "state `Split`: there is no task `cut`", "split"),
        (
            "$$.Map.Item.Value",
            "States.MathAdd(1, 2)",
            "state `Chunks`: `ItemSelector/item.$`: intrinsic functions such as `States.MathAdd`",
            "task",
        ),
        (
            "$$.Map.Item.Value",
            "$$.Execution.Id",
            "state `Chunks`: `ItemSelector/item.$`: `$$.Execution.Id`",
            "task",
        ),
        (
            "ItemsPath: $.list",
            "ItemsPath: '$.list[*]'",
            "state `Chunks`: `ItemsPath`: `$.list[*]`",
            "filters",
        ),
        (
            "JitterStrategy: NONE",
            "JitterStrategy: FULL",
            "state `Chunks/Classify`: the jitter strategy FULL",
            "NONE",
        ),
        (
            "StringEquals: never",
            "TimestampEquals: never",
            "state `Which`: the comparison `TimestampEquals`",
            "IsPresent",
        ),
        (
            "StringEquals: never",
            "NumericEquals: never",
            "state `Which`: `NumericEquals` is a number",
            "correct",
        ),
        (
            "StringEquals: never",
            "StringEquals: never, IsNull: true",
            "state `Which`: a rule has one comparison, not 2",
            "And",
        ),
        (
            "Type: Wait, Seconds: 3",
            "Type: Wait, Timestamp: x",
            "state `Pause`: a Wait state has one of",
            "Seconds",
        ),
        (
            "Error: NotClassified",
            "ErrorPath: $.x",
            "state `Chunks/Failed`: a Fail state with the field `ErrorPath`",
            "Error and Cause",
        ),
    ] {
        check(from, to, expect, next_step);
    }
}

#[test]
fn machines_that_cannot_run_are_refused() {
    for (from, to, expect) in [
        ("StartAt: Split", "StartAt: Start", "the state machine: `StartAt` names `Start`"),
        ("Next: Chunks", "Next: Both", "the state machine: nothing leads to the state `Chunks`"),
        (
            "Next: Chunks",
            "Next: Classify",
            "state `Split`: `Next` names `Classify`, and there is no such",
        ),
        (
            "Next: Chunks",
            "End: true\n    Next: Chunks",
            "state `Split`: a Task state has `Next` or `End",
        ),
        ("Default: Done", "Default: Gone", "state `Which`: `Default` names `Gone`"),
        ("Next: Failed", "Next: Done", "state `Chunks/Classify`: `Next` names `Done`"),
        (
            "Type: Succeed",
            "Type: Succeed, ResultPath: $.x",
            "state `Done`: a Succeed state with the field `ResultPath`",
        ),
        (
            "ErrorEquals: [States.ALL]",
            "ErrorEquals: [States.ALL, X]",
            "state `Chunks/Classify`: `States.ALL` stands alone",
        ),
        (
            "ErrorEquals: [States.ALL]",
            "ErrorEquals: []",
            "state `Chunks/Classify`: `ErrorEquals` is a list",
        ),
        (
            "BackoffRate: 1.5",
            "BackoffRate: 0.5",
            "state `Chunks/Classify`: `BackoffRate` is a number of at least 1",
        ),
        (
            "TimeoutSeconds: 20",
            "TimeoutSeconds: 0",
            "state `Split`: `TimeoutSeconds` is a whole number",
        ),
        ("ResultPath: $.chunks", "ResultPath: 3", "state `Split`: `ResultPath` is a path or null"),
        ("    Type: Map\n", "", "state `Chunks`: a state has no field `Type`"),
        ("ItemProcessor:", "Other:", "state `Chunks`: a Map state has one of the fields"),
    ] {
        check(from, to, expect, "");
    }
}
