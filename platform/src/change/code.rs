//! What functions and layers consist of, and how a call says where it is.

use std::collections::BTreeMap;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

/// A function's code or a layer's content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Zip {
    pub(crate) bytes: Bytes,
    /// As Lambda gives it: base64.
    pub(crate) sha256: String,
}

impl Zip {
    pub(super) fn blob(&self) -> Blob {
        Blob::new(self.bytes.to_vec())
    }

    /// In words.
    pub(super) fn shown(&self) -> String {
        format!("{} bytes, SHA-256 {}", self.bytes.len(), self.sha256)
    }
}

/// An object of S3.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Object {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

/// Where Lambda gets a function's code or a layer's content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Code {
    /// In the call.
    Zip(Zip),
    /// From S3.
    Object {
        object: Object,
        /// Of the zip in it, as Lambda gives it: base64.
        sha256: String,
    },
    /// A container image in a registry, named by its digest.
    Image {
        uri: String,
        /// The digest in hex, as Lambda gives it for images.
        sha256: String,
    },
}

impl Code {
    /// As Lambda gives it for the function.
    pub(crate) fn sha256(&self) -> &str {
        match self {
            Self::Zip(zip) => &zip.sha256,
            Self::Object { sha256, .. } | Self::Image { sha256, .. } => sha256,
        }
    }

    pub(super) fn of_function(&self) -> types::FunctionCode {
        let code = types::FunctionCode::builder();
        match self {
            Self::Zip(zip) => code.zip_file(zip.blob()),
            Self::Object { object, .. } => code.s3_bucket(&object.bucket).s3_key(&object.key),
            Self::Image { uri, .. } => code.image_uri(uri),
        }
        .build()
    }

    pub(super) fn package_type(&self) -> types::PackageType {
        match self {
            Self::Image { .. } => types::PackageType::Image,
            Self::Zip(_) | Self::Object { .. } => types::PackageType::Zip,
        }
    }

    pub(super) fn of_layer(&self) -> types::LayerVersionContentInput {
        let content = types::LayerVersionContentInput::builder();
        match self {
            Self::Zip(zip) => content.zip_file(zip.blob()),
            Self::Object { object, .. } => content.s3_bucket(&object.bucket).s3_key(&object.key),
            // Layers are no images.
            Self::Image { .. } => content,
        }
        .build()
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parameters = match self {
            Self::Zip(zip) => BTreeMap::from([("ZipFile", zip.shown())]),
            Self::Object { object, .. } => {
                BTreeMap::from([("S3Bucket", object.bucket.clone()), ("S3Key", object.key.clone())])
            }
            Self::Image { uri, .. } => BTreeMap::from([("ImageUri", uri.clone())]),
        };
        parameters.serialize(serializer)
    }
}
