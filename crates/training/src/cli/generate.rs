//! Flags of `generate`.

use std::path::PathBuf;

use audsem_core::cli::{CommandOutput, GlobalArgs};
use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::instructions::{InstructionProfile, Wordings};
use audsem_models::multimodal::audio_language::AudioModelOptions;
use clap::Args;

use crate::error::Result;
use crate::generate::{Asking, SoundQuestion, Strategy, ask};

/// Flags of `generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each sound gets an answer of its own, unless --together puts all of them into one question. The likeliest token is taken
each time, unless --beams or --temperature says otherwise; a seed gives the same answers again. With --json there is one
object for each answer: its text, the thinking, semantic elements and answer inside their tags, and what is wrong with
the tags.")]
pub struct GenerateArgs {
    /// Model: a folder, or an id on the Hugging Face hub; Qwen2-Audio, the thinker of Qwen2.5-Omni, or what `compose` makes
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Model")]
    pub model: String,
    /// Folder or id of a PEFT adapter that is merged into the weights
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Model")]
    pub adapter: Option<String>,
    /// Folder or id that tokenizer, chat template and settings of features are read from, where the model's own folder
    /// lacks them
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Model")]
    pub processor: Option<String>,
    /// Device the model runs on: `auto`, `cpu` or `cuda:N`
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: DeviceChoice,
    /// Number type of the weights
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Model")]
    pub dtype: Precision,
    /// Sound files of any format
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., help_heading = "Question")]
    pub audio: Vec<PathBuf>,
    /// Put all sounds into one question
    #[arg(long, help_heading = "Question")]
    pub together: bool,
    /// What is asked
    #[arg(long, value_name = "TEXT", help_heading = "Question")]
    pub question: String,
    /// Options to choose from; they are lettered
    #[arg(long, value_name = "TEXT", num_args = 1.., help_heading = "Question")]
    pub choice: Vec<String>,
    /// Instruction in front of the question: `none`, `think` or `semantic`, the latter two with a number of words of
    /// thinking as in `think:25`
    #[arg(long, value_name = "PROFILE", default_value_t, help_heading = "Question")]
    pub profile: InstructionProfile,
    /// Wordings of the instructions, where they are not the built-in ones
    #[arg(long, value_name = "FILE.toml", help_heading = "Question")]
    pub wordings: Option<PathBuf>,
    /// System turn [default: that of the chat template]
    #[arg(long, value_name = "TEXT", help_heading = "Question")]
    pub system: Option<String>,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 768, value_parser = positive, help_heading = "Answers")]
    pub max_new_tokens: usize,
    /// Answers to each question: draws, or the best of the beams
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive, help_heading = "Answers")]
    pub answers: usize,
    /// Follow so many sequences at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive, help_heading = "Answers")]
    pub beams: usize,
    /// Draw tokens at random, at this temperature
    #[arg(long, value_name = "T", help_heading = "Answers")]
    pub temperature: Option<f32>,
    /// Draw from the fewest likeliest tokens that have this much probability together
    #[arg(long, value_name = "P", requires = "temperature", help_heading = "Answers")]
    pub top_p: Option<f32>,
    /// Draw from this many of the likeliest tokens
    #[arg(long, value_name = "N", requires = "temperature", help_heading = "Answers")]
    pub top_k: Option<usize>,
    /// Divide the scores of tokens that occur already by this
    #[arg(long, value_name = "X", help_heading = "Answers")]
    pub repetition_penalty: Option<f32>,
    /// Seed of random draws
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Answers")]
    pub seed: u64,
}

fn positive(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

impl GenerateArgs {
    /// Asks the model.
    ///
    /// # Errors
    /// The model cannot be opened, a sound cannot be read, or the flags contradict each other.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput> {
        let options = AudioModelOptions {
            adapter: self.adapter.clone(),
            processor: self.processor.clone(),
            device: self.device.open()?,
            dtype: self.dtype.dtype(),
        };
        let question = SoundQuestion {
            text: self.question.clone(),
            choices: self.choice.clone(),
            profile: self.profile,
            wordings: Wordings::open(self.wordings.as_deref())?,
            system: self.system.clone(),
        };
        let strategy = Strategy {
            max_new_tokens: self.max_new_tokens,
            answers: self.answers,
            beams: self.beams,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
        };
        let sounds = match self.together {
            true => vec![self.audio.clone()],
            false => self.audio.iter().map(|path| vec![path.clone()]).collect(),
        };
        let answers = ask(&Asking { model: self.model.clone(), options, sounds, question, strategy })?;
        let line = |answer: &crate::generate::SoundAnswer| match global.json {
            true => answer.to_json().to_string(),
            false => answer.to_string(),
        };
        Ok(CommandOutput::Text(answers.iter().map(line).collect::<Vec<_>>().join("\n")))
    }
}
