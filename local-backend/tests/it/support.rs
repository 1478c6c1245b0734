//! A server under test, a client for it, and the probe function.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local_backend::{InvokeOverhead, Options, SandboxChoice, SandboxKind, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::RwLock;
use wire::report::Report;

use crate::probe;

/// Held for reading by every test that starts functions, for writing by those that measure CPU.
pub(crate) static MACHINE: RwLock<()> = RwLock::const_new(());

/// The probe function as a zip in base64.
static PROBE: LazyLock<String> = LazyLock::new(|| STANDARD.encode(probe::zip()));

/// Whether a Docker engine answers; says loudly if not.
pub(crate) fn docker_answers() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    *ANSWERS.get_or_init(|| {
        let version =
            Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
        let answers = version.is_ok_and(|output| output.status.success());
        if !answers {
            tell("\nSKIPPED: NO DOCKER ENGINE ANSWERS, ITS SANDBOX IS NOT TESTED\n");
        }
        answers
    })
}

/// Says something that must not get lost in a test's captured output.
pub(crate) fn tell(text: &str) {
    let mut errors = std::io::stderr();
    writeln!(errors, "{text}").unwrap();
}

/// The sandboxes this machine has.
pub(crate) fn sandboxes() -> Vec<SandboxChoice> {
    let mut sandboxes = vec![SandboxChoice::Process];
    if docker_answers() {
        sandboxes.push(SandboxChoice::Docker);
    }
    sandboxes
}

pub(crate) fn options(state: &Path, sandbox: SandboxChoice) -> Options {
    Options {
        port: 0,
        sandbox,
        invoke_overhead: InvokeOverhead::None,
        seed: 1,
        state_directory: state.to_owned(),
        idle_expiry: Duration::from_secs(600),
        async_retry_delays: [Duration::from_millis(200), Duration::from_millis(400)],
        query_rows: 100_000,
    }
}

/// Runs a test in every sandbox.
pub(crate) async fn in_each_sandbox(test: impl AsyncFn(&Platform)) {
    let _machine = MACHINE.read().await;
    for sandbox in sandboxes() {
        with(sandbox, |_| {}, &test).await;
    }
}

/// Runs a test on a server of its own and removes that whatever comes of it.
pub(crate) async fn with(
    sandbox: SandboxChoice,
    change: impl FnOnce(&mut Options),
    test: &impl AsyncFn(&Platform),
) {
    let state = tempfile::tempdir().unwrap();
    let mut options = options(state.path(), sandbox);
    change(&mut options);
    let server = Server::start(options).await.unwrap();
    let platform = Platform {
        endpoint: server.endpoint(),
        kind: server.sandbox().kind,
        notices: server.sandbox().notices.clone(),
        client: Client::builder(TokioExecutor::new()).build_http(),
        state,
    };
    let result = AssertUnwindSafe(test(&platform)).catch_unwind().await;
    server.shutdown().await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// A server and a client.
pub(crate) struct Platform {
    pub(crate) endpoint: String,
    pub(crate) kind: SandboxKind,
    pub(crate) notices: Vec<String>,
    client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) state: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The function's answer, which must not be an error.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(
            (self.status, self.header("x-amz-function-error")),
            (StatusCode::OK, None),
            "{self:?}"
        );
        self.body
    }

    /// Status and error type of an API error.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.header("x-amzn-errortype").unwrap_or_default())
    }
}

