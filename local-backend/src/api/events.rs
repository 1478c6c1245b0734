//! What is set for asynchronous invocations: retries, age and destinations.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde_json::Value;

use super::functions::Qualified;
use super::{page, read_json};
use crate::backend::Backend;
use crate::error::ApiError;
use crate::registry::parse_name;

type Reply = Result<Json<Value>, ApiError>;

pub(super) async fn put(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Body,
) -> Reply {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    backend.registry.put_events(&named, read_json(body).await?).map(Json)
}

pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Body,
) -> Reply {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    backend.registry.update_events(&named, read_json(body).await?).map(Json)
}

pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Reply {
    backend.registry.events(&parse_name(&name, query.qualifier.as_deref())?).map(Json)
}

pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Reply {
    let configs = backend.registry.list_events(&parse_name(&name, None)?.name)?;
    let Qualified { marker, max_items, .. } = query;
    page("FunctionEventInvokeConfigs", configs, marker.as_deref(), max_items).map(Json)
}

pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Result<StatusCode, ApiError> {
    backend.registry.delete_events(&parse_name(&name, query.qualifier.as_deref())?)?;
    Ok(StatusCode::NO_CONTENT)
}
