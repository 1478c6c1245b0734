//! Searches and simulator together.

mod aarc;
mod aarc_simulated;
mod common;
mod fusion;
mod orchestrated;
mod simulator;
mod sizing;
