//! A server from its start to its end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use bollard::Docker;
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api;
use crate::backend::Backend;
use crate::error::StartError;
use crate::options::{Options, SandboxChoice, SandboxKind, SandboxReport};
use crate::sandbox::Host;
use crate::sandbox::engine::{self, Engine};
use crate::sandbox::process::{self, ProcessHost};
use crate::state::{ServerDirectory, StateLock};

/// Longest that invocations may take to notice that their instances were removed.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A running server. [`shutdown`](Self::shutdown) removes everything it made; what a server that
/// was killed left behind is removed by the next one with the same state directory.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    report: SandboxReport,
    backend: Arc<Backend>,
    directory: ServerDirectory,
    serving: Serving,
}

impl Server {
    /// Starts a server on 127.0.0.1, after removing what killed servers left behind.
    ///
    /// # Errors
    /// If the port is taken, the state directory cannot be used, or Docker was asked for and
    /// cannot be used. Nothing is left behind then.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
        let docker = match options.sandbox {
            SandboxChoice::Process => Err("the process sandbox was chosen".to_owned()),
            SandboxChoice::Auto | SandboxChoice::Docker => {
                engine::connect().await.map_err(|error| error.to_string())
            }
        };
        let state = options.state_directory.clone();
        let state_error = |source| StartError::State { directory: state.clone(), source };
        let directory = take_over(&state, docker.as_ref().ok()).await.map_err(state_error)?;
        match Self::start_in(&options, listener, docker, &directory).await {
            Ok((address, report, backend, serving)) => {
                Ok(Self { address, report, backend, directory, serving })
            }
            Err(error) => {
                directory.remove().await.map_err(state_error)?;
                Err(error)
            }
        }
    }

    async fn start_in(
        options: &Options,
        listener: TcpListener,
        docker: Result<Docker, String>,
        directory: &ServerDirectory,
    ) -> Result<(SocketAddr, SandboxReport, Arc<Backend>, Serving), StartError> {
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
            source,
        })?;
        let (host, report, inner) = make_host(options, docker, directory).await?;
        // Functions in containers cannot reach loopback: they get a listener of their own.
        let seen_by_functions = inner.as_ref().and_then(|inner| inner.local_addr().ok());
        let backend = Arc::new(Backend::new(
            options,
            directory,
            host,
            format!("http://{}", seen_by_functions.unwrap_or(address)),
        ));
        let router = api::router(Arc::clone(&backend));
        let listeners = std::iter::once(listener).chain(inner);
        let serving = Serving::start(listeners, &router);
        backend.tasks.spawn(Arc::clone(&backend).expire_idle());
        Ok((address, report, backend, serving))
    }

    /// Where clients reach the server, such as `http://127.0.0.1:9001`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What functions run in and what is not enforced.
    #[must_use]
    pub fn sandbox(&self) -> &SandboxReport {
        &self.report
    }

    /// Stops serving, ends every instance and removes everything the server made.
    pub async fn shutdown(self) {
        let Self { address: _, report: _, backend, directory, serving } = self;
        let (stop, connections) = (serving.stop, serving.connections);
        drop(stop);
        backend.closing.cancel();
        backend.remove(backend.pool.close());
        // Ends the instances that are at work, and so their invocations.
        backend.host.remove_all().await;
        backend.tasks.close();
        let ended = async {
            backend.tasks.wait().await;
            join_all(connections).await;
        };
        if tokio::time::timeout(END_LIMIT, ended).await.is_err() {
            tracing::warn!("invocations did not end in time and were given up");
        }
        // Again, for what was being made meanwhile.
        backend.host.remove_all().await;
        if let Err(error) = directory.remove().await {
            tracing::warn!(%error, "the server's directory stays");
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => StartError::Listen { address, source },
    })
}

/// The listeners at work. They stop when this is dropped; open connections end when they are idle.
#[derive(Debug)]
struct Serving {
    stop: DropGuard,
    connections: Vec<JoinHandle<()>>,
}

impl Serving {
    fn start(listeners: impl Iterator<Item = TcpListener>, router: &Router) -> Self {
        let stop = CancellationToken::new();
        let connections = listeners
            .map(|listener| tokio::spawn(serve(listener, router.clone(), stop.clone())))
            .collect();
        Self { stop: stop.drop_guard(), connections }
    }
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "a connection stays with Nagle's algorithm");
        }
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the server stopped listening");
    }
}

/// Removes what dead servers left behind and makes this server's directory.
async fn take_over(state: &Path, docker: Option<&Docker>) -> io::Result<ServerDirectory> {
    let path = state.to_owned();
    let blocking = tokio::task::spawn_blocking(move || {
        let path = path.as_path();
        fs_err::create_dir_all(path)?;
        // Absolute, because it is mounted into containers.
        let path = fs_err::canonicalize(path)?;
        let lock = StateLock::take(&path)?;
        let dead = lock.dead(&path)?;
        let own = lock.create(&path)?;
        Ok::<_, io::Error>((own, dead))
    });
    let (own, dead) = blocking.await.map_err(io::Error::other)??;
    // A server that runs processes removes a killed one's containers too, if it can.
    let docker = match docker {
        Some(docker) => Some(docker.clone()),
        None if dead.iter().any(ServerDirectory::used_docker) => engine::connect().await.ok(),
        None => None,
    };
    for server in dead {
        process::remove_left_behind(server.id(), &server.groups()).await;
        if server.used_docker() {
            match &docker {
                Some(docker) => engine::remove_left_behind(docker, server.id()).await,
                // Its containers may still be there: left to a start that has Docker.
                None => continue,
            }
        }
        server.remove().await?;
    }
    Ok(own)
}

/// Docker with a listener that containers can reach, or why not.
async fn make_engine(docker: Docker, server: &str) -> Result<(Engine, TcpListener), String> {
    let engine = Engine::start(docker, server).await.map_err(|error| error.to_string())?;
    let gateway = engine.gateway();
    match TcpListener::bind((gateway, 0)).await {
        Ok(listener) => Ok((engine, listener)),
        Err(error) => {
            engine.remove_all().await;
            Err(format!("{gateway}, the gateway of its network, cannot be listened on ({error})"))
        }
    }
}

async fn make_host(
    options: &Options,
    docker: Result<Docker, String>,
    directory: &ServerDirectory,
) -> Result<(Host, SandboxReport, Option<TcpListener>), StartError> {
    let state_error =
        |source| StartError::State { directory: options.state_directory.clone(), source };
    let engine = match docker {
        Ok(docker) => {
            directory.note_sandbox(SandboxKind::Docker).map_err(state_error)?;
            make_engine(docker, directory.id()).await
        }
        Err(reason) => Err(reason),
    };
    let mut notices = Vec::new();
    match engine {
        Ok((engine, listener)) => {
            let report = SandboxReport { kind: SandboxKind::Docker, notices };
            return Ok((Host::Docker(engine), report, Some(listener)));
        }
        Err(reason) if options.sandbox == SandboxChoice::Docker => {
            return Err(StartError::Docker(reason));
        }
        Err(reason) if options.sandbox == SandboxChoice::Auto => {
            notices.push(format!(
                "functions run as processes, because Docker cannot be used: {reason}"
            ));
        }
        Err(_) => {}
    }
    directory.note_sandbox(SandboxKind::Process).map_err(state_error)?;
    let host = ProcessHost::new(directory).map_err(state_error)?;
    notices.extend(host.notices().iter().cloned());
    let report = SandboxReport { kind: SandboxKind::Process, notices };
    Ok((Host::Process(host), report, None))
}
