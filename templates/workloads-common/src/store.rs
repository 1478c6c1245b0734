//! Where steps leave what is too large for an event.
//!
//! The store is a folder that all functions reach. Every execution of a workflow has a folder of its
//! own in it, so executions at the same time do not meet; its last step deletes it. A step that is
//! tried again writes the same objects again.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::failure::Failure;

/// Environment variable with the store's URL.
pub const STORE_VARIABLE: &str = "STORE";

/// Objects by name, in a folder.
#[derive(Clone, Debug)]
pub struct Store {
    objects: LocalFileSystem,
}

/// The objects of one execution.
#[derive(Clone, Debug)]
pub struct Folder {
    objects: LocalFileSystem,
    path: Path,
}

impl Store {
    /// Opens the store that `STORE` names.
    ///
    /// # Errors
    /// If the variable is missing or names no folder that can be used.
    pub fn from_environment() -> Result<Self, Failure> {
        Self::open(&std::env::var(STORE_VARIABLE).unwrap_or_default())
    }

    /// Opens the store at a URL, which has to be that of a folder (`file:///…`). The folder is made if
    /// it is missing.
    ///
    /// # Errors
    /// If there cannot be such a folder.
    pub fn open(url: &str) -> Result<Self, Failure> {
        let objects = directory(url)
            .and_then(|path| Ok(LocalFileSystem::new_with_prefix(path)?))
            .map_err(|source| Failure::NoStore { store: url.to_owned(), source })?;
        // With its last object, an execution's folder goes.
        Ok(Self { objects: objects.with_automatic_cleanup(true) })
    }

    /// The folder of one execution of a workflow.
    ///
    /// # Errors
    /// If the identifier cannot be part of a name.
    pub fn folder(&self, workflow: &str, execution_id: &str) -> Result<Folder, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if execution_id.is_empty() || execution_id.len() > 100 || !execution_id.chars().all(plain) {
            let problem = "has to be 1 to 100 letters, digits, `-` or `_`";
            return Err(Failure::Request(format!(
                "executionId is {execution_id:?}, and {problem}"
            )));
        }
        // Directly below the root: no folder is shared that one execution may remove as empty while
        // another puts its own into it.
        let path = Path::from(format!("{workflow}.{execution_id}"));
        Ok(Folder { objects: self.objects.clone(), path })
    }

    /// Deletes what executions of a workflow have left that did not reach their last step; returns how
    /// many executions that were.
    ///
    /// # Errors
    /// If the store refuses. Other executions may be gone by then.
    pub async fn forget(&self, workflow: &str) -> Result<usize, Failure> {
        let cannot = |source| Failure::Store { action: "list", name: workflow.to_owned(), source };
        let all = self.objects.list_with_delimiter(None).await.map_err(cannot)?;
        let start = format!("{workflow}.");
        let mut forgotten = 0;
        for path in all.common_prefixes {
            if path.as_ref().starts_with(&start) {
                Folder { objects: self.objects.clone(), path }.delete().await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}

impl Folder {
    /// Keeps an object, in place of one of the same name. Readers see all of it or nothing.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn put(&self, name: &str, content: Vec<u8>) -> Result<(), Failure> {
        let put = self.objects.put(&self.object(name), content.into()).await;
        put.map(drop).map_err(|source| self.cannot("write", name, source))
    }

    /// An object's content.
    ///
    /// # Errors
    /// If there is no such object, or the store refuses.
    pub async fn get(&self, name: &str) -> Result<Bytes, Failure> {
        let get = async { self.objects.get(&self.object(name)).await?.bytes().await };
        get.await.map_err(|source| self.cannot("read", name, source))
    }

    /// Deletes all objects, and with them the folder. Objects that are gone already do no harm.
    ///
    /// # Errors
    /// If the store refuses; some objects may be gone by then.
    pub async fn delete(&self) -> Result<(), Failure> {
        let delete = async {
            let objects: Vec<_> = self.objects.list(Some(&self.path)).try_collect().await?;
            for object in objects {
                match self.objects.delete(&object.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        delete.await.map_err(|source| self.cannot("delete", "", source))
    }

    fn object(&self, name: &str) -> Path {
        self.path.clone().join(name)
    }

    fn cannot(&self, action: &'static str, name: &str, source: object_store::Error) -> Failure {
        Failure::Store { action, name: format!("{}/{name}", self.path), source }
    }
}

fn directory(url: &str) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    let url: Url = url.parse()?;
    if url.scheme() != "file" {
        let scheme = url.scheme();
        return Err(format!("{scheme}: is not built in; add object_store's feature for it").into());
    }
    let path = url.to_file_path().map_err(|()| "a file's URL starts with file:///")?;
    fs::create_dir_all(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::with_causes;

    fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path().join("with space/deeper")).unwrap();
        (folder, Store::open(url.as_str()).unwrap())
    }

    #[tokio::test]
    async fn executions_do_not_meet_and_leave_nothing() {
        let (disk, store) = store();
        let [one, two] = ["1", "2"].map(|id| store.folder("chatbot", id).unwrap());
        one.put("model", b"one".to_vec()).await.unwrap();
        one.put("model", b"one again".to_vec()).await.unwrap();
        two.put("model", b"two".to_vec()).await.unwrap();
        assert_eq!(one.get("model").await.unwrap(), "one again");
        one.delete().await.unwrap();
        one.delete().await.unwrap();
        assert_eq!(two.get("model").await.unwrap(), "two");
        let missing = with_causes(&one.get("model").await.unwrap_err());
        assert!(missing.starts_with("cannot read chatbot.1/model: "), "{missing}");
        two.delete().await.unwrap();
        let root = disk.path().join("with space/deeper");
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn only_one_workflows_executions_are_forgotten() {
        let (_disk, store) = store();
        for (workflow, id) in [("chatbot", "1"), ("chatbot", "2"), ("ml-2", "3"), ("ml", "4")] {
            let folder = store.folder(workflow, id).unwrap();
            folder.put("a", vec![1]).await.unwrap();
            folder.put("b", vec![2]).await.unwrap();
        }
        assert_eq!(store.forget("ml").await.unwrap(), 1);
        assert_eq!(store.forget("ml").await.unwrap(), 0);
        assert!(store.folder("ml", "4").unwrap().get("a").await.is_err());
        assert_eq!(store.folder("chatbot", "2").unwrap().get("b").await.unwrap(), vec![2]);
    }

    #[test]
    fn an_execution_cannot_reach_out_of_its_folder() {
        let (_disk, store) = store();
        for id in ["", "..", "a/b", "a.b", "../chatbot.1", "%2e", "ä", &"x".repeat(101)] {
            assert!(store.folder("chatbot", id).is_err(), "{id}");
        }
        store.folder("chatbot", "4d2a46c7-71cb-4cf1-b5bb-b68406d9da6f").unwrap();
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        for url in ["", "/mnt/data", "s3://bucket/data", "file://host/data", "file:///proc/none"] {
            let refused = with_causes(&Store::open(url).unwrap_err());
            assert!(refused.starts_with("cannot use the store"), "{refused}");
        }
        let refused = with_causes(&Store::open("s3://bucket/data").unwrap_err());
        assert!(refused.contains("s3: is not built in"), "{refused}");
    }
}
