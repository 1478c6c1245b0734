//! A function's configuration and its versions, in the form in which Lambda's API states them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wire::manifest::is_custom;

use crate::bundle::Bundle;
use crate::error::ApiError;
use crate::layers::FunctionLayers;
use crate::preparation::Preparation;
use crate::runtimes::RuntimeName;
use crate::sandbox::Limits;

/// Region in every ARN.
pub(crate) const REGION: &str = "us-east-1";
/// Account in every ARN.
pub(crate) const ACCOUNT: &str = "000000000000";
/// Runtime of a function that names none.
pub(crate) const DEFAULT_RUNTIME: &str = "provided.al2023";
/// Version that updates change.
pub(crate) const LATEST: &str = "$LATEST";
/// Variable of a function's environment that sets its vCPU independently of its memory.
pub(crate) const VCPU_VARIABLE: &str = "FUSELINE_VCPU";
/// Variable of a function's environment that asks for instances to be resized instead of replaced when
/// nothing but sizes changes, and its only value.
pub(crate) const RESIZE_VARIABLE: &str = "FUSELINE_RESIZE";
pub(crate) const RESIZE_IN_PLACE: &str = "in-place";
/// Memory of a function on Lambda, in MB.
const LAMBDA_MEMORY_MB: RangeInclusive<u64> = 128..=10_240;
/// Memory of a function whose vCPU is set, as other platforms offer it, in MB.
const ANY_MEMORY_MB: RangeInclusive<u64> = 16..=131_072;
/// Memory that comes with one vCPU on Lambda, in MB.
const MEMORY_PER_VCPU_MB: u64 = 1_769;
/// CFS period, in microseconds: with 20 ms small quotas run 12–25 % slow, with 100 ms they are exact.
pub(crate) const CPU_PERIOD_US: u64 = 100_000;
/// Smallest quota the kernel takes, in microseconds.
const MIN_CPU_QUOTA_US: u64 = 1_000;
/// Environment limit of Lambda, in bytes.
const MAX_ENVIRONMENT_BYTES: usize = 4_096;

/// Environment variables that only the platform sets.
const RESERVED_VARIABLES: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// What a client can set on a function; everything is optional so that one type reads both
/// `CreateFunction` and `UpdateFunctionConfiguration`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Settings {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u64>,
    memory_size: Option<u64>,
    environment: Option<Environment>,
    file_system_configs: Option<Vec<FileSystem>>,
    layers: Option<Vec<String>>,
    /// What the layers are, looked up before the settings are used.
    #[serde(skip)]
    found_layers: Option<FunctionLayers>,
}

impl Settings {
    /// ARNs of the layers that they set.
    pub(crate) fn layers(&self) -> Option<&[String]> {
        self.layers.as_deref()
    }

    /// The same with those layers.
    pub(crate) fn with_layers(self, found: FunctionLayers) -> Self {
        Self { found_layers: Some(found), ..self }
    }
}

/// Environment of a function.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
}

/// A directory that a function shares with the host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FileSystem {
    pub(crate) arn: String,
    pub(crate) local_mount_path: String,
}

impl FileSystem {
    /// The directory on the host: the local form of an ARN is `file:///absolute/directory`.
    pub(crate) fn host_path(&self) -> Option<PathBuf> {
        let path = self.arn.strip_prefix("file://")?;
        let plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
        plain.then(|| PathBuf::from(path))
    }
}

/// Configuration of a function or of one of its versions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Configuration {
    pub(crate) runtime: String,
    pub(crate) role: String,
    pub(crate) handler: String,
    pub(crate) description: String,
    /// Longest an invocation may take, in seconds, 1–900.
    pub(crate) timeout_s: u64,
    /// 128–10,240, or 16–131,072 if the vCPU is set.
    pub(crate) memory_mb: u32,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) file_systems: Vec<FileSystem>,
    pub(crate) layers: FunctionLayers,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            runtime: DEFAULT_RUNTIME.into(),
            role: format!("arn:aws:iam::{ACCOUNT}:role/local"),
            handler: "bootstrap".into(),
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            environment: BTreeMap::new(),
            file_systems: Vec::new(),
            layers: FunctionLayers::default(),
        }
    }
}

