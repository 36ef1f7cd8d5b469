//! What a report knows of many scores: counts that add up, never the scores themselves.

use std::collections::BTreeMap;

use audsem_core::tables::ScoreRef;
use serde::{Deserialize, Serialize};

/// Width of a bin. Quantiles are exact to this.
pub const BIN: f64 = 1e-4;

/// A score worth listening to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extreme {
    /// The clip's key.
    pub key: String,
    /// Its dissimilarity.
    pub dissimilarity: f32,
}

/// The scores of one set in one modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetSummary {
    /// How many scores.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
    /// How many lie in each bin; bin `i` begins at `i · BIN`.
    pub bins: BTreeMap<i64, u64>,
    /// How many lie over each threshold, in the order of the thresholds.
    pub over: Vec<u64>,
    /// The smallest ones, ascending.
    pub lowest: Vec<Extreme>,
    /// The largest ones, descending.
    pub highest: Vec<Extreme>,
}

impl SetSummary {
    fn new(n_thresholds: usize) -> Self {
        Self {
            count: 0,
            sum: 0.0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            bins: BTreeMap::new(),
            over: vec![0; n_thresholds],
            lowest: Vec::new(),
            highest: Vec::new(),
        }
    }

    /// The mean; NaN without scores.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The score below which a share `q` of the scores lies, to within [`BIN`]; `None` without scores.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        // The smallest score that at least this many do not exceed.
        let rank = (q * self.count as f64).ceil().max(1.0);
        let mut seen = 0;
        self.bins.iter().find_map(|(bin, n)| {
            seen += n;
            let middle = (*bin as f64 + 0.5) * BIN;
            (seen as f64 >= rank).then(|| middle.clamp(f64::from(self.min), f64::from(self.max)))
        })
    }
}

/// The scores of all sets: modality, then set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summaries {
    /// `audio` or `text`, then the name of the set.
    pub sets: BTreeMap<String, BTreeMap<String, SetSummary>>,
}

/// What is noted.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    /// Thresholds that are counted.
    pub thresholds: &'a [f32],
    /// Extremes kept at either end.
    pub extremes: usize,
}

impl Summaries {
    /// Takes in one score.
    pub fn add(&mut self, score: ScoreRef<'_>, noted: Noted<'_>) {
        if !self.sets.contains_key(score.modality) {
            self.sets.insert(score.modality.to_owned(), BTreeMap::new());
        }
        let sets = self.sets.get_mut(score.modality).expect("inserted above");
        if !sets.contains_key(score.source) {
            sets.insert(score.source.to_owned(), SetSummary::new(noted.thresholds.len()));
        }
        let set = sets.get_mut(score.source).expect("inserted above");
        let value = score.dissimilarity;
        set.count += 1;
        set.sum += f64::from(value);
        set.min = set.min.min(value);
        set.max = set.max.max(value);
        #[expect(clippy::cast_possible_truncation, reason = "dissimilarities lie between 0 and 2")]
        let bin = (f64::from(value) / BIN).floor() as i64;
        *set.bins.entry(bin).or_default() += 1;
        for (over, threshold) in set.over.iter_mut().zip(noted.thresholds) {
            *over += u64::from(value > *threshold);
        }
        let extreme = || Extreme { key: score.key.to_owned(), dissimilarity: value };
        if set.lowest.len() < noted.extremes || set.lowest.last().is_some_and(|last| value < last.dissimilarity) {
            offer(&mut set.lowest, extreme(), noted.extremes, |a, b| a <= b);
        }
        if set.highest.len() < noted.extremes || set.highest.last().is_some_and(|last| value > last.dissimilarity) {
            offer(&mut set.highest, extreme(), noted.extremes, |a, b| a >= b);
        }
    }

    /// Adds the scores of the tables that follow.
    pub fn merge(&mut self, other: Self, noted: Noted<'_>) {
        for (modality, sets) in other.sets {
            for (name, theirs) in sets {
                let mine = self.sets.entry(modality.clone()).or_default();
                mine.entry(name).or_insert_with(|| SetSummary::new(noted.thresholds.len())).merge(theirs, noted);
            }
        }
    }

    /// All sets of a modality together.
    pub fn total(&self, modality: &str, noted: Noted<'_>) -> SetSummary {
        let mut total = SetSummary::new(noted.thresholds.len());
        for set in self.sets.get(modality).into_iter().flat_map(BTreeMap::values) {
            total.merge(set.clone(), noted);
        }
        total
    }
}

impl SetSummary {
    fn merge(&mut self, other: Self, noted: Noted<'_>) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (bin, n) in other.bins {
            *self.bins.entry(bin).or_default() += n;
        }
        for (mine, theirs) in self.over.iter_mut().zip(&other.over) {
            *mine += theirs;
        }
        other.lowest.into_iter().for_each(|extreme| offer(&mut self.lowest, extreme, noted.extremes, |a, b| a <= b));
        other.highest.into_iter().for_each(|extreme| offer(&mut self.highest, extreme, noted.extremes, |a, b| a >= b));
    }
}

/// Puts an extreme in its place, behind its equals.
fn offer(list: &mut Vec<Extreme>, extreme: Extreme, n: usize, in_front: impl Fn(f32, f32) -> bool) {
    let at = list.partition_point(|other| in_front(other.dissimilarity, extreme.dissimilarity));
    list.insert(at, extreme);
    list.truncate(n);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOTED: Noted<'_> = Noted { thresholds: &[0.5, 0.95], extremes: 2 };

    fn score(key: &str, dissimilarity: f32) -> ScoreRef<'_> {
        ScoreRef { key, source: "set", modality: "audio", dissimilarity, nearest: None, mean_top_k: None }
    }

    fn of(scores: &[(&str, f32)]) -> Summaries {
        let mut all = Summaries::default();
        scores.iter().for_each(|(key, value)| all.add(score(key, *value), NOTED));
        all
    }

    #[test]
    fn tables_apart_add_up_to_tables_together() {
        let scores = [("a", 0.2), ("b", 1.3), ("c", 0.95), ("d", 0.2), ("e", 1.3), ("f", 0.96)];
        let whole = of(&scores);
        let mut parts = of(&scores[..2]);
        parts.merge(of(&scores[2..]), NOTED);
        assert_eq!(parts, whole);
        let set = &whole.sets["audio"]["set"];
        // 0.95 is not over 0.95.
        assert_eq!((set.count, set.over.as_slice(), set.min, set.max), (6, &[4, 3][..], 0.2, 1.3));
        let keys = |list: &[Extreme]| list.iter().map(|extreme| extreme.key.clone()).collect::<Vec<_>>();
        assert_eq!(
            (keys(&set.lowest), keys(&set.highest)),
            (vec!["a".into(), "d".into()], vec!["b".into(), "e".into()])
        );
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_scores() {
        let values: Vec<f32> = (0..1000).map(|i| ((i * 617) % 1000) as f32 / 700.0).collect();
        let mut all = Summaries::default();
        values.iter().for_each(|value| all.add(score("k", *value), NOTED));
        let mut sorted = values.clone();
        sorted.sort_by(f32::total_cmp);
        let set = &all.sets["audio"]["set"];
        for (q, index) in [(0.0, 0), (0.001, 0), (0.5, 499), (0.95, 949), (1.0, 999)] {
            let got = set.quantile(q).unwrap();
            assert!((got - f64::from(sorted[index])).abs() <= BIN, "{q}: {got} {}", sorted[index]);
        }
        assert_eq!(SetSummary::new(0).quantile(0.5), None);
    }
}
