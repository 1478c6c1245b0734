//! Wall-clock time as the Runtime API and the call records count it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    now_us() / 1000
}

/// Longest that anything is waited for: a function may run for 15 minutes at most.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// The timer's instant for a wall-clock time in milliseconds; a time that has passed is now.
pub(crate) fn instant_at(time_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(time_ms.saturating_sub(now_ms())).min(MAX_WAIT)
}
