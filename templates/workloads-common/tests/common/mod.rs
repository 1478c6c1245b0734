//! What the tests of the workload templates share.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use workloads_common::Store;

/// A store that is removed with its folder.
pub(crate) struct Disk {
    folder: TempDir,
    pub(crate) store: Store,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("file://{}", folder.path().display())).unwrap();
        Self { folder, store }
    }

    pub(crate) fn entries(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

/// What a step's answer is to the step after it: JSON.
pub(crate) fn event<T: DeserializeOwned>(answer: &impl Serialize) -> T {
    serde_json::from_value(serde_json::to_value(answer).unwrap()).unwrap()
}
