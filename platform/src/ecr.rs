//! The password for images in ECR. One request, signed here: the SDK's crate for all of ECR would cost a minute of
//! every build.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::download;
use crate::endpoint::{AwsSettings, Reach};
use crate::repository::Repository;

const OPERATION: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

/// A name and a password that a registry takes. It is never written anywhere.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The login for a repository of ECR in a region; what the service said if it gives none.
pub(crate) async fn login(
    repository: &Repository,
    region: &str,
    aws: &AwsSettings,
) -> Result<Login, String> {
    let reach = aws.reach("AWS_ENDPOINT_URL_ECR").await;
    let Reach { credentials, url, .. } =
        reach.map_err(|error| format!("there are no usable AWS credentials: {error}"))?;
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = url.unwrap_or_else(|| format!("https://api.ecr.{region}.{domain}"));
    let body = json!({ "registryIds": [repository.account()] }).to_string();
    let request = signed(&url, body, credentials, region)?;
    let answer = download::client().request(request).await;
    let answer = answer.map_err(|error| format!("{url} does not answer: {error}"))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let code = answer["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let message = answer["message"].as_str().or(answer["Message"].as_str());
        return Err(format!("{code}: {} ({status})", message.unwrap_or("no reason is given")));
    }
    read(&answer).ok_or_else(|| "ECR's answer has no password in it".to_owned())
}

fn signed(
    url: &str,
    body: String,
    credentials: Credentials,
    region: &str,
) -> Result<Request<Full<Bytes>>, String> {
    let url = format!("{}/", url.trim_end_matches('/'));
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", OPERATION)];
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ecr")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let content = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", url.as_str(), headers.into_iter(), content);
    let signable = signable.map_err(|error| error.to_string())?;
    let (instructions, _) =
        sign(signable, &parameters).map_err(|error| error.to_string())?.into_parts();
    let mut request = Request::post(&url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut request =
        request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// The token is user and password in base64.
fn read(answer: &Value) -> Option<Login> {
    let token = answer["authorizationData"][0]["authorizationToken"].as_str()?;
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request, which it returns.
    async fn answer_once(status: &str, body: &str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\"]}") {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the request ends");
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, served)
    }

    #[tokio::test]
    async fn the_password_comes_from_a_signed_request() {
        let repository: Repository =
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x".parse().unwrap();
        let token = STANDARD.encode("AWS:s3:cret");
        let body = json!({ "authorizationData": [{ "authorizationToken": token }] }).to_string();
        let (url, served) = answer_once("200 OK", &body).await;
        let aws = AwsSettings { endpoint: Some(url), ..AwsSettings::default() };
        let login = login(&repository, "eu-west-1", &aws).await.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("AWS", "s3:cret"));
        let request = served.await.unwrap();
        let scope = "/eu-west-1/ecr/aws4_request";
        assert!(request.contains("Credential=local/") && request.contains(scope), "{request}");
        assert!(request.contains(OPERATION) && request.contains("123456789012"), "{request}");
    }

    #[tokio::test]
    async fn what_ecr_refuses_is_said() {
        let repository: Repository =
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x".parse().unwrap();
        let body = "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}";
        let (url, _served) = answer_once("400 Bad Request", body).await;
        let aws = AwsSettings { endpoint: Some(url), ..AwsSettings::default() };
        let error = login(&repository, "eu-west-1", &aws).await.err().unwrap();
        assert!(error.starts_with("AccessDeniedException: no"), "{error}");
    }
}
