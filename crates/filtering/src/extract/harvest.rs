//! The result of one block of a dump or one subtitle file: plain data, so that blocks can be processed
//! in any order and committed in input order.

use std::collections::BTreeMap;

use super::reasons::{DropReason, Fault};
use super::rules::{DurationLimits, Verdict, judge, parse_seconds};
use crate::languages::Languages;
use audsem_core::run::LeftOut;

/// One kept cue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCue {
    /// The video it belongs to.
    pub video_id: String,
    /// Begin in milliseconds.
    pub start_ms: u32,
    /// Length in milliseconds.
    pub dur_ms: u32,
    /// The caption, brackets included.
    pub text: String,
}

/// One dropped or failed record, to be written to the rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The cue (`VIDEO@SECONDS`) or the place in the file (`FILE@OFFSET`).
    pub key: String,
    /// Why.
    pub cause: LeftOut<()>,
    /// The text, or the error.
    pub detail: String,
}

/// Records of one video dropped for a frequent reason, written as one line of the rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The video.
    pub video_id: String,
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub records: u64,
}

/// Exact counters in addition to those of kept, dropped and failed cues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Dump objects, subtitle files.
    pub videos: u64,
    /// Those with at least one kept cue.
    pub videos_with_cues: u64,
    /// Dump objects not parsed since no caption in them can be bracketed.
    pub videos_skipped_unparsed: u64,
    /// Dump objects without the key `captions`.
    pub videos_without_captions: u64,
    /// Stretches of the dump that are no JSON object.
    pub objects_corrupt: u64,
    /// Dump objects too large to be parsed.
    pub objects_too_large: u64,
    /// Objects or files in which undecodable bytes were replaced.
    pub texts_mended: u64,
    /// Tracks in a language that is not asked for.
    pub tracks_other_language: u64,
    /// Tracks without a language.
    pub tracks_without_language: u64,
    /// Tracks read in a less exact format, since the file in the most exact one is of no use.
    pub tracks_in_other_format: u64,
    /// Tracks without a transcript.
    pub tracks_without_transcript: u64,
    /// Cues of tracks in other languages, as far as they were parsed.
    pub cues_other_language: u64,
}

impl Tally {
    /// Every counter with its name in `stats.json`.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("videos", self.videos),
            ("videos_with_cues", self.videos_with_cues),
            ("videos_skipped_unparsed", self.videos_skipped_unparsed),
            ("videos_without_captions", self.videos_without_captions),
            ("objects_corrupt", self.objects_corrupt),
            ("objects_too_large", self.objects_too_large),
            ("texts_mended", self.texts_mended),
            ("tracks_other_language", self.tracks_other_language),
            ("tracks_without_language", self.tracks_without_language),
            ("tracks_in_other_format", self.tracks_in_other_format),
            ("tracks_without_transcript", self.tracks_without_transcript),
            ("cues_other_language", self.cues_other_language),
        ]
    }
}

/// The yield of one piece of input. Every record read is a row, a reject, or one of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Harvest {
    /// Kept cues, in input order.
    pub rows: Vec<KeptCue>,
    /// Records left out, in input order.
    pub rejects: Vec<Reject>,
    /// Speech cues, and cues that lack a field, unless they are written down one by one; by video in
    /// input order.
    pub groups: Vec<Group>,
    /// Further counters.
    pub tally: Tally,
    /// How many tracks have each of the languages that are not asked for.
    pub other_languages: BTreeMap<String, u64>,
}

/// Which cues are wanted, and which rejects are written down one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct HarvestOptions {
    /// Tracks that are read.
    pub languages: Languages,
    /// Lengths that are kept.
    pub limits: DurationLimits,
    /// Write down speech cues and incomplete ones one by one, too.
    pub list_plain: bool,
}

impl Harvest {
    /// Records read.
    #[must_use]
    pub fn n_read(&self) -> u64 {
        (self.rows.len() + self.rejects.len()) as u64 + self.groups.iter().map(|group| group.records).sum::<u64>()
    }

