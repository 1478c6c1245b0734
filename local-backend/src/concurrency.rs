//! How many invocations run at once, and which one is too many: reserved concurrency and the
//! account's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::ApiError;
use crate::pool::MAX_INSTANCES;

/// Invocations of a server at once at most; Lambda's default is 1,000 per account and region.
pub(crate) const ACCOUNT_LIMIT: u32 = MAX_INSTANCES as u32;
/// What reservations must leave for functions without one. Lambda's is 100 of 1,000.
const MIN_UNRESERVED: u32 = ACCOUNT_LIMIT / 10;

/// How many invocations of a function may run at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit {
    /// Its own reservation.
    Reserved(u32),
    /// What reservations leave, for all functions without one together.
    Shared(u32),
}

impl Limit {
    /// The limit of a function, by its reservation and the sum of all.
    pub(crate) fn new(reserved: Option<u32>, sum_reserved: u32) -> Self {
        let shared = ACCOUNT_LIMIT.saturating_sub(sum_reserved);
        reserved.map_or(Self::Shared(shared), Self::Reserved)
    }
}

/// Checks a reservation beside those of the other functions.
pub(crate) fn check_reservation(reserved: u32, others: u32) -> Result<(), ApiError> {
    if others.saturating_add(reserved) > ACCOUNT_LIMIT - MIN_UNRESERVED {
        return Err(ApiError::invalid_parameter(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{MIN_UNRESERVED}]; this server has {ACCOUNT_LIMIT} in all, {others} of them reserved by other functions."
        )));
    }
    Ok(())
}

/// The invocations that run.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_function: HashMap<String, u32>,
    shared: u32,
}

/// The place of one invocation, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    running: Arc<Running>,
    function: String,
    is_shared: bool,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no holder of the counts panics")
    }

    /// A place for one more invocation of a function, or the error that its caller gets.
    pub(crate) fn admit(self: &Arc<Self>, function: &str, limit: Limit) -> Result<Place, ApiError> {
        let mut counts = self.lock();
        let own = counts.by_function.get(function).copied().unwrap_or(0);
        let is_shared = match limit {
            Limit::Reserved(most) if own >= most => {
                return Err(ApiError::throttled(
                    "ReservedFunctionConcurrentInvocationLimitExceeded",
                ));
            }
            Limit::Shared(most) if counts.shared >= most => {
                return Err(ApiError::throttled("ConcurrentInvocationLimitExceeded"));
            }
            Limit::Reserved(_) => false,
            Limit::Shared(_) => true,
        };
        counts.by_function.insert(function.to_owned(), own + 1);
        counts.shared += u32::from(is_shared);
        Ok(Place { running: Arc::clone(self), function: function.to_owned(), is_shared })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.running.lock();
        counts.shared -= u32::from(self.is_shared);
        if let Some(own) = counts.by_function.get_mut(&self.function) {
            *own -= 1;
            if *own == 0 {
                counts.by_function.remove(&self.function);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_bound_one_function_and_leave_the_rest_to_the_others() {
        let running = Arc::new(Running::default());
        let reason = |result: Result<Place, ApiError>| result.unwrap_err().reason.unwrap();
        let one = running.admit("f", Limit::Reserved(1)).unwrap();
        let refused = running.admit("f", Limit::Reserved(1));
        assert_eq!(reason(refused), "ReservedFunctionConcurrentInvocationLimitExceeded");
        let other = running.admit("g", Limit::Shared(1)).unwrap();
        let refused = running.admit("h", Limit::Shared(1));
        assert_eq!(reason(refused), "ConcurrentInvocationLimitExceeded");
        drop((one, other));
        running.admit("f", Limit::Reserved(1)).unwrap();
        running.admit("h", Limit::Shared(1)).unwrap();
        assert!(running.admit("f", Limit::Reserved(0)).is_err());
        assert!(running.lock().by_function.is_empty());
        assert_eq!(Limit::new(None, 28), Limit::Shared(100));
        assert_eq!(Limit::new(Some(0), 28), Limit::Reserved(0));
    }

    #[test]
    fn reservations_must_leave_some() {
        let most = ACCOUNT_LIMIT - MIN_UNRESERVED;
        assert_eq!(check_reservation(most, 0), Ok(()));
        assert!(check_reservation(most, 1).is_err());
        assert!(check_reservation(u32::MAX, u32::MAX).is_err());
    }
}
