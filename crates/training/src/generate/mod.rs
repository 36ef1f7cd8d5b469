//! Questions about sound files, answered by an audio language model in this process.

mod answered;

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::instructions::{InstructionProfile, QuestionForm, Wordings};
use audsem_llm::Role;
use audsem_media::audio::{Decoder, resample};
use audsem_models::generate::GenerationConfig;
use audsem_models::multimodal::SAMPLE_RATE_HZ;
use audsem_models::multimodal::audio_language::{
    AudioAnswer, AudioLanguageModel, AudioModelOptions, AudioQuestion, USUAL_BATCH,
};
use audsem_models::multimodal::processor::ChatTurn;

pub use answered::SoundAnswer;

use crate::error::Result;

/// What is asked of which model.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Folder or id of the model.
    pub model: String,
    /// Adapter, processor, device and type of numbers.
    pub options: AudioModelOptions,
    /// The sound files of each question.
    pub sounds: Vec<Vec<PathBuf>>,
    /// The question about each.
    pub question: SoundQuestion,
    /// How answers are made.
    pub strategy: Strategy,
}

/// A question.
#[derive(Debug, Clone)]
pub struct SoundQuestion {
    /// Its text.
    pub text: String,
    /// Options to choose from, without letters; none for a free answer.
    pub choices: Vec<String>,
    /// The instruction in front of it.
    pub profile: InstructionProfile,
    /// Wordings of instructions.
    pub wordings: Wordings,
    /// System turn, where it is not that of the chat template.
    pub system: Option<String>,
}

/// How answers are made: the likeliest token each time, beams, or draws.
#[derive(Debug, Clone)]
pub struct Strategy {
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers to each question.
    pub answers: usize,
    /// Sequences that are followed at a time.
    pub beams: usize,
    /// Temperature of draws; none for the likeliest token.
    pub temperature: Option<f32>,
    /// Probability of the tokens that are drawn from.
    pub top_p: Option<f32>,
    /// Number of the tokens that are drawn from.
    pub top_k: Option<usize>,
    /// Divisor of scores of tokens that occur already.
    pub repetition_penalty: Option<f32>,
    /// Seed of draws.
    pub seed: u64,
}

impl SoundQuestion {
    /// The text of the user's turn: the instruction, the question, and its options as training shards have them.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.text.trim().to_owned();
        if self.choices.is_empty() {
            return self.wordings.ask(self.profile, QuestionForm::Open, &text);
        }
        text.push_str("\nChoices:");
        for (letter, choice) in ('A'..='Z').zip(&self.choices) {
            text.push_str(&format!("\n{letter}. {}", choice.trim()));
        }
        self.wordings.ask(self.profile, QuestionForm::Options, &text)
    }

    fn turns(&self, sounds: usize) -> Vec<ChatTurn> {
        let system = self.system.iter().map(|text| ChatTurn::text(Role::System, text.as_str()));
        system.chain([ChatTurn::question(sounds, self.render())]).collect()
    }
}

impl Strategy {
    /// The settings for a model, and how often each question is asked, each time with another seed.
    ///
    /// # Errors
    /// Several answers are wanted, and nothing makes them differ.
    fn generation(&self, model: &AudioLanguageModel) -> Result<(GenerationConfig, usize)> {
        let draws = self.temperature.is_some();
        if self.answers > 1 && !draws && self.answers > self.beams {
            let problem = format!(
                "{} answers of {} beams would be alike; draw them with --temperature",
                self.answers, self.beams
            );
            return Err(CoreError::Config { what: "--answers".to_owned(), problem }.into());
        }
        let of_beams = self.beams > 1;
        let config = GenerationConfig {
            do_sample: draws,
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            top_k: self.top_k.unwrap_or(0),
            num_beams: self.beams,
            num_return_sequences: if of_beams { self.answers.min(self.beams) } else { 1 },
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            ..model.greedy(self.max_new_tokens)
        };
        Ok((config, if of_beams { 1 } else { self.answers }))
    }
}

/// Opens the model and asks it. The answers to one question follow each other, in the order of the questions.
///
/// # Errors
/// The model cannot be opened, a sound cannot be read or is too short, a question is too long, or the strategy contradicts
/// itself.
pub fn ask(asking: &Asking) -> Result<Vec<SoundAnswer>> {
    let model = AudioLanguageModel::open(&asking.model, &asking.options)?;
    model.notes().iter().for_each(|note| tracing::warn!("{note}"));
    let (config, times) = asking.strategy.generation(&model)?;
    let mut answered = Vec::new();
    // The sounds of so many questions are in memory together.
    for asked in asking.sounds.chunks(4 * USUAL_BATCH) {
        let mut questions = Vec::with_capacity(asked.len() * times);
        for files in asked {
            let sounds = files.iter().map(|path| samples(path)).collect::<Result<Vec<_>>>()?;
            let question =
                |seed| AudioQuestion { turns: asking.question.turns(sounds.len()), sounds: sounds.clone(), seed };
            questions.extend((0..times as u64).map(|n| question(asking.strategy.seed.wrapping_add(n))));
        }
        let answers = model.answer(&questions, &config)?;
        for (files, answers) in asked.iter().zip(answers.chunks(times.max(1))) {
            let answer = |answer: &AudioAnswer| SoundAnswer {
                audio: files.clone(),
                question: asking.question.text.clone(),
                answer: answer.clone(),
            };
            answered.extend(answers.iter().flatten().map(answer));
        }
    }
    Ok(answered)
}

/// The samples of a file at the rate that models hear.
fn samples(path: &Path) -> Result<Vec<f32>> {
    let unreadable = |error: audsem_media::audio::AudioError| CoreError::input(path, error.to_string());
    let audio = Decoder::new().decode_file(path).map_err(unreadable)?;
    Ok(resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ).map_err(unreadable)?)
}
