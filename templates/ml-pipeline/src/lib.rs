//! Learning to read digits: the logic of three Lambda functions.
//!
//! One module per function ([`pca`], [`train`], and [`examine`] for `test`) holds what the function
//! does; the programs in `src/bin` only connect it to Lambda. [`digits`] writes the digits, since the
//! template comes without files.

pub mod digits;
pub mod examine;
mod forest;
pub mod pca;
mod samples;
mod table;
pub mod train;

/// The workflow's name, which its objects in the store go by.
pub const WORKFLOW: &str = "ml-pipeline";
