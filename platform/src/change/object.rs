//! Objects of S3: written, deleted, looked for.

use std::error::Error as _;

use object_store::path::Path;
use object_store::{Error, ObjectStore as _, ObjectStoreExt as _};

use super::{Failure, Object, Zip};
use crate::bucket::{self, ReachError};
use crate::endpoint::AwsSettings;

/// Writes an object, or the same once more.
pub(super) async fn put(object: &Object, zip: &Zip, aws: &AwsSettings) -> Result<(), Failure> {
    let store = bucket::client(&object.bucket, aws).await?;
    store.put(&Path::from(object.key.as_str()), zip.bytes.clone().into()).await?;
    Ok(())
}

/// Deletes an object, if it is there.
pub(super) async fn delete(object: &Object, aws: &AwsSettings) -> Result<(), Failure> {
    let store = bucket::client(&object.bucket, aws).await?;
    match store.delete(&Path::from(object.key.as_str())).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Keys and sizes in bytes of the objects in a folder of a bucket, but not of those in folders below it.
pub(crate) async fn list(
    bucket: &str,
    folder: &str,
    aws: &AwsSettings,
) -> Result<Vec<(String, u64)>, Failure> {
    let store = bucket::client(bucket, aws).await?;
    let found = store.list_with_delimiter(Some(&Path::from(folder))).await?;
    Ok(found.objects.into_iter().map(|it| (it.location.to_string(), it.size)).collect())
}

impl From<ReachError> for Failure {
    fn from(error: ReachError) -> Self {
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self { code: None, message: format!("{error}{source}"), is_ambiguous: false }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = said(&error);
        // Under Lambda's name, so that what is known of denials and credentials is said of these, too.
        let code = match &error {
            Error::PermissionDenied { .. } if text.contains("SignatureDoesNotMatch") => None,
            Error::PermissionDenied { .. } => Some("AccessDenied".to_owned()),
            _ => None,
        };
        let message = match &code {
            Some(code) if !text.starts_with(code) => format!("{code}: {text}"),
            _ => text,
        };
        Self { is_ambiguous: code.is_none(), code, message }
    }
}

/// What the service said, out of the XML that the client quotes; else what the client says.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let within = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    match (within("Code"), within("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_s3_says_is_read_out_of_its_answer() {
        let failed = |text: &str| Error::Generic { store: "S3", source: text.to_owned().into() };
        let xml = "Server returned 404: <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code>\
                   <Message>The specified bucket does not exist</Message></Error>";
        let failure = Failure::from(failed(xml));
        assert_eq!(failure.message, "NoSuchBucket: The specified bucket does not exist");
        assert!(failure.is_ambiguous);
        assert!(Failure::from(failed("no route to host")).message.contains("no route to host"));
        let source = "<Code>AccessDenied</Code><Message>Access Denied</Message>".to_owned();
        let denied = Error::PermissionDenied { path: "a".into(), source: source.into() };
        let denied = Failure::from(denied);
        assert!(denied.message.starts_with("AccessDenied"), "{}", denied.message);
        assert!(!denied.is_ambiguous);
    }
}
