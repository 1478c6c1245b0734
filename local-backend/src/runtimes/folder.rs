//! The runtimes folder: one runtime is prepared by one process at a time, beside its place, and then
//! moved there, so that what is there is complete.

use std::fs::File;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use super::error::RuntimeError;

/// Where this user's runtimes are.
pub(crate) fn of_this_user() -> Result<PathBuf, RuntimeError> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("fuseline/runtimes"))
        .ok_or(RuntimeError::NoCache)
}

/// The right to prepare one runtime, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    folder: PathBuf,
    name: String,
    _lock: File,
}

impl Turn {
    /// Waits for its turn. Removes what an interrupted preparation left behind.
    pub(crate) fn take(folder: &Path, name: &str) -> Result<Self, RuntimeError> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!(".{name}.lock"));
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let lock = file.into_parts().0;
        lock.lock()?;
        let turn = Self { folder: folder.to_owned(), name: name.to_owned(), _lock: lock };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&turn.prefix()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(turn)
    }

    fn prefix(&self) -> String {
        format!(".{}-", self.name)
    }

    /// An empty folder to prepare the runtime in; it is removed when it is dropped.
    pub(crate) fn staging(&self) -> Result<TempDir, RuntimeError> {
        Ok(tempfile::Builder::new().prefix(&self.prefix()).tempdir_in(&self.folder)?)
    }

    /// Puts a prepared folder in its place; what was there before is removed.
    pub(crate) fn put(&self, staging: TempDir) -> Result<(), RuntimeError> {
        let place = self.folder.join(&self.name);
        if place.exists() {
            renameat_with(CWD, staging.path(), CWD, &place, RenameFlags::EXCHANGE)
                .map_err(std::io::Error::from)?;
            // Holds the old one now.
            staging.close()?;
        } else {
            fs::rename(staging.keep(), place)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interruption_left_is_removed_and_what_is_ready_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".python3.9-abc");
        let other = folder.path().join(".python3.91-abc");
        fs::create_dir_all(left.join("half")).unwrap();
        fs::create_dir(&other).unwrap();
        let turn = Turn::take(folder.path(), "python3.9").unwrap();
        assert!(!left.exists() && other.exists());
        for text in ["first", "second"] {
            let staging = turn.staging().unwrap();
            fs::write(staging.path().join("bootstrap"), text).unwrap();
            turn.put(staging).unwrap();
            let ready = folder.path().join("python3.9/bootstrap");
            assert_eq!(fs::read_to_string(ready).unwrap(), text);
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".python3.9.lock", ".python3.91-abc", "python3.9"]);
    }

    #[test]
    fn only_one_has_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::take(folder.path(), "nodejs20.x").unwrap();
        let path = folder.path().join(".nodejs20.x.lock");
        let second = File::open(&path).unwrap();
        assert!(second.try_lock().is_err());
        drop(turn);
        second.try_lock().unwrap();
    }
}
