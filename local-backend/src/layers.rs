//! Layers: archives that functions share. A function sees its layers, merged in its order, at `/opt`.
//!
//! ```text
//! <server>/layers/<sha256>/        one layer, unpacked
//! <server>/layers/<sha256>.zip     the same as it was uploaded
//! <server>/layers/merged-<digest>/  several layers, merged; files are links to those of the layers
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use fs_err as fs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bundle::{Bundle, BundleError, MAX_UNPACKED_BYTES};
use crate::error::ApiError;
use crate::function::{ACCOUNT, REGION};

/// Layers of one function at most, as on Lambda.
const MAX_LAYERS: usize = 5;
/// Where functions expect their layers.
pub(crate) const OPT: &str = "/opt";
/// Variable that says where they are instead, in a sandbox that cannot have an `/opt` of its own.
pub(crate) const OPT_VARIABLE: &str = "FUSELINE_OPT";
/// Variables whose paths below `/opt` then lead there.
const PATH_VARIABLES: [&str; 5] =
    ["PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "NODE_PATH", "AWS_LAMBDA_EXEC_WRAPPER"];

/// One version of a layer.
#[derive(Debug)]
pub(crate) struct LayerVersion {
    name: String,
    number: u64,
    about: About,
    content: Bundle,
    unpacked_bytes: u64,
    created: String,
}

/// What a client says about a layer version.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) description: String,
    pub(crate) license: Option<String>,
    pub(crate) runtimes: Vec<String>,
    pub(crate) architectures: Vec<String>,
}

#[derive(Debug, Default)]
struct Layer {
    /// Numbers are never given twice, not even after a version was deleted.
    last_number: u64,
    versions: BTreeMap<u64, Arc<LayerVersion>>,
}

/// The layers of a function. They stay as they are when a layer version is deleted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FunctionLayers {
    /// ARN and size of the zip in bytes, in order.
    layers: Vec<(String, u64)>,
    unpacked_bytes: u64,
    /// All of them, merged; none if there are none.
    pub(crate) folder: Option<PathBuf>,
}

impl FunctionLayers {
    /// `Layers` of a function as Lambda's API states it.
    pub(crate) fn describe(&self) -> Option<Value> {
        let layers =
            self.layers.iter().map(|(arn, bytes)| json!({ "Arn": arn, "CodeSize": bytes }));
        (!self.layers.is_empty()).then(|| layers.collect())
    }

    /// Whether they are small enough together with a function's code, if that is there already.
    pub(crate) fn check_size(&self, code: Option<&Bundle>) -> Result<(), ApiError> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let code = code.map(|code| bytes_below(&code.directory)).transpose();
        let code = code.map_err(|error| ApiError::service(error.to_string()))?;
        let bytes = code.unwrap_or(0) + self.unpacked_bytes;
        if bytes > MAX_UNPACKED_BYTES {
            return Err(ApiError::invalid_parameter(format!(
                "Function code combined with layers exceeds the maximum allowed size of {MAX_UNPACKED_BYTES} bytes. The actual size is {bytes} bytes."
            )));
        }
        Ok(())
    }
}

/// The value of a variable of a function whose layers are in `folder` instead of at `/opt`.
pub(crate) fn instead_of_opt(variable: &str, value: &str, folder: &Path) -> String {
    if !PATH_VARIABLES.contains(&variable) {
        return value.to_owned();
    }
    let moved = |path: &str| match path.strip_prefix(OPT) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", folder.display())
        }
        _ => path.to_owned(),
    };
    value.split(':').map(moved).collect::<Vec<_>>().join(":")
}

/// Every layer of a server.
#[derive(Debug)]
pub(crate) struct Layers {
    layers: Mutex<BTreeMap<String, Layer>>,
    folder: PathBuf,
}

impl Layers {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { layers: Mutex::default(), folder }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Layer>> {
        self.layers.lock().expect("no holder of the layers panics")
    }

