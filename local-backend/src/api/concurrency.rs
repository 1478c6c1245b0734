//! Reserved concurrency, and what the account has.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_ZIP_BYTES, read_json};
use crate::backend::Backend;
use crate::bundle::MAX_UNPACKED_BYTES;
use crate::concurrency::ACCOUNT_LIMIT;
use crate::error::ApiError;
use crate::registry::parse_name;

/// Lambda's limit for all code of an account, in bytes; nothing checks it here.
const MAX_CODE_BYTES: u64 = 80_530_636_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reservation {
    reserved_concurrent_executions: Option<i64>,
}

pub(super) async fn put(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let name = parse_name(&name, None)?.name;
    let reservation: Reservation = read_json(body).await?;
    let given = reservation.reserved_concurrent_executions;
    let reserved = given.and_then(|given| u32::try_from(given).ok()).ok_or_else(|| {
        ApiError::validation(
            "1 validation error detected: Value at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must not be null and must have value greater than or equal to 0",
        )
    })?;
    backend.registry.reserve(&name, reserved)?;
    Ok(Json(json!({ "ReservedConcurrentExecutions": reserved })))
}

pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let reserved = backend.registry.reserved(&parse_name(&name, None)?.name)?;
    Ok(Json(describe(reserved).unwrap_or_else(|| json!({}))))
}

/// A reservation as Lambda's API states it.
pub(super) fn describe(reserved: Option<u32>) -> Option<Value> {
    reserved.map(|reserved| json!({ "ReservedConcurrentExecutions": reserved }))
}

pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    backend.registry.unreserve(&parse_name(&name, None)?.name)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn account(State(backend): State<Arc<Backend>>) -> Json<Value> {
    let versions = backend.registry.list_versions();
    let code_bytes: u64 = versions.iter().map(|version| version.code.zip_bytes).sum();
    Json(json!({
        "AccountLimit": {
            "TotalCodeSize": MAX_CODE_BYTES,
            "CodeSizeUnzipped": MAX_UNPACKED_BYTES,
            "CodeSizeZipped": MAX_ZIP_BYTES,
            "ConcurrentExecutions": ACCOUNT_LIMIT,
            "UnreservedConcurrentExecutions": backend.registry.unreserved(),
        },
        "AccountUsage": {
            "TotalCodeSize": code_bytes,
            "FunctionCount": backend.registry.list().len(),
        },
    }))
}
