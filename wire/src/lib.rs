//! What Fuseline's processes say to each other, and nothing else: the formats that cross a process
//! boundary, so that the supervisor, the local backend and the driver cannot disagree about them.
//!
//! * [`record`]: the JSON lines the supervisor prints for calls and invocations;
//! * [`payload`]: payloads in those lines, where the user asked for them;
//! * [`report`]: Lambda's `REPORT` log line, written by the local backend and read by the driver;
//! * [`start`]: Lambda's `START` log line, which says which version serves an invocation;
//! * [`log`]: all others of them in the pages that a log is read in;
//! * [`text`]: strings borrowed from those pages;
//! * [`manifest`]: what is in a bundle, written by the driver and read by the supervisor;
//! * [`function_name`]: the forms in which a Lambda function can be named.

pub mod function_name;
pub mod log;
pub mod manifest;
pub mod payload;
pub mod record;
pub mod report;
pub mod start;
pub mod text;
