//! From samples to the log-mel features that CLAP's audio tower reads.

use audsem_media::audio::{
    AudioError, FrontEnd, FrontEndError, Signal, check_samples, resample, resample_as_torchaudio,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::feature_config::{ClipPadding, FeatureConfig, Truncation};
use super::fusion::{shrink, thirds};

/// Which pieces of a sound that is too long are taken. Sounds that fit are never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crop {
    /// The middle; of three pieces, each from the middle of its third.
    Centre,
    /// At random, the same for the same seed. The reference draws from numpy's global generator, which cannot be
    /// repeated without knowing everything drawn before.
    Seeded(u64),
    /// From this sample on. Only where one piece is taken.
    At(usize),
    /// From these frames on. Only where three pieces are taken.
    Frames([usize; 3]),
}

/// What the audio tower reads of one sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Power in decibels, 0 dB = 1, at least -100: (channels × frames × mels).
    pub mel: Vec<f32>,
    /// 1, or 4 for fusion: the whole, then front, middle and back; all the same for a sound that fits.
    pub channels: usize,
    /// Frames of each channel; as many as the sound has, where networks hear sounds of any length.
    pub frames: usize,
    /// Whether the sound was too long and pieces were taken.
    ///
    /// The fused reference marks a random sound of each batch as longer if none is. That changes its embedding,
    /// depends on its batch, and is therefore not reproduced here.
    pub is_longer: bool,
}

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// The configuration asks for something that is not supported.
    #[error("{file}: `{key}` is not supported: `{value}`\nhint: supported: {supported}")]
    Config {
        /// The file it is from.
        file: &'static str,
        /// Its key.
        key: &'static str,
        /// The value found.
        value: String,
        /// The supported values.
        supported: &'static str,
    },
    /// The configuration asks for filters that cannot be.
    #[error("{file}: {source}")]
    FrontEnd {
        /// The file it is from.
        file: &'static str,
        /// What is wrong with them.
        source: FrontEndError,
    },
    /// The sound is empty or not finite.
    #[error(transparent)]
    Sound(#[from] FrontEndError),
    /// A piece would start too late.
    #[error("a piece cannot start at {unit} {start}: the last possible start in this sound is {last}")]
    Start {
        /// "sample" or "frame".
        unit: &'static str,
        /// Where it should start.
        start: usize,
        /// The last possible start.
        last: usize,
    },
    /// The crop is not one for this truncation.
    #[error(
        "this crop cannot be used for a sound that is cut into {pieces}\nhint: the middle and a seeded place suit both"
    )]
    Crop {
        /// The crop.
        crop: Crop,
        /// What the sound is cut into.
        pieces: &'static str,
    },
}

/// Makes features. Made once, used by any number of threads.
///
/// ```
/// use audsem_models::clap::{Crop, FeatureConfig, FeatureExtractor, Truncation};
///
/// let config = FeatureConfig { truncation: Truncation::RandTrunc, frequency_min: 50.0, ..FeatureConfig::default() };
/// let extractor = FeatureExtractor::new(&config)?;
/// let bark: Vec<f32> = (0..24_000).map(|n| (n as f32 * 0.06).sin() * (n as f32 * -2e-4).exp()).collect();
/// let features = extractor.extract(&bark, Crop::Centre)?;
/// assert_eq!((features.channels, features.frames, features.mel.len()), (1, 1001, 1001 * 64));
/// # Ok::<(), audsem_models::clap::FeatureError>(())
/// ```
#[derive(Debug)]
pub struct FeatureExtractor {
    config: FeatureConfig,
    front_end: FrontEnd,
}

