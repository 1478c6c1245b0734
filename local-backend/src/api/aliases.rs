//! Aliases.

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
use crate::registry::{AliasSettings, parse_name};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listing {
    function_version: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    Path(function): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let function = parse_name(&function, None)?.name;
    let settings: AliasSettings = read_json(body).await?;
    let alias = backend.registry.create_alias(&function, settings)?;
    Ok((StatusCode::CREATED, Json(alias)))
}

pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    Path((function, alias)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let function = parse_name(&function, None)?.name;
    let settings: AliasSettings = read_json(body).await?;
    backend.registry.update_alias(&function, &alias, settings).map(Json)
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
