//! METEOR of single sentences (Lavie and Agarwal, 2007) as NLTK computes it.
//!
//! ```
//! use audsem_metrics::meteor::meteor;
//!
//! // One run of three words still costs half of (1 / 3)³.
//! assert!((meteor("A man speaks", "a man speaks", None) - 0.981_481_481).abs() < 1e-9);
//! ```

mod align;
mod porter;
mod tokens;
mod wordnet;

pub use porter::stem;
pub use tokens::tokens;
pub use wordnet::WordNet;

/// Weight of precision in the mean of precision and recall.
const ALPHA: f64 = 0.9;
/// How steeply the penalty grows with the number of runs.
const BETA: f64 = 3.0;
/// The greatest penalty.
const GAMMA: f64 = 0.5;

/// METEOR of a text against one reference, from 0 to 1. Without WordNet words match as they are and by their stems alone; such
/// scores are lower than those of NLTK, and results should name them otherwise.
#[must_use]
pub fn meteor(prediction: &str, reference: &str, wordnet: Option<&WordNet>) -> f64 {
    meteor_of_tokens(&tokens(prediction), &tokens(reference), wordnet)
}

/// METEOR of a text against the reference that it is nearest to; 0 without references.
#[must_use]
pub fn meteor_of_nearest<S: AsRef<str>>(prediction: &str, references: &[S], wordnet: Option<&WordNet>) -> f64 {
    let prediction = tokens(prediction);
    let scores = references.iter().map(|other| meteor_of_tokens(&prediction, &tokens(other.as_ref()), wordnet));
    scores.fold(0.0, f64::max)
}

/// METEOR of words that are cut already, in whatever case.
#[must_use]
pub fn meteor_of_tokens(prediction: &[String], reference: &[String], wordnet: Option<&WordNet>) -> f64 {
    let lower = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>();
    let matches = align::matches(&lower(prediction), &lower(reference), wordnet);
    if matches.is_empty() {
        return 0.0;
    }
    let count = matches.len() as f64;
    let (precision, recall) = (count / prediction.len() as f64, count / reference.len() as f64);
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    let is_break = |two: &&[(usize, usize)]| two[1] != (two[0].0 + 1, two[0].1 + 1);
    let runs = 1 + matches.windows(2).filter(is_break).count();
    (1.0 - GAMMA * (runs as f64 / count).powf(BETA)) * mean
}
