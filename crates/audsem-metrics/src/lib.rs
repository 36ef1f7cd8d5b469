//! How good texts are: word errors, translation and caption metrics, string rules of benchmarks, and their uncertainty.
//!
//! Every metric is a function of texts alone, and equals the library that the field uses for it (tests compare them on
//! random cases). Rewards of the training and scores of the evaluation are the same functions.

pub mod bleu;
pub mod caption;
pub mod edits;
pub mod instruction;
pub mod interval;
pub mod meteor;
pub mod normalise;
pub mod sentence_piece;
pub mod sentences;
pub mod string_match;
