//! Why a deployment failed, and what an SDK's error says.

use std::collections::BTreeSet;
use std::path::PathBuf;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use optimizer::workflow::TaskName;

use crate::bundle::BundleError;
use crate::journal::JournalError;

/// Why a deployment failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A bundle cannot be made.
    #[error("`{0}` cannot be bundled")]
    Bundle(TaskName, #[source] BundleError),
    /// The layer that holds the supervisor cannot be made.
    #[error("the supervisor's layer cannot be made")]
    Layer(#[source] Box<BundleError>),
    /// The function is or has to be a container image, and nothing is said about those.
    #[error(
        "`{function}` has to be a container image ({}), because Lambda's zips have one managed runtime and its functions one form; name where images go and what they are built on with --repository and --base-image, or fuse only tasks of one managed runtime and `provided.*`",
        runtimes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    )]
    NeedsImage {
        /// Root task of the function.
        function: TaskName,
        /// Lambda's names of the runtimes.
        runtimes: BTreeSet<String>,
    },
    /// A function has the other form, and Lambda keeps it.
    #[error(
        "function `{function}` is {}, and Lambda cannot make {} of it; remove the workflow (`fuseline destroy`) and deploy it again, rename the task, or do not fuse it so",
        if *is_image { "a container image" } else { "a zip package" },
        if *is_image { "a zip package" } else { "the container image that it has to be" }
    )]
    OtherForm {
        /// Root task of the function.
        function: TaskName,
        /// Whether it is a container image now.
        is_image: bool,
    },
    /// A container image cannot be built.
    #[error("the container image of `{function}` cannot be made: {message}")]
    Image {
        /// Root task of the function.
        function: TaskName,
        /// What Docker said.
        message: String,
    },
    /// The base image that was named cannot be had.
    #[error("the base image `{base}` is not on this machine and cannot be pulled: {message}")]
    BaseImage {
        /// As Docker names it.
        base: String,
        /// What Docker said.
        message: String,
    },
    /// The repository that was named cannot be used.
    #[error("the repository `{repository}` cannot be used: {message}")]
    Repository {
        /// Its registry and name.
        repository: String,
        /// What the registry or the connection said.
        message: String,
    },
    /// A package is too large for a call.
    #[error(
        "the package of `{function}` has {:.1} MB zipped, and Lambda takes 50 MB in a call; name a bucket of S3 in the functions' region, through which it can go: --bucket NAME[/PREFIX]",
        *bytes as f64 / 1_048_576.0
    )]
    NeedsBucket {
        /// Of which function.
        function: String,
        /// Its size, zipped, in bytes.
        bytes: u64,
    },
    /// The bucket that was named cannot be used.
    #[error("the bucket `{bucket}` cannot be used: {message}")]
    Bucket {
        /// Its name.
        bucket: String,
        /// What the endpoint or the connection said.
        message: String,
    },
    /// The endpoint refused a step.
    #[error("{step} of function `{function}` failed: {message}")]
    Refused {
        /// What was asked for.
        step: &'static str,
        /// Of which function.
        function: String,
        /// What the endpoint or the connection said.
        message: String,
    },
    /// A function of that name exists and is not this workflow's.
    #[error(
        "a function named `{0}` exists and was not made by Fuseline for this workflow; take it over with `fuseline deploy --platform aws --adopt`, rename the task or remove the function"
    )]
    Foreign(String),
    /// A function cannot be taken over, or not in this deployment.
    #[error("function `{function}` cannot be taken over: {reason}")]
    NotAdoptable {
        /// Its name.
        function: String,
        /// Why, and what to do about it.
        reason: String,
    },
    /// What calls an adopted function calls its unpublished state, so nothing is tried on it.
    #[error(
        "function `{0}` was taken over, and its callers would be served what is tried; measure a copy of the workflow whose tasks have other names"
    )]
    Adopted(String),
    /// Callers of an adopted function would not get a new deployment by shares.
    #[error(
        "function `{0}` was taken over, and in the last 24 hours it was invoked without naming a version: such callers would get the new deployment at once; point them at its alias `live`, or apply it all the same with --force"
    )]
    Unpublished(String),
    /// AWS makes no function without a role.
    #[error(
        "task `{0}` names no `role`, which its function needs on AWS; add the ARN of an IAM role to it or to `defaults`"
    )]
    NoRole(TaskName),
    /// Somebody else changed what is to be undone.
    #[error(
        "the alias `{alias}` of function `{function}` calls version {found} and was not moved there by Fuseline; move it by hand and run the command again"
    )]
    Drifted {
        /// Its name.
        function: String,
        /// Of the alias.
        alias: String,
        /// The version it calls.
        found: String,
    },
    /// An interrupted command has to be finished or undone first.
    #[error(
        "`fuseline {0}` was interrupted here; run it again to finish it, or undo it with `fuseline rollback`, first"
    )]
    Interrupted(String),
    /// A role cannot be read or combined with another.
    #[error("the role {role} cannot be used: {message}")]
    Role {
        /// Its name or ARN.
        role: String,
        /// Why.
        message: String,
    },
    /// A plan does not fit any more.
    #[error("the plan {plan} cannot be applied: {reason}")]
    Stale {
        /// Beginning of its fingerprint.
        plan: String,
        /// What has changed since.
        reason: String,
    },
    /// What was changed cannot be written down, so nothing more is changed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The code of a function cannot be had or kept.
    #[error("the code of function `{function}` cannot be kept: {message}")]
    Code {
        /// Its name.
        function: String,
        /// What is wrong.
        message: String,
    },
    /// A folder that functions are to share cannot be made.
    #[error("the folder {} cannot be made", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
}

/// Turns an SDK error into ours.
pub(crate) fn refused<'n, E: ProvideErrorMetadata + std::error::Error + 'static>(
    step: &'static str,
    function: &'n str,
) -> impl FnOnce(E) -> DeployError + 'n {
    move |error| DeployError::Refused {
        step,
        function: function.to_owned(),
        message: aws_message(&error),
    }
}

/// What the service said, with the permission that was lacking, or else what kept it from being asked.
pub(crate) fn aws_message<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &E,
) -> String {
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => aws_sdk_lambda::error::DisplayErrorContext(error)
            .to_string()
            // The context ends in a debug print of everything, which is of no use to a reader.
            .split(" (")
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    crate::access::with_action_of(&said, std::any::type_name::<E>())
}
