//! A registry of container images as small as can be. It keeps no layers, but checks every one by its digest, and
//! takes an image only if all of it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a registry does to the upload of a layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UploadFault {
    /// The connection is lost in its middle, once.
    LoseOnce,
    /// It goes on for ever.
    Hang,
    /// It is refused.
    Refuse,
}

/// A registry on this machine; it serves until the test ends.
pub struct Registry {
    /// Its host and port.
    pub host: String,
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    blobs: BTreeSet<String>,
    /// With how many bytes there are so far.
    uploads: BTreeMap<String, (Sha256, usize)>,
    /// By digest and by tag.
    manifests: BTreeMap<String, Vec<u8>>,
    /// How many manifests were put.
    pushes: usize,
    fault: Option<UploadFault>,
}

impl Registry {
    /// Starts one.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let host = listener.local_addr().expect("it listens").to_string();
        let content = Arc::new(Mutex::new(Content::default()));
        let shared = Arc::clone(&content);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let content = Arc::clone(&shared);
                // Docker tries TLS first; that is no request, and the connection is closed.
                std::thread::spawn(move || serve(stream, &content));
            }
        });
        Self { host, content }
    }

    /// Disturbs the uploads of layers from now on.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    pub fn disturb(&self, fault: Option<UploadFault>) {
        self.content.lock().expect("not poisoned").fault = fault;
    }

    /// Whether the disturbance is still to come; one that happens once is over then.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.content.lock().expect("not poisoned").fault.is_some()
    }

    /// Tags of its images.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let content = self.content.lock().expect("not poisoned");
        content.manifests.keys().filter(|it| !it.starts_with("sha256:")).cloned().collect()
    }

    /// Whether it has an image with this digest.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    #[must_use]
    pub fn has(&self, digest: &str) -> bool {
        self.content.lock().expect("not poisoned").manifests.contains_key(digest)
    }

    /// How often an image was pushed.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    #[must_use]
    pub fn pushes(&self) -> usize {
        self.content.lock().expect("not poisoned").pushes
    }
}

/// One request.
struct Request {
    method: String,
    path: String,
    query: String,
    body: Body,
}

enum Body {
    Sized(usize),
    Chunked,
}

/// Serves one request; none if it is none, or the connection is to be lost.
fn serve(mut stream: TcpStream, content: &Mutex<Content>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let request = read_head(&mut reader)?;
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let answer = match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["v2"]) => answer("200 OK", &[], b""),
        ("POST", ["v2", name, "blobs", "uploads"]) => {
            let mut content = content.lock().ok()?;
            if content.fault == Some(UploadFault::Refuse) {
                let body = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no uploads today\"}]}";
                answer("403 Forbidden", &[], body)
            } else {
                let id = format!("upload-{}", content.uploads.len());
                content.uploads.insert(id.clone(), (Sha256::new(), 0));
                let location = format!("/v2/{name}/blobs/uploads/{id}");
                answer("202 Accepted", &[("Location", &location), ("Range", "0-0")], b"")
            }
        }
        ("PATCH" | "PUT", ["v2", _, "blobs", "uploads", id]) => {
            upload(&mut reader, &request, id, content)?
        }
        ("HEAD", ["v2", _, "blobs", digest]) => {
            let is_there = content.lock().ok()?.blobs.contains(*digest);
            let status = if is_there { "200 OK" } else { "404 Not Found" };
            answer(status, &[("Docker-Content-Digest", digest)], b"")
        }
        ("PUT", ["v2", _, "manifests", tag]) => {
            let body = read_all(&mut reader, &request.body)?;
            put_manifest(&mut *content.lock().ok()?, tag, body)
        }
        ("HEAD", ["v2", _, "manifests", tag]) => match content.lock().ok()?.manifests.get(*tag) {
            Some(manifest) => {
                let digest = digest(manifest);
                answer("200 OK", &[("Docker-Content-Digest", &digest)], b"")
            }
            None => answer("404 Not Found", &[], b""),
        },
        _ => answer("404 Not Found", &[], b"{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}"),
    };
    stream.write_all(&answer).ok()
}

/// Takes a part of a layer, the last one with the layer's digest.
fn upload(
    reader: &mut BufReader<TcpStream>,
    request: &Request,
    id: &str,
    content: &Mutex<Content>,
) -> Option<Vec<u8>> {
    let fault = content.lock().ok()?.fault;
    if request.method == "PATCH" {
        match fault {
            Some(UploadFault::LoseOnce) => {
                content.lock().ok()?.fault = None;
                let mut some = [0; 100];
                let _ = reader.read(&mut some);
                return None;
            }
            Some(UploadFault::Hang) => loop {
                std::thread::sleep(std::time::Duration::from_millis(50));
                // It ends when the fault does.
                content.lock().ok()?.fault?;
            },
            Some(UploadFault::Refuse) | None => {}
        }
    }
    let body = read_all(reader, &request.body)?;
    let mut content = content.lock().ok()?;
    let (sha256, length) = content.uploads.get_mut(id)?;
    sha256.update(&body);
    *length += body.len();
    let range = format!("0-{}", length.saturating_sub(1));
    if request.method == "PATCH" {
        let location = request.path.clone();
        return Some(answer("202 Accepted", &[("Location", &location), ("Range", &range)], b""));
    }
    let wanted = request.query.split('&').find_map(|it| it.strip_prefix("digest="))?;
    let wanted = wanted.replace("%3A", ":");
    let found = hex(content.uploads.remove(id)?.0);
    if found != wanted {
        let body = b"{\"errors\":[{\"code\":\"DIGEST_INVALID\"}]}";
        return Some(answer("400 Bad Request", &[], body));
    }
    content.blobs.insert(found);
    Some(answer("201 Created", &[("Docker-Content-Digest", &wanted)], b""))
}

/// Takes an image if all of it is there.
fn put_manifest(content: &mut Content, tag: &str, body: Vec<u8>) -> Vec<u8> {
    let manifest: Value = serde_json::from_slice(&body).unwrap_or_default();
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    let mut parts = layers.iter().chain([&manifest["config"]]);
    let is_whole =
        parts.all(|it| it["digest"].as_str().is_some_and(|it| content.blobs.contains(it)));
    if layers.is_empty() || !is_whole {
        let body = b"{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\"}]}";
        return answer("400 Bad Request", &[], body);
    }
    let digest = digest(&body);
    content.pushes += 1;
    content.manifests.insert(tag.to_owned(), body.clone());
    content.manifests.insert(digest.clone(), body);
    answer("201 Created", &[("Docker-Content-Digest", &digest)], b"")
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut body = Body::Sized(0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let header = line.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(length) = header.strip_prefix("content-length:") {
            body = Body::Sized(length.trim().parse().ok()?);
        } else if header == "transfer-encoding: chunked" {
            body = Body::Chunked;
        }
    }
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), body })
}

fn read_all(reader: &mut BufReader<TcpStream>, body: &Body) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut take = |reader: &mut BufReader<TcpStream>, length: usize| {
        let read = reader.take(length as u64).read_to_end(&mut all).ok()?;
        (read == length).then_some(())
    };
    match body {
        Body::Sized(length) => take(reader, *length)?,
        Body::Chunked => loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            take(reader, length)?;
            reader.read_line(&mut line).ok()?;
            if length == 0 {
                break;
            }
        },
    }
    Some(all)
}

fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    head.push_str("Docker-Distribution-Api-Version: registry/2.0\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

fn digest(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

fn hex(sha256: Sha256) -> String {
    let hex: String = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
