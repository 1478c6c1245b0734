//! The Docker engine as one server uses it: a network, an image, and what is left to remove.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use tokio::sync::RwLock;

use crate::runtimes::HOST_LINKS;
use crate::sandbox::cgroup::Layout;

/// Label on everything a server makes in Docker; its value is the server's id.
pub(crate) const SERVER_LABEL: &str = "fuseline.server";
/// Longest an engine may take to say that it is there.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for containers that are being started, before everything is removed.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for containers to leave a network, and how often that is looked at.
const DETACH_LIMIT: Duration = Duration::from_secs(5);
const DETACH_PAUSE: Duration = Duration::from_millis(100);
/// Certificates of the host, so that functions can call the world.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Docker as one server uses it.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) layout: Layout,
    /// Held for reading while a container is being started. One that is killed in the middle of it
    /// can leave an end in the network that Docker then never removes.
    pub(crate) starting: RwLock<()>,
    server: String,
    gateway: IpAddr,
}

/// Why Docker cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("no engine answers ({0})")]
    NoAnswer(String),
    #[error("{0}")]
    Refused(#[from] Error),
    #[error("its network has no gateway address on this machine")]
    NoGateway,
}

/// Connects to the engine that `DOCKER_HOST` or the default socket leads to.
pub(crate) async fn connect() -> Result<Docker, EngineError> {
    let no_answer = |error: Error| EngineError::NoAnswer(error.to_string());
    let docker = Docker::connect_with_defaults().map_err(no_answer)?;
    match tokio::time::timeout(ANSWER_LIMIT, docker.negotiate_version()).await {
        Ok(docker) => docker.map_err(no_answer),
        Err(_) => Err(EngineError::NoAnswer(format!("nothing for {} s", ANSWER_LIMIT.as_secs()))),
    }
}

impl Engine {
    /// Makes the network and the image of a server; removes them if one of them fails.
    pub(crate) async fn start(docker: Docker, server: &str) -> Result<Self, EngineError> {
        let made = async {
            let gateway = create_network(&docker, server).await?;
            import_image(&docker, server).await?;
            Ok(gateway)
        };
        match made.await {
            Ok(gateway) => {
                let layout = Layout::of_this_machine();
                Ok(Self {
                    docker,
                    layout,
                    starting: RwLock::default(),
                    server: server.to_owned(),
                    gateway,
                })
            }
            Err(error) => {
                remove_left_behind(&docker, server).await;
                Err(error)
            }
        }
    }

    /// Address of this machine on the server's network.
    pub(crate) fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Name of the network.
    pub(crate) fn network(&self) -> String {
        name(&self.server)
    }

    /// Name of the image.
    pub(crate) fn image(&self) -> String {
        name(&self.server)
    }

    /// Labels of everything the server makes.
    pub(crate) fn labels(&self) -> HashMap<String, String> {
        labels(&self.server)
    }

    pub(crate) async fn remove_all(&self) {
        // What is being started is killed all the same if that takes too long.
        let _none_starting = tokio::time::timeout(START_LIMIT, self.starting.write()).await;
        remove_left_behind(&self.docker, &self.server).await;
    }
}

fn name(server: &str) -> String {
    format!("fuseline-{server}")
}

fn labels(server: &str) -> HashMap<String, String> {
    HashMap::from([(SERVER_LABEL.to_owned(), server.to_owned())])
}