    /// Publishes a version of a layer.
    pub(crate) async fn publish(
        &self,
        name: &str,
        zip: Vec<u8>,
        about: About,
    ) -> Result<Arc<LayerVersion>, ApiError> {
        let folder = self.folder.clone();
        let unpacked = tokio::task::spawn_blocking(move || {
            let content = Bundle::of(&zip, &folder)?;
            content.unpack(&zip)?;
            fs::write(content.directory.with_extension("zip"), zip)?;
            let bytes = bytes_below(&content.directory)?;
            Ok((content, bytes))
        });
        let (content, unpacked_bytes) = match unpacked.await {
            Ok(Ok(unpacked)) => unpacked,
            Ok(Err(BundleError::Io(error))) => return Err(ApiError::service(error.to_string())),
            Ok(Err(error)) => return Err(ApiError::invalid_parameter(error.to_string())),
            Err(error) => return Err(ApiError::service(error.to_string())),
        };
        let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string();
        let mut layers = self.lock();
        let layer = layers.entry(name.to_owned()).or_default();
        layer.last_number += 1;
        let number = layer.last_number;
        let name = name.to_owned();
        let version = LayerVersion { name, number, about, content, unpacked_bytes, created };
        let version = Arc::new(version);
        layer.versions.insert(number, Arc::clone(&version));
        Ok(version)
    }

    /// One version of a layer.
    pub(crate) fn find(&self, name: &str, number: u64) -> Option<Arc<LayerVersion>> {
        self.lock().get(name)?.versions.get(&number).cloned()
    }

    /// The version that an ARN names.
    pub(crate) fn by_arn(&self, arn: &str) -> Option<Arc<LayerVersion>> {
        let (name, number) = arn.strip_prefix(&layer_arn(""))?.rsplit_once(':')?;
        self.find(name, number.parse().ok()?)
    }

    /// Every version of a layer, newest first.
    pub(crate) fn versions(&self, name: &str) -> Vec<Arc<LayerVersion>> {
        let layers = self.lock();
        let versions = layers.get(name).map(|layer| layer.versions.values().rev());
        versions.into_iter().flatten().cloned().collect()
    }

    /// Names of the layers that have versions.
    pub(crate) fn names(&self) -> Vec<String> {
        let layers = self.lock();
        let there = layers.iter().filter(|(_, layer)| !layer.versions.is_empty());
        there.map(|(name, _)| name.clone()).collect()
    }

    /// Deletes a version; one that does not exist is deleted already.
    pub(crate) fn delete(&self, name: &str, number: u64) {
        if let Some(layer) = self.lock().get_mut(name) {
            layer.versions.remove(&number);
        }
    }

    /// The layers of a function by their ARNs, merged.
    pub(crate) async fn merge(&self, arns: &[String]) -> Result<FunctionLayers, ApiError> {
        if arns.len() > MAX_LAYERS {
            return Err(ApiError::invalid_parameter(format!(
                "a function has at most {MAX_LAYERS} layers, not {}",
                arns.len()
            )));
        }
        let find = |arn: &String| {
            self.by_arn(arn).ok_or_else(|| {
                ApiError::invalid_parameter(format!("Layer version {arn} does not exist."))
            })
        };
        let versions: Vec<_> = arns.iter().map(find).collect::<Result<_, _>>()?;
        let mut names: Vec<_> = versions.iter().map(|version| &version.name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ApiError::invalid_parameter(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function: {}",
                twice[0]
            )));
        }
        let unpacked_bytes = versions.iter().map(|version| version.unpacked_bytes).sum();
        let layers = versions.iter().map(|it| (it.arn(), it.content.zip_bytes)).collect();
        let sources: Vec<_> = versions.iter().map(|it| it.content.directory.clone()).collect();
        let folder = self.folder.clone();
        let merged = tokio::task::spawn_blocking(move || merge(&sources, &folder)).await;
        let folder = merged.map_err(io::Error::other).flatten();
        let folder = folder.map_err(|error| ApiError::service(error.to_string()))?;
        Ok(FunctionLayers { layers, unpacked_bytes, folder })
    }
}

impl LayerVersion {
    fn arn(&self) -> String {
        format!("{}:{}", layer_arn(&self.name), self.number)
    }

