//! CIDEr-D (Vedantam et al., 2015) as the COCO caption tools compute it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::n_grams;

/// The longest run of words that is compared.
const MAX_N: usize = 4;

/// Width of the penalty of another length, in words.
const SIGMA: f64 = 6.0;

/// In how many clips each run of up to four words occurs among the references.
#[derive(Debug, Clone, Default)]
pub struct ReferenceCorpus {
    clips: usize,
    frequency: HashMap<Vec<String>, usize>,
}

/// A sentence as weights of its runs of each length; sorted, so that sums do not depend on a hash.
struct Vectors<'a> {
    weights: [BTreeMap<&'a [String], f64>; MAX_N],
    norms: [f64; MAX_N],
    /// Runs of two words, as the tools count the length.
    length: f64,
}

impl ReferenceCorpus {
    /// Adds the references of one clip.
    pub fn add(&mut self, references: &[Vec<String>]) {
        self.clips += 1;
        let runs = references.iter().flat_map(|words| (1..=MAX_N).flat_map(|n| words.windows(n)));
        for run in runs.collect::<HashSet<_>>() {
            *self.frequency.entry(run.to_vec()).or_insert(0) += 1;
        }
    }

    /// Whether it holds no clip.
    pub fn is_empty(&self) -> bool {
        self.clips == 0
    }

    /// CIDEr-D of a sentence, from 0 to 10.
    pub fn cider_d(&self, given: &[String], references: &[Vec<String>]) -> f64 {
        if references.is_empty() || self.is_empty() {
            return 0.0;
        }
        let given = self.vectors(given);
        let sum: f64 = references.iter().map(|reference| similarity(&given, &self.vectors(reference))).sum();
        10.0 * sum / (MAX_N * references.len()) as f64
    }

    fn vectors<'a>(&self, words: &'a [String]) -> Vectors<'a> {
        let clips = (self.clips as f64).ln();
        let mut weights: [BTreeMap<&[String], f64>; MAX_N] = Default::default();
        for (n, weights) in weights.iter_mut().enumerate() {
            for (run, count) in n_grams(words, n + 1) {
                let frequency = self.frequency.get(run).copied().unwrap_or(0).max(1) as f64;
                weights.insert(run, count as f64 * (clips - frequency.ln()));
            }
        }
        let norm = |weights: &BTreeMap<&[String], f64>| weights.values().map(|w| w * w).sum::<f64>().sqrt();
        let norms = std::array::from_fn(|n| norm(&weights[n]));
        Vectors { weights, norms, length: words.len().saturating_sub(1) as f64 }
    }
}

/// The sum over the lengths of runs of clipped cosines, less for another length.
fn similarity(given: &Vectors<'_>, reference: &Vectors<'_>) -> f64 {
    let penalty = (-(given.length - reference.length).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
    let cosine = |n: usize| {
        let weight = |run: &[String]| reference.weights[n].get(run).copied().unwrap_or(0.0);
        let product: f64 = given.weights[n].iter().map(|(run, own)| own.min(weight(run)) * weight(run)).sum();
        let norms = given.norms[n] * reference.norms[n];
        if norms == 0.0 { product } else { product / norms }
    };
    (0..MAX_N).map(|n| cosine(n) * penalty).sum()
}
