//! Builds container images with Docker's program and pushes them with its Engine API. The program could push, too, but
//! it takes passwords only from a file.

use std::path::Path;
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use optimizer::gate::Architecture;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

use crate::ecr::Login;
use crate::registry::is_digest;
use crate::repository::Repository;

/// Where the engine listens if nothing else is said.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Keeps newer builders from packing statements about the build beside the image, which Lambda refuses.
const NO_ATTESTATIONS: (&str, &str) = ("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");

/// What identifies an image of this machine; none if it is not here.
pub(crate) async fn image_id(reference: &str) -> Option<String> {
    said(&["image", "inspect", "--format", "{{.Id}}", reference]).await
}

/// Has an image on this machine; returns what identifies it.
pub(crate) async fn pulled(reference: &str) -> Result<String, String> {
    if let Some(id) = image_id(reference).await {
        return Ok(id);
    }
    let pulled = output(&["pull", "--quiet", reference]).await;
    let pulled = pulled.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&pulled.stderr).trim().to_owned();
    image_id(reference).await.ok_or(said)
}

/// Whether Docker can be used, and else why not.
pub(crate) async fn check() -> Result<(), String> {
    match output(&["version", "--format", "{{.Server.Version}}"]).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("the program `docker` cannot be started: {error}")),
    }
}

/// Builds the image in a folder on a base and gives it a name; what Docker prints goes to standard error.
pub(crate) async fn build(
    folder: &Path,
    base: &str,
    name: &str,
    architecture: Architecture,
) -> Result<(), String> {
    let mut build = Command::new("docker");
    build.args(["build", "--tag", name, "--build-arg", &format!("BASE={base}")]);
    let (here, platform) = match architecture {
        Architecture::X86_64 => ("x86_64", "linux/amd64"),
        Architecture::Arm64 => ("aarch64", "linux/arm64"),
    };
    if std::env::consts::ARCH != here {
        build.args(["--platform", platform]);
    }
    let (variable, value) = NO_ATTESTATIONS;
    let built = build
        .arg(folder)
        .env(variable, value)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .await;
    match built {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`docker build` failed ({status}); it says above why")),
        Err(error) => Err(format!("the program `docker` cannot be started: {error}")),
    }
}

/// Pushes an image that is here to its repository; returns its digest there. The engine sends no layer that is there
/// already, and sends one again if the connection is lost.
pub(crate) async fn push(
    repository: &Repository,
    tag: &str,
    login: Option<&Login>,
) -> Result<String, String> {
    let auth = match login {
        Some(Login { user, password }) => {
            json!({ "username": user, "password": password, "serveraddress": repository.host })
        }
        None => json!({}),
    };
    let auth = URL_SAFE.encode(auth.to_string());
    let host = said(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).await;
    let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| DEFAULT_HOST.to_owned());
    let request = Request::post(format!("/images/{repository}/push?tag={tag}"))
        .header("Host", "docker")
        .header("X-Registry-Auth", auth)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let gone = |error: std::io::Error| format!("Docker does not answer at {host}: {error}");
    if let Some(path) = host.strip_prefix("unix://") {
        progress(UnixStream::connect(path).await.map_err(gone)?, request).await
    } else if let Some(address) = host.strip_prefix("tcp://") {
        progress(TcpStream::connect(address).await.map_err(gone)?, request).await
    } else {
        Err(format!(
            "Docker is at {host}, from where images cannot be pushed; use an engine on this machine (docker context use, DOCKER_HOST)"
        ))
    }
}

/// Sends the request and follows what the engine tells of its progress, up to the digest.
async fn progress<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: hyper::Error| format!("the connection to Docker broke off: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(failed)?;
    let status = answer.status();
    let mut body: Incoming = answer.into_body();
    let mut lines = Lines::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(failed)?.into_data() {
            lines.read(&data);
        }
    }
    connection.abort();
    lines.read(b"\n");
    match (lines.error, lines.digest) {
        (Some(error), _) => Err(error),
        (None, Some(digest)) if status.is_success() => Ok(digest),
        _ => Err(format!("Docker answers {status} without a digest")),
    }
}

/// The engine's lines of JSON as they arrive.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    digest: Option<String>,
    error: Option<String>,
}

impl Lines {
    fn read(&mut self, data: &[u8]) {
        self.rest.extend_from_slice(data);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let Ok(line) = serde_json::from_slice::<Value>(&line) else { continue };
            if let Some(digest) = line["aux"]["Digest"].as_str().filter(|it| is_digest(it)) {
                self.digest = Some(digest.to_owned());
            }
            // An answer without success has a message only.
            if let Some(error) = line["error"].as_str().or(line["message"].as_str()) {
                self.error = Some(error.to_owned());
            }
        }
    }
}

/// What comes of Docker's program.
async fn output(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("docker").args(arguments).stdin(Stdio::null()).output().await
}

/// What Docker's program prints; none if it fails.
async fn said(arguments: &[&str]) -> Option<String> {
    let output = output(arguments).await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_lines_in_pieces() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = format!(
            "{{\"status\":\"Pushed\"}}\r\n{{\"aux\":{{\"Tag\":\"t\",\"Digest\":\"{digest}\",\"Size\":1}}}}\r\n"
        );
        let mut lines = Lines::default();
        for piece in text.as_bytes().chunks(7) {
            lines.read(piece);
        }
        assert_eq!((lines.digest, lines.error), (Some(digest), None));
    }

    #[test]
    fn errors_are_read_from_lines_and_answers() {
        for text in ["{\"errorDetail\":{},\"error\":\"denied\"}\n", "{\"message\":\"denied\"}\n"] {
            let mut lines = Lines::default();
            lines.read(text.as_bytes());
            assert_eq!(lines.error.as_deref(), Some("denied"), "{text}");
        }
    }
}
