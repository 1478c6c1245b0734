//! The workflow file as it is written: names, units and positions, nothing resolved yet.

use indexmap::IndexMap;
use optimizer::gate::{Architecture, Check, FileSystem, Vpc};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::asl::Node;
use crate::flow_file::StepSections;
use crate::model_section::ModelSection;
use crate::quantity::{DurationUs, MegaBytes};

/// `fuseline.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkflowFile {
    pub(crate) name: Spanned<String>,
    pub(crate) entry: Option<Spanned<String>>,
    pub(crate) steps: Option<StepSections>,
    /// In Amazon States Language, or the path of a file with it.
    #[serde(rename = "stateMachine")]
    pub(crate) state_machine: Option<Spanned<Node>>,
    pub(crate) slo: SloSection,
    #[serde(default)]
    pub(crate) defaults: Settings,
    pub(crate) build: Option<String>,
    pub(crate) prepare: Option<String>,
    #[serde(default)]
    pub(crate) local: LocalSection,
    pub(crate) objects: Option<Spanned<ObjectsSection>>,
    pub(crate) tasks: IndexMap<Spanned<String>, TaskSection>,
    #[serde(default)]
    pub(crate) payloads: Vec<Spanned<PayloadSection>>,
    #[serde(default)]
    pub(crate) constraints: ConstraintsSection,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) runtime: Option<Spanned<String>>,
    pub(crate) handler: Option<String>,
    pub(crate) memory: Option<Spanned<MegaBytes>>,
    pub(crate) timeout: Option<Spanned<DurationUs>>,
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) environment: IndexMap<String, Spanned<String>>,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) vpc: Option<Vpc>,
    pub(crate) layers: Option<Vec<String>>,
    pub(crate) file_systems: Option<Vec<FileSystem>>,
    pub(crate) ephemeral_storage: Option<Spanned<MegaBytes>>,
    pub(crate) reserved_concurrency: Option<u32>,
    /// An IAM policy document, or the path of a JSON file with one.
    pub(crate) policy: Option<Spanned<Value>>,
}

/// One task. Not `Settings` flattened, because flattening loses the positions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
    pub(crate) calls: IndexMap<Spanned<String>, CallSection>,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) vpc: Option<Vpc>,
    pub(crate) layers: Option<Vec<String>>,
    pub(crate) file_systems: Option<Vec<FileSystem>>,
    pub(crate) ephemeral_storage: Option<Spanned<MegaBytes>>,
    pub(crate) reserved_concurrency: Option<u32>,
    /// An IAM policy document, or the path of a JSON file with one.
    pub(crate) policy: Option<Spanned<Value>>,
    #[serde(default)]
    pub(crate) triggers: Vec<String>,
    /// How it behaves when it is simulated.
    pub(crate) model: Option<ModelSection>,
}

/// A call: `sync`, `async`, or a map with more to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSection {
    pub(crate) kind: CallWord,
    pub(crate) max_payload: Option<MegaBytes>,
}

impl<'de> Deserialize<'de> for CallSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Map {
            kind: CallWord,
            max_payload: Option<MegaBytes>,
        }
        struct Call;
        impl<'de> Visitor<'de> for Call {
            type Value = CallSection;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`sync`, `async` or a map such as { kind: sync, maxPayload: 2MB }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<CallSection, E> {
                let kind = match text {
                    "sync" => CallWord::Sync,
                    "async" => CallWord::Async,
                    _ => return Err(E::unknown_variant(text, &["sync", "async"])),
                };
                Ok(CallSection { kind, max_payload: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CallSection, A::Error> {
                let Map { kind, max_payload } = Map::deserialize(MapAccessDeserializer::new(map))?;
                Ok(CallSection { kind, max_payload })
            }
        }
        deserializer.deserialize_any(Call)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
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

/// Where an orchestrator puts data that are too large for an invocation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectsSection {
    pub(crate) folder: Option<Spanned<String>>,
    pub(crate) bucket: Option<Spanned<String>>,
    pub(crate) above: Option<MegaBytes>,
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

/// What the user says about fusing and sizing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConstraintsSection {
    #[serde(default)]
    pub(crate) together: Vec<TaskList>,
    #[serde(default)]
    pub(crate) apart: Vec<TaskList>,
    #[serde(default)]
    pub(crate) fixed: IndexMap<Spanned<String>, FixedSection>,
    #[serde(default)]
    pub(crate) allow: Vec<Spanned<AllowSection>>,
}

/// Names of tasks.
pub(crate) type TaskList = Spanned<Vec<Spanned<String>>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixedSection {
    pub(crate) memory: Spanned<MegaBytes>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowSection {
    pub(crate) fuse: TaskList,
    pub(crate) check: Check,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) force: bool,
}
