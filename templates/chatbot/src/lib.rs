//! Training and using a classifier of intents: the logic of three Lambda functions.
//!
//! One module per function ([`parse`], [`train`], [`detect`]) holds what the function does; the
//! programs in `src/bin` only connect it to Lambda. [`corpus`] makes what people say, since the
//! template comes without files.

pub mod corpus;
pub mod detect;
mod linear;
mod logistic;
pub mod parse;
mod subspace;
pub mod train;
mod vocabulary;

/// The workflow's name, which its objects in the store go by.
pub const WORKFLOW: &str = "chatbot";

/// Object with the words that are known, in the order of a matrix's columns.
const VOCABULARY: &str = "vocabulary.json";
/// Object with what people ask the chatbot when it has learnt.
const QUESTIONS: &str = "questions.json";
