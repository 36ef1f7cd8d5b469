//! Windowed transforms of several frames at a time.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{FftNum, RealFftPlanner, RealToComplex};

use super::{FftPrecision, FrameConfig, FrontEndConfig, Signal, SpectrumKind};

/// Frames that are handled together. The same bin of all of them lies side by side, so that sums over bins and
/// logarithms become vector instructions.
pub(super) const TILE: usize = 8;

/// One value of each frame of a tile.
pub(super) type Tile = [f64; TILE];

/// A number that frames are transformed in.
pub(super) trait Real: FftNum + From<f32> + Into<f64> {
    fn rounded(value: f64) -> Self;
}

impl Real for f32 {
    fn rounded(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn rounded(value: f64) -> Self {
        value
    }
}

/// Transforms frames in the configured precision.
pub(super) enum Transform {
    F32(Plan<f32>),
    F64(Plan<f64>),
}

/// Buffers of a [`Transform`].
pub(super) enum Scratch {
    F32(Buffers<f32>),
    F64(Buffers<f64>),
}

impl Transform {
    /// Plans the transform under a window; `n_bins` bins are wanted.
    pub(super) fn new(config: &FrontEndConfig, window: &[f64], n_bins: usize) -> Self {
        match config.fft.precision {
            FftPrecision::F32 => Self::F32(Plan::new(config, window, n_bins)),
            FftPrecision::F64 => Self::F64(Plan::new(config, window, n_bins)),
        }
    }

    /// Buffers of the right size.
    pub(super) fn scratch(&self) -> Scratch {
        match self {
            Self::F32(plan) => Scratch::F32(plan.buffers()),
            Self::F64(plan) => Scratch::F64(plan.buffers()),
        }
    }

    /// The spectra of up to [`TILE`] frames of a sound, a tile for each bin.
    ///
    /// # Panics
    /// If `scratch` is another transform's.
    pub(super) fn spectra<'s>(&self, sound: &Signal<'_>, frames: &[usize], scratch: &'s mut Scratch) -> &'s [Tile] {
        match (self, scratch) {
            (Self::F32(plan), Scratch::F32(buffers)) => plan.spectra(sound, frames, buffers),
            (Self::F64(plan), Scratch::F64(buffers)) => plan.spectra(sound, frames, buffers),
            _ => panic!("the buffers are of another precision"),
        }
    }
}

/// A planned transform.
pub(super) struct Plan<T> {
    fft: Arc<dyn RealToComplex<T>>,
    /// Weights of the samples of a frame, gain included.
    window: Vec<T>,
    frames: FrameConfig,
    spectrum: SpectrumKind,
    n_bins: usize,
}

/// Buffers of a [`Plan`].
pub(super) struct Buffers<T> {
    /// A frame that needs copying.
    samples: Vec<f32>,
    input: Vec<T>,
    output: Vec<Complex<T>>,
    fft: Vec<Complex<T>>,
    spectra: Vec<Tile>,
}

impl<T: Real> Plan<T> {
    fn new(config: &FrontEndConfig, window: &[f64], n_bins: usize) -> Self {
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(config.fft.length),
            window: window.iter().map(|weight| T::rounded(weight * config.gain)).collect(),
            frames: config.frames,
            spectrum: config.fft.spectrum,
            n_bins,
        }
    }

    fn buffers(&self) -> Buffers<T> {
        Buffers {
            samples: vec![0.0; self.frames.length],
            input: self.fft.make_input_vec(),
            output: self.fft.make_output_vec(),
            fft: self.fft.make_scratch_vec(),
            spectra: vec![[0.0; TILE]; self.n_bins],
        }
    }

    fn spectra<'s>(&self, sound: &Signal<'_>, frames: &[usize], buffers: &'s mut Buffers<T>) -> &'s [Tile] {
        let Buffers { samples, input, output, fft, spectra } = buffers;
        for (lane, frame) in frames.iter().enumerate().take(TILE) {
            self.prepare(sound.frame(self.frames.start(*frame), self.frames.padding, samples), input);
            self.fft.process_with_scratch(input, output, fft).expect("the plan made these buffers");
            let of = |values: fn(f64, f64) -> f64, spectra: &mut [Tile]| {
                for (tile, bin) in spectra.iter_mut().zip(output.iter()) {
                    tile[lane] = values(bin.re.into(), bin.im.into());
                }
            };
            match self.spectrum {
                SpectrumKind::Power => of(|re, im| re * re + im * im, spectra),
                SpectrumKind::Magnitude => of(f64::hypot, spectra),
                SpectrumKind::RealPower => of(|re, _| re * re, spectra),
            }
        }
        spectra
    }

    /// What is transformed of a frame.
    fn prepare(&self, samples: &[f32], input: &mut [T]) {
        let (frame, zeros) = input.split_at_mut(samples.len());
        zeros.fill(T::zero());
        if !self.frames.remove_dc && self.frames.pre_emphasis == 0.0 {
            for ((to, sample), weight) in frame.iter_mut().zip(samples).zip(&self.window) {
                *to = T::from(*sample) * *weight;
            }
            return;
        }
        let mean = if self.frames.remove_dc { mean(samples) } else { 0.0 };
        let (mean, emphasis) = (T::rounded(mean), T::rounded(self.frames.pre_emphasis));
        // The sample before the first is the first itself.
        let mut before = samples.first().map_or(T::zero(), |first| T::from(*first) - mean);
        for ((to, sample), weight) in frame.iter_mut().zip(samples).zip(&self.window) {
            let sample = T::from(*sample) - mean;
            *to = (sample - emphasis * before) * *weight;
            before = sample;
        }
    }
}

fn mean(samples: &[f32]) -> f64 {
    let mut sums = [0.0; TILE];
    let (tiles, rest) = samples.as_chunks::<TILE>();
    for tile in tiles {
        for (sum, sample) in sums.iter_mut().zip(tile) {
            *sum += f64::from(*sample);
        }
    }
    (sums.iter().sum::<f64>() + rest.iter().map(|sample| f64::from(*sample)).sum::<f64>()) / samples.len() as f64
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = match self {
            Self::F32(_) => FftPrecision::F32,
            Self::F64(_) => FftPrecision::F64,
        };
        f.debug_tuple("Transform").field(&precision).finish()
    }
}
