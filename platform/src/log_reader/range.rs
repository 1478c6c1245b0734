//! A time that Insights is asked about, and how it is cut where that has too much to say.

/// From a millisecond until before a second, both since the Unix epoch; Insights is asked by seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Range {
    from_ms: i64,
    until_s: i64,
}

impl Range {
    /// None if there is nothing in it.
    pub(super) fn new(from_ms: i64, until_s: i64) -> Option<Self> {
        (from_ms < until_s * 1000).then_some(Self { from_ms, until_s })
    }

    pub(super) fn first_ms(self) -> i64 {
        self.from_ms
    }

    /// The first millisecond behind it.
    pub(super) fn until_ms(self) -> i64 {
        self.until_s * 1000
    }

    /// First and last second to ask for. CloudWatch includes the last one, and does not say up to which of its
    /// milliseconds: what is not in the range has to be left out of the answer.
    pub(super) fn asked_s(self) -> (i64, i64) {
        (self.from_ms.div_euclid(1000), self.until_s)
    }

    /// Seconds that it touches.
    pub(super) fn seconds(self) -> i64 {
        self.until_s - self.from_ms.div_euclid(1000)
    }

    pub(super) fn has(self, at_ms: i64) -> bool {
        (self.from_ms..self.until_ms()).contains(&at_ms)
    }

    /// About so many parts of the same length, two at least; none of one second.
    pub(super) fn cut(self, parts: u32) -> Option<Vec<Self>> {
        let (first_s, seconds) = (self.from_ms.div_euclid(1000), self.seconds());
        let parts = i64::from(parts).clamp(2, seconds.max(2));
        (seconds >= 2).then(|| {
            let at = |part: i64| first_s + seconds * part / parts;
            let part = |part: i64| Self {
                from_ms: self.from_ms.max(at(part) * 1000),
                until_s: at(part + 1),
            };
            (0..parts).map(part).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_is_not_cut() {
        let range = |from_ms, until_s| Range::new(from_ms, until_s).unwrap();
        assert_eq!(range(1_500, 2).cut(2), None);
        assert_eq!(
            range(1_500, 4).cut(9),
            Some(vec![range(1_500, 2), range(2_000, 3), range(3_000, 4)])
        );
        assert_eq!(range(0, 9).cut(0), Some(vec![range(0, 4), range(4_000, 9)]));
        assert_eq!(Range::new(2_000, 2), None);
        assert_eq!(range(1_500, 2).asked_s(), (1, 2));
    }

    proptest! {
        /// What Insights would be asked in turn: every event is in exactly one part that fits, or in a second that has
        /// too many, and few parts have to be asked about.
        #[test]
        fn no_event_is_lost_or_twice(
            from_ms in 0_i64..5_000,
            seconds in 1_i64..2_000,
            events in prop::collection::vec(0_i64..2_000_000, 0..300),
            limit in 1_usize..50,
            wanted in 0_u32..40,
        ) {
            let range = Range::new(from_ms, from_ms / 1000 + seconds + 1).unwrap();
            let mut found = vec![0; events.len()];
            let (mut parts, mut asked) = (vec![range], 0);
            while let Some(part) = parts.pop() {
                asked += 1;
                let inside: Vec<usize> =
                    (0..events.len()).filter(|at| part.has(events[*at])).collect();
                match part.cut(wanted) {
                    Some(smaller) if inside.len() >= limit => parts.extend(smaller),
                    None if inside.len() >= limit => {
                        prop_assert_eq!(part.seconds(), 1);
                        inside.iter().for_each(|at| found[*at] += 1);
                    }
                    _ => inside.iter().for_each(|at| found[*at] += 1),
                }
            }
            for (event, found) in events.iter().zip(&found) {
                prop_assert_eq!(*found, i32::from(range.has(*event)), "{}", event);
            }
            let most = 1 + 40 * 12 * (1 + events.len() / limit);
            prop_assert!(asked <= most, "{} parts of at most {}", asked, most);
        }
    }
}
