//! From samples to probabilities of classes.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndConfig, FrontEndError, Spectrogram};
use candle_core::{DType, Device};

use super::{PATCH_FRAMES, Yamnet};
use crate::audio::clips::run_clips;
use crate::error::Result;

/// Frames from one patch to the next: half a patch.
const PATCH_HOP: usize = PATCH_FRAMES / 2;

/// Samples of a frame and from one frame to the next: 25 and 10 ms.
const FRAME_SAMPLES: usize = 400;
const HOP_SAMPLES: usize = 160;

/// A checkpoint with its features, for inference.
#[derive(Debug)]
pub struct YamnetTagger {
    front_end: FrontEnd,
    network: Yamnet,
    device: Device,
}

/// The patches of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct YamnetFeatures {
    /// Each with 96 frames of 64 bands.
    pub patches: Vec<Spectrogram>,
}

impl YamnetTagger {
    /// Opens a folder of converted weights.
    ///
    /// # Errors
    /// A file cannot be read, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let weights = Weights::open(dir, device, dtype)?;
        let network = Yamnet::load(&weights.var_builder())?;
        weights.finish(|_| false)?;
        Ok(Self { front_end: FrontEnd::new(&FrontEndConfig::yamnet())?, network, device: device.clone() })
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Yamnet {
        &self.network
    }

    /// Patches of 0.96 s, one every 0.48 s, of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0. As in the
    /// original, zeros follow a clip until its last patch is whole.
    ///
    /// # Errors
    /// The sound is empty or not finite.
    pub fn features(&self, samples: &[f32]) -> std::result::Result<YamnetFeatures, FrontEndError> {
        let first = FRAME_SAMPLES + (PATCH_FRAMES - 1) * HOP_SAMPLES;
        let later = samples.len().saturating_sub(first).div_ceil(PATCH_HOP * HOP_SAMPLES);
        let config = FrontEndConfig::yamnet();
        let mut padded = samples.to_vec();
        if !samples.is_empty() {
            padded.resize(first + later * PATCH_HOP * HOP_SAMPLES, 0.0);
        }
        let all = self.front_end.features(&padded)?;
        let n_bands = config.mel.n_mels;
        let patch = |n: usize| {
            let values = all.values[n * PATCH_HOP * n_bands..][..PATCH_FRAMES * n_bands].to_vec();
            Spectrogram { values, n_frames: PATCH_FRAMES, n_bands }
        };
        Ok(YamnetFeatures { patches: (0..=later).map(patch).collect() })
    }

    /// The probability of each class of YAMNet, for each clip: the mean over its patches.
    ///
    /// # Errors
    /// As [`Yamnet::forward`].
    pub fn probabilities(&self, clips: &[&YamnetFeatures]) -> Result<Vec<Vec<f32>>> {
        let patches: Vec<&Spectrogram> = clips.iter().flat_map(|clip| &clip.patches).collect();
        let rows = run_clips(&patches, &self.device, |features| {
            Ok(candle_nn::ops::sigmoid(&self.network.forward(features)?.to_dtype(DType::F32)?)?)
        })?;
        let mut rows = rows.chunks(1);
        let mean = |clip: &&YamnetFeatures| {
            let n = clip.patches.len();
            let mut sum: Vec<f32> = Vec::new();
            for row in rows.by_ref().take(n).flatten() {
                sum.resize(row.len(), 0.0);
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / n as f32);
            }
            sum
        };
        Ok(clips.iter().map(mean).collect())
    }
}
