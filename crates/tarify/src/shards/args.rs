//! The flags of `shards` and the configuration they stand for.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::clip_lists::{ColumnBound, ScoreBounds};
use audsem_core::error::Error as CoreError;
use audsem_core::input::{is_folder, list_files};
use audsem_core::records::{Layout, Task};
use audsem_core::run::{CompletedRun, RunOptions, Summary};
use audsem_core::tables::tables_under;
use audsem_core::tar::tars_under;
use audsem_media::audio::CheckLimits;

use super::config::{Answers, AudioLimits, Config, Duplicates, ValidSize, VerifyMode};
use super::plan::SplitFile;
use super::record_files::ENDINGS;
use super::text::TextLimits;
use crate::error::Error;

/// Build train/valid WebDataset shards from generated text and tars of clips.
#[derive(Debug, Clone, clap::Args)]
pub struct ShardsArgs {
    /// Task of the training samples
    #[arg(long, value_enum, default_value = "caption")]
    pub task: Task,
    /// Generated text: JSON lines (plain, gzip, zstd), CSV or Parquet by the ending, or folders of such files
    #[arg(long, value_name = "FILE", required_unless_present = "table", num_args = 1..)]
    pub records: Vec<PathBuf>,
    /// Clip tables instead (the folder of `audsem-filtering combine`, Parquet or CSV): their captions are the text of task
    /// caption, without thinking
    #[arg(long, value_name = "PATH", conflicts_with = "records", num_args = 1..)]
    pub table: Vec<PathBuf>,
    /// Lists of clips to leave out: Parquet, CSV or JSON lines with a column `key` or `file_name`, or text with one key per
    /// line
    #[arg(long, value_name = "PATH", num_args = 1.., help_heading = "Choice of clips")]
    pub exclude: Vec<PathBuf>,
    /// Tables of scores of clips, such as those of `audsem-clip-embeddings score`, for --min and --max
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "bounds", help_heading = "Choice of clips")]
    pub scores: Vec<PathBuf>,
    /// Use clips that have at least this in a column of --scores; may be given several times
    #[arg(long, value_name = "COLUMN=NUMBER", group = "bounds", requires = "scores", help_heading = "Choice of clips")]
    pub min: Vec<ColumnBound>,
    /// Use clips that have at most this in a column of --scores; may be given several times
    #[arg(long, value_name = "COLUMN=NUMBER", group = "bounds", requires = "scores", help_heading = "Choice of clips")]
    pub max: Vec<ColumnBound>,
    /// Tars of clips (plain, gzip, zstd), or folders of them; taken in the order of their numbers
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The tar_mp4_mapping.csv that `index` wrote for these tars: tars that hold no clip of the records
    /// are then not opened
    #[arg(long, value_name = "FILE")]
    pub mapping_csv: Option<PathBuf>,
    /// Also require and store `semantic_elements`
    #[arg(long)]
    pub semantic: bool,
    /// Clips for validation, as a share such as 5% or a number, never more than half; whole videos are taken, in the order of
    /// a seeded hash
    #[arg(long, value_name = "N|P%", default_value_t = ValidSize::USUAL, help_heading = "Split")]
    pub num_valid: ValidSize,
    /// Put everything into train and write no valid folder
    #[arg(long, help_heading = "Split")]
    pub skip_validation: bool,
    /// The split.json of an earlier run: exactly its videos are the validation split
    #[arg(long, value_name = "FILE", conflicts_with = "skip_validation", help_heading = "Split")]
    pub split_in: Option<PathBuf>,
    /// Maximum number of samples per shard
    #[arg(long = "per-shard", alias = "max-count", value_name = "N", default_value = "2048", help_heading = "Shards")]
    pub max_count: NonZeroU64,
    /// Maximum number of bytes per shard [default: no limit]
    #[arg(long, value_name = "BYTES", help_heading = "Shards")]
    pub max_bytes: Option<NonZeroU64>,
    /// One sample per question-answer pair, or all pairs of a clip in one sample
    #[arg(long, value_enum, default_value = "repeat", help_heading = "Shards")]
    pub pairs: Layout,
    /// Write the answers to questions with choices as `X. text` (canonical), or unchanged (keep)
    #[arg(long, value_enum, default_value = "canonical", help_heading = "Text")]
    pub answers: Answers,
    /// Which record counts if several have the same clip (and question, in tables of questions)
    #[arg(long, value_enum, default_value = "first", help_heading = "Text")]
    pub duplicates: Duplicates,
    /// Maximum number of words of a caption [default: 100 for caption, no limit for video]
    #[arg(long, value_name = "N", help_heading = "Text")]
    pub max_words: Option<usize>,
    /// Minimum number of characters of a caption, question, thinking or list of semantic elements
    /// [default: 10; 1 for video]
    #[arg(long, value_name = "N", help_heading = "Text")]
    pub min_chars: Option<usize>,
    /// Minimum number of characters of the answer of a pair [default: 10 for qa, 3 for mc-qa and mc-qa-long]
    #[arg(long, value_name = "N", help_heading = "Text")]
    pub min_answer_chars: Option<usize>,
    /// Drop text that contains this phrase, case-sensitive; may be given several times; an empty phrase
    /// removes the default phrases
    #[arg(long, value_name = "TEXT", default_values = super::text::OMIT_PHRASES, help_heading = "Text")]
    pub omit_phrase: Vec<String>,
    /// Custom prompts: for caption and video a file with one request per line, for mc-qa-long a minijinja
    /// template over `question`, `choices` (`letter`, `text`) and `semantic`
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    pub templates: Option<PathBuf>,
    /// Decode every clip (full), decode to the first loud enough sample (fast), or read the FLAC
    /// header only (none)
    #[arg(long, value_enum, default_value = "full", help_heading = "Audio")]
    pub verify: VerifyMode,
    /// Minimum duration of a clip, in seconds
    #[arg(
        long = "min-duration",
        alias = "min-seconds",
        value_name = "SECONDS",
        default_value_t = 0.1,
        help_heading = "Audio"
    )]
    pub min_seconds: f64,
    /// Maximum duration of a clip, in seconds
    #[arg(
        long = "max-duration",
        alias = "max-seconds",
        value_name = "SECONDS",
        default_value_t = 300.0,
        help_heading = "Audio"
    )]
    pub max_seconds: f64,
    /// Peak below which a clip counts as silent (full scale is 1)
    #[arg(long, value_name = "X", default_value_t = 0.001, help_heading = "Audio")]
    pub min_peak: f64,
    /// Path of ffmpeg, for videos that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE", help_heading = "Audio")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ShardsArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// As [`ShardsArgs::config`] and [`super::run`].
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary, Error> {
        let options: RunOptions = self.run.options(global)?;
        super::run(&self.config()?, &options)
    }

    /// The configuration these flags stand for.
    ///
    /// # Errors
    /// When an input does not exist or is empty, or a flag makes no sense, alone or for the task.
    pub fn config(&self) -> Result<Config, Error> {
        let task = self.task;
        let mut config = Config::new(task, self.record_files()?, self.source_tars()?);
        config.from_table = !self.table.is_empty();
        if config.from_table && (task != Task::Caption || self.semantic) {
            let problem = "a clip table has captions alone\nhint: omit --semantic, and choose --task caption; other tasks need --records";
            return Err(flag("--table", problem));
        }
        config.exclude.clone_from(&self.exclude);
        config.scores.clone_from(&self.scores);
        config.bounds = ScoreBounds { min: self.min.clone(), max: self.max.clone() };
        config.mapping.clone_from(&self.mapping_csv);
        config.semantic = self.semantic;
        let defaults = TextLimits::of(task);
        config.text = TextLimits {
            max_words: self.max_words.or(defaults.max_words),
            min_chars: self.min_chars.unwrap_or(defaults.min_chars),
            min_answer_chars: self.min_answer_chars.unwrap_or(defaults.min_answer_chars),
            omit_phrases: self.omit_phrase.iter().filter(|phrase| !phrase.is_empty()).cloned().collect(),
        };
        config.audio = AudioLimits {
            limits: CheckLimits { min_s: self.min_seconds, max_s: self.max_seconds, min_peak: self.min_peak },
            verify: self.verify,
        };
        config.ffmpeg.clone_from(&self.ffmpeg);
        config.pairs = self.pairs;
        config.answers = self.answers;
        config.duplicates = self.duplicates;
        config.num_valid = if self.skip_validation { ValidSize::Clips(0) } else { self.num_valid };
        config.max_count = self.max_count;
        config.max_bytes = self.max_bytes;
        if let Some(path) = &self.split_in {
            config.valid_videos = Some(read_split(path)?);
        }
        if self.answers == Answers::Keep && !task.has_choices() {
            return Err(flag(
                "--answers",
                format!("{} has no choices, so its answers are never rewritten", task.name()),
            ));
        }
        if let Some(path) = &self.templates {
            if config.template.is_none() {
                let problem = format!("{} takes its questions from the records and uses no template", task.name());
                return Err(flag("--templates", problem));
            }
            config.template = Some(std::fs::read_to_string(path).map_err(CoreError::read(path))?);
        }
        config.check()?;
        Ok(config)
    }

    fn record_files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for path in &self.table {
            files.extend(tables_under(path).map_err(|error| CoreError::input(path, error.to_string()))?);
        }
        for path in &self.records {
            let wanted = |name: &str| ENDINGS.iter().any(|ending| name.ends_with(ending)) && !is_reject(name);
            // A run folder of generated text also holds what was asked about and the answers that were rejected.
            let of_main_step = |name: &str| wanted(name) && name.starts_with("part-");
            let of_run = if is_folder(path)? { CompletedRun::outputs_under(path, of_main_step)? } else { None };
            let found = match of_run {
                Some(found) => found,
                None => list_files(path, wanted)?,
            };
            if found.is_empty() {
                let problem = format!("this folder holds no file of records ({})", ENDINGS.join(", "));
                return Err(CoreError::input(path, problem).into());
            }
            files.extend(found);
        }
        Ok(files)
    }

    fn source_tars(&self) -> Result<Vec<PathBuf>, Error> {
        Ok(self.input.iter().map(|path| tars_under(path)).collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// A run folder of generated text holds its rejects beside it.
fn is_reject(name: &str) -> bool {
    name.starts_with("rejects-") || name == "log.jsonl"
}

fn read_split(path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read(path).map_err(CoreError::read(path))?;
    let split = SplitFile::parse(&text).map_err(|error| {
        CoreError::input(path, format!("not a split file ({error})\nhint: every output of shards has one, split.json"))
    })?;
    Ok(split.valid.into_iter().collect())
}

fn flag(what: &str, problem: impl Into<String>) -> Error {
    CoreError::Config { what: what.to_owned(), problem: problem.into() }.into()
}
