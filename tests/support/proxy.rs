//! A proxy in front of a server that stands for AWS, which disturbs requests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::aws::{Request, respond};

/// What a [`Proxy`] does to the requests that it is told to disturb.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The service fails once.
    FailOnce,
    /// The service fails from then on.
    FailAlways,
    /// The request takes effect, but its answer is lost.
    LoseAnswer,
    /// The client is killed before the request arrives.
    KillBefore,
    /// The client is killed after the request took effect.
    KillAfter,
    /// Too many requests, once.
    Throttle,
    /// The connection stays open, and nothing is answered, once.
    Hang,
}

/// Which requests a [`Proxy`] counts and may disturb. Invocations are neither.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requests {
    /// Those that change something.
    Changes,
    /// Those that only ask.
    Reads,
}

impl Requests {
    fn include(self, request: &Request) -> bool {
        let is_read = request.head.starts_with("GET ") || request.head.contains(".FilterLogEvents");
        // What else goes to no path are other services and the removal of log groups, which may fail.
        let is_change = !is_read
            && !request.head.starts_with("POST / ")
            && !request.head.contains("/invocations");
        match self {
            Self::Changes => is_change,
            Self::Reads => is_read,
        }
    }
}

/// Stands between a client and an endpoint and disturbs one of its requests.
pub struct Proxy {
    /// Its endpoint.
    pub endpoint: String,
    counted: Arc<AtomicUsize>,
    client: Arc<Mutex<Option<u32>>>,
}

/// What each connection is served with.
#[derive(Clone)]
struct Service {
    upstream: String,
    requests: Requests,
    fault: Option<(usize, Fault)>,
    counted: Arc<AtomicUsize>,
    client: Arc<Mutex<Option<u32>>>,
}

impl Proxy {
    /// Disturbs the change with this number, counted from 0; none disturbs nothing and counts.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start(upstream: &str, fault: Option<(usize, Fault)>) -> Self {
        Self::of(Requests::Changes, upstream, fault)
    }

    /// Disturbs the request of a kind with this number, counted from 0; none disturbs nothing and counts.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn of(requests: Requests, upstream: &str, fault: Option<(usize, Fault)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it listens"));
        let upstream = upstream.to_owned();
        let (counted, client) = (Arc::default(), Arc::default());
        let service = Service {
            upstream,
            requests,
            fault,
            counted: Arc::clone(&counted),
            client: Arc::clone(&client),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = service.clone();
                std::thread::spawn(move || service.serve(stream));
            }
        });
        Self { endpoint, counted, client }
    }

    /// Says which process is the client that may be killed.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    pub fn set_client(&self, process: u32) {
        *self.client.lock().expect("not poisoned") = Some(process);
    }

    /// How many requests of its kind there were.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.counted.load(Ordering::SeqCst)
    }
}

impl Service {
    fn serve(&self, mut client: TcpStream) -> Option<()> {
        let request = Request::receive(&mut client)?;
        let number = self.requests.include(&request);
        let number = number.then(|| self.counted.fetch_add(1, Ordering::SeqCst));
        let now = self.fault.filter(|(at, fault)| match fault {
            Fault::FailAlways => number.is_some_and(|number| number >= *at),
            _ => number == Some(*at),
        });
        let mut refuse = |status: u16, code: &str| {
            let body = "{\"Type\":\"Service\",\"Message\":\"disturbed\"}";
            respond(&mut client, status, &[("x-amzn-ErrorType", code)], body)
        };
        match now.map(|(_, fault)| fault) {
            Some(Fault::FailOnce | Fault::FailAlways) => refuse(500, "ServiceException"),
            Some(Fault::Throttle) => refuse(429, "TooManyRequestsException"),
            Some(Fault::KillBefore) => self.kill(),
            Some(Fault::LoseAnswer) => request.forward(&self.upstream).map(drop),
            Some(Fault::KillAfter) => {
                let _ = request.forward(&self.upstream)?;
                self.kill()
            }
            // Until the client gives up.
            Some(Fault::Hang) => client.read(&mut [0]).ok().map(drop),
            None => client.write_all(&request.forward(&self.upstream)?).ok(),
        }
    }

    fn kill(&self) -> Option<()> {
        let process = self.client.lock().expect("not poisoned").expect("the client is known");
        Command::new("kill").args(["-s", "KILL", &process.to_string()]).status().ok().map(drop)
    }
}
