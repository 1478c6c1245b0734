//! Layers and their versions.

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
use crate::error::ApiError;
use crate::layers::{About, LayerVersion, layer_arn};

type Reply = Result<Json<Value>, ApiError>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publish {
    #[serde(default)]
    description: String,
    content: Content,
    #[serde(default)]
    compatible_runtimes: Vec<String>,
    #[serde(default)]
    compatible_architectures: Vec<String>,
    license_info: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    zip_file: Option<String>,
}

/// What a list, or `GetLayerVersionByArn`, is narrowed by.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    #[serde(rename = "find")]
    find: Option<String>,
    arn: Option<String>,
    compatible_runtime: Option<String>,
    compatible_architecture: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

impl Filter {
    fn takes(&self, version: &LayerVersion) -> bool {
        let About { runtimes, architectures, .. } = version.about();
        let fits = |wanted: &Option<String>, has: &[String]| {
            wanted.as_ref().is_none_or(|wanted| has.contains(wanted))
        };
        fits(&self.compatible_runtime, runtimes)
            && fits(&self.compatible_architecture, architectures)
    }
}

pub(super) async fn publish(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = parse_name(&name)?;
    let publish: Publish = read_json(body).await?;
    let zip = publish.content.zip_file.ok_or_else(|| {
        ApiError::invalid_parameter("the local backend takes layers as Content.ZipFile only")
    })?;
    let zip = STANDARD
        .decode(zip)
        .map_err(|error| ApiError::invalid_parameter(format!("ZipFile is no base64: {error}")))?;
    let about = About {
        description: publish.description,
        license: publish.license_info,
        runtimes: publish.compatible_runtimes,
        architectures: publish.compatible_architectures,
    };
    let version = backend.layers.publish(name, zip, about).await?;
    Ok((StatusCode::CREATED, Json(version.describe_fully())))
}

/// `ListLayers`, and `GetLayerVersionByArn`, which has the same path.
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    Query(filter): Query<Filter>,
) -> Reply {
    if filter.find.as_deref() == Some("LayerVersion") {
        let arn = filter.arn.unwrap_or_default();
        let version = backend.layers.by_arn(&arn).ok_or_else(|| not_found(&arn))?;
        return Ok(Json(version.describe_fully()));
    }
    let layers = backend.layers.names().into_iter().filter_map(|name| {
        let versions = backend.layers.versions(&name);
        let latest = versions.iter().find(|version| filter.takes(version))?;
        Some(json!({
            "LayerName": name,
            "LayerArn": layer_arn(&name),
            "LatestMatchingVersion": latest.describe(),
        }))
    });
    page("Layers", layers.collect(), filter.marker.as_deref(), filter.max_items).map(Json)
}

pub(super) async fn list_versions(
    State(backend): State<Arc<Backend>>,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Reply {
    let versions = backend.layers.versions(parse_name(&name)?);
    let versions = versions.iter().filter(|version| filter.takes(version));
    let versions = versions.map(|version| version.describe()).collect();
    page("LayerVersions", versions, filter.marker.as_deref(), filter.max_items).map(Json)
}

pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    Path((name, number)): Path<(String, String)>,
) -> Reply {
    let (name, number) = (parse_name(&name)?, parse_number(&number)?);
    let version = backend.layers.find(name, number);
    let version = version.ok_or_else(|| not_found(&format!("{}:{number}", layer_arn(name))))?;
    Ok(Json(version.describe_fully()))
}

pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    Path((name, number)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    backend.layers.delete(parse_name(&name)?, parse_number(&number)?);
    Ok(StatusCode::NO_CONTENT)
}

/// A layer's name out of a name or ARN.
fn parse_name(text: &str) -> Result<&str, ApiError> {
    let name = text.strip_prefix(&layer_arn("")).unwrap_or(text);
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if name.is_empty() || name.len() > 140 || !plain {
        return Err(ApiError::invalid_parameter(format!(
            "`{text}` is no layer name: letters, digits, `-` and `_`, or an ARN of this server"
        )));
    }
    Ok(name)
}

fn parse_number(text: &str) -> Result<u64, ApiError> {
    let message = || format!("`{text}` is no number of a layer version");
    text.parse().map_err(|_| ApiError::invalid_parameter(message()))
}

fn not_found(arn: &str) -> ApiError {
    ApiError::not_found(format!("The resource you requested does not exist: {arn}"))
}
