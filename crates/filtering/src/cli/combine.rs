//! Flags of `combine` and `explain`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::{Args, ValueEnum};

use super::numbers::{not_negative, probability};
use crate::combine::{Config, Judging, Policy, Settings, Thresholds};
use crate::error::Result;
use crate::extract::explain::CueLimits;
use crate::extract::rules::{DEFAULT_DURATION_S, DurationLimits};

/// Merge cues and labels into a clean clip table and a list of distinct captions.
#[derive(Debug, Args)]
pub struct CombineArgs {
    /// Cues: output folder of `extract`, any folder of tables, or a Parquet or CSV file
    /// (`video_id,start,duration,text`); may be given several times
    #[arg(short, long, required = true, num_args = 1.., value_name = "PATH")]
    pub input: Vec<PathBuf>,
    /// How captions are judged.
    #[command(flatten)]
    pub judging: JudgingArgs,
    /// Flags of every run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Show what each rule of `extract` and `combine` makes of a caption, and which one decides about it.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The caption, with its brackets
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// How long the caption is shown, in seconds [default: not known, and not judged]
    #[arg(long, value_name = "SECONDS", value_parser = not_negative, help_heading = "Rules of extract")]
    pub duration: Option<f64>,
    /// Minimum duration of a cue, in seconds, as for `extract`
    #[arg(long, default_value_t = DEFAULT_DURATION_S.0, value_name = "SECONDS", help_heading = "Rules of extract")]
    pub min_duration: f64,
    /// Maximum duration of a cue, in seconds, as for `extract`
    #[arg(long, default_value_t = DEFAULT_DURATION_S.1, value_name = "SECONDS", help_heading = "Rules of extract")]
    pub max_duration: f64,
    /// How captions are judged.
    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// Values of `--compat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// The published scripts, including their quirks
    Reference,
}

/// Values of `--groups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Groups {
    /// Drop the caption
    Drop,
    /// Join the groups into one caption, separated by commas
    Join,
}

/// Flags that decide how captions are judged.
#[derive(Debug, Clone, Args)]
pub struct JudgingArgs {
    /// Labels of the classifier: output folder of `classify`; may be given several times
    #[arg(long, value_name = "DIR", help_heading = "Labels")]
    pub bert: Vec<PathBuf>,
    /// Labels of the language model: output folder of `label`; may be given several times: a clear answer in
    /// a later folder replaces an unclear one in an earlier folder
    #[arg(long, value_name = "DIR", help_heading = "Labels")]
    pub llm: Vec<PathBuf>,
    /// Which labelers must say yes (the caption names a sound) for a caption to be kept [default: each one whose labels
    /// are given; `bert` with --compat reference]
    #[arg(long, value_enum, value_name = "WHOSE", help_heading = "Labels")]
    pub policy: Option<Policy>,
    /// Minimum probability at which the classifier says yes [default: its label decides]
    #[arg(long, value_name = "P", value_parser = probability, help_heading = "Labels")]
    pub bert_threshold: Option<f32>,
    /// Minimum probability at which the language model says yes [default: its label decides]
    #[arg(long, value_name = "P", value_parser = probability, help_heading = "Labels")]
    pub llm_threshold: Option<f32>,
    /// First names, one per line: in captions they are replaced by `person`
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub names: Option<PathBuf>,
    /// Names that are not replaced because they are also ordinary words [default: a built-in list]
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub names_exclude: Option<PathBuf>,
    /// Words that captions may use: one per line, or a JSON object with the words as keys
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub dictionary: Option<PathBuf>,
    /// Minimum number of characters of a caption
    #[arg(long, value_name = "N", default_value_t = Settings::new().min_chars, help_heading = "Rules")]
    pub min_chars: usize,
    /// Maximum number of characters of a caption
    #[arg(long, value_name = "N", default_value_t = Settings::new().max_chars, help_heading = "Rules")]
    pub max_chars: usize,
    /// Minimum number of words of a caption
    #[arg(long, value_name = "N", default_value_t = Settings::new().min_words, help_heading = "Rules")]
    pub min_words: usize,
    /// Maximum number of persons in a caption
    #[arg(long, value_name = "N", default_value_t = Settings::new().max_persons, help_heading = "Rules")]
    pub max_persons: usize,
    /// Words that mark a caption as speech, separated by commas
    #[arg(long, value_name = "WORDS", value_delimiter = ',', default_values_t = Settings::new().pronouns, help_heading = "Rules")]
    pub pronouns: Vec<String>,
    /// What to do with a caption of several bracket groups, such as `[door slams] [dog barks]`
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Groups::Drop, help_heading = "Rules")]
    pub groups: Groups,
    /// Reproduce an earlier implementation exactly
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Rules")]
    pub compat: Option<Compat>,
}

impl JudgingArgs {
    fn is_reference(&self) -> bool {
        self.compat == Some(Compat::Reference)
    }

    fn policy(&self) -> Result<Policy> {
        self.policy.map_or_else(|| Judging::default_policy(&self.bert, &self.llm, self.is_reference()), Ok)
    }

    fn judging(&self, policy: Policy) -> Judging {
        Judging {
            policy,
            thresholds: Thresholds { bert: self.bert_threshold, llm: self.llm_threshold },
            settings: Settings {
                reference: self.is_reference(),
                min_chars: self.min_chars,
                max_chars: self.max_chars,
                max_persons: self.max_persons,
                min_words: self.min_words,
                join_groups: self.groups == Groups::Join,
                pronouns: self.pronouns.clone(),
            },
            bert: self.bert.clone(),
            llm: self.llm.clone(),
            names: self.names.clone(),
            names_exclude: self.names_exclude.clone(),
            dictionary: self.dictionary.clone(),
        }
    }
}

impl CombineArgs {
    /// The configuration these flags stand for.
    ///
    /// # Errors
    /// Neither labels nor a policy are given.
    pub fn config(&self) -> Result<Config> {
        Ok(Config { input: self.input.clone(), judging: self.judging.judging(self.judging.policy()?) })
    }
}

impl ExplainArgs {
    /// How the caption is judged; without labels, by its words alone.
    ///
    /// # Errors
    /// The labels that are given are not those that the policy reads.
    pub fn judging(&self) -> Result<Judging> {
        let JudgingArgs { bert, llm, policy, .. } = &self.judging;
        let by_words_alone = policy.is_none() && bert.is_empty() && llm.is_empty();
        let policy = if by_words_alone { Policy::None } else { self.judging.policy()? };
        Ok(self.judging.judging(policy))
    }

    /// What `extract` asks of the caption. The published scripts extract by rules of their own, which are not followed here.
    pub fn limits(&self) -> Option<CueLimits> {
        let duration = DurationLimits { min_s: self.min_duration, max_s: self.max_duration };
        (!self.judging.is_reference()).then_some(CueLimits { duration, seconds: self.duration })
    }
}
