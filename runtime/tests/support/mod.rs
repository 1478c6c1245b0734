//! A function under test: a bundle of probes, the supervisor's real binary, and a platform around it.

pub(crate) mod fake;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::manifest::{MANIFEST_VERSION, Manifest, TaskManifest};
use wire::record::{CallRecord, InvocationRecord, Record};

use fake::{Fake, Posted};

/// ARN that the platform says was invoked; the root task is always called `a`.
pub(crate) const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:a:live";

/// Root of every trace.
pub(crate) const TRACE_ROOT: &str = "1-67891233-abcdef012345678912345678";

/// Credentials of the function: access key, secret, session token.
pub(crate) const CREDENTIALS: [&str; 3] = ["AKIDFUNCTION", "secret", "token"];

/// Nothing here takes a tenth of it; a test that waits longer has hung.
const HUNG: Duration = Duration::from_secs(120);

/// A bundle to be.
pub(crate) struct Bundle {
    tasks: BTreeMap<String, TaskManifest>,
    /// Folder whose files are a task's package, for tasks that have one.
    packages: BTreeMap<String, PathBuf>,
    environment: BTreeMap<String, String>,
}

impl Bundle {
    /// A bundle of probes with these names; `a` is the root. Each may have 4 processes and 30 s.
    pub(crate) fn of(names: &[&str]) -> Self {
        let task = |name: &str| TaskManifest {
            directory: format!("tasks/{name}"),
            runtime: "provided.al2023".to_owned(),
            command: vec![probe().display().to_string()],
            handler: format!("{name}.handler"),
            memory_mb: 256,
            timeout_ms: 30_000,
            environment: BTreeMap::from([("OWN_NAME".to_owned(), name.to_owned())]),
            processes: 4,
        };
        Self {
            tasks: names.iter().map(|name| ((*name).to_owned(), task(name))).collect(),
            packages: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }

    /// With a task changed.
    pub(crate) fn with(mut self, name: &str, change: impl FnOnce(&mut TaskManifest)) -> Self {
        change(self.tasks.get_mut(name).unwrap());
        self
    }

    /// With the files of a folder as a task's package.
    pub(crate) fn packaged(mut self, name: &str, folder: &Path) -> Self {
        self.packages.insert(name.to_owned(), folder.to_owned());
        self
    }

    /// With a variable in the supervisor's environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts the function.
    pub(crate) async fn start(self) -> Function {
        let folder = tempfile::tempdir().unwrap();
        for (name, task) in &self.tasks {
            let directory = folder.path().join(&task.directory);
            std::fs::create_dir_all(&directory).unwrap();
            for file in self.packages.get(name).iter().flat_map(|from| from.read_dir().unwrap()) {
                let file = file.unwrap();
                std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
            }
        }
        let manifest = Manifest { v: MANIFEST_VERSION, root: "a".to_owned(), tasks: self.tasks };
        let text = serde_json::to_string(&manifest).unwrap();
        std::fs::write(folder.path().join("fuseline.json"), text).unwrap();
        let fake = Fake::start(&serde_json::json!({ "remote": true })).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
        function_environment(&mut command, &fake);
        let mut process = command
            .env("LAMBDA_TASK_ROOT", folder.path())
            .env("TMPDIR", folder.path())
            .env("_LAMBDA_TELEMETRY_LOG_FD", "3")
            .envs(self.environment)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
        let (line, lines) = mpsc::unbounded_channel();
        // Read at all times, or a full pipe would hold up the function.
        tokio::spawn(async move {
            while let Ok(Some(text)) = log.next_line().await {
                let _ = line.send(text);
            }
        });
        Function { fake, process, lines, folder }
    }
}

/// What Lambda sets for a function called `a`, and nothing else.
pub(crate) fn function_environment(command: &mut Command, fake: &Fake) {
    let [key, secret, token] = CREDENTIALS;
    command.env_clear().envs([
        ("PATH", "/usr/bin:/bin"),
        ("AWS_LAMBDA_RUNTIME_API", fake.address.to_string().as_str()),
        ("AWS_ENDPOINT_URL_LAMBDA", format!("http://{}", fake.address).as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "a"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/a"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_SESSION_TOKEN", token),
    ]);
}

/// What the platform says about an invocation.
pub(crate) fn event_headers(request_id: &str) -> HeaderMap {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let deadline_ms = (now + Duration::from_secs(300)).as_millis().to_string();
    [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline_ms.as_str()),
        ("lambda-runtime-invoked-function-arn", ARN),
        (
            "lambda-runtime-trace-id",
            format!("Root={TRACE_ROOT};Parent=53995c3f42cd8ad8;Sampled=1").as_str(),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
    .collect()
}

/// A function that runs.
pub(crate) struct Function {
    pub(crate) fake: Fake,
    pub(crate) process: Child,
    lines: mpsc::UnboundedReceiver<String>,
    pub(crate) folder: TempDir,
}

/// An invocation that was answered.
pub(crate) struct Invoked {
    pub(crate) request_id: String,
    pub(crate) posted: Posted,
    /// The answer's body.
    pub(crate) body: Value,
    /// Records of the calls made since the invocation before.
    pub(crate) calls: Vec<CallRecord>,
    /// The log's lines since then that are no records.
    pub(crate) printed: Vec<String>,
    pub(crate) record: InvocationRecord,
}

impl Invoked {
    /// The payload of the `index`th call that the root made.
    pub(crate) fn call(&self, index: usize) -> &Value {
        &self.body["calls"][index]
    }
}

impl Function {
    /// Gives the function an event, and collects its answer and what it recorded.
    pub(crate) async fn invoke(&mut self, event: Value) -> Invoked {
        self.invoke_traced(event, "").await
    }

    /// As [`Function::invoke`], with `more` at the end of the trace header.
    pub(crate) async fn invoke_traced(&mut self, event: Value, more: &str) -> Invoked {
        let request_id = Uuid::new_v4().to_string();
        let mut headers = event_headers(&request_id);
        let trace = headers.get_mut("lambda-runtime-trace-id").unwrap();
        *trace = format!("{}{more}", trace.to_str().unwrap()).parse().unwrap();
        let posted = within(self.fake.invoke(headers, event.to_string().into())).await;
        let (mut calls, mut printed) = (Vec::new(), Vec::new());
        let record = loop {
            let line = self.line().await;
            match Record::parse(&line) {
                Some(Record::Invocation(record)) if record.request == request_id => break record,
                Some(Record::Call(call)) => calls.push(call),
                Some(Record::Invocation(other)) => panic!("a record of no invocation: {other:?}"),
                None => printed.push(line),
            }
        };
        let body = serde_json::from_slice(&posted.body).unwrap_or_default();
        Invoked { request_id, posted, body, calls, printed, record }
    }

    /// The next line of the function's log.
    async fn line(&mut self) -> String {
        within(self.lines.recv()).await.expect("the function's log ended")
    }

    /// Waits until no process of the function is left that could write to its log.
    pub(crate) async fn log_ended(&mut self) {
        let rest = async { while self.lines.recv().await.is_some() {} };
        within(rest).await;
    }

    /// Where the function's code is.
    pub(crate) fn directory(&self, task: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("tasks").join(task)
    }
}

/// The command of a language runtime written in Python, or `None`, said loudly, where there is none.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn python(test: &str, script: &str) -> Option<Vec<String>> {
    const PYTHON: &str = "/usr/bin/python3";
    if std::fs::exists(PYTHON).unwrap_or(false) {
        return Some([PYTHON, "-c", script].map(str::to_owned).to_vec());
    }
    eprintln!("SKIPPED: {test} needs {PYTHON}, which is not here");
    None
}

/// A language runtime whose events list HTTP requests, all of which it sends to the Lambda API at once;
/// its answer lists what came back. For requests that no SDK makes on purpose.
pub(crate) const REQUESTER: &str = r#"import http.client, json, os, threading
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
def send(request, answers, index):
    api = http.client.HTTPConnection(host)
    api.request(request.get("method", "POST"), request["path"], request.get("body", ""), request.get("headers", {}))
    answer = api.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    answers[index] = {"status": answer.status, "headers": headers, "body": answer.read().decode()}
api = http.client.HTTPConnection(host)
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    requests = json.loads(event.read())
    answers = [None] * len(requests)
    threads = [threading.Thread(target=send, args=(r, answers, i)) for i, r in enumerate(requests)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    path = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    api.request("POST", path, json.dumps(answers), {"Content-Type": "application/json"})
    api.getresponse().read()
"#;

/// Waits for something that comes soon or never.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HUNG, what).await.expect("this hangs")
}

/// The function that stands for every user's function.
pub(crate) fn probe() -> PathBuf {
    tests::program("probe")
}
