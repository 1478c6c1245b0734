//! Clients for a Lambda endpoint: AWS itself or anything that speaks its APIs.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;

/// Clients for one endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Lambda.
    pub lambda: aws_sdk_lambda::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Its address.
    pub url: String,
}

impl Endpoint {
    /// The endpoint at a URL that is not AWS's: the local backend or an emulator. They take any
    /// credentials, so made-up ones are sent and the user's own never leave this process.
    pub async fn at(url: &str) -> Self {
        let made_up = Credentials::new("local", "local", None, None, "fuseline");
        let region = std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned());
        let config = aws_config::defaults(BehaviorVersion::latest())
            .credentials_provider(made_up)
            .region(Region::new(region))
            .endpoint_url(url)
            .load()
            .await;
        Self {
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            url: url.to_owned(),
        }
    }
}
