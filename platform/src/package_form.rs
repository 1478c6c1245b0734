//! The form in which a function's code goes to Lambda, which follows from the runtimes of the tasks
//! in it.
//!
//! | tasks' runtimes | form |
//! | --- | --- |
//! | all `provided.*` | zip with the supervisor as its `bootstrap` |
//! | one managed runtime, with or without `provided.*` | zip on that runtime, the supervisor as a layer and `AWS_LAMBDA_EXEC_WRAPPER` |
//! | several managed runtimes | container image that holds them all |
//!
//! The local backend's sandboxes hold every runtime of this machine, so there the third is a zip like
//! the first.

use std::collections::BTreeSet;

use optimizer::gate::managed;
use serde::Serialize;

/// Runtime of a zip that brings its own `bootstrap`.
const CUSTOM_RUNTIME: &str = "provided.al2023";
/// Where the supervisor is in the layer.
pub(crate) const LAYER_PATH: &str = "fuseline/bootstrap";
/// What a managed runtime is started through.
pub const WRAPPER: (&str, &str) = ("AWS_LAMBDA_EXEC_WRAPPER", "/opt/fuseline/bootstrap");

/// How a function's code is packaged.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageForm {
    /// A zip whose `bootstrap` is the supervisor.
    CustomRuntime,
    /// A zip for a managed runtime, which the supervisor, a layer, wraps.
    ManagedRuntime {
        /// Lambda's name of it.
        runtime: String,
    },
    /// A container image with the supervisor and several managed runtimes.
    Image {
        /// Lambda's names of them.
        runtimes: BTreeSet<String>,
    },
}

impl PackageForm {
    /// The form for tasks of these runtimes on AWS.
    pub fn of<'r>(runtimes: impl IntoIterator<Item = &'r str>) -> Self {
        let mut managed: BTreeSet<String> =
            managed(runtimes).into_iter().map(str::to_owned).collect();
        match (managed.pop_first(), managed.is_empty()) {
            (None, _) => Self::CustomRuntime,
            (Some(runtime), true) => Self::ManagedRuntime { runtime },
            (Some(runtime), false) => {
                managed.insert(runtime);
                Self::Image { runtimes: managed }
            }
        }
    }

    /// A container image for tasks of these runtimes, whether they need one or not.
    pub(crate) fn image<'r>(runtimes: impl IntoIterator<Item = &'r str>) -> Self {
        Self::Image { runtimes: managed(runtimes).into_iter().map(str::to_owned).collect() }
    }

    /// The form on an endpoint whose sandboxes hold every runtime.
    #[must_use]
    pub fn where_all_runtimes_are(self) -> Self {
        match self {
            Self::Image { .. } => Self::CustomRuntime,
            other => other,
        }
    }

    /// Lambda's `Runtime` of a function of this form; an image has none.
    #[must_use]
    pub fn runtime(&self) -> Option<&str> {
        match self {
            Self::CustomRuntime => Some(CUSTOM_RUNTIME),
            Self::ManagedRuntime { runtime } => Some(runtime),
            Self::Image { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_from_the_runtimes() {
        let form = |runtimes: &[&str]| PackageForm::of(runtimes.iter().copied());
        let managed = |runtime: &str| PackageForm::ManagedRuntime { runtime: runtime.to_owned() };
        assert_eq!(form(&["provided.al2023", "provided.al2"]), PackageForm::CustomRuntime);
        assert_eq!(form(&["python3.12", "python3.12"]), managed("python3.12"));
        assert_eq!(form(&["provided.al2023", "nodejs20.x"]), managed("nodejs20.x"));
        let runtimes = BTreeSet::from(["nodejs20.x".to_owned(), "python3.12".to_owned()]);
        let image = form(&["python3.12", "provided.al2023", "nodejs20.x"]);
        assert_eq!(image, PackageForm::Image { runtimes });
        assert_eq!(
            (image.runtime(), image.clone().where_all_runtimes_are().runtime()),
            (None, Some(CUSTOM_RUNTIME))
        );
        // Two versions of a language are two runtimes.
        assert_eq!(form(&["python3.12", "python3.13"]).runtime(), None);
    }
}
