//! The `preprocessor_config.json` of CLAP checkpoints, or the same within `processor_config.json`.

use audsem_core::hub::ModelDir;
use audsem_core::weights::ModelError;
use audsem_media::audio::{BinSpacing, FrontEndConfig, KernelPrecision, MelConfig};
use serde::{Deserialize, Serialize};

use super::FeatureError;

/// The file of the extractor alone.
const OWN_FILE: &str = "preprocessor_config.json";

/// The file of extractor and tokenizer together, the only one that processors of transformers 5 write.
const JOINT_FILE: &str = "processor_config.json";

/// The part of [`JOINT_FILE`] that matters here. Older libraries wrote it too, without this part.
#[derive(Deserialize)]
struct Joint {
    feature_extractor: Option<FeatureConfig>,
    audio_processor: Option<FeatureConfig>,
}

/// How sounds that are too long are truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Four channels: the whole sound, downsampled, and three pieces of it.
    Fusion,
    /// One piece of it.
    RandTrunc,
    /// Of sounds of any length the whole; one piece of those that are longer than memory and time are for. Not in files
    /// of transformers.
    Whole,
}

/// How sounds that are too short are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipPadding {
    /// Repeated as often as it fits as a whole, then silence.
    Repeatpad,
    /// Repeated to the end, the last time in part.
    Repeat,
    /// Once, then silence.
    Pad,
}

/// How features are made, from the checkpoint's `preprocessor_config.json` or `processor_config.json`; absent keys have
/// the defaults of transformers' `ClapFeatureExtractor`.
///
/// `top_db` and `padding_value` are in the file too, but the reference stores them and uses neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeatureConfig {
    /// The class that wrote the file.
    pub feature_extractor_type: String,
    /// Mel bands.
    pub feature_size: usize,
    /// Samples per second that sounds must have.
    pub sampling_rate: u32,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// Samples in a frame.
    pub fft_window_size: usize,
    /// Lower edge of the first band, in Hz.
    pub frequency_min: f64,
    /// Upper edge of the last band, in Hz.
    pub frequency_max: f64,
    /// Length of what the network sees, in seconds.
    pub max_length_s: u32,
    /// How sounds that are too long are truncated. It decides on the filters too.
    pub truncation: Truncation,
    /// How sounds that are too short are padded.
    pub padding: ClipPadding,
    /// Whether samples are rounded to 16 bits first, towards 0, as `laion_clap` does it. Not in files of transformers.
    pub quantize_int16: bool,
    /// The sampling rate that the filters are made for, where it is not that of the sounds: MS-CLAP reads sounds of 44.1 kHz
    /// through filters for 32 kHz. Not in files of transformers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_sampling_rate: Option<u32>,
    /// Where the library changes the rate of sounds with torchaudio, the precision of the filter that it computes; else sounds
    /// are resampled at full quality. Not in files of transformers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torchaudio_resampling: Option<KernelPrecision>,
    /// The file that says so, for messages.
    #[serde(skip)]
    pub file: &'static str,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            feature_extractor_type: EXTRACTOR.to_owned(),
            feature_size: 64,
            sampling_rate: 48_000,
            hop_length: 480,
            fft_window_size: 1024,
            frequency_min: 0.0,
            frequency_max: 14_000.0,
            max_length_s: 10,
            truncation: Truncation::Fusion,
            padding: ClipPadding::Repeatpad,
            quantize_int16: false,
            filter_sampling_rate: None,
            torchaudio_resampling: None,
            file: OWN_FILE,
        }
    }
}

/// What features may be made of at most: many times what any network reads, and what memory holds.
const MAX_RATE_HZ: u32 = 768_000;
const MAX_BANDS: usize = 1024;
const MAX_FFT: usize = 1 << 16;
const MAX_SAMPLES: usize = 1 << 26;
const MAX_FRAMES: usize = 1 << 16;

