//! From samples to probabilities of classes.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndError, FrontEndTables, Spectrogram, check_samples};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::{Ced, Config};
use crate::audio::clips::run_clips;
use crate::error::Result;

/// Longest part of a clip that the network sees at once: 10 s, as it was trained.
pub const WINDOW_SAMPLES: usize = 160_000;

/// Shortest clip that the network sees: 2 s. Zeros follow a shorter one: the network was trained on clips of 10 s, and finds
/// the sounds of `fixtures/real_sounds`, most of which last a second, in 83 cases of 115 with them and in 76 without.
pub const SHORTEST_SAMPLES: usize = 32_000;

/// Names of the window and of the filters of the features.
const TABLES: [&str; 2] = ["mel_transform.spectrogram.window", "mel_transform.mel_scale.fb"];

/// Tensors of checkpoints that the network computes or has no use for.
const IGNORABLE: [&str; 3] = ["mel_transform.", "front_end.", "encoder.init_bn.num_batches_tracked"];

/// Whether checkpoints may hold a tensor that the network does not load.
pub(crate) fn is_ignorable(name: &str) -> bool {
    IGNORABLE.iter().any(|known| name.starts_with(known))
}

/// A checkpoint with its features, for inference.
///
/// ```no_run
/// use audsem_core::hub::ModelDir;
/// use audsem_models::audio::{audioset, ced::CedTagger, top_classes};
/// use candle_core::{DType, Device};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tagger = CedTagger::open(&ModelDir::local("assets/models/ced-tiny".as_ref()), &Device::Cpu, DType::F32)?;
/// let clip = vec![0.0; 40_000];
/// let features = tagger.features(&clip)?;
/// for score in top_classes(&tagger.probabilities(&[&features])?[0], 5) {
///     println!("{} {}", audioset::classes()[score.index].name, score.probability);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CedTagger {
    front_end: FrontEnd,
    network: Ced,
    device: Device,
}

/// Features of a clip, in windows.
#[derive(Debug, Clone, PartialEq)]
pub struct CedFeatures {
    windows: Vec<Spectrogram>,
    /// The part of the clip in each window.
    weights: Vec<f32>,
}

impl CedFeatures {
    /// Number of windows: what the clip costs in a batch.
    #[must_use]
    pub fn n_windows(&self) -> usize {
        self.windows.len()
    }
}

impl CedTagger {
    /// Opens a folder of converted weights.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let vb = weights.var_builder();
        let network = Ced::load(&vb, &config)?;
        let front_end = match Self::tables(&vb, &config)? {
            Some(tables) => FrontEnd::with_tables(&config.front_end(), &tables)?,
            None => FrontEnd::new(&config.front_end())?,
        };
        weights.finish(is_ignorable)?;
        Ok(Self { front_end, network, device: device.clone() })
    }

    /// The window and the filters of the features, if the configuration says that the weights hold them.
    ///
    /// # Errors
    /// They are missing or of another shape.
    fn tables(vb: &VarBuilder<'_>, config: &Config) -> Result<Option<FrontEndTables>> {
        if !config.front_end_tables {
            return Ok(None);
        }
        let vb = vb.to_dtype(DType::F32);
        let [window, filters] = [vec![config.n_fft], vec![config.n_fft / 2 + 1, config.n_mels]];
        let values = |shape: Vec<usize>, name| vb.get(shape, name)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1();
        Ok(Some(FrontEndTables { window: values(window, TABLES[0])?, filters: values(filters, TABLES[1])? }))
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Ced {
        &self.network
    }

    /// Features of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0, in windows of [`WINDOW_SAMPLES`]. A
    /// clip shorter than [`SHORTEST_SAMPLES`] is followed by zeros; a rest shorter than a patch (0.15 s) is left out.
    ///
    /// # Errors
    /// The sound is empty or not finite.
    pub fn features(&self, samples: &[f32]) -> std::result::Result<CedFeatures, FrontEndError> {
        check_samples(samples)?;
        let least = self.network.config().least_samples();
        let shortest = SHORTEST_SAMPLES.max(least);
        let padded;
        let samples = if samples.len() < shortest {
            padded = [samples, &vec![0.0; shortest - samples.len()]].concat();
            padded.as_slice()
        } else {
            samples
        };
        let windows: Vec<&[f32]> = samples.chunks(WINDOW_SAMPLES).filter(|window| window.len() >= least).collect();
        let seen: usize = windows.iter().map(|window| window.len()).sum();
        Ok(CedFeatures {
            weights: windows.iter().map(|window| window.len() as f32 / seen as f32).collect(),
            windows: windows
                .iter()
                .map(|window| self.front_end.features(window))
                .collect::<std::result::Result<_, _>>()?,
        })
    }

    /// The probability of each class, for each clip: the mean over its windows, by their lengths.
    ///
    /// # Errors
    /// As [`Ced::forward`].
    pub fn probabilities(&self, clips: &[&CedFeatures]) -> Result<Vec<Vec<f32>>> {
        let windows: Vec<&Spectrogram> = clips.iter().flat_map(|clip| &clip.windows).collect();
        let rows = run_clips(&windows, &self.device, |features| {
            Ok(candle_nn::ops::sigmoid(&self.network.forward(features)?.to_dtype(DType::F32)?)?)
        })?;
        let mut rows = rows.into_iter();
        Ok(clips.iter().map(|clip| mean(&clip.weights, rows.by_ref().take(clip.windows.len()))).collect())
    }
}

/// The weighted mean of rows.
fn mean(weights: &[f32], rows: impl Iterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut sum = Vec::new();
    for (weight, row) in weights.iter().zip(rows) {
        sum.resize(row.len(), 0.0);
        sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}
