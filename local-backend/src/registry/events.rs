//! What is set on a function for its asynchronous invocations.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wire::function_name::FunctionName;

use super::{Function, Registry, find, find_mut, not_found, parse_name};
use crate::error::ApiError;
use crate::function::{LATEST, function_arn};
use crate::logs::now_ms;
use crate::retries::Rules;

/// Retries at most, and unless asked otherwise.
const MAX_RETRIES: u64 = 2;
/// Least and most age of an event, in seconds; the most is also the default.
const MIN_AGE_S: u64 = 60;
const MAX_AGE_S: u64 = 21_600;

/// Body of `PutFunctionEventInvokeConfig` and `UpdateFunctionEventInvokeConfig`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EventSettings {
    maximum_retry_attempts: Option<u64>,
    maximum_event_age_in_seconds: Option<u64>,
    destination_config: Option<Destinations>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destinations {
    on_success: Destination,
    on_failure: Destination,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
}

/// What is set on one qualifier.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct EventConfig {
    settings: EventSettings,
    last_modified_ms: i64,
}

/// What holds for an event: its rules, and who is told when it is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EventPolicy {
    pub(crate) rules: Rules,
    pub(crate) on_success: Option<FunctionName>,
    pub(crate) on_failure: Option<FunctionName>,
}

impl EventSettings {
    fn check(&self) -> Result<(), ApiError> {
        let Self { maximum_retry_attempts, maximum_event_age_in_seconds, .. } = self;
        for (name, value, range) in [
            ("maximumRetryAttempts", maximum_retry_attempts, 0..=MAX_RETRIES),
            ("maximumEventAgeInSeconds", maximum_event_age_in_seconds, MIN_AGE_S..=MAX_AGE_S),
        ] {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                return Err(ApiError::validation(format!(
                    "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must be between {} and {}",
                    range.start(),
                    range.end()
                )));
            }
        }
        Ok(())
    }

    fn destinations(&self) -> impl Iterator<Item = &str> {
        let both = self.destination_config.iter().flat_map(|d| [&d.on_success, &d.on_failure]);
        both.filter_map(Destination::arn)
    }
}

impl Destination {
    /// An empty text takes a destination away.
    fn arn(&self) -> Option<&str> {
        self.destination.as_deref().filter(|arn| !arn.is_empty())
    }

    fn function(&self) -> Option<FunctionName> {
        self.arn().and_then(|arn| parse_name(arn, None).ok())
    }
}

impl Registry {
    /// Sets what holds for the events of a name and qualifier, all of it.
    pub(crate) fn put_events(
        &self,
        named: &FunctionName,
        settings: EventSettings,
    ) -> Result<Value, ApiError> {
        self.set_events(named, settings, |_| Ok(EventConfig::default()))
    }

    /// Sets some of what holds for the events of a name and qualifier.
    pub(crate) fn update_events(
        &self,
        named: &FunctionName,
        settings: EventSettings,
    ) -> Result<Value, ApiError> {
        self.set_events(named, settings, |function| {
            function.events.get(qualifier(named)).cloned().ok_or_else(|| missing(named))
        })
    }

    fn set_events(
        &self,
        named: &FunctionName,
        settings: EventSettings,
        over: impl FnOnce(&Function) -> Result<EventConfig, ApiError>,
    ) -> Result<Value, ApiError> {
        settings.check()?;
        for arn in settings.destinations() {
            self.check_destination(named, arn).map_err(|error| {
                ApiError::invalid_parameter(format!(
                    "The destination ARN {arn} is invalid: {}",
                    error.message
                ))
            })?;
        }
        self.resolve(named)?;
        let mut functions = self.lock();
        let function = find_mut(&mut functions, &named.name)?;
        let config = over(function)?.with(settings);
        let value = config.describe(&named.name, qualifier(named));
        function.events.insert(qualifier(named).to_owned(), config);
        Ok(value)
    }

