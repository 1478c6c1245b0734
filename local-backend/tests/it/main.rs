//! The server as its clients see it: over plain HTTP, in every sandbox this machine has.

mod api;
mod asynchronous;
mod cleaning;
mod concurrency;
mod failures;
mod invocations;
mod layers;
mod limits;
mod logs;
mod managed;
mod probe;
mod resize;
mod support;
mod versions;
