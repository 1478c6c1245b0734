//! Packages that are too large for a call go through a bucket of S3.
//!
//! Lambda copies an object when it makes or updates a function, so an object is needed only until then; it stays
//! as long as its deploy can be undone, for the next deploy and for the way back. The original of a function that
//! was taken over is uploaded before it is changed, and is removed after it was given back.

use optimizer::deployment::Deployment;

use super::{DeployError, Deployer};
use crate::bucket::Bucket;
use crate::change::{Change, Code, Object, Zip, object};
use crate::digest::{is_sha256_hex, sha256_hex};
use crate::journal::Undo;

/// Largest zip that is sent in a call, in bytes. Lambda takes 50 MB, and not much more than their base64 in the
/// whole request.
pub(super) const LARGEST_DIRECT_BYTES: u64 = (50 << 20) - (64 << 10);
/// Our folder below the prefix; in it is one for each workflow.
const FOLDER: &str = "fuseline";
/// How keys end.
const SUFFIX: &str = ".zip";

impl Deployer<'_> {
    /// The same with a bucket for packages that are too large for a call. It has to be in the region of the
    /// functions.
    #[must_use]
    pub fn with_bucket(self, bucket: Option<Bucket>) -> Self {
        Self { bucket, ..self }
    }

    /// Checks without changing anything that the packages of trials of any deployment can be sent.
    ///
    /// # Errors
    /// If a package cannot be made, or no bucket is named and all of them in one would be too large for a call.
    pub async fn check_trials(&self) -> Result<(), DeployError> {
        self.choose_forms_of_trials().await?;
        let mut all = 0;
        for task in self.project.tasks.keys() {
            all += self.prepare(task, &[]).await?;
        }
        self.check_size(&format!("{}` with all tasks in it", self.project.workflow.entry()), all)?;
        self.check_packages(&Deployment::unfused(&self.project.workflow)).await
    }

    /// Checks without changing anything that every package can be sent.
    pub(super) async fn check_packages(&self, deployment: &Deployment) -> Result<(), DeployError> {
        let functions = deployment.functions().iter();
        let functions = functions.map(|(root, function)| (root, function.inlined.as_slice()));
        let own = self.project.tasks.keys().map(|task| (task, &[][..]));
        let mut is_bucket_needed = false;
        for (root, inlined) in own.chain(functions) {
            let bytes = self.prepare(root, inlined).await?;
            self.check_size(&root.0, bytes)?;
            is_bucket_needed |= self.is_large(bytes);
        }
        if let (true, Some(bucket)) = (is_bucket_needed, &self.bucket) {
            self.listed(&bucket.name, &self.folder(bucket)).await?;
        }
        Ok(())
    }

    /// Refuses a package that would need a bucket if none is named.
    pub(super) fn check_size(&self, function: &str, bytes: u64) -> Result<(), DeployError> {
        match self.is_large(bytes) && self.bucket.is_none() {
            true => Err(DeployError::NeedsBucket { function: function.to_owned(), bytes }),
            false => Ok(()),
        }
    }

    /// A package where Lambda gets it from: a zip is uploaded first if it is large and not there yet.
    pub(super) async fn placed(&self, function: &str, code: Code) -> Result<Code, DeployError> {
        match code {
            Code::Zip(zip) => Ok(self.place(function, zip).await?.0),
            other => Ok(other),
        }
    }

    /// As [`Deployer::placed`] for a zip, with the object that was uploaded for it, if one was.
    pub(super) async fn place(
        &self,
        function: &str,
        zip: Zip,
    ) -> Result<(Code, Option<Object>), DeployError> {
        let bytes = zip.bytes.len() as u64;
        if !self.is_large(bytes) {
            return Ok((Code::Zip(zip), None));
        }
        let name = file_name(&zip);
        let object = self
            .object(&name)
            .ok_or_else(|| DeployError::NeedsBucket { function: function.to_owned(), bytes })?;
        let sha256 = zip.sha256.clone();
        let is_new = !self.is_there(&object, bytes).await?;
        if is_new {
            let change = Change::PutObject {
                object: object.clone(),
                body: zip,
                function_name: function.to_owned(),
            };
            let undo = Undo::DeleteObject { object: object.clone() };
            self.changes.make(self.endpoint, &change, None, Some(undo)).await?;
        }
        self.uploaded.lock().expect("not poisoned").insert(object.key.clone());
        let uploaded = is_new.then(|| object.clone());
        Ok((Code::Object { object, sha256 }, uploaded))
    }

    /// Deletes an object, if it is there.
    pub(super) async fn delete_object(&self, object: &Object) -> Result<(), DeployError> {
        self.uploaded.lock().expect("not poisoned").remove(&object.key);
        let change = Change::DeleteObject { object: object.clone() };
        self.changes.make(self.endpoint, &change, None, None).await.map(drop)
    }

    /// Deletes what the journal knows of and, if a bucket is named, what an earlier journal may have.
    pub(super) async fn delete_objects(&self) -> Result<(), DeployError> {
        let mut doomed = self.changes.objects();
        if let Some(bucket) = &self.bucket {
            for (key, _) in self.listed(&bucket.name, &self.folder(bucket)).await? {
                let object = Object { bucket: bucket.name.clone(), key };
                if is_ours(&object.key) && !doomed.contains(&object) {
                    doomed.push(object);
                }
            }
        }
        for object in &doomed {
            self.delete_object(object).await?;
        }
        Ok(())
    }

    fn is_large(&self, bytes: u64) -> bool {
        // The local backend has no such limit, and no S3.
        !self.is_local && bytes > LARGEST_DIRECT_BYTES
    }

    /// The folder of this workflow's objects, without a slash at its end.
    fn folder(&self, bucket: &Bucket) -> String {
        bucket.key(&format!("{FOLDER}/{}", self.project.workflow.name()))
    }

    /// The object for a zip: in the bucket that is named, else where the journal has it, or has others.
    fn object(&self, name: &str) -> Option<Object> {
        if let Some(bucket) = &self.bucket {
            let key = format!("{}/{name}", self.folder(bucket));
            return Some(Object { bucket: bucket.name.clone(), key });
        }
        let known = self.changes.objects();
        let same = known.iter().find(|it| it.key.ends_with(name)).cloned();
        same.or_else(|| {
            let Object { bucket, key } = known.into_iter().next_back()?;
            let (folder, _) = key.rsplit_once('/')?;
            Some(Object { bucket, key: format!("{folder}/{name}") })
        })
    }

    async fn is_there(&self, object: &Object, bytes: u64) -> Result<bool, DeployError> {
        if self.uploaded.lock().expect("not poisoned").contains(&object.key) {
            return Ok(true);
        }
        let folder = object.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let found = self.listed(&object.bucket, folder).await?;
        Ok(found.contains(&(object.key.clone(), bytes)))
    }

    async fn listed(&self, bucket: &str, folder: &str) -> Result<Vec<(String, u64)>, DeployError> {
        let found = object::list(bucket, folder, &self.endpoint.settings).await;
        found.map_err(|failure| DeployError::Bucket {
            bucket: bucket.to_owned(),
            message: crate::access::with_action(&failure.message, "ListBucket"),
        })
    }
}

/// The name of the object that holds a zip: its SHA-256 in hex.
fn file_name(zip: &Zip) -> String {
    format!("{}{SUFFIX}", sha256_hex(&zip.bytes))
}

/// Whether a key in our folder is one that [`file_name`] gives.
fn is_ours(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    name.strip_suffix(SUFFIX).is_some_and(is_sha256_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_by_their_content() {
        let zip = Zip { bytes: b"abc".as_slice().into(), sha256: String::new() };
        let name = file_name(&zip);
        assert_eq!(name, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.zip");
        assert!(is_ours(&format!("p/fuseline/w/{name}")));
        for other in ["p/fuseline/w/readme.txt", "p/fuseline/w/abc.zip", &name[..64]] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
