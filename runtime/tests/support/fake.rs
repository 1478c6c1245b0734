//! A platform in one server: the Runtime API that a function is started on, and the Lambda API that its
//! calls leave for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use uuid::Uuid;

/// Function name that the Lambda API does not know.
pub(crate) const MISSING: &str = "missing";

/// An event, as the Runtime API hands it out.
struct Event {
    headers: HeaderMap,
    payload: Bytes,
}

/// What was posted for an invocation, or for the start of the function.
#[derive(Debug)]
pub(crate) struct Posted {
    /// Last part of the path: `response` or `error`.
    pub(crate) kind: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A request that reached the Lambda API.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The platform.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    init_errors: AsyncMutex<mpsc::Receiver<Posted>>,
}

struct Shared {
    events: AsyncMutex<mpsc::Receiver<Event>>,
    init_errors: mpsc::Sender<Posted>,
    answers: Mutex<HashMap<String, oneshot::Sender<Posted>>>,
    received: Mutex<Vec<Received>>,
    /// What the Lambda API answers to a synchronous call.
    result: Bytes,
}

impl Fake {
    /// A platform whose Lambda API answers every synchronous call with `result`.
    pub(crate) async fn start(result: &serde_json::Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, waiting) = mpsc::channel(16);
        let (init_error, init_errors) = mpsc::channel(16);
        let shared = Arc::new(Shared {
            events: AsyncMutex::new(waiting),
            init_errors: init_error,
            answers: Mutex::default(),
            received: Mutex::default(),
            result: result.to_string().into(),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, events, init_errors: AsyncMutex::new(init_errors) }
    }

    /// Gives the function an event and returns its answer.
    pub(crate) async fn invoke(&self, headers: HeaderMap, payload: Bytes) -> Posted {
        let id = headers["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
        let (answer, wait) = oneshot::channel();
        self.shared.answers.lock().unwrap().insert(id, answer);
        self.events.send(Event { headers, payload }).await.ok().unwrap();
        wait.await.unwrap()
    }

    /// The next report that the function cannot start.
    pub(crate) async fn init_error(&self) -> Posted {
        self.init_errors.lock().await.recv().await.unwrap()
    }

    /// What has reached the Lambda API since this was last asked.
    pub(crate) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.shared.received.lock().unwrap())
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(&shared, request));
            // Ends when the function does, which tests provoke.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn serve(
    shared: &Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let Some(runtime_api) = path.strip_prefix("/2018-06-01/runtime/") else {
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = head.uri.path_and_query().unwrap().to_string();
        return Ok(lambda(
            shared,
            Received { method: head.method, path, headers: head.headers, body },
        ));
    };
    if runtime_api == "invocation/next" {
        let event =
            shared.events.lock().await.recv().await.expect("the platform outlives its functions");
        let mut response = Response::new(Full::new(event.payload));
        *response.headers_mut() = event.headers;
        return Ok(response);
    }
    let Ok(body) = body.collect().await else { return Ok(status(StatusCode::BAD_REQUEST)) };
    let trailers = body.trailers().cloned();
    let segments: Vec<&str> = runtime_api.split('/').collect();
    let posted = Posted {
        kind: (*segments.last().unwrap()).to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
        trailers,
    };
    match segments.as_slice() {
        ["init", "error"] => shared.init_errors.send(posted).await.unwrap(),
        ["invocation", id, _] => {
            let answer = shared.answers.lock().unwrap().remove(*id);
            let Some(answer) = answer else { return Ok(status(StatusCode::BAD_REQUEST)) };
            answer.send(posted).unwrap();
        }
        other => panic!("the Runtime API has no {other:?}"),
    }
    Ok(status(StatusCode::ACCEPTED))
}

fn lambda(shared: &Shared, received: Received) -> Response<Full<Bytes>> {
    let kind = received.headers.get("x-amz-invocation-type").map(|kind| kind.as_bytes().to_vec());
    let missing = received.path.contains(&format!("/{MISSING}/"));
    shared.received.lock().unwrap().push(received);
    if missing {
        let mut response = status(StatusCode::NOT_FOUND);
        response
            .headers_mut()
            .insert("x-amzn-errortype", "ResourceNotFoundException".parse().unwrap());
        *response.body_mut() =
            Full::new(Bytes::from_static(b"{\"Message\":\"Function not found\"}"));
        return response;
    }
    let mut response = if kind.as_deref() == Some(b"Event") {
        status(StatusCode::ACCEPTED)
    } else {
        Response::new(Full::new(shared.result.clone()))
    };
    let headers = response.headers_mut();
    headers.insert("x-amz-executed-version", "1".parse().unwrap());
    headers.insert("x-amzn-requestid", Uuid::new_v4().to_string().parse().unwrap());
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
