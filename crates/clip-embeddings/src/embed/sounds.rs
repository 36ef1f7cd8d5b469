//! From a decoded sound to the input features of the model.

use audsem_core::tables::text_hash;
use audsem_media::audio::Audio;
use audsem_media::batch::{ClipError, MediaFault};
use audsem_models::clap::{Crop, FeatureError, FeatureExtractor, Features as Mel};
use serde::Serialize;

/// Which part is embedded of a sound that is longer than the model's input window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum CropRule {
    /// The middle
    Centre,
    /// A random part, the same for the same --seed and key
    Random,
}

/// How many windows of a long sound are embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Windows {
    /// One window, chosen by --crop
    Single,
    /// Windows from the beginning to the end; the result is the mean of their vectors
    Mean,
}

/// Turns decoded sounds into features, from any thread.
pub(super) struct AudioPreprocessor<'a> {
    pub extractor: &'a FeatureExtractor,
    pub crop: CropRule,
    pub windows: Windows,
    pub seed: u64,
}

/// The model's input for one sound.
pub(super) struct Features {
    /// One spectrogram for each window.
    pub windows: Vec<Mel>,
    /// The length of the sound at the model's rate.
    pub n_samples: u32,
    /// Whether it is longer than the model's input window.
    pub is_longer: bool,
}

impl AudioPreprocessor<'_> {
    pub(super) fn preprocess(&self, key: &str, audio: &Audio) -> Result<Features, ClipError> {
        let samples = self.extractor.at_rate(&audio.to_mono(), audio.sample_rate_hz)?;
        let limit = self.extractor.config().max_samples();
        let is_longer = samples.len() > limit;
        let windows = if is_longer && self.windows == Windows::Mean {
            starts(samples.len(), limit)
                .into_iter()
                .map(|start| self.extractor.extract(&samples[start..start + limit], Crop::Centre))
                .collect::<Result<Vec<_>, _>>()
        } else {
            self.extractor.extract(&samples, self.crop_of(key)).map(|features| vec![features])
        };
        let n_samples = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        Ok(Features { windows: windows.map_err(of_features)?, n_samples, is_longer })
    }

    fn crop_of(&self, key: &str) -> Crop {
        match self.crop {
            CropRule::Centre => Crop::Centre,
            CropRule::Random => Crop::Seeded(text_hash(&format!("{} {key}", self.seed))),
        }
    }
}

/// Starts of consecutive windows of `limit` samples; the last ends with the sound.
fn starts(length: usize, limit: usize) -> Vec<usize> {
    let mut starts: Vec<usize> = (0..length / limit).map(|n| n * limit).collect();
    if !length.is_multiple_of(limit) {
        starts.push(length - limit);
    }
    starts
}

fn of_features(error: FeatureError) -> ClipError {
    match error {
        FeatureError::Sound(error) => error.into(),
        other => ClipError::new(MediaFault::Unusable, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::starts;

    #[test]
    fn windows_cover_the_sound_and_none_is_beyond_its_end() {
        assert_eq!(starts(20, 10), [0, 10]);
        assert_eq!(starts(25, 10), [0, 10, 15]);
        assert_eq!(starts(11, 10), [0, 1]);
    }
}
