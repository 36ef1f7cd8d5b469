//! Tracks of one video that say the same: `en` and `en-GB`, a transcript of a person and one of a machine, one track in two
//! formats.
//!
//! Taken as they stand, every sound would be there twice. A caption that another track of its video shows at the same time
//! is left out; the track that is read first keeps its own. What only one of them has stays.

use std::collections::{BTreeMap, HashMap};

use audsem_core::run::LeftOut;

use super::harvest::{CueText, Harvest, KeptCue};
use super::reasons::DropReason;
use super::text::is_word_character;

/// When the tracks so far show which words: by video, then by words.
#[derive(Debug, Default)]
pub struct Twins(HashMap<String, HashMap<String, Spans>>);

/// Stretches of time that do not touch: their begins and ends, in milliseconds.
#[derive(Debug, Default)]
struct Spans(BTreeMap<u64, u64>);

impl Spans {
    fn overlap(&self, (from, to): (u64, u64)) -> bool {
        self.0.range(..to).next_back().is_some_and(|(_, end)| *end > from)
    }

    fn add(&mut self, (mut from, mut to): (u64, u64)) {
        while let Some((&begin, &end)) = self.0.range(..=to).next_back().filter(|(_, end)| **end >= from) {
            self.0.remove(&begin);
            (from, to) = (from.min(begin), to.max(end));
        }
        self.0.insert(from, to);
    }
}

/// When a cue is shown; never no time at all.
fn span(cue: &KeptCue) -> (u64, u64) {
    let from = u64::from(cue.start_ms);
    (from, from + u64::from(cue.dur_ms).max(1))
}

/// The words of a caption, whatever signs and letters they are written with.
fn words(text: &str) -> String {
    let words = text.split(|c| !is_word_character(c) && c != '\'').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Twins {
    /// Leaves out the rows of a track, which are those from `from` on, that an earlier track of their video has.
    pub fn settle(&mut self, harvest: &mut Harvest, from: usize) {
        let mut of_track = Vec::new();
        for cue in harvest.rows.split_off(from) {
            let (span, words) = (span(&cue), words(&cue.text));
            let others = self.0.get(&cue.video_id).and_then(|others| others.get(&words));
            if others.is_some_and(|others| others.overlap(span)) {
                let seconds = |ms: u32| Some(f64::from(ms) / 1000.0);
                let text = CueText { text: &cue.text, start_s: seconds(cue.start_ms), dur_s: seconds(cue.dur_ms) };
                harvest.reject(&cue.video_id, text, LeftOut::drop(DropReason::TwinTrack, ()));
            } else {
                of_track.push((cue.video_id.clone(), words, span));
                harvest.rows.push(cue);
            }
        }
        // A track is no twin of itself: what it repeats may be heard twice.
        for (video_id, words, span) in of_track {
            self.0.entry(video_id).or_default().entry(words).or_default().add(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_ms: u32, dur_ms: u32, text: &str) -> KeptCue {
        KeptCue { video_id: "a".to_owned(), start_ms, dur_ms, text: text.to_owned() }
    }

    #[test]
    fn spans_join() {
        let mut spans = Spans::default();
        for span in [(10, 20), (30, 40), (0, 5), (15, 30), (50, 60)] {
            spans.add(span);
        }
        assert_eq!(spans.0.iter().map(|(a, b)| (*a, *b)).collect::<Vec<_>>(), [(0, 5), (10, 40), (50, 60)]);
        for (span, expected) in
            [((5, 10), false), ((5, 11), true), ((39, 50), true), ((40, 50), false), ((0, 99), true)]
        {
            assert_eq!(spans.overlap(span), expected, "{span:?}");
        }
    }

    #[test]
    fn the_track_that_is_read_first_keeps_its_cues() {
        let mut twins = Twins::default();
        let mut harvest = Harvest::default();
        let first = [cue(1_000, 2_000, "[Rain falls]"), cue(1_000, 2_000, "[rain falls]"), cue(9_000, 1_000, "(wind)")];
        harvest.rows.extend(first.clone());
        twins.settle(&mut harvest, 0);
        assert_eq!(harvest.rows, first, "within a track nothing is a twin");
        let others = [
            cue(1_200, 2_000, "(rain  falls.)"), // the same but for signs
            cue(3_000, 2_000, "[rain falls]"),   // later
            cue(9_500, 1_000, "[winds]"),        // another word
            KeptCue { video_id: "b".to_owned(), ..cue(1_000, 2_000, "[rain falls]") },
        ];
        harvest.rows.extend(others.clone());
        twins.settle(&mut harvest, 3);
        assert_eq!(harvest.rows[3..], others[1..]);
        let twin = &harvest.rejects[0];
        assert_eq!((twin.key.as_str(), harvest.rejects.len()), ("a@1.2", 1));
        assert_eq!(twin.cause, LeftOut::drop(DropReason::TwinTrack, ()));
    }
}
