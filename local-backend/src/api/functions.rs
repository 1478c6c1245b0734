//! Functions and their versions.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{page, read_json};
use crate::backend::Backend;
use crate::bundle::Bundle;
use crate::error::ApiError;
use crate::function::{DEFAULT_RUNTIME, Settings, Version, host_architecture, runtimes};
use crate::registry::{Expected, parse_name};

type Reply = Result<Json<Value>, ApiError>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Qualified {
    qualifier: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

/// Code in `CreateFunction` and, flat, in `UpdateFunctionCode`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Code {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    image_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    function_name: String,
    #[serde(default)]
    code: Code,
    package_type: Option<String>,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    publish: bool,
    #[serde(flatten)]
    settings: Settings,
}

pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let create: Create = read_json(body).await?;
    let named = parse_name(&create.function_name, None)?;
    if named.qualifier.is_some() {
        return Err(ApiError::invalid_parameter("a new function's name has no qualifier"));
    }
    if create.package_type.is_some_and(|kind| kind != "Zip") {
        return Err(ApiError::invalid_parameter("the local backend runs zip packages only"));
    }
    check_architectures(create.architectures.as_deref())?;
    let code = unpack(&backend, create.code).await?;
    let code = code.ok_or_else(|| ApiError::invalid_parameter("Code.ZipFile is missing"))?;
    prepare(&backend, create.settings.runtime(), &code).await?;
    let mut version = backend.registry.create(&named.name, create.settings, code)?;
    if create.publish {
        version = backend.registry.publish(&named.name, &Expected::default(), None)?;
    }
    Ok((StatusCode::CREATED, Json(version.describe())))
}

/// Makes the runtimes of a function ready, so that no invocation has to.
async fn prepare(backend: &Backend, runtime: Option<&str>, code: &Bundle) -> Result<(), ApiError> {
    let runtimes = runtimes(runtime.unwrap_or(DEFAULT_RUNTIME), code);
    backend.runtimes.prepare(runtimes).await.map_err(ApiError::from)
}

fn check_architectures(architectures: Option<&[String]>) -> Result<(), ApiError> {
    match architectures {
        Some([other]) if other != host_architecture() => Err(ApiError::invalid_parameter(format!(
            "this machine runs {}, not {other}",
            host_architecture()
        ))),
        _ => Ok(()),
    }
}

/// The code a request brings, if it brings any.
async fn unpack(backend: &Backend, code: Code) -> Result<Option<Arc<Bundle>>, ApiError> {
    if code.s3_bucket.is_some() || code.image_uri.is_some() {
        return Err(ApiError::invalid_parameter(
            "the local backend takes code as ZipFile only, not from S3 or a registry",
        ));
    }
    let Some(text) = code.zip_file else {
        return Ok(None);
    };
    let zip = STANDARD
        .decode(text)
        .map_err(|error| ApiError::invalid_parameter(format!("ZipFile is no base64: {error}")))?;
    backend.registry.unpack(zip).await.map(Some)
}

pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    Query(query): Query<Qualified>,
) -> Reply {
    let functions = describe_all(&backend.registry.list());
    page("Functions", functions, query.marker.as_deref(), query.max_items).map(Json)
}

fn describe_all(versions: &[Arc<Version>]) -> Vec<Value> {
    versions.iter().map(|version| version.describe()).collect()
}

pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Reply {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    let version = backend.registry.resolve(&named)?;
    Ok(Json(json!({
        "Configuration": version.describe(),
        "Code": { "RepositoryType": "Local" },
        "Tags": {},
    })))
}

pub(super) async fn get_configuration(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Reply {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    Ok(Json(backend.registry.resolve(&named)?.describe()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateConfiguration {
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

pub(super) async fn update_configuration(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    body: Body,
) -> Reply {
    let name = parse_name(&name, None)?.name;
    let update: UpdateConfiguration = read_json(body).await?;
    if let Some(runtime) = update.settings.runtime() {
        let code = &backend.registry.resolve(&parse_name(&name, None)?)?.code;
        prepare(&backend, Some(runtime), code).await?;
    }
    let expected = Expected { revision_id: update.revision_id, code_sha256: None };
    let (before, after) = backend.registry.update(&name, &expected, update.settings, None)?;
    retire(&backend, &[before]);
    Ok(Json(after.describe()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateCode {
    revision_id: Option<String>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    architectures: Option<Vec<String>>,
    #[serde(flatten)]
    code: Code,
}

pub(super) async fn update_code(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    body: Body,
) -> Reply {
    let named = parse_name(&name, None)?;
    let update: UpdateCode = read_json(body).await?;
    check_architectures(update.architectures.as_deref())?;
    // Before the code is unpacked: a function that is not there needs none.
    let current = backend.registry.resolve(&parse_name(&named.name, None)?)?;
    let code = unpack(&backend, update.code).await?;
    let code = code.ok_or_else(|| ApiError::invalid_parameter("ZipFile is missing"))?;
    if update.dry_run {
        return Ok(Json(current.describe()));
    }
    prepare(&backend, Some(&current.configuration.runtime), &code).await?;
    let expected = Expected { revision_id: update.revision_id, code_sha256: None };
    let settings = Settings::default();
    let (before, mut after) =
        backend.registry.update(&named.name, &expected, settings, Some(code))?;
    retire(&backend, &[before]);
    if update.publish {
        after = backend.registry.publish(&named.name, &Expected::default(), None)?;
    }
    Ok(Json(after.describe()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publish {
    code_sha256: Option<String>,
    revision_id: Option<String>,
    description: Option<String>,
}

pub(super) async fn publish(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = parse_name(&name, None)?.name;
    let Publish { code_sha256, revision_id, description } = read_json(body).await?;
    let expected = Expected { revision_id, code_sha256 };
    let version = backend.registry.publish(&name, &expected, description)?;
    Ok((StatusCode::CREATED, Json(version.describe())))
}

pub(super) async fn list_versions(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Reply {
    let versions = backend.registry.versions(&parse_name(&name, None)?.name)?;
    let versions = describe_all(&versions);
    page("Versions", versions, query.marker.as_deref(), query.max_items).map(Json)
}

pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Result<StatusCode, ApiError> {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    let gone = backend.registry.delete(&named)?;
    retire(&backend, &gone);
    Ok(StatusCode::NO_CONTENT)
}

/// Removes idle instances of versions that no client can reach any more.
fn retire(backend: &Backend, versions: &[Arc<Version>]) {
    for version in versions {
        backend.remove(backend.pool.retire(version.generation));
    }
}
