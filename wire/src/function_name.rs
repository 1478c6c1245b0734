//! The forms in which Lambda's API lets a function be named: `name`, `name:qualifier`,
//! `account:function:name` and a full ARN, each with or without a qualifier.

use std::fmt;

use percent_encoding::percent_decode_str;

/// A function named in a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FunctionName {
    /// Its name without anything else.
    pub name: String,
    /// Version or alias.
    pub qualifier: Option<String>,
    /// Twelve-digit account id, if the form names one.
    pub account: Option<String>,
    /// Region, if the form names one.
    pub region: Option<String>,
}

/// Why a text names no function.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is neither a function name nor a function ARN")]
pub struct FunctionNameError(pub String);

impl FunctionName {
    /// Reads a name as it stands in a request path, percent-encoded or not.
    ///
    /// # Errors
    /// If it has none of the four forms or its name has characters Lambda does not allow.
    pub fn parse(encoded: &str) -> Result<Self, FunctionNameError> {
        let refuse = || FunctionNameError(encoded.to_owned());
        let text = percent_decode_str(encoded).decode_utf8().map_err(|_| refuse())?;
        let parts: Vec<&str> = text.split(':').collect();
        let (region, account, rest) = match parts.as_slice() {
            ["arn", _, "lambda", region, account, "function", rest @ ..] => {
                (Some(*region), Some(*account), rest)
            }
            [account, "function", rest @ ..] => (None, Some(*account), rest),
            rest => (None, None, rest),
        };
        let (name, qualifier) = match rest {
            [name] => (*name, None),
            [name, qualifier] => (*name, Some(*qualifier)),
            _ => return Err(refuse()),
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !plain(name)
            || name.len() > 64
            || !qualifier.is_none_or(|q| plain(q.strip_prefix('$').unwrap_or(q)))
        {
            return Err(refuse());
        }
        Ok(Self {
            name: name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
        })
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.region, &self.account) {
            (Some(region), Some(account)) => {
                write!(f, "arn:aws:lambda:{region}:{account}:function:{}", self.name)?;
            }
            (_, Some(account)) => write!(f, "{account}:function:{}", self.name)?,
            _ => f.write_str(&self.name)?,
        }
        self.qualifier.iter().try_for_each(|qualifier| write!(f, ":{qualifier}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_prints() {
        for (text, name, qualifier, account, region) in [
            ("foo", "foo", None, None, None),
            ("foo:live", "foo", Some("live"), None, None),
            ("foo:$LATEST", "foo", Some("$LATEST"), None, None),
            ("123456789012:function:foo", "foo", None, Some("123456789012"), None),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:foo:7",
                "foo",
                Some("7"),
                Some("123456789012"),
                Some("eu-west-1"),
            ),
        ] {
            let got = FunctionName::parse(text).unwrap();
            let got_parts = (
                got.name.as_str(),
                got.qualifier.as_deref(),
                got.account.as_deref(),
                got.region.as_deref(),
            );
            assert_eq!(got_parts, (name, qualifier, account, region), "{text}");
            assert_eq!(got.to_string(), text);
        }
    }

    #[test]
    fn percent_encoded_paths_are_decoded() {
        let got = FunctionName::parse("foo%3Alive").unwrap();
        assert_eq!((got.name.as_str(), got.qualifier.as_deref()), ("foo", Some("live")));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "a b", "a:b:c", "arn:aws:s3:::bucket", "foo:", "../x", "%FF"] {
            assert!(FunctionName::parse(text).is_err(), "{text}");
        }
    }
}
