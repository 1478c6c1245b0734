//! The role of functions on what stands for AWS, where the workflow file names none: moto takes no role that does not
//! exist or that is another account's.

use aws_sdk_lambda::error::ProvideErrorMetadata;

use super::{DeployError, Deployer};
use crate::change::Change;
use crate::journal::Undo;

/// Role on servers that have no IAM.
const NO_ROLE: &str = "arn:aws:iam::000000000000:role/fuseline-local";
/// Lambda may take the role.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

impl Deployer<'_> {
    /// ARN of that role, which is made where there is IAM and not yet the role.
    pub(super) async fn stand_in_role(&self) -> Result<&str, DeployError> {
        let find = async {
            let role_name = self.stand_in_name();
            if self.is_local {
                return Ok(NO_ROLE.to_owned());
            }
            match self.endpoint.iam.get_role().role_name(&role_name).send().await {
                Ok(found) => Ok(found.role.map_or(NO_ROLE.to_owned(), |role| role.arn)),
                Err(error) if error.code() == Some("NoSuchEntity") => {
                    let workflow = self.project.workflow.name();
                    let change = Change::CreateRole {
                        role_name: role_name.clone(),
                        assume_role_policy_document: TRUST.to_owned(),
                        permissions_boundary: None,
                        description: format!("Fuseline, workflow {workflow}: allows nothing"),
                    };
                    let undo = Undo::DeleteRole { role: role_name };
                    let made = self.changes.make(self.endpoint, &change, None, Some(undo)).await?;
                    Ok(made.arn.unwrap_or_else(|| NO_ROLE.to_owned()))
                }
                Err(_) => Ok(NO_ROLE.to_owned()),
            }
        };
        self.stand_in.get_or_try_init(|| find).await.map(String::as_str)
    }

    /// Deletes the role, if it was made.
    pub(super) async fn delete_stand_in_role(&self) {
        if self.endpoint.is_emulated() && !self.is_local {
            // Where there is no IAM, there is no role.
            let _ = self.delete_role(&self.stand_in_name()).await;
        }
    }

    fn stand_in_name(&self) -> String {
        self.role_name_of("stand-in")
    }
}
