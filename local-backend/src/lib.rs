//! A Lambda-compatible server on one machine.
//!
//! It speaks Lambda's REST API and the part of CloudWatch Logs that reads logs, so that whatever
//! drives AWS drives it too, and runs functions in containers or processes whose vCPU and memory
//! are set independently: vCPU by the function's environment variable `FUSELINE_VCPU`, without it
//! memory/1769 as on Lambda. Every instance serves one invocation at a time, starts cold, is used
//! again while it is warm (most recently used first), and is removed after a time without work.
//!
//! ```text
//! api ─► backend ─► pool ─► instance ─┬─► runtime_api   what the function's runtime talks to
//!  │        │                         ├─► sandbox       container or process, limits, figures
//!  │        └─► registry, overhead    └─► logs          START, output, END, REPORT
//!  └─► logs
//! ```
//!
//! What differs from Lambda, beyond what is not offered:
//! * signatures and permissions are not checked;
//! * every invoke is delayed by [`InvokeOverhead`] before it is dispatched, because calls on one
//!   machine are 10 to 60 times faster than on AWS;
//! * retries of asynchronous invocations wait half a second and one second, not minutes;
//! * memory figures come from the sandbox's control group and so include the page cache;
//! * functions and logs are in memory and end with the server;
//! * in the process sandbox a function has one more environment variable, `FUSELINE_SERVER`, by
//!   which its processes are found when their server was killed.

mod api;
mod backend;
mod bundle;
mod error;
mod failure;
mod function;
mod instance;
mod logs;
mod options;
mod overhead;
mod pool;
mod registry;
mod runtime_api;
mod runtimes;
mod sandbox;
mod server;
mod state;

pub use error::StartError;
pub use options::{Options, SandboxChoice, SandboxChoiceError, SandboxKind, SandboxReport};
pub use overhead::{InvokeOverhead, InvokeOverheadError};
pub use runtimes::{PreparedRuntime, RuntimeError, prepare_runtimes};
pub use server::Server;
