//! What the simulator promises: small cases worked out by hand, invariants of any, and recorded data.

mod by_hand;
mod common;
mod orchestrated;
mod properties;
mod recorded;
