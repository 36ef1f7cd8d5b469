//! Flags of `predict`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::device::Precision;
use audsem_core::error::Error as CoreError;
use audsem_core::instructions::{InstructionProfile, Wordings};
use audsem_core::run::{RunOptions, Summary};
use audsem_llm::AudioForm;
use audsem_models::audio::whisper::WhisperTask;
use audsem_models::language::OptionalLanguageModelArgs;
use audsem_models::multimodal::audio_language::AudioFamily;
use clap::{Args, ValueEnum};

use super::DataSetArgs;
use crate::error::Error;
use crate::item::{AnswerKind, Benchmark, BenchmarkItems, EvaluationItem};
use crate::predict::{Config, LongSoundRule, QuestionWording, RespondentArgs, look_for_sounds, read_items, run};
use crate::sound_library::SoundLibrary;

/// What `--model` means here.
const MODEL_HELP: &str = "With --server: name of the model to request; may be omitted if the server serves exactly one. \
                          Without: the model that runs in this process, a folder with safetensors or an id on the \
                          Hugging Face hub (Qwen2-Audio, the thinker of Qwen2.5-Omni, or what `compose` makes)";

/// Flags of `predict`.
#[derive(Debug, Args)]
#[command(
    mut_arg("model", |argument| argument.help(MODEL_HELP)),
    after_help = "\
The output has one line for each way to ask each question, whatever became of it; `score` counts them all."
)]
pub struct PredictArgs {
    /// Benchmark that --data holds
    #[arg(long, value_enum, value_name = "NAME", required_unless_present = "items", help_heading = "Questions")]
    pub benchmark: Option<Benchmark>,
    /// Files of the benchmark as published, or shards and folders of shards [default for --data-set: its tables on the hub]
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "benchmark", help_heading = "Questions")]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub data_set: DataSetArgs,
    /// Ask about each row of --data-set, also where rows are about one sound, as the published evaluation does
    #[arg(long, requires = "data_set", help_heading = "Questions")]
    pub each_row: bool,
    /// Questions in the form of this program instead, one JSON object on each line
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["benchmark", "data", "data_set"], help_heading = "Questions")]
    pub items: Option<PathBuf>,
    /// Folders and tars with the sounds of the questions [default: the shards, or the folder of the first file of questions]
    #[arg(long, value_name = "PATH", num_args = 1.., help_heading = "Questions")]
    pub sounds: Vec<PathBuf>,
    /// Template of the questions
    #[arg(long, value_name = "NAME", default_value = "short", conflicts_with = "profile", help_heading = "Questions")]
    pub prompt: String,
    /// File of templates that replaces the built-in one
    #[arg(long, value_name = "FILE.toml", conflicts_with = "profile", help_heading = "Questions")]
    pub prompts: Option<PathBuf>,
    /// Number of words of thinking that a template asks for
    #[arg(long, value_name = "N", conflicts_with = "profile", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Questions")]
    pub target_words: Option<u32>,
    /// Instruction in front of the question instead of a template, as in training: `none`, `think` or `semantic`, the latter
    /// two with a number of words of thinking as in `think:25`
    #[arg(long, value_name = "PROFILE", help_heading = "Questions")]
    pub profile: Option<InstructionProfile>,
    /// Wordings of the instructions, where they are not the built-in ones
    #[arg(long, value_name = "FILE.toml", requires = "profile", help_heading = "Questions")]
    pub wordings: Option<PathBuf>,
    /// System turn [default: that of the chat template]
    #[arg(long, value_name = "TEXT", help_heading = "Questions")]
    pub system: Option<String>,
    /// Ask each question with its options in so many orders, the published one first
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Questions")]
    pub permute: u32,
    /// Ask each question also with silence and with nothing, in the published order of its options
    #[arg(long, help_heading = "Questions")]
    pub blind: bool,
    /// What becomes of sounds that are longer than --longest-s
    #[arg(long, value_enum, value_name = "RULE", default_value = "chunk", help_heading = "Questions")]
    pub long: LongSoundRule,
    /// Length in seconds from which sounds are long
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = seconds, help_heading = "Questions")]
    pub longest_s: f64,
    /// Maximum number of tokens of an answer [default: 400 for the thinker of Qwen2.5-Omni in this process, else 512]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Answers")]
    pub max_tokens: Option<u32>,
    /// Follow so many sequences at a time, for a model in this process [default: 1]
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "preset", help_heading = "Answers")]
    pub beams: Option<usize>,
    /// Answer so many questions at a time, for a model in this process: no answer depends on it (on a GPU up to rounding), and
    /// where memory runs out it is halved [default: 8]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Answers")]
    pub batch_size: Option<usize>,
    /// Make answers as the reference does: five beams, and the default of --max-tokens
    #[arg(long, value_enum, conflicts_with = "max_tokens", help_heading = "Answers")]
    pub preset: Option<DecodingPreset>,
    /// Folder or id of a PEFT adapter that is merged into the model in this process
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Answers")]
    pub adapter: Option<String>,
    /// Folder or id that tokenizer, chat template and settings of features are read from, where the folder of the model in this
    /// process lacks them
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Answers")]
    pub processor: Option<String>,
    /// Number type of the weights of the model in this process [default: f32]
    #[arg(long, value_enum, help_heading = "Answers")]
    pub dtype: Option<Precision>,
    /// Family of the model behind the server: the tokens that its own processor makes of the sounds are noted beside those that
    /// the server counts
    #[arg(long, value_enum, value_name = "FAMILY", help_heading = "Answers")]
    pub expect_family: Option<ExpectedFamily>,
    /// Form in which the server takes sounds [default: found out by a probe]
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Answers")]
    pub audio_form: Option<AudioForm>,
    /// Folder or id of a Whisper that writes down what is said. Alone it answers questions that ask for a transcript; with
    /// --server or --model a language model reads what it writes in place of the sounds
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Answers")]
    pub whisper: Option<String>,
    /// Language that is spoken, by its code such as `th`, for --whisper [default: that of the data set, else `en`]
    #[arg(long, value_name = "CODE", help_heading = "Answers")]
    pub language: Option<String>,
    /// What Whisper writes down [default: `translate` for data sets of AudioBench that ask for English, else `transcribe`;
    /// `transcribe` where a language model reads it]
    #[arg(long, value_enum, value_name = "TASK", requires = "whisper", help_heading = "Answers")]
    pub whisper_task: Option<SpeechTask>,
    /// Questions of one output file
    #[arg(long = "per-shard", alias = "items-per-part", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Run")]
    pub items_per_part: u32,
    /// Path of ffmpeg, for formats that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub language_model: OptionalLanguageModelArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

