//! Payloads from templates: JSON in whose strings `{{…}}` stands for a value that differs from
//! request to request. The same seed and number give the same payload.
//!
//! | placeholder | value |
//! | --- | --- |
//! | `{{uuid}}` | a version 4 UUID |
//! | `{{int LOW HIGH}}` | a whole number from LOW to HIGH |
//! | `{{pick A B …}}` | one of the words |
//! | `{{sequence}}` | the request's number, from 0 |
//!
//! A string that is nothing but an `{{int …}}` or `{{sequence}}` becomes a number.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

/// Payload bodies with the weights they are sent with.
#[derive(Clone, Debug, PartialEq)]
pub struct PayloadTemplates {
    templates: Vec<Template>,
}

/// One body, with what is expected of its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Body with placeholders.
    pub body: Value,
    /// Share of the requests, relative to the other templates' weights.
    pub weight: u32,
    /// What the answer has to contain, see [`Request::accepts`].
    pub expect: Value,
}

/// What is sent, and what is expected back.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The payload.
    pub body: Value,
    expect: Value,
    /// The identifiers that `{{uuid}}` became in it.
    pub ids: Vec<String>,
}

impl Request {
    /// A request whose answer may be anything.
    #[must_use]
    pub fn any(body: Value) -> Self {
        Self { body, expect: Value::Null, ids: Vec::new() }
    }

    /// Whether an answer contains what is expected: every field that the expectation names, with
    /// its value. An expectation of null is met by any answer.
    #[must_use]
    pub fn accepts(&self, answer: &Value) -> bool {
        fn contains(answer: &Value, expect: &Value) -> bool {
            match expect {
                Value::Object(fields) => fields.iter().all(|(key, expect)| {
                    answer.get(key).is_some_and(|part| contains(part, expect))
                }),
                other => answer == other,
            }
        }
        self.expect.is_null() || contains(answer, &self.expect)
    }
}

/// A placeholder that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{{{{{0}}}}}` is no placeholder: there are uuid, int LOW HIGH, pick A B …, and sequence")]
pub struct PlaceholderError(String);

enum Placeholder<'a> {
    Uuid,
    Int(i64, i64),
    Pick(Vec<&'a str>),
    Sequence,
}

impl PayloadTemplates {
    /// Checks the templates. Without any, every payload is `{}`.
    ///
    /// # Errors
    /// If a string holds an unknown placeholder.
    pub fn new(mut templates: Vec<Template>) -> Result<Self, PlaceholderError> {
        if templates.is_empty() {
            let body = Value::Object(serde_json::Map::new());
            templates.push(Template { body, weight: 1, expect: Value::Null });
        }
        for template in &templates {
            Filling::new(0, StdRng::seed_from_u64(0), 0).fill(&template.body)?;
        }
        Ok(Self { templates })
    }

    /// The requests `first .. first + count` of a run.
    #[must_use]
    pub fn requests(&self, seed: u64, first: u64, count: u64) -> Vec<Request> {
        (first..first + count).map(|number| self.request(seed, number)).collect()
    }

    /// `each` requests of every template. Another `run` gives the same requests again, apart from
    /// their identifiers (`{{uuid}}`), which are fresh.
    #[must_use]
    pub fn of_each(&self, seed: u64, each: u32, run: u64) -> Vec<Request> {
        let of_one = |template| (0..u64::from(each)).map(move |number| (template, number));
        let all = self.templates.iter().flat_map(of_one).enumerate();
        all.map(|(at, (template, number))| {
            request(template, Filling::new(number, generator(seed, at as u64), run))
        })
        .collect()
    }

    fn request(&self, seed: u64, number: u64) -> Request {
        let mut rng = generator(seed, number);
        let total: u64 = self.templates.iter().map(|template| u64::from(template.weight)).sum();
        let mut at = rng.random_range(0..total.max(1));
        let template = self
            .templates
            .iter()
            .find(|template| {
                let here = at < u64::from(template.weight);
                at = at.saturating_sub(u64::from(template.weight));
                here
            })
            .unwrap_or(&self.templates[0]);
        request(template, Filling::new(number, rng, 0))
    }
}

