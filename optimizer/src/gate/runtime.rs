//! Lambda's runtimes by their names, and what fusing has to know of them.

use std::collections::BTreeSet;

/// A language with Lambda's runtimes for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// The package brings its own runtime, an executable `bootstrap`.
    Provided,
    /// Python.
    Python,
    /// Node.js.
    Node,
    /// Java.
    Java,
    /// .NET.
    Dotnet,
    /// Ruby.
    Ruby,
    /// Go on the retired runtime `go1.x`.
    Go,
}

impl Family {
    /// The family of a runtime's name, such as `python3.12` or `provided.al2023`; `None` if Lambda
    /// has no runtime that is named like this.
    #[must_use]
    pub fn of(runtime: &str) -> Option<Self> {
        let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let version =
            |text: &str| text.split_once('.').is_some_and(|(a, b)| number(a) && number(b));
        if matches!(runtime, "provided.al2" | "provided.al2023") {
            return Some(Self::Provided);
        }
        if runtime == "go1.x" {
            return Some(Self::Go);
        }
        let rest = |prefix| runtime.strip_prefix(prefix);
        if rest("python").is_some_and(version) {
            Some(Self::Python)
        } else if rest("nodejs").and_then(|rest| rest.strip_suffix(".x")).is_some_and(number) {
            Some(Self::Node)
        } else if rest("java").is_some_and(|rest| number(rest.strip_suffix(".al2").unwrap_or(rest)))
        {
            Some(Self::Java)
        } else if rest("dotnetcore").is_some_and(version) || rest("dotnet").is_some_and(number) {
            Some(Self::Dotnet)
        } else if rest("ruby").is_some_and(version) {
            Some(Self::Ruby)
        } else {
            None
        }
    }

    /// Whether it is one of Lambda's own runtimes, not one that the package brings.
    #[must_use]
    pub fn is_managed(self) -> bool {
        self != Self::Provided
    }

    /// Whether the supervisor is known to start it for several tasks of one function.
    #[must_use]
    pub fn starts_beside_others(self) -> bool {
        matches!(self, Self::Provided | Self::Python | Self::Node)
    }
}

/// Those of these runtimes that are Lambda's own.
pub fn managed<'r>(runtimes: impl IntoIterator<Item = &'r str>) -> BTreeSet<&'r str> {
    let is_managed = |runtime: &&str| Family::of(runtime).is_some_and(Family::is_managed);
    runtimes.into_iter().filter(is_managed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lambdas() {
        use Family::{Dotnet, Go, Java, Node, Provided, Python, Ruby};
        for (runtime, family) in [
            ("provided.al2023", Some(Provided)),
            ("provided.al2", Some(Provided)),
            ("python3.9", Some(Python)),
            ("python3.13", Some(Python)),
            ("nodejs20.x", Some(Node)),
            ("java21", Some(Java)),
            ("java8.al2", Some(Java)),
            ("dotnet8", Some(Dotnet)),
            ("dotnetcore3.1", Some(Dotnet)),
            ("ruby3.3", Some(Ruby)),
            ("go1.x", Some(Go)),
            ("python", None),
            ("python3", None),
            ("python3.", None),
            ("nodejs20", None),
            ("nodejs.x", None),
            ("java", None),
            ("provided", None),
            ("Python3.12", None),
            ("", None),
        ] {
            assert_eq!(Family::of(runtime), family, "{runtime}");
        }
    }
}
