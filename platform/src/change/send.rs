//! Sends a change once, as often as the SDK retries it.

use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::types;

use super::{Change, Code, object};
use crate::deploy::aws_message;
use crate::docker;
use crate::endpoint::{AwsSettings, Endpoint};
use crate::registry::Registry;
use crate::repository::Repository;

/// What a change gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// The version that was published.
    pub(crate) version: Option<String>,
    /// The ARN of the layer that was published, or the image that was pushed, by its digest.
    pub(crate) arn: Option<String>,
}

/// Why a change was not answered with success.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// The service's error code; none if it did not answer.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    /// Whether the change may have been made all the same: the answer was lost, or the SDK sent it twice.
    pub(crate) is_ambiguous: bool,
}

impl<E, R> From<SdkError<E, R>> for Failure
where
    SdkError<E, R>: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let code = error.code().map(str::to_owned);
        // After a lost answer the SDK sends again, and the second is refused because the first was obeyed.
        let by_ourselves =
            ["ResourceConflictException", "PreconditionFailedException", "EntityAlreadyExists"];
        let is_ambiguous = match code.as_deref() {
            Some(code) => by_ourselves.contains(&code) || code == "ServiceException",
            None => !matches!(error, SdkError::ConstructionFailure(_)),
        };
        Self { code, message: aws_message(&error), is_ambiguous }
    }
}

/// Pushes an image that was built here; returns it by its digest.
async fn put_image(
    repository: &Repository,
    tag: &str,
    aws: &AwsSettings,
) -> Result<String, Failure> {
    let failed = |message| Failure { code: None, message, is_ambiguous: true };
    let registry = Registry::of(repository, aws).await.map_err(failed)?;
    let digest = docker::push(repository, tag, registry.login()).await.map_err(failed)?;
    Ok(format!("{repository}@{digest}"))
}

