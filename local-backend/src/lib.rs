//! A Lambda-compatible server on one machine.
//!
//! It speaks Lambda's REST API and the part of CloudWatch Logs that reads logs, so that whatever
//! drives AWS drives it too, and runs functions in containers or processes whose vCPU and memory
//! are set independently: vCPU by the function's environment variable `FUSELINE_VCPU`, without it
//! memory/1769 as on Lambda. Every instance serves one invocation at a time, starts cold, is used
//! again while it is warm (most recently used first), and is removed after a time without work.
//!
//! ```text
//! api ─► asynchronous ─► backend ─► pool ─► instance ─┬─► runtime_api   what the runtime talks to
//!  │      retries,       │  │                         ├─► sandbox       container or process
//!  │      destinations   │  └─► concurrency, overhead └─► logs          START, output, END, REPORT
//!  └─► logs              └─► registry: functions, versions, aliases
//! ```
//!
//! What differs from Lambda, beyond what is not offered:
//! * signatures and permissions are not checked;
//! * every invoke is delayed by [`InvokeOverhead`] before it is dispatched, because calls on one
//!   machine are 10 to 60 times faster than on AWS;
//! * an asynchronous invocation that is throttled asks again every few seconds, not every few
//!   minutes, and the gaps between retries after function errors can be set;
//! * at most 128 invocations run at once, not 1,000;
//! * a change that is done within a second is answered as done, not as pending or in progress;
//! * memory figures come from the sandbox's control group and so include the page cache;
//! * functions and logs are in memory and end with the server;
//! * in the process sandbox a function has one more environment variable, `FUSELINE_SERVER`, by
//!   which its processes are found when their server was killed.

mod api;
mod asynchronous;
mod backend;
mod bundle;
mod concurrency;
mod error;
mod failure;
mod function;
mod instance;
mod layers;
mod logs;
mod options;
mod overhead;
mod pool;
mod preparation;
mod registry;
mod retries;
mod routing;
mod runtime_api;
mod runtimes;
mod sandbox;
mod server;
mod state;

pub use error::StartError;
pub use options::{
    CLOUDWATCHS_QUERY_ROWS, LAMBDAS_RETRY_DELAYS, Options, SandboxChoice, SandboxChoiceError,
    SandboxKind, SandboxReport,
};
pub use overhead::{InvokeOverhead, InvokeOverheadError};
pub use runtimes::{PreparedRuntime, RuntimeError, prepare_runtimes};
pub use server::Server;
