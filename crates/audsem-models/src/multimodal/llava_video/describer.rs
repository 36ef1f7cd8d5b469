//! From the frames of videos to descriptions.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::{ImageError, RgbImage};
use candle_core::{DType, Device};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::{Config, LlavaVideo, PromptedVideo, TOWER, caption_text};
use crate::error::{Error, Result};
use crate::generate::{GenerationRequest, StopReason, generate};
use crate::language::{LanguageConfig, ends_of, untruncated};
use crate::multimodal::MultimodalNetwork as _;
use crate::vision::siglip::{self, is_ignorable};
use crate::vision::{Eye, PixelNormalisation};

/// The name that published configurations have for this network.
const MODEL_TYPE: &str = "llava_qwen";

/// The tower whose sizes hold where a configuration only names it.
const NAMED_TOWER: &str = "siglip-so400m-patch14-384";

/// A checkpoint with the transform of its frames and its tokenizer, for inference.
#[derive(Debug)]
pub struct VideoDescriber {
    network: LlavaVideo,
    tokenizer: Tokenizer,
    /// Tokens that end a description.
    ends: Vec<u32>,
    eye: Eye,
}

/// A video that is to be described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedVideo {
    /// Its prepared frames, in order.
    pub frames: Vec<RgbImage>,
    /// The text in front of the frames and the text behind them, as [`video_prompt`](super::video_prompt) makes them.
    pub prompt: [String; 2],
}

/// What the network says about a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoDescription {
    /// The description as one line.
    pub text: String,
    /// Whether it ended by itself, not at the maximum number of tokens.
    pub is_complete: bool,
}

impl VideoDescriber {
    /// Opens a checkpoint in the layout of LLaVA-Video-7B-Qwen2: `config.json`, weights, and the tokenizer. A key
    /// `vision_config` holds the sizes of a tower that is not `siglip-so400m-patch14-384`.
    ///
    /// # Errors
    /// A file cannot be read, something is asked for that is not supported, or tensors are missing, unused or of another
    /// shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let json: Value = dir.json("config.json")?;
        let (config, tower, language) = configs(&json)?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = LlavaVideo::load(&weights.var_builder(), &config, &tower, &language)?;
        let below_tower = |name: &str| name.strip_prefix(TOWER)?.strip_prefix('.').map(str::to_owned);
        let of_tower = |name: &str| below_tower(name).is_some_and(|name| is_ignorable(&name, &tower));
        weights.finish(|name| of_tower(name) || name.ends_with("rotary_emb.inv_freq"))?;
        let tokenizer = untruncated(crate::tokenizer::Tokenizer::load(dir, usize::MAX, None)?.inner())?;
        let ends = ends_of(dir, &json, &tokenizer)?;
        Ok(Self { network, tokenizer, ends, eye: Eye::new(PixelNormalisation::SIGNED, device, dtype) })
    }

    /// What the network sees of a frame.
    ///
    /// # Errors
    /// Never for pictures of an accepted size.
    pub fn prepare(&self, frame: &RgbImage) -> std::result::Result<RgbImage, ImageError> {
        self.network.vision().prepare(frame)
    }

    /// A description of each video with at most so many tokens. No video depends on the others.
    ///
    /// # Errors
    /// A video without frames, a prompt longer than the language model reads, memory, device.
    pub fn describe(&self, videos: &[&AskedVideo], max_new_tokens: usize) -> Result<Vec<VideoDescription>> {
        let (mut requests, mut prompted) = (Vec::new(), Vec::new());
        for video in videos {
            let [before, after] = [self.ids(&video.prompt[0])?, self.ids(&video.prompt[1])?];
            let vectors = self.network.vision().forward(&self.eye.tensor(&video.frames)?)?;
            prompted.push(PromptedVideo { vectors, before: before.len() });
            requests.push(GenerationRequest { prompt: [before, after].concat(), seed: 0 });
        }
        let config = LlavaVideo::generation_config(max_new_tokens, &self.ends);
        let answers = generate(&mut self.network.decoder(prompted), &requests, &config)?;
        let description = |tokens: &[u32], finish| {
            let text = caption_text(&self.tokenizer.decode(tokens, true).map_err(refused)?);
            Ok(VideoDescription { text, is_complete: finish == StopReason::EndOfSequence })
        };
        answers.iter().flatten().map(|answer| description(&answer.tokens, answer.finish)).collect()
    }

    /// Tokens of a part of a prompt, which writes its own special tokens.
    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self.tokenizer.encode_fast(text, false);
        Ok(encoded.map_err(refused)?.get_ids().to_vec())
    }
}

/// What a tokenizer refuses.
fn refused(error: tokenizers::Error) -> Error {
    Error::Tokenizer { path: std::path::PathBuf::new(), message: error.to_string() }
}

/// What `config.json` says about the vision part, its tower, and the language model.
fn configs(json: &Value) -> Result<(Config, siglip::Config, LanguageConfig)> {
    let parse = |error: serde_json::Error| Error::unsupported("config.json", &error.to_string(), "keys of LLaVA-Video");
    let model_type = json["model_type"].as_str().unwrap_or_default();
    if model_type != MODEL_TYPE {
        return Err(Error::unsupported("model_type", &model_type, MODEL_TYPE));
    }
    let config: Config = serde_json::from_value(json.clone()).map_err(parse)?;
    let tower = match &json["vision_config"] {
        Value::Null => {
            let named = json["mm_vision_tower"].as_str().unwrap_or(NAMED_TOWER);
            if !named.ends_with(NAMED_TOWER) {
                return Err(Error::unsupported("mm_vision_tower", &named, NAMED_TOWER));
            }
            siglip::Config::default()
        }
        sizes => serde_json::from_value(sizes.clone()).map_err(parse)?,
    };
    let mut language = json.clone();
    language["model_type"] = "qwen2".into();
    Ok((config, tower, LanguageConfig::from_json(&language)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_published_configuration_names_its_tower() {
        let published = json!({"model_type": "llava_qwen", "mm_vision_tower": "google/siglip-so400m-patch14-384"});
        let (config, tower, language) = configs(&published).unwrap();
        assert_eq!((config, tower), (Config::default(), siglip::Config::default()));
        assert_eq!(language.vocab_size, 151_936);
        for (key, value) in [("model_type", "qwen2"), ("mm_vision_tower", "openai/clip-vit-large-patch14-336")] {
            let mut other = published.clone();
            other[key] = value.into();
            let error = configs(&other).map(drop).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
