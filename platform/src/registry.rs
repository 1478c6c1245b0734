//! Asks a registry of container images what it has, by the registry API's second version.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION};
use hyper::{Method, Request, Response, StatusCode};

use crate::access;
use crate::digest::is_sha256_hex;
use crate::download;
use crate::ecr::{self, Login};
use crate::endpoint::AwsSettings;
use crate::repository::Repository;

/// What an image is described by, in Docker's words and in those of the Open Container Initiative.
const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";
/// Header with a manifest's digest.
const DIGEST: &str = "docker-content-digest";

/// A registry, ready to be asked.
pub(crate) struct Registry<'a> {
    repository: &'a Repository,
    login: Option<Login>,
}

impl<'a> Registry<'a> {
    /// The registry of a repository: in ECR with the user's credentials, elsewhere without any.
    pub(crate) async fn of(repository: &'a Repository, aws: &AwsSettings) -> Result<Self, String> {
        let login = match repository.ecr_region() {
            Some(region) => {
                let got = ecr::login(repository, region, aws).await;
                let named = |error: String| access::with_action(&error, "GetAuthorizationToken");
                Some(got.map_err(named)?)
            }
            None => None,
        };
        Ok(Self { repository, login })
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The digest of the image with a tag, such as `sha256:…`; none if there is no such image.
    pub(crate) async fn digest(&self, tag: &str) -> Result<Option<String>, String> {
        let answer = self.ask(Method::HEAD, &format!("manifests/{tag}")).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let digest = answer.headers().get(DIGEST).and_then(|it| it.to_str().ok());
                let digest = digest.filter(|it| is_digest(it)).map(str::to_owned);
                digest.map(Some).ok_or_else(|| format!("it gives `{tag}` no SHA-256"))
            }
            status => Err(self.refusal(status)),
        }
    }

    /// Checks that a repository of ECR exists. Other registries make them when they are needed.
    pub(crate) async fn check(&self) -> Result<(), String> {
        if self.login.is_none() {
            return Ok(());
        }
        match self.ask(Method::GET, "tags/list?n=1").await?.status() {
            StatusCode::NOT_FOUND => {
                let name = &self.repository.name;
                Err(format!(
                    "there is no repository `{name}`; make it with `aws ecr create-repository --repository-name {name}`"
                ))
            }
            status if status.is_success() => Ok(()),
            status => Err(self.refusal(status)),
        }
    }

    async fn ask(&self, method: Method, what: &str) -> Result<Response<Incoming>, String> {
        let Repository { name, .. } = self.repository;
        let url = format!("{}/v2/{name}/{what}", self.repository.url());
        let mut request = Request::builder().method(method).uri(url).header(ACCEPT, MANIFESTS);
        if let Some(Login { user, password }) = &self.login {
            let token = STANDARD.encode(format!("{user}:{password}"));
            request = request.header(AUTHORIZATION, format!("Basic {token}"));
        }
        let request = request.body(Full::<Bytes>::default()).map_err(|error| error.to_string())?;
        let answer = download::client().request(request).await;
        answer.map_err(|error| {
            let reason = std::error::Error::source(&error).map(|it| format!(": {it}"));
            format!("it does not answer{}", reason.unwrap_or_default())
        })
    }

    fn refusal(&self, status: StatusCode) -> String {
        match (status, &self.login) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(_)) => {
                "AccessDenied: it refuses these credentials (not authorized to perform: ecr:BatchGetImage)".to_owned()
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => {
                "it wants a password, and only ECR is given one; name a repository in ECR".to_owned()
            }
            _ => format!("it answers {status}"),
        }
    }
}

/// Whether it is a SHA-256 as registries write it.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_sha256_hex)
}
