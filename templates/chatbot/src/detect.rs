//! `detect`: says what is wanted by questions, and deletes the execution's objects.

use serde::{Deserialize, Serialize};
use workloads_common::{Failure, Matrix, Store, parallel};

use crate::corpus::Question;
use crate::train;
use crate::vocabulary::Vocabulary;
use crate::{QUESTIONS, VOCABULARY, WORKFLOW};

/// Questions that a thread answers before it takes more.
const PIECE: usize = 200;

/// What the function answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// Share of the questions whose intent is told right.
    pub accuracy: f64,
    /// How many questions there were.
    pub questions: usize,
    /// What is told of each intent.
    pub intents: Vec<Told>,
}

/// What is told of an intent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Told {
    /// The intent.
    pub intent: String,
    /// How many questions are said to want it.
    pub told: usize,
    /// How many questions want it.
    pub meant: usize,
}

/// Scores every question against all models, on up to `threads` threads; the highest score tells.
///
/// # Errors
/// If the event names no model or those of several executions, an object is missing or damaged, or the
/// store refuses.
pub async fn handle(
    store: &Store,
    threads: usize,
    trained: Vec<train::Answer>,
) -> Result<Answer, Failure> {
    let id = trained.first().map(|model| model.execution_id.as_str());
    let id = id.ok_or_else(|| Failure::Request("there is no model".to_owned()))?;
    if trained.iter().any(|model| model.execution_id != id) {
        return Err(Failure::Request("the models are of several executions".to_owned()));
    }
    let folder = store.folder(WORKFLOW, id)?;
    let vocabulary = Vocabulary::from_json(&folder.get(VOCABULARY).await?)?;
    let questions: Vec<Question> = serde_json::from_slice(&folder.get(QUESTIONS).await?)
        .map_err(|error| Failure::malformed(QUESTIONS, error))?;
    let mut models = Vec::with_capacity(trained.len());
    for train::Answer { model, .. } in &trained {
        let weights = Matrix::from_bytes(model, &folder.get(model).await?)?;
        if weights.values().len() != vocabulary.len() + 1 {
            return Err(Failure::malformed(model, "it knows other words"));
        }
        models.push(weights);
    }

    let pieces = parallel::map(threads, questions.chunks(PIECE), |questions| {
        let tell = |question: &Question| best(&models, &vocabulary.columns(&question.text));
        questions.iter().map(tell).collect::<Vec<usize>>()
    });
    let told: Vec<usize> = pieces.into_iter().flatten().collect();
    let right = told.iter().zip(&questions).filter(|(told, q)| trained[**told].intent == q.intent);
    let accuracy = right.count() as f64 / questions.len().max(1) as f64;
    let intents = trained.iter().enumerate().map(|(index, model)| Told {
        intent: model.intent.clone(),
        told: told.iter().filter(|told| **told == index).count(),
        meant: questions.iter().filter(|question| question.intent == model.intent).count(),
    });
    let intents = intents.collect();
    folder.delete().await?;
    Ok(Answer { accuracy, questions: questions.len(), intents })
}

/// The model that gives the highest score to a question with words in these columns.
fn best(models: &[Matrix], columns: &[usize]) -> usize {
    let score = |model: &Matrix| {
        let weights = model.values();
        let words: f32 = columns.iter().map(|column| weights[*column]).sum();
        words + weights[weights.len() - 1]
    };
    let scores = models.iter().map(score).enumerate();
    let highest = scores.max_by(|one, other| one.1.total_cmp(&other.1));
    highest.map_or(0, |(model, _)| model)
}
