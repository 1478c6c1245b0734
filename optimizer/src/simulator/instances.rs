//! The instances of every function: who is idle, and how many work at once.

use super::plan::Plan;

/// One instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance {
    /// The most memory it has needed, in MB.
    pub(super) peak_mb: u32,
}

/// What an invocation gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Acquired {
    /// An instance that was idle.
    Warm(Instance),
    /// One that has to be started.
    Cold(Instance),
    /// Too many work already.
    Throttled,
}

#[derive(Debug)]
pub(super) struct Instances {
    functions: Vec<Pool>,
    /// Working instances of functions without a reservation.
    shared: u32,
    most_shared: u32,
    idle_expiry_us: u64,
}

#[derive(Debug)]
struct Pool {
    /// Idle instances, and since when in microseconds. The last one became idle last.
    idle: Vec<(Instance, u64)>,
    working: u32,
    reserved: Option<u32>,
}

impl Instances {
    /// No instance of any function. `account` may work at once, reservations included.
    pub(super) fn new(plan: &Plan<'_>, account: u32, idle_expiry_us: u64) -> Self {
        let functions: Vec<Pool> = plan
            .functions
            .iter()
            .map(|function| Pool { idle: Vec::new(), working: 0, reserved: function.reserved })
            .collect();
        let reserved =
            functions.iter().filter_map(|pool| pool.reserved).fold(0, u32::saturating_add);
        Self { functions, shared: 0, most_shared: account.saturating_sub(reserved), idle_expiry_us }
    }

    /// An instance for an invocation: the one that became idle last, else a new one.
    pub(super) fn acquire(&mut self, function: usize, now_us: u64) -> Acquired {
        let pool = &mut self.functions[function];
        let (working, most) = match pool.reserved {
            Some(reserved) => (&pool.working, reserved),
            None => (&self.shared, self.most_shared),
        };
        if *working >= most {
            return Acquired::Throttled;
        }
        pool.working += 1;
        self.shared += u32::from(pool.reserved.is_none());
        match pool.idle.pop() {
            Some((instance, since_us)) if now_us - since_us < self.idle_expiry_us => {
                Acquired::Warm(instance)
            }
            // Whoever became idle before it has expired as well.
            _ => {
                pool.idle.clear();
                Acquired::Cold(Instance { peak_mb: 0 })
            }
        }
    }

    /// Takes back an instance, or only its place if it was killed.
    pub(super) fn release(&mut self, function: usize, instance: Option<Instance>, now_us: u64) {
        let pool = &mut self.functions[function];
        pool.working -= 1;
        self.shared -= u32::from(pool.reserved.is_none());
        pool.idle.extend(instance.map(|instance| (instance, now_us)));
    }
}
