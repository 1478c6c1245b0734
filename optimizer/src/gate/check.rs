//! The checks by their codes, and the rules that docs/SAFETY.md lists.

use serde::{Deserialize, Serialize};

use super::verdict::Effect;

/// A check. Its code, the name in kebab case, is stable.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The user keeps the tasks apart.
    Apart,
    /// Whether every task's runtime can be started beside others.
    RuntimeStart,
    /// Which kind of package the function needs.
    PackageForm,
    /// Processor architecture.
    Architecture,
    /// Network.
    Vpc,
    /// Shared file systems.
    FileSystems,
    /// Layers.
    Layers,
    /// Room in `/tmp`.
    EphemeralStorage,
    /// Limits on how often a task runs at the same time.
    ReservedConcurrency,
    /// Callers outside the workflow.
    OwnTriggers,
    /// Largest request or answer.
    PayloadSize,
    /// Environment variables.
    EnvironmentSize,
    /// Unpacked code.
    PackageSize,
    /// Timeouts along the synchronous path.
    TimeoutPath,
    /// IAM roles and what they allow.
    Role,
}

/// What a check says in one case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The check.
    pub check: Check,
    /// What its verdict does.
    pub effect: Effect,
    /// The case.
    pub when: &'static str,
    /// What to do about it.
    pub what_to_do: &'static str,
}

impl Check {
    /// All checks, in the order of verdicts.
    pub const ALL: [Self; 15] = [
        Self::Apart,
        Self::RuntimeStart,
        Self::PackageForm,
        Self::Architecture,
        Self::Vpc,
        Self::FileSystems,
        Self::Layers,
        Self::EphemeralStorage,
        Self::ReservedConcurrency,
        Self::OwnTriggers,
        Self::PayloadSize,
        Self::EnvironmentSize,
        Self::PackageSize,
        Self::TimeoutPath,
        Self::Role,
    ];

    /// Its code, as in workflow files and results.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// What it says if it has nothing to say.
    pub(super) fn fine(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Apart => ("apart", "nothing keeps these tasks apart"),
            Self::RuntimeStart => ("runtime-start", "every runtime starts beside others"),
            Self::PackageForm => ("package-form", "one zip holds all runtimes"),
            Self::Architecture => ("architecture", "the tasks have the same architecture"),
            Self::Vpc => ("vpc", "the tasks are in the same network"),
            Self::FileSystems => ("file-systems", "every task finds its file systems"),
            Self::Layers => ("layers", "every task finds its layers"),
            Self::EphemeralStorage => ("ephemeral-storage", "/tmp is large enough for all"),
            Self::ReservedConcurrency => ("reserved-concurrency", "no limit is bypassed"),
            Self::OwnTriggers => ("own-triggers", "nobody else is known to call the tasks"),
            Self::PayloadSize => ("payload-size", "no payload is known to be too large"),
            Self::EnvironmentSize => ("environment-size", "the environment is small enough"),
            Self::PackageSize => ("package-size", "the packages are not known to be too large"),
            Self::TimeoutPath => ("timeout-path", "the caller's timeout covers the others"),
            Self::Role => ("role", "the roles allow the same as far as is known"),
        }
    }

    /// Whether `constraints.allow` can lift it. What the workflow file itself asks for is changed
    /// where it is asked for.
    #[must_use]
    pub fn can_be_lifted(self) -> bool {
        self != Self::Apart
    }
}

