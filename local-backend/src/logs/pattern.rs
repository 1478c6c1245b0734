//! CloudWatch's filter patterns, as far as they consist of plain terms.

/// A filter pattern: terms that must all occur, terms of which one must, and terms that must not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

/// A pattern that is not made of plain terms.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the local backend filters by plain terms only, not by `{0}`")]
pub(crate) struct PatternError(String);

impl Pattern {
    /// Reads `word "two words" -without ?either ?or`.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pattern = Self::default();
        let mut rest = text.trim_start();
        if rest.starts_with(['{', '[', '%']) {
            return Err(PatternError(text.to_owned()));
        }
        while !rest.is_empty() {
            let (terms, after_sign) = match rest.as_bytes()[0] {
                b'-' => (&mut pattern.none, &rest[1..]),
                b'?' => (&mut pattern.any, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, after) = match after_sign.strip_prefix('"') {
                Some(quoted) => {
                    quoted.split_once('"').ok_or_else(|| PatternError(text.to_owned()))?
                }
                None => after_sign.split_once(char::is_whitespace).unwrap_or((after_sign, "")),
            };
            if !term.is_empty() {
                terms.push(term.to_owned());
            }
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    /// Terms of which one must occur.
    pub(crate) fn any_of(terms: Vec<String>) -> Self {
        Self { any: terms, ..Self::default() }
    }

    /// Whether a message has the terms.
    pub(crate) fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| message.contains(term))
            && (self.any.is_empty() || self.any.iter().any(|term| message.contains(term)))
            && !self.none.iter().any(|term| message.contains(term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_terms_filter() {
        for (pattern, message, expect) in [
            ("", "anything", true),
            ("REPORT", "REPORT RequestId: 1", true),
            ("REPORT", "START RequestId: 1", false),
            ("REPORT timeout", "REPORT Status: timeout", true),
            ("REPORT timeout", "REPORT Status: error", false),
            ("\"Status: error\"", "REPORT Status: error", true),
            ("\"Status: error\"", "error Status:", false),
            ("REPORT -timeout", "REPORT Status: timeout", false),
            ("?START ?END", "END RequestId: 1", true),
            ("?START ?END", "REPORT RequestId: 1", false),
        ] {
            let got = Pattern::parse(pattern).unwrap().matches(message);
            assert_eq!(got, expect, "{pattern} on {message}");
        }
    }

    #[test]
    fn other_patterns_are_refused() {
        for pattern in ["{ $.a = 1 }", "[ip, user]", "%AUTH%", "\"open"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
