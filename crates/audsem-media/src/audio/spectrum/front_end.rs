//! From samples to features.

use super::config::check;
use super::log::Curve;
use super::transform::{Scratch, TILE, Tile, Transform};
use super::{FrameCount, FrontEndConfig, FrontEndError, MelBank, Normalization, Signal};

/// Turns sounds into features. Made once, used by any number of threads.
///
/// ```
/// use audsem_media::audio::{FrontEnd, FrontEndConfig};
///
/// let front_end = FrontEnd::new(&FrontEndConfig::whisper(80))?;
/// let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.173).sin()).collect(); // 440 Hz
/// let features = front_end.features(&tone)?;
/// assert_eq!((features.n_frames, features.n_bands), (3000, 80));
/// let middle = &features.values[50 * 80..51 * 80];
/// assert_eq!((0..80).max_by(|&a, &b| middle[a].total_cmp(&middle[b])), Some(11)); // from 410 to 485 Hz
/// # Ok::<(), audsem_media::audio::FrontEndError>(())
/// ```
#[derive(Debug)]
pub struct FrontEnd {
    config: FrontEndConfig,
    transform: Transform,
    bank: MelBank,
    curve: Curve,
}

/// The window and the filters that a checkpoint brings along.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontEndTables {
    /// The weight of each sample of a frame.
    pub window: Vec<f32>,
    /// The weights of the filters: (bins × bands).
    pub filters: Vec<f32>,
}

/// Features of a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// The features: (frames × bands). Finite.
    pub values: Vec<f32>,
    /// Number of frames.
    pub n_frames: usize,
    /// Number of bands.
    pub n_bands: usize,
}

/// Frames that are computed together, and what they are computed in.
struct TileBuffers {
    frames: Vec<usize>,
    scratch: Scratch,
    mel: Vec<Tile>,
}

impl FrontEnd {
    /// Plans the transform and computes the filters.
    ///
    /// # Errors
    /// [`FrontEndError::Config`].
    pub fn new(config: &FrontEndConfig) -> Result<FrontEnd, FrontEndError> {
        config.validate()?;
        let bank = MelBank::new(&config.mel, config.sample_rate_hz, config.fft.length)?;
        Ok(Self::with(config, &config.window.weights(config.frames.length), bank))
    }

    /// As [`FrontEnd::new`], with the window and the filters of a checkpoint in place of those that the configuration
    /// describes: a quantised checkpoint holds rounded ones, and its network was measured behind them.
    ///
    /// # Errors
    /// [`FrontEndError::Config`]; tables of another shape than the configuration has.
    pub fn with_tables(config: &FrontEndConfig, tables: &FrontEndTables) -> Result<FrontEnd, FrontEndError> {
        config.validate()?;
        let window: Vec<f64> = tables.window.iter().map(|weight| f64::from(*weight)).collect();
        check(window.len() == config.frames.length, "frames.length", config.frames.length, "the length of the window")?;
        let bank = MelBank::from_table(&tables.filters, config.mel.n_mels)?;
        let bins = config.fft.length / 2 + 1;
        check(
            tables.filters.len() == bins * config.mel.n_mels,
            "fft.length",
            config.fft.length,
            "that of the filters",
        )?;
        Ok(Self::with(config, &window, bank))
    }