/// Everything the checks can say, in the order of the checks.
pub const RULES: [Rule; 20] = [
    rule(
        Check::Apart,
        Effect::NeverTried,
        "`constraints.apart` names two of the tasks",
        "remove them from `apart`",
    ),
    rule(
        Check::RuntimeStart,
        Effect::NeverTried,
        "a task runs on `java*`, `dotnet*`, `ruby*` or `go1.x`, which the supervisor is not known to \
         start beside other tasks",
        "leave it a function of its own, or move it to `provided.*`",
    ),
    rule(
        Check::PackageForm,
        Effect::Shown,
        "the tasks run on several managed runtimes, or on different `provided.*` ones",
        "on AWS deploy the function as a container image with all the runtimes; or give the tasks \
         one runtime",
    ),
    rule(
        Check::Architecture,
        Effect::NeverTried,
        "the tasks' architectures differ",
        "give them the same `architecture`",
    ),
    rule(
        Check::Vpc,
        Effect::NeverTried,
        "the tasks' subnets or security groups differ",
        "give them the same `vpc`",
    ),
    rule(
        Check::FileSystems,
        Effect::NeverTried,
        "an inlined task has a file system that the function's own task lacks, or has another one \
         at its path",
        "give the function's own task the same `fileSystems`",
    ),
    rule(
        Check::FileSystems,
        Effect::KeptOut,
        "the function's own task has a file system that an inlined task lacks, which sees it then",
        "give both the same `fileSystems`, or allow it",
    ),
    rule(
        Check::Layers,
        Effect::NeverTried,
        "an inlined task has a layer that the function's own task lacks, or has in another version \
         or another order",
        "give the function's own task the same `layers`",
    ),
    rule(
        Check::Layers,
        Effect::NeverTried,
        "the function needs more than 5 layers (the supervisor is one on a managed runtime), or any \
         in a container image",
        "merge layers, or put their files into the package",
    ),
    rule(
        Check::EphemeralStorage,
        Effect::KeptOut,
        "an inlined task asks for more than the default of `/tmp`, and the function's own, which all \
         share then, is smaller than that and 512 MB",
        "raise `ephemeralStorage` of the function's own task, or allow it",
    ),
    rule(
        Check::ReservedConcurrency,
        Effect::KeptOut,
        "an inlined task has `reservedConcurrency`, which does not count inside another function",
        "allow it if the limit protects nothing, such as a database",
    ),
    rule(
        Check::OwnTriggers,
        Effect::Shown,
        "an inlined task has `triggers`: its own function stays for them, and its logs, metrics and \
         alarms no longer see the fused calls",
        "watch the function that it is fused into as well",
    ),
    rule(
        Check::PayloadSize,
        Effect::NeverTried,
        "a synchronous call inside has `maxPayload` over 6 MB, Lambda's limit",
        "pass a reference, such as an object in S3, instead of the data",
    ),
    rule(
        Check::EnvironmentSize,
        Effect::NeverTried,
        "the function's environment is over 4 KB, Lambda's limit (that of inlined tasks is in the \
         package)",
        "shorten the environment of the function's own task",
    ),
    rule(
        Check::PackageSize,
        Effect::NeverTried,
        "the packages and the supervisor are over 250 MB unpacked, or over 10 GB in a container \
         image",
        "fuse fewer tasks, or make the packages smaller",
    ),
    rule(
        Check::TimeoutPath,
        Effect::KeptOut,
        "an inlined task may run longer than the function's own task, with which it ends now",
        "raise `timeout` of the function's own task, or allow it",
    ),
    rule(
        Check::Role,
        Effect::NeverTried,
        "by the `policy` of both, an inlined task needs what the function's role does not allow",
        "give the function's role the privileges named",
    ),
    rule(
        Check::Role,
        Effect::KeptOut,
        "by the `policy` of both, an inlined task gets privileges that its own role does not have",
        "take the privileges from the function's role, or allow it",
    ),
    rule(
        Check::Role,
        Effect::KeptOut,
        "the roles differ, and not both have a `policy` to compare",
        "give both their `policy`, or allow it",
    ),
    rule(
        Check::Role,
        Effect::Shown,
        "the roles' names differ, and their policies allow the same",
        "nothing",
    ),
];

const fn rule(check: Check, effect: Effect, when: &'static str, what_to_do: &'static str) -> Rule {
    Rule { check, effect, when, what_to_do }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_workflow_files_and_results_say() {
        for check in Check::ALL {
            let text = serde_json::to_string(&check).unwrap();
            assert_eq!(text, format!("\"{}\"", check.code()));
            assert!(RULES.iter().any(|rule| rule.check == check), "{text} has no rule");
        }
        assert!(RULES.is_sorted_by_key(|rule| Check::ALL.iter().position(|c| *c == rule.check)));
    }
}
