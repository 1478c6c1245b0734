//! Drives a Lambda endpoint through the AWS SDK, be it AWS or the local backend: bundle, deploy,
//! send load, read the logs, and run the optimizer's searches on what they say.
//!
//! Architecture invariant: this is the only crate that names the SDK. It prints nothing; what
//! happens is told as [`events::RunEvent`]s.

pub mod access;
mod asl;
pub mod assemble;
pub mod bucket;
pub mod bundle;
mod change;
mod changes;
pub mod choice;
pub mod command;
mod condition_text;
pub mod constraints;
pub mod deploy;
pub mod digest;
mod docker;
mod download;
mod ecr;
pub mod endpoint;
pub mod events;
pub mod export;
mod flow_file;
pub mod gate;
pub mod image;
pub mod input_error;
pub mod interpolation;
mod invocation;
mod journal;
pub mod lab;
pub mod load;
pub mod log_reader;
pub mod logs;
pub mod measure;
mod model_section;
pub mod objects;
mod objects_section;
pub mod observe;
pub mod optimize;
mod orchestrate;
pub mod package;
pub mod package_form;
pub mod payload;
pub mod plan;
pub mod platform_file;
mod policy;
pub mod project;
pub mod quantity;
pub mod rates;
mod registry;
pub mod repository;
pub mod rollout;
pub mod runtime_bench;
pub mod simulation;
pub mod status;
pub mod traffic;
pub mod traffic_lab;
pub mod verify;
mod workflow_file;
