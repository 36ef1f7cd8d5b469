//! What decides the content of the training shards.

use std::num::NonZeroU64;
use std::path::PathBuf;

use audsem_core::clip_lists::ScoreBounds;
use audsem_core::error::Error as CoreError;
use audsem_core::records::{Layout, Task};
use audsem_core::run::RunConfig;
use audsem_media::audio::CheckLimits;
use serde::{Deserialize, Serialize};

use super::sample::SampleRules;
use super::templates::Templates;
use super::text::TextLimits;
use crate::error::Error;

/// The default text limits of a task.
impl TextLimits {
    /// The limits of a task. Long captions are dropped from caption shards only, video shards only require some text,
    /// and an option is often one short word after its letter.
    pub fn of(task: Task) -> Self {
        Self {
            max_words: (task == Task::Caption).then_some(100),
            min_chars: if task == Task::Video { 1 } else { 10 },
            min_answer_chars: match task {
                Task::Qa => 10,
                Task::McQa | Task::McQaLong => 3,
                Task::Caption | Task::Video => 1,
            },
            omit_phrases: super::text::OMIT_PHRASES.map(str::to_owned).to_vec(),
        }
    }
}

/// How answers to questions with choices are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// As `X. text`, letter and text of the choice.
    Canonical,
    /// As the record has them.
    Keep,
}

/// Which of several records about the same clip counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// The first one.
    First,
    /// The last one.
    Last,
}

/// How many clips are for validation; never more than half of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ValidSize {
    /// So many clips, or the nearest number that whole videos make.
    Clips(usize),
    /// A share of all clips, 0 to 0.5.
    Share {
        /// The share.
        share: f64,
    },
}

impl ValidSize {
    /// What is taken where nothing else is said.
    pub const USUAL: Self = Self::Share { share: 0.05 };

    /// The number of clips that are wanted of so many.
    #[must_use]
    pub fn of(self, clips: usize) -> usize {
        let wanted = match self {
            Self::Clips(n) => n,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half of the clips")]
            Self::Share { share } => (share * clips as f64).round().max(1.0) as usize,
        };
        wanted.min(clips / 2)
    }
}

impl std::str::FromStr for ValidSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected a number of clips such as 100, or a share up to 50% such as 5%, not {text:?}");
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Clips).map_err(|_| form()),
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| form())?;
                let is_share = percent > 0.0 && percent <= 50.0;
                if is_share { Ok(Self::Share { share: percent / 100.0 }) } else { Err(form()) }
            }
        }
    }
}

impl std::fmt::Display for ValidSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clips(n) => write!(f, "{n}"),
            Self::Share { share } => write!(f, "{}%", (share * 1e6).round() / 1e4),
        }
    }
}

/// How thoroughly the audio is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyMode {
    /// Decode every clip to its end.
    Full,
    /// Read the header and decode until the first sample that is loud enough.
    Fast,
    /// Read the header only.
    None,
}

/// Requirements on clips.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct AudioLimits {
    /// Length and loudness.
    #[serde(flatten)]
    pub limits: CheckLimits,
    /// How thoroughly to check.
    pub verify: VerifyMode,
}

/// Everything the content of the shards depends on, beside `--seed` and `--limit`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Files of generated text: JSON lines, CSV or Parquet. Their content counts, not their place.
    pub records: Vec<PathBuf>,
    /// Whether `records` are clip tables, whose captions are the text: there is no thinking then.
    pub from_table: bool,
    /// Lists of clips to leave out.
    pub exclude: Vec<PathBuf>,
    /// Tables of scores of clips, which `bounds` are about.
    pub scores: Vec<PathBuf>,
    /// What clips must have in these tables; a clip that they do not tell of is left out.
    pub bounds: ScoreBounds,
    /// Tars of clips, in the order their samples shall have.
    pub sources: Vec<PathBuf>,
    /// Table of `index` that says which source holds which clip: sources without a clip of the
    /// records are not opened.
    pub mapping: Option<PathBuf>,
    /// Where ffmpeg is, for videos that the built-in decoders cannot read; `None` to look for it.
    pub ffmpeg: Option<PathBuf>,
    /// The kind of samples.
    pub task: Task,
    /// Whether samples need and use `semantic_elements`.
    pub semantic: bool,
    /// Requirements on text.
    pub text: TextLimits,
    /// Requirements on audio.
    pub audio: AudioLimits,
    /// One sample per pair or per clip.
    pub pairs: Layout,
    /// How answers to questions with choices are written.
    pub answers: Answers,
    /// Which of several records about the same clip counts.
    pub duplicates: Duplicates,
    /// The text of the task's template, `None` for tasks without.
    pub template: Option<String>,
    /// Clips wanted for validation; `Clips(0)` for no validation split.
    pub num_valid: ValidSize,
    /// Video ids for validation, in place of choosing `num_valid` clips by the seed.
    pub valid_videos: Option<Vec<String>>,
    /// Maximum number of samples per shard.
    pub max_count: NonZeroU64,
    /// Maximum number of bytes per shard; `None` for no limit.
    pub max_bytes: Option<NonZeroU64>,
}

