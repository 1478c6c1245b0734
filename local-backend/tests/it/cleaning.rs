//! Everything that was started is removed: by a shutdown, and after a kill by the next server.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use local_backend::{SandboxKind, Server};
use serde_json::json;

use crate::support::{MACHINE, Platform, instances, options, remains, sandboxes, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_nothing_even_in_the_middle_of_an_invocation() {
    let _machine = MACHINE.read().await;
    for sandbox in sandboxes() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().to_owned();
        let server = Server::start(options(&path, sandbox)).await.unwrap();
        let platform = Platform::at(server.endpoint(), server.sandbox().kind, state);
        let id = platform.server_id();
        assert!(!remains(&id).is_empty() || platform.kind == SandboxKind::Process);
        platform.create_probe("f", json!({})).await;
        platform.invoke("f", json!({})).await.ok();
        let busy = async { platform.invoke("f", json!({ "sleep_ms": 50_000 })).await };
        let end = async {
            until("it runs", async || {
                let messages = platform.messages("f").await;
                let starts = messages.iter().filter(|message| message.starts_with("START"));
                (starts.count() == 2).then_some(())
            })
            .await;
            assert_eq!(instances(&platform), 1);
            server.shutdown().await;
        };
        let (reply, ()) = tokio::join!(busy, end);
        assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"), "{reply:?}");
        assert_eq!(remains(&id), Vec::<String>::new());
        assert_eq!(fs_err::read_dir(path.join("servers")).unwrap().count(), 0);
    }
}

/// A server in a process of its own.
fn example() -> PathBuf {
    tests::program("examples/server")
}

/// The example server, killed if the test ends before it does.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(ended.is_ok(), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_left_is_removed_by_the_next() {
    let _machine = MACHINE.read().await;
    for sandbox in sandboxes() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().to_owned();
        let child = Command::new(example())
            .arg(&path)
            .arg(sandbox.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut example = Example(child);
        let mut endpoint = String::new();
        BufReader::new(example.0.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        let kind = match sandbox {
            local_backend::SandboxChoice::Docker => SandboxKind::Docker,
            _ => SandboxKind::Process,
        };
        let platform = Platform::at(endpoint.trim().to_owned(), kind, state);
        let killed = platform.server_id();
        platform.create_probe("f", json!({})).await;
        platform.invoke("f", json!({})).await.ok();
        assert_eq!(instances(&platform), 1);
        drop(example);
        assert!(!remains(&killed).is_empty(), "a kill leaves something to remove");

        let next = Server::start(options(&path, sandbox)).await.unwrap();
        assert_eq!(remains(&killed), Vec::<String>::new());
        assert_ne!(platform.server_id(), killed);
        next.shutdown().await;
        assert_eq!(fs_err::read_dir(path.join("servers")).unwrap().count(), 0);
    }
}

#[test]
fn without_an_engine_docker_is_refused_and_auto_says_so() {
    let state = tempfile::tempdir().unwrap();
    let run = |sandbox: &str| {
        let output = Command::new(example())
            .arg(state.path())
            .arg(sandbox)
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(!run("docker").0);
    let (ended_well, said) = run("auto");
    assert!(ended_well);
    let notice = "functions run as processes, because Docker cannot be used: no engine answers";
    assert!(said.contains(notice), "{said}");
    assert_eq!(fs_err::read_dir(state.path().join("servers")).unwrap().count(), 0);
}
