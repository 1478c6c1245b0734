//! How often each task has been called in the chain of calls that led to an invocation, so that a
//! chain without end is cut, as Lambda cuts one. Lambda's own detection does not see calls that are
//! served inside an instance.
//!
//! It travels between instances as a part of the X-Ray trace header that tasks do not get to see:
//! `Root=1-67891233-abcdef012345678912345678;Fuseline=a:2|b:1`.

/// Most calls of one task in a chain; Lambda's own limit is about the same.
pub(crate) const MAX_CALLS: u32 = 16;

/// What the part of the trace header starts with.
const PART: &str = "Fuseline=";

/// Calls so far in a chain, by task.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lineage(Vec<(String, u32)>);

impl Lineage {
    /// Takes it out of a trace header, and leaves what tasks get to see.
    pub(crate) fn split(header: &str) -> (String, Self) {
        let (ours, rest): (Vec<&str>, Vec<&str>) =
            header.split(';').map(str::trim).partition(|part| part.starts_with(PART));
        let calls = ours.iter().filter_map(|part| part.strip_prefix(PART));
        let calls = calls.flat_map(|calls| calls.split('|')).filter_map(|call| {
            let (task, count) = call.split_once(':')?;
            Some((task.to_owned(), count.parse().ok()?))
        });
        (rest.join(";"), Self(calls.collect()))
    }

    /// The trace header with it, for a call that leaves.
    pub(crate) fn join(&self, header: &str) -> String {
        let calls: Vec<String> =
            self.0.iter().map(|(task, count)| format!("{task}:{count}")).collect();
        match calls.is_empty() {
            true => header.to_owned(),
            false => format!("{header};{PART}{}", calls.join("|")),
        }
    }

    /// The chain with a call of `task` at its end.
    pub(crate) fn with(&self, task: &str) -> Self {
        let mut calls = self.0.clone();
        match calls.iter_mut().find(|(name, _)| name == task) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => calls.push((task.to_owned(), 1)),
        }
        Self(calls)
    }

    /// Whether `task` has been called as often as it may be.
    pub(crate) fn is_endless(&self, task: &str) -> bool {
        self.0.iter().any(|(name, count)| name == task && *count >= MAX_CALLS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_travels_in_the_trace_header_and_is_taken_out_of_it() {
        let (header, first) = Lineage::split("Root=1-a-b;Sampled=1");
        assert_eq!((header.as_str(), &first), ("Root=1-a-b;Sampled=1", &Lineage::default()));
        let chain = first.with("a").with("b").with("a");
        let sent = chain.join(&header);
        assert_eq!(sent, "Root=1-a-b;Sampled=1;Fuseline=a:2|b:1");
        assert_eq!(Lineage::split(&sent), (header, chain));
    }

    #[test]
    fn what_is_not_a_chain_is_dropped() {
        assert_eq!(
            Lineage::split("Fuseline=a|b:x|c:3; Root=1").1,
            Lineage(vec![("c".to_owned(), 3)])
        );
    }

    #[test]
    fn a_chain_ends_when_one_task_has_been_called_too_often() {
        let mut chain = Lineage::default();
        for _ in 0..MAX_CALLS {
            assert!(!chain.is_endless("a"));
            chain = chain.with("b").with("a");
        }
        assert!(chain.is_endless("a") && !chain.is_endless("c"));
    }
}
