//! The server as its clients see it: over plain HTTP, in every sandbox this machine has.

mod api;
mod cleaning;
mod failures;
mod invocations;
mod limits;
mod logs;
mod managed;
mod probe;
mod support;
mod versions;
