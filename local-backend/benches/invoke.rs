//! What the server itself costs: a warm invoke, and a cold start next to `docker run`.
//!
//! The function is the probe, which answers at once when its event asks for nothing.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local_backend::{
    CLOUDWATCHS_QUERY_ROWS, InvokeOverhead, LAMBDAS_RETRY_DELAYS, Options, SandboxChoice,
    SandboxKind, Server,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

#[path = "../tests/it/probe.rs"]
mod probe;

/// A server with the probe deployed.
struct Bench {
    runtime: Runtime,
    server: Server,
    client: Client<HttpConnector, Full<Bytes>>,
    state: tempfile::TempDir,
}

impl Bench {
    /// None if the sandbox is not to be had here.
    fn start(sandbox: SandboxChoice) -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let state = tempfile::tempdir().unwrap();
        let options = Options {
            port: 0,
            sandbox,
            invoke_overhead: InvokeOverhead::None,
            seed: 1,
            state_directory: state.path().to_owned(),
            idle_expiry: Duration::from_secs(600),
            async_retry_delays: LAMBDAS_RETRY_DELAYS,
            query_rows: CLOUDWATCHS_QUERY_ROWS,
        };
        let server = runtime.block_on(Server::start(options)).ok()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let bench = Self { runtime, server, client, state };
        let zip = STANDARD.encode(probe::zip());
        let variables = json!({ "Variables": { "FUSELINE_VCPU": "1" } });
        let create = json!({
            "FunctionName": "f", "Runtime": "provided.al2023", "Handler": "x", "Role": "r",
            "MemorySize": 512, "Environment": variables, "Code": { "ZipFile": zip },
        });
        bench.send(Method::POST, "", create);
        Some(bench)
    }

    fn send(&self, method: Method, rest: &str, body: Value) -> Bytes {
        let uri = format!("{}/2015-03-31/functions{rest}", self.server.endpoint());
        let request = Request::builder().method(method).uri(uri);
        let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
        self.runtime.block_on(async {
            let response = self.client.request(request).await.unwrap();
            assert!(response.status().is_success(), "{response:?}");
            assert!(!response.headers().contains_key("x-amz-function-error"), "{response:?}");
            response.into_body().collect().await.unwrap().to_bytes()
        })
    }

    fn invoke(&self) -> Bytes {
        self.send(Method::POST, "/f/invocations", json!({}))
    }

    /// Makes the next invoke a cold start.
    fn change(&self, number: u64) {
        let body = json!({ "Description": number.to_string() });
        self.send(Method::PUT, "/f/configuration", body);
    }

    fn end(self) {
        self.runtime.block_on(self.server.shutdown());
    }
}

fn warm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("warm_invoke");
    for sandbox in [SandboxChoice::Process, SandboxChoice::Docker] {
        let Some(bench) = Bench::start(sandbox) else {
            continue;
        };
        bench.invoke();
        group.bench_function(sandbox.to_string(), |bencher| {
            bencher.iter(|| black_box(bench.invoke()));
        });
        bench.end();
    }
}

fn cold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cold_start");
    group.sample_size(20).measurement_time(Duration::from_secs(20));
    for sandbox in [SandboxChoice::Process, SandboxChoice::Docker] {
        let Some(bench) = Bench::start(sandbox) else {
            continue;
        };
        let mut number = 0;
        group.bench_function(sandbox.to_string(), |bencher| {
            bencher.iter(|| {
                number += 1;
                bench.change(number);
                black_box(bench.invoke())
            });
        });
        if bench.server.sandbox().kind == SandboxKind::Docker {
            let server = only_entry(&bench.state.path().join("servers"));
            let code = only_entry(&server.join("code"));
            let name = format!("fuseline-{}", server.file_name().unwrap().display());
            let volume = format!("{}:/var/task:ro", code.display());
            let arguments =
                ["run", "--rm", "--network", &name, "-v", &volume, &name, "/var/task/bootstrap"];
            group.bench_function("docker_run", |bencher| {
                // Without a Runtime API the program ends at once, with an error.
                bencher
                    .iter(|| black_box(Command::new("docker").args(arguments).output().unwrap()));
            });
        }
        bench.end();
    }
}

fn only_entry(directory: &Path) -> std::path::PathBuf {
    fs_err::read_dir(directory).unwrap().next().unwrap().unwrap().path()
}

criterion_group!(benches, warm, cold);
criterion_main!(benches);
