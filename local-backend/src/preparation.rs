//! Whether what a request made of a function can run yet: Lambda's `State` and `LastUpdateStatus`.
//!
//! ```text
//! created  Pending    ─► Active     | Failed
//! changed  InProgress ─► Successful | Failed, and the state before goes on serving
//! ```
//!
//! Whoever changes a function makes a [`Preparation`], does the work, and says how it ended.

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::error::ApiError;

/// What is prepared: a function that was not there before, or another state of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Creation,
    Update,
}

/// How far a preparation is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Underway,
    Done,
    Failed(Fault),
}

/// Why a function cannot run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// Lambda's reason code, such as `InvalidZipFileException`.
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl Fault {
    /// This server's fault.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self { code: "InternalError", reason: reason.into() }
    }
}

/// The way of one version to where it can run. Clones share the way.
#[derive(Clone, Debug)]
pub(crate) struct Preparation {
    change: Change,
    phase: watch::Sender<Phase>,
}

impl Preparation {
    /// One that has begun.
    pub(crate) fn begin(change: Change) -> Self {
        Self { change, phase: watch::Sender::new(Phase::Underway) }
    }

    /// The same way for a published version, which was not there before.
    pub(crate) fn of_published(&self) -> Self {
        Self { change: Change::Creation, phase: self.phase.clone() }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Says how the work ended.
    pub(crate) fn finish(&self, result: Result<(), Fault>) {
        self.phase.send_replace(match result {
            Ok(()) => Phase::Done,
            Err(fault) => Phase::Failed(fault),
        });
    }

    /// Refuses what cannot be done with the function `arn` before this has ended well.
    pub(crate) fn check(&self, arn: &str) -> Result<(), ApiError> {
        let state = match (self.change, self.phase()) {
            (_, Phase::Done) => return Ok(()),
            (Change::Creation, Phase::Underway) => "Pending".to_owned(),
            (Change::Update, Phase::Underway) => {
                return Err(ApiError::conflict(format!(
                    "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
                )));
            }
            (_, Phase::Failed(fault)) => format!("Failed ({})", fault.reason),
        };
        Err(ApiError::conflict(format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {state}"
        )))
    }

    /// The fields in which Lambda's API states it.
    pub(crate) fn describe(&self) -> Value {
        match (self.change, self.phase()) {
            (_, Phase::Done) => json!({ "State": "Active", "LastUpdateStatus": "Successful" }),
            (Change::Creation, Phase::Underway) => json!({
                "State": "Pending",
                "StateReason": "The function is being created.",
                "StateReasonCode": "Creating",
            }),
            (Change::Creation, Phase::Failed(fault)) => json!({
                "State": "Failed",
                "StateReason": fault.reason,
                "StateReasonCode": fault.code,
            }),
            (Change::Update, Phase::Underway) => json!({
                "State": "Active",
                "LastUpdateStatus": "InProgress",
                "LastUpdateStatusReason": "The function is being updated.",
                "LastUpdateStatusReasonCode": "Creating",
            }),
            (Change::Update, Phase::Failed(fault)) => json!({
                "State": "Active",
                "LastUpdateStatus": "Failed",
                "LastUpdateStatusReason": fault.reason,
                "LastUpdateStatusReasonCode": fault.code,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: Change, result: Option<Result<(), Fault>>, expect: [&str; 2]) {
        let preparation = Preparation::begin(change);
        if let Some(result) = result {
            preparation.finish(result);
        }
        let said = preparation.describe();
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        assert_eq!([text("State"), text("LastUpdateStatus")], expect, "{said}");
        assert_eq!(preparation.check("f").is_ok(), preparation.phase() == Phase::Done);
    }

    #[test]
    fn states_are_lambdas() {
        let fault = || Err(Fault::internal("no luck"));
        check(Change::Creation, None, ["Pending", ""]);
        check(Change::Creation, Some(Ok(())), ["Active", "Successful"]);
        check(Change::Creation, Some(fault()), ["Failed", ""]);
        check(Change::Update, None, ["Active", "InProgress"]);
        check(Change::Update, Some(Ok(())), ["Active", "Successful"]);
        check(Change::Update, Some(fault()), ["Active", "Failed"]);
    }
}
