//! The port of one child process: its Runtime API, and the Lambda API as it sees it.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::instance::Instance;
use crate::message::AnyBody;
use crate::pool::{Context, ProcessId};
use crate::task::Task;
use crate::{invoke, runtime_api};

/// The process behind a port, which is who calls.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) instance: Arc<Instance>,
    pub(crate) task: Arc<Task>,
    pub(crate) process: ProcessId,
}

impl Caller {
    /// The invocation the process works on.
    pub(crate) fn context(&self) -> Option<Arc<Context>> {
        self.task.pool.context(self.process)
    }
}

/// Serves a process on `listener` until the handle is used.
pub(crate) fn start(
    listener: TcpListener,
    instance: Arc<Instance>,
    task: Arc<Task>,
    process: ProcessId,
) -> AbortHandle {
    let caller = Caller { instance, task, process };
    let accept = async move {
        loop {
            // What fails here is one connection that ended before it began.
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, caller.clone()));
            }
        }
    };
    tokio::spawn(accept).abort_handle()
}

async fn serve(stream: TcpStream, caller: Caller) {
    // Without it an answer can wait for the acknowledgement of the one before; it works as well.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| route(&caller, request));
    // A connection ends when its process does, in whatever state; there is nobody to tell.
    let mut http = http1::Builder::new();
    // As Lambda writes them: scripts that are runtimes look for names with `grep` or in dictionaries.
    http.title_case_headers(true);
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn route(
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<Response<AnyBody>, Infallible> {
    Ok(match request.uri().path().strip_prefix(runtime_api::PREFIX) {
        Some(_) => runtime_api::serve(caller, request).await,
        None => invoke::serve(caller, request).await,
    })
}
