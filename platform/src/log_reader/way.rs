//! Which of CloudWatch's ways logs are read by.

/// Says it instead of the rule: `filter` or `insights`.
const VARIABLE: &str = "FUSELINE_LOGS";

/// How logs are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogWay {
    /// With `FilterLogEvents`, and what is old in large groups with Insights.
    #[default]
    Auto,
    /// With `FilterLogEvents` only.
    Filter,
    /// With Insights whatever it is not late for.
    Insights,
}

impl LogWay {
    /// As the environment wants it.
    pub(crate) fn from_environment() -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Ok("filter") => Self::Filter,
            Ok("insights") => Self::Insights,
            _ => Self::Auto,
        }
    }
}
