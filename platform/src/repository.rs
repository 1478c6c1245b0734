//! Repositories of container images: how they are named.

use std::fmt;
use std::str::FromStr;

/// Longest tag that registries take, in characters.
const LONGEST_TAG: usize = 128;

/// A repository of a registry, such as `123456789012.dkr.ecr.eu-west-1.amazonaws.com/fuseline`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repository {
    /// The registry, with a port if it has one.
    pub host: String,
    /// Its name there.
    pub name: String,
}

/// A text names no repository.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no repository: write registry and name, without tag, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/fuseline"
)]
pub struct RepositoryError(String);

impl Repository {
    /// The region of AWS whose ECR it is in; none if it is elsewhere.
    #[must_use]
    pub fn ecr_region(&self) -> Option<&str> {
        let (account, rest) = self.host.split_once(".dkr.ecr")?;
        let region = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?;
        let region = region
            .strip_suffix(".amazonaws.com")
            .or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
        let is_account = account.len() == 12 && account.bytes().all(|it| it.is_ascii_digit());
        (is_account && !region.contains('.')).then_some(region)
    }

    /// The account of AWS whose ECR it is in.
    pub(crate) fn account(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    /// Where the registry's API is. As for Docker, one on this machine speaks plain HTTP.
    pub(crate) fn url(&self) -> String {
        let host = self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host);
        let is_here = host == "localhost" || host.starts_with("127.");
        format!("{}://{}", if is_here { "http" } else { "https" }, self.host)
    }
}

impl FromStr for Repository {
    type Err = RepositoryError;

    fn from_str(text: &str) -> Result<Self, RepositoryError> {
        let wrong = || RepositoryError(text.to_owned());
        let (host, name) = text.split_once('/').ok_or_else(wrong)?;
        // As Docker tells registries from names.
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        let is_part = |part: &str| {
            let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let inner = |c: char| end(c) || "._-".contains(c);
            part.starts_with(end) && part.ends_with(end) && part.chars().all(inner)
        };
        let fits = is_host && host.chars().all(plain) && !host.starts_with([':', '.', '-']);
        if !fits || !name.split('/').all(is_part) || name.len() > 256 {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

/// The tag of a function's image: workflow, root task and a hash of the image's content.
pub(crate) fn tag(workflow: &str, root: &str, hash: &str) -> String {
    let mut tag = format!("{workflow}-{root}");
    tag.truncate(LONGEST_TAG - 1 - hash.len());
    // A tag starts with a letter, a digit or an underscore.
    let tag = tag.trim_start_matches('-');
    format!("{tag}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_registry_and_name() {
        let parse = |text: &str| text.parse::<Repository>();
        let ecr = parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/fuseline").unwrap();
        assert_eq!((ecr.ecr_region(), ecr.account()), (Some("eu-west-1"), "123456789012"));
        assert_eq!(ecr.name, "team/fuseline");
        assert_eq!(ecr.url(), "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com");
        let china = parse("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/x").unwrap();
        assert_eq!(china.ecr_region(), Some("cn-north-1"));
        let here = parse("127.0.0.1:5000/x").unwrap();
        assert_eq!((here.ecr_region(), here.url()), (None, "http://127.0.0.1:5000".into()));
        assert_eq!(here.to_string().parse(), Ok(here));
        for elsewhere in ["evil.com.dkr.ecr.eu-west-1.amazonaws.com/x", "public.ecr.aws/a/b"] {
            assert_eq!(parse(elsewhere).unwrap().ecr_region(), None, "{elsewhere}");
        }
        let evil = parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.com/x").unwrap();
        assert_eq!(evil.ecr_region(), None);
        for text in [
            "",
            "fuseline",
            "team/fuseline",
            "a.b/",
            "a.b/X",
            "a.b/x:tag",
            "https://a.b/x",
            "a.b/x y",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_fit_whatever_the_names() {
        assert_eq!(tag("shop", "checkout", "0123"), "shop-checkout-0123");
        let long = "x".repeat(64);
        assert_eq!(tag(&long, &long, "0123456789ab").len(), 128);
        assert_eq!(tag("-a", "b", "01"), "a-b-01");
    }
}
