//! Servers that stand for AWS, plain requests to them, and requests as such a server gets them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
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

/// A request as a server gets it.
pub struct Request {
    /// Request line and headers, without what separates them from the body.
    pub head: String,
    /// What follows.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one; none if the connection ends before.
    #[must_use]
    pub fn receive(client: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 65_536];
        let end = loop {
            let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&buffer[..read]);
            if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                break at;
            }
        };
        let mut request = Self {
            head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
            body: bytes.split_off(end + 4),
        };
        let length = request.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        while request.body.len() < length {
            let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
            request.body.extend_from_slice(&buffer[..read]);
        }
        Some(request)
    }

    /// A header's value, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }

    /// The answer of a server to it, of which the connection is closed afterwards, so that its end is the answer's.
    #[must_use]
    pub fn forward(&self, upstream: &str) -> Option<Vec<u8>> {
        let lines = self.head.lines();
        let mut lines: Vec<&str> =
            lines.filter(|line| !line.to_lowercase().starts_with("connection:")).collect();
        lines.push("Connection: close");
        let mut server = TcpStream::connect(upstream.strip_prefix("http://")?).ok()?;
        server.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).ok()?;
        server.write_all(&self.body).ok()?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).ok()?;
        Some(answer)
    }
}

/// Answers a request, of which the connection is closed afterwards.
pub fn respond(
    client: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<()> {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let answer = format!(
        "HTTP/1.1 {status} -\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).ok()
}
