//! What is learned from and what is judged by: no clip is in both.

use std::collections::HashSet;

use audsem_core::tables::text_hash;
use audsem_core::terminal::{by_number, counted};

use super::DataSet;
use crate::error::{Error, Result};
use crate::tables::ManifestRow;

/// Most keys that a message shows.
const SHOWN: usize = 5;

/// Refuses data for validation that have a clip of the training data, by their keys. Clips of one video in both are
/// a warning, because recordings of one video resemble each other.
///
/// # Errors
/// [`Error::Contaminated`] with the clips.
pub fn check_disjoint(train: &[ManifestRow], valid: &[ManifestRow]) -> Result<()> {
    let learned: HashSet<&str> = train.iter().map(|row| row.clip.as_str()).collect();
    let mut both: Vec<&str> = valid.iter().map(|row| row.clip.as_str()).filter(|clip| learned.contains(clip)).collect();
    both.sort_unstable();
    both.dedup();
    if !both.is_empty() {
        let clips = both.iter().take(SHOWN).map(|clip| (*clip).to_owned()).collect();
        return Err(Error::Contaminated { n: both.len(), clips });
    }
    let videos: HashSet<&str> = train.iter().filter_map(|row| row.video_id.as_deref()).collect();
    let shared: HashSet<&str> =
        valid.iter().filter_map(|row| row.video_id.as_deref()).filter(|video| videos.contains(video)).collect();
    if !shared.is_empty() {
        tracing::warn!(
            "{} {} clips in both the training and the validation data: validation may look better than it is",
            counted(shared.len(), "videos"),
            by_number(shared.len(), "has", "have")
        );
    }
    Ok(())
}

/// Splits off a share of the examples for validation: all of a video together, and of a clip that names no video; drawn
/// by a hash of its name and the seed.
#[must_use]
pub fn split_off(data: DataSet, share: f64, seed: u64) -> (DataSet, DataSet) {
    let is_held_out = |row: &ManifestRow| {
        let group = row.video_id.as_deref().unwrap_or(&row.clip);
        // 2⁶⁴ as a float: the hash as a number from 0 to 1.
        text_hash(&format!("{seed} valid {group}")) as f64 / 18_446_744_073_709_551_616.0 < share
    };
    let (mut train, mut valid) = (DataSet::default(), DataSet::default());
    let mut rows = data.rows.into_iter();
    for (n, weight) in data.parts {
        let (held_out, kept): (Vec<ManifestRow>, Vec<ManifestRow>) = rows.by_ref().take(n).partition(is_held_out);
        for (set, rows) in [(&mut train, kept), (&mut valid, held_out)] {
            set.parts.push((rows.len(), weight));
            set.rows.extend(rows);
        }
    }
    train.parts.retain(|(n, _)| *n > 0);
    train.digests.clone_from(&data.digests);
    valid.digests = data.digests;
    (train, valid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(clip: &str, video: Option<&str>) -> ManifestRow {
        ManifestRow {
            tar: String::new(),
            key: format!("{clip}_qa_0"),
            pair: None,
            clip: clip.to_owned(),
            video_id: video.map(str::to_owned),
            json_offset: 0,
            json_bytes: 0,
            json_sha256: String::new(),
            audio_offset: 0,
            audio_bytes: 0,
            audio_suffix: String::new(),
            duration_ms: None,
            text_bytes: 0,
            numbers: Vec::new(),
        }
    }

    #[test]
    fn a_clip_in_both_is_refused() {
        let train = [row("a", None), row("V (1_0-2_0)", Some("V"))];
        check_disjoint(&train, &[row("b", None), row("V (3_0-4_0)", Some("V"))]).unwrap();
        let error = check_disjoint(&train, &[row("b", None), row("a", None), row("a", None)]).unwrap_err().to_string();
        assert!(error.contains("1 clip is in both") && error.contains("validation data: a\n"), "{error}");
    }

    #[test]
    fn what_is_split_off_shares_no_video() {
        let rows: Vec<ManifestRow> = (0..300).map(|n| row(&format!("c{n}"), Some(&format!("v{}", n / 3)))).collect();
        let data = DataSet { rows, parts: vec![(200, 1.0), (100, 0.5)], digests: vec!["x".to_owned()] };
        let (train, valid) = split_off(data.clone(), 0.2, 1);
        assert_eq!(train.rows.len() + valid.rows.len(), 300);
        assert_eq!(train.parts.iter().map(|(n, _)| n).sum::<usize>(), train.rows.len());
        assert!((30..90).contains(&valid.rows.len()), "{}", valid.rows.len());
        let videos = |set: &DataSet| set.rows.iter().filter_map(|row| row.video_id.clone()).collect::<HashSet<_>>();
        assert!(videos(&train).is_disjoint(&videos(&valid)));
        check_disjoint(&train.rows, &valid.rows).unwrap();
        assert_ne!(split_off(data.clone(), 0.2, 2).1.rows, valid.rows);
        assert_eq!(split_off(data, 0.0, 1).1.rows.len(), 0);
    }
}
