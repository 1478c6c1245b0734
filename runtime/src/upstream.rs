//! The real Runtime API, which the platform offers to the supervisor.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, TRAILER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::message::{Answer, AnyBody, FUNCTION_ERROR_TYPE, JSON, REQUEST_ID, full};
use crate::pool::{InitFailure, PostedKind};

/// Why the platform's Runtime API could not be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// A request could not be made from what was given.
    #[error("AWS_LAMBDA_RUNTIME_API is not a host and port: {0}")]
    Address(#[from] http::Error),
    /// No answer.
    #[error("no answer from the Runtime API")]
    Send(#[from] hyper_util::client::legacy::Error),
    /// An answer that broke off.
    #[error("the Runtime API's answer broke off")]
    Receive(#[from] hyper::Error),
    /// No event where only an event can be.
    #[error("the Runtime API answered {0} instead of an event with a request id")]
    NoEvent(StatusCode),
}

/// An invocation from the platform.
pub(crate) struct Event {
    pub(crate) request_id: String,
    /// What the runtime is told, without what belongs to the connection.
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// A client of the platform's Runtime API.
pub(crate) struct Upstream {
    address: String,
    client: Client<HttpConnector, AnyBody>,
}

impl Upstream {
    /// A client of the Runtime API at `address`, a host and port.
    pub(crate) fn new(address: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { address, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Waits for the next invocation.
    ///
    /// # Errors
    /// If the Runtime API gives anything but an event.
    pub(crate) async fn next(&self) -> Result<Event, UpstreamError> {
        let request = self.request(Method::GET, "invocation/next", full(Bytes::new()))?;
        let (head, body) = self.client.request(request).await?.into_parts();
        let mut headers = head.headers;
        let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let request_id = request_id
            .filter(|_| head.status == StatusCode::OK)
            .ok_or(UpstreamError::NoEvent(head.status))?;
        let passed_on = |name: &HeaderName| {
            name.as_str().starts_with("lambda-runtime-") || name == CONTENT_TYPE
        };
        headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name.filter(passed_on)?, value)))
            .collect();
        Ok(Event { request_id, headers, payload: body.collect().await?.to_bytes() })
    }

    /// Answers an invocation with what a runtime posted, and returns what the Runtime API says to it.
    ///
    /// # Errors
    /// If the answer could not be sent, or its body broke off.
    pub(crate) async fn answer(
        &self,
        request_id: &str,
        kind: PostedKind,
        posted: &HeaderMap,
        body: AnyBody,
    ) -> Result<Answer, UpstreamError> {
        let what = match kind {
            PostedKind::Response => "response",
            PostedKind::Error => "error",
        };
        let mut request =
            self.request(Method::POST, &format!("invocation/{request_id}/{what}"), body)?;
        let headers = request.headers_mut();
        for (name, value) in posted {
            // A trailer can be sent only if it was announced.
            if name.as_str().starts_with("lambda-runtime-")
                || name == CONTENT_TYPE
                || name == TRAILER
            {
                headers.append(name, value.clone());
            }
        }
        headers.entry(CONTENT_TYPE).or_insert(JSON);
        receipt(self.client.request(request).await?).await
    }

    /// Reports that the function cannot start.
    ///
    /// # Errors
    /// If the report could not be sent.
    pub(crate) async fn init_error(&self, failure: InitFailure) -> Result<(), UpstreamError> {
        let mut request = self.request(Method::POST, "init/error", full(failure.body))?;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        request.headers_mut().insert(FUNCTION_ERROR_TYPE, failure.kind);
        receipt(self.client.request(request).await?).await.map(drop)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: AnyBody,
    ) -> Result<Request<AnyBody>, http::Error> {
        let uri = format!("http://{}/2018-06-01/runtime/{path}", self.address);
        Request::builder().method(method).uri(uri).body(body)
    }
}

/// What the Runtime API says to an answer, in the form in which the runtime is told.
async fn receipt(response: Response<Incoming>) -> Result<Answer, UpstreamError> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut headers = HeaderMap::new();
    for (name, value) in &head.headers {
        if name == CONTENT_TYPE {
            headers.insert(name, value.clone());
        }
    }
    Ok(Answer { status: head.status, headers, body })
}
