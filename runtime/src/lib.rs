//! The supervisor that runs inside a function, as its `bootstrap`.
//!
//! It starts every task of the bundle as a child with its own, unmodified language runtime, and
//! stands between each child and Lambda: one loopback port per child process serves that child's
//! Runtime API and receives its ordinary `Invoke` calls. A call to a task of the same bundle is
//! served inside the instance; every other call leaves for the real function.
//!
//! * [`Settings`]: what the supervisor is told by its environment and by the bundle's manifest;
//! * [`supervise`]: serves the function until it is stopped or cannot go on;
//! * [`launch`]: what the same executable does between `fork` and `exec` of a child.
//!
//! Everything runs on one thread: the kernel ends a child when the *thread* that started it ends,
//! and calls spend their time in the children, not here.

mod api_request;
mod attempts;
mod call;
mod call_log;
mod clock;
mod exit;
mod forward;
mod instance;
mod invocation;
mod invoke;
mod journal;
mod launch;
mod lineage;
mod message;
mod output;
mod pool;
mod reaper;
mod runtime_api;
mod server;
mod settings;
mod supervisor;
mod task;
mod trace;
mod upstream;

pub use launch::{LAUNCH_ARGUMENT, LaunchError, launch};
pub use settings::{Settings, SettingsError};
pub use supervisor::{SupervisorError, supervise};
