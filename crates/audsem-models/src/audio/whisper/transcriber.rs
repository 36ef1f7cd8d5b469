//! From samples to text.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use candle_core::{DType, Device};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::{IGNORABLE, MAX_SAMPLES, Whisper, WhisperConfig};
use crate::error::{Error, Result};
use crate::generate::{Generated, GenerationConfig, GenerationRequest, StopReason, generate};
use crate::tokenizer::Tokenizer;

/// Most tokens that are written down of 30 seconds: half of what there are positions for, as in the original.
const MOST_TOKENS: usize = 224;

/// Rows of the token tables of checkpoints for English alone, whose prompts name neither language nor task.
const ENGLISH_VOCABULARY: usize = 51_864;

/// What is written down of a sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The words.
    pub text: String,
    /// Whether a part of the sound had more to write down than the network writes.
    pub is_cut: bool,
    /// Tokens that were written.
    pub tokens: usize,
}

/// A checkpoint with its features and its tokenizer, for inference: greedy, without time stamps.
///
/// ```no_run
/// use audsem_core::hub::ModelDir;
/// use audsem_models::audio::whisper::{Transcriber, USUAL_LANGUAGE, WhisperTask};
/// use candle_core::{DType, Device};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = ModelDir::local("whisper-tiny.en".as_ref());
/// let whisper = Transcriber::open(&folder, &Device::Cpu, DType::F32, USUAL_LANGUAGE, WhisperTask::Transcribe)?;
/// let sound = vec![0.0; 16_000];
/// println!("{}", whisper.transcribe(&sound)?.text);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Transcriber {
    network: Whisper,
    tokenizer: Tokenizer,
    prompt: Vec<u32>,
    generation: GenerationConfig,
}

/// The language that is written down where none is named.
pub const USUAL_LANGUAGE: &str = "en";

/// What is written down of a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhisperTask {
    /// What is said, in its own language.
    #[default]
    Transcribe,
    /// What is said, in English.
    Translate,
}

impl WhisperTask {
    /// The token that stands for it in prompts.
    fn token(self) -> &'static str {
        match self {
            Self::Transcribe => "<|transcribe|>",
            Self::Translate => "<|translate|>",
        }
    }
}

impl Transcriber {
    /// Opens a checkpoint of transformers, or a converted one: `config.json`, weights and `tokenizer.json`. Tokens that are
    /// never written are those of `generation_config.json`, or of `config.json` where there is none. `language` is what is
    /// spoken, by Whisper's code such as `th`.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, tensors are missing, unused or of another shape, the
    /// tokenizer lacks the tokens of Whisper, or the checkpoint does not know the language or the task.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType, language: &str, task: WhisperTask) -> Result<Self> {
        let config: WhisperConfig = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = Whisper::load(&weights.var_builder(), &config)?;
        weights.finish(|name| IGNORABLE.contains(&name))?;
        let tokenizer = Tokenizer::load(dir, config.max_target_positions, None)?;
        let id = |token: &str| {
            let missing =
                || Error::Tokenizer { path: dir.root().to_owned(), message: format!("it has no token {token}") };
            tokenizer.inner().token_to_id(token).ok_or_else(missing)
        };
        let language_token = format!("<|{language}|>");
        let (is_english_alone, is_known) = (config.vocab_size == ENGLISH_VOCABULARY, id(&language_token).is_ok());
        let of_task: &[&str] = match (is_english_alone, language) {
            (true, _) if task == WhisperTask::Translate => {
                return Err(Error::unsupported("task", &"translate", "a checkpoint that knows several languages"));
            }
            (true, USUAL_LANGUAGE) => &[],
            (true, _) => return Err(Error::unsupported("language", &language, "English, which is all it writes down")),
            (false, _) if !is_known => {
                return Err(Error::unsupported("language", &language, "the codes of its tokenizer"));
            }
            (false, _) => &[&language_token, task.token()],
        };
        let prompt = ["<|startoftranscript|>"].iter().chain(of_task).chain(&["<|notimestamps|>"]);
        let prompt = prompt.map(|token| id(token)).collect::<Result<Vec<u32>>>()?;
        let generation = GenerationConfig {
            max_new_tokens: Some(MOST_TOKENS.min(config.max_target_positions.saturating_sub(prompt.len()))),
            eos_token_id: vec![id("<|endoftext|>")?],
            ..never_written(dir)?
        };
        Ok(Self { network, tokenizer, prompt, generation })
    }

    /// What is said in a sound: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0. Of a longer sound each 30 seconds
    /// are written down apart, and words across their edges may be lost.
    ///
    /// # Errors
    /// There are no samples, one is not finite, or the network fails.
    pub fn transcribe(&self, samples: &[f32]) -> Result<Transcript> {
        if samples.is_empty() {
            self.network.features(samples)?;
        }
        let parts = samples.chunks(MAX_SAMPLES).map(|part| self.part(part)).collect::<Result<Vec<Transcript>>>()?;
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        Ok(Transcript {
            text: texts.join(" ").trim().to_owned(),
            is_cut: parts.iter().any(|part| part.is_cut),
            tokens: parts.iter().map(|part| part.tokens).sum(),
        })
    }

    /// [`Transcriber::transcribe`] of several sounds, side by side on all threads; none depends on the others.
    ///
    /// # Errors
    /// As [`Transcriber::transcribe`].
    pub fn transcribe_all(&self, sounds: &[impl AsRef<[f32]> + Sync]) -> Result<Vec<Transcript>> {
        sounds.par_iter().map(|samples| self.transcribe(samples.as_ref())).collect()
    }

    fn part(&self, samples: &[f32]) -> Result<Transcript> {
        let states = self.network.encode(&self.network.features(samples)?)?;
        let request = GenerationRequest { prompt: self.prompt.clone(), seed: 0 };
        let generated = generate(&mut self.network.decoder(vec![states]), &[request], &self.generation)?;
        let Some(Generated { tokens, finish, .. }) = generated.into_iter().flatten().next() else {
            return Ok(Transcript::default());
        };
        let text = self.tokenizer.decode(&tokens)?.trim().to_owned();
        Ok(Transcript { text, is_cut: finish == StopReason::MaxLength, tokens: tokens.len() })
    }
}

/// The lists of tokens that are never written, or never first.
fn never_written(dir: &ModelDir) -> Result<GenerationConfig> {
    let rules: Value = match dir.optional_json("generation_config.json")? {
        Some(rules) => rules,
        None => dir.json("config.json")?,
    };
    let lists = ["suppress_tokens", "begin_suppress_tokens"].into_iter();
    let lists: Map<String, Value> = lists.filter_map(|key| Some((key.to_owned(), rules.get(key)?.clone()))).collect();
    GenerationConfig::from_json(&Value::Object(lists).to_string())
}
