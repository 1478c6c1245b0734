//! Whether two deployments of a workflow answer a request alike.
//!
//! What came of a request is compared in four parts: the status, the function error, the payload, and
//! the calls that were made. Calls are a tree of caller and callee. Where a call was served does not
//! count, since that is what fusing changes, nor does the order of one caller's calls: parallel calls
//! start in any order, and times do not tell a parallel call from one that only came soon after. The
//! calls of one caller to one callee are paired so that the fewest fields differ.
//!
//! **What differs from run to run is no difference.** Identifiers and times change with every request,
//! fused or not. The platform's own identifiers are known, so they are given names before anything is
//! compared ([`Replay::name`]). For the rest every request is answered by two unfused deployments, each
//! with instances of its own, one before and one after the fused deployment: the fields that differ
//! between those two ([`varying`]) are left out. Being last matters: whatever only grows, such as a
//! clock, a counter or a balance, cannot differ between the first unfused run and the fused one without
//! differing between the two unfused ones. A field that varies in one request, or in one element of a
//! list, is left out in all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::execution::Outcome;
use crate::pointer::{Pattern, Pointer, Step};
use crate::workflow::CallKind;

/// What came of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// `X-Amz-Function-Error`.
    pub error: Option<String>,
    /// What was answered.
    pub payload: Body,
    /// Calls that the entry made.
    pub calls: Vec<CallMade>,
}

/// A call, and the calls that its callee made.
#[derive(Clone, Debug, PartialEq)]
pub struct CallMade {
    /// Task called.
    pub callee: String,
    /// Whether the caller waited.
    pub kind: CallKind,
    /// How it ended.
    pub outcome: Outcome,
    /// What was sent.
    pub request: Body,
    /// What came back.
    pub response: Body,
    /// Calls that it caused.
    pub calls: Vec<CallMade>,
}

/// A payload, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// All of it.
    Json(Value),
    /// All, a beginning or nothing of one that is not known to be JSON.
    Bytes {
        /// What is known.
        start: Vec<u8>,
        /// Its whole length, in bytes.
        length: u64,
    },
}

/// Part of what came of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// HTTP status.
    Status,
    /// Function error.
    Error,
    /// Answer.
    Payload,
    /// Calls made.
    Calls,
}

/// A field that differs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Difference {
    /// In which part.
    pub kind: Part,
    /// Where: a JSON pointer that starts with the part.
    pub pointer: String,
    /// What the unfused deployment has there, shortened; nothing if it has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfused: Option<Value>,
    /// What the fused deployment has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fused: Option<Value>,
}

/// Characters of a value that a difference repeats.
const SHOWN: usize = 100;

impl Body {
    /// A payload that is known as a whole.
    #[must_use]
    pub fn whole(bytes: &[u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::Json(value),
            Err(_) => Self::Bytes { start: bytes.to_vec(), length: bytes.len() as u64 },
        }
    }

    fn is_unknown(&self) -> bool {
        matches!(self, Self::Bytes { start, length } if start.is_empty() && *length > 0)
    }

    fn name(&mut self, names: &BTreeMap<String, String>) {
        match self {
            Self::Json(value) => name_value(value, names),
            Self::Bytes { start, .. } => {
                if let Ok(text) = std::str::from_utf8(start) {
                    *start = named(text, names).into_bytes();
                }
            }
        }
    }
}

impl Replay {
    /// Puts names in the place of identifiers, wherever they stand in payloads.
    pub fn name(&mut self, names: &BTreeMap<String, String>) {
        fn name_calls(calls: &mut [CallMade], names: &BTreeMap<String, String>) {
            for call in calls {
                call.request.name(names);
                call.response.name(names);
                name_calls(&mut call.calls, names);
            }
        }
        self.payload.name(names);
        name_calls(&mut self.calls, names);
    }
}

fn named(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
}

