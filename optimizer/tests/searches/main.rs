//! Searches and simulator together.

mod common;
mod fusion;
mod simulator;
mod sizing;
