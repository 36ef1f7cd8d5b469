//! The two models that are composed.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_core::hub::ModelDir;
use audsem_core::input::is_file;
use audsem_core::run::ModelFingerprint;
use audsem_core::weights::Weights;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::audio::whisper::WhisperConfig;
use crate::error::{Error, Result};
use crate::language::{Family, GgufFile, LanguageConfig, untruncated};

/// Where the token table and the head are.
pub(super) const TABLES: [&str; 2] = ["model.embed_tokens.weight", "lm_head.weight"];

/// Keys of a language model's `config.json` that say nothing of a part of another model.
const OWN_KEYS: [&str; 7] = [
    "architectures",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "_name_or_path",
    "auto_map",
    "quantization_config",
];

/// The encoder.
pub(super) struct AudioPart {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) json: Value,
    pub(super) dim: usize,
    pub(super) fingerprint: ModelFingerprint,
}

/// The language model.
pub(super) struct LanguagePart {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) config: LanguageConfig,
    pub(super) json: Value,
    pub(super) tokenizer: Tokenizer,
    pub(super) fingerprint: ModelFingerprint,
}

impl AudioPart {
    /// Reads the encoder of a Whisper, and leaves its decoder.
    pub(super) fn open(model: &str, dtype: DType) -> Result<Self> {
        let dir = ModelDir::resolve(model, None)?;
        let json: Value = dir.json("config.json")?;
        if json["model_type"] != "whisper" {
            return Err(Error::unsupported("model_type", &json["model_type"], "whisper, of the audio encoder"));
        }
        let config: WhisperConfig = dir.json("config.json")?;
        config.encoder()?.validate()?;
        let below = |stored: &str| stored.strip_prefix("model.").unwrap_or(stored).to_owned();
        let weights = Weights::open_renamed(&dir, &Device::Cpu, dtype, below)?;
        let vb = weights.var_builder();
        let mut tensors = BTreeMap::new();
        for name in weights.names() {
            if let Some(own) = name.strip_prefix("encoder.") {
                tensors.insert(own.to_owned(), vb.get_unchecked(&name)?);
            }
        }
        let json = json!({
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": config.num_mel_bins,
            "d_model": config.d_model,
            "encoder_layers": config.encoder_layers,
            "encoder_attention_heads": config.encoder_attention_heads,
            "encoder_ffn_dim": config.encoder_ffn_dim,
            "max_source_positions": config.max_source_positions,
            "activation_function": config.activation_function,
            "scale_embedding": false,
        });
        Ok(Self { tensors, json, dim: config.d_model, fingerprint: dir.fingerprint()? })
    }

    /// The root of the mean square of what the encoder says: that of the scale and shift of its last norm.
    pub(super) fn state_scale(&self) -> Result<f64> {
        let sum = |name: &str| {
            let missing = || Error::Composition { reason: format!("the audio encoder lacks `{name}`") };
            root_mean_square(self.tensors.get(name).ok_or_else(missing)?)
        };
        Ok(sum("layer_norm.weight")?.hypot(sum("layer_norm.bias")?))
    }
}

impl LanguagePart {
    /// Reads a GGUF file, a local folder, or a model of the hub by its id.
    pub(super) fn open(model: &str, dtype: DType) -> Result<Self> {
        let path = Path::new(model);
        let mut part = if is_file(path)? { Self::open_gguf(path)? } else { Self::open_folder(model, dtype)? };
        if part.config.family == Family::Mixtral {
            return Err(Error::unsupported("model_type", &"mixtral", "qwen2, llama"));
        }
        for tensor in part.tensors.values_mut() {
            *tensor = tensor.to_dtype(dtype)?;
        }
        let [table, head] = TABLES;
        if !part.tensors.contains_key(head)
            && let Some(table) = part.tensors.get(table).cloned()
        {
            part.tensors.insert(head.to_owned(), table);
        }
        Ok(part)
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let mut file = GgufFile::open(path)?;
        let mut json = file.config_json()?;
        remove_own(&mut json);
        Ok(Self {
            config: file.config()?,
            tokenizer: file.tokenizer()?,
            tensors: file.tensors()?,
            json,
            fingerprint: ModelFingerprint::of_file(path)?,
        })
    }

    fn open_folder(model: &str, dtype: DType) -> Result<Self> {
        let dir = ModelDir::resolve(model, None)?;
        let mut json: Value = dir.json("config.json")?;
        let config = LanguageConfig::from_json(&json)?;
        remove_own(&mut json);
        let weights = Weights::open(&dir, &Device::Cpu, dtype)?;
        let vb = weights.var_builder();
        let of_network = |name: &String| !name.ends_with("rotary_emb.inv_freq");
        let load = |name: String| -> Result<(String, Tensor)> {
            let tensor = vb.get_unchecked(&name)?;
            Ok((name, tensor))
        };
        let tensors = weights.names().into_iter().filter(of_network).map(load).collect::<Result<_>>()?;
        let tokenizer = untruncated(crate::tokenizer::Tokenizer::load(&dir, usize::MAX, None)?.inner())?;
        Ok(Self { tensors, config, json, tokenizer, fingerprint: dir.fingerprint()? })
    }

    /// The root of the mean square of the token table.
    pub(super) fn token_scale(&self) -> Result<f64> {
        root_mean_square(self.table(TABLES[0])?)
    }

    /// The token table or the head.
    pub(super) fn table(&self, name: &str) -> Result<&Tensor> {
        let missing = || Error::Composition { reason: format!("the language model lacks `{name}`") };
        self.tensors.get(name).ok_or_else(missing)
    }
}

fn remove_own(json: &mut Value) {
    if let Value::Object(json) = json {
        json.retain(|key, _| !OWN_KEYS.contains(&key.as_str()));
    }
}

fn root_mean_square(tensor: &Tensor) -> Result<f64> {
    let mean = tensor.to_dtype(DType::F32)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
    Ok(f64::from(mean).sqrt())
}
