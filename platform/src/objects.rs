//! Data that are too large for an invocation go through an object store: a folder that the functions
//! share, or a bucket of S3. In their place goes a reference, `{"fuseline:object": "file:///…"}` or
//! `"s3://…"`, and a function may answer with such a reference itself.

use std::path::{Path, PathBuf};

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use optimizer::flow::Data;

use crate::bucket::{self, Bucket, ReachError};
use crate::endpoint::AwsSettings;

/// Largest request and answer of a function that is waited for on Lambda, less what surrounds it.
const LARGEST_INLINE_BYTES: usize = (6 << 20) - (64 << 10);
/// The only field of a reference.
const REFERENCE: &str = "fuseline:object";

/// Where large data go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectSettings {
    /// Where they are.
    pub place: ObjectPlace,
    /// Bytes of JSON from which on data go there; without it, what Lambda does not take.
    pub above_bytes: Option<usize>,
}

/// A place for large data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ObjectPlace {
    /// A folder of this machine, as an absolute path.
    Folder(PathBuf),
    /// A bucket of S3, reached with the user's own credentials and region, at `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL` if one is set.
    Bucket(Bucket),
}

/// Why an object cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// Objects are not in use.
    #[error(
        "{0} bytes are more than Lambda takes; name a folder or a bucket for such data as `objects` in the workflow file"
    )]
    NoStore(usize),
    /// A reference to something else than an object of the folder.
    #[error("`{0}` is no object in the place for large data")]
    Elsewhere(String),
    /// What is in the object is no JSON.
    #[error("the object {0} holds no JSON")]
    NoJson(String, #[source] serde_json::Error),
    /// The folder or bucket cannot be used.
    #[error("the place for large data cannot be used")]
    Store(#[from] object_store::Error),
    /// The folder cannot be made.
    #[error("the folder for large data cannot be made")]
    Folder(#[from] std::io::Error),
    /// The bucket cannot be reached.
    #[error("the bucket for large data cannot be reached")]
    Reach(#[from] ReachError),
}

/// The store of one workflow.
pub(crate) struct Objects {
    store: Option<Store>,
    inline_bytes: usize,
}

struct Store {
    objects: Box<dyn ObjectStore>,
    /// What references start with, up to the slash before the key.
    url: String,
}

/// Data as they are sent.
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// The object that they are in.
    pub(crate) object: Option<Key>,
}

/// Data that came back.
pub(crate) struct Incoming {
    pub(crate) data: Data,
    /// The object that they were in.
    pub(crate) object: Option<Key>,
}

impl Objects {
    /// The store with these settings; a folder is made.
    pub(crate) async fn open(
        settings: Option<&ObjectSettings>,
        aws: &AwsSettings,
    ) -> Result<Self, ObjectError> {
        let Some(ObjectSettings { place, above_bytes }) = settings else {
            return Ok(Self { store: None, inline_bytes: LARGEST_INLINE_BYTES });
        };
        let store = match place {
            ObjectPlace::Folder(folder) => Store::folder(folder)?,
            ObjectPlace::Bucket(bucket) => Store::bucket(bucket, aws).await?,
        };
        let inline_bytes = above_bytes.unwrap_or(usize::MAX).min(LARGEST_INLINE_BYTES);
        Ok(Self { store: Some(store), inline_bytes })
    }

    /// Data as a function is sent them; an object gets this key.
    pub(crate) async fn send(&self, data: &Data, key: &str) -> Result<Outgoing, ObjectError> {
        let bytes = serde_json::to_vec(data).expect("data are JSON");
        if bytes.len() <= self.inline_bytes {
            return Ok(Outgoing { bytes, object: None });
        }
        let store = self.store.as_ref().ok_or(ObjectError::NoStore(bytes.len()))?;
        let object = Key::from(key);
        store.objects.put(&object, bytes.into()).await?;
        let reference = serde_json::json!({ REFERENCE: format!("{}/{object}", store.url) });
        Ok(Outgoing { bytes: reference.to_string().into_bytes(), object: Some(object) })
    }

    /// What a function's answer stands for.
    pub(crate) async fn receive(&self, data: Data) -> Result<Incoming, ObjectError> {
        let (Some(store), Some(text)) = (&self.store, reference(&data)) else {
            return Ok(Incoming { data, object: None });
        };
        let elsewhere = || ObjectError::Elsewhere(text.to_owned());
        let key = text.strip_prefix(&store.url).and_then(|rest| rest.strip_prefix('/'));
        let key = Key::parse(key.ok_or_else(elsewhere)?).map_err(|_| elsewhere())?;
        let bytes = store.objects.get(&key).await?.bytes().await?;
        let data = serde_json::from_slice(&bytes)
            .map_err(|error| ObjectError::NoJson(text.to_owned(), error))?;
        Ok(Incoming { data, object: Some(key) })
    }

    /// Removes objects, as far as they are there.
    pub(crate) async fn remove(&self, keys: &[Key]) {
        for key in keys {
            if let Some(store) = &self.store {
                // One that is in use twice is gone the second time.
                let _ = store.objects.delete(key).await;
            }
        }
    }
}

impl Store {
    fn folder(folder: &Path) -> Result<Self, ObjectError> {
        fs_err::create_dir_all(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
        Ok(Self { objects: Box::new(files), url: format!("file://{}", folder.display()) })
    }

    async fn bucket(bucket: &Bucket, aws: &AwsSettings) -> Result<Self, ObjectError> {
        let client = bucket::client(&bucket.name, aws).await?;
        let objects = PrefixStore::new(client, bucket.prefix.as_str());
        Ok(Self { objects: Box::new(objects), url: format!("s3://{bucket}") })
    }
}

/// The address in a reference.
fn reference(data: &Data) -> Option<&str> {
    let fields = data.as_object().filter(|fields| fields.len() == 1)?;
    fields.get(REFERENCE)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn objects(folder: &Path) -> Objects {
        let place = ObjectPlace::Folder(folder.join("o"));
        let settings = ObjectSettings { place, above_bytes: Some(20) };
        Objects::open(Some(&settings), &AwsSettings::default()).await.unwrap()
    }

    #[tokio::test]
    async fn large_data_go_through_the_folder_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path()).await;
        let small = Data::from(json!("x".repeat(18)));
        let sent = objects.send(&small, "t/1.json").await.unwrap();
        assert_eq!((sent.bytes, sent.object.is_none()), (small.to_string().into_bytes(), true));

        let large = Data::from(json!("x".repeat(19)));
        let sent = objects.send(&large, "t/1.json").await.unwrap();
        let path = folder.path().join("o/t/1.json");
        let reference: Value = serde_json::from_slice(&sent.bytes).unwrap();
        assert_eq!(reference, json!({"fuseline:object": format!("file://{}", path.display())}));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), large.to_string());

        let back = objects.receive(Data::from(reference)).await.unwrap();
        assert_eq!((back.data, back.object.clone()), (large, sent.object));
        objects.remove(&[back.object.unwrap()]).await;
        assert_eq!(std::fs::read_dir(folder.path().join("o")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn only_objects_of_the_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path()).await;
        let root = folder.path().display();
        std::fs::write(folder.path().join("secret"), "1").unwrap();
        for text in [
            "file:///etc/passwd".to_owned(),
            format!("file://{root}/secret"),
            format!("file://{root}/o/../secret"),
            format!("file://{root}/other/x"),
        ] {
            let answer = Data::from(json!({"fuseline:object": text}));
            let error = objects.receive(answer).await.err().unwrap();
            assert!(matches!(error, ObjectError::Elsewhere(_)), "{text}: {error}");
        }
        let missing = json!({"fuseline:object": format!("file://{root}/o/none")});
        assert!(matches!(objects.receive(missing.into()).await, Err(ObjectError::Store(_))));
        // What only looks like one is left alone.
        for answer in [json!({"fuseline:object": 1}), json!({"fuseline:object": "x", "y": 1})] {
            assert!(objects.receive(answer.into()).await.unwrap().object.is_none());
        }
    }

    #[tokio::test]
    async fn without_a_folder_large_data_are_refused() {
        let objects = Objects::open(None, &AwsSettings::default()).await.unwrap();
        let large = Data::from(json!("x".repeat(LARGEST_INLINE_BYTES)));
        let error = objects.send(&large, "t/1.json").await.err().unwrap();
        assert!(matches!(error, ObjectError::NoStore(bytes) if bytes == LARGEST_INLINE_BYTES + 2));
        let reference = Data::from(json!({"fuseline:object": "file:///etc/passwd"}));
        let answer = objects.receive(reference.clone()).await.unwrap();
        assert_eq!(answer.data, reference, "it means nothing");
    }
}