/// A generator of its own for each request, so that a payload does not depend on how many were made
/// before it; the odd constant (2^64 / golden ratio) spreads the numbers.
fn generator(seed: u64, number: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn request(template: &Template, mut filling: Filling) -> Request {
    let body = filling.fill(&template.body).expect("templates are checked when they are made");
    Request { body, expect: template.expect.clone(), ids: filling.ids }
}

/// A template being filled in.
struct Filling {
    /// The request's number.
    number: u64,
    rng: StdRng,
    /// Where identifiers come from in a later run.
    fresh: Option<StdRng>,
    ids: Vec<String>,
}

impl Filling {
    fn new(number: u64, rng: StdRng, run: u64) -> Self {
        // Of the same numbers the first run draws from, so that it differs from request to request.
        let fresh = (run > 0).then(|| StdRng::seed_from_u64(rng.clone().random::<u64>() ^ run));
        Self { number, rng, fresh, ids: Vec::new() }
    }

    fn fill(&mut self, template: &Value) -> Result<Value, PlaceholderError> {
        Ok(match template {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(items) => {
                items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.fill(value)?)))
                    .collect::<Result<_, PlaceholderError>>()?,
            ),
            other => other.clone(),
        })
    }

    fn fill_text(&mut self, text: &str) -> Result<Value, PlaceholderError> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, inside, after)) = next_placeholder(rest) {
            let value = match placeholder(inside)? {
                Placeholder::Uuid => Value::from(self.id()),
                Placeholder::Int(low, high) => Value::from(self.rng.random_range(low..=high)),
                Placeholder::Pick(words) => {
                    Value::from(words[self.rng.random_range(0..words.len())])
                }
                Placeholder::Sequence => Value::from(self.number),
            };
            if before.is_empty() && after.is_empty() && filled.is_empty() {
                return Ok(value);
            }
            filled.push_str(before);
            match value {
                Value::String(word) => filled.push_str(&word),
                other => filled.push_str(&other.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }

    fn id(&mut self) -> String {
        // Drawn in every run, so that what is drawn after it stays the same.
        let first = self.rng.random();
        let bytes = self.fresh.as_mut().map_or(first, Rng::random);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
        self.ids.push(id.clone());
        id
    }
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (inside, after) = rest.split_once("}}")?;
    Some((before, inside, after))
}

fn placeholder(inside: &str) -> Result<Placeholder<'_>, PlaceholderError> {
    let refuse = || PlaceholderError(inside.to_owned());
    let words: Vec<&str> = inside.split_whitespace().collect();
    match words.as_slice() {
        ["uuid"] => Ok(Placeholder::Uuid),
        ["sequence"] => Ok(Placeholder::Sequence),
        ["int", low, high] => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) if low <= high => Ok(Placeholder::Int(low, high)),
            _ => Err(refuse()),
        },
        ["pick", words @ ..] if !words.is_empty() => Ok(Placeholder::Pick(words.to_vec())),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(body: Value, weight: u32) -> Template {
        Template { body, weight, expect: Value::Null }
    }

    fn bodies(templates: &PayloadTemplates, seed: u64, first: u64, count: u64) -> Vec<Value> {
        let requests = templates.requests(seed, first, count);
        requests.into_iter().map(|request| request.body).collect()
    }

    #[test]
    fn the_same_seed_and_number_give_the_same_payload() {
        let templates = PayloadTemplates::new(vec![template(
            json!({"id": "{{uuid}}", "n": ["{{sequence}}"]}),
            1,
        )])
        .unwrap();
        let first = bodies(&templates, 7, 0, 10);
        assert_eq!(first[3..], bodies(&templates, 7, 3, 7));
        assert_ne!(first, bodies(&templates, 8, 0, 10));
        assert_eq!(first[4]["n"][0], json!(4));
        let ids: std::collections::BTreeSet<_> =
            first.iter().map(|p| p["id"].to_string()).collect();
        assert_eq!(ids.len(), 10);
    }

    #[test]
    fn placeholders_fill_text_and_numbers() {
        let templates = PayloadTemplates::new(vec![template(
            json!({"whole": "{{int 5 5}}", "part": "a-{{int 5 5}}-{{pick x}}", "plain": "{x}"}),
            1,
        )])
        .unwrap();
        assert_eq!(
            bodies(&templates, 0, 0, 1)[0],
            json!({"whole": 5, "part": "a-5-x", "plain": "{x}"})
        );
    }

    #[test]
    fn weights_choose_between_templates() {
        let templates =
            PayloadTemplates::new(vec![template(json!(1), 3), template(json!(2), 1)]).unwrap();
        let ones = bodies(&templates, 1, 0, 4000).iter().filter(|p| **p == json!(1)).count();
        assert!((2850..3150).contains(&ones), "{ones} of 4000, expected about 3000");
    }

    #[test]
    fn another_run_gives_the_same_requests_with_fresh_identifiers() {
        let bodies = [json!(["{{uuid}}", "{{int 0 1000000}}"]), json!("x{{uuid}}")];
        let templates = PayloadTemplates::new(bodies.map(|body| template(body, 1)).into()).unwrap();
        let (first, again) = (templates.of_each(1, 3, 0), templates.of_each(1, 3, 1));
        assert_eq!(first, templates.of_each(1, 3, 0));
        assert_eq!((first.len(), again.len()), (6, 6), "three of each");
        let mut ids: Vec<&String> = first.iter().chain(&again).flat_map(|one| &one.ids).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 12, "no identifier twice");
        for (one, other) in first.iter().zip(&again).take(3) {
            assert_eq!(one.body[1], other.body[1]);
            assert_eq!((&one.body[0], &other.body[0]), (&json!(one.ids[0]), &json!(other.ids[0])));
        }
        assert_eq!(first[3].body, json!(format!("x{}", first[3].ids[0])));
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        for text in ["{{uid}}", "{{int 5}}", "{{int 5 1}}", "{{pick}}", "{{}}"] {
            assert!(PayloadTemplates::new(vec![template(json!([text]), 1)]).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_is_accepted_if_it_contains_what_is_expected() {
        let request =
            Request { expect: json!({"status": 1, "data": {"a": 2}}), ..Request::any(json!({})) };
        assert!(request.accepts(&json!({"status": 1, "data": {"a": 2, "b": 3}, "msg": "x"})));
        assert!(!request.accepts(&json!({"status": 0, "data": {"a": 2}})));
        assert!(!request.accepts(&json!({"status": 1})));
        assert!(Request::any(json!({})).accepts(&Value::Null));
    }
}
