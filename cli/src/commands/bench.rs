//! `fuseline bench runtime`: what a call inside an instance takes, by language.

use local_backend::{InvokeOverhead, Server};
use optimizer::space::ResourceSpace;
use optimizer::units::{MemoryMb, Resources};
use platform::deploy::Deployer;
use platform::endpoint::Endpoint;
use platform::project::Project;
use platform::runtime_bench::{self, Pair, RuntimeBenchError, Start};
use serde::Serialize;

use crate::arguments::{BackendArguments, BenchRuntimeArguments, Format};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// What was measured.
#[derive(Serialize)]
struct Report {
    sandbox: String,
    resources: Resources,
    /// By the delay of a remote invoke.
    calls: Vec<Calls>,
    starts: Vec<Start>,
}

#[derive(Serialize)]
struct Calls {
    invoke_overhead: String,
    pairs: Vec<Pair>,
}

pub(crate) async fn run(arguments: &BenchRuntimeArguments) -> Result<(), CliError> {
    let calls = session::load(&arguments.folder.join("calls.yaml"))?;
    let starts = session::load(&arguments.folder.join("starts.yaml"))?;
    let progress = Progress::new();
    session::build(&calls, &progress).await?;
    starts.check_code()?;
    let interrupted = session::interrupted();
    let resources = ResourceSpace::lambda().resources_for_memory(MemoryMb(arguments.memory));
    let job = Job { arguments, progress: &progress, resources };
    let report = tokio::select! {
        report = job.run(&calls, &starts) => report?,
        () = interrupted => {
            return Err(CliError::Interrupted {
                message: "what is left of its servers is removed at the next start of one".into(),
            });
        }
    };
    match arguments.format {
        Format::Json => render::json(&report),
        Format::Text => render::result(&text(&report)),
    }
}

struct Job<'a> {
    arguments: &'a BenchRuntimeArguments,
    progress: &'a Progress,
    resources: Resources,
}

impl Job<'_> {
    async fn run(&self, calls: &Project, starts: &Project) -> Result<Report, CliError> {
        let mut measured = Vec::new();
        for overhead in [InvokeOverhead::default(), InvokeOverhead::None] {
            self.progress.line(&format!("\ncalls, with an invoke overhead of {overhead}"));
            let server = self.server(overhead).await?;
            let pairs = self.calls(&server, calls).await;
            server.shutdown().await;
            measured.push(Calls { invoke_overhead: overhead.to_string(), pairs: pairs? });
        }
        self.progress.line("\nstarts of groups");
        let server = self.server(InvokeOverhead::None).await?;
        let sandbox = server.sandbox().kind.to_string();
        let started = self.starts(&server, starts).await;
        server.shutdown().await;
        Ok(Report { sandbox, resources: self.resources, calls: measured, starts: started? })
    }

    async fn server(&self, invoke_overhead: InvokeOverhead) -> Result<Server, CliError> {
        let backend = BackendArguments {
            sandbox: self.arguments.sandbox,
            invoke_overhead,
            state: self.arguments.state.clone(),
        };
        session::start_own_server(&backend, 1).await
    }

    async fn calls(&self, server: &Server, project: &Project) -> Result<Vec<Pair>, CliError> {
        let endpoint = Endpoint::at(&server.endpoint()).await;
        let deployer = Deployer::new(&endpoint, project, session::supervisor()?, true);
        let each = usize::try_from(self.arguments.calls).unwrap_or(usize::MAX);
        runtime_bench::calls(&endpoint, project, &deployer, self.resources, each, self.progress)
            .await
            .map_err(stopped)
    }

    async fn starts(&self, server: &Server, project: &Project) -> Result<Vec<Start>, CliError> {
        let endpoint = Endpoint::at(&server.endpoint()).await;
        let deployer = Deployer::new(&endpoint, project, session::supervisor()?, true);
        let rounds = u64::from(self.arguments.starts);
        runtime_bench::starts(&endpoint, project, &deployer, self.resources, rounds, self.progress)
            .await
            .map_err(stopped)
    }
}

fn stopped(error: RuntimeBenchError) -> CliError {
    CliError::failed("the benchmark stopped", &error)
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "\ncalls of 1 KB there and back, in milliseconds (sandbox {}, {} each)\n",
        report.sandbox, report.resources
    );
    for calls in &report.calls {
        text.push_str(&format!("\ninvoke overhead {}\n", calls.invoke_overhead));
        let mut table = render::table(&[
            "from → to",
            "in process p50",
            "fused p50",
            "p99",
            "other function p50",
            "p99",
            "times",
            "invoked directly p50",
        ]);
        for pair in &calls.pairs {
            let ms = |us: f64| format!("{:.3}", us / 1000.0);
            table.add_row([
                format!("{} → {}", pair.caller, pair.callee),
                ms(pair.in_process.p50_us),
                ms(pair.fused.p50_us),
                ms(pair.fused.p99_us),
                ms(pair.remote.p50_us),
                ms(pair.remote.p99_us),
                format!("{:.1}", pair.remote.p50_us / pair.fused.p50_us),
                ms(pair.direct.p50_us),
            ]);
        }
        text.push_str(&format!("{table}\n"));
    }
    text.push_str("\nstart of a group, all tasks at once: init duration in milliseconds\n");
    let mut table = render::table(&["language", "tasks", "median", "shortest", "longest"]);
    for start in &report.starts {
        table.add_row([
            start.language.to_owned(),
            start.tasks.to_string(),
            format!("{:.0}", start.init_ms),
            format!("{:.0}", start.range_ms.0),
            format!("{:.0}", start.range_ms.1),
        ]);
    }
    text.push_str(&table.to_string());
    text
}
