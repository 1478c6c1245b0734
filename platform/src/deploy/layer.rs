//! The layer that holds the supervisor, for functions on managed runtimes.

use super::{DeployError, Deployer, refused};
use crate::bundle::supervisor_layer;
use crate::change::{Change, Code, Zip};
use crate::digest::sha256;
use crate::journal::Undo;

impl Deployer<'_> {
    /// ARN of the layer with this supervisor, published if its newest version is another.
    pub(super) async fn layer(&self) -> Result<&str, DeployError> {
        let publish = async {
            let zip = supervisor_layer(&self.supervisor)
                .map_err(|error| DeployError::Layer(Box::new(error)))?;
            let sha256 = sha256(&zip);
            let lambda = &self.endpoint.lambda;
            let name = self.layer_name();
            let newest = self.layer_versions().await?.first().copied();
            if let Some(newest) = newest {
                let known = lambda
                    .get_layer_version()
                    .layer_name(&name)
                    .version_number(newest)
                    .send()
                    .await
                    .map_err(refused("look-up of the layer", &name))?;
                if known.content().and_then(|content| content.code_sha256()) == Some(&sha256) {
                    return Ok(known.layer_version_arn().unwrap_or_default().to_owned());
                }
            }
            let after = newest.unwrap_or(0);
            let zip = Zip { bytes: zip.into(), sha256 };
            let content = self.placed(&name, Code::Zip(zip)).await?;
            let change = Change::PublishLayerVersion {
                layer_name: name.clone(),
                description: "Fuseline's supervisor".into(),
                content,
                after,
            };
            let undo = Undo::DeleteLayerVersions { layer: name, after };
            let answer = self.changes.make(self.endpoint, &change, None, Some(undo)).await?;
            Ok(answer.arn.unwrap_or_default())
        };
        self.layer.get_or_try_init(|| publish).await.map(String::as_str)
    }

    /// Of the workflow's own, so that `destroy` may delete it.
    pub(super) fn layer_name(&self) -> String {
        format!("fuseline-{}", self.project.workflow.name())
    }

    /// Versions of the layer, the newest first.
    pub(super) async fn layer_versions(&self) -> Result<Vec<i64>, DeployError> {
        let name = self.layer_name();
        let mut pages = self
            .endpoint
            .lambda
            .list_layer_versions()
            .layer_name(&name)
            .into_paginator()
            .items()
            .send();
        let mut versions = Vec::new();
        while let Some(version) = pages.next().await {
            versions.push(version.map_err(refused("listing of the layer", &name))?.version());
        }
        Ok(versions)
    }

    /// Deletes versions of the layer that are newer than one.
    pub(super) async fn delete_layers(&self, after: i64) -> Result<(), DeployError> {
        let layer_name = self.layer_name();
        for version_number in self.layer_versions().await? {
            if version_number > after {
                let layer_name = layer_name.clone();
                let change = Change::DeleteLayerVersion { layer_name, version_number };
                self.changes.make(self.endpoint, &change, None, None).await?;
            }
        }
        Ok(())
    }
}
