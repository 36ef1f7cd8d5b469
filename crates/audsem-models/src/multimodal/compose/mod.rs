//! A new audio language model of two models: the encoder of a Whisper hears, and a language model writes.
//!
//! The folder has the layout of Qwen2-Audio, so that transformers opens it too (`fixtures/regen/composed.py`). Between both
//! stands a new projector, which has to be trained before the language model understands what the encoder hears.

mod parts;
mod vocabulary;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::{AtomicFile, write_atomically};
use audsem_core::input::{is_file, read_whole};
use audsem_core::run::ModelFingerprint;
use audsem_core::weights::Weights;
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use serde::Serialize;
use serde_json::{Value, json};

use super::audio_language::AudioFamily;
use super::qwen2_audio::{Qwen2Audio, Qwen2AudioConfig};
use crate::checkpoint::write_weights;
use crate::error::{Error, Result};
use crate::nn::Params;
use parts::{AudioPart, LanguagePart};
use vocabulary::Vocabulary;

/// Where the projector of Qwen2-Audio is.
const PROJECTOR: &str = "multi_modal_projector.linear";

/// Of what a model is composed, and where it goes.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The folder or id of a Whisper.
    pub audio_encoder: String,
    /// The folder or id of a Qwen2 or Llama, or a GGUF file.
    pub language_model: String,
    /// The new folder.
    pub output: PathBuf,
    /// Seed of the projector and of new rows of the token table.
    pub seed: u64,
    /// The type of the numbers that are written.
    pub dtype: DType,
}

/// What a composed model is made of, as `composition.json` says it.
#[derive(Debug, Clone, Serialize)]
pub struct ComposedModel {
    /// The model of the encoder.
    pub audio_encoder: ModelFingerprint,
    /// The language model.
    pub language_model: ModelFingerprint,
    /// Seed of the projector and of new rows of the token table.
    pub seed: u64,
    /// Parameters of the encoder, of the projector and of the language model.
    pub parameters: BTreeMap<&'static str, usize>,
    /// Tokens that the language model did not have, with their ids.
    pub new_tokens: BTreeMap<String, u32>,
    /// Rows of the token table that were added for them.
    pub added_rows: usize,
}

impl Composition {
    /// Composes the model and writes its folder, unless it is there already. `config.json` is written last, so that a
    /// folder without it is none.
    ///
    /// # Errors
    /// The output holds another model; a part cannot be read, or is of a kind that Qwen2-Audio does not have; or the
    /// folder cannot be written.
    pub fn compose(&self) -> Result<ComposedModel> {
        let audio = AudioPart::open(&self.audio_encoder, self.dtype)?;
        let mut language = LanguagePart::open(&self.language_model, self.dtype)?;
        let vocabulary = Vocabulary::extend(&mut language, self.seed)?;
        let mut tensors = BTreeMap::new();
        let projector = self.projector(&audio, &language)?;
        let count = |part: &BTreeMap<String, Tensor>| part.values().map(Tensor::elem_count).sum::<usize>();
        let parameters = BTreeMap::from([
            ("audio_encoder", count(&audio.tensors)),
            ("projector", count(&projector)),
            ("language_model", count(&language.tensors)),
        ]);
        let config = self.config_json(&audio, &language, &vocabulary);
        let composed = ComposedModel {
            audio_encoder: audio.fingerprint.clone(),
            language_model: language.fingerprint.clone(),
            seed: self.seed,
            parameters,
            new_tokens: vocabulary.new_tokens.clone(),
            added_rows: vocabulary.added_rows,
        };
        if self.is_there(&config, &composed)? {
            return Ok(composed);
        }
        // Begun first and given its name last: one process writes, and what a killed one has left is written over.
        let mut last = AtomicFile::wait(&self.output.join("config.json"))?;
        if self.is_there(&config, &composed)? {
            return Ok(composed);
        }
        tensors.extend(audio.tensors.into_iter().map(|(name, tensor)| (format!("audio_tower.{name}"), tensor)));
        tensors.extend(projector);
        tensors.extend(language.tensors.into_iter().map(|(name, tensor)| (format!("language_model.{name}"), tensor)));
        self.write_side_files(&vocabulary, &config, &composed)?;
        let files = write_weights(&self.output, &tensors)?;
        drop(tensors);
        check(&files, &config)?;
        last.write_all(json_text(&config)?.as_bytes()).map_err(CoreError::write(last.path()))?;
        last.commit()?;
        Ok(composed)
    }

