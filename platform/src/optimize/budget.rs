//! What an optimisation may spend at most.

use std::fmt;

use super::report::Spent;

/// Limits; none where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Executions of the workflow.
    pub executions: Option<u64>,
    /// What they cost, in units of the prices.
    pub usd: Option<f64>,
    /// Wall time, in seconds.
    pub seconds: Option<f64>,
    /// What one execution can cost at most; none where spending costs nothing.
    pub dearest_usd: Option<f64>,
}

/// Executions that are still to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// Of the next trial, about whose cost little is known.
    pub trial: u64,
    /// Of the final comparison.
    pub comparison: u64,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exhausted {
    /// Of executions.
    Executions(u64),
    /// Of money, in units of the prices.
    Usd(f64),
    /// Of wall time, in seconds.
    Seconds(f64),
}

impl Budget {
    /// The limit that would be passed if so many executions followed, each at the mean cost and wall
    /// time of all those before or, if that is more, of the `last` trial's. Where money counts, those of the next
    /// trial are taken to be as dear as can be, and so are all before the first one; otherwise these cost nothing.
    #[must_use]
    pub fn exhausted_by(&self, spent: &Spent, last: &Spent, planned: Planned) -> Option<Exhausted> {
        let Planned { trial, comparison } = planned;
        let executions = trial + comparison;
        let mean = |spent: &Spent, what: fn(&Spent) -> f64| match spent.executions {
            0 => 0.0,
            count => what(spent) / count as f64,
        };
        let with = |what: fn(&Spent) -> f64| {
            what(spent) + mean(spent, what).max(mean(last, what)) * executions as f64
        };
        if let Some(limit) = self.executions.filter(|limit| spent.executions + executions > *limit)
        {
            return Some(Exhausted::Executions(limit));
        }
        let usd = match self.dearest_usd {
            None => with(|spent| spent.usd),
            Some(dearest) if spent.executions == 0 => dearest * executions as f64,
            Some(dearest) => {
                let mean = mean(spent, |it| it.usd).max(mean(last, |it| it.usd));
                spent.usd + dearest * trial as f64 + mean * comparison as f64
            }
        };
        if let Some(limit) = self.usd.filter(|limit| usd > *limit) {
            return Some(Exhausted::Usd(limit));
        }
        let seconds = self.seconds.filter(|limit| with(|spent| spent.seconds) > *limit);
        seconds.map(Exhausted::Seconds)
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executions(limit) => write!(f, "{limit} executions"),
            Self::Usd(limit) => write!(f, "{limit} $"),
            Self::Seconds(limit) => write!(f, "{} minutes", limit / 60.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_counts_at_the_mean_of_what_was_spent() {
        let spent = Spent { executions: 10, usd: 1.0, seconds: 60.0 };
        let none = Spent::default();
        let check = |budget: Budget, executions: u64, expect: Option<Exhausted>| {
            let planned = Planned { trial: executions, comparison: 0 };
            assert_eq!(budget.exhausted_by(&spent, &none, planned), expect, "{budget:?}");
        };
        check(Budget::default(), 1_000_000, None);
        let executions = Budget { executions: Some(15), ..Budget::default() };
        check(executions, 5, None);
        check(executions, 6, Some(Exhausted::Executions(15)));
        let usd = Budget { usd: Some(1.5), ..Budget::default() };
        check(usd, 5, None);
        check(usd, 6, Some(Exhausted::Usd(1.5)));
        let seconds = Budget { seconds: Some(90.0), ..Budget::default() };
        check(seconds, 5, None);
        check(seconds, 6, Some(Exhausted::Seconds(90.0)));
        let planned = |trial, comparison| Planned { trial, comparison };
        assert_eq!(usd.exhausted_by(&none, &none, planned(90, 9)), None, "nothing is known yet");
        // Where money counts: 1 $ spent, 2 at 0.2 $ at most, 1 at 0.1 $ as before.
        let dear = Budget { dearest_usd: Some(0.2), ..usd };
        assert_eq!(dear.exhausted_by(&spent, &none, planned(2, 1)), None);
        assert!(dear.exhausted_by(&spent, &none, planned(3, 0)).is_some());
        assert_eq!(dear.exhausted_by(&none, &none, planned(3, 4)), None);
        assert!(dear.exhausted_by(&none, &none, planned(3, 5)).is_some(), "before the first one");
        let slower = Spent { executions: 1, usd: 0.01, seconds: 12.0 };
        let exhausted = |budget: Budget| budget.exhausted_by(&spent, &slower, planned(3, 0));
        assert_eq!((exhausted(usd), exhausted(seconds)), (None, Some(Exhausted::Seconds(90.0))));
        assert_eq!(Exhausted::Seconds(90.0).to_string(), "1.5 minutes");
    }
}
