//! The server as its clients see it: over plain HTTP, in every sandbox this machine has.

mod api;
mod asynchronous;
mod cleaning;
mod concurrency;
mod failures;
mod invocations;
mod limits;
mod logs;
mod probe;
mod support;
mod versions;
