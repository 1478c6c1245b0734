//! Cancelling a train ticket: the business logic of four Lambda functions and their database.
//!
//! One module per function ([`cancel_order`], [`get_order`], [`save_order`], [`refund`]) holds what
//! the function does; the programs in `src/bin` only connect it to Lambda. `cancel-order` calls the
//! other three through [`cancel_order::Invoke`], which its program implements with the AWS SDK.
//! This library therefore knows neither Lambda nor AWS.

mod account;
pub mod cancel_order;
mod clock;
mod envelope;
mod failure;
pub mod get_order;
mod money;
mod order;
pub mod prepare;
pub mod refund;
mod refund_rules;
pub mod save_order;
pub mod seeds;
pub mod store;

pub use account::{Account, AccountKind};
pub use clock::{DAY_MS, now_ms};
pub use envelope::{Envelope, Outcome};
pub use failure::with_causes;
pub use money::{Money, MoneyError};
pub use order::{Order, OrderStatus, SeatClass};
pub use refund_rules::{is_cancellable, refund_due};
