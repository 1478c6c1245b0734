//! What the functions of `templates/chatbot`, `templates/ml-pipeline` and `templates/video-analysis`
//! have in common.
//!
//! [`Store`] keeps what steps hand to later steps and is too large for an event. [`parallel`] uses the
//! vCPUs a function has. [`Matrix`] and [`random`] are what all of them compute with.

mod failure;
mod matrix;
pub mod parallel;
pub mod random;
mod store;

pub use failure::{Failure, with_causes};
pub use matrix::Matrix;
pub use store::{Folder, STORE_VARIABLE, Store};