const EXTRACTOR: &str = "ClapFeatureExtractor";

impl FeatureConfig {
    /// Reads it from a checkpoint's folder. Where both files have it that of the processor counts, as in transformers.
    ///
    /// # Errors
    /// No file has it, or one is not as expected.
    pub fn open(dir: &ModelDir) -> Result<Self, ModelError> {
        let joint: Option<Joint> = dir.optional_json(JOINT_FILE)?;
        if let Some(config) = joint.and_then(|joint| joint.feature_extractor.or(joint.audio_processor)) {
            return Ok(Self { file: JOINT_FILE, ..config });
        }
        dir.json(OWN_FILE)
    }

    /// Samples of what the network sees.
    pub fn max_samples(&self) -> usize {
        self.max_length_s as usize * self.sampling_rate as usize
    }

    /// Frames of what the network sees.
    pub fn frames(&self) -> usize {
        self.max_samples() / self.hop_length + 1
    }

    /// # Errors
    /// [`FeatureError::Config`] with the key that is not supported.
    pub fn validate(&self) -> Result<(), FeatureError> {
        let file = self.file;
        let refuse = |key, value: String, supported| Err(FeatureError::Config { file, key, value, supported });
        if self.feature_extractor_type != EXTRACTOR {
            return refuse("feature_extractor_type", self.feature_extractor_type.clone(), EXTRACTOR);
        }
        if !(1..=MAX_RATE_HZ).contains(&self.sampling_rate) {
            return refuse("sampling_rate", self.sampling_rate.to_string(), "1 to 768000");
        }
        if let Some(rate) = self.filter_sampling_rate.filter(|rate| !(1..=MAX_RATE_HZ).contains(rate)) {
            return refuse("filter_sampling_rate", rate.to_string(), "1 to 768000");
        }
        if self.hop_length == 0 {
            return refuse("hop_length", "0".to_owned(), "1 or more");
        }
        if !(1..=MAX_BANDS).contains(&self.feature_size) {
            return refuse("feature_size", self.feature_size.to_string(), "1 to 1024");
        }
        if self.fft_window_size > MAX_FFT {
            return refuse("fft_window_size", self.fft_window_size.to_string(), "at most 65536");
        }
        if !(self.frequency_min >= 0.0 && self.frequency_min < self.frequency_max && self.frequency_max.is_finite()) {
            let edges = format!("{} (frequency_min {})", self.frequency_max, self.frequency_min);
            return refuse("frequency_max", edges, "above frequency_min, which is 0 or more");
        }
        // Of an odd length the middle is between two samples, and pieces would have another number of frames.
        if self.fft_window_size < 2 || self.fft_window_size % 2 == 1 {
            return refuse("fft_window_size", self.fft_window_size.to_string(), "even lengths");
        }
        if self.max_length_s == 0 || self.max_samples() > MAX_SAMPLES || self.frames() > MAX_FRAMES {
            return refuse(
                "max_length_s",
                self.max_length_s.to_string(),
                "1 or more, to 65536 frames and 2^26 samples",
            );
        }
        Ok(())
    }

    /// The front end. Its filters are those that the authors trained behind: librosa's where one piece is taken, torchaudio's else.
    pub fn front_end(&self) -> FrontEndConfig {
        let filters = match self.truncation {
            Truncation::Fusion | Truncation::Whole => MelConfig::htk,
            Truncation::RandTrunc => MelConfig::slaney,
        };
        let mel = filters(self.feature_size, self.frequency_min, self.frequency_max);
        // transformers computes the frequencies of bins as torchaudio does, whatever the filters.
        let mel = MelConfig { bins: BinSpacing::WholeHalves, ..mel };
        // Of the rate, the front end knows the filters alone.
        let rate = self.filter_sampling_rate.unwrap_or(self.sampling_rate);
        FrontEndConfig::clap(rate, self.fft_window_size, self.hop_length, mel)
    }
}
