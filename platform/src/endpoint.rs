//! Clients for a Lambda endpoint: AWS itself or anything that speaks its APIs.

mod patience;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_lambda::error::DisplayErrorContext;

use self::patience::Patience;
use crate::deploy::aws_message;
use crate::log_reader::LogWay;

/// Times that the SDK sends a request that is throttled, unanswered or met by a fault of the service, unless
/// `AWS_MAX_ATTEMPTS` says otherwise; with its pauses up to about half a minute.
const ATTEMPTS: u32 = 6;
/// Longer than any invocation takes.
const LONGEST_ANSWER: Duration = Duration::from_secs(930);
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// Region of a server that stands for AWS, if nobody says one.
const USUAL_REGION: &str = "us-east-1";
const PAUSE: Duration = Duration::from_secs(15);
const PAUSE_EMULATED: Duration = Duration::from_millis(500);

/// Clients for one endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Lambda.
    pub lambda: aws_sdk_lambda::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// How logs are read.
    pub(crate) log_way: LogWay,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// Its address, or `aws` with the region.
    pub url: String,
    /// How AWS is reached, for services beside these.
    pub(crate) settings: AwsSettings,
    /// What distinguishes it from other accounts, regions and endpoints, fit for a folder's name.
    pub place: String,
}

/// How AWS is reached; what is none is found as every AWS tool does.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// Address of another server that stands for AWS.
    pub endpoint: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Profile of the shared configuration files.
    pub profile: Option<String>,
}

/// How a service is reached that none of the clients is for.
pub(crate) struct Reach {
    pub(crate) config: SdkConfig,
    pub(crate) credentials: Credentials,
    pub(crate) region: Option<String>,
    /// Where it is, if something says that.
    pub(crate) url: Option<String>,
}

/// Why AWS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No region is configured.
    #[error("no AWS region is configured")]
    NoRegion,
    /// The configuration files have no such profile.
    #[error("the AWS configuration files have no profile `{name}`")]
    NoProfile {
        /// The one that is wanted.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// There are no credentials, or they cannot be had.
    #[error("there are no usable AWS credentials: {0}")]
    NoCredentials(String),
    /// AWS does not take the credentials.
    #[error("AWS does not accept the credentials: {0}")]
    Rejected(String),
    /// No answer comes from AWS.
    #[error("AWS cannot be reached: {0}")]
    Unreachable(String),
}

impl AwsSettings {
    /// The SDK's usual chain with region and profile as they are wanted.
    pub(crate) fn loader(&self) -> ConfigLoader {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(LONGEST_CONNECT)
            .read_timeout(LONGEST_ANSWER)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
        if std::env::var_os("AWS_MAX_ATTEMPTS").is_none() {
            loader = loader.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader
    }

    /// How a service beside the clients' is reached: at the address that an environment variable of its own gives, else
    /// where the others are. A server without TLS that stands for all of AWS gets made-up credentials, as it does from
    /// the clients.
    pub(crate) async fn reach(&self, variable: &str) -> Result<Reach, CredentialsError> {
        let config = self.loader().load().await;
        let own = std::env::var(variable).ok();
        let given = self.endpoint.clone();
        let is_emulated = own.is_none() && given.as_deref().is_some_and(stands_for_aws);
        let region = config.region().map(ToString::to_string);
        let (credentials, region) = match config.credentials_provider() {
            _ if is_emulated => (made_up(), region.or_else(|| Some(USUAL_REGION.to_owned()))),
            Some(provider) => (provider.provide_credentials().await?, region),
            None => return Err(CredentialsError::not_loaded_no_source()),
        };
        let url = own.or(given).or_else(|| config.endpoint_url().map(str::to_owned));
        Ok(Reach { config, credentials, region, url })
    }

    /// Checks that the profile exists that is asked for: without this it would be region or credentials that are
    /// missing.
    async fn check_profile(&self) -> Result<(), AwsError> {
        let from_environment = || std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        let Some(name) = self.profile.clone().or_else(from_environment) else { return Ok(()) };
        let (files, real) = (Default::default(), Default::default());
        let profiles = aws_config::profile::load(&real, &Default::default(), &files, None).await;
        let profiles = profiles.map_err(|error| {
            AwsError::NoCredentials(without_debug(&DisplayErrorContext(&error).to_string()))
        })?;
        match profiles.get_profile(&name) {
            Some(_) => Ok(()),
            None => {
                let mut known: Vec<String> = profiles.profiles().map(str::to_owned).collect();
                known.sort();
                Err(AwsError::NoProfile { name, known })
            }
        }
    }
}

impl AwsError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NoRegion => "name one with --region, AWS_REGION, or `aws configure`".into(),
            Self::NoProfile { known, .. } if known.is_empty() => {
                "make it with `aws configure --profile`, or leave --profile and AWS_PROFILE out".into()
            }
            Self::NoProfile { known, .. } => format!(
                "name one of {} with --profile or AWS_PROFILE, or make it with `aws configure --profile`",
                known.join(", ")
            ),
            Self::NoCredentials(message) if message.to_lowercase().contains("sso") => {
                "sign in again: aws sso login, with --profile if you use one".into()
            }
            Self::NoCredentials(_) => "sign in (aws configure, aws sso login), name a profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into(),
            Self::Rejected(message) => crate::access::next_step(message)
                .unwrap_or_else(|| "check the credentials: aws sts get-caller-identity".into()),
            Self::Unreachable(_) => "check the network and --region, and run the command again".into(),
        }
    }
}

