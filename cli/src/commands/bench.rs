//! `fuseline bench runtime`: what a call inside an instance takes, by language.

use local_backend::InvokeOverhead;
use optimizer::space::ResourceSpace;
use optimizer::units::{MemoryMb, Resources};
use platform::deploy::Deployer;
use platform::endpoint::Endpoint;
use platform::project::Project;
use platform::runtime_bench::{Pair, RuntimeBench, RuntimeBenchError, Start};
use serde::Serialize;

use crate::arguments::{BackendArguments, BenchRuntimeArguments, Format};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{render, session};

/// Seed of the invoke overhead.
const SEED: u64 = 1;

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
    session::build_here(&calls, &progress).await?;
    starts.check_code()?;
    let resources = ResourceSpace::lambda().resources_for_memory(MemoryMb(arguments.memory));
    let job = Job { arguments, progress: &progress, resources };
    let report = job.run(&calls, &starts).await?;
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
        let each = usize::try_from(self.arguments.calls).unwrap_or(usize::MAX);
        let mut measured = Vec::new();
        for overhead in [InvokeOverhead::default(), InvokeOverhead::None] {
            self.progress.line(&format!("\ncalls, with an invoke overhead of {overhead}"));
            let work = async |bench: &RuntimeBench<'_>| bench.calls(each).await;
            let (_, pairs) = self.on_server(overhead, calls, work).await?;
            measured.push(Calls { invoke_overhead: overhead.to_string(), pairs });
        }
        self.progress.line("\nstarts of groups");
        let rounds = u64::from(self.arguments.starts);
        let work = async |bench: &RuntimeBench<'_>| bench.starts(rounds).await;
        let (sandbox, starts) = self.on_server(InvokeOverhead::None, starts, work).await?;
        Ok(Report { sandbox, resources: self.resources, calls: measured, starts })
    }

    /// Measures something on a server of its own; also says what functions ran in there.
    async fn on_server<T>(
        &self,
        invoke_overhead: InvokeOverhead,
        project: &Project,
        measure: impl AsyncFnOnce(&RuntimeBench<'_>) -> Result<T, RuntimeBenchError>,
    ) -> Result<(String, T), CliError> {
        let backend = BackendArguments {
            sandbox: self.arguments.sandbox,
            invoke_overhead,
            state: self.arguments.state.clone(),
        };
        session::on_own_server(&backend, SEED, self.progress, async |server| {
            let endpoint = Endpoint::at(&server.endpoint()).await;
            let deployer = Deployer::new(&endpoint, project, session::supervisor()?, true);
            let bench = RuntimeBench {
                endpoint: &endpoint,
                project,
                deployer: &deployer,
                resources: self.resources,
                observer: self.progress,
            };
            let measured = measure(&bench).await;
            let measured =
                measured.map_err(|error| CliError::failed("the benchmark stopped", &error))?;
            Ok((server.sandbox().kind.to_string(), measured))
        })
        .await
    }
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
            "SDK alone p50",
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
                ms(pair.sdk.p50_us),
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