    /// Whether the output holds this very model.
    ///
    /// # Errors
    /// It holds another one, or cannot be read.
    fn is_there(&self, config: &Value, composed: &ComposedModel) -> Result<bool> {
        let path = |name: &str| self.output.join(name);
        if !is_file(&path("config.json"))? {
            return Ok(false);
        }
        let same = [("config.json", json_text(config)?), ("composition.json", json_text(composed)?)];
        for (name, text) in same {
            if !is_file(&path(name))? || read_whole(&path(name))? != text.as_bytes() {
                let reason = format!("{} holds another model already", self.output.display());
                return Err(Error::Composition { reason });
            }
        }
        Ok(true)
    }

    /// A new projector, whose vectors begin as large as those of tokens.
    fn projector(&self, audio: &AudioPart, language: &LanguagePart) -> Result<BTreeMap<String, Tensor>> {
        let heard = audio.state_scale()?;
        let stdev = language.token_scale()? / (heard * (audio.dim as f64).sqrt());
        let params = Params::new(self.seed);
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        let shape = (language.config.hidden_size, audio.dim);
        let weight = vb.get_with_hints(shape, &format!("{PROJECTOR}.weight"), Init::Randn { mean: 0.0, stdev })?;
        let bias = Tensor::zeros(language.config.hidden_size, self.dtype, &Device::Cpu)?;
        let weight = weight.detach().to_dtype(self.dtype)?;
        Ok([("weight", weight), ("bias", bias)].map(|(kind, tensor)| (format!("{PROJECTOR}.{kind}"), tensor)).into())
    }

    fn config_json(&self, audio: &AudioPart, language: &LanguagePart, vocabulary: &Vocabulary) -> Value {
        let dtype = match self.dtype {
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            _ => "float32",
        };
        let mut text = language.json.clone();
        text["vocab_size"] = vocabulary.rows.into();
        // transformers does not tie the head of Qwen2-Audio.
        text["tie_word_embeddings"] = false.into();
        text["eos_token_id"] = vocabulary.end_of_turn.into();
        text["pad_token_id"] = vocabulary.padding.into();
        json!({
            "architectures": ["Qwen2AudioForConditionalGeneration"],
            "model_type": "qwen2_audio",
            "audio_config": audio.json,
            "audio_token_index": vocabulary.audio,
            // As the published models say it: transformers reads it where labels come beside sounds that are not expanded,
            // as ms-swift gives them, and has no default.
            "ignore_index": -100,
            "text_config": text,
            "torch_dtype": dtype,
        })
    }

    fn write_side_files(&self, vocabulary: &Vocabulary, config: &Value, composed: &ComposedModel) -> Result<()> {
        let read = Qwen2AudioConfig::from_json(config)?;
        let family = AudioFamily::Qwen2Audio;
        let path = |name: &str| self.output.join(name);
        write_atomically(&path("tokenizer.json"), vocabulary.tokenizer_json()?.as_bytes())?;
        write_atomically(&path("chat_template.jinja"), family.chat_template().as_bytes())?;
        let features = family.preprocessor_json(read.tower.mels, read.longest_sound());
        write_json(&path("preprocessor_config.json"), &features)?;
        write_json(&path("tokenizer_config.json"), &vocabulary.settings_json(read.language.max_position_embeddings))?;
        write_json(&path("generation_config.json"), &vocabulary.generation_json())?;
        write_json(&path("composition.json"), composed)
    }
}

/// Loads what was written, so that nothing is missing, of another shape or of no use.
fn check(files: &[PathBuf], config: &Value) -> Result<()> {
    let weights = Weights::open_files(files, &Device::Cpu, DType::F32)?;
    Qwen2Audio::load(&weights.var_builder(), &Qwen2AudioConfig::from_json(config)?)?;
    Ok(weights.finish(|_| false)?)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    Ok(write_atomically(path, json_text(value)?.as_bytes())?)
}

fn json_text(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Composition { reason: error.to_string() })?;
    Ok(text + "\n")
}