impl Change {
    /// Sends it. `revision` is what the function or alias has to be at, where the operation takes that.
    pub(crate) async fn send(
        &self,
        endpoint: &Endpoint,
        revision: Option<&str>,
    ) -> Result<Answer, Failure> {
        let lambda = &endpoint.lambda;
        let revision = revision.map(str::to_owned);
        let done = Answer::default();
        Ok(match self {
            Self::CreateFunction { function_name, settings, code } => {
                let architectures = settings.architectures.as_ref().map(|names| {
                    names.iter().map(|name| types::Architecture::from(name.as_str())).collect()
                });
                let call = lambda.create_function().function_name(function_name);
                let call = call.code(code.of_function()).package_type(code.package_type());
                call.set_runtime(settings.runtime.as_deref().map(types::Runtime::from))
                    .set_handler(settings.handler.clone())
                    .set_role(settings.role.clone())
                    .set_architectures(architectures)
                    .set_layers(settings.layers.clone())
                    .set_description(settings.description.clone())
                    .set_memory_size(settings.memory_size)
                    .set_timeout(settings.timeout)
                    .set_environment(settings.environment())
                    .set_file_system_configs(settings.file_systems())
                    .set_vpc_config(settings.network())
                    .set_ephemeral_storage(settings.storage())
                    .send()
                    .await?;
                done
            }
            Self::UpdateFunctionCode { function_name, code } => {
                let call = lambda.update_function_code().function_name(function_name);
                let call = match code {
                    Code::Zip(zip) => call.zip_file(zip.blob()),
                    Code::Object { object, .. } => {
                        call.s3_bucket(&object.bucket).s3_key(&object.key)
                    }
                    Code::Image { uri, .. } => call.image_uri(uri),
                };
                call.set_revision_id(revision).send().await?;
                done
            }
            Self::UpdateFunctionConfiguration { function_name, settings } => {
                let call = lambda.update_function_configuration().function_name(function_name);
                let call = call.set_role(settings.role.clone());
                call.set_runtime(settings.runtime.as_deref().map(types::Runtime::from))
                    .set_handler(settings.handler.clone())
                    .set_layers(settings.layers.clone())
                    .set_description(settings.description.clone())
                    .set_memory_size(settings.memory_size)
                    .set_timeout(settings.timeout)
                    .set_environment(settings.environment())
                    .set_file_system_configs(settings.file_systems())
                    .set_vpc_config(settings.network())
                    .set_ephemeral_storage(settings.storage())
                    .set_revision_id(revision)
                    .send()
                    .await?;
                done
            }
            Self::PublishVersion { function_name, code_sha256, description, .. } => {
                let call = lambda.publish_version().function_name(function_name);
                let call = call.code_sha256(code_sha256).set_description(description.clone());
                let published = call.set_revision_id(revision).send().await?;
                Answer { version: published.version().map(str::to_owned), arn: None }
            }
            Self::CreateAlias { function_name, name, function_version } => {
                let call = lambda.create_alias().function_name(function_name).name(name);
                call.function_version(function_version).send().await?;
                done
            }
            Self::UpdateAlias { function_name, name, function_version, routing_config } => {
                let call = lambda.update_alias().function_name(function_name).name(name);
                let call = call.function_version(function_version);
                let call = call.routing_config(routing_config.config());
                call.set_revision_id(revision).send().await?;
                done
            }
            Self::DeleteAlias { function_name, name } => {
                lambda.delete_alias().function_name(function_name).name(name).send().await?;
                done
            }
            Self::DeleteFunction { function_name, qualifier } => {
                let call = lambda.delete_function().function_name(function_name);
                call.set_qualifier(qualifier.clone()).send().await?;
                done
            }
            Self::PutFunctionConcurrency { function_name, reserved_concurrent_executions } => {
                let call = lambda.put_function_concurrency().function_name(function_name);
                let reserved = *reserved_concurrent_executions;
                call.reserved_concurrent_executions(reserved).send().await?;
                done
            }
            Self::DeleteFunctionConcurrency { function_name } => {
                let call = lambda.delete_function_concurrency().function_name(function_name);
                call.send().await?;
                done
            }
            Self::PublishLayerVersion { layer_name, description, content, .. } => {
                let call = lambda.publish_layer_version().layer_name(layer_name);
                let call = call.description(description).content(content.of_layer());
                let published = call.send().await?;
                Answer { version: None, arn: published.layer_version_arn().map(str::to_owned) }
            }
            Self::DeleteLayerVersion { layer_name, version_number } => {
                let call = lambda.delete_layer_version().layer_name(layer_name);
                call.version_number(*version_number).send().await?;
                done
            }
            Self::DeleteLogGroup { log_group_name } => {
                let call = endpoint.logs.delete_log_group().log_group_name(log_group_name);
                call.send().await?;
                done
            }
            Self::CreateRole {
                role_name,
                assume_role_policy_document,
                permissions_boundary,
                description,
            } => {
                let call = endpoint.iam.create_role().role_name(role_name);
                let call = call.assume_role_policy_document(assume_role_policy_document);
                let call = call.set_permissions_boundary(permissions_boundary.clone());
                let made = call.description(description).send().await?;
                Answer { version: None, arn: made.role().map(|role| role.arn().to_owned()) }
            }
            Self::AttachRolePolicy { role_name, policy_arn } => {
                let call = endpoint.iam.attach_role_policy().role_name(role_name);
                call.policy_arn(policy_arn).send().await?;
                done
            }
            Self::PutRolePolicy { role_name, policy_name, policy_document } => {
                let call = endpoint.iam.put_role_policy().role_name(role_name);
                call.policy_name(policy_name).policy_document(policy_document).send().await?;
                done
            }
            Self::DetachRolePolicy { role_name, policy_arn } => {
                let call = endpoint.iam.detach_role_policy().role_name(role_name);
                call.policy_arn(policy_arn).send().await?;
                done
            }
            Self::DeleteRolePolicy { role_name, policy_name } => {
                let call = endpoint.iam.delete_role_policy().role_name(role_name);
                call.policy_name(policy_name).send().await?;
                done
            }
            Self::DeleteRole { role_name } => {
                endpoint.iam.delete_role().role_name(role_name).send().await?;
                done
            }
            Self::PutObject { object, body, .. } => {
                Box::pin(object::put(object, body, &endpoint.settings)).await?;
                done
            }
            Self::PutImage { repository, image_tag, .. } => {
                let uri = Box::pin(put_image(repository, image_tag, &endpoint.settings)).await?;
                Answer { version: None, arn: Some(uri) }
            }
            Self::DeleteObject { object } => {
                Box::pin(object::delete(object, &endpoint.settings)).await?;
                done
            }
        })
    }
}
