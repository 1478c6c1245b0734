//! Names of managed runtimes.

use super::error::RuntimeError;

/// Whether a function of this runtime brings its own `bootstrap`.
pub(crate) fn is_custom(runtime: &str) -> bool {
    runtime == "provided" || runtime.starts_with("provided.")
}

/// Languages whose managed runtimes run here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Language {
    Python,
    Node,
}

impl Language {
    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node.js",
        }
    }
}

/// Name of a managed runtime, such as `python3.12` or `nodejs20.x`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RuntimeName {
    pub(crate) text: String,
    pub(crate) language: Language,
    /// What follows the language: `3.12`, `20`.
    pub(crate) version: String,
}

impl RuntimeName {
    /// Reads a name.
    pub(crate) fn parse(text: &str) -> Result<Self, RuntimeError> {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let python = text.strip_prefix("python");
        let python = python.filter(|rest| rest.strip_prefix("3.").is_some_and(number));
        let node = text.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x"));
        let (language, version) = match (python, node.filter(|rest| number(rest))) {
            (Some(version), _) => (Language::Python, version),
            (None, Some(version)) => (Language::Node, version),
            (None, None) => return Err(RuntimeError::Unknown(text.to_owned())),
        };
        Ok(Self { text: text.to_owned(), language, version: version.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lambdas() {
        for (text, language, version) in
            [("python3.12", Language::Python, "3.12"), ("nodejs20.x", Language::Node, "20")]
        {
            let name = RuntimeName::parse(text).unwrap();
            assert_eq!((name.language, name.version.as_str()), (language, version));
        }
        for text in ["python", "python2.7", "python3.", "nodejs20", "nodejs.x", "java21", "../x"] {
            let error = RuntimeName::parse(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(is_custom("provided") && is_custom("provided.al2023") && !is_custom("python3.12"));
    }
}
