//! The command line: commands, their options, and the help that teaches them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use local_backend::{CLOUDWATCHS_QUERY_ROWS, InvokeOverhead, SandboxChoice};
use optimizer::pointer::Pattern;
use platform::bucket::Bucket;
use platform::export::Form;
use platform::image::ImageSettings;
use platform::quantity::DurationUs;
use platform::repository::Repository;

/// Makes serverless workflows cheaper and faster without touching their code.
///
/// Fuseline fuses functions that wait for each other into one deployment and gives each function
/// the memory and vCPU that keep the latency objective at the lowest cost. Every decision is
/// measured. Start with:
///
///   fuseline optimize templates/trainticket/cancel-order.yaml
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a workflow file and show what it says
    Validate(ValidateArguments),
    /// Build the workflow's functions, deploy them and let the alias `live` call them
    Deploy(DeployArguments),
    /// Write what AWS would be sent: zips, layers, and folders that images are built from
    ///
    /// Nothing is deployed. A function with tasks of several managed runtimes becomes the build context of a
    /// container image; docs/IMAGES.md says what its base image has to hold.
    Bundle(BundleArguments),
    /// Send one request to the deployed workflow and print its answer
    Invoke(InvokeArguments),
    /// Send load to the deployed workflow and print what it cost and how long it took
    ///
    /// With --platform sim nothing has to be deployed: the tasks' models say how long they take.
    Load(LoadArguments),
    /// Find the cheapest deployment that keeps the latency objective
    ///
    /// Functions that call each other: deploys the workflow unfused, tries fusions (thesis, Algorithm
    /// 3.1), then memory sizes (Algorithm 3.2). Workflows with `steps` or a state machine: gives every
    /// function much, then takes vCPU and memory away where that saves most (Algorithms 4.1 and 4.2).
    /// Then it compares the best deployment with the first in interleaved runs. On the local platform it
    /// starts a server of its own and removes everything afterwards. Exit code 1 if no size keeps the
    /// latency objective.
    Optimize(OptimizeArguments),
    /// Check that a fused deployment answers like the unfused one
    ///
    /// Sends the same requests to both and compares status, function error, payload and the calls
    /// made; what differs between two unfused runs is left out, and listed. Exit code 1 if there is
    /// a difference. On the local platform it starts a server of its own and removes everything
    /// afterwards. docs/VERIFY.md says more.
    Verify(VerifyArguments),
    /// Show which functions of the workflow are deployed and how
    Status(TargetArguments),
    /// Remove every function of the workflow; functions that were taken over get their original code and
    /// configuration back
    Destroy(TargetArguments),
    /// Write what a rollout would change and why to a file
    ///
    /// Nothing is changed. The file is written once and has a fingerprint; `fuseline apply` rolls out exactly what
    /// is in it, or refuses if something has changed since. docs/ROLLOUT.md says more.
    Plan(PlanArguments),
    /// Roll a plan out: a part of production's calls first, more while nothing is worse, else none again
    ///
    /// At every step the logs of both deployments are compared by a test that may be looked at at any time: cost,
    /// p95, p99, failures and the latency objective. Interrupted, it can be gone on with or undone. Exit code 1 if
    /// production calls what it called before.
    Apply(ApplyArguments),
    /// Write a plan for what manages the functions: a patch of a SAM or CloudFormation template, or Terraform values
    ///
    /// Nothing is changed. The folder gets the packages, too. Functions of a stack are recognised by their tags when
    /// the plan is made.
    Export(ExportArguments),
    /// Undo the latest `deploy` or `apply` on AWS, finished or interrupted: production calls what it called before
    ///
    /// Run again, it undoes the one before that. docs/AWS.md says more.
    Rollback(TargetArguments),
    /// Measure what Fuseline itself costs on this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Make managed runtimes ready for functions on this machine, such as python3.12 and nodejs20.x
    ///
    /// Commands that deploy do it by themselves; this is for images and for machines that will be offline.
    Prepare(PrepareArguments),
    /// Run a Lambda-compatible server on this machine until Ctrl-C
    ///
    /// Speaks the Lambda and CloudWatch Logs APIs on 127.0.0.1. Functions run in Docker containers,
    /// or in processes where no Docker engine answers, with vCPU and memory limits and real cold
    /// starts. Any client works: aws --endpoint-url http://127.0.0.1:9400 lambda list-functions
    Local(LocalArguments),
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Platform {
    /// The local backend on this machine
    #[default]
    Local,
    /// AWS Lambda, or with --endpoint what stands for it
    Aws,
    /// The simulator, by the `model` of every task; only `optimize` and `load` run on it
    Sim,
}

