//! Servers that stand for AWS, a proxy in front of one that disturbs, and plain requests to them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{repository, skipped};

/// Longest wait for an emulator; its first start installs it.
const START_LIMIT: Duration = Duration::from_secs(240);

/// LocalStack or moto's server.
pub struct Emulator {
    child: Child,
    /// Its endpoint.
    pub endpoint: String,
}

impl Emulator {
    /// Starts one by the name of its script (`localstack`, `moto`); none, said loudly, where it cannot be had.
    ///
    /// # Panics
    /// If it does not answer in time.
    #[must_use]
    pub fn start(name: &str) -> Option<Self> {
        let script = repository().join(format!("../shared/tools/aws-emulators/{name}.sh"));
        if !script.is_file() {
            skipped(&format!("tests on {name}: there is no {}", script.display()));
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = free.expect("there is a free port").port();
        let child = Command::new(script)
            .arg(port.to_string())
            // A host that needs no name service.
            .env("LOCALSTACK_HOST", format!("127.0.0.1:{port}"))
            // The account that made-up roles are in.
            .env("MOTO_ACCOUNT_ID", "000000000000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("it can be started");
        let emulator = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while request(&emulator.endpoint, "GET", "/2015-03-31/functions", "").is_none() {
            assert!(started.elapsed() < START_LIMIT, "{name} does not answer");
            std::thread::sleep(Duration::from_millis(200));
        }
        // moto takes no role that does not exist.
        for role in ["fuseline-local", "theirs"] {
            let trusts = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                          %22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3A\
                          AssumeRole%22%7D%5D%7D";
            let body = format!(
                "Action=CreateRole&Version=2010-05-08&RoleName={role}&AssumeRolePolicyDocument={trusts}"
            );
            let form = "application/x-www-form-urlencoded";
            let _ = answer(&emulator.endpoint, "iam", form, "POST /", &body);
        }
        Some(emulator)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", "TERM", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// Sends a request to the Lambda API; none if there is no answer. An answer that is no JSON is null.
#[must_use]
pub fn request(endpoint: &str, method: &str, path: &str, body: &str) -> Option<Value> {
    let line = format!("{method} {path}");
    let (_, body) = answer(endpoint, "lambda", "application/json", &line, body)?;
    let mut values = serde_json::Deserializer::from_str(&body).into_iter();
    Some(values.next().and_then(Result::ok).unwrap_or_default())
}

/// What emulators tell services apart by; they check no signature.
#[must_use]
pub fn authorization(service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    )
}

/// The head and the body of the answer to a request to a service, such as `PUT /bucket`; none if there is no
/// answer.
#[must_use]
pub fn answer(
    endpoint: &str,
    service: &str,
    content: &str,
    line: &str,
    body: &str,
) -> Option<(String, String)> {
    let address = endpoint.strip_prefix("http://")?;
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {content}\r\n{}\r\nContent-Length: {}\r\n\r\n",
        authorization(service),
        body.len()
    );
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { body.split_once("\r\n")?.1 } else { body };
    Some((head.to_owned(), body.to_owned()))
}

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
}

/// Stands between a client and an endpoint and disturbs one of the requests that change something.
pub struct Proxy {
    /// Its endpoint.
    pub endpoint: String,
    changes: Arc<AtomicUsize>,
    client: Arc<Mutex<Option<u32>>>,
}

impl Proxy {
    /// Disturbs the change with this number, counted from 0; none disturbs nothing and counts.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start(upstream: &str, fault: Option<(usize, Fault)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it listens"));
        let upstream = upstream.strip_prefix("http://").expect("a URL").to_owned();
        let changes = Arc::new(AtomicUsize::new(0));
        let client = Arc::new(Mutex::new(None));
        let (counted, known) = (Arc::clone(&changes), Arc::clone(&client));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let upstream = upstream.clone();
                let (counted, known) = (Arc::clone(&counted), Arc::clone(&known));
                std::thread::spawn(move || serve(stream, &upstream, fault, &counted, &known));
            }
        });
        Self { endpoint, changes, client }
    }

    /// Says which process is the client that may be killed.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    pub fn set_client(&self, process: u32) {
        *self.client.lock().expect("not poisoned") = Some(process);
    }

    /// How many requests to change something there were.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }
}

fn serve(
    mut client: TcpStream,
    upstream: &str,
    fault: Option<(usize, Fault)>,
    changes: &AtomicUsize,
    process: &Mutex<Option<u32>>,
) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 65_536];
    let (head_end, length) = loop {
        let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&buffer[..read]);
        if let Some(at) = request.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..at]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            break (at + 4, length.unwrap_or(0_usize));
        }
    };
    while request.len() < head_end + length {
        let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&buffer[..read]);
    }
    let is_change = !request.starts_with(b"GET ")
        && !request.starts_with(b"POST / ")
        && !String::from_utf8_lossy(&request[..head_end]).contains("/invocations");
    let number = is_change.then(|| changes.fetch_add(1, Ordering::SeqCst));
    let now = fault.filter(|(at, fault)| match fault {
        Fault::FailAlways => number.is_some_and(|number| number >= *at),
        _ => number == Some(*at),
    });
    let now = now.map(|(_, fault)| fault);
    let refuse = |client: &mut TcpStream, status: &str, code: &str| {
        let body = "{\"Type\":\"Service\",\"Message\":\"disturbed\"}";
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nx-amzn-ErrorType: {code}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        client.write_all(answer.as_bytes()).ok()
    };
    let kill = || {
        let process = process.lock().expect("not poisoned").expect("the client is known");
        let _ = Command::new("kill").args(["-s", "KILL", &process.to_string()]).status();
    };
    match now {
        Some(Fault::FailOnce | Fault::FailAlways) => {
            return refuse(&mut client, "500 Internal Server Error", "ServiceException");
        }
        Some(Fault::Throttle) => {
            return refuse(&mut client, "429 Too Many Requests", "TooManyRequestsException");
        }
        Some(Fault::KillBefore) => {
            kill();
            return None;
        }
        _ => {}
    }
    // One request for each connection, so that the end of the answer is the end of the connection.
    let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
    let mut lines: Vec<&str> = head
        .trim_end()
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("connection:"))
        .collect();
    lines.push("Connection: close");
    let mut server = TcpStream::connect(upstream).ok()?;
    server.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).ok()?;
    server.write_all(&request[head_end..]).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    match now {
        Some(Fault::LoseAnswer) => None,
        Some(Fault::KillAfter) => {
            kill();
            None
        }
        _ => client.write_all(&answer).ok(),
    }
}
