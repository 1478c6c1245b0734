//! `parse`: reads the corpus, and makes of it a table for every intent: which words are in what is said
//! with it, and in as much that is said with others.

use rand::Rng;
use serde::{Deserialize, Serialize};
use workloads_common::random::stream;
use workloads_common::{Failure, Folder, Matrix, Store};

use crate::corpus::{self, Corpus};
use crate::vocabulary::Vocabulary;
use crate::{QUESTIONS, VOCABULARY, WORKFLOW};

/// How many utterances of others are in an intent's table, for each of its own.
const OTHERS: usize = 2;

/// What the function is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The execution; its objects in the store go by it.
    pub execution_id: String,
    /// What is said follows from it.
    #[serde(default)]
    pub seed: u64,
    /// How often the corpus has its usual size of about 450 utterances: 1 to 1,000.
    #[serde(default = "one")]
    pub scale: usize,
    /// How often an utterance of the intent is repeated in its training, 0 to 100.
    #[serde(default = "four")]
    pub skew: usize,
    /// Dimensions in which an intent is learnt: 1 to 256.
    #[serde(default = "sixty_four")]
    pub dimensions: usize,
    /// Steps in which an intent is learnt: 1 to 100,000.
    #[serde(default = "fifteen_hundred")]
    pub iterations: usize,
    /// How many questions are asked afterwards: 1 to 10,000,000.
    #[serde(default = "two_thousand")]
    pub questions: usize,
}

/// What the function answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Answer {
    /// How many words there are.
    pub words: usize,
    /// What is to be learnt.
    pub intents: Vec<Lesson>,
}

/// What is to be learnt of one intent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lesson {
    /// The execution.
    pub execution_id: String,
    /// The intent.
    pub intent: String,
    /// The object with its table: first what is said with it.
    pub table: String,
    /// How many rows of the table are said with it.
    pub own: usize,
    /// As asked.
    pub skew: usize,
    /// As asked.
    pub dimensions: usize,
    /// As asked.
    pub iterations: usize,
    /// Chance follows from it.
    pub seed: u64,
}

fn one() -> usize {
    1
}

fn four() -> usize {
    4
}

fn sixty_four() -> usize {
    64
}

fn fifteen_hundred() -> usize {
    1_500
}

fn two_thousand() -> usize {
    2_000
}

/// Reads the corpus and keeps the tables, the words and the questions.
///
/// # Errors
/// If the request makes no sense or the store refuses.
pub async fn handle(store: &Store, request: Request) -> Result<Answer, Failure> {
    let folder = store.folder(WORKFLOW, &request.execution_id)?;
    for (field, value, range) in [
        ("scale", request.scale, 1..=1_000),
        ("skew", request.skew, 0..=100),
        ("dimensions", request.dimensions, 1..=256),
        ("iterations", request.iterations, 1..=100_000),
        ("questions", request.questions, 1..=10_000_000),
    ] {
        Failure::unless_within(field, value, &range)?;
    }
    let broken = |error: serde_json::Error| Failure::malformed("the corpus", error);
    // Stands in for the download of a file.
    let file = corpus::write(request.seed, request.scale, request.questions).map_err(broken)?;
    let corpus: Corpus = serde_json::from_slice(&file).map_err(broken)?;
    drop(file);

    let mut vocabulary = Vocabulary::default();
    let mut said: Vec<Vec<Vec<usize>>> = Vec::new();
    for intent in &corpus.intents {
        said.push(intent.utterances.iter().map(|text| vocabulary.learn(text)).collect());
    }
    let mut intents = Vec::new();
    for (index, intent) in corpus.intents.into_iter().enumerate() {
        let table = format!("table-{index:02}");
        keep_table(&folder, &table, &said, index, vocabulary.len(), request.seed).await?;
        intents.push(Lesson {
            execution_id: request.execution_id.clone(),
            intent: intent.intent,
            table,
            own: said[index].len(),
            skew: request.skew,
            dimensions: request.dimensions,
            iterations: request.iterations,
            seed: request.seed,
        });
    }
    folder.put(VOCABULARY, vocabulary.to_json().map_err(broken)?).await?;
    folder.put(QUESTIONS, serde_json::to_vec(&corpus.questions).map_err(broken)?).await?;
    Ok(Answer { words: vocabulary.len(), intents })
}

/// Keeps an intent's table: its utterances, then others drawn by chance. A row has 1 for a word that is
/// said.
async fn keep_table(
    folder: &Folder,
    name: &str,
    said: &[Vec<Vec<usize>>],
    intent: usize,
    words: usize,
    seed: u64,
) -> Result<(), Failure> {
    let others: Vec<&Vec<usize>> = said
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != intent)
        .flat_map(|(_, utterances)| utterances)
        .collect();
    let own = &said[intent];
    let mut random = stream(seed, "others", intent);
    let drawn = (0..own.len() * OTHERS).map(|_| others[random.random_range(0..others.len())]);
    let mut table = Matrix::zeros(own.len() * (1 + OTHERS), words);
    for (row, columns) in table.values_mut().chunks_mut(words).zip(own.iter().chain(drawn)) {
        columns.iter().for_each(|column| row[*column] = 1.0);
    }
    folder.put(name, table.to_bytes()).await
}
