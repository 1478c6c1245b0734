//! Fuseline's pure core: what a workflow is, what an execution was, what it costs, and how to
//! search for a better deployment.
//!
//! Architecture invariant: nothing here does I/O, reads a clock or the environment, is
//! asynchronous or uses a global random number generator. Seeds come in as arguments, and equal
//! inputs give equal bytes.

pub mod aarc;
pub mod brute_force;
pub mod canary;
pub mod comparison;
pub mod confidence;
pub mod critical_path;
pub mod deployment;
pub mod equivalence;
pub mod execution;
pub mod flow;
pub mod fusion;
pub mod gate;
pub mod measurement;
pub mod performance_model;
pub mod platforms;
pub mod pointer;
pub mod price;
pub mod search;
pub mod simulator;
pub mod sizing;
pub mod space;
pub mod statistics;
pub mod units;
pub mod workflow;

mod descent;
mod random;
mod ranking;
mod region;
#[cfg(test)]
mod testing;
mod text;
