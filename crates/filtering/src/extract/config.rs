//! What `extract` is asked to do.

use std::path::PathBuf;

use audsem_core::error::Error;
use audsem_core::run::RunConfig;
use audsem_core::video_id::IdRule;
use serde::Serialize;

use super::dump::{BlockSizes, ParseOptions};
use super::harvest::HarvestOptions;
use super::rules::{DEFAULT_DURATION_S, DurationLimits};
use super::subtitles::Naming;
use crate::languages::Languages;

/// Bytes of a plain dump one shard owns, by default.
pub const DEFAULT_SHARD_BYTES: u64 = 64 << 20;

/// Largest object of a dump that is parsed, by default. The longest real ones have a few
/// megabytes (a day's stream with captions in many languages).
pub const DEFAULT_MAX_OBJECT_BYTES: usize = 32 << 20;

/// Bytes read and parsed at a time: small enough to stay in the cache of the processor.
const BLOCK_BYTES: usize = 1 << 20;

/// Which implementation's results to produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ExtractCompat {
    /// Corrected results, as a Parquet table.
    None,
    /// Results of the published data set's scripts, including their quirks, as their two CSV files.
    Reference,
}

/// Everything that decides what `extract` writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Dumps, tars, subtitle files, and folders of them.
    pub inputs: Vec<PathBuf>,
    /// Languages whose tracks are read in dumps.
    pub languages: Languages,
    /// Languages whose subtitle files are read.
    pub subtitle_languages: Languages,
    /// What is the id of the video of a subtitle file.
    pub ids: IdRule,
    /// Lengths that are kept.
    pub duration: DurationLimits,
    /// Parse videos that cannot have a bracketed caption too, so that all cues are counted.
    pub count_all: bool,
    /// Whose results to give.
    pub compat: ExtractCompat,
    /// Bytes of a plain dump one shard owns.
    pub shard_bytes: u64,
    /// Largest object of a dump that is parsed, in bytes.
    pub max_object_bytes: usize,
}

/// What decides the content of the output.
#[derive(Serialize)]
pub(super) struct HashedConfig<'a> {
    languages: &'a Languages,
    subtitle_languages: &'a Languages,
    ids: IdRule,
    duration: DurationLimits,
    count_all: bool,
    compat: ExtractCompat,
    shard_bytes: u64,
    max_object_bytes: usize,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "extract";
}

impl<'a> HashedConfig<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        let Config {
            inputs: _,
            languages,
            subtitle_languages,
            ids,
            duration,
            count_all,
            compat,
            shard_bytes,
            max_object_bytes,
        } = config;
        Self {
            languages,
            subtitle_languages,
            ids: *ids,
            duration: *duration,
            count_all: *count_all,
            compat: *compat,
            shard_bytes: *shard_bytes,
            max_object_bytes: *max_object_bytes,
        }
    }
}

impl Config {
    /// The defaults, for these inputs.
    #[must_use]
    pub fn new(inputs: Vec<PathBuf>) -> Self {
        let (min_s, max_s) = DEFAULT_DURATION_S;
        Self {
            inputs,
            languages: Languages::english(),
            subtitle_languages: Languages::english_and_variants(),
            ids: IdRule::Auto,
            duration: DurationLimits { min_s, max_s },
            count_all: false,
            compat: ExtractCompat::None,
            shard_bytes: DEFAULT_SHARD_BYTES,
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn validate(&self) -> Result<(), Error> {
        let DurationLimits { min_s, max_s } = self.duration;
        let problem = |what: &str, problem: String| Err(Error::Config { what: what.to_owned(), problem });
        if !(min_s >= 0.0 && max_s.is_finite() && min_s <= max_s) {
            return problem(
                "--min-duration and --max-duration",
                format!("{min_s} to {max_s} s is not a range of lengths"),
            );
        }
        if self.shard_bytes == 0 {
            return problem("--shard-mb", "expected more than 0".to_owned());
        }
        if self.max_object_bytes == 0 {
            return problem("--max-object-mb", "expected more than 0".to_owned());
        }
        Ok(())
    }

    /// How the objects of dumps are read.
    pub(super) fn parse_options(&self, all_rejects: bool) -> ParseOptions {
        let reference = self.compat == ExtractCompat::Reference;
        ParseOptions {
            list_all: all_rejects || reference,
            parse_all: self.count_all || reference,
            max_object: self.max_object_bytes,
        }
    }

    /// What is taken from dumps.
    pub(super) fn harvest_options(&self, all_rejects: bool) -> HarvestOptions {
        HarvestOptions { languages: self.languages.clone(), limits: self.duration, list_plain: all_rejects }
    }

    /// What is taken from subtitle files.
    pub(super) fn subtitle_options(&self, all_rejects: bool) -> HarvestOptions {
        HarvestOptions { languages: self.subtitle_languages.clone(), ..self.harvest_options(all_rejects) }
    }

    /// How ids and languages are read from the names of subtitle files.
    pub(super) fn naming(&self) -> Naming<'_> {
        Naming { ids: self.ids, languages: &self.subtitle_languages, fetched: false }
    }

    pub(super) fn block_sizes(&self) -> BlockSizes {
        BlockSizes { block: BLOCK_BYTES, max_object: self.max_object_bytes }
    }
}
