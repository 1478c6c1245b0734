//! The reserved concurrency of a function.

use super::{Registry, find, find_mut};
use crate::concurrency::{ACCOUNT_LIMIT, Limit, check_reservation};
use crate::error::ApiError;

impl Registry {
    /// Reserves concurrency for a function.
    pub(crate) fn reserve(&self, name: &str, reserved: u32) -> Result<(), ApiError> {
        let mut functions = self.lock();
        let others = functions.iter().filter(|(other, _)| *other != name);
        let others: u32 = others.filter_map(|(_, other)| other.reserved_concurrency).sum();
        let function = find_mut(&mut functions, name)?;
        check_reservation(reserved, others)?;
        function.reserved_concurrency = Some(reserved);
        Ok(())
    }

    /// Takes a reservation back, if there is one.
    pub(crate) fn unreserve(&self, name: &str) -> Result<(), ApiError> {
        find_mut(&mut self.lock(), name)?.reserved_concurrency = None;
        Ok(())
    }

    /// A function's reservation.
    pub(crate) fn reserved(&self, name: &str) -> Result<Option<u32>, ApiError> {
        Ok(find(&self.lock(), name)?.reserved_concurrency)
    }

    /// How many invocations of a function may run at once.
    pub(crate) fn limit(&self, name: &str) -> Limit {
        let functions = self.lock();
        let reserved = functions.get(name).and_then(|function| function.reserved_concurrency);
        Limit::new(reserved, functions.values().filter_map(|f| f.reserved_concurrency).sum())
    }

    /// What reservations leave for functions without one.
    pub(crate) fn unreserved(&self) -> u32 {
        let reserved: u32 = self.lock().values().filter_map(|f| f.reserved_concurrency).sum();
        ACCOUNT_LIMIT.saturating_sub(reserved)
    }
}
