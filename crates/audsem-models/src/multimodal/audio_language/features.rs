//! What the feature extractor of a checkpoint says.

use audsem_core::hub::ModelDir;
use serde::Deserialize;
use serde_json::Value;

use super::{AudioFamily, AudioLanguageConfig};
use crate::error::{Error, Result};
use crate::multimodal::{HOP_SAMPLES, SAMPLE_RATE_HZ};

/// The keys of `WhisperFeatureExtractor` on which features depend.
#[derive(Debug, Default, Deserialize)]
struct Keys {
    feature_size: Option<usize>,
    sampling_rate: Option<usize>,
    hop_length: Option<usize>,
    n_fft: Option<usize>,
    chunk_length: Option<f64>,
    n_samples: Option<usize>,
    padding_value: Option<f64>,
    dither: Option<f64>,
}

impl Keys {
    /// Refuses settings that the front end does not have.
    fn check(&self, mels: usize) -> Result<()> {
        for (key, found, wanted) in [
            ("feature_size", self.feature_size, mels),
            ("sampling_rate", self.sampling_rate, SAMPLE_RATE_HZ as usize),
            ("hop_length", self.hop_length, HOP_SAMPLES),
            ("n_fft", self.n_fft, 400),
        ] {
            if let Some(found) = found.filter(|found| *found != wanted) {
                return Err(Error::unsupported(key, &found, &wanted.to_string()));
            }
        }
        for (key, found) in [("padding_value", self.padding_value), ("dither", self.dither)] {
            if let Some(found) = found.filter(|found| *found != 0.0) {
                return Err(Error::unsupported(key, &found, "0"));
            }
        }
        Ok(())
    }

    /// The samples that a sound is padded or cut to.
    fn longest(&self) -> Option<usize> {
        let seconds = |seconds: f64| (seconds * f64::from(SAMPLE_RATE_HZ)) as usize;
        self.chunk_length.map(seconds).or(self.n_samples)
    }
}

/// Sets what the folder's feature extractor decides; the default of the family is kept, and told, where there is none.
///
/// # Errors
/// A file cannot be read, or features are wanted that the network does not have.
pub(super) fn configure(config: &mut AudioLanguageConfig, dir: &ModelDir, notes: &mut Vec<String>) -> Result<()> {
    let found: Option<Value> = match dir.optional_json("preprocessor_config.json")? {
        Some(own) => Some(own),
        None => dir
            .optional_json::<Value>("processor_config.json")?
            .and_then(|whole| whole.get("feature_extractor").cloned()),
    };
    let Some(found) = found else {
        let seconds = config.longest_sound() / SAMPLE_RATE_HZ as usize;
        let family = config.family().name();
        notes.push(format!("no preprocessor_config.json: sounds of up to {seconds} seconds, as {family} hears them"));
        return Ok(());
    };
    let keys: Keys = serde_json::from_value(found).map_err(|error| {
        Error::unsupported("preprocessor_config.json", &error.to_string(), "keys of Whisper's features")
    })?;
    keys.check(config.mels())?;
    let Some(longest) = keys.longest() else { return Ok(()) };
    match config {
        AudioLanguageConfig::QwenOmni(config) if longest > 2 * HOP_SAMPLES => config.longest_sound = longest,
        AudioLanguageConfig::Qwen2Audio(config) if longest == config.longest_sound() => {}
        _ => {
            let wanted = format!("{} samples", config.longest_sound());
            return Err(Error::unsupported("chunk_length", &longest, &wanted));
        }
    }
    Ok(())
}

impl AudioFamily {
    /// The `preprocessor_config.json` of the family, for a tower with so many mel bands that hears so many samples.
    #[must_use]
    pub fn preprocessor_json(self, mels: usize, longest: usize) -> Value {
        let processor = match self {
            Self::Qwen2Audio => "Qwen2AudioProcessor",
            Self::QwenOmni => "Qwen2_5OmniProcessor",
        };
        serde_json::json!({
            "chunk_length": longest / SAMPLE_RATE_HZ as usize,
            "dither": 0.0,
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": mels,
            "hop_length": HOP_SAMPLES,
            "n_fft": 400,
            "n_samples": longest,
            "nb_max_frames": longest / HOP_SAMPLES,
            "padding_side": "right",
            "padding_value": 0.0,
            "processor_class": processor,
            "return_attention_mask": true,
            "sampling_rate": SAMPLE_RATE_HZ,
        })
    }
}
