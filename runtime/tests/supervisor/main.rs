//! The supervisor's binary in a platform of our own, with functions on `lambda_runtime` and the AWS SDK.

#[path = "../support/mod.rs"]
mod support;

mod failing;
mod faithful;
mod fused;
mod jvm;
mod leaving;
mod lifecycle;
mod passing;
mod recording;
mod requests;
