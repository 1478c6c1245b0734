//! What people say to a chatbot, with what they want: the text of a JSON file. Everything follows from
//! the seed.

use rand::Rng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};
use workloads_common::random::stream;

/// What people may want. Two of them are said to make out most of the corpus.
pub const INTENTS: [&str; 22] = [
    "smalltalk",
    "jokes",
    "greeting",
    "goodbye",
    "thanks",
    "name",
    "age",
    "weather",
    "time",
    "news",
    "music",
    "alarm",
    "reminder",
    "translation",
    "directions",
    "restaurant",
    "booking",
    "complaint",
    "refund",
    "delivery",
    "help",
    "human",
];
/// Utterances of the first two intents, at scale 1.
const HEAVY: [usize; 2] = [150, 106];
/// Utterances of any other intent, at scale 1: from this to that.
const LIGHT: (usize, usize) = (5, 14);
/// Words that belong to an intent.
const TOPIC_WORDS: usize = 80;
/// Words that belong to none.
const COMMON_WORDS: usize = 900;
/// Share of the words of an utterance that belong to its intent.
const ON_TOPIC: f64 = 0.5;
const SYLLABLES: [&str; 20] = [
    "ba", "de", "fi", "go", "ka", "lu", "me", "ni", "po", "ra", "se", "ti", "va", "wo", "ze",
    "cha", "dri", "plo", "sta", "tre",
];

/// The corpus as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Corpus {
    /// What is learnt from.
    pub intents: Vec<Intent>,
    /// What is asked afterwards.
    pub questions: Vec<Question>,
}

/// What people say who want one thing.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Intent {
    /// What they want.
    pub intent: String,
    /// What they say.
    pub utterances: Vec<String>,
}

/// Something that is said, and what is wanted by it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Question {
    /// What is said.
    pub text: String,
    /// What is wanted.
    pub intent: String,
}

/// Writes a corpus with `scale` times the usual number of utterances, and `questions` questions.
///
/// # Errors
/// Never, as far as is known: the text has no form that JSON lacks.
pub fn write(seed: u64, scale: usize, questions: usize) -> serde_json::Result<Vec<u8>> {
    let mut sizes = stream(seed, "sizes", 0);
    let intents = INTENTS.into_iter().enumerate().map(|(index, intent)| {
        let usual = HEAVY.get(index).copied();
        let usual = usual.unwrap_or_else(|| sizes.random_range(LIGHT.0..=LIGHT.1));
        let mut random = stream(seed, "utterances", index);
        let say = |_| utterance(index, &mut random);
        Intent { intent: intent.to_owned(), utterances: (0..usual * scale).map(say).collect() }
    });
    let intents = intents.collect();
    let mut random = stream(seed, "questions", 0);
    let questions = (0..questions).map(|_| {
        let wanted = random.random_range(0..INTENTS.len());
        Question { text: utterance(wanted, &mut random), intent: INTENTS[wanted].to_owned() }
    });
    serde_json::to_vec(&Corpus { intents, questions: questions.collect() })
}

/// Something that is said with an intent.
fn utterance(intent: usize, random: &mut SmallRng) -> String {
    let mut text = String::new();
    for position in 0..random.random_range(5..=14) {
        let common = INTENTS.len() * TOPIC_WORDS;
        let number = if random.random_bool(ON_TOPIC) {
            intent * TOPIC_WORDS + favourite(TOPIC_WORDS, random)
        } else {
            common + favourite(COMMON_WORDS, random)
        };
        if position > 0 {
            text.push(' ');
        }
        push_word(&mut text, number, position == 0);
    }
    text.push(['.', '?', '!'][random.random_range(0..3)]);
    text
}

/// One of `count`: the first ones are chosen more often than the last ones.
fn favourite(count: usize, random: &mut SmallRng) -> usize {
    (random.random::<f32>().powi(2) * count as f32) as usize
}

/// Writes the word of a number: its digits in base 20, as syllables.
fn push_word(text: &mut String, number: usize, capital: bool) {
    let start = text.len();
    let base = SYLLABLES.len();
    for digit in [number % base, number / base % base, number / base / base % base] {
        text.push_str(SYLLABLES[digit]);
    }
    if capital {
        text[start..start + 1].make_ascii_uppercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(seed: u64, scale: usize) -> Corpus {
        serde_json::from_slice(&write(seed, scale, 30).unwrap()).unwrap()
    }

    #[test]
    fn two_intents_are_heavy() {
        let corpus = corpus(1, 2);
        let sizes: Vec<usize> =
            corpus.intents.iter().map(|intent| intent.utterances.len()).collect();
        assert_eq!((sizes.len(), sizes[0], sizes[1]), (22, 300, 212));
        assert!(sizes[2..].iter().all(|size| (10..=28).contains(size)), "{sizes:?}");
        assert_eq!(corpus.questions.len(), 30);
    }

    #[test]
    fn a_corpus_follows_from_its_seed() {
        assert_eq!(write(1, 1, 5).unwrap(), write(1, 1, 5).unwrap());
        assert_ne!(write(1, 1, 5).unwrap(), write(2, 1, 5).unwrap());
    }

    #[test]
    fn no_two_numbers_are_the_same_word() {
        let words = (0..INTENTS.len() * TOPIC_WORDS + COMMON_WORDS).map(|number| {
            let mut word = String::new();
            push_word(&mut word, number, false);
            word
        });
        let words: std::collections::HashSet<String> = words.collect();
        assert_eq!(words.len(), 22 * 80 + 900);
    }
}
