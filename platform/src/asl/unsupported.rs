//! What of the language is not supported, and what to do instead.

/// What to do instead of using a field, where there is something to say.
pub(super) fn instead_of(field: &str) -> Option<&'static str> {
    Some(match field {
        "Assign" | "Arguments" | "Output" | "Condition" | "Items" | "QueryLanguage" => {
            "JSONata and variables are not supported: pass data with InputPath, Parameters, \
             ResultSelector, ResultPath and OutputPath"
        }
        "HeartbeatSeconds" | "HeartbeatSecondsPath" => {
            "remove it: a task that is invoked and waited for sends no heartbeats; TimeoutSeconds \
             limits it"
        }
        "TimeoutSecondsPath" => "write the time as TimeoutSeconds",
        "MaxConcurrencyPath" => "write the number as MaxConcurrency",
        "ItemReader" | "ItemBatcher" | "ResultWriter" | "Label" => {
            "distributed maps are not supported: pass the list in the state's input (ItemsPath)"
        }
        "ToleratedFailurePercentage"
        | "ToleratedFailurePercentagePath"
        | "ToleratedFailureCount"
        | "ToleratedFailureCountPath" => "catch failures inside the iteration instead",
        "Timestamp" | "TimestampPath" => "write how long to wait, as Seconds or SecondsPath",
        "ErrorPath" | "CausePath" => "write the texts themselves, as Error and Cause",
        "Credentials" => "remove it: tasks are invoked with the caller's own credentials",
        "JitterStrategy" => "remove it, or write NONE",
        "TimeoutSeconds" => "remove it here, and limit tasks with TimeoutSeconds of their own",
        _ => return None,
    })
}
