//! The orchestrator: what it does in which order, and that the order of answers does not matter.

mod driver;
mod states;
mod steps;
