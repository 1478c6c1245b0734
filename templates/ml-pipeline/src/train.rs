//! `train`: trains a forest and says how good it is.

use serde::{Deserialize, Serialize};
use smartcore::error::Failed;
use workloads_common::{Failure, Store};

use crate::WORKFLOW;
use crate::forest::{Forest, accuracy};
use crate::pca::Configuration;
use crate::samples::{Purpose, Samples};

/// What the function answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// What was trained.
    pub configuration: Configuration,
    /// The object with the forest.
    pub model: String,
    /// Share of digits told right that it was not trained on.
    pub accuracy: f64,
}

/// Trains a forest on up to `threads` threads.
///
/// # Errors
/// If digits are missing or damaged, they cannot be learnt from, or the store refuses.
pub async fn handle(
    store: &Store,
    threads: usize,
    configuration: Configuration,
) -> Result<Answer, Failure> {
    let folder = store.folder(WORKFLOW, &configuration.execution_id)?;
    let name = Purpose::Training.object();
    let training = Samples::from_bytes(name, &folder.get(name).await?)?;
    let name = Purpose::Choosing.object();
    let choosing = Samples::from_bytes(name, &folder.get(name).await?)?;

    let cannot =
        |source: Failed| Failure::Computation { action: "train the forest", source: source.into() };
    let forest = Forest::train(threads, &training, &configuration).map_err(cannot)?;
    let votes = forest.judge(threads, &choosing).map_err(cannot)?;
    let model = format!("forest-{:03}.json", configuration.index);
    let text = serde_json::to_vec(&forest).map_err(|error| Failure::malformed(&model, error))?;
    folder.put(&model, text).await?;
    Ok(Answer { configuration, model, accuracy: accuracy(&choosing, &votes) })
}
