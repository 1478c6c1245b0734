//! What the gate knows of a task: its function's configuration, by Lambda's own words, and sizes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use crate::workflow::TaskName;

/// `/tmp` of a function that asks for no other size, in MB.
pub const DEFAULT_EPHEMERAL_STORAGE_MB: u32 = 512;

/// Processor architecture, by Lambda's names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// Lambda's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// The network a function is in; without subnets in none of the account's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vpc {
    /// Subnets, in any order.
    #[serde(default)]
    pub subnet_ids: Vec<String>,
    /// Security groups, in any order.
    #[serde(default)]
    pub security_group_ids: Vec<String>,
}

/// A file system that a function sees.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSystem {
    /// ARN of its access point.
    pub arn: String,
    /// Where the function sees it.
    pub local_mount_path: String,
}

/// What a task's own function is given besides code, memory and time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Configuration {
    /// Processor architecture.
    pub architecture: Architecture,
    /// Network.
    pub vpc: Vpc,
    /// Layers, in the order they are laid over `/opt`.
    pub layers: Vec<String>,
    /// Shared file systems.
    pub file_systems: Vec<FileSystem>,
    /// Size of `/tmp`, in MB.
    pub ephemeral_storage_mb: u32,
    /// Most instances it may have at a time.
    pub reserved_concurrency: Option<u32>,
    /// Who invokes it besides the workflow's own tasks, in the user's words.
    pub triggers: Vec<String>,
    /// What its role allows, if the user says so.
    pub policy: Option<Policy>,
}

impl Default for Configuration {
    /// What Lambda gives a function that asks for nothing.
    fn default() -> Self {
        Self {
            architecture: Architecture::default(),
            vpc: Vpc::default(),
            layers: Vec::new(),
            file_systems: Vec::new(),
            ephemeral_storage_mb: DEFAULT_EPHEMERAL_STORAGE_MB,
            reserved_concurrency: None,
            triggers: Vec::new(),
            policy: None,
        }
    }
}

/// All that the checks need to know of one task.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TaskFacts {
    /// Lambda's name of its runtime.
    pub runtime: String,
    /// Longest an invocation may take, in milliseconds.
    pub timeout_ms: u64,
    /// IAM role of its function, if one is named.
    pub role: Option<String>,
    /// Names and values of its environment and of what its function has on top, in bytes.
    pub environment_bytes: u64,
    /// Its package unpacked, in bytes; `None` as long as it is not built.
    pub package_bytes: Option<u64>,
    /// By callee, the largest request or answer of its synchronous calls, in MB, where known.
    pub max_payload_mb: BTreeMap<TaskName, u32>,
    /// The rest of its function's configuration.
    pub configuration: Configuration,
}
