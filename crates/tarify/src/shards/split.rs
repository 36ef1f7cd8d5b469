//! Selects the videos for validation.
//!
//! Clips of one video sound alike, so a video is never divided between the two splits. The order in
//! which videos are asked follows from a hash of their id and the seed; it does not depend on which
//! other videos there are.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The videos for validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValidVideos {
    /// Their ids.
    pub ids: BTreeSet<String>,
    /// How many clips they have together.
    pub clips: usize,
}

/// Chooses videos that together have `wanted` clips, given the number of clips of each video.
///
/// Walking the videos in hash order, each is taken that does not go beyond `wanted`. When this ends
/// short of it, the sum nearest to `wanted` that any choice of videos can reach is looked for (below
/// rather than above when both are as near, never more than `most`, and nothing at all only where every sum is), and of
/// each size the first videos in hash order are taken.
pub(super) fn choose(videos: &BTreeMap<&str, usize>, wanted: usize, most: usize, seed: u64) -> ValidVideos {
    let mut order: Vec<(&str, usize)> = videos.iter().map(|(id, clips)| (*id, *clips)).collect();
    order.sort_by_key(|(id, _)| (xxh3_64_with_seed(id.as_bytes(), seed), *id));
    let greedy = fill(&order, wanted);
    if greedy.clips == wanted || greedy.ids.len() == videos.len() || wanted == 0 {
        return greedy;
    }
    let mut left = nearest(&order, wanted, most);
    let mut chosen = ValidVideos { ids: BTreeSet::new(), clips: 0 };
    for (id, clips) in order {
        if let Some(count) = left.get_mut(&clips).filter(|count| **count > 0) {
            *count -= 1;
            chosen.ids.insert(id.to_owned());
            chosen.clips += clips;
        }
    }
    chosen
}

fn fill(order: &[(&str, usize)], wanted: usize) -> ValidVideos {
    let mut chosen = ValidVideos { ids: BTreeSet::new(), clips: 0 };
    for (id, clips) in order {
        if chosen.clips + clips <= wanted {
            chosen.ids.insert((*id).to_owned());
            chosen.clips += clips;
        }
    }
    chosen
}

/// How many videos of each size make the sum nearest to `wanted`: the bounded knapsack over sizes.
fn nearest(order: &[(&str, usize)], wanted: usize, most: usize) -> BTreeMap<usize, usize> {
    const UNREACHED: u32 = u32::MAX;
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, clips) in order {
        *sizes.entry(*clips).or_default() += 1;
    }
    let largest = sizes.keys().next_back().copied().unwrap_or(0);
    let limit = wanted + largest;
    // used[i][sum]: how few videos of the i-th size complete `sum` from what smaller sizes reach.
    let mut used: Vec<Vec<u32>> = Vec::with_capacity(sizes.len());
    let mut reached = vec![false; limit + 1];
    reached[0] = true;
    for (&size, &count) in &sizes {
        let mut row: Vec<u32> = reached.iter().map(|&yes| if yes { 0 } else { UNREACHED }).collect();
        for sum in size..=limit {
            let before = row[sum - size];
            if row[sum] == UNREACHED && (before as usize) < count {
                row[sum] = before + 1;
                reached[sum] = true;
            }
        }
        used.push(row);
    }
    let reachable = (1..=limit.min(most)).filter(|&sum| reached[sum]);
    let mut sum = reachable.min_by_key(|&sum| (sum.abs_diff(wanted), sum)).unwrap_or(0);
    let mut counts = BTreeMap::new();
    for (&size, row) in sizes.keys().zip(&used).rev() {
        let count = row[sum] as usize;
        counts.insert(size, count);
        sum -= count * size;
    }
    counts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn videos(sizes: &[usize]) -> BTreeMap<String, usize> {
        sizes.iter().enumerate().map(|(i, size)| (format!("video{i:03}"), *size)).collect()
    }

    fn clips(sizes: &[usize], wanted: usize, seed: u64) -> usize {
        let videos = videos(sizes);
        let chosen = choose(&videos.iter().map(|(id, n)| (id.as_str(), *n)).collect(), wanted, usize::MAX, seed);
        assert_eq!(chosen.ids.iter().map(|id| videos[id]).sum::<usize>(), chosen.clips);
        chosen.clips
    }

    #[test]
    fn the_count_is_exact_when_any_choice_of_videos_makes_it() {
        for seed in 0..20 {
            assert_eq!(clips(&[3, 2, 2], 4, seed), 4, "taking the 3 first would end at 3");
            assert_eq!(clips(&[1; 300], 100, seed), 100);
            assert_eq!(clips(&[7, 7, 7, 5, 5], 19, seed), 19);
        }
    }

    #[test]
    fn otherwise_the_nearest_count_and_never_an_empty_split() {
        for (sizes, wanted, expected) in [
            (&[10, 10, 10][..], 14, 10),
            (&[10, 10, 10], 15, 10),
            (&[10, 10, 10], 16, 20),
            (&[200, 200], 100, 200),
            (&[200, 200], 1, 200),
            (&[4, 4], 100, 8),
            (&[4, 4], 0, 0),
            (&[], 5, 0),
        ] {
            assert_eq!(clips(sizes, wanted, 3), expected, "{wanted} of {sizes:?}");
        }
    }

    #[test]
    fn never_more_than_is_allowed() {
        let chosen = |sizes: &[usize], wanted: usize, most: usize| {
            let videos = videos(sizes);
            choose(&videos.iter().map(|(id, n)| (id.as_str(), *n)).collect(), wanted, most, 3).clips
        };
        assert_eq!(chosen(&[10, 10, 10], 14, 15), 10);
        assert_eq!(chosen(&[3], 1, 1), 0, "the only video would leave nothing to learn from");
        assert_eq!(chosen(&[5, 2], 1, 3), 2);
    }

    #[test]
    fn the_seed_decides_and_other_videos_do_not() {
        let all = videos(&[1; 100]);
        let pick = |from: &BTreeMap<String, usize>, seed| {
            choose(&from.iter().map(|(id, n)| (id.as_str(), *n)).collect(), 10, usize::MAX, seed).ids
        };
        assert_eq!(pick(&all, 1), pick(&all, 1));
        assert_ne!(pick(&all, 1), pick(&all, 2));
        let mut fewer = all.clone();
        let unpicked = all.keys().find(|id| !pick(&all, 1).contains(*id)).unwrap().clone();
        fewer.remove(&unpicked);
        assert_eq!(pick(&fewer, 1), pick(&all, 1));
    }

    proptest! {
        #[test]
        fn no_choice_of_videos_is_nearer(sizes in prop::collection::vec(1usize..9, 1..9), wanted in 1usize..40, seed: u64) {
            let sums: BTreeSet<usize> = (1u32..1 << sizes.len())
                .map(|mask| sizes.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, n)| n).sum())
                .collect();
            let best = sums.into_iter().min_by_key(|sum| (sum.abs_diff(wanted), *sum)).unwrap();
            prop_assert_eq!(clips(&sizes, wanted, seed), best);
        }
    }
}
