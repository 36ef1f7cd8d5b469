//! The tasks of training samples, and the formats of each.

use serde::{Deserialize, Serialize};

use super::RecordFormat;
use super::formats::{
    CAPTION_RECORD, CAPTION_SAMPLE, MC_QA_RECORD, MC_QA_SAMPLE, MC_QA_SAMPLES_TOGETHER, QA_RECORD, QA_SAMPLE,
    QA_SAMPLES_TOGETHER,
};

/// The task that training samples are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Captions of audio clips.
    Caption,
    /// Open questions about audio clips, creative ones too.
    Qa,
    /// Questions with options to choose from.
    McQa,
    /// Questions with options inside a complete instruction.
    McQaLong,
    /// Captions of video clips; the sound is taken from the video.
    Video,
}

/// How the pairs of a clip become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One sample per pair, each with the whole audio: what the trainers read.
    Repeat,
    /// One sample per clip that holds all its pairs in `qa_pairs`: the audio is stored once.
    Together,
}

impl Task {
    /// Every task, in the order of `--help`.
    pub const ALL: [Self; 5] = [Self::Caption, Self::Qa, Self::McQa, Self::McQaLong, Self::Video];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caption => "caption",
            Self::Qa => "qa",
            Self::McQa => "mc-qa",
            Self::McQaLong => "mc-qa-long",
            Self::Video => "video",
        }
    }

    /// Whether a clip may give several samples.
    pub fn has_pairs(self) -> bool {
        matches!(self, Self::Qa | Self::McQa | Self::McQaLong)
    }

    /// Whether questions have options to choose from.
    pub fn has_choices(self) -> bool {
        matches!(self, Self::McQa | Self::McQaLong)
    }

    /// The format of the records that samples are made from.
    pub fn record(self) -> &'static RecordFormat {
        match self {
            Self::Caption | Self::Video => &CAPTION_RECORD,
            Self::Qa => &QA_RECORD,
            Self::McQa | Self::McQaLong => &MC_QA_RECORD,
        }
    }

    /// The format of the JSON of a sample.
    pub fn sample(self, layout: Layout) -> &'static RecordFormat {
        match (self, layout) {
            (Self::Caption | Self::Video, _) => &CAPTION_SAMPLE,
            (Self::Qa, Layout::Repeat) => &QA_SAMPLE,
            (Self::Qa, Layout::Together) => &QA_SAMPLES_TOGETHER,
            (Self::McQa | Self::McQaLong, Layout::Repeat) => &MC_QA_SAMPLE,
            (Self::McQa | Self::McQaLong, Layout::Together) => &MC_QA_SAMPLES_TOGETHER,
        }
    }
}