impl Platform {
    /// A client for a server that runs elsewhere.
    pub(crate) fn at(endpoint: String, kind: SandboxKind, state: TempDir) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { endpoint, kind, notices: Vec::new(), client, state }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, &[], body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, &[], body.to_string()).await
    }

    /// Creates the probe under a name, with settings over sensible ones.
    pub(crate) async fn create_probe(&self, name: &str, settings: Value) {
        let mut body = json!({
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": "arn:aws:iam::000000000000:role/test",
            "MemorySize": 512,
            "Timeout": 60,
            "Environment": { "Variables": { "FUSELINE_VCPU": "1" } },
            "Code": { "ZipFile": PROBE.as_str() },
        });
        for (key, value) in settings.as_object().unwrap() {
            body[key] = value.clone();
        }
        let reply = self.post("/2015-03-31/functions", body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }

    pub(crate) async fn invoke(&self, function: &str, event: Value) -> Reply {
        self.invoke_with(function, event, &[]).await
    }

    pub(crate) async fn invoke_with(
        &self,
        function: &str,
        event: Value,
        headers: &[(&str, &str)],
    ) -> Reply {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.send(Method::POST, &path, headers, event.to_string()).await
    }

    /// Name of the log stream, and so of the instance, that serves the next invocation.
    pub(crate) async fn instance(&self, function: &str, sleep_ms: u64) -> String {
        let event = json!({ "sleep_ms": sleep_ms, "environment": ["AWS_LAMBDA_LOG_STREAM_NAME"] });
        self.invoke(function, event).await.ok()["environment"][0].as_str().unwrap().to_owned()
    }

    pub(crate) async fn logs(&self, operation: &str, parameters: Value) -> Reply {
        let target = format!("Logs_20140328.{operation}");
        let headers =
            [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        self.send(Method::POST, "/", &headers, parameters.to_string()).await
    }

    /// The messages in a function's log, without line ends.
    pub(crate) async fn messages(&self, function: &str) -> Vec<String> {
        let group = format!("/aws/lambda/{function}");
        let reply = self.logs("FilterLogEvents", json!({ "logGroupName": group })).await;
        let Some(events) = reply.body["events"].as_array() else {
            return Vec::new();
        };
        events
            .iter()
            .map(|event| event["message"].as_str().unwrap().trim_end().to_owned())
            .collect()
    }

    /// The reports in a function's log, when there are as many as expected.
    pub(crate) async fn reports(&self, function: &str, count: usize) -> Vec<Report> {
        until("the reports are there", async || {
            let messages = self.messages(function).await;
            let reports: Vec<Report> =
                messages.iter().filter_map(|message| Report::parse(message)).collect();
            (reports.len() >= count).then_some(reports)
        })
        .await
    }

    /// Id of the server: it is the only one with this state directory.
    pub(crate) fn server_id(&self) -> String {
        let mut servers = fs_err::read_dir(self.state.path().join("servers")).unwrap();
        servers.next().unwrap().unwrap().file_name().into_string().unwrap()
    }
}

/// What there is on this machine of a server: containers, networks, images, processes, groups.
pub(crate) fn remains(server: &str) -> Vec<String> {
    let mut remains = Vec::new();
    if docker_answers() {
        let filter = format!("label=fuseline.server={server}");
        for list in [["ps", "-a"].as_slice(), &["network", "ls"], &["images"]] {
            let arguments = list.iter().copied().chain(["-q", "--filter", &filter]);
            let listed = Command::new("docker").args(arguments).output().unwrap();
            assert!(listed.status.success());
            let listed = String::from_utf8(listed.stdout).unwrap();
            remains.extend(listed.lines().map(|id| format!("docker {}: {id}", list[0])));
        }
    }
    remains.extend(processes(server));
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("fuseline-{server}")])
        .output()
        .unwrap();
    let groups = String::from_utf8(groups.stdout).unwrap();
    remains.extend(groups.lines().map(str::to_owned));
    remains
}

/// Processes that a server started and that are still there.
pub(crate) fn processes(server: &str) -> Vec<String> {
    let mark = format!("FUSELINE_SERVER={server}");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .map(|entry| format!("process {}", entry.file_name().display()))
        .collect()
}

/// Instances of a server that are there.
pub(crate) fn instances(platform: &Platform) -> usize {
    let server = platform.server_id();
    match platform.kind {
        SandboxKind::Process => processes(&server).len(),
        SandboxKind::Docker => {
            remains(&server).iter().filter(|remain| remain.starts_with("docker ps")).count()
        }
    }
}

/// Waits for something to become true, for at most half a minute.
pub(crate) async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = check().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not after half a minute: {what}");
}
