//! Buckets of S3: how they are named, and how they are reached.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, RetryConfig};

use crate::endpoint::{AwsSettings, Reach};

/// Longest that one request may take, in seconds: an upload of 250 MB over a slow line.
const LONGEST_REQUEST: Duration = Duration::from_secs(900);

/// A bucket and what keys in it start with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What keys start with, without slashes at the ends; may be empty.
    pub prefix: String,
}

/// A text names no bucket.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BucketError {
    /// S3 has no buckets of that name.
    #[error(
        "`{0}` is no name of a bucket: 3 to 63 lowercase letters, digits, dots and hyphens, with a letter or digit at both ends"
    )]
    Name(String),
    /// Keys cannot start so.
    #[error(
        "`{0}` is no prefix: write names of letters, digits and -_.=, with slashes between them"
    )]
    Prefix(String),
}

/// Why a bucket cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// Nobody says who the user is.
    #[error("there are no usable credentials")]
    Credentials(#[from] CredentialsError),
    /// The SDK's configuration names no region.
    #[error("it needs a region, such as AWS_REGION")]
    NoRegion,
    /// The client cannot be made.
    #[error("it cannot be used")]
    Store(#[from] object_store::Error),
}

impl Bucket {
    /// A key below the prefix.
    #[must_use]
    pub(crate) fn key(&self, rest: &str) -> String {
        match self.prefix.as_str() {
            "" => rest.to_owned(),
            prefix => format!("{prefix}/{rest}"),
        }
    }
}

impl FromStr for Bucket {
    type Err = BucketError;

    /// Reads `NAME`, `NAME/PREFIX` or either after `s3://`.
    fn from_str(text: &str) -> Result<Self, BucketError> {
        let text = text.strip_prefix("s3://").unwrap_or(text);
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (3..=63).contains(&name.len())
            && name.chars().all(|c| is_plain(c) || c == '.' || c == '-')
            && name.starts_with(is_plain)
            && name.ends_with(is_plain);
        if !fits {
            return Err(BucketError::Name(name.to_owned()));
        }
        let prefix = prefix.trim_end_matches('/');
        // So plain that no client, policy or console writes them otherwise.
        let is_segment = |it: &str| {
            let all = it.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=".contains(c));
            !it.is_empty() && it != "." && it != ".." && all
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_segment) || prefix.len() > 512 {
            return Err(BucketError::Prefix(prefix.to_owned()));
        }
        Ok(Self { name: name.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => f.write_str(&self.name),
            prefix => write!(f, "{}/{prefix}", self.name),
        }
    }
}

/// A client for a bucket.
pub(crate) async fn client(name: &str, aws: &AwsSettings) -> Result<AmazonS3, ReachError> {
    let Reach { config, credentials, region, url } = aws.reach("AWS_ENDPOINT_URL_S3").await?;
    let region = region.ok_or(ReachError::NoRegion)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(region)
        .with_access_key_id(credentials.access_key_id())
        .with_secret_access_key(credentials.secret_access_key())
        .with_client_options(ClientOptions::new().with_timeout(LONGEST_REQUEST))
        .with_retry(retries(&config));
    if let Some(token) = credentials.session_token() {
        builder = builder.with_token(token);
    }
    if let Some(endpoint) = url {
        // A server of this machine speaks plain HTTP.
        builder = builder.with_endpoint(endpoint).with_allow_http(true);
    }
    Ok(builder.build()?)
}

/// As often as the SDK's clients try.
fn retries(config: &SdkConfig) -> RetryConfig {
    let attempts = config.retry_config().map_or(1, |it| it.max_attempts()) as usize;
    let max_retries = attempts.saturating_sub(1);
    RetryConfig { max_retries, retry_timeout: LONGEST_REQUEST, ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_named_with_or_without_a_prefix() {
        let bucket = |text: &str| text.parse::<Bucket>();
        let shop = Bucket { name: "shop".into(), prefix: String::new() };
        assert_eq!(bucket("shop"), Ok(shop.clone()));
        assert_eq!((bucket("s3://shop/"), shop.key("a")), (Ok(shop), "a".to_owned()));
        let below = bucket("s3://shop.code-1/team/x=1/").unwrap();
        assert_eq!((below.name.as_str(), below.prefix.as_str()), ("shop.code-1", "team/x=1"));
        assert_eq!(below.key("a/b"), "team/x=1/a/b");
        assert_eq!(below.to_string().parse(), Ok(below));
        for text in ["", "ab", "Shop", "shop-", ".shop", "s3://", "/x", &"a".repeat(64), "http://x"]
        {
            assert!(matches!(bucket(text), Err(BucketError::Name(_))), "{text}");
        }
        for text in ["shop/a//b", "shop//a", "shop/../a", "shop/a b", "shop/ä", "shop/%2e"] {
            assert!(matches!(bucket(text), Err(BucketError::Prefix(_))), "{text}");
        }
    }
}
