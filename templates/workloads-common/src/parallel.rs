//! Work on all vCPUs that the function has.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads to use: what the environment variable `THREADS` says, else one more than the
/// vCPUs that the standard library finds.
///
/// The standard library sees the processors a process may run on and the CPU quota of its control
/// group, whatever size the function's memory has. It rounds the quota down, and a fraction of a vCPU
/// is worth using: hence one more. A thread too many costs its buffers and hardly any time, because
/// [`map`] gives out work in pieces. Ask anew for every event: the quota of a running instance may
/// change.
pub fn threads() -> usize {
    let said = std::env::var("THREADS").ok().and_then(|text| text.parse().ok());
    let found = || thread::available_parallelism().map_or(1, usize::from) + 1;
    said.filter(|threads| *threads > 0).unwrap_or_else(found)
}

/// Does `work` on every item, on up to `threads` threads. A thread that is done takes the next item,
/// so items of unequal size do no harm. The results are in the order of the items.
///
/// # Panics
/// If `work` does.
pub fn map<I, T>(threads: usize, items: I, work: impl Fn(I::Item) -> T + Sync) -> Vec<T>
where
    I: IntoIterator<IntoIter: Send>,
    T: Send,
{
    let items = items.into_iter();
    let most = items.size_hint().1.unwrap_or(usize::MAX);
    let items = Mutex::new(items.enumerate());
    // Only taking an item can have panicked with the lock held, and then no item is left to take.
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = next() {
            done.push((index, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.min(most)).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for threads in [0, 1, 2, 7, 100] {
            let squares = map(threads, 0..50_u64, |n| n * n);
            assert_eq!(squares, (0..50).map(|n| n * n).collect::<Vec<_>>(), "{threads} threads");
        }
        assert!(map(4, Vec::<u8>::new(), |item| item).is_empty());
    }

    #[test]
    fn parts_of_a_buffer_can_be_written_at_once() {
        let mut buffer = [0; 10];
        map(3, buffer.chunks_mut(3).enumerate(), |(index, part)| part.fill(index));
        assert_eq!(buffer, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
    }

    #[test]
    fn as_many_threads_work_at_once_as_asked_for() {
        let all = Barrier::new(3);
        let used = map(3, 0..3, |_| {
            all.wait();
            thread::current().id()
        });
        assert_eq!(used.into_iter().collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    #[should_panic(expected = "item 7")]
    fn a_panic_is_passed_on() {
        map(2, 0..10, |item| assert_ne!(item, 7, "item 7"));
    }
}
