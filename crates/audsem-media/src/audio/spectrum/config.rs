//! The configuration of a front end.

use serde::{Deserialize, Serialize};

use super::{FrontEndError, LogScale, MelConfig, MelScale, WindowConfig};

/// Every choice of a front end. The constructors give those of the libraries; change fields from there.
///
/// ```
/// use audsem_media::audio::{FrontEnd, FrontEndConfig, LogScale};
///
/// let config = FrontEndConfig { log: LogScale::decibels(Some(120.0)), ..FrontEndConfig::sat() };
/// let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.1).sin()).collect();
/// let features = FrontEnd::new(&config)?.features(&tone)?;
/// assert_eq!((features.n_frames, features.n_bands), (101, 64));
/// # Ok::<(), audsem_media::audio::FrontEndError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEndConfig {
    /// Sample rate that sounds must have, in Hz.
    pub sample_rate_hz: u32,
    /// Factor on every sample: 32768 for networks that were trained on 16-bit integers.
    pub gain: f64,
    /// Number of samples that every sound is cut or padded with zeros to; `None`: it keeps its length.
    pub n_samples: Option<usize>,
    /// How a sound is cut into frames, and what is done to each.
    pub frames: FrameConfig,
    /// The window.
    pub window: WindowConfig,
    /// The transform.
    pub fft: FftConfig,
    /// The bands.
    pub mel: MelConfig,
    /// The logarithm.
    pub log: LogScale,
    /// How many frames are kept.
    pub n_frames: FrameCount,
    /// The last step.
    pub normalization: Option<Normalization>,
}

/// How a sound is cut into frames, and what is done to each before the window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameConfig {
    /// Samples in a frame.
    pub length: usize,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// What lies beyond the ends of the sound.
    pub padding: Padding,
    /// Whether each frame's mean is subtracted from it.
    pub remove_dc: bool,
    /// The factor a of `x[n] − a · x[n − 1]`, within each frame; the first sample stands for the one before it. 0: none.
    pub pre_emphasis: f64,
}

/// What lies beyond the ends of a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Half a frame of the sound's mirror image, whose edge sample is not repeated. A sound shorter than that is
    /// mirrored again and again, as numpy does it; torch refuses it.
    Reflect,
    /// Half a frame of zeros.
    Constant,
    /// Nothing: only whole frames count. `center=False`, or Kaldi's `snip_edges=True`.
    None,
    /// The sound's mirror image with its edge sample repeated, so that there is a frame for each hop: Kaldi's
    /// `snip_edges=False`.
    Symmetric,
}

/// The transform of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FftConfig {
    /// Length in samples; zeros follow a frame that is shorter.
    pub length: usize,
    /// What is taken of each bin.
    pub spectrum: SpectrumKind,
    /// The precision of the transform.
    pub precision: FftPrecision,
}

/// What is taken of a bin X.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpectrumKind {
    /// |X|².
    Power,
    /// |X|.
    Magnitude,
    /// (Re X)²: LP-MusicCaps was trained without the imaginary part.
    RealPower,
}

/// The precision of windows and transforms; bands and logarithms are always computed in f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FftPrecision {
    /// 32 bits: faster, with noise at 1e-7 of the loudest partial, which is more than the quiet end of a spectrum has.
    F32,
    /// 64 bits.
    F64,
}

/// How many frames are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameCount {
    /// All frames.
    All,
    /// All but the last one.
    AllButLast,
    /// A fixed number; shorter sounds are padded with zero features, before the normalization.
    Fixed(usize),
}

/// (x − `mean`) / `divisor`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// What is subtracted.
    pub mean: f64,
    /// What is divided by; twice the standard deviation in AST and BEATs.
    pub divisor: f64,
}

impl FrameConfig {
    /// Number of frames of a sound of this many samples.
    pub fn count(&self, n_samples: usize) -> usize {
        let whole = |n_samples: usize| n_samples.checked_sub(self.length).map_or(0, |rest| 1 + rest / self.hop_length);
        match self.padding {
            Padding::Reflect | Padding::Constant => whole(n_samples + 2 * (self.length / 2)),
            Padding::None => whole(n_samples),
            Padding::Symmetric => (n_samples + self.hop_length / 2) / self.hop_length,
        }
    }

    /// The least number of samples that give so many frames, which are at least one.
    pub(super) fn least_samples(&self, n_frames: usize) -> usize {
        let first = match self.padding {
            Padding::Reflect | Padding::Constant => self.length % 2,
            Padding::None => self.length,
            Padding::Symmetric => self.hop_length.div_ceil(2),
        };
        (first + (n_frames - 1) * self.hop_length).max(1)
    }

    /// The first sample of a frame, which may lie before the sound.
    pub(super) fn start(&self, frame: usize) -> isize {
        let before = match self.padding {
            Padding::Reflect | Padding::Constant => (self.length / 2) as isize,
            Padding::None => 0,
            Padding::Symmetric => (self.length / 2) as isize - (self.hop_length / 2) as isize,
        };
        (frame * self.hop_length) as isize - before
    }
}

impl FrontEndConfig {
    /// # Errors
    /// [`FrontEndError::Config`] with the first field that cannot be.
    pub fn validate(&self) -> Result<(), FrontEndError> {
        self.check_frames()?;
        self.check_values()?;
        self.mel.check(self.sample_rate_hz)?;
        // Kaldi's filters end below the bin at half the sample rate, which odd lengths do not have.
        let odd_for_kaldi = self.mel.scale == MelScale::Kaldi && self.fft.length % 2 == 1;
        check(!odd_for_kaldi, "fft.length", self.fft.length, "even lengths with Kaldi's mel scale")
    }

    fn check_frames(&self) -> Result<(), FrontEndError> {
        let Self { frames, window, fft, .. } = self;
        check(frames.hop_length > 0, "frames.hop_length", frames.hop_length, "1 or more")?;
        check(frames.length > 1, "frames.length", frames.length, "2 or more")?;
        let fits = (1..=frames.length).contains(&window.length);
        check(fits, "window.length", window.length, "1 to the length of a frame")?;
        check(fft.length >= frames.length, "fft.length", fft.length, "the length of a frame or more")?;
        check(self.n_samples != Some(0), "n_samples", 0, "1 or more")?;
        check(self.n_frames != FrameCount::Fixed(0), "n_frames", 0, "1 or more")
    }

    fn check_values(&self) -> Result<(), FrontEndError> {
        let Self { gain, frames, normalization, .. } = self;
        check(gain.is_finite() && *gain != 0.0, "gain", gain, "finite numbers but 0")?;
        let emphasis = frames.pre_emphasis;
        check((0.0..=1.0).contains(&emphasis), "frames.pre_emphasis", emphasis, "0 to 1")?;
        if let Some(Normalization { mean, divisor }) = normalization {
            check(mean.is_finite(), "normalization.mean", mean, "finite numbers")?;
            let divides = divisor.is_finite() && *divisor != 0.0;
            check(divides, "normalization.divisor", divisor, "finite numbers but 0")?;
        }
        self.log.check()
    }
}

/// Refuses a field with an invalid value.
pub(super) fn check(
    good: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    supported: &'static str,
) -> Result<(), FrontEndError> {
    if good { Ok(()) } else { Err(FrontEndError::Config { field, value: value.to_string(), supported }) }
}
