//! Functions and their versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_ZIP_BYTES, concurrency, page, read_json, text_header};
use crate::backend::Backend;
use crate::bundle::BundleError;
use crate::error::ApiError;
use crate::function::{Settings, Version, host_architecture};
use crate::preparation::Fault;
use crate::registry::{Expected, Instances, NewCode, parse_name};

type Reply = Result<Json<Value>, ApiError>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Qualified {
    pub(super) qualifier: Option<String>,
    pub(super) marker: Option<String>,
    pub(super) max_items: Option<usize>,
    /// `ALL` lists every version of every function.
    function_version: Option<String>,
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
    #[serde(default)]
    tags: BTreeMap<String, String>,
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
    let code = inspect(&backend, create.code).await?;
    let code = code.ok_or_else(|| ApiError::invalid_parameter("Code.ZipFile is missing"))?;
    let settings = with_layers(&backend, create.settings).await?;
    let registry = &backend.registry;
    let bundle = Arc::clone(&code.bundle);
    let latest = registry.create(&named.name, settings, bundle, create.tags)?;
    let version = match create.publish {
        true => registry.publish_prepared(&named.name, &Expected::default(), None)?,
        false => Arc::clone(&latest),
    };
    prepare(&backend, &latest, Instances::Replaced(None), Some(code)).await;
    Ok((StatusCode::CREATED, Json(version.describe())))
}

/// Settings with the layers that they name.
async fn with_layers(backend: &Backend, settings: Settings) -> Result<Settings, ApiError> {
    let Some(arns) = settings.layers() else {
        return Ok(settings);
    };
    let layers = backend.layers.merge(arns).await?;
    layers.check_size(None)?;
    Ok(settings.with_layers(layers))
}

/// Makes a new state of a function ready to run: its code unpacked, if that is new, and its runtimes
/// there, so that no invocation has to wait for them.
async fn prepare(
    backend: &Arc<Backend>,
    version: &Arc<Version>,
    instances: Instances,
    code: Option<NewCode>,
) {
    let (server, of) = (Arc::clone(backend), Arc::clone(version));
    let work = async move {
        if let Some(code) = code {
            unpack(code).await?;
        }
        let layers = &of.configuration.layers;
        layers.check_size(Some(&of.code)).map_err(|error| Fault {
            code: "InvalidParameterValueException",
            reason: error.message,
        })?;
        let prepared = server.runtimes.prepare(of.runtimes()).await;
        prepared.map_err(|error| Fault { code: "InvalidRuntime", reason: error.to_string() })
    };
    backend.prepare(version, instances, work).await;
}

async fn unpack(NewCode { bundle, zip }: NewCode) -> Result<(), Fault> {
    match tokio::task::spawn_blocking(move || bundle.unpack(&zip)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(BundleError::Io(error))) => Err(Fault::internal(error.to_string())),
        Ok(Err(error)) => Err(Fault { code: "InvalidZipFileException", reason: error.to_string() }),
        Err(error) => Err(Fault::internal(error.to_string())),
    }
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
async fn inspect(backend: &Backend, code: Code) -> Result<Option<NewCode>, ApiError> {
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
    if zip.len() > MAX_ZIP_BYTES {
        return Err(ApiError::too_large(format!(
            "Request must be smaller than {MAX_ZIP_BYTES} bytes for the zip file, not {} bytes",
            zip.len()
        )));
    }
    backend.registry.inspect(zip).await.map(Some)
}

pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    Query(query): Query<Qualified>,
) -> Reply {
    let functions = match query.function_version.as_deref() {
        Some("ALL") => backend.registry.list_versions(),
        _ => backend.registry.list(),
    };
    page("Functions", describe_all(&functions), query.marker.as_deref(), query.max_items).map(Json)
}

fn describe_all(versions: &[Arc<Version>]) -> Vec<Value> {
    versions.iter().map(|version| version.describe()).collect()
}

pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    headers: HeaderMap,
) -> Reply {
    let named = parse_name(&name, query.qualifier.as_deref())?;
    let version = backend.registry.resolve(&named)?;
    let mut function = json!({
        "Configuration": version.describe(),
        "Code": { "RepositoryType": "Local", "Location": location(&version, &headers) },
        "Tags": backend.registry.tags(&named.name)?,
    });
    if let Some(reserved) = concurrency::describe(backend.registry.reserved(&named.name)?) {
        function["Concurrency"] = reserved;
    }
    Ok(Json(function))
}

/// Where the code of a version can be had, without a signature as on Lambda.
fn location(version: &Version, headers: &HeaderMap) -> String {
    let host = text_header(headers, "host").unwrap_or("localhost");
    let packed = version.code.packed();
    let name = packed.file_name().unwrap_or_default().to_string_lossy();
    format!("http://{host}/code/{name}")
}

/// The zip of some version.
pub(super) async fn code(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
) -> Result<Vec<u8>, ApiError> {
    let versions = backend.registry.list_versions();
    let named = |version: &&Arc<Version>| {
        version.code.packed().file_name().is_some_and(|packed| *packed == *name)
    };
    let version = versions.iter().find(named);
    let version = version.ok_or_else(|| ApiError::not_found(format!("no code {name}")))?;
    let bytes = tokio::fs::read(version.code.packed()).await;
    bytes.map_err(|error| ApiError::service(error.to_string()))
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
    let expected = Expected { revision_id: update.revision_id, code_sha256: None };
    let settings = with_layers(&backend, update.settings).await?;
    let resizing = backend.host.resizing();
    let (after, instances) = backend.registry.update(&name, &expected, settings, None, resizing)?;
    prepare(&backend, &after, instances, None).await;
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
    let current = backend.registry.latest(&named.name)?;
    let code = inspect(&backend, update.code).await?;
    let code = code.ok_or_else(|| ApiError::invalid_parameter("ZipFile is missing"))?;
    if update.dry_run {
        return Ok(Json(current.describe()));
    }
    let expected = Expected { revision_id: update.revision_id, code_sha256: None };
    let settings = Settings::default();
    let bundle = Arc::clone(&code.bundle);
    let (latest, instances) = backend.registry.update(
        &named.name,
        &expected,
        settings,
        Some(bundle),
        backend.host.resizing(),
    )?;
    let version = match update.publish {
        true => backend.registry.publish_prepared(&named.name, &Expected::default(), None)?,
        false => Arc::clone(&latest),
    };
    prepare(&backend, &latest, instances, Some(code)).await;
    Ok(Json(version.describe()))
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
    backend.retire(&gone);
    Ok(StatusCode::NO_CONTENT)
}
