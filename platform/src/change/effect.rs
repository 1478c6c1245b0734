//! Whether a change whose answer was lost has been made.

use std::collections::BTreeMap;

use aws_sdk_lambda::Client;

use super::{Answer, Change, Failure, FunctionSettings};
use crate::endpoint::Endpoint;

impl Change {
    /// What it gave if it has been made already; none if it has not, or if making it again does no harm.
    pub(crate) async fn effect(&self, endpoint: &Endpoint) -> Result<Option<Answer>, Failure> {
        let lambda = &endpoint.lambda;
        let done = |is_done: bool| is_done.then(Answer::default);
        Ok(match self {
            Self::CreateFunction { function_name, settings, code } => {
                let found = lambda.get_function_configuration().function_name(function_name);
                let found = found.send().await;
                // Ours by code and variables, so that nothing that somebody else made meanwhile is taken for it.
                done(found.is_ok_and(|found| {
                    found.code_sha256() == Some(code.sha256())
                        && has_environment(settings, found.environment())
                }))
            }
            Self::UpdateFunctionCode { function_name, code } => {
                let found = lambda.get_function_configuration().function_name(function_name);
                done(found.send().await?.code_sha256() == Some(code.sha256()))
            }
            Self::UpdateFunctionConfiguration { function_name, settings } => {
                let found = lambda.get_function_configuration().function_name(function_name);
                let found = found.send().await?;
                let same_memory =
                    settings.memory_size.is_none_or(|it| found.memory_size() == Some(it));
                let same_role = settings.role.as_deref().is_none_or(|it| found.role() == Some(it));
                let same = same_memory && same_role;
                done(same && has_environment(settings, found.environment()))
            }
            Self::PublishVersion { function_name, code_sha256, after, .. } => {
                let newest = versions(lambda, function_name).await?.pop();
                let newest =
                    newest.filter(|(number, sha256)| number > after && sha256 == code_sha256);
                newest.map(|(number, _)| Answer { version: Some(number.to_string()), arn: None })
            }
            Self::CreateAlias { function_name, name, function_version } => {
                let alias = lambda.get_alias().function_name(function_name).name(name).send().await;
                done(alias.is_ok_and(|it| it.function_version() == Some(function_version)))
            }
            Self::UpdateAlias { function_name, name, function_version, routing_config } => {
                let alias = lambda.get_alias().function_name(function_name).name(name).send().await;
                done(alias.is_ok_and(|it| {
                    it.function_version() == Some(function_version)
                        && weights(it.routing_config()) == routing_config.additional_version_weights
                }))
            }
            Self::PublishLayerVersion { layer_name, content, after, .. } => {
                let listed = lambda.list_layer_versions().layer_name(layer_name).send().await?;
                let newest = listed.layer_versions().iter().max_by_key(|it| it.version());
                let Some(newest) = newest.filter(|it| it.version() > *after) else {
                    return Ok(None);
                };
                let known = lambda.get_layer_version().layer_name(layer_name);
                let known = known.version_number(newest.version()).send().await?;
                let same =
                    known.content().and_then(|it| it.code_sha256()) == Some(content.sha256());
                let arn = newest.layer_version_arn().map(str::to_owned);
                same.then_some(Answer { version: None, arn })
            }
            Self::CreateRole { role_name, description, .. } => {
                let found = endpoint.iam.get_role().role_name(role_name).send().await;
                let role = found.ok().and_then(|found| found.role);
                let ours = role.filter(|role| role.description() == Some(description));
                ours.map(|role| Answer { version: None, arn: Some(role.arn().to_owned()) })
            }
            // To remove or to set again does no harm.
            _ => None,
        })
    }
}

fn has_environment(
    settings: &FunctionSettings,
    found: Option<&aws_sdk_lambda::types::EnvironmentResponse>,
) -> bool {
    let Some(wanted) = &settings.environment else { return true };
    let found = found.and_then(|found| found.variables());
    found.map_or(wanted.variables.is_empty(), |found| {
        found.len() == wanted.variables.len()
            && wanted.variables.iter().all(|(name, value)| found.get(name) == Some(value))
    })
}

/// The weights of an alias; none if it calls one version only.
pub(crate) fn weights(
    routing: Option<&aws_sdk_lambda::types::AliasRoutingConfiguration>,
) -> BTreeMap<String, f64> {
    let weights = routing.and_then(|routing| routing.additional_version_weights());
    weights.cloned().unwrap_or_default().into_iter().collect()
}

/// Published versions of a function with the SHA-256 of their code, in order.
pub(crate) async fn versions(
    lambda: &Client,
    function: &str,
) -> Result<Vec<(u64, String)>, Failure> {
    let call = lambda.list_versions_by_function().function_name(function);
    let mut pages = call.into_paginator().items().send();
    let mut versions = Vec::new();
    while let Some(version) = pages.next().await {
        let version = version?;
        if let Some(number) = version.version().and_then(|number| number.parse().ok()) {
            versions.push((number, version.code_sha256().unwrap_or_default().to_owned()));
        }
    }
    versions.sort_unstable();
    Ok(versions)
}
