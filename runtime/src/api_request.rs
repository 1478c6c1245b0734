//! A child's request to the Lambda API: which function it is about, whether that may be one of the
//! bundle's tasks, and what it becomes if it leaves.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wire::function_name::FunctionName;

use crate::forward::Scope;
use crate::message::AMZN_TRACE_ID;
use crate::pool::Context;
use crate::settings::Settings;
use crate::trace;

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
const LOG_TYPE: HeaderName = HeaderName::from_static("x-amz-log-type");

/// What an invocation asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Result,
    Event,
    DryRun,
}

impl Wanted {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(INVOCATION_TYPE).map(HeaderValue::as_bytes) {
            Some(b"Event") => Self::Event,
            Some(b"DryRun") => Self::DryRun,
            _ => Self::Result,
        }
    }
}

/// A request of a child to the Lambda API.
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    /// Without doubled slashes.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) scope: Scope,
    /// The invocation it was made from.
    pub(crate) context: Option<Arc<Context>>,
    /// The function it is about, if it invokes one.
    pub(crate) function: Option<FunctionName>,
    /// When it arrived, in microseconds since the Unix epoch.
    pub(crate) start_us: u64,
}

impl ApiRequest {
    /// A request that arrived at `start_us`, made from the invocation in `context`.
    pub(crate) fn new(head: Parts, context: Option<Arc<Context>>, start_us: u64) -> Self {
        let path = single_slashes(head.uri.path());
        Self {
            function: invoked(&path),
            scope: Scope::of(&head.headers),
            context,
            method: head.method,
            query: head.uri.query().map(str::to_owned),
            headers: head.headers,
            path,
            start_us,
        }
    }

    /// The trace header that the request carries on.
    pub(crate) fn trace(&self) -> Option<&str> {
        let sent = self.headers.get(AMZN_TRACE_ID).and_then(|value| value.to_str().ok());
        let current = self.context.as_ref().and_then(|context| context.trace.as_deref());
        trace::of_call(sent, current)
    }

    /// Whether a function name, given as it is, means a function of this account and region.
    pub(crate) fn is_local(&self, settings: &Settings, name: &FunctionName) -> bool {
        let own_region = settings.region.as_deref();
        let own_account =
            self.context.as_ref().and_then(|context| context.arn.as_deref()?.split(':').nth(4));
        let same =
            |other: &Option<String>, own: Option<&str>| other.is_none() || other.as_deref() == own;
        same(&name.account, own_account)
            && same(&name.region, own_region)
            // A client for another region means the function of that region.
            && (own_region.is_none() || same(&self.scope.region, own_region))
    }

    /// Whether the call names a version or an alias.
    pub(crate) fn is_qualified(&self, name: &FunctionName) -> bool {
        let query = self.query.as_deref().unwrap_or_default();
        name.qualifier.is_some()
            || query.split('&').any(|pair| pair.split('=').next() == Some("Qualifier"))
    }

    /// Path and query of a request that leaves, pinned to the version that its function's route
    /// names.
    pub(crate) fn routed_path(&self, settings: &Settings) -> String {
        let mut path = self.path.clone();
        let mut separator = '?';
        if let Some(query) = &self.query {
            path = format!("{path}?{query}");
            separator = '&';
        }
        let route = self
            .function
            .as_ref()
            .filter(|name| !self.is_qualified(name) && self.is_local(settings, name))
            .and_then(|name| settings.routes.get(&name.name));
        if let Some(qualifier) = route {
            let qualifier = utf8_percent_encode(qualifier, NON_ALPHANUMERIC);
            path = format!("{path}{separator}Qualifier={qualifier}");
        }
        path
    }

    /// Whether the caller asks for the end of the callee's log.
    pub(crate) fn wants_log(&self) -> bool {
        self.headers.get(LOG_TYPE).is_some_and(|kind| kind == "Tail")
    }

    /// The client context as a callee gets it: what the caller sent, decoded from base64.
    pub(crate) fn client_context(&self) -> Option<HeaderValue> {
        client_context(&self.headers)
    }
}

fn client_context(headers: &HeaderMap) -> Option<HeaderValue> {
    let decoded = BASE64_STANDARD.decode(headers.get(CLIENT_CONTEXT)?).ok()?;
    HeaderValue::from_bytes(&decoded).ok()
}

/// Some SDKs put two slashes after an endpoint.
fn single_slashes(path: &str) -> String {
    let mut single = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !single.ends_with('/') {
            single.push(character);
        }
    }
    single
}

/// The function that a path invokes.
fn invoked(path: &str) -> Option<FunctionName> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["2015-03-31", "functions", name, "invocations"]
        | ["2021-11-15", "functions", name, "response-streaming-invocations"] => {
            FunctionName::parse(name).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocations_are_recognised_by_their_path() {
        for (path, expect) in [
            ("/2015-03-31/functions/b/invocations", Some("b")),
            ("//2015-03-31/functions/b/invocations", Some("b")),
            ("/2015-03-31/functions/b%3Alive/invocations", Some("b:live")),
            ("/2021-11-15/functions/b/response-streaming-invocations", Some("b")),
            ("/2015-03-31/functions/b", None),
            ("/2015-03-31/functions/../invocations", None),
        ] {
            let got = invoked(&single_slashes(path)).map(|name| name.to_string());
            assert_eq!(got.as_deref(), expect, "{path}");
        }
    }

    #[test]
    fn the_client_context_is_decoded_or_left_out() {
        let context = |text: &'static str| {
            client_context(&HeaderMap::from_iter([(
                CLIENT_CONTEXT,
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(context("eyJhIjoxfQ=="), Some(HeaderValue::from_static("{\"a\":1}")));
        assert_eq!(context("not base64"), None);
        assert_eq!(client_context(&HeaderMap::new()), None);
    }
}
