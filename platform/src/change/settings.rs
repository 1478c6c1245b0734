//! A function's configuration as parameters of a call; what is none is left as it is.

use std::collections::BTreeMap;

use aws_sdk_lambda::types;
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// Only when it is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) architectures: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// In MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_size: Option<i32>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<Environment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_system_configs: Option<Vec<FileSystem>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_config: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ephemeral_storage: Option<Storage>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FileSystem {
    pub(crate) arn: String,
    pub(crate) local_mount_path: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    pub(crate) subnet_ids: Vec<String>,
    pub(crate) security_group_ids: Vec<String>,
}

/// Versions that an alias calls beside its own, with their shares of the calls, from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Routing {
    pub(crate) additional_version_weights: BTreeMap<String, f64>,
}

impl Routing {
    pub(super) fn config(&self) -> types::AliasRoutingConfiguration {
        let weights = self.additional_version_weights.clone().into_iter().collect();
        let config = types::AliasRoutingConfiguration::builder();
        config.set_additional_version_weights(Some(weights)).build()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Storage {
    /// In MB.
    pub(crate) size: i32,
}

impl FunctionSettings {
    pub(crate) fn with_environment(self, variables: BTreeMap<String, String>) -> Self {
        Self { environment: Some(Environment { variables }), ..self }
    }

    pub(super) fn environment(&self) -> Option<types::Environment> {
        let variables = self.environment.as_ref()?.variables.clone().into_iter().collect();
        Some(types::Environment::builder().set_variables(Some(variables)).build())
    }

    pub(super) fn file_systems(&self) -> Option<Vec<types::FileSystemConfig>> {
        let config = |system: &FileSystem| {
            types::FileSystemConfig::builder()
                .arn(&system.arn)
                .local_mount_path(&system.local_mount_path)
                .build()
                .expect("both fields are set")
        };
        Some(self.file_system_configs.as_ref()?.iter().map(config).collect())
    }

    pub(super) fn network(&self) -> Option<types::VpcConfig> {
        let network = self.vpc_config.as_ref()?;
        let config = types::VpcConfig::builder()
            .set_subnet_ids(Some(network.subnet_ids.clone()))
            .set_security_group_ids(Some(network.security_group_ids.clone()));
        Some(config.build())
    }

    pub(super) fn storage(&self) -> Option<types::EphemeralStorage> {
        let size = self.ephemeral_storage.as_ref()?.size;
        let storage = types::EphemeralStorage::builder().size(size).build();
        Some(storage.expect("its only field is set"))
    }
}
