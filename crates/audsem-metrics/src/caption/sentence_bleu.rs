//! BLEU of one sentence (Papineni et al., 2002), smoothed as sacrebleu smooths sentences.

use super::{matches, nearest_length};

/// BLEU of runs of up to four words, as [`sentence_bleu`].
pub fn bleu_4(given: &[String], references: &[Vec<String>]) -> f64 {
    sentence_bleu(given, references, 4)
}

/// BLEU of a sentence of words with runs of up to `longest` of them, from 0 to 1. Precisions of zero are replaced by halves of
/// halves (`exp` of sacrebleu), and runs that are longer than the sentence do not count (its effective order).
pub fn sentence_bleu(given: &[String], references: &[Vec<String>], longest: usize) -> f64 {
    if given.is_empty() {
        return 0.0;
    }
    let (mut logs, mut order, mut smooth) = (0.0, 0, 1.0);
    for n in 1..=longest.min(given.len()) {
        let total = given.len() + 1 - n;
        let matches = matches(given, references, n);
        if n == 1 && matches == 0 {
            return 0.0;
        }
        let precision = match matches {
            0 => {
                smooth *= 2.0;
                1.0 / (smooth * total as f64)
            }
            matches => matches as f64 / total as f64,
        };
        logs += precision.ln();
        order = n;
    }
    brevity(given.len(), references) * (logs / order as f64).exp()
}

/// The penalty of a sentence that is shorter than the reference of the nearest length.
fn brevity(length: usize, references: &[Vec<String>]) -> f64 {
    let nearest = nearest_length(length, references);
    if length < nearest { (1.0 - nearest as f64 / length as f64).exp() } else { 1.0 }
}
