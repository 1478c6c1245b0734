//! Requests that leave the instance: signed again, because their first signature is for a loopback
//! port, and sent to Lambda or to the endpoint that stands for it.

use std::sync::OnceLock;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::settings::Settings;

/// Headers that belong to the first signature or to the connection the request came on.
const REPLACED: [HeaderName; 8] = [
    HOST,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-content-sha256"),
];

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests to the Lambda API in the function's name.
pub(crate) struct Forwarder {
    endpoint: Option<Uri>,
    credentials: Option<Credentials>,
    region: Option<String>,
    /// Made for the first request that needs it: loading the root certificates takes a millisecond
    /// of a cold start.
    client: OnceLock<HttpsClient>,
}

/// A request to the Lambda API.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Path with query, from the root of the API.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Region it was first signed for.
    pub(crate) region: Option<String>,
}

/// Why a request did not reach the Lambda API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error(
        "the function has no credentials to sign the call with; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    #[error("the call names no region and neither does AWS_REGION")]
    NoRegion,
    #[error("the request cannot be passed on: {0}")]
    Request(#[from] http::Error),
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] SigningError),
    #[error("the signature needs a setting it was not given: {0}")]
    Parameters(#[from] v4::signing_params::BuildError),
    #[error("no answer from {endpoint}: {source}")]
    Send { endpoint: String, source: hyper_util::client::legacy::Error },
}

impl Forwarder {
    /// A forwarder with the function's own credentials.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            endpoint: settings.endpoint.clone(),
            credentials: settings.credentials.clone(),
            region: settings.region.clone(),
            client: OnceLock::new(),
        }
    }

    /// Whether a request signed with `key` was signed in the function's name.
    pub(crate) fn is_own_key(&self, key: &str) -> bool {
        self.credentials.as_ref().is_none_or(|own| own.access_key_id() == key)
    }

    /// Signs a request and sends it.
    ///
    /// # Errors
    /// If it cannot be signed or no answer comes back.
    pub(crate) async fn send(
        &self,
        outgoing: Outgoing,
    ) -> Result<Response<Incoming>, ForwardError> {
        let region = outgoing.region.as_deref().or(self.region.as_deref());
        let region = region.ok_or(ForwardError::NoRegion)?.to_owned();
        let base = match &self.endpoint {
            Some(endpoint) => endpoint.to_string(),
            None => format!("https://lambda.{region}.{}", domain(&region)),
        };
        let uri: Uri = format!("{}{}", base.trim_end_matches('/'), outgoing.path)
            .parse()
            .map_err(http::Error::from)?;
        let mut headers = outgoing.headers;
        for name in &REPLACED {
            headers.remove(name);
        }
        let body = outgoing.body.clone();
        let mut request =
            Request::builder().method(outgoing.method).uri(uri).body(Full::new(body))?;
        *request.headers_mut() = headers;
        self.sign(&mut request, &outgoing.body, &region)?;
        let client = self.client.get_or_init(client);
        client
            .request(request)
            .await
            .map_err(|source| ForwardError::Send { endpoint: base, source })
    }

    fn sign(
        &self,
        request: &mut Request<Full<Bytes>>,
        body: &[u8],
        region: &str,
    ) -> Result<(), ForwardError> {
        let credentials = self.credentials.as_ref().ok_or(ForwardError::NoCredentials)?;
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let uri = request.uri().to_string();
        // A header that is not text cannot be signed, and need not be.
        let headers = request
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            request.method().as_str(),
            uri,
            headers,
            SignableBody::Bytes(body),
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

/// The domain of AWS in a region's partition.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn client() -> HttpsClient {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)
}

/// What the first signature of a request says: `Credential=KEY/date/region/lambda/aws4_request`.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Scope {
    pub(crate) key: Option<String>,
    pub(crate) region: Option<String>,
}

impl Scope {
    /// Reads it; both parts are missing if the request is not signed.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some((_, scope)) = text.split_once("Credential=") else { return Self::default() };
        let scope = scope.split([',', ' ']).next().unwrap_or_default();
        let parts: Vec<&str> = scope.split('/').collect();
        Self {
            key: parts.first().map(|key| (*key).to_owned()),
            region: match parts.as_slice() {
                [_, _, region, "lambda", _] => Some((*region).to_owned()),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_scope_of_a_signature_is_read() {
        let check = |text: &'static str, key: Option<&str>, region: Option<&str>| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(text))]);
            let got = Scope::of(&headers);
            assert_eq!((got.key.as_deref(), got.region.as_deref()), (key, region), "{text}");
        };
        check(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=00",
            Some("AKID"),
            Some("eu-west-1"),
        );
        check(
            "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260101/lambda/aws4_request, Signature=00",
            Some("AKID"),
            None,
        );
        check("Bearer x", None, None);
        assert_eq!(Scope::of(&HeaderMap::new()), Scope::default());
    }
}