/// Searches that `optimize` runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum StrategyName {
    /// Fusion, then memory (thesis, Algorithms 3.1 and 3.2); for functions that call each other
    Nested,
    /// vCPU and memory of every function (Algorithms 4.1 and 4.2); for `steps` and state machines
    Aarc,
}

/// The workflow and where it runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct TargetArguments {
    /// Workflow file
    #[arg(default_value = "fuseline.yaml")]
    pub(crate) file: PathBuf,
    /// Where functions run
    #[arg(long, value_enum, default_value_t)]
    pub(crate) platform: Platform,
    /// Address of a running Lambda endpoint [default: http://127.0.0.1:9400, where `fuseline local`
    /// listens; `optimize` starts a server of its own; on aws AWS itself]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// AWS region [default: as every AWS tool finds it]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Profile of the AWS configuration files [default: as every AWS tool finds it]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// On AWS: bucket of S3 in the functions' region, for packages above 50 MB; PREFIX/fuseline/ in it is ours
    #[arg(long, value_name = "NAME[/PREFIX]")]
    pub(crate) bucket: Option<Bucket>,
    /// On AWS: repository of ECR for functions that have to be container images, because they hold tasks of several
    /// managed runtimes; docs/IMAGES.md says more
    #[arg(long, value_name = "REPOSITORY", requires = "base_image")]
    pub(crate) repository: Option<Repository>,
    /// With --repository: image with the runtimes, which those are built on
    #[arg(long, value_name = "IMAGE", requires = "repository", value_parser = image_name)]
    pub(crate) base_image: Option<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

impl TargetArguments {
    /// How functions become container images.
    pub(crate) fn images(&self) -> Option<ImageSettings> {
        let (repository, base) = (self.repository.clone()?, self.base_image.clone()?);
        Some(ImageSettings { repository, base })
    }

