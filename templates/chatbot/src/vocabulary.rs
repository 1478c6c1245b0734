//! The words that are known, and texts as the words they have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use workloads_common::Failure;

use crate::VOCABULARY;

/// Words, each with the number of its column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    columns: HashMap<String, usize>,
    /// In the order of the columns.
    words: Vec<String>,
}

impl Vocabulary {
    /// How many words are known.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// The columns of a text's words, each once, in order. Words that were not known are from now on.
    pub(crate) fn learn(&mut self, text: &str) -> Vec<usize> {
        let columns = words(text).map(|word| match self.columns.entry(word) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                self.words.push(unknown.key().clone());
                *unknown.insert(self.words.len() - 1)
            }
        });
        once(columns.collect())
    }

    /// The columns of those of a text's words that are known, each once, in order.
    pub(crate) fn columns(&self, text: &str) -> Vec<usize> {
        once(words(text).filter_map(|word| self.columns.get(&word).copied()).collect())
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.words)
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Self, Failure> {
        let words: Vec<String> =
            serde_json::from_slice(json).map_err(|error| Failure::malformed(VOCABULARY, error))?;
        let columns = words.iter().cloned().enumerate().map(|(column, word)| (word, column));
        Ok(Self { columns: columns.collect(), words })
    }
}

/// The words of a text, without case and punctuation.
fn words(text: &str) -> impl Iterator<Item = String> {
    let between = |c: char| !c.is_alphanumeric() && c != '\'';
    text.split(between).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn once(mut columns: Vec<usize>) -> Vec<usize> {
    columns.sort_unstable();
    columns.dedup();
    columns
}

#[cfg(test)]
mod tests {
    use super::Vocabulary;

    #[test]
    fn words_get_columns_in_the_order_they_come() {
        let mut vocabulary = Vocabulary::default();
        assert_eq!(vocabulary.learn("What's up? Up, I say!"), [0, 1, 2, 3]);
        assert_eq!(vocabulary.learn("SAY -- what's new?"), [0, 3, 4]);
        assert_eq!(vocabulary.columns("news? new: up"), [1, 4]);
        assert_eq!(vocabulary.len(), 5);
        let read = Vocabulary::from_json(&vocabulary.to_json().unwrap()).unwrap();
        assert_eq!(read.columns("New, I say"), [2, 3, 4]);
        assert_eq!(read.words, vocabulary.words);
    }
}