    /// What a client says about it.
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// The version as lists of Lambda's API state it.
    pub(crate) fn describe(&self) -> Value {
        let mut value = json!({
            "LayerVersionArn": self.arn(),
            "Version": self.number,
            "Description": self.about.description,
            "CreatedDate": self.created,
        });
        let About { description: _, license, runtimes, architectures } = &self.about;
        if let Some(license) = license {
            value["LicenseInfo"] = json!(license);
        }
        for (key, list) in
            [("CompatibleRuntimes", runtimes), ("CompatibleArchitectures", architectures)]
        {
            if !list.is_empty() {
                value[key] = json!(list);
            }
        }
        value
    }

    /// The version with its content.
    pub(crate) fn describe_fully(&self) -> Value {
        let mut value = self.describe();
        value["LayerArn"] = json!(layer_arn(&self.name));
        value["Content"] = json!({
            "Location": format!("file://{}.zip", self.content.directory.display()),
            "CodeSha256": self.content.sha256,
            "CodeSize": self.content.zip_bytes,
        });
        value
    }
}

/// ARN of a layer without version.
pub(crate) fn layer_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}")
}

/// One folder with the files of all; of two with the same path the later one counts.
fn merge(sources: &[PathBuf], folder: &Path) -> io::Result<Option<PathBuf>> {
    match sources {
        [] => return Ok(None),
        [only] => return Ok(Some(only.clone())),
        _ => {}
    }
    let mut digest = Sha256::new();
    for source in sources {
        digest.update(source.as_os_str().as_encoded_bytes());
        digest.update([0]);
    }
    let name: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let place = folder.join(format!("merged-{name}"));
    if place.exists() {
        return Ok(Some(place));
    }
    let staging = tempfile::tempdir_in(folder)?;
    for source in sources {
        link_all(source, staging.path())?;
    }
    fs::set_permissions(staging.path(), fs::metadata(&sources[0])?.permissions())?;
    if let Err(error) = fs::rename(staging.path(), &place)
        && !place.exists()
    {
        return Err(error);
    }
    Ok(Some(place))
}

fn link_all(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let place = target.join(entry.file_name());
        let is_folder = entry.file_type()?.is_dir();
        if place.is_dir() && !is_folder {
            fs::remove_dir_all(&place)?;
        } else if place.exists() && !place.is_dir() {
            fs::remove_file(&place)?;
        }
        if is_folder {
            fs::create_dir_all(&place)?;
            link_all(&entry.path(), &place)?;
        } else {
            fs::hard_link(entry.path(), &place)?;
        }
    }
    Ok(())
}

fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_lie_over_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        let source = |name: &str, files: &[(&str, &str)]| {
            let source = folder.path().join(name);
            for (path, text) in files {
                fs::create_dir_all(source.join(path).parent().unwrap()).unwrap();
                fs::write(source.join(path), text).unwrap();
            }
            source
        };
        let first = source("1", &[("lib/a", "1"), ("lib/b", "1"), ("x", "1"), ("y/z", "1")]);
        let second = source("2", &[("lib/b", "2"), ("x/inside", "2"), ("y", "2")]);
        let sources = [first, second];
        let merged = merge(&sources, folder.path()).unwrap().unwrap();
        for (path, text) in [("lib/a", "1"), ("lib/b", "2"), ("x/inside", "2"), ("y", "2")] {
            assert_eq!(fs::read_to_string(merged.join(path)).unwrap(), text, "{path}");
        }
        assert_eq!(bytes_below(&merged).unwrap(), 4);
        assert_eq!(fs::read_to_string(sources[0].join("x")).unwrap(), "1");
        assert_eq!(merge(&sources, folder.path()).unwrap(), Some(merged));
    }

    #[test]
    fn only_paths_below_opt_are_moved() {
        let folder = Path::new("/layers");
        for (variable, value, expect) in [
            ("PATH", "/bin:/opt/bin:/optional:/opt", "/bin:/layers/bin:/optional:/layers"),
            ("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrapper", "/layers/wrapper"),
            ("MINE", "/opt/bin", "/opt/bin"),
        ] {
            assert_eq!(instead_of_opt(variable, value, folder), expect);
        }
    }
}