    /// Whether functions run on the local backend, which can share folders of this machine with
    /// them.
    pub(crate) fn endpoint_is_local(&self) -> bool {
        match self.platform {
            Platform::Local | Platform::Sim => true,
            Platform::Aws => false,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ValidateArguments {
    /// Workflow file
    #[arg(default_value = "fuseline.yaml")]
    pub(crate) file: PathBuf,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct DeployArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) wanted: WantedArguments,
    /// Let the functions write the payloads of requests and calls to their logs, for `fuseline
    /// verify --recorded`. Off by default: payloads are private, and whoever may read the logs may
    /// read them
    #[arg(long)]
    pub(crate) record_payloads: bool,
    /// On AWS: take over functions that exist and were not made by Fuseline. Their role, network, layers, variables
    /// and triggers stay; `destroy` gives them back as they were
    #[arg(long)]
    pub(crate) adopt: bool,
    /// With --adopt: even functions that a CloudFormation, SAM, CDK or Terraform stack manages
    #[arg(long, requires = "adopt")]
    pub(crate) force: bool,
    /// On AWS: print the calls that would be made, and make none that changes anything
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A deployment by hand.
#[derive(Args, Debug)]
pub(crate) struct WantedArguments {
    /// Fusion to deploy, such as `(a,b)-(c)`: a with b inlined, and c [default: every task by itself]
    #[arg(long, value_name = "GROUPS")]
    pub(crate) setup: Option<String>,
    /// Memory of a function, such as `a=1024`; may be given several times
    #[arg(long, value_name = "TASK=MB")]
    pub(crate) memory: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// What `fuseline optimize --format json` printed: the deployment that it recommends, why, and what it measured
    #[arg(long, value_name = "FILE", conflicts_with_all = ["setup", "memory"])]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wanted: WantedArguments,
    /// File to write the plan to: a new one
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    pub(crate) output: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Plan to roll out
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    pub(crate) plan: PathBuf,
    /// Shares of production's calls in per cent, ascending; the last one is 100
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', default_values_t = [5.0, 25.0, 100.0], value_parser = percent)]
    pub(crate) steps: Vec<f64>,
    /// Warm executions of the new deployment that each step waits for; with 0 nothing is waited for or tested
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub(crate) step_executions: u64,
    /// By how much an execution may cost more than now, beyond what the plan foresees
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub(crate) cost_tolerance: f64,
    /// By how much p95 and p99 may be longer than now, beyond what the plan foresees
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    pub(crate) latency_tolerance: f64,
    /// How many more executions may fail
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(crate) failure_tolerance: f64,
    /// Probability of rejecting a deployment that keeps to all that, at any time of the rollout
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub(crate) alpha: f64,
    /// Roll back if it takes longer than this
    #[arg(long, value_name = "MINUTES", default_value_t = 120.0, value_parser = positive)]
    pub(crate) max_minutes: f64,
    /// Send so many requests per second, made from the file's `payloads`, where production sends too few
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) send: Option<f64>,
    /// Seed of the payloads and times
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Change functions although a CloudFormation, SAM, CDK or Terraform stack manages them, or although callers of a
    /// function that was taken over name no version and get the new deployment at once
    #[arg(long)]
    pub(crate) force: bool,
    /// Print the calls that would be made, and make none that changes anything
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What a plan is written for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ExportForm {
    /// A patch of a SAM template
    Sam,
    /// A patch of a CloudFormation template
    Cloudformation,
    /// Values for Terraform or OpenTofu
    Terraform,
    /// Plain JSON
    Json,
}

impl From<ExportForm> for Form {
    fn from(form: ExportForm) -> Self {
        match form {
            ExportForm::Sam => Self::Sam,
            ExportForm::Cloudformation => Self::CloudFormation,
            ExportForm::Terraform => Self::Terraform,
            ExportForm::Json => Self::Json,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ExportArguments {
    /// Workflow file
    #[arg(default_value = "fuseline.yaml")]
    pub(crate) file: PathBuf,
    /// Plan to write
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    pub(crate) plan: PathBuf,
    /// What for
    #[arg(long, value_enum)]
    pub(crate) format: ExportForm,
    /// Folder to write to: a new or an empty one
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct BundleArguments {
    /// Workflow file
    #[arg(default_value = "fuseline.yaml")]
    pub(crate) file: PathBuf,
    /// Fusion to write, such as `(a,b)-(c)` [default: every task by itself]
    #[arg(long, value_name = "GROUPS")]
    pub(crate) setup: Option<String>,
    /// Folder to write to: a new or an empty one
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct PrepareArguments {
    /// Lambda's names of the runtimes
    #[arg(required = true)]
    pub(crate) runtimes: Vec<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct InvokeArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// JSON to send [default: one made from the file's `payloads`]
    #[arg(long, value_name = "JSON")]
    pub(crate) payload: Option<String>,
    /// Seed of the payload
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Requests to send
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) requests: u64,
    /// Closed loop: so many requests at a time
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) concurrency: u16,
    /// Open loop: so many requests per second, at random times
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Seed of payloads and times
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// With --platform sim: delay added to every invoke, median and 95th percentile, or `none`
    /// [default: 15ms,40ms]
    #[arg(long, value_name = "MEDIAN,P95")]
    pub(crate) invoke_overhead: Option<InvokeOverhead>,
}

#[derive(Args, Debug)]
pub(crate) struct OptimizeArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) backend: BackendArguments,
    /// Which searches are run [default: aarc for workflows with `steps` or a state machine, otherwise
    /// nested]
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<StrategyName>,
    /// Warm executions of each trial [default: 40; with aarc 3, on the simulator
    /// 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) executions: Option<u32>,
    /// Warm executions of each deployment in the final comparison [default: 100; with aarc 20,
    /// on the simulator 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) comparison: Option<u32>,
    /// Resources to choose from: lambda, lambda-managed-instances, cloud-run, function-compute, fargate,
    /// decoupled (the thesis's), or a file as in docs/PLATFORMS.md [default: that of the prices, else
    /// lambda]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) space: Option<String>,
    /// What executions cost: lambda-x86, lambda-arm64, thesis and so on (docs/PLATFORMS.md), or a file
    /// [default: those of the space, for the architecture of the entry]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) prices: Option<String>,
    /// Memory sizes to try, smallest, largest and step in MB [default: 128:1024:128 on lambda, else all
    /// that the space offers, 128 MB apart]
    #[arg(long, value_name = "MIN:MAX:STEP", value_parser = memory_range)]
    pub(crate) memory: Option<MemoryRange>,
    /// Requests of each payload template with which the best fusion is verified before it can be
    /// recommended; 0 for none
    #[arg(long, value_name = "REQUESTS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) verify: u32,
    /// Field that may differ when it is verified, as in `fuseline verify`; may be given several times
    #[arg(long, value_name = "POINTER")]
    pub(crate) ignore: Vec<Pattern>,
    /// Latency objective, such as 500ms, instead of the file's `slo`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) slo: Option<Duration>,
    /// Stop searching before more executions than this are made; the final comparison is among them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_executions: Option<u64>,
    /// Stop searching before executions cost more than this
    #[arg(long, value_name = "USD", value_parser = positive)]
    pub(crate) max_usd: Option<f64>,
    /// Stop searching before it takes longer than this
    #[arg(long, value_name = "MINUTES", value_parser = positive)]
    pub(crate) max_minutes: Option<f64>,
    /// On AWS: measure on what production sends instead of sending requests. Each trial gets a share of production's
    /// calls, and none any more as soon as it is shown to fail or to miss the latency objective. Nothing is verified
    #[arg(long)]
    pub(crate) from_traffic: bool,
    /// With --from-traffic: share of production's calls that a trial gets
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, requires = "from_traffic")]
    pub(crate) traffic_share: f64,
    /// Do not ask before money is spent
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seed of payloads, orders and intervals
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Calls between functions in Rust, Python and Node, fused and not, and how long groups start
    ///
    /// Deploys the functions of templates/runtime-bench to local servers of its own: one with the
    /// default delay of a remote invoke, one without any. Times are the functions' own, around the
    /// call of the ordinary SDK.
    Runtime(BenchRuntimeArguments),
}

#[derive(Args, Debug)]
pub(crate) struct BenchRuntimeArguments {
    /// Folder of the benchmark's workflow files
    #[arg(long, value_name = "FOLDER", default_value = "templates/runtime-bench")]
    pub(crate) folder: PathBuf,
    /// What functions run in: auto, docker or process
    #[arg(long, value_name = "SANDBOX", default_value_t)]
    pub(crate) sandbox: SandboxChoice,
    /// Where code and locks of local servers are kept
    #[arg(long, value_name = "DIRECTORY", env = "FUSELINE_STATE", default_value_os_t = state_directory())]
    pub(crate) state: PathBuf,
    /// Memory of every function in MB, which gives it a vCPU per 1769 MB
    #[arg(long, default_value_t = 1769, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    pub(crate) memory: u32,
    /// Calls of each kind between each pair of languages, rounded up to hundreds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) calls: u32,
    /// Starts of each group
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) starts: u32,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) backend: BackendArguments,
    /// Fusion to verify, such as `(a,b)-(c)` [default: everything fused that is waited for]
    #[arg(long, value_name = "GROUPS")]
    pub(crate) deployment: Option<String>,
    /// Requests made from each of the file's `payloads` [default: 5]; with --recorded, the latest so
    /// many [default: 100]
    #[arg(long, value_name = "N", conflicts_with = "payloads", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) requests: Option<u32>,
    /// File with a line of JSON for each payload, sent as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) payloads: Option<PathBuf>,
    /// Send payloads again that the deployed workflow recorded, as they are; deploy it with
    /// --record-payloads
    #[arg(long, conflicts_with = "payloads")]
    pub(crate) recorded: bool,
    /// Field that may differ, with all below it: a JSON pointer that starts with /status, /error,
    /// /payload or /calls, `*` standing for any one step; may be given several times
    #[arg(long, value_name = "POINTER")]
    pub(crate) ignore: Vec<Pattern>,
    /// Compare the payloads of calls and not only their sizes at an endpoint, too, where they are
    /// written to the functions' logs for that; a server of its own always does
    #[arg(long)]
    pub(crate) record_payloads: bool,
    /// Seed of payloads
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// How a local server is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct BackendArguments {
    /// What functions run in: auto, docker or process
    #[arg(long, value_name = "SANDBOX", default_value_t)]
    pub(crate) sandbox: SandboxChoice,
    /// Delay added to every remote invoke, as on a cloud: median and 95th percentile, or `none`
    #[arg(long, value_name = "MEDIAN,P95", default_value_t)]
    pub(crate) invoke_overhead: InvokeOverhead,
    /// Where code and locks of local servers are kept
    #[arg(long, value_name = "DIRECTORY", env = "FUSELINE_STATE", default_value_os_t = state_directory())]
    pub(crate) state: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct LocalArguments {
    #[command(flatten)]
    pub(crate) backend: BackendArguments,
    /// Port on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Remove instances that served nothing for this long
    #[arg(long, value_name = "TIME", default_value = "5min", value_parser = duration)]
    pub(crate) idle_expiry: Duration,
    /// Waits before the two retries of an asynchronous invocation that ended in a function error
    #[arg(long, value_name = "FIRST,SECOND", default_value = "1min,2min", value_parser = retry_delays)]
    pub(crate) async_retry_delays: RetryDelays,
    /// Rows that a query of Logs Insights gives at most
    #[arg(long, value_name = "ROWS", default_value_t = CLOUDWATCHS_QUERY_ROWS, hide = true)]
    pub(crate) query_rows: usize,
    /// Seed of the invoke overhead and of the choices of weighted aliases
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How the endpoint is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Port of `fuseline local`.
pub(crate) const DEFAULT_PORT: u16 = 9400;

/// Memory sizes to try, in MB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MemoryRange {
    pub(crate) smallest_mb: u32,
    pub(crate) largest_mb: u32,
    pub(crate) step_mb: u32,
}

fn memory_range(text: &str) -> Result<MemoryRange, String> {
    let parts: Vec<u32> = text.split(':').map_while(|part| part.parse().ok()).collect();
    match parts.as_slice() {
        &[smallest_mb, largest_mb, step_mb]
            if step_mb > 0
                && smallest_mb < largest_mb
                && (largest_mb - smallest_mb).is_multiple_of(step_mb) =>
        {
            Ok(MemoryRange { smallest_mb, largest_mb, step_mb })
        }
        _ => {
            Err("write smallest, largest and step in MB, the step leading from one to the other: \
                  128:1024:128"
                .into())
        }
    }
}

fn duration(text: &str) -> Result<Duration, platform::quantity::QuantityError> {
    text.parse().map(|DurationUs(us)| Duration::from_micros(us))
}

/// Waits before the first and second retry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RetryDelays(pub(crate) [Duration; 2]);

fn retry_delays(text: &str) -> Result<RetryDelays, String> {
    let (first, second) = text.split_once(',').ok_or("write two durations, such as 1min,2min")?;
    let duration = |text: &str| duration(text.trim()).map_err(|error| error.to_string());
    Ok(RetryDelays([duration(first)?, duration(second)?]))
}

/// A name that is no option of Docker's.
fn image_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    match text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => {
            Err("write it as Docker does, such as fuseline-runtimes or registry/name:tag".into())
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("requests per second, from 0.001 to 10000".into()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("per cent, above 0 and up to 100".into()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("write a number above 0".into()),
    }
}

/// Where journals of changes on AWS are kept: `aws` in `$FUSELINE_STATE` or else in the usual state directory.
pub(crate) fn journals() -> PathBuf {
    let state = std::env::var_os("FUSELINE_STATE").map(PathBuf::from);
    state.unwrap_or_else(state_directory).join("aws")
}

/// `$XDG_STATE_HOME/fuseline`, else `~/.local/state/fuseline`, else a folder for temporary files.
fn state_directory() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("fuseline")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn retry_delays_are_two_durations() {
        let [first, second] = retry_delays("1min,2min").unwrap().0;
        assert_eq!((first, second), (Duration::from_secs(60), Duration::from_secs(120)));
        for text in ["", "1min", "1,2", "1min,2min,3min"] {
            assert!(retry_delays(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_ranges_are_checked() {
        let range = MemoryRange { smallest_mb: 128, largest_mb: 1024, step_mb: 128 };
        assert_eq!(memory_range("128:1024:128"), Ok(range));
        for text in ["", "128:1024", "128:1024:100", "1024:128:64", "a:b:c", "1:2:0"] {
            assert!(memory_range(text).is_err(), "{text}");
        }
    }
}
