//! From samples to captions.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndConfig, FrontEndError, Spectrogram};
use candle_core::{DType, Device};
use rayon::prelude::*;

use super::beams::{BeamRules, CaptionTokens, search};
use super::encoder::LEAST_FRAMES;
use super::text::END;
use super::{Conette, Config};
use crate::audio::clips::stack;
use crate::error::{Error, Result};
use crate::text::Continuations;

/// Tensors of a checkpoint that the network computes, or that tag clips, which captions do not need.
const UNUSED: [&str; 8] = [
    "preprocessor.encoder.spectrogram_extractor.",
    "preprocessor.encoder.logmel_extractor.",
    "preprocessor.encoder.bn0.num_batches_tracked",
    "preprocessor.encoder.norm.",
    "preprocessor.encoder.head_audioset.",
    "model.decoder.pos_encoding.",
    "model.tokenizers.",
    "_extra_state_",
];

/// Whether checkpoints may hold a tensor that the network does not load.
pub(crate) fn is_ignorable(name: &str) -> bool {
    UNUSED.iter().any(|known| name.starts_with(known))
}

/// How captions are searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionSettings {
    /// The style, one of [`Config::task_names`].
    pub task: String,
    /// Captions that are followed at first.
    pub beam_size: usize,
    /// Words before which a caption does not end.
    pub min_pred_size: usize,
    /// Most words of a caption, its end included; at most those of the configuration.
    pub max_pred_size: usize,
}

impl CaptionSettings {
    /// The settings that a checkpoint has, with its first style.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            task: config.task_names.first().cloned().unwrap_or_default(),
            beam_size: config.beam_size,
            min_pred_size: config.min_pred_size,
            max_pred_size: config.max_pred_size,
        }
    }
}

/// A checkpoint with its features and its words, for inference.
#[derive(Debug)]
pub struct ConetteCaptioner {
    front_end: FrontEnd,
    network: Conette,
    device: Device,
}

impl ConetteCaptioner {
    /// Opens a checkpoint whose `config.json` holds the vocabulary under `tokenizer_state`.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape, all of
    /// which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = Conette::load(&weights.var_builder(), &config)?;
        weights.finish(is_ignorable)?;
        let front_end = FrontEnd::new(&FrontEndConfig::conette())?;
        Ok(Self { front_end, network, device: device.clone() })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.network.config()
    }

    /// Features of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0.
    ///
    /// # Errors
    /// The sound is empty, shorter than 7,360 samples, or not finite.
    pub fn features(&self, samples: &[f32]) -> std::result::Result<Spectrogram, FrontEndError> {
        let needed = (LEAST_FRAMES - 1) * self.front_end.config().frames.hop_length;
        if (1..needed).contains(&samples.len()) {
            return Err(FrontEndError::TooShort { samples: samples.len(), needed });
        }
        self.front_end.features(samples)
    }

    /// The best caption of each clip, as tokens. None depends on other clips: each runs alone, side by side on all threads.
    ///
    /// # Errors
    /// The settings name another style or more words than the configuration, or the network fails.
    pub fn tokens(&self, clips: &[&Spectrogram], settings: &CaptionSettings) -> Result<Vec<CaptionTokens>> {
        let rules = self.rules(settings)?;
        clips.par_iter().map(|features| self.best(features, &rules)).collect()
    }

    /// As [`ConetteCaptioner::tokens`], as texts.
    ///
    /// # Errors
    /// As [`ConetteCaptioner::tokens`].
    pub fn captions(&self, clips: &[&Spectrogram], settings: &CaptionSettings) -> Result<Vec<String>> {
        let tokens = self.tokens(clips, settings)?;
        tokens.iter().map(|caption| self.network.vocabulary.caption(&caption.tokens)).collect()
    }

    fn rules(&self, settings: &CaptionSettings) -> Result<BeamRules<'_>> {
        let config = self.config();
        let Some(task) = config.task_names.iter().position(|task| *task == settings.task) else {
            return Err(Error::unsupported("task", &settings.task, &config.task_names.join(", ")));
        };
        let (beams, most) = (settings.beam_size, settings.max_pred_size);
        if beams == 0 || beams > self.network.vocabulary.len() {
            return Err(Error::unsupported("beam_size", &beams, "1 to the number of words"));
        }
        if most == 0 || most > config.max_pred_size {
            return Err(Error::unsupported("max_pred_size", &most, &format!("1 to {}", config.max_pred_size)));
        }
        Ok(BeamRules {
            start: self.network.vocabulary.starts()[task],
            end: END,
            beams,
            least: settings.min_pred_size,
            most,
            once: &self.network.once,
        })
    }

    fn best(&self, features: &Spectrogram, rules: &BeamRules<'_>) -> Result<CaptionTokens> {
        let frames = self.network.frames(&stack(&[features], &self.device)?)?;
        let mut decoder = Continuations::new(&self.network, self.network.states(&frames)?)?;
        let captions = search(&mut decoder, rules)?;
        // The first of equally good ones.
        let best = captions
            .into_iter()
            .reduce(|best, other| if other.mean_log_probability > best.mean_log_probability { other } else { best });
        best.ok_or_else(|| candle_core::Error::Msg("a search without a result".to_owned()).into())
    }
}
