//! Mergeable summaries of scores: counts and sums, never the scores themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::criterion::{Criterion, Side};
use crate::scores::Scored;

/// Width of a bin. Quantiles are exact to this.
pub const BIN: f64 = 1e-4;

/// A score worth listening to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extreme {
    /// The clip's key.
    pub key: String,
    /// Its score.
    pub value: f32,
    /// Its caption, where known.
    pub text: Option<String>,
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
    /// How many lie on the suspicious side of each threshold, in the order of the thresholds.
    pub beyond: Vec<u64>,
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
            beyond: vec![0; n_thresholds],
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
    /// All sets of a modality together; a key that is in several counts once, with its first score.
    pub totals: BTreeMap<String, SetSummary>,
}

/// The configuration of a summary.
#[derive(Debug, Clone, Copy)]
pub struct SummaryConfig<'a> {
    /// Thresholds, and which side of them is counted.
    pub criterion: &'a Criterion,
    /// Extremes kept at either end.
    pub extremes: usize,
}

impl Summaries {
    /// Adds one score; `first` unless an earlier set has its key.
    pub fn add(&mut self, scored: Scored<'_>, value: f32, first: bool, summary_config: SummaryConfig<'_>) {
        let empty = || SetSummary::new(summary_config.criterion.thresholds.len());
        let sets = entry(&mut self.sets, scored.modality, BTreeMap::new);
        entry(sets, scored.source, empty).add(scored, value, summary_config);
        if first {
            entry(&mut self.totals, scored.modality, empty).add(scored, value, summary_config);
        }
    }

    /// Parts what is shown of both ends, so that no clip is among the best and among the worst: the suspicious end comes
    /// first, and of few clips each end has half.
    pub fn part_ends(&mut self, side: Side) {
        for total in self.totals.values_mut() {
            let half = usize::try_from(total.count.div_ceil(2)).unwrap_or(usize::MAX);
            let (first, second) = match side {
                Side::Over => (&mut total.highest, &mut total.lowest),
                Side::Under => (&mut total.lowest, &mut total.highest),
            };
            first.truncate(half);
            // Of equal values both ends begin with the earliest.
            second.retain(|extreme| first.iter().all(|other| other.key != extreme.key));
        }
    }

    /// Adds the scores of the tables that follow.
    pub fn merge(&mut self, other: Self, summary_config: SummaryConfig<'_>) {
        let empty = || SetSummary::new(summary_config.criterion.thresholds.len());
        for (modality, theirs) in other.totals {
            entry(&mut self.totals, &modality, empty).merge(theirs, summary_config);
        }
        for (modality, sets) in other.sets {
            let mine = entry(&mut self.sets, &modality, BTreeMap::new);
            sets.into_iter().for_each(|(name, theirs)| entry(mine, &name, empty).merge(theirs, summary_config));
        }
    }
}

/// The value of a name, inserted if it is absent; the name is copied only then.
fn entry<'m, T>(map: &'m mut BTreeMap<String, T>, name: &str, make: impl FnOnce() -> T) -> &'m mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), make());
    }
    map.get_mut(name).expect("inserted above")
}

impl SetSummary {
    fn add(&mut self, scored: Scored<'_>, value: f32, summary_config: SummaryConfig<'_>) {
        self.count += 1;
        self.sum += f64::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        #[expect(clippy::cast_possible_truncation, reason = "scores lie between -1 and 2")]
        let bin = (f64::from(value) / BIN).floor() as i64;
        *self.bins.entry(bin).or_default() += 1;
        for (beyond, threshold) in self.beyond.iter_mut().zip(&summary_config.criterion.thresholds) {
            *beyond += u64::from(summary_config.criterion.beyond(value, *threshold));
        }
        let extreme = || Extreme { key: scored.key.to_owned(), value, text: scored.text.map(str::to_owned) };
        if self.lowest.len() < summary_config.extremes || self.lowest.last().is_some_and(|last| value < last.value) {
            offer(&mut self.lowest, extreme(), summary_config.extremes, |a, b| a <= b);
        }
        if self.highest.len() < summary_config.extremes || self.highest.last().is_some_and(|last| value > last.value) {
            offer(&mut self.highest, extreme(), summary_config.extremes, |a, b| a >= b);
        }
    }

