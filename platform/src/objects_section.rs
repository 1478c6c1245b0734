//! `objects` in the workflow file: where data go that are too large for an invocation.

use crate::bucket::BucketError;
use crate::input_error::InputError;
use crate::objects::{ObjectPlace, ObjectSettings};
use crate::project::Resolver;
use crate::quantity::MegaBytes;
use crate::workflow_file::WorkflowFile;

impl Resolver<'_> {
    /// What `objects` says.
    ///
    /// # Errors
    /// If it is out of place, or names no folder or bucket.
    pub(crate) fn objects(&self, raw: &WorkflowFile) -> Result<Option<ObjectSettings>, InputError> {
        let Some(section) = &raw.objects else { return Ok(None) };
        if raw.entry.is_some() {
            return Err(self.error(
                section.referenced,
                "`objects` is for data that an orchestrator passes on",
                "remove it, or run the tasks with `steps` or `stateMachine`",
            ));
        }
        let place = match (&section.value.folder, &section.value.bucket) {
            (Some(folder), None) => {
                let text = self.interpolate(folder)?;
                if text.contains("://") {
                    return Err(self.error(
                        folder.referenced,
                        format!("`{text}` is no folder"),
                        "name a folder, or a bucket of S3 as `bucket: name/prefix`",
                    ));
                }
                ObjectPlace::Folder(self.directory().join(text).components().collect())
            }
            (None, Some(bucket)) => {
                let text = self.interpolate(bucket)?;
                let parsed = text.parse().map_err(|error: BucketError| {
                    let next_step = "write it as name or name/prefix";
                    self.error(bucket.referenced, error.to_string(), next_step)
                })?;
                ObjectPlace::Bucket(parsed)
            }
            _ => {
                return Err(self.error(
                    section.referenced,
                    "`objects` needs either a `folder` or a `bucket`",
                    "write one of them",
                ));
            }
        };
        Ok(Some(ObjectSettings {
            place,
            above_bytes: section.value.above.map(|MegaBytes(mb)| (mb as usize) << 20),
        }))
    }
}
