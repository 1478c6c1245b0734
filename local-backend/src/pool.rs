//! The instances of a server: who is idle, who is about to be, and how many there may be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::instance::Instance;

/// Instances on one machine at most.
pub(crate) const MAX_INSTANCES: usize = 128;
/// Longest to wait for an instance that has answered and is about to be idle. Between its answer
/// and its `/next` a runtime may sit out one CPU period; starting another instance for that would
/// make a client that sends one request after the other see cold starts.
const FINISHING_LIMIT: Duration = Duration::from_millis(150);

/// The instances of a server.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    changed: Notify,
    permits: Arc<Semaphore>,
    idle_expiry: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Least recently used first.
    idle: Vec<Idle>,
    /// By generation: instances that have answered and not yet asked for more.
    finishing: HashMap<u64, usize>,
    /// By generation: invocations that wait for one of those.
    waiting: HashMap<u64, usize>,
    closed: bool,
}

#[derive(Debug)]
struct Idle {
    instance: Instance,
    since: Instant,
}

/// What an invocation gets.
#[derive(Debug)]
pub(crate) enum Acquired {
    /// An instance that is ready.
    Warm(Instance),
    /// The right to start one, and one to remove for it.
    Cold(OwnedSemaphorePermit, Option<Instance>),
    /// There are too many instances already.
    Throttled,
}

impl Pool {
    pub(crate) fn new(idle_expiry: Duration) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            permits: Arc::new(Semaphore::new(MAX_INSTANCES)),
            idle_expiry,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the pool panics")
    }

    /// An instance of this generation, the most recently used first, or the right to start one.
    pub(crate) async fn acquire(&self, generation: u64) -> Acquired {
        let limit = tokio::time::sleep(FINISHING_LIMIT);
        tokio::pin!(limit);
        let mut patient = true;
        loop {
            // Made before the state is looked at, so that no change is missed in between.
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if let Some(instance) = state.take_idle(generation) {
                    return Acquired::Warm(instance);
                }
                let count = |map: &HashMap<u64, usize>| map.get(&generation).copied().unwrap_or(0);
                if !patient || count(&state.finishing) <= count(&state.waiting) {
                    return self.cold(&mut state);
                }
                *state.waiting.entry(generation).or_default() += 1;
            }
            tokio::select! {
                () = changed => {}
                () = &mut limit => patient = false,
            }
            decrease(&mut self.lock().waiting, generation);
        }
    }

    fn cold(&self, state: &mut State) -> Acquired {
        if state.closed {
            return Acquired::Throttled;
        }
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Acquired::Cold(permit, None);
        }
        if state.idle.is_empty() {
            return Acquired::Throttled;
        }
        let mut instance = state.idle.remove(0).instance;
        match instance.take_permit() {
            Some(permit) => Acquired::Cold(permit, Some(instance)),
            None => Acquired::Throttled,
        }
    }

    /// An instance of this generation has answered.
    pub(crate) fn finishing(&self, generation: u64) {
        *self.lock().finishing.entry(generation).or_default() += 1;
    }

    /// An instance that was finishing is idle, or gone if there is none.
    pub(crate) fn finished(&self, generation: u64, instance: Option<Instance>) -> Option<Instance> {
        let rejected = {
            let mut state = self.lock();
            decrease(&mut state.finishing, generation);
            match instance {
                Some(instance) if !state.closed => {
                    state.idle.push(Idle { instance, since: Instant::now() });
                    None
                }
                other => other,
            }
        };
        self.changed.notify_waiters();
        rejected
    }

    /// Waits until no instance of a generation is about to be idle, or for as long as an invocation would.
    pub(crate) async fn settled(&self, generation: u64) {
        let settled = async {
            loop {
                // Made before the state is looked at, so that no change is missed in between.
                let changed = self.changed.notified();
                if !self.lock().finishing.contains_key(&generation) {
                    return;
                }
                changed.await;
            }
        };
        // Those that take longer are as good as busy.
        tokio::time::timeout(FINISHING_LIMIT, settled).await.unwrap_or_default();
    }

    /// Takes out the idle instances of a generation for a moment. Whoever took them says for each of
    /// them that it has [`Pool::finished`]; till then invocations wait for them.
    pub(crate) fn lend(&self, generation: u64) -> Vec<Instance> {
        let mut state = self.lock();
        let fits = |idle: &mut Idle| idle.instance.generation() == generation;
        let idle: Vec<Instance> =
            state.idle.extract_if(.., fits).map(|idle| idle.instance).collect();
        if !idle.is_empty() {
            *state.finishing.entry(generation).or_default() += idle.len();
        }
        idle
    }

    /// Takes out the instances of a generation that no client can reach any more.
    pub(crate) fn retire(&self, generation: u64) -> Vec<Instance> {
        self.take(|idle| idle.instance.generation() == generation)
    }

    /// Takes out instances that were idle for too long or have ended.
    pub(crate) fn expire(&self) -> Vec<Instance> {
        self.take(|idle| idle.since.elapsed() >= self.idle_expiry || !idle.instance.is_alive())
    }

    /// Takes out every idle instance; from now on none comes back and none may be started.
    pub(crate) fn close(&self) -> Vec<Instance> {
        self.lock().closed = true;
        self.take(|_| true)
    }

    /// How often to look for instances that expired.
    pub(crate) fn expiry_interval(&self) -> Duration {
        (self.idle_expiry / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Whether instances may still be started.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn take(&self, which: impl Fn(&Idle) -> bool) -> Vec<Instance> {
        self.lock().idle.extract_if(.., |idle| which(idle)).map(|idle| idle.instance).collect()
    }
}

impl State {
    fn take_idle(&mut self, generation: u64) -> Option<Instance> {
        let fits =
            |idle: &Idle| idle.instance.generation() == generation && idle.instance.is_alive();
        self.idle.iter().rposition(fits).map(|index| self.idle.remove(index).instance)
    }
}

fn decrease(counts: &mut HashMap<u64, usize>, generation: u64) {
    if let Some(count) = counts.get_mut(&generation) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&generation);
        }
    }
}
