//! Searches and simulator together.

mod aarc;
mod common;
mod fusion;
mod orchestrated;
mod simulator;
mod sizing;
