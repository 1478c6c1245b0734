//! The HTTP API: Lambda's REST paths and CloudWatch Logs' JSON 1.1 on `POST /`.
//!
//! Signatures are not checked: whoever can reach the port may use it, as with any local emulator.
//! What a web page could send is refused: requests with an `Origin`, and requests whose `Host` is
//! neither loopback nor the gateway of the server's own Docker network (DNS rebinding).

mod aliases;
mod concurrency;
mod events;
mod functions;
mod invoke;
mod layers;
mod logs;
mod tags;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::backend::Backend;
use crate::error::ApiError;

/// Largest request that is not an invocation, in bytes, as on Lambda: a 50 MB zip in base64.
const MAX_REQUEST_BYTES: usize = 70_167_211;
/// Largest zip in a request, in bytes, as on Lambda.
const MAX_ZIP_BYTES: usize = 52_428_800;

/// The whole API.
pub(crate) fn router(backend: Arc<Backend>) -> Router {
    let gateway = backend.host.address();
    let one = "/2015-03-31/functions/{name}";
    let event_config = "/2019-09-25/functions/{name}/event-invoke-config";
    let under = |rest: &str| format!("{one}/{rest}");
    Router::new()
        .route("/2015-03-31/functions", get(functions::list).post(functions::create))
        .route("/2015-03-31/functions/", get(functions::list).post(functions::create))
        .route(one, get(functions::get).delete(functions::delete))
        .route(
            &under("configuration"),
            get(functions::get_configuration).put(functions::update_configuration),
        )
        .route(&under("code"), put(functions::update_code))
        .route(&under("versions"), get(functions::list_versions).post(functions::publish))
        .route(&under("aliases"), get(aliases::list).post(aliases::create))
        .route(
            &under("aliases/{alias}"),
            get(aliases::get).put(aliases::update).delete(aliases::delete),
        )
        .route(&under("invocations"), post(invoke::invoke))
        .route("/2018-10-31/layers", get(layers::list))
        .route(
            "/2018-10-31/layers/{name}/versions",
            get(layers::list_versions).post(layers::publish),
        )
        .route(
            "/2018-10-31/layers/{name}/versions/{number}",
            get(layers::get).delete(layers::delete),
        )
        .route(
            "/2017-10-31/functions/{name}/concurrency",
            put(concurrency::put).delete(concurrency::delete),
        )
        .route("/2019-09-30/functions/{name}/concurrency", get(concurrency::get))
        .route("/2016-08-19/account-settings", get(concurrency::account))
        .route("/2016-08-19/account-settings/", get(concurrency::account))
        .route(
            event_config,
            get(events::get).put(events::put).post(events::update).delete(events::delete),
        )
        .route(&format!("{event_config}/list"), get(events::list))
        .route("/2017-03-31/tags/{arn}", get(tags::list).post(tags::tag).delete(tags::untag))
        .route("/code/{name}", get(functions::code))
        .route("/", post(logs::operation))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(backend)
        .layer(middleware::map_response(with_request_id))
        .layer(middleware::from_fn(move |request, next| local_only(gateway, request, next)))
}

async fn unknown(method: Method, uri: Uri) -> ApiError {
    ApiError::unknown_operation(format!(
        "the local backend does not offer {method} {}; it offers functions, versions, aliases, invocations, reserved concurrency, configuration of asynchronous invocations, tags and account settings, and reading logs",
        uri.path()
    ))
}

/// Clients expect an id on every answer; an invocation's own is there already.
async fn with_request_id(mut response: Response) -> Response {
    let id = Uuid::new_v4().to_string();
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().entry("x-amzn-requestid").or_insert(id);
    }
    response
}

async fn local_only(gateway: IpAddr, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return ApiError::access_denied("requests from web pages are refused").into_response();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_local(host, gateway) {
        let message = format!("host `{host}` is refused; use 127.0.0.1 or localhost");
        return ApiError::access_denied(message).into_response();
    }
    next.run(request).await
}

fn is_local(host: &str, gateway: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip == IpAddr::from([127, 0, 0, 1]) || ip == gateway)
}

/// Reads a request's whole body.
async fn read_body(body: Body, limit: usize) -> Result<bytes::Bytes, ApiError> {
    // The only way in which reading fails beside the size is a client that hung up.
    to_bytes(body, limit)
        .await
        .map_err(|_| ApiError::too_large(format!("Request must be smaller than {limit} bytes")))
}

/// Reads a request's body as JSON; no body is an empty object.
async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = read_body(body, MAX_REQUEST_BYTES).await?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| {
        ApiError::invalid_content(format!("Could not parse request body into json: {error}"))
    })
}

/// One page of a list, the way Lambda's API pages: by an opaque marker.
fn page(
    key: &str,
    items: Vec<Value>,
    marker: Option<&str>,
    max_items: Option<usize>,
) -> Result<Value, ApiError> {
    let first: usize = match marker.filter(|marker| !marker.is_empty()) {
        None => 0,
        Some(marker) => marker
            .parse()
            .map_err(|_| ApiError::invalid_parameter(format!("`{marker}` is no marker")))?,
    };
    let count = max_items.unwrap_or(50).clamp(1, 10_000);
    let total = items.len();
    let page: Vec<Value> = items.into_iter().skip(first).take(count).collect();
    let next = first + page.len();
    let mut value = json!({ key: page });
    if next < total {
        value["NextMarker"] = json!(next.to_string());
    }
    Ok(value)
}

/// A header's text, if it is there and is text.
fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_hosts_are_accepted() {
        let gateway = "172.18.0.1".parse().unwrap();
        for (host, expect) in [
            ("127.0.0.1:9001", true),
            ("localhost", true),
            ("localhost:9001", true),
            ("172.18.0.1:40000", true),
            ("172.18.0.2:40000", false),
            ("evil.example:9001", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local(host, gateway), expect, "{host}");
        }
    }

    #[test]
    fn pages_end() {
        let items: Vec<Value> = (0..5).map(|index| json!(index)).collect();
        let first = page("Items", items.clone(), None, Some(3)).unwrap();
        assert_eq!(first, json!({ "Items": [0, 1, 2], "NextMarker": "3" }));
        let second = page("Items", items.clone(), Some("3"), Some(3)).unwrap();
        assert_eq!(second, json!({ "Items": [3, 4] }));
        assert!(page("Items", items, Some("x"), None).is_err());
    }
}