impl FeatureExtractor {
    /// Plans the transform and computes the filters.
    ///
    /// # Errors
    /// [`FeatureError::Config`], [`FeatureError::FrontEnd`].
    pub fn new(config: &FeatureConfig) -> Result<FeatureExtractor, FeatureError> {
        config.validate()?;
        let front_end = FrontEnd::new(&config.front_end())
            .map_err(|source| FeatureError::FrontEnd { file: config.file, source })?;
        Ok(FeatureExtractor { config: config.clone(), front_end })
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &FeatureConfig {
        &self.config
    }

    /// One channel at the configured rate, resampled as the library of the checkpoint does it.
    ///
    /// # Errors
    /// [`AudioError::SampleRate`].
    pub fn at_rate(&self, samples: &[f32], rate_hz: u32) -> Result<Vec<f32>, AudioError> {
        let wanted_hz = self.config.sampling_rate;
        match self.config.torchaudio_resampling {
            Some(precision) => resample_as_torchaudio(samples, rate_hz, wanted_hz, precision),
            None => resample(samples, rate_hz, wanted_hz),
        }
    }

    /// Features of one sound: mono samples at the configured rate, full scale 1.0.
    ///
    /// # Errors
    /// All but those of [`new`](Self::new).
    pub fn extract(&self, samples: &[f32], crop: Crop) -> Result<Features, FeatureError> {
        // The whole sound is checked, not only the pieces that are used.
        check_samples(samples)?;
        let quantised = self.config.quantize_int16.then(|| quantised(samples));
        let samples = quantised.as_deref().unwrap_or(samples);
        let limit = self.config.max_samples();
        match self.config.truncation {
            Truncation::Whole if samples.len() <= limit => Ok(self.of_whole(samples, false)),
            _ if samples.len() <= limit => Ok(self.of_short(samples)),
            Truncation::Whole => {
                let start = crop_start(crop, samples.len() - limit)?;
                Ok(self.of_whole(&samples[start..start + limit], true))
            }
            Truncation::RandTrunc => {
                let start = crop_start(crop, samples.len() - limit)?;
                let mel = self.decibels(&samples[start..start + limit]);
                Ok(Features { mel, channels: 1, frames: self.config.frames(), is_longer: true })
            }
            Truncation::Fusion => self.fused(samples, crop),
        }
    }

    /// A sound of any length, but filled with silence where it is shorter than a frame.
    fn of_whole(&self, samples: &[f32], is_longer: bool) -> Features {
        let mut filled = samples.to_vec();
        filled.resize(samples.len().max(self.config.fft_window_size), 0.0);
        let mel = self.decibels(&filled);
        let frames = mel.len() / self.config.feature_size;
        Features { mel, channels: 1, frames, is_longer }
    }

    /// A sound that has to be filled up.
    fn of_short(&self, samples: &[f32]) -> Features {
        let limit = self.config.max_samples();
        let filled = match self.config.padding {
            ClipPadding::Repeatpad => limit / samples.len() * samples.len(),
            ClipPadding::Repeat => limit,
            ClipPadding::Pad => samples.len(),
        };
        let mel = self.decibels_of_repeated(samples, filled);
        match self.config.truncation {
            Truncation::RandTrunc | Truncation::Whole => {
                Features { mel, channels: 1, frames: self.config.frames(), is_longer: false }
            }
            Truncation::Fusion => self.four_times(&mel),
        }
    }

    fn four_times(&self, mel: &[f32]) -> Features {
        Features { mel: mel.repeat(4), channels: 4, frames: self.config.frames(), is_longer: false }
    }

    /// A long sound in four channels.
    fn fused(&self, samples: &[f32], crop: Crop) -> Result<Features, FeatureError> {
        let mel = self.decibels(samples);
        let (mels, frames) = (self.config.feature_size, self.config.frames());
        let starts = mel.len() / mels - frames + 1;
        if starts == 1 {
            // Longer, but by less than a frame.
            return Ok(self.four_times(&mel));
        }
        let starts = crop_frames(crop, starts)?;
        let mut stack = Vec::with_capacity(4 * frames * mels);
        shrink(&mel, mels, frames, &mut stack);
        for start in starts {
            stack.extend_from_slice(&mel[start * mels..(start + frames) * mels]);
        }
        Ok(Features { mel: stack, channels: 4, frames, is_longer: true })
    }

    /// Decibels of a sound: (frames × mels).
    fn decibels(&self, samples: &[f32]) -> Vec<f32> {
        let frames = self.front_end.config().frames.count(samples.len());
        let mut mel = vec![0.0; frames * self.config.feature_size];
        self.front_end.write_frames(&Signal::new(samples), 0..frames, &mut mel);
        mel
    }

    /// Decibels of a sound that is repeated for `filled` samples. Frames with the same samples as an earlier one are
    /// copied.
    fn decibels_of_repeated(&self, samples: &[f32], filled: usize) -> Vec<f32> {
        let (frames, mels, period) = (self.config.frames(), self.config.feature_size, samples.len());
        let mut mel = vec![0.0; frames * mels];
        let earlier = |frame| self.earlier_frame(frame, period, filled);
        let computed = (0..frames).filter(|frame| earlier(*frame).is_none());
        let sound = Signal::filled(samples, filled, self.config.max_samples());
        self.front_end.write_frames(&sound, computed, &mut mel);
        for frame in 0..frames {
            if let Some(same) = earlier(frame) {
                mel.copy_within(same * mels..(same + 1) * mels, frame * mels);
            }
        }
        mel
    }

    /// An earlier frame with the very same samples, if the sound repeats itself in a whole number of frames.
    fn earlier_frame(&self, frame: usize, period: usize, filled: usize) -> Option<usize> {
        let (hop, n_fft) = (self.config.hop_length, self.config.fft_window_size);
        let earlier = frame.checked_sub(period / gcd(period, hop))?;
        // Both have to lie where the sound is, not beyond its ends.
        let first = earlier * hop >= n_fft / 2;
        (first && frame * hop + n_fft / 2 <= filled).then_some(earlier)
    }
}

/// Samples as 16 bits hold them. What lies between two steps becomes the one nearer to 0, and full scale is 32767: a sound of
/// 16 bits, whose full scale is 32768, loses a step here too.
fn quantised(samples: &[f32]) -> Vec<f32> {
    const STEPS: f32 = 32_767.0;
    let step = |sample: &f32| (sample.clamp(-1.0, 1.0) * STEPS).trunc();
    #[expect(clippy::cast_possible_truncation, reason = "the library divides in 64 bits and keeps 32")]
    samples.iter().map(|sample| (f64::from(step(sample)) / f64::from(STEPS)) as f32).collect()
}

/// Where the piece starts, 0 to `last`.
fn crop_start(crop: Crop, last: usize) -> Result<usize, FeatureError> {
    match crop {
        Crop::Centre => Ok(last / 2),
        Crop::Seeded(seed) => Ok(ChaCha8Rng::seed_from_u64(seed).random_range(0..=last)),
        Crop::At(start) if start <= last => Ok(start),
        Crop::At(start) => Err(FeatureError::Start { unit: "sample", start, last }),
        Crop::Frames(_) => Err(FeatureError::Crop { crop, pieces: "one piece" }),
    }
}

/// At which of `starts` frames the three pieces start.
fn crop_frames(crop: Crop, starts: usize) -> Result<[usize; 3], FeatureError> {
    let last = starts - 1;
    match crop {
        Crop::Centre => Ok(thirds(starts).map(|third| third.start + third.len() / 2)),
        Crop::Seeded(seed) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            Ok(thirds(starts).map(|third| rng.random_range(third)))
        }
        Crop::Frames(frames) => match frames.iter().find(|start| **start > last) {
            Some(&start) => Err(FeatureError::Start { unit: "frame", start, last }),
            None => Ok(frames),
        },
        Crop::At(_) => Err(FeatureError::Crop { crop, pieces: "three pieces" }),
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