impl Endpoint {
    /// The endpoint at a URL that is not AWS's: the local backend or an emulator. They take any
    /// credentials, so made-up ones are sent and the user's own never leave this process.
    pub async fn at(url: &str) -> Self {
        Self::emulated(AwsSettings::default(), url).await
    }

    /// AWS, with region, profile and credentials found as every AWS tool does. Another endpoint without TLS is
    /// taken for an emulator and gets made-up credentials, because everybody on the way could read a session token.
    ///
    /// # Errors
    /// If there is no region, or there are no credentials that AWS accepts.
    pub async fn aws(settings: AwsSettings) -> Result<Self, AwsError> {
        let endpoint = settings.endpoint.clone();
        if let Some(url) = endpoint.as_deref().filter(|url| stands_for_aws(url)) {
            return Ok(Self::emulated(settings, url).await);
        }
        settings.check_profile().await?;
        let loader = settings.loader();
        let loader = match &endpoint {
            Some(url) => loader.endpoint_url(url),
            None => loader,
        };
        let config = loader.load().await;
        let region = config.region().ok_or(AwsError::NoRegion)?.to_string();
        let provider = config.credentials_provider();
        let provider = provider.ok_or_else(|| AwsError::NoCredentials("none is set up".into()))?;
        provider.provide_credentials().await.map_err(|error| {
            AwsError::NoCredentials(without_debug(&DisplayErrorContext(&error).to_string()))
        })?;
        let place = match &endpoint {
            Some(url) => named(url, &region),
            // Everybody may ask who they are. It shows early what is wrong with credentials, and the journals of
            // different accounts must not be mixed.
            None => {
                let patient = aws_sdk_sts::config::Builder::from(&config)
                    .interceptor(Patience::from_environment());
                let client = aws_sdk_sts::Client::from_conf(patient.build());
                let known =
                    client.get_caller_identity().send().await.map_err(|error| {
                        match error.as_service_error() {
                            Some(_) => AwsError::Rejected(aws_message(&error)),
                            None => AwsError::Unreachable(aws_message(&error)),
                        }
                    })?;
                format!("{}-{region}", known.account().unwrap_or_default())
            }
        };
        let url = endpoint.unwrap_or_else(|| format!("aws {region}"));
        Ok(Self::new(&config, settings, url, place))
    }

    /// Whether something else stands for AWS there.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        stands_for_aws(&self.url)
    }

    /// Pause between two looks at logs that grow. On AWS they are seconds late, and reading them has a price.
    pub(crate) fn pause(&self) -> Duration {
        if self.is_emulated() { PAUSE_EMULATED } else { PAUSE }
    }

    async fn emulated(settings: AwsSettings, url: &str) -> Self {
        let region = settings.region.clone().or_else(|| std::env::var("AWS_REGION").ok());
        let region = region.unwrap_or_else(|| USUAL_REGION.to_owned());
        let place = named(url, &region);
        let loader = settings.loader().credentials_provider(made_up()).region(Region::new(region));
        let config = loader.endpoint_url(url).load().await;
        Self::new(&config, settings, url.to_owned(), place)
    }

    fn new(config: &SdkConfig, settings: AwsSettings, url: String, place: String) -> Self {
        let patience = Patience::from_environment();
        let lambda = aws_sdk_lambda::config::Builder::from(config).interceptor(patience);
        let iam = aws_sdk_iam::config::Builder::from(config).interceptor(patience);
        let logs = aws_sdk_cloudwatchlogs::config::Builder::from(config).interceptor(patience);
        Self {
            lambda: aws_sdk_lambda::Client::from_conf(lambda.build()),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs.build()),
            log_way: LogWay::from_environment(),
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            settings,
            url,
            place,
        }
    }
}

/// Whether an address is that of a server that stands for AWS: it has no TLS.
fn stands_for_aws(url: &str) -> bool {
    url.starts_with("http://")
}

/// What such a server gets: it takes any, and everybody on the way could read the user's own.
fn made_up() -> Credentials {
    Credentials::new("local", "local", None, None, "fuseline")
}

/// A folder's name for an endpoint.
fn named(url: &str, region: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    format!("{}-{region}", host.chars().map(plain).collect::<String>())
}

/// The SDK's text of an error without the debug print at its end.
fn without_debug(text: &str) -> String {
    text.split(" (").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folder_names() {
        assert_eq!(named("http://127.0.0.1:4566/", "eu-west-1"), "127.0.0.1-4566-eu-west-1");
        assert_eq!(named("https://a.b/c/../d", "x"), "a.b-c-..-d-x");
    }
}