impl Configuration {
    /// The configuration with `settings` over it, checked as Lambda does.
    pub(crate) fn with(&self, settings: Settings) -> Result<Self, ApiError> {
        let Settings {
            runtime,
            role,
            handler,
            description,
            timeout,
            memory_size,
            environment,
            file_system_configs,
            layers: _,
            found_layers,
        } = settings;
        let new = Self {
            runtime: runtime.unwrap_or_else(|| self.runtime.clone()),
            role: role.unwrap_or_else(|| self.role.clone()),
            handler: handler.unwrap_or_else(|| self.handler.clone()),
            description: description.unwrap_or_else(|| self.description.clone()),
            timeout_s: timeout.unwrap_or(self.timeout_s),
            memory_mb: match memory_size {
                None => self.memory_mb,
                Some(memory_mb) => u32::try_from(memory_mb)
                    .map_err(|_| memory_out_of_range(memory_mb, &ANY_MEMORY_MB))?,
            },
            environment: environment.map_or_else(|| self.environment.clone(), |new| new.variables),
            file_systems: file_system_configs.unwrap_or_else(|| self.file_systems.clone()),
            layers: found_layers.unwrap_or_else(|| self.layers.clone()),
        };
        new.check()?;
        Ok(new)
    }

    fn check(&self) -> Result<(), ApiError> {
        if !is_custom(&self.runtime) {
            RuntimeName::parse(&self.runtime)
                .map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
        }
        if !(1..=900).contains(&self.timeout_s) {
            return Err(ApiError::invalid_parameter(format!(
                "timeout {} s is out of range: 1–900 s",
                self.timeout_s
            )));
        }
        check_environment(&self.environment)?;
        for file_system in &self.file_systems {
            if file_system.host_path().is_none() {
                return Err(ApiError::invalid_parameter(format!(
                    "file system `{}` cannot be mounted here; the local form is file:///absolute/directory",
                    file_system.arn
                )));
            }
            let target = &file_system.local_mount_path;
            if !target.starts_with('/') || target.contains(':') || target.contains("/..") {
                return Err(ApiError::invalid_parameter(format!(
                    "local mount path `{target}` must be absolute and without `:`"
                )));
            }
        }
        self.check_memory()?;
        if let Some(other) =
            self.environment.get(RESIZE_VARIABLE).filter(|it| *it != RESIZE_IN_PLACE)
        {
            return Err(ApiError::invalid_parameter(format!(
                "{RESIZE_VARIABLE} is `{RESIZE_IN_PLACE}` or not set, not `{other}`"
            )));
        }
        self.vcpu_milli().map(|_| ())
    }

    fn check_memory(&self) -> Result<(), ApiError> {
        let Self { memory_mb, environment, .. } = self;
        let range = match environment.contains_key(VCPU_VARIABLE) {
            true => ANY_MEMORY_MB,
            false => LAMBDA_MEMORY_MB,
        };
        let memory_mb = u64::from(*memory_mb);
        match range.contains(&memory_mb) {
            true => Ok(()),
            false => Err(memory_out_of_range(memory_mb, &range)),
        }
    }

    /// Whether instances of this configuration can become instances of another by resizing them, and
    /// the other asks for that.
    pub(crate) fn can_be_resized_to(&self, new: &Self) -> bool {
        let with_size_of = |other: &Self| {
            let mut environment = self.environment.clone();
            match other.environment.get(VCPU_VARIABLE) {
                Some(vcpu) => environment.insert(VCPU_VARIABLE.to_owned(), vcpu.clone()),
                None => environment.remove(VCPU_VARIABLE),
            };
            Self { memory_mb: other.memory_mb, environment, ..self.clone() }
        };
        new.environment.contains_key(RESIZE_VARIABLE) && with_size_of(new) == *new
    }

    /// vCPU in thousandths, from `FUSELINE_VCPU` or from the memory as on Lambda.
    fn vcpu_milli(&self) -> Result<u64, ApiError> {
        let Some(text) = self.environment.get(VCPU_VARIABLE) else {
            return Ok(u64::from(self.memory_mb) * 1_000 / MEMORY_PER_VCPU_MB);
        };
        let vcpu: f64 = text.trim().parse().unwrap_or(f64::NAN);
        if !(0.01..=64.0).contains(&vcpu) {
            return Err(ApiError::invalid_parameter(format!(
                "{VCPU_VARIABLE} `{text}` is no number of vCPU between 0.01 and 64"
            )));
        }
        Ok((vcpu * 1_000.0).round() as u64)
    }

    /// What its instances may use.
    pub(crate) fn limits(&self) -> Limits {
        // Checked when it was set; a value that does not parse cannot come this far.
        let vcpu_milli = self.vcpu_milli().unwrap_or(1_000);
        let cpu_quota_us = (vcpu_milli * CPU_PERIOD_US / 1_000).max(MIN_CPU_QUOTA_US);
        Limits { cpu_quota_us, memory_mb: self.memory_mb }
    }
}

