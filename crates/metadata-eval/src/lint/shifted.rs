//! Texts that belong to another row: a file of captions joined to the wrong clips reads well, clip by clip.
//!
//! Words of each text are compared with what is known about its own clip and about the clips of the rows before and
//! after it. In sound data the own clip fits best; where a neighbour fits better for many rows, rows are shifted.

use std::collections::HashSet;

use super::report::{LintReport, Problem};
use crate::write::metadata::Evidence;
use crate::write::words::stem;

/// Shifts that are tried, in rows.
const OFFSETS: [isize; 6] = [-3, -2, -1, 1, 2, 3];

/// Minimum number of rows with words in common before anything is said.
const MIN_ROWS: usize = 20;

/// Words that say nothing about a sound.
const COMMON: [&str; 24] = [
    "a", "an", "the", "and", "or", "of", "in", "on", "is", "are", "it", "to", "with", "sound", "sounds", "heard",
    "that", "this", "by", "at", "as", "from", "then", "while",
];

/// Compares the texts with their clips and with those of their neighbours.
pub(super) fn judge(rows: &[(String, Option<&Evidence>)], report: &mut LintReport) {
    let texts: Vec<HashSet<String>> = rows.iter().map(|(text, _)| words(text)).collect();
    let clips: Vec<Option<HashSet<String>>> =
        rows.iter().map(|(_, clip)| clip.map(|clip| words(&known(clip)))).collect();
    let score = |offset: isize| -> (usize, usize) {
        let mut compared = 0;
        let mut fitting = 0;
        for (i, text) in texts.iter().enumerate() {
            let clip = i.checked_add_signed(offset).and_then(|other| clips.get(other)?.as_ref());
            // A row whose neighbours are about the same sounds tells nothing.
            let (Some(clip), Some(own)) = (clip, &clips[i]) else { continue };
            if offset != 0 && clip == own {
                continue;
            }
            compared += 1;
            fitting += usize::from(!text.is_disjoint(clip));
        }
        (fitting, compared)
    };
    let share = |(fitting, compared): (usize, usize)| fitting as f64 / compared.max(1) as f64;
    let own = score(0);
    if own.1 < MIN_ROWS {
        return;
    }
    let best = OFFSETS.into_iter().map(|offset| (offset, score(offset))).filter(|(_, score)| score.1 >= MIN_ROWS);
    let Some((offset, best)) = best.max_by(|a, b| share(a.1).total_cmp(&share(b.1))) else { return };
    if share(best) > share(own) + 0.2 {
        let detail = format!(
            "texts share words with the clip {offset:+} rows away in {} of {} rows, with their own in {} of {}",
            best.0, best.1, own.0, own.1
        );
        report.add(Problem::ShiftedRows, "all rows", &detail);
    }
}

fn known(clip: &Evidence) -> String {
    let texts = [&clip.closed_caption, &clip.audio_caption, &clip.short_caption].into_iter().flatten().cloned();
    let tags = clip.taggers.iter().flat_map(|output| &output.tags).chain(&clip.ast);
    let tags = tags.chain(clip.seconds.iter().flat_map(|second| &second.tags)).filter(|tag| tag.prob >= 0.3);
    texts.chain(tags.map(|tag| tag.label.clone())).collect::<Vec<_>>().join("\n")
}

/// The telling words of a text, without the endings of plurals and verbs, so that `barks` and `bark` are one.
fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    let words = words.filter(|word| word.len() > 2 && !COMMON.contains(&word.as_str()));
    words.map(|word| stem(&word)).collect()
}
