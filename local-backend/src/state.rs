//! The state directory: what each server made, so that the next one can remove it.
//!
//! ```text
//! <state>/lock                    held while a server starts or stops
//! <state>/servers/<id>/lock       held as long as the server lives
//! <state>/servers/<id>/sandbox    `docker` or `process`
//! <state>/servers/<id>/groups     control groups, one a line
//! <state>/servers/<id>/code/      unpacked bundles
//! <state>/servers/<id>/layers/    unpacked layers
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use uuid::Uuid;

use crate::options::SandboxKind;

/// The directory of a living server, or of a dead one whose lock was taken over.
#[derive(Debug)]
pub(crate) struct ServerDirectory {
    state: PathBuf,
    id: String,
    path: PathBuf,
    /// Held until this value is dropped.
    _lock: File,
}

/// Keeps other servers from starting and stopping.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Waits for its turn. Blocks the thread.
    pub(crate) fn take(state: &Path) -> io::Result<Self> {
        fs::create_dir_all(state.join("servers"))?;
        let file = open_lock(&state.join("lock"))?;
        file.lock()?;
        Ok(Self { _file: file })
    }

    /// Makes the directory of a new server.
    pub(crate) fn create(&self, state: &Path) -> io::Result<ServerDirectory> {
        let id = Uuid::new_v4().simple().to_string()[..12].to_owned();
        let path = state.join("servers").join(&id);
        fs::create_dir(&path)?;
        let lock = open_lock(&path.join("lock"))?;
        lock.lock()?;
        Ok(ServerDirectory { state: state.to_owned(), id, path, _lock: lock })
    }

    /// The directories of servers that ended without removing what they made.
    pub(crate) fn dead(&self, state: &Path) -> io::Result<Vec<ServerDirectory>> {
        let mut dead = Vec::new();
        for entry in fs::read_dir(state.join("servers"))? {
            let path = entry?.path();
            let Some(id) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
            else {
                continue;
            };
            if !path.is_dir() || id.len() != 12 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
                continue;
            }
            let lock = open_lock(&path.join("lock"))?;
            if lock.try_lock().is_ok() {
                dead.push(ServerDirectory { state: state.to_owned(), id, path, _lock: lock });
            }
        }
        Ok(dead)
    }
}

impl ServerDirectory {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where unpacked bundles go.
    pub(crate) fn code(&self) -> PathBuf {
        self.path.join("code")
    }

    /// Where unpacked layers go.
    pub(crate) fn layers(&self) -> PathBuf {
        self.path.join("layers")
    }

    /// Notes what is used, before anything is made.
    pub(crate) fn note_sandbox(&self, kind: SandboxKind) -> io::Result<()> {
        fs::write(self.path.join("sandbox"), kind.to_string())
    }

    /// Whether the server used Docker.
    pub(crate) fn used_docker(&self) -> bool {
        fs::read_to_string(self.path.join("sandbox")).is_ok_and(|text| text == "docker")
    }

    /// Notes the control groups the server made.
    pub(crate) fn note_groups(&self, groups: &[PathBuf]) -> io::Result<()> {
        let text: String = groups.iter().map(|group| format!("{}\n", group.display())).collect();
        fs::write(self.path.join("groups"), text)
    }

    /// The control groups the server made.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.path.join("groups")).unwrap_or_default();
        text.lines().map(PathBuf::from).collect()
    }

    /// Removes the directory: nothing of the server is left.
    pub(crate) async fn remove(self) -> io::Result<()> {
        let removal = tokio::task::spawn_blocking(move || {
            // In turn, so that a server that starts does not see half a directory.
            let _turn = StateLock::take(&self.state)?;
            fs::remove_dir_all(&self.path)
        });
        removal.await.map_err(io::Error::other)?
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    Ok(file.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_servers_that_are_gone_are_dead() {
        let state = tempfile::tempdir().unwrap();
        let lock = StateLock::take(state.path()).unwrap();
        let alive = lock.create(state.path()).unwrap();
        let killed = lock.create(state.path()).unwrap();
        killed.note_sandbox(SandboxKind::Docker).unwrap();
        killed.note_groups(&["/sys/fs/cgroup/a".into(), "/sys/fs/cgroup/b".into()]).unwrap();
        let id = killed.id().to_owned();
        // As the kernel does it when a process is killed.
        drop(killed);
        fs::create_dir(state.path().join("servers/not-ours")).unwrap();

        let mut dead = lock.dead(state.path()).unwrap();
        assert_eq!(dead.len(), 1);
        let dead = dead.remove(0);
        assert_eq!((dead.id(), dead.used_docker()), (id.as_str(), true));
        assert_eq!(dead.groups().len(), 2);
        drop(lock);
        dead.remove().await.unwrap();
        let lock = StateLock::take(state.path()).unwrap();
        assert!(lock.dead(state.path()).unwrap().is_empty());
        assert!(!alive.used_docker());
        drop(lock);
        alive.remove().await.unwrap();
        assert!(state.path().join("servers/not-ours").exists());
    }
}
