//! A function that AWS's Runtime Interface Emulator runs.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes a tenth of it; a test that waits longer has hung.
const HUNG: Duration = Duration::from_secs(120);

/// What the emulator answered, without what differs from run to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// 200, or 502 where the emulator had to start the function anew.
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as text, with `ID` for the request's id and `CODE` for the task's folder.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }
}

/// A function that the emulator runs.
pub(crate) struct Emulated {
    emulator: Child,
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) folder: TempDir,
    /// Folder of the task that serves the function's invocations.
    pub(crate) code: PathBuf,
}

impl Emulated {
    /// Starts the emulator, which starts `command` in `directory` at the first invocation, with
    /// `environment` and what Lambda sets for a function called `a`.
    pub(crate) fn start(
        emulator: &Path,
        folder: TempDir,
        directory: &Path,
        code: PathBuf,
        command: &[String],
        environment: &[(String, String)],
    ) -> Self {
        let [address, runtime_api] = free_addresses();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let emulator = Command::new(emulator)
            .args(["--runtime-interface-emulator-address", &address])
            .args(["--runtime-api-address", &runtime_api])
            .args(command)
            .current_dir(directory)
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("LD_LIBRARY_PATH", &format!("/lib64:{0}:{0}/lib", directory.display())),
                ("LAMBDA_TASK_ROOT", directory.to_str().unwrap()),
                ("AWS_LAMBDA_FUNCTION_NAME", "a"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
                ("AWS_LAMBDA_FUNCTION_TIMEOUT", "60"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "AKIDFUNCTION"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_SESSION_TOKEN", "token"),
            ])
            .envs(environment.iter().cloned())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { emulator, address, client, folder, code }
    }

    /// Invokes the function.
    pub(crate) async fn invoke(&self, payload: impl Into<Bytes>) -> Answer {
        self.invoke_with(payload, &[]).await
    }

    /// Invokes the function with headers of the Lambda API.
    pub(crate) async fn invoke_with(
        &self,
        payload: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let payload = payload.into();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let answer = async {
            loop {
                let mut request = Request::post(format!(
                    "http://{}/2015-03-31/functions/function/invocations",
                    self.address
                ));
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let request = request.body(Full::new(payload.clone())).unwrap();
                match self.client.request(request).await {
                    Ok(response) => break response,
                    // It is not listening yet.
                    Err(error) if error.is_connect() => drop(tick.tick().await),
                    Err(error) => panic!("{error:?}\n{}", self.log()),
                }
            }
        };
        let answer = tokio::time::timeout(HUNG, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("this hangs\n{}", self.log()));
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answer { status, body: self.without_what_differs(body) }
    }

    /// What the emulator and the function have printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn without_what_differs(&self, body: Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(&body) else { return body };
        let text = text.replace(self.code.to_str().unwrap(), "CODE");
        match request_id(&text) {
            Some(id) => text.replace(&id, "ID").into(),
            None => text.into(),
        }
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        // It ends what it has started, which it cannot if it is killed.
        let id = Pid::from_raw(self.emulator.id().cast_signed()).expect("a process has an id");
        let _ = kill_process(id, Signal::TERM);
        let _ = self.emulator.wait();
    }
}

/// The first request id in a text: a UUID.
fn request_id(text: &str) -> Option<String> {
    let is_id = |part: &[u8]| {
        part.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let id = text.as_bytes().windows(36).find(|part| is_id(part))?;
    Some(String::from_utf8_lossy(id).into_owned())
}

/// Ports below those that the kernel hands out by itself, so that nobody is given one between this
/// look at it and the emulator's.
const PORTS: std::ops::Range<u16> = 16_000..32_000;

/// Addresses that are free, none of which this process has had before.
fn free_addresses() -> [String; 2] {
    static NEXT: OnceLock<Mutex<u16>> = OnceLock::new();
    let ports = PORTS.end - PORTS.start;
    let start = || Mutex::new(u16::try_from(std::process::id() % u32::from(ports)).unwrap());
    let mut next = NEXT.get_or_init(start).lock().unwrap();
    [(); 2].map(|()| {
        loop {
            let address = (Ipv4Addr::LOCALHOST, PORTS.start + *next);
            *next = (*next + 1) % ports;
            if let Ok(listener) = TcpListener::bind(address) {
                break listener.local_addr().unwrap().to_string();
            }
        }
    })
}