    fn merge(&mut self, other: Self, summary_config: SummaryConfig<'_>) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (bin, n) in other.bins {
            *self.bins.entry(bin).or_default() += n;
        }
        for (mine, theirs) in self.beyond.iter_mut().zip(&other.beyond) {
            *mine += theirs;
        }
        other
            .lowest
            .into_iter()
            .for_each(|extreme| offer(&mut self.lowest, extreme, summary_config.extremes, |a, b| a <= b));
        other
            .highest
            .into_iter()
            .for_each(|extreme| offer(&mut self.highest, extreme, summary_config.extremes, |a, b| a >= b));
    }
}

/// Inserts an extreme at its rank, after equal values.
fn offer(list: &mut Vec<Extreme>, extreme: Extreme, n: usize, in_front: impl Fn(f32, f32) -> bool) {
    let at = list.partition_point(|other| in_front(other.value, extreme.value));
    list.insert(at, extreme);
    list.truncate(n);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    use crate::criterion::Column;

    fn criterion(side: Side) -> Criterion {
        Criterion { column: Column::Dissimilarity, side, thresholds: vec![0.5, 0.95] }
    }

    fn of(scores: &[(&str, f32)], criterion: &Criterion) -> Summaries {
        let mut all = Summaries::default();
        for (key, value) in scores {
            let scored = Scored { key, source: "set", modality: "audio", value: Some(*value), text: None };
            all.add(scored, *value, true, SummaryConfig { criterion, extremes: 2 });
        }
        all
    }

    #[test]
    fn tables_apart_add_up_to_tables_together() {
        let scores = [("a", 0.2), ("b", 1.3), ("c", 0.95), ("d", 0.2), ("e", 1.3), ("f", 0.96)];
        let over = criterion(Side::Over);
        let whole = of(&scores, &over);
        let mut parts = of(&scores[..2], &over);
        parts.merge(of(&scores[2..], &over), SummaryConfig { criterion: &over, extremes: 2 });
        assert_eq!(parts, whole);
        assert_eq!(whole.totals["audio"], whole.sets["audio"]["set"]);
        assert_eq!(of(&scores, &criterion(Side::Under)).totals["audio"].beyond, [2, 2]);
        let set = &whole.sets["audio"]["set"];
        // 0.95 is not over 0.95.
        assert_eq!((set.count, set.beyond.as_slice(), set.min, set.max), (6, &[4, 3][..], 0.2, 1.3));
        let keys = |list: &[Extreme]| list.iter().map(|extreme| extreme.key.clone()).collect::<Vec<_>>();
        assert_eq!(
            (keys(&set.lowest), keys(&set.highest)),
            (vec!["a".into(), "d".into()], vec!["b".into(), "e".into()])
        );
    }

    #[test]
    fn no_clip_is_among_the_best_and_the_worst() {
        let check = |scores: &[(&str, f32)], side: Side, first: &[&str], second: &[&str]| {
            let criterion = criterion(side);
            let mut all = Summaries::default();
            for (key, value) in scores {
                let scored = Scored { key, source: "set", modality: "audio", value: Some(*value), text: None };
                all.add(scored, *value, true, SummaryConfig { criterion: &criterion, extremes: 3 });
            }
            all.part_ends(side);
            let total = &all.totals["audio"];
            let keys = |list: &[Extreme]| list.iter().map(|extreme| extreme.key.clone()).collect::<Vec<_>>();
            let ends = [keys(&total.highest), keys(&total.lowest)];
            let expected = if side == Side::Over { [first, second] } else { [second, first] };
            assert_eq!(ends, expected, "{scores:?}");
        };
        let few = [("a", 0.1), ("b", 0.2), ("c", 0.3)];
        check(&few, Side::Over, &["c", "b"], &["a"]);
        check(&few, Side::Under, &["a", "b"], &["c"]);
        check(&few[..1], Side::Over, &["a"], &[]);
        check(&[("a", 0.5), ("b", 0.5), ("c", 0.5), ("d", 0.5), ("e", 0.5)], Side::Over, &["a", "b", "c"], &[]);
        let many = [("a", 0.1), ("b", 0.2), ("c", 0.3), ("d", 0.4), ("e", 0.5), ("f", 0.6), ("g", 0.7)];
        check(&many, Side::Over, &["g", "f", "e"], &["a", "b", "c"]);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_scores() {
        let values: Vec<f32> = (0..1000).map(|i| ((i * 617) % 1000) as f32 / 700.0).collect();
        let scores: Vec<(&str, f32)> = values.iter().map(|value| ("k", *value)).collect();
        let all = of(&scores, &criterion(Side::Over));
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