async fn create_network(docker: &Docker, server: &str) -> Result<IpAddr, EngineError> {
    let request = NetworkCreateRequest {
        name: name(server),
        driver: Some("bridge".to_owned()),
        labels: Some(labels(server)),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await?;
    let network = docker.inspect_network(&name(server), None).await?;
    let ranges = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let gateways = ranges.into_iter().filter_map(|range| range.gateway?.parse().ok());
    let mut four = gateways.filter(IpAddr::is_ipv4);
    four.next().ok_or(EngineError::NoGateway)
}

/// The image holds nothing that runs: directories, users, certificates, and this machine's links into
/// `/usr`, which is mounted where a function needs an interpreter.
async fn import_image(docker: &Docker, server: &str) -> Result<(), EngineError> {
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(&name(server))
        .tag("latest")
        .changes(vec![format!("LABEL {SERVER_LABEL}={server}")])
        .build();
    let body = bollard::body_full(Bytes::from(root_file_system()));
    docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await?;
    Ok(())
}

fn root_file_system() -> Vec<u8> {
    let mut tar = Vec::new();
    for (directory, mode) in
        [("tmp/", 0o1777), ("var/", 0o755), ("var/task/", 0o755), ("etc/", 0o755)]
    {
        tar_entry(&mut tar, directory, mode, &[]);
    }
    for link in HOST_LINKS {
        if let Ok(target) = std::fs::read_link(link) {
            tar_link(&mut tar, link.trim_start_matches('/'), &target);
        }
    }
    let users = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534::/:/sbin/nologin\n";
    tar_entry(&mut tar, "etc/passwd", 0o644, users.as_bytes());
    if let Ok(certificates) = fs_err::read(CERTIFICATES) {
        tar_entry(&mut tar, "etc/ssl/", 0o755, &[]);
        tar_entry(&mut tar, "etc/ssl/certs/", 0o755, &[]);
        tar_entry(&mut tar, CERTIFICATES.trim_start_matches('/'), 0o644, &certificates);
    }
    tar.resize(tar.len() + 1_024, 0);
    tar
}

/// Appends a symbolic link.
fn tar_link(tar: &mut Vec<u8>, path: &str, target: &Path) {
    // Longer than the format has room for is no link into `/usr`.
    let target = target.as_os_str().as_encoded_bytes();
    if target.len() <= 100 {
        tar_header(tar, path, 0o777, b'2', target, 0);
    }
}

/// Appends a file, or a directory if the path ends in `/`.
fn tar_entry(tar: &mut Vec<u8>, path: &str, mode: u32, content: &[u8]) {
    let kind = if path.ends_with('/') { b'5' } else { b'0' };
    tar_header(tar, path, mode, kind, &[], content.len());
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// Appends the header of an entry in the POSIX format.
fn tar_header(tar: &mut Vec<u8>, path: &str, mode: u32, kind: u8, target: &[u8], bytes: usize) {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{bytes:011o}").as_bytes());
    put(136, b"00000000000");
    // The checksum is taken with its own field full of spaces.
    put(148, b"        ");
    put(156, &[kind]);
    put(157, target);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend_from_slice(&header);
}

/// Removes containers, network and image of a server. What is not there needs no removing, and
/// what cannot be removed is left to the next start.
pub(crate) async fn remove_left_behind(docker: &Docker, server: &str) {
    let filters = HashMap::from([("label", vec![format!("{SERVER_LABEL}={server}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await.unwrap_or_default();
    let ids = containers.into_iter().filter_map(|container| container.id);
    join_all(ids.map(|id| async move { remove_container(docker, &id).await })).await;

    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    for network in docker.list_networks(Some(options)).await.unwrap_or_default() {
        if let Some(id) = network.id {
            told("network", remove_network(docker, &id).await);
        }
    }
    let options = ListImagesOptionsBuilder::default().all(true).filters(&filters).build();
    for image in docker.list_images(Some(options)).await.unwrap_or_default() {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        told("image", docker.remove_image(&image.id, Some(options), None).await);
    }
}

/// Removes a network once the containers have left it: one that someone else is removing already
/// takes its time.
async fn remove_network(docker: &Docker, id: &str) -> Result<(), Error> {
    let until = Instant::now() + DETACH_LIMIT;
    loop {
        match docker.remove_network(id).await {
            Err(Error::DockerResponseServerError { status_code: 403, .. })
                if Instant::now() < until =>
            {
                tokio::time::sleep(DETACH_PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Kills and removes a container.
pub(crate) async fn remove_container(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    told("container", docker.remove_container(id, Some(options)).await);
}

fn told<T>(what: &str, removed: Result<T, Error>) {
    match removed {
        Ok(_) => {}
        // Gone already, or being removed by someone else.
        Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
        Err(error) => tracing::warn!(%error, "a {what} of ours could not be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_file_system_is_a_tar_that_tar_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.tar");
        fs_err::write(&path, root_file_system()).unwrap();
        let listed = std::process::Command::new("tar").arg("-tvf").arg(&path).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("drwxrwxrwt") && listed.contains(" tmp/"), "{listed}");
        assert!(listed.contains(" var/task/") && listed.contains(" etc/passwd"), "{listed}");
    }
}
