//! `test`: lets the best forests vote together on digits that none of them has seen, and deletes the
//! execution's objects.

use serde::{Deserialize, Serialize};
use smartcore::error::Failed;
use workloads_common::{Failure, Store};

use crate::WORKFLOW;
use crate::forest::{Forest, Votes, accuracy, winner};
use crate::samples::{Purpose, Samples};
use crate::train;

/// Forests that vote together.
const BEST: usize = 3;

/// What the function answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// Share of the digits that the best forests together tell right.
    pub accuracy: f64,
    /// How many digits that were.
    pub rows: usize,
    /// Of the digits 0 to 9, the share of each that is told right; 0 for one that is not there.
    pub recall: Vec<f64>,
    /// The best forests, the very best first.
    pub best: Vec<train::Answer>,
}

/// Chooses the best forests and examines them on up to `threads` threads.
///
/// # Errors
/// If the event names no forest or those of several executions, an object is missing or damaged, or the
/// store refuses.
pub async fn handle(
    store: &Store,
    threads: usize,
    mut trained: Vec<train::Answer>,
) -> Result<Answer, Failure> {
    let id = trained.first().map(|one| one.configuration.execution_id.clone());
    let id = id.ok_or_else(|| Failure::Request("there is no forest".to_owned()))?;
    if trained.iter().any(|one| one.configuration.execution_id != id) {
        return Err(Failure::Request("the forests are of several executions".to_owned()));
    }
    let folder = store.folder(WORKFLOW, &id)?;
    let name = Purpose::Examining.object();
    let samples = Samples::from_bytes(name, &folder.get(name).await?)?;
    // Stable: of forests that are equally good, the first one comes first.
    trained.sort_by(|one, other| other.accuracy.total_cmp(&one.accuracy));
    trained.truncate(BEST);

    let cannot =
        |source: Failed| Failure::Computation { action: "examine a forest", source: source.into() };
    let mut votes = vec![Votes::default(); samples.digits.len()];
    for train::Answer { model, .. } in &trained {
        let forest: Forest = serde_json::from_slice(&folder.get(model).await?)
            .map_err(|error| Failure::malformed(model, error))?;
        let judged = forest.judge(threads, &samples).map_err(cannot)?;
        for (sum, judged) in votes.iter_mut().zip(judged) {
            sum.iter_mut().zip(judged).for_each(|(sum, votes)| *sum += votes);
        }
    }
    let accuracy = accuracy(&samples, &votes);
    let recall = (0..10).map(|digit| recall(&samples, &votes, digit)).collect();
    folder.delete().await?;
    Ok(Answer { accuracy, rows: samples.digits.len(), recall, best: trained })
}

/// Share of the occurrences of a digit that are told right.
fn recall(samples: &Samples, votes: &[Votes], digit: u32) -> f64 {
    let of_it = || samples.digits.iter().zip(votes).filter(|(is, _)| **is == digit);
    let right = of_it().filter(|(_, votes)| winner(votes) == digit).count();
    right as f64 / of_it().count().max(1) as f64
}
