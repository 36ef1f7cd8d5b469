//! From samples to captions of music.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndError, Spectrogram};
use candle_core::{DType, Device};
use rayon::prelude::*;

use super::{Config, LpMusicCaps};
use crate::audio::clips::stack;
use crate::error::Result;
use crate::generate::{Generated, GenerationConfig, GenerationRequest, generate};
use crate::text::Continuations;
use crate::text::bart::TIED;
use crate::tokenizer::Tokenizer;

/// Tensors of a checkpoint that the network computes.
const COMPUTED: &str = "audio_encoder.mel_encoder.";

/// Whether checkpoints may hold a tensor that the network does not load.
pub(crate) fn is_ignorable(name: &str) -> bool {
    name.starts_with(COMPUTED) || name.strip_prefix("bart.").is_some_and(|name| TIED.contains(&name))
}

/// A checkpoint with its features and its tokenizer, for inference.
#[derive(Debug)]
pub struct MusicCaptioner {
    front_end: FrontEnd,
    network: LpMusicCaps,
    tokenizer: Tokenizer,
    device: Device,
}

impl MusicCaptioner {
    /// Opens a converted checkpoint: `config.json` with the sizes, weights with the original names, and the tokenizer of
    /// `facebook/bart-base`.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape, all of
    /// which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = LpMusicCaps::load(&weights.var_builder(), &config)?;
        weights.finish(is_ignorable)?;
        let tokenizer = Tokenizer::load(dir, config.bart.max_position_embeddings, None)?;
        let front_end = FrontEnd::new(&config.front_end())?;
        Ok(Self { front_end, network, tokenizer, device: device.clone() })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.network.config()
    }

    /// The samples of a sound in clips of the length that the network takes; the last one may be shorter.
    pub fn clips<'a>(&self, samples: &'a [f32]) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        samples.chunks(self.config().clip_samples())
    }

    /// Features of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0. Samples behind the length of a clip
    /// are not heard, and fewer are followed by zeros.
    ///
    /// # Errors
    /// The sound is empty or not finite.
    pub fn features(&self, samples: &[f32]) -> std::result::Result<Spectrogram, FrontEndError> {
        self.front_end.features(samples)
    }

    /// The tokens of a caption of each clip, which depend on its own features and seed alone. `generation` is
    /// [`Config::beam_search`], or with draws at random [`Config::beam_sampling`].
    ///
    /// # Errors
    /// The generation settings contradict themselves, or the network fails.
    pub fn tokens(&self, clips: &[(&Spectrogram, u64)], generation: &GenerationConfig) -> Result<Vec<Generated>> {
        clips.par_iter().map(|(features, seed)| self.tokens_of_one(features, *seed, generation)).collect()
    }

    /// As [`MusicCaptioner::tokens`], as texts.
    ///
    /// # Errors
    /// As [`MusicCaptioner::tokens`]; or the tokenizer does not know a token.
    pub fn captions(&self, clips: &[(&Spectrogram, u64)], generation: &GenerationConfig) -> Result<Vec<String>> {
        let tokens = self.tokens(clips, generation)?;
        tokens.iter().map(|generated| Ok(self.tokenizer.decode(&generated.tokens)?.trim().to_owned())).collect()
    }

    fn tokens_of_one(&self, features: &Spectrogram, seed: u64, generation: &GenerationConfig) -> Result<Generated> {
        let states = self.network.encode(&stack(&[features], &self.device)?)?;
        let mut decoder = Continuations::new(self.network.bart(), states)?;
        let request = GenerationRequest { prompt: vec![self.config().bart.decoder_start_token_id], seed };
        let generated = generate(&mut decoder, &[request], generation)?.into_iter().flatten().next();
        // A search returns at least one sequence for each request.
        generated.ok_or_else(|| candle_core::Error::Msg("a search without a result".to_owned()).into())
    }
}
