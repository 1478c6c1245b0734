//! What of a workflow is deployed at an endpoint.

use aws_sdk_lambda::error::ProvideErrorMetadata;
use indexmap::IndexMap;
use optimizer::deployment::Deployment;
use optimizer::space::ResourceSpace;
use optimizer::units::{MemoryMb, MilliVcpu, Resources};
use optimizer::workflow::TaskName;
use serde::Serialize;

use crate::deploy::{DeployError, Deployed, VCPU_VARIABLE, alias, refused};
use crate::endpoint::Endpoint;
use crate::project::Project;

/// One deployed function.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FunctionStatus {
    /// Its name, that of its root task.
    pub name: String,
    /// Its unpublished state's memory, in MB.
    pub memory_mb: u32,
    /// Its unpublished state's timeout, in seconds.
    pub timeout_s: u32,
    /// Published versions.
    pub versions: usize,
    /// What it holds, in words.
    pub description: String,
    /// When its unpublished state last changed, as the endpoint writes it.
    pub modified: String,
}

/// The workflow's functions that exist, in the order of the file.
///
/// # Errors
/// If the endpoint refuses.
pub async fn functions(
    endpoint: &Endpoint,
    project: &Project,
) -> Result<Vec<FunctionStatus>, DeployError> {
    let mut found = Vec::new();
    for task in project.tasks.keys() {
        let name = task.0.as_str();
        let configuration =
            match endpoint.lambda.get_function_configuration().function_name(name).send().await {
                Ok(configuration) => configuration,
                Err(error) if error.code() == Some("ResourceNotFoundException") => continue,
                Err(error) => return Err(refused("look-up", name)(error)),
            };
        let versions = endpoint
            .lambda
            .list_versions_by_function()
            .function_name(name)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(refused("listing of the versions", name))?;
        found.push(FunctionStatus {
            name: name.to_owned(),
            memory_mb: configuration.memory_size().unwrap_or_default() as u32,
            timeout_s: configuration.timeout().unwrap_or_default() as u32,
            versions: versions.iter().filter(|v| v.version() != Some("$LATEST")).count(),
            description: configuration.description().unwrap_or_default().to_owned(),
            modified: configuration.last_modified().unwrap_or_default().to_owned(),
        });
    }
    Ok(found)
}

/// A version that gets a part of the calls of a function's alias `live`, while a rollout is under way or after one was
/// interrupted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// The function, by its root task.
    pub function: TaskName,
    /// The version.
    pub version: String,
    /// Its share of the calls, from 0 to 1.
    pub share: f64,
}

/// What production calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The deployment, with the version that the alias `live` of each function calls which is invoked from outside.
    pub deployed: Deployed,
    /// Versions that get a part of the calls beside it.
    pub weights: Vec<Weight>,
}

/// What the alias `live` calls, or `None` if there is none.
///
/// # Errors
/// If the endpoint refuses.
pub async fn live(endpoint: &Endpoint, project: &Project) -> Result<Option<Live>, DeployError> {
    let (mut versions, mut weights) = (IndexMap::new(), Vec::new());
    for root in project.workflow.roots() {
        let Some(alias) = alias(endpoint, &root.0).await? else { return Ok(None) };
        versions.insert(root.clone(), alias.version);
        let shares = alias.shares.into_iter();
        weights.extend(shares.map(|(version, share)| Weight {
            function: root.clone(),
            version,
            share,
        }));
    }
    let mut waiting: Vec<_> = versions.clone().into_iter().collect();
    // From the versions that are invoked from outside along the pinned versions of what they call.
    let mut groups = IndexMap::new();
    while let Some((root, version)) = waiting.pop() {
        if groups.contains_key(&root) {
            continue;
        }
        let configuration = endpoint
            .lambda
            .get_function_configuration()
            .function_name(&root.0)
            .qualifier(&version)
            .send()
            .await
            .map_err(refused("look-up", &root.0))?;
        let variables = configuration.environment().and_then(|e| e.variables());
        let variable = |name: &str| variables.and_then(|variables| variables.get(name)).cloned();
        let inlined: Vec<TaskName> = variable(wire::manifest::INLINED_VARIABLE)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let routes: IndexMap<TaskName, String> = variable(wire::manifest::ROUTES_VARIABLE)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let memory = MemoryMb(configuration.memory_size().unwrap_or(128) as u32);
        let usual = ResourceSpace::lambda().resources_for_memory(memory);
        let vcpu = variable(VCPU_VARIABLE).and_then(|text| text.trim().parse::<f64>().ok());
        let vcpu = vcpu.map_or(usual.vcpu, |vcpu| MilliVcpu((vcpu * 1000.0).round() as u32));
        for call in project.workflow.calls() {
            let made_here = call.caller == root || inlined.contains(&call.caller);
            if made_here && let Some(version) = routes.get(&call.callee) {
                waiting.push((call.callee.clone(), version.clone()));
            }
        }
        groups.insert(root, (inlined, Resources { vcpu, memory }));
    }
    let inlined = |root: &TaskName| groups.get(root).map(|(inlined, _)| inlined.clone());
    let deployment =
        Deployment::from_groups(&project.workflow, |root| inlined(root).unwrap_or_default());
    let deployment = groups.iter().fold(deployment, |deployment, (root, (_, resources))| {
        match deployment.functions().contains_key(root) {
            true => deployment.with_resources(root, *resources),
            false => deployment,
        }
    });
    Ok(Some(Live { deployed: Deployed { deployment, versions }, weights }))
}