fn memory_out_of_range(memory_mb: u64, range: &RangeInclusive<u64>) -> ApiError {
    let (smallest, largest) = (range.start(), range.end());
    ApiError::invalid_parameter(format!(
        "memory size {memory_mb} MB is out of range: {smallest}–{largest} MB"
    ))
}

fn check_environment(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if let Some(key) = variables.keys().find(|key| RESERVED_VARIABLES.contains(&key.as_str())) {
        return Err(ApiError::invalid_parameter(format!(
            "the environment variable `{key}` is reserved and cannot be set"
        )));
    }
    let plain = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    for (key, value) in variables {
        if !plain(key) || value.contains('\0') {
            return Err(ApiError::invalid_parameter(format!(
                "`{key}` is no name of an environment variable, or its value has a zero byte"
            )));
        }
    }
    let bytes: usize = variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MAX_ENVIRONMENT_BYTES {
        return Err(ApiError::invalid_parameter(format!(
            "the environment has {bytes} bytes, more than the {MAX_ENVIRONMENT_BYTES} that Lambda allows"
        )));
    }
    Ok(())
}

/// One version of a function, `$LATEST` included: its code and configuration, never changed.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Tells instances of one state of the function from those of any other that they cannot be resized
    /// to.
    pub(crate) generation: u64,
    pub(crate) function: String,
    /// `$LATEST` or a number.
    pub(crate) version: String,
    pub(crate) configuration: Configuration,
    pub(crate) code: Arc<Bundle>,
    pub(crate) preparation: Preparation,
    pub(crate) revision_id: String,
    pub(crate) last_modified: String,
}

impl Version {
    /// ARN of the version; that of `$LATEST` has no qualifier.
    pub(crate) fn arn(&self) -> String {
        let arn = function_arn(&self.function);
        if self.version == LATEST { arn } else { format!("{arn}:{}", self.version) }
    }

    /// The runtimes that its instances need: its own and those of the tasks in its bundle.
    pub(crate) fn runtimes(&self) -> Vec<String> {
        runtimes(&self.configuration.runtime, &self.code)
    }

    /// The version as Lambda's API states it.
    pub(crate) fn describe(&self) -> Value {
        let configuration = &self.configuration;
        let group = format!("/aws/lambda/{}", self.function);
        let mut value = json!({
            "FunctionName": self.function,
            "FunctionArn": self.arn(),
            "Runtime": configuration.runtime,
            "Role": configuration.role,
            "Handler": configuration.handler,
            "CodeSize": self.code.zip_bytes,
            "Description": configuration.description,
            "Timeout": configuration.timeout_s,
            "MemorySize": configuration.memory_mb,
            "LastModified": self.last_modified,
            "CodeSha256": self.code.sha256,
            "Version": self.version,
            "TracingConfig": { "Mode": "PassThrough" },
            "RevisionId": self.revision_id,
            "PackageType": "Zip",
            "Architectures": [host_architecture()],
            "EphemeralStorage": { "Size": 512 },
            "LoggingConfig": { "LogFormat": "Text", "LogGroup": group },
        });
        if let (Value::Object(value), Value::Object(state)) =
            (&mut value, self.preparation.describe())
        {
            value.extend(state);
        }
        if !configuration.environment.is_empty() {
            value["Environment"] = json!({ "Variables": configuration.environment });
        }
        if let Some(layers) = configuration.layers.describe() {
            value["Layers"] = layers;
        }
        if !configuration.file_systems.is_empty() {
            value["FileSystemConfigs"] = json!(configuration.file_systems);
        }
        value
    }
}

/// The runtimes that a function of this runtime and code needs.
pub(crate) fn runtimes(own: &str, code: &Bundle) -> Vec<String> {
    let mut runtimes = code.task_runtimes();
    runtimes.push(own.to_owned());
    runtimes.sort();
    runtimes.dedup();
    runtimes.retain(|runtime| !is_custom(runtime));
    runtimes
}

