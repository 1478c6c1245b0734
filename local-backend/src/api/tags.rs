//! Tags of functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::read_json;
use crate::backend::Backend;
use crate::error::ApiError;
use crate::registry::parse_name;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// Name of the function with this ARN; only whole functions have tags.
fn function(arn: &str) -> Result<String, ApiError> {
    let named = parse_name(arn, None)?;
    if named.region.is_none() || named.qualifier.is_some() {
        return Err(ApiError::invalid_parameter(format!(
            "`{arn}` is not the ARN of a function without a qualifier"
        )));
    }
    Ok(named.name)
}

pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    Path(arn): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "Tags": backend.registry.tags(&function(&arn)?)? })))
}

pub(super) async fn tag(
    State(backend): State<Arc<Backend>>,
    Path(arn): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let function = function(&arn)?;
    let Tags { tags } = read_json(body).await?;
    backend.registry.tag(&function, tags)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn untag(
    State(backend): State<Arc<Backend>>,
    Path(arn): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<StatusCode, ApiError> {
    let keys = query.into_iter().filter(|(key, _)| key == "tagKeys").map(|(_, value)| value);
    backend.registry.untag(&function(&arn)?, &keys.collect::<Vec<_>>())?;
    Ok(StatusCode::NO_CONTENT)
}