    fn with(config: &FrontEndConfig, window: &[f64], bank: MelBank) -> Self {
        let transform = Transform::new(config, window, bank.bins());
        Self { config: config.clone(), transform, bank, curve: config.log.curve() }
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &FrontEndConfig {
        &self.config
    }

    /// Features of mono samples at the configured rate, full scale 1.0.
    ///
    /// # Errors
    /// [`FrontEndError::Empty`], [`FrontEndError::NotFinite`], [`FrontEndError::TooShort`], [`FrontEndError::Overflow`].
    pub fn features(&self, samples: &[f32]) -> Result<Spectrogram, FrontEndError> {
        check_samples(samples)?;
        let sound = match self.config.n_samples {
            Some(n) => Signal::filled(&samples[..samples.len().min(n)], samples.len().min(n), n),
            None => Signal::new(samples),
        };
        let n_bands = self.config.mel.n_mels;
        let n_frames = self.n_frames(sound.len())?;
        let mut values = vec![0.0; n_frames * n_bands];
        self.write_frames(&sound, 0..n_frames, &mut values);
        self.finish_clip(&mut values);
        if values.iter().any(|value| !value.is_finite()) {
            let peak = samples.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()));
            return Err(FrontEndError::Overflow { peak });
        }
        Ok(Spectrogram { n_frames: values.len() / n_bands, values, n_bands })
    }

    /// How many frames are computed of a sound of that many samples.
    fn n_frames(&self, n_samples: usize) -> Result<usize, FrontEndError> {
        let all = self.config.frames.count(n_samples);
        let (n_frames, least) = match self.config.n_frames {
            FrameCount::All => (all, 1),
            FrameCount::AllButLast => (all.saturating_sub(1), 2),
            FrameCount::Fixed(n) => (all.min(n), 1),
        };
        if n_frames == 0 {
            let needed = self.config.frames.least_samples(least);
            return Err(FrontEndError::TooShort { samples: n_samples, needed });
        }
        Ok(n_frames)
    }

    /// Steps that need all frames of a clip.
    fn finish_clip(&self, values: &mut Vec<f32>) {
        self.config.log.finish_clip(values);
        if let FrameCount::Fixed(n) = self.config.n_frames {
            values.resize(n * self.config.mel.n_mels, 0.0);
        }
        if let Some(Normalization { mean, divisor }) = self.config.normalization {
            values.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) / divisor) as f32);
        }
    }

    /// Writes the values of some frames of a sound to their places in `out` (frames × bands): logarithms of the bands,
    /// but nothing that needs the whole clip, as a floor below its loudest value or the normalization do. Samples must be
    /// finite; see [`check_samples`]. Frames of digital silence are not transformed.
    ///
    /// # Panics
    /// If `out` has no room for one of `frames`.
    pub fn write_frames(&self, sound: &Signal<'_>, frames: impl IntoIterator<Item = usize>, out: &mut [f32]) {
        let n_bands = self.config.mel.n_mels;
        let mut silence = [0.0];
        self.curve.apply(&mut silence);
        let mut samples = vec![0.0; self.config.frames.length];
        let mut tile = TileBuffers {
            frames: Vec::with_capacity(TILE),
            scratch: self.transform.scratch(),
            mel: vec![[0.0; TILE]; n_bands],
        };
        for frame in frames {
            let start = self.config.frames.start(frame);
            if is_silent(sound.frame(start, self.config.frames.padding, &mut samples)) {
                out[frame * n_bands..][..n_bands].fill(silence[0] as f32);
                continue;
            }
            tile.frames.push(frame);
            if tile.frames.len() == TILE {
                self.write_tile(sound, &mut tile, out);
            }
        }
        if !tile.frames.is_empty() {
            self.write_tile(sound, &mut tile, out);
        }
    }

    fn write_tile(&self, sound: &Signal<'_>, tile: &mut TileBuffers, out: &mut [f32]) {
        let TileBuffers { frames, scratch, mel } = tile;
        self.bank.apply(self.transform.spectra(sound, frames, scratch), mel);
        self.curve.apply(mel.as_flattened_mut());
        for (lane, frame) in frames.drain(..).enumerate() {
            let out = &mut out[frame * mel.len()..][..mel.len()];
            for (out, mel) in out.iter_mut().zip(&*mel) {
                *out = mel[lane] as f32;
            }
        }
    }
}

/// Checks that there are samples and that all of them are finite.
///
/// # Errors
/// [`FrontEndError::Empty`], [`FrontEndError::NotFinite`].
pub fn check_samples(samples: &[f32]) -> Result<(), FrontEndError> {
    if samples.is_empty() {
        return Err(FrontEndError::Empty);
    }
    // 0·x is 0 unless x is infinite or not a number; sixteen sums side by side become vector instructions.
    let mut sums = [0.0_f32; 16];
    let (chunks, rest) = samples.as_chunks::<16>();
    for chunk in chunks {
        for (sum, sample) in sums.iter_mut().zip(chunk) {
            *sum += 0.0 * sample;
        }
    }
    if sums.iter().chain(rest).all(|value| value.is_finite()) {
        return Ok(());
    }
    let found = samples.iter().enumerate().find(|(_, sample)| !sample.is_finite());
    found.map_or(Ok(()), |(index, value)| Err(FrontEndError::NotFinite { index, value: *value }))
}

/// Whether all samples are zero.
fn is_silent(samples: &[f32]) -> bool {
    // As a rule the first one is not; blocks without a way out are tested in vectors.
    samples.first().is_none_or(|first| *first == 0.0)
        && samples.chunks(32).all(|block| block.iter().fold(true, |silent, sample| silent & (*sample == 0.0)))
}
