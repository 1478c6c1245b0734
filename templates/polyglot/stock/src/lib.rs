//! The stock of a web shop: what there is to buy, and how much of it is free.
//!
//! [`answer`] holds what the function does and [`store`] its database; the programs only connect
//! them to Lambda and to the command line.

pub mod answer;
pub mod catalogue;
mod clock;
mod failure;
pub mod store;

pub use clock::now_ms;
pub use failure::with_causes;
