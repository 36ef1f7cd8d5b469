//! From samples to tags, second by second.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndConfig, FrontEndError, MelConfig, Spectrogram};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{Config, Sat};
use crate::audio::clips::stack;
use crate::error::Result;

/// Tensors of a checkpoint that the network computes or has no use for.
const IGNORABLE: [&str; 2] = ["front_end.", "init_bn.1.num_batches_tracked"];

/// Whether checkpoints may hold a tensor that the network does not load.
pub(crate) fn is_ignorable(name: &str) -> bool {
    IGNORABLE.iter().any(|known| name.starts_with(known))
}

/// What the network remembers of a clip.
#[derive(Debug, Clone)]
pub struct SatCache {
    inputs: Tensor, // (L, 1, N, D)
}

/// A checkpoint with its features, for inference.
///
/// ```no_run
/// use audsem_core::hub::ModelDir;
/// use audsem_models::audio::{sat::SatTagger, top_classes};
/// use candle_core::{DType, Device};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tagger = SatTagger::open(&ModelDir::local("sat".as_ref()), &Device::Cpu, DType::F32)?;
/// let clip = vec![0.0; 40_000]; // 2.5 s: three steps, the last one filled with zeros
/// let mut caches = [tagger.begin()];
/// for step in tagger.steps(&clip) {
///     let features = tagger.features(step)?;
///     let probabilities = tagger.step(&[&features], &mut caches)?;
///     println!("{:?}", top_classes(&probabilities[0], 5));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SatTagger {
    front_end: FrontEnd,
    network: Sat,
    silence: SatCache,
    device: Device,
}

impl SatTagger {
    /// Opens a converted checkpoint: `config.json` with the sizes, and weights with the original names.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape, all of
    /// which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = Sat::load(&weights.var_builder(), &config)?;
        weights.finish(is_ignorable)?;
        Self::new(network, device)
    }

    /// Takes a network over, and runs it on silence for the cache that clips begin with.
    ///
    /// # Errors
    /// Memory or device.
    pub fn new(network: Sat, device: &Device) -> Result<Self> {
        let config = network.config();
        let mel = MelConfig::htk(config.n_mels, 0.0, 8000.0);
        // The last step of a clip is filled with zeros.
        let front_end = FrontEndConfig { mel, n_samples: Some(config.step_samples()), ..FrontEndConfig::sat() };
        let front_end = FrontEnd::new(&front_end)?;
        let features = front_end.features(&[0.0])?;
        let silence = SatCache { inputs: network.forward(&stack(&[&features], device)?, None)?.cache };
        Ok(Self { front_end, network, silence, device: device.clone() })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.network.config()
    }

    /// The cache that a clip begins with: that of silence.
    #[must_use]
    pub fn begin(&self) -> SatCache {
        self.silence.clone()
    }

    /// The samples of a clip in steps; the last one may be shorter.
    pub fn steps<'a>(&self, samples: &'a [f32]) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        samples.chunks(self.config().step_samples())
    }

    /// Features of one step of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0. Fewer than a step has are
    /// followed by zeros; more are not seen.
    ///
    /// # Errors
    /// The step is empty or not finite.
    pub fn features(&self, step: &[f32]) -> std::result::Result<Spectrogram, FrontEndError> {
        self.front_end.features(step)
    }

    /// The probability of each class in the present step of each clip. `caches` are those of the clips, from
    /// [`SatTagger::begin`] or left here by the step before; each is replaced. No clip depends on the others: on the CPU
    /// each runs alone.
    ///
    /// # Errors
    /// As [`Sat::forward`].
    ///
    /// # Panics
    /// There are not as many caches as clips.
    pub fn step(&self, clips: &[&Spectrogram], caches: &mut [SatCache]) -> Result<Vec<Vec<f32>>> {
        assert_eq!(clips.len(), caches.len(), "each clip has a cache");
        let size = if self.device.is_cpu() { 1 } else { clips.len().max(1) };
        let parts = clips.par_chunks(size).zip(caches.par_chunks_mut(size));
        let of_each = parts.map(|(clips, caches)| self.step_together(clips, caches)).collect::<Result<Vec<_>>>()?;
        Ok(of_each.into_iter().flatten().collect())
    }

    fn step_together(&self, clips: &[&Spectrogram], caches: &mut [SatCache]) -> Result<Vec<Vec<f32>>> {
        let inputs: Vec<&Tensor> = caches.iter().map(|cache| &cache.inputs).collect();
        let done = self.network.forward(&stack(clips, &self.device)?, Some(&Tensor::cat(&inputs, 1)?))?;
        for (n, cache) in caches.iter_mut().enumerate() {
            cache.inputs = done.cache.narrow(1, n, 1)?;
        }
        Ok(candle_nn::ops::sigmoid(&done.logits.to_dtype(DType::F32)?)?.to_vec2()?)
    }
}