    fn check_destination(&self, named: &FunctionName, arn: &str) -> Result<(), ApiError> {
        if !arn.starts_with("arn:") || arn.split(':').nth(2) != Some("lambda") {
            return Err(ApiError::invalid_parameter(
                "the local backend tells only functions of its own; name one by its ARN",
            ));
        }
        let target = parse_name(arn, None)?;
        if target.name == named.name {
            return Err(ApiError::invalid_parameter(format!(
                "function {} cannot be its own destination",
                named.name
            )));
        }
        self.resolve(&target).map(drop)
    }

    /// What is set on a name and qualifier.
    pub(crate) fn events(&self, named: &FunctionName) -> Result<Value, ApiError> {
        let functions = self.lock();
        let config = find(&functions, &named.name)?.events.get(qualifier(named));
        let config = config.ok_or_else(|| missing(named))?;
        Ok(config.describe(&named.name, qualifier(named)))
    }

    /// What is set on every qualifier of a function.
    pub(crate) fn list_events(&self, function: &str) -> Result<Vec<Value>, ApiError> {
        let functions = self.lock();
        let all = find(&functions, function)?.events.iter();
        Ok(all.map(|(qualifier, config)| config.describe(function, qualifier)).collect())
    }

    /// Sets a name and qualifier back to the defaults.
    pub(crate) fn delete_events(&self, named: &FunctionName) -> Result<(), ApiError> {
        let mut functions = self.lock();
        let function = find_mut(&mut functions, &named.name)?;
        function.events.remove(qualifier(named)).map(drop).ok_or_else(|| missing(named))
    }

    /// What holds for an event of a name and qualifier now.
    pub(crate) fn event_policy(&self, named: &FunctionName) -> EventPolicy {
        let functions = self.lock();
        let function = functions.get(&named.name);
        let config = function.and_then(|function| function.events.get(qualifier(named)));
        let settings = config.map(|config| config.settings.clone()).unwrap_or_default();
        let destinations = settings.destination_config.unwrap_or_default();
        let age_s = settings.maximum_event_age_in_seconds.unwrap_or(MAX_AGE_S);
        EventPolicy {
            rules: Rules {
                max_retries: settings.maximum_retry_attempts.unwrap_or(MAX_RETRIES) as usize,
                max_age: Duration::from_secs(age_s),
                is_stopped: function.is_some_and(|f| f.reserved_concurrency == Some(0)),
            },
            on_success: destinations.on_success.function(),
            on_failure: destinations.on_failure.function(),
        }
    }
}

impl EventConfig {
    fn with(self, new: EventSettings) -> Self {
        let EventSettings {
            maximum_retry_attempts,
            maximum_event_age_in_seconds,
            destination_config,
        } = self.settings;
        let settings = EventSettings {
            maximum_retry_attempts: new.maximum_retry_attempts.or(maximum_retry_attempts),
            maximum_event_age_in_seconds: new
                .maximum_event_age_in_seconds
                .or(maximum_event_age_in_seconds),
            destination_config: new.destination_config.or(destination_config),
        };
        Self { settings, last_modified_ms: now_ms() }
    }

    fn describe(&self, function: &str, qualifier: &str) -> Value {
        let settings = &self.settings;
        let mut value = json!({
            "LastModified": self.last_modified_ms as f64 / 1_000.0,
            "FunctionArn": format!("{}:{qualifier}", function_arn(function)),
            "DestinationConfig": settings.destination_config.clone().unwrap_or_default(),
        });
        if let Some(retries) = settings.maximum_retry_attempts {
            value["MaximumRetryAttempts"] = json!(retries);
        }
        if let Some(age_s) = settings.maximum_event_age_in_seconds {
            value["MaximumEventAgeInSeconds"] = json!(age_s);
        }
        value
    }
}

fn qualifier(named: &FunctionName) -> &str {
    named.qualifier.as_deref().unwrap_or(LATEST)
}

fn missing(named: &FunctionName) -> ApiError {
    let error = not_found(&named.name, Some(qualifier(named)));
    let arn = error.message.trim_start_matches("Function not found: ").to_owned();
    ApiError::not_found(format!("The function {arn} doesn't have an EventInvokeConfig"))
}