/// What decides the content of the shards. Of records and sources their content counts, not their place.
#[derive(Serialize)]
pub(super) struct HashedConfig<'a> {
    task: &'a Task,
    from_table: bool,
    bounds: &'a ScoreBounds,
    semantic: bool,
    text: &'a TextLimits,
    audio: &'a AudioLimits,
    pairs: &'a Layout,
    answers: &'a Answers,
    duplicates: &'a Duplicates,
    template: Option<&'a str>,
    num_valid: ValidSize,
    valid_videos: Option<&'a [String]>,
    max_count: NonZeroU64,
    max_bytes: Option<NonZeroU64>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = super::COMMAND;
}

impl<'a> HashedConfig<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        let Config {
            records: _,
            from_table,
            exclude: _,
            scores: _,
            bounds,
            sources: _,
            mapping: _,
            ffmpeg: _,
            task,
            semantic,
            text,
            audio,
            pairs,
            answers,
            duplicates,
            template,
            num_valid,
            valid_videos,
            max_count,
            max_bytes,
        } = config;
        Self {
            task,
            from_table: *from_table,
            bounds,
            semantic: *semantic,
            text,
            audio,
            pairs,
            answers,
            duplicates,
            template: template.as_deref(),
            num_valid: *num_valid,
            valid_videos: valid_videos.as_deref(),
            max_count: *max_count,
            max_bytes: *max_bytes,
        }
    }
}

impl Config {
    /// A configuration with the task's defaults.
    pub fn new(task: Task, records: Vec<PathBuf>, sources: Vec<PathBuf>) -> Self {
        Self {
            records,
            from_table: false,
            exclude: Vec::new(),
            scores: Vec::new(),
            bounds: ScoreBounds::default(),
            sources,
            mapping: None,
            ffmpeg: None,
            task,
            semantic: false,
            text: TextLimits::of(task),
            audio: AudioLimits { limits: CheckLimits::DEFAULT, verify: VerifyMode::Full },
            pairs: Layout::Repeat,
            answers: Answers::Canonical,
            duplicates: Duplicates::First,
            template: super::templates::default_template(task).map(str::to_owned),
            num_valid: ValidSize::USUAL,
            valid_videos: None,
            max_count: NonZeroU64::new(2048).expect("2048 is not 0"),
            max_bytes: None,
        }
    }

    /// Refuses limits that no clip can meet.
    ///
    /// # Errors
    /// Naming the flag and what is wrong with its value.
    pub fn check(&self) -> Result<(), Error> {
        let CheckLimits { min_s, max_s, min_peak } = self.audio.limits;
        let (what, problem) = if !(min_s >= 0.0 && min_s <= max_s && max_s.is_finite()) {
            ("--min-duration and --max-duration", format!("{min_s} to {max_s} s is not a range of lengths"))
        } else if !(0.0..=1.0).contains(&min_peak) {
            ("--min-peak", format!("expected a share of full scale, from 0 to 1, but it is {min_peak}"))
        } else {
            return Ok(());
        };
        Err(CoreError::Config { what: what.to_owned(), problem }.into())
    }

    /// Whether there is a validation split at all.
    pub fn has_valid(&self) -> bool {
        self.valid_videos.is_some() || self.num_valid != ValidSize::Clips(0)
    }

    /// The rules for text, ready for use.
    ///
    /// # Errors
    /// When the template cannot be used.
    pub fn rules(&self, seed: u64) -> Result<SampleRules, Error> {
        Ok(SampleRules {
            task: self.task,
            semantic: self.semantic,
            wants_thinking: !self.from_table,
            limits: self.text.clone(),
            pairs: self.pairs,
            answers: self.answers,
            templates: Templates::parse(self.task, self.template.as_deref())?,
            seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_or_shares_and_never_more_than_half() {
        for (text, clips, expected) in [
            ("100", 1000, 100),
            ("100", 30, 15),
            ("5%", 1000, 50),
            ("5%", 3, 1),
            ("5%", 1, 0),
            ("0", 9, 0),
            ("50%", 9, 4),
        ] {
            let size: ValidSize = text.parse().expect("a size");
            assert_eq!((size.of(clips), size.to_string().as_str()), (expected, text), "{text} of {clips}");
        }
        for text in ["51%", "0%", "-1", "x", "1.5", "nan%"] {
            assert!(text.parse::<ValidSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_ranges_of_numbers() {
        let check = |min_s: f64, max_s: f64, min_peak: f64| {
            let mut config = Config::new(Task::Caption, Vec::new(), Vec::new());
            config.audio.limits = CheckLimits { min_s, max_s, min_peak };
            config.check().err().map(|error| error.to_string())
        };
        assert_eq!(check(0.1, 300.0, 0.001), None);
        assert_eq!(check(0.0, 0.0, 0.0), None);
        assert_eq!(check(1.0, 1.0, 1.0), None);
        let seconds = Some("--min-duration and --max-duration");
        for (min_s, max_s, min_peak, named) in [
            (2.0, 1.0, 0.0, seconds),
            (-1.0, 1.0, 0.0, seconds),
            (f64::NAN, 1.0, 0.0, seconds),
            (0.0, f64::NAN, 0.0, seconds),
            (0.0, f64::INFINITY, 0.0, seconds),
            (0.0, 1.0, f64::NAN, Some("--min-peak")),
            (0.0, 1.0, -0.1, Some("--min-peak")),
            (0.0, 1.0, 1.1, Some("--min-peak")),
        ] {
            let error = check(min_s, max_s, min_peak);
            let what = error.as_deref().and_then(|error| error.split(':').next());
            assert_eq!(what, named, "{min_s} {max_s} {min_peak}");
        }
    }
}
