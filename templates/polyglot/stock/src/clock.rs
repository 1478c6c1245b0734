//! The wall clock, in the unit that reservations use.

use std::time::{SystemTime, UNIX_EPOCH};

/// The current time in milliseconds since 1970-01-01 UTC; 0 on a machine whose clock is before that.
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