/// How answers are made, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecodingPreset {
    /// Five beams, and 400 tokens for the thinker of Qwen2.5-Omni or 512 for others
    Reference,
}

/// What Whisper writes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpeechTask {
    /// What is said, in its own language
    Transcribe,
    /// What is said, in English
    Translate,
}

/// Families whose tokens are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExpectedFamily {
    /// Qwen2-Audio: a token for each 40 ms of the first 30 seconds
    #[value(name = "qwen2-audio")]
    Qwen2Audio,
    /// Qwen2.5-Omni: a token for each 40 ms of the first 300 seconds
    #[value(name = "qwen2.5-omni")]
    QwenOmni,
}

/// Questions that Whisper has no answer to are refused before the first of them is asked.
fn only_speech(items: &[EvaluationItem], task: WhisperTask) -> Result<(), Error> {
    let (wanted, writes) = match task {
        WhisperTask::Transcribe => (AnswerKind::Transcript, "transcripts"),
        WhisperTask::Translate => (AnswerKind::Translation, "translations with --whisper-task translate"),
    };
    match items.iter().find(|item| item.kind != wanted) {
        None => Ok(()),
        Some(item) => {
            let kind = item.kind.name();
            let problem = format!(
                "Whisper alone writes {writes}, but `{}` of `{}` asks for another answer ({kind})\n\
                 hint: name a language model that reads what Whisper writes, with --server or --model",
                item.id, item.benchmark
            );
            Err(CoreError::Config { what: "--whisper".to_owned(), problem }.into())
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// A length of at least a second.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    match (1.0..=86_400.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("expected 1 to 86400 seconds".to_owned()),
    }
}

impl PredictArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, options: &RunOptions) -> Result<Summary, Error> {
        let respondent = RespondentArgs {
            model: self.language_model.0.clone(),
            whisper: self.whisper.clone(),
            language: self.language.clone().or_else(|| self.data_set.language().filter(|_| self.whisper.is_some())),
            task: self.speech_task(),
            audio_form: self.audio_form,
            adapter: self.adapter.clone(),
            processor: self.processor.clone(),
            dtype: self.dtype,
            beams: self.beams,
            batch: self.batch_size,
            reference: self.preset == Some(DecodingPreset::Reference),
            max_tokens: self.max_tokens,
            expected: self.expect_family.map(|family| match family {
                ExpectedFamily::Qwen2Audio => AudioFamily::Qwen2Audio,
                ExpectedFamily::QwenOmni => AudioFamily::QwenOmni,
            }),
        };
        if let (Some(set), Some(SpeechTask::Translate), false) =
            (&self.data_set.data_set, self.whisper_task, self.data_set.is_into_english())
        {
            let problem =
                format!("Whisper translates into English alone, and {set} does not ask for it: omit the flag");
            return Err(CoreError::Config { what: "--whisper-task".to_owned(), problem }.into());
        }
        let (questions, sounds) = self.questions(options.seed)?;
        self.data_set.check(&questions)?;
        questions.notes.iter().for_each(|note| tracing::warn!("{note}"));
        let sounds = SoundLibrary::open(&sounds)?.with_tables(&questions.sounds);
        let config = Config {
            questions,
            sounds,
            wording: self.wording()?,
            permute: self.permute,
            blind: self.blind,
            long: self.long,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most a day, as the parser says"
            )]
            longest_ms: (self.longest_s * 1000.0).round() as u64,
            items_per_part: self.items_per_part as usize,
            unanswered: respondent.unanswered(),
            ffmpeg: self.ffmpeg.clone(),
        };
        if respondent.only_writes_down() {
            only_speech(&config.questions.items, respondent.task)?;
        }
        look_for_sounds(&config)?;
        let model = respondent.open(&options.output, options.dry_run)?;
        run(&config, &model, options)
    }

    /// What Whisper writes down: where a language model reads it, that is to translate.
    fn speech_task(&self) -> WhisperTask {
        match self.whisper_task {
            Some(SpeechTask::Transcribe) => WhisperTask::Transcribe,
            Some(SpeechTask::Translate) => WhisperTask::Translate,
            None if self.language_model.0.is_none() && self.data_set.is_into_english() => WhisperTask::Translate,
            None => WhisperTask::Transcribe,
        }
    }

    /// The questions, and where their sounds lie.
    fn questions(&self, seed: u64) -> Result<(BenchmarkItems, Vec<PathBuf>), Error> {
        let beside = |file: &PathBuf| {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            vec![folder.map_or_else(|| PathBuf::from("."), PathBuf::from)]
        };
        let (questions, usual) = match (&self.items, self.benchmark) {
            (Some(file), _) => (read_items(file)?, beside(file)),
            (None, Some(benchmark)) => {
                let questions = self.data_set.read(benchmark, &self.data, seed, self.each_row)?;
                let usual = match benchmark {
                    Benchmark::Shards => self.data.clone(),
                    // Sounds inside tables are known by now.
                    _ if !questions.sounds.is_empty() => Vec::new(),
                    _ => self.data.first().map(beside).unwrap_or_default(),
                };
                (questions, usual)
            }
            (None, None) => (BenchmarkItems::default(), Vec::new()),
        };
        Ok((questions, if self.sounds.is_empty() { usual } else { self.sounds.clone() }))
    }

    fn wording(&self) -> Result<QuestionWording, Error> {
        let wording = match self.profile {
            Some(profile) => QuestionWording::profile(profile, Wordings::open(self.wordings.as_deref())?),
            None => QuestionWording::template(self.prompts.as_deref(), &self.prompt, self.target_words)?,
        };
        Ok(wording.with_system(self.system.clone()))
    }
}
