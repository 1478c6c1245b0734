//! Aliases. Weighted ones are refused rather than sent all one way.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{page, read_json};
use crate::backend::Backend;
use crate::error::ApiError;
use crate::registry::parse_name;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listing {
    function_version: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

/// Body of `CreateAlias` and `UpdateAlias`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasSettings {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
    routing_config: Option<Routing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    additional_version_weights: Option<serde_json::Map<String, Value>>,
}

impl AliasSettings {
    fn check(&self) -> Result<(), ApiError> {
        let weights =
            self.routing_config.as_ref().and_then(|r| r.additional_version_weights.as_ref());
        if weights.is_some_and(|weights| !weights.is_empty()) {
            return Err(ApiError::invalid_parameter(
                "the local backend has no weighted aliases yet; leave RoutingConfig out",
            ));
        }
        Ok(())
    }
}

pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    Path(function): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let function = parse_name(&function, None)?.name;
    let settings: AliasSettings = read_json(body).await?;
    settings.check()?;
    let missing = |what: &str| ApiError::invalid_parameter(format!("{what} is missing"));
    let name = settings.name.ok_or_else(|| missing("Name"))?;
    let version = settings.function_version.ok_or_else(|| missing("FunctionVersion"))?;
    let description = settings.description.unwrap_or_default();
    let alias = backend.registry.create_alias(&function, &name, &version, description)?;
    Ok((StatusCode::CREATED, Json(alias)))
}

pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    Path((function, alias)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let function = parse_name(&function, None)?.name;
    let settings: AliasSettings = read_json(body).await?;
    settings.check()?;
    let AliasSettings { function_version, description, revision_id, .. } = settings;
    backend
        .registry
        .update_alias(&function, &alias, function_version, description, revision_id)
        .map(Json)
}

pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    Path((function, alias)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    backend.registry.alias(&parse_name(&function, None)?.name, &alias).map(Json)
}

pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    Path(function): Path<String>,
    Query(query): Query<Listing>,
) -> Result<Json<Value>, ApiError> {
    let function = parse_name(&function, None)?.name;
    let aliases = backend.registry.aliases(&function, query.function_version.as_deref())?;
    page("Aliases", aliases, query.marker.as_deref(), query.max_items).map(Json)
}

pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    Path((function, alias)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    backend.registry.delete_alias(&parse_name(&function, None)?.name, &alias)?;
    Ok(StatusCode::NO_CONTENT)
}
