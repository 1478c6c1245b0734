//! Changes at a Lambda endpoint: each is one call, known before it is made, so that it can be shown, written to a
//! journal, repeated and undone.

mod effect;
mod send;
mod settings;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub(crate) use self::effect::versions;
pub(crate) use self::send::{Answer, Failure};
pub(crate) use self::settings::{FileSystem, FunctionSettings, Network, Storage};

/// What stands for the values of variables that are not ours, because they may be secrets.
const MASK: &str = "***";
/// How the names of our own variables start; their values are no secrets.
const OUR_VARIABLES: &str = "FUSELINE_";

/// A function's code or a layer's content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Zip {
    pub(crate) bytes: Vec<u8>,
    /// As Lambda gives it: base64.
    pub(crate) sha256: String,
}

impl Serialize for Zip {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("{} bytes, SHA-256 {}", self.bytes.len(), self.sha256);
        BTreeMap::from([("ZipFile", text)]).serialize(serializer)
    }
}

/// One call that changes something, with Lambda's names of operation and parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "operation", content = "parameters", rename_all_fields = "PascalCase")]
pub(crate) enum Change {
    CreateFunction {
        function_name: String,
        #[serde(flatten)]
        settings: Box<FunctionSettings>,
        code: Zip,
    },
    UpdateFunctionCode {
        function_name: String,
        code: Zip,
    },
    UpdateFunctionConfiguration {
        function_name: String,
        #[serde(flatten)]
        settings: Box<FunctionSettings>,
    },
    PublishVersion {
        function_name: String,
        code_sha256: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Newest version before; not sent.
        #[serde(skip)]
        after: u64,
    },
    CreateAlias {
        function_name: String,
        name: String,
        function_version: String,
    },
    UpdateAlias {
        function_name: String,
        name: String,
        function_version: String,
    },
    DeleteAlias {
        function_name: String,
        name: String,
    },
    DeleteFunction {
        function_name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        qualifier: Option<String>,
    },
    PutFunctionConcurrency {
        function_name: String,
        reserved_concurrent_executions: i32,
    },
    DeleteFunctionConcurrency {
        function_name: String,
    },
    PublishLayerVersion {
        layer_name: String,
        description: String,
        content: Zip,
        /// Newest version before; not sent.
        #[serde(skip)]
        after: i64,
    },
    DeleteLayerVersion {
        layer_name: String,
        version_number: i64,
    },
    DeleteLogGroup {
        log_group_name: String,
    },
}

impl Change {
    /// Name of the operation and its parameters, with values of environment variables that are not ours masked.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = serde_json::to_value(self).expect("strings, numbers and lists of them");
        let variables = shown.pointer_mut("/parameters/Environment/Variables");
        if let Some(Value::Object(variables)) = variables {
            for (name, value) in variables {
                if !name.starts_with(OUR_VARIABLES) {
                    *value = MASK.into();
                }
            }
        }
        shown
    }

    /// Lambda's name of the operation.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::CreateFunction { .. } => "CreateFunction",
            Self::UpdateFunctionCode { .. } => "UpdateFunctionCode",
            Self::UpdateFunctionConfiguration { .. } => "UpdateFunctionConfiguration",
            Self::PublishVersion { .. } => "PublishVersion",
            Self::CreateAlias { .. } => "CreateAlias",
            Self::UpdateAlias { .. } => "UpdateAlias",
            Self::DeleteAlias { .. } => "DeleteAlias",
            Self::DeleteFunction { .. } => "DeleteFunction",
            Self::PutFunctionConcurrency { .. } => "PutFunctionConcurrency",
            Self::DeleteFunctionConcurrency { .. } => "DeleteFunctionConcurrency",
            Self::PublishLayerVersion { .. } => "PublishLayerVersion",
            Self::DeleteLayerVersion { .. } => "DeleteLayerVersion",
            Self::DeleteLogGroup { .. } => "DeleteLogGroup",
        }
    }

    /// What the call does, as the beginning of a sentence that goes on with the function's name.
    pub(crate) fn step(&self) -> &'static str {
        match self {
            Self::CreateFunction { .. } => "creation",
            Self::UpdateFunctionCode { .. } => "update of the code",
            Self::UpdateFunctionConfiguration { .. } => "update of the configuration",
            Self::PublishVersion { .. } => "publishing",
            Self::CreateAlias { .. } => "creation of the alias `live`",
            Self::UpdateAlias { .. } => "moving the alias `live`",
            Self::DeleteAlias { .. } => "removal of the alias `live`",
            Self::DeleteFunction { qualifier: Some(_), .. } => "removal of an old version",
            Self::DeleteFunction { .. } => "removal",
            Self::PutFunctionConcurrency { .. } => "reservation of concurrency",
            Self::DeleteFunctionConcurrency { .. } => "release of reserved concurrency",
            Self::PublishLayerVersion { .. } => "publication of the layer",
            Self::DeleteLayerVersion { .. } => "removal of the layer",
            Self::DeleteLogGroup { .. } => "removal of the log group",
        }
    }

    /// Name of the function, the layer or the log group that it changes.
    pub(crate) fn function(&self) -> &str {
        match self {
            Self::CreateFunction { function_name, .. }
            | Self::UpdateFunctionCode { function_name, .. }
            | Self::UpdateFunctionConfiguration { function_name, .. }
            | Self::PublishVersion { function_name, .. }
            | Self::CreateAlias { function_name, .. }
            | Self::UpdateAlias { function_name, .. }
            | Self::DeleteAlias { function_name, .. }
            | Self::DeleteFunction { function_name, .. }
            | Self::PutFunctionConcurrency { function_name, .. }
            | Self::DeleteFunctionConcurrency { function_name } => function_name,
            Self::PublishLayerVersion { layer_name, .. }
            | Self::DeleteLayerVersion { layer_name, .. } => layer_name,
            Self::DeleteLogGroup { log_group_name } => log_group_name,
        }
    }

    /// Whether it removes something, so that finding nothing means that it is done.
    pub(crate) fn removes(&self) -> bool {
        matches!(
            self,
            Self::DeleteAlias { .. }
                | Self::DeleteFunction { .. }
                | Self::DeleteFunctionConcurrency { .. }
                | Self::DeleteLayerVersion { .. }
                | Self::DeleteLogGroup { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_code_is_named_by_its_hash() {
        let variables = [("PASSWORD", "s3cret"), ("FUSELINE_WORKFLOW", "w")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = FunctionSettings { memory_size: Some(128), ..FunctionSettings::default() }
            .with_environment(variables.into());
        let change = Change::CreateFunction {
            function_name: "a".into(),
            settings: Box::new(settings),
            code: Zip { bytes: vec![1, 2], sha256: "abc=".into() },
        };
        let shown = change.shown();
        assert_eq!(shown["operation"], change.operation());
        let parameters = &shown["parameters"];
        assert_eq!(parameters["MemorySize"], 128);
        assert_eq!(parameters["Code"]["ZipFile"], "2 bytes, SHA-256 abc=");
        let variables = &parameters["Environment"]["Variables"];
        assert_eq!(
            (&variables["PASSWORD"], &variables["FUSELINE_WORKFLOW"]),
            (&"***".into(), &"w".into())
        );
        assert!(!shown.to_string().contains("s3cret"));
    }
}