fn name_value(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = named(text, names),
        Value::Array(items) => items.iter_mut().for_each(|item| name_value(item, names)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    name_value(&mut value, names);
                    (named(&key, names), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Fields like those that differ between two runs of one deployment.
#[must_use]
pub fn varying(first: &Replay, again: &Replay) -> BTreeSet<Pattern> {
    let all = compare(first, again, &BTreeSet::new());
    all.iter().map(|(pointer, _)| Pattern::like(pointer)).collect()
}

/// The first field of each part in which the deployments differ, apart from `ignored` ones.
#[must_use]
pub fn differences(
    unfused: &Replay,
    fused: &Replay,
    ignored: &BTreeSet<Pattern>,
) -> Vec<Difference> {
    let mut seen = BTreeSet::new();
    compare(unfused, fused, ignored)
        .into_iter()
        .map(|(_, difference)| difference)
        .filter(|difference| seen.insert(difference.kind))
        .collect()
}

fn compare(
    left: &Replay,
    right: &Replay,
    ignored: &BTreeSet<Pattern>,
) -> Vec<(Pointer, Difference)> {
    let mut comparison =
        Comparison { ignored, part: Part::Status, at: Pointer::default(), found: Vec::new() };
    let text = |error: &Option<String>| error.clone().map_or(Value::Null, Value::from);
    comparison.part(Part::Status, "status", |at| {
        at.values(&Value::from(left.status), &Value::from(right.status));
    });
    comparison.part(Part::Error, "error", |at| at.values(&text(&left.error), &text(&right.error)));
    comparison.part(Part::Payload, "payload", |at| at.bodies(&left.payload, &right.payload));
    comparison.part(Part::Calls, "calls", |at| at.calls(&left.calls, &right.calls));
    comparison.found
}

/// A comparison under way.
struct Comparison<'a> {
    ignored: &'a BTreeSet<Pattern>,
    part: Part,
    at: Pointer,
    found: Vec<(Pointer, Difference)>,
}

impl Comparison<'_> {
    fn part(&mut self, part: Part, name: &str, compare: impl FnOnce(&mut Self)) {
        self.part = part;
        self.field(name, compare);
    }

    fn field(&mut self, name: &str, compare: impl FnOnce(&mut Self)) {
        self.step(Step::Field(name.to_owned()), compare);
    }

    /// Compares what is one step further in, unless it is to be ignored.
    fn step(&mut self, step: Step, compare: impl FnOnce(&mut Self)) {
        self.at.0.push(step);
        if !self.ignored.iter().any(|pattern| pattern.matches(&self.at)) {
            compare(self);
        }
        self.at.0.pop();
    }

    fn differ(&mut self, unfused: Option<Value>, fused: Option<Value>) {
        let pointer = self.at.to_string();
        let difference = Difference { kind: self.part, pointer, unfused, fused };
        self.found.push((self.at.clone(), difference));
    }

    fn values(&mut self, left: &Value, right: &Value) {
        match (left, right) {
            (Value::Object(left), Value::Object(right)) => {
                let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
                for name in names {
                    self.field(name, |at| match (left.get(name), right.get(name)) {
                        (Some(left), Some(right)) => at.values(left, right),
                        (left, right) => at.differ(left.map(shown), right.map(shown)),
                    });
                }
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (index, (left, right)) in left.iter().zip(right).enumerate() {
                    self.step(Step::Element(index), |at| at.values(left, right));
                }
            }
            _ if left == right => {}
            (Value::String(left), Value::String(right)) => {
                let at = from_character(left, right);
                self.differ(Some(cut(left, at)), Some(cut(right, at)));
            }
            _ => self.differ(Some(shown(left)), Some(shown(right))),
        }
    }

    fn bodies(&mut self, left: &Body, right: &Body) {
        match (left, right) {
            (Body::Json(left), Body::Json(right)) => self.values(left, right),
            (
                Body::Bytes { start: left, length: left_length },
                Body::Bytes { start: right, length: right_length },
            ) => {
                let at = left.iter().zip(right).position(|(left, right)| left != right);
                if let Some(at) = at {
                    self.differ(Some(from_byte(left, at)), Some(from_byte(right, at)));
                } else if left_length != right_length {
                    let bytes = |length: &u64| Some(Value::from(format!("{length} bytes")));
                    self.differ(bytes(left_length), bytes(right_length));
                }
            }
            // One of them was not recorded.
            _ if left.is_unknown() || right.is_unknown() => {}
            _ => self.differ(Some(shown_body(left)), Some(shown_body(right))),
        }
    }

    fn calls(&mut self, left: &[CallMade], right: &[CallMade]) {
        let (left, right) = (by_callee(left), by_callee(right));
        let callees: BTreeSet<&str> = left.keys().chain(right.keys()).copied().collect();
        for callee in callees {
            let of = |calls: &BTreeMap<&str, Vec<&CallMade>>| -> Vec<CallMade> {
                calls.get(callee).into_iter().flatten().map(|call| (*call).clone()).collect()
            };
            let (left, right) = (of(&left), of(&right));
            self.field(callee, |at| {
                if left.len() != right.len() {
                    let count = |calls: &[CallMade]| match calls.len() {
                        1 => Some(Value::from("1 call")),
                        count => Some(Value::from(format!("{count} calls"))),
                    };
                    return at.differ(count(&left), count(&right));
                }
                for (index, partner) in at.pairs(&left, &right).into_iter().enumerate() {
                    at.step(Step::Element(index), |at| at.call(&left[index], &right[partner]));
                }
            });
        }
    }

    fn call(&mut self, left: &CallMade, right: &CallMade) {
        let word = |value: serde_json::Result<Value>| value.unwrap_or(Value::Null);
        self.field("kind", |at| {
            at.values(
                &word(serde_json::to_value(left.kind)),
                &word(serde_json::to_value(right.kind)),
            );
        });
        self.field("outcome", |at| {
            at.values(
                &word(serde_json::to_value(left.outcome)),
                &word(serde_json::to_value(right.outcome)),
            );
        });
        self.field("request", |at| at.bodies(&left.request, &right.request));
        self.field("response", |at| at.bodies(&left.response, &right.response));
        self.field("calls", |at| at.calls(&left.calls, &right.calls));
    }

    /// For each call of the left its partner on the right: an equal one if there is, else the one
    /// that differs in the fewest fields.
    fn pairs(&mut self, left: &[CallMade], right: &[CallMade]) -> Vec<usize> {
        let mut free: Vec<usize> = (0..right.len()).collect();
        let mut partners: Vec<Option<usize>> = vec![None; left.len()];
        for exact in [true, false] {
            for (index, call) in left.iter().enumerate() {
                if partners[index].is_some() {
                    continue;
                }
                let counted = free.iter().enumerate().map(|(at, &partner)| {
                    let differing = self.count(index, call, &right[partner]);
                    (differing, partner.abs_diff(index), at)
                });
                let Some((differing, _, at)) = counted.min() else { continue };
                if !exact || differing == 0 {
                    partners[index] = Some(free.remove(at));
                }
            }
        }
        partners.into_iter().map(|partner| partner.expect("as many on both sides")).collect()
    }

    /// In how many fields two calls differ.
    fn count(&self, index: usize, left: &CallMade, right: &CallMade) -> usize {
        let mut trial = Comparison {
            ignored: self.ignored,
            part: self.part,
            at: self.at.clone(),
            found: Vec::new(),
        };
        trial.step(Step::Element(index), |at| at.call(left, right));
        trial.found.len()
    }
}

fn by_callee(calls: &[CallMade]) -> BTreeMap<&str, Vec<&CallMade>> {
    let mut by_callee: BTreeMap<&str, Vec<&CallMade>> = BTreeMap::new();
    for call in calls {
        by_callee.entry(&call.callee).or_default().push(call);
    }
    by_callee
}

/// A value as a difference shows it: plain ones as they are, others as text, all shortened.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(shortened(text)),
        Value::Array(_) | Value::Object(_) => Value::from(shortened(&value.to_string())),
        plain => plain.clone(),
    }
}

/// Where to begin showing two texts, in bytes: a little before they part, if that is far in.
fn from_character(left: &str, right: &str) -> usize {
    let both = left.char_indices().zip(right.chars());
    let starts: Vec<usize> = both.take_while(|((_, a), b)| a == b).map(|((at, _), _)| at).collect();
    if starts.len() < SHOWN / 2 { 0 } else { starts[starts.len() - SHOWN / 4] }
}

fn cut(text: &str, from: usize) -> Value {
    let before = if from > 0 { "…" } else { "" };
    Value::from(format!("{before}{}", shortened(&text[from..])))
}

fn shown_body(body: &Body) -> Value {
    match body {
        Body::Json(value) => shown(value),
        Body::Bytes { start, length } => Value::from(format!(
            "{length} bytes that are not JSON: {}",
            shortened(&String::from_utf8_lossy(start))
        )),
    }
}

fn from_byte(bytes: &[u8], at: usize) -> Value {
    let rest = &bytes[at..bytes.len().min(at + 4 * SHOWN)];
    Value::from(format!("from byte {at}: {}", shortened(&String::from_utf8_lossy(rest))))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
