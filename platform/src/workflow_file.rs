//! The workflow file as it is written: names, units and positions, nothing resolved yet.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::quantity::{DurationUs, MegaBytes};

/// `fuseline.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkflowFile {
    pub(crate) name: Spanned<String>,
    pub(crate) entry: Spanned<String>,
    pub(crate) slo: SloSection,
    #[serde(default)]
    pub(crate) defaults: Settings,
    pub(crate) build: Option<String>,
    pub(crate) prepare: Option<String>,
    #[serde(default)]
    pub(crate) local: LocalSection,
    pub(crate) tasks: IndexMap<Spanned<String>, TaskSection>,
    #[serde(default)]
    pub(crate) payloads: Vec<Spanned<PayloadSection>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SloSection {
    pub(crate) latency: DurationUs,
    #[serde(default = "ninety_five")]
    pub(crate) percentile: Spanned<u8>,
}

fn ninety_five() -> Spanned<u8> {
    Spanned::new(95, serde_saphyr::Location::UNKNOWN, serde_saphyr::Location::UNKNOWN)
}

/// What a task may set and `defaults` may set for all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) runtime: Option<Spanned<String>>,
    pub(crate) handler: Option<String>,
    pub(crate) memory: Option<Spanned<MegaBytes>>,
    pub(crate) timeout: Option<Spanned<DurationUs>>,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) environment: IndexMap<String, Spanned<String>>,
}

/// Processor architecture, by Lambda's names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

/// One task. Not `Settings` flattened, because flattening loses the positions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskSection {
    pub(crate) code: Spanned<String>,
    pub(crate) runtime: Option<Spanned<String>>,
    pub(crate) handler: Option<String>,
    pub(crate) memory: Option<Spanned<MegaBytes>>,
    pub(crate) timeout: Option<Spanned<DurationUs>>,
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) environment: IndexMap<String, Spanned<String>>,
    #[serde(default)]
    pub(crate) calls: IndexMap<Spanned<String>, CallWord>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CallWord {
    Sync,
    Async,
}

/// What only the local backend needs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalSection {
    #[serde(default)]
    pub(crate) directories: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayloadSection {
    pub(crate) body: Value,
    #[serde(default = "one")]
    pub(crate) weight: u32,
    #[serde(default)]
    pub(crate) expect: Value,
}

fn one() -> u32 {
    1
}