    /// Passes over a track in a language that is not asked for.
    pub fn pass_over(&mut self, language: &str) {
        self.tally.tracks_other_language += 1;
        match self.other_languages.get_mut(language) {
            Some(n) => *n += 1,
            None => _ = self.other_languages.insert(language.to_owned(), 1),
        }
    }

    /// Leaves out `records` cues of a video in one line with those left out before it.
    pub fn leave_out(&mut self, video_id: &str, reason: DropReason, records: u64) {
        if records == 0 {
            return;
        }
        // Cues come video by video, so the group is among the last. Those of a video stand in the order of
        // their reasons, as not every reader meets its cues in the same order.
        let before = |group: &Group| group.video_id != video_id || group.reason <= reason;
        let at = self.groups.iter().rposition(before).map_or(0, |last| last + 1);
        match self.groups[..at].last_mut() {
            Some(group) if group.video_id == video_id && group.reason == reason => group.records += records,
            _ => self.groups.insert(at, Group { video_id: video_id.to_owned(), reason, records }),
        }
    }

    /// Judges one cue and takes it in.
    pub fn take(&mut self, video_id: &str, cue: CueText<'_>, options: &HarvestOptions) {
        match judge(cue.text, cue.start_s, cue.dur_s, options.limits) {
            Verdict::Keep { start_ms, dur_ms, text } => {
                self.rows.push(KeptCue { video_id: video_id.to_owned(), start_ms, dur_ms, text: text.into_owned() })
            }
            Verdict::Drop(reason @ DropReason::NotBracketed) if !options.list_plain => {
                self.leave_out(video_id, reason, 1)
            }
            Verdict::Drop(reason) => self.reject(video_id, cue, LeftOut::drop(reason, ())),
            Verdict::Fail(fault) => self.reject(video_id, cue, LeftOut::fail(fault, ())),
        }
    }

    /// Takes in cues that lack a field.
    pub fn take_incomplete(&mut self, video_id: &str, n: u64, options: &HarvestOptions) {
        if !options.list_plain {
            return self.leave_out(video_id, DropReason::MissingField, n);
        }
        for _ in 0..n {
            let cause = LeftOut::drop(DropReason::MissingField, ());
            self.rejects.push(Reject { key: format!("{video_id}@?"), cause, detail: String::new() });
        }
    }

    /// Writes down that a cue was left out.
    pub fn reject(&mut self, video_id: &str, cue: CueText<'_>, cause: LeftOut<()>) {
        let at = cue.start_s.map_or_else(|| "?".to_owned(), |start| start.to_string());
        let dur = cue.dur_s.map_or_else(|| "?".to_owned(), |dur| dur.to_string());
        let key = format!("{video_id}@{at}");
        self.rejects.push(Reject { key, cause, detail: format!("{dur} s: {}", excerpt(cue.text)) });
    }

    /// Writes down that a stretch of a file could not be read.
    pub fn fault(&mut self, key: String, fault: Fault, detail: String) {
        self.rejects.push(Reject { key, cause: LeftOut::fail(fault, ()), detail });
    }
}

/// One cue before it is judged.
#[derive(Debug, Clone, Copy)]
pub struct CueText<'a> {
    /// Its text.
    pub text: &'a str,
    /// Begin in seconds, if it could be read.
    pub start_s: Option<f64>,
    /// Length in seconds, if it could be read.
    pub dur_s: Option<f64>,
}

impl<'a> CueText<'a> {
    /// A cue whose times are decimal seconds in text form.
    #[must_use]
    pub fn from_decimal(text: &'a str, start: &str, dur: &str) -> Self {
        Self { text, start_s: parse_seconds(start), dur_s: parse_seconds(dur) }
    }
}

/// The first characters of a text, by which a reader can recognise it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 120;
    let mut short: String = text.chars().take(CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
