//! The Runtime API of one instance, on a port of its own.
//!
//! `/next` is held until there is work, and never answered with an error: every runtime client
//! known dies of one.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Largest result of an invocation, in bytes: 6 MB and what Lambda adds to it.
pub(crate) const MAX_RESPONSE_BYTES: usize = 6_291_556;
/// Events that wait for the instance's driver at most; a runtime that sends more is held.
const EVENTS: usize = 16;

/// What a runtime said.
#[derive(Debug)]
pub(crate) enum RuntimeEvent {
    /// It is ready for work.
    Next,
    /// A result.
    Response(Bytes),
    /// A result larger than [`MAX_RESPONSE_BYTES`].
    ResponseTooLarge,
    /// A function error and its payload.
    Error(Bytes),
    /// It could not start: payload and error type.
    InitError(Bytes, Option<String>),
}

/// One invocation as `/next` hands it out.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) request_id: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) deadline_ms: i64,
    pub(crate) function_arn: String,
    pub(crate) trace_id: String,
    /// JSON, no longer in base64.
    pub(crate) client_context: Option<String>,
    pub(crate) payload: Bytes,
}

/// The listener and its channels; it stops with this value.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::Receiver<RuntimeEvent>,
    shared: Arc<Shared>,
    work: mpsc::Sender<Work>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    events: mpsc::Sender<RuntimeEvent>,
    work: tokio::sync::Mutex<mpsc::Receiver<Work>>,
    /// Invocation that may still be answered.
    current: Mutex<Option<String>>,
    first_contact: OnceLock<Instant>,
}

impl Shared {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.current.lock().expect("no holder of the request id panics")
    }
}

impl RuntimeApi {
    /// Listens on a free port of `ip`.
    pub(crate) async fn listen(ip: IpAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let (event_sender, events) = mpsc::channel(EVENTS);
        let (work, work_receiver) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            events: event_sender,
            work: tokio::sync::Mutex::new(work_receiver),
            current: Mutex::default(),
            first_contact: OnceLock::new(),
        });
        let contact = Arc::clone(&shared);
        let listener = listener.tap_io(move |tcp| {
            contact.first_contact.get_or_init(Instant::now);
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%error, "a runtime's connection stays with Nagle's algorithm");
            }
        });
        let serving = axum::serve(listener, router(Arc::clone(&shared)));
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "a Runtime API stopped");
            }
        });
        let _serving = AbortOnDropHandle::new(serving);
        Ok(Self { address, events, shared, work, _serving })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the runtime first connected.
    pub(crate) fn first_contact(&self) -> Option<Instant> {
        self.shared.first_contact.get().copied()
    }

    /// What the runtime says next.
    pub(crate) async fn event(&mut self) -> RuntimeEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The sender lives in `shared`, as long as this does.
            None => std::future::pending().await,
        }
    }

    /// Hands out an invocation to the next `/next`.
    pub(crate) fn give(&mut self, work: Work) {
        // A runtime that polled twice left more than one event behind.
        while self.events.try_recv().is_ok() {}
        *self.shared.current() = Some(work.request_id.clone());
        if self.work.try_send(work).is_err() {
            // Only if the last invocation was never fetched; its instance is not used again.
            tracing::warn!(address = %self.address, "work was given to a runtime that still has some");
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{request_id}/response", post(response))
        .route("/invocation/{request_id}/error", post(error))
        .route("/init/error", post(init_error))
        .with_state(shared);
    Router::new().nest("/2018-06-01/runtime", runtime)
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    if shared.events.send(RuntimeEvent::Next).await.is_err() {
        return std::future::pending().await;
    }
    let Some(work) = shared.work.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let mut response = Response::new(Body::from(work.payload));
    let deadline = work.deadline_ms.to_string();
    let headers = [
        // Python's and Node's native clients crash without a content type.
        ("content-type", Some("application/json")),
        ("lambda-runtime-aws-request-id", Some(work.request_id.as_str())),
        ("lambda-runtime-deadline-ms", Some(deadline.as_str())),
        ("lambda-runtime-invoked-function-arn", Some(work.function_arn.as_str())),
        ("lambda-runtime-trace-id", Some(work.trace_id.as_str())),
        ("lambda-runtime-client-context", work.client_context.as_deref()),
    ];
    for (name, value) in headers {
        // A value that is no header value came from a client and is not worth a runtime's life.
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(request_id): Path<String>,
    body: Body,
) -> Response {
    let event = match to_bytes(body, MAX_RESPONSE_BYTES).await {
        Ok(payload) => RuntimeEvent::Response(payload),
        Err(_) => RuntimeEvent::ResponseTooLarge,
    };
    answer(&shared, &request_id, event).await
}

async fn error(
    State(shared): State<Arc<Shared>>,
    Path(request_id): Path<String>,
    body: Body,
) -> Response {
    let event = match to_bytes(body, MAX_RESPONSE_BYTES).await {
        Ok(payload) => RuntimeEvent::Error(payload),
        Err(_) => RuntimeEvent::ResponseTooLarge,
    };
    answer(&shared, &request_id, event).await
}

async fn answer(shared: &Shared, request_id: &str, event: RuntimeEvent) -> Response {
    if shared.current().take_if(|current| current == request_id).is_none() {
        let text = format!("`{request_id}` is not the invocation that is running");
        return refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", &text);
    }
    let too_large = matches!(event, RuntimeEvent::ResponseTooLarge);
    accept(shared, event).await;
    if too_large {
        let text = format!("the result is larger than {MAX_RESPONSE_BYTES} bytes");
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &text);
    }
    accepted()
}

async fn init_error(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let error_type = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let payload = to_bytes(body, MAX_RESPONSE_BYTES).await.unwrap_or_default();
    accept(&shared, RuntimeEvent::InitError(payload, error_type)).await;
    accepted()
}

async fn accept(shared: &Shared, event: RuntimeEvent) {
    if shared.events.send(event).await.is_err() {
        tracing::debug!("a runtime spoke after its instance was given up");
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum::Json(serde_json::json!({ "status": "OK" }))).into_response()
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = serde_json::json!({ "errorMessage": message, "errorType": kind });
    (status, axum::Json(body)).into_response()
}