/// ARN of a function without qualifier.
pub(crate) fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// This machine's architecture by Lambda's name.
pub(crate) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: Value) -> Result<Configuration, ApiError> {
        Configuration::default().with(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (settings, expect) in [
            (json!({ "MemorySize": 127 }), "memory size 127 MB is out of range: 128–10240 MB"),
            (json!({ "MemorySize": 10_241 }), "128–10240"),
            (json!({ "Timeout": 0 }), "timeout 0 s is out of range: 1–900 s"),
            (json!({ "Timeout": 901 }), "1–900"),
            (json!({ "Runtime": "java21" }), "`java21`"),
            (json!({ "Environment": { "Variables": { "AWS_REGION": "x" } } }), "`AWS_REGION`"),
            (json!({ "Environment": { "Variables": { "a b": "x" } } }), "`a b`"),
            (json!({ "Environment": { "Variables": { "A": "x".repeat(4_096) } } }), "4097 bytes"),
            (json!({ "Environment": { "Variables": { "FUSELINE_VCPU": "much" } } }), "`much`"),
            (json!({ "Environment": { "Variables": { "FUSELINE_VCPU": "0" } } }), "`0`"),
            (
                json!({ "MemorySize": 131_073, "Environment": { "Variables": { "FUSELINE_VCPU": "1" } } }),
                "memory size 131073 MB is out of range: 16–131072 MB",
            ),
            (
                json!({ "Environment": { "Variables": { "FUSELINE_RESIZE": "yes" } } }),
                "FUSELINE_RESIZE is `in-place` or not set, not `yes`",
            ),
            (
                json!({ "FileSystemConfigs": [{ "Arn": "arn:aws:efs", "LocalMountPath": "/a" }] }),
                "`arn:aws:efs`",
            ),
            (
                json!({ "FileSystemConfigs": [{ "Arn": "file:///a/../b", "LocalMountPath": "/a" }] }),
                "`file:///a/../b`",
            ),
            (
                json!({ "FileSystemConfigs": [{ "Arn": "file:///a", "LocalMountPath": "a" }] }),
                "`a`",
            ),
        ] {
            let error = with(settings).unwrap_err();
            assert_eq!(error.kind, "InvalidParameterValueException");
            assert!(error.message.contains(expect), "{}", error.message);
        }
    }

    #[test]
    fn vcpu_follows_memory_unless_it_is_set() {
        let quota = |settings| with(settings).unwrap().limits().cpu_quota_us;
        let vcpu = |text: &str| json!({ "Environment": { "Variables": { VCPU_VARIABLE: text } } });
        assert_eq!(quota(json!({ "MemorySize": 1_769 })), 100_000);
        assert_eq!(quota(json!({ "MemorySize": 128 })), 7_200);
        assert_eq!(quota(vcpu("0.25")), 25_000);
        assert_eq!(quota(vcpu("1.5")), 150_000);
        assert_eq!(quota(vcpu("0.01")), 1_000);
    }

    #[test]
    fn a_function_with_its_own_vcpu_may_be_of_any_size() {
        for memory_mb in [16, 30_720, 131_072] {
            let variables = json!({ "Variables": { "FUSELINE_VCPU": "2" } });
            let settings = json!({ "MemorySize": memory_mb, "Environment": variables });
            assert_eq!(with(settings).unwrap().memory_mb, memory_mb);
        }
    }

    #[test]
    fn instances_are_resized_if_that_is_asked_for_and_nothing_else_changes() {
        let of = |memory_mb: u32, variables: Value| {
            with(json!({ "MemorySize": memory_mb, "Environment": { "Variables": variables } }))
                .unwrap()
        };
        let asked =
            |vcpu: &str| json!({ "FUSELINE_RESIZE": "in-place", "FUSELINE_VCPU": vcpu, "A": "1" });
        let before = of(512, asked("1"));
        let none = json!({ "FUSELINE_RESIZE": "in-place", "A": "1" });
        for after in
            [of(256, asked("1")), of(512, asked("2")), of(512, asked("1")), of(512, none.clone())]
        {
            assert!(before.can_be_resized_to(&after), "{after:?}");
            assert!(after.can_be_resized_to(&before), "{after:?}");
        }
        let other_variable =
            json!({ "FUSELINE_RESIZE": "in-place", "FUSELINE_VCPU": "1", "A": "2" });
        let not_asked = json!({ "FUSELINE_VCPU": "1", "A": "1" });
        let other_timeout = Configuration { timeout_s: 9, ..before.clone() };
        for after in [of(256, other_variable), of(256, not_asked), other_timeout] {
            assert!(!before.can_be_resized_to(&after), "{after:?}");
        }
        let not_yet = of(512, json!({ "FUSELINE_VCPU": "1", "A": "1" }));
        assert!(!not_yet.can_be_resized_to(&before), "what asks for it is a change itself");
    }

    #[test]
    fn what_is_not_set_stays() {
        let first = with(json!({ "MemorySize": 256, "Timeout": 9 })).unwrap();
        let settings = serde_json::from_value(json!({ "Timeout": 10 })).unwrap();
        let second = first.with(settings).unwrap();
        assert_eq!((second.memory_mb, second.timeout_s), (256, 10));
    }
}
