//! Numbers with their units, as they stand in reasons.

use crate::statistics::Interval;
use crate::workflow::{Call, CallKind, Slo};

/// A time in microseconds as milliseconds.
pub(crate) fn milliseconds(time_us: f64) -> String {
    let digits = if time_us.abs() < 100_000.0 { 1 } else { 0 };
    format!("{:.digits$} ms", time_us / 1_000.0)
}

/// A call as its two tasks.
pub(crate) fn arrow(call: &Call) -> String {
    let sign = match call.kind {
        CallKind::Sync => "→",
        CallKind::Async => "⇢",
    };
    format!("{} {sign} {}", call.caller, call.callee)
}

/// How the latency at the SLO's percentile stands to its limit; `None` if failures leave no such
/// latency.
pub(crate) fn against_slo(latency_us: Option<u64>, slo: Slo) -> String {
    let limit = milliseconds(slo.latency_us as f64);
    match latency_us {
        Some(latency_us) => {
            let within = if latency_us <= slo.latency_us { "within" } else { "over" };
            let latency = milliseconds(latency_us as f64);
            format!("p{} {latency} {within} the SLO of {limit}", slo.percentile)
        }
        None => format!(
            "fewer than {} % of the executions succeeded, which the SLO of {limit} needs",
            slo.percentile
        ),
    }
}

/// A change of the mean cost from `before`, given as the interval and the mean of the difference.
pub(crate) fn cost_change(before: f64, difference: f64, interval: Interval) -> String {
    let share = |amount: f64| {
        if before > 0.0 { amount / before * 100.0 } else { 0.0 }
    };
    let (lower, upper) = (share(interval.lower), share(interval.upper));
    if upper < 0.0 {
        let fall = -share(difference);
        format!("cost per execution fell by {fall:.1} % (95 % CI {:.1} … {:.1})", -upper, -lower)
    } else {
        let change = share(difference);
        format!("cost per execution changed by {change:+.1} % (95 % CI {lower:+.1} … {upper:+.1})")
    }
}

/// A cost as a share of another one.
pub(crate) fn compared(cost: f64, with: f64) -> String {
    let share = if with > 0.0 { (cost - with) / with * 100.0 } else { 0.0 };
    let word = if share > 0.0 { "more" } else { "less" };
    format!("{:.1} % {word}", share.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_well() {
        let slo = Slo { latency_us: 500_000, percentile: 95 };
        assert_eq!(against_slo(Some(74_100), slo), "p95 74.1 ms within the SLO of 500 ms");
        assert_eq!(against_slo(Some(500_001), slo), "p95 500 ms over the SLO of 500 ms");
        assert_eq!(
            against_slo(None, slo),
            "fewer than 95 % of the executions succeeded, which the SLO of 500 ms needs"
        );
        let fell = cost_change(200.0, -36.4, Interval { lower: -42.2, upper: -30.0 });
        assert_eq!(fell, "cost per execution fell by 18.2 % (95 % CI 15.0 … 21.1)");
        let open = cost_change(200.0, -1.0, Interval { lower: -4.0, upper: 2.0 });
        assert_eq!(open, "cost per execution changed by -0.5 % (95 % CI -2.0 … +1.0)");
        assert_eq!(compared(80.0, 100.0), "20.0 % less");
        assert_eq!(compared(110.0, 100.0), "10.0 % more");
        assert_eq!(compared(0.0, 0.0), "0.0 % less");
    }
}
