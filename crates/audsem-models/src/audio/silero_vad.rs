//! Silero VAD: the probability of speech in each 32 ms of a sound.
//!
//! Silero Team, "Silero VAD", 2024, version 6 at 16 kHz; numbers agree with the ONNX graph of the package `silero-vad`, of
//! whose weights these are (`fixtures/regen/silero_vad.py`). The safetensors of that package hold another training of the
//! same network, whose probabilities differ by up to 0.5.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::check_samples;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;

use crate::error::Result;
use crate::nn::{Conv1d, ConvConfig, Linear};

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples that get one probability.
pub const WINDOW_SAMPLES: usize = 512;

/// A window counts as speech from this probability on, as in the package.
pub const SPEECH_THRESHOLD: f32 = 0.5;

/// Samples before each window that the network sees with it.
const CONTEXT: usize = 64;
/// Samples mirrored behind each window.
const MIRRORED: usize = 64;
/// Length of the transform, and of its steps.
const TRANSFORM: usize = 256;
const TRANSFORM_STEP: usize = 128;
/// Bins of the transform.
const BINS: usize = TRANSFORM / 2 + 1;
/// Width D of the recurrent state.
const WIDTH: usize = 128;
/// Inputs, outputs and steps of the convolutions over the spectrum.
const CONVOLUTIONS: [(usize, usize, usize); 4] = [(BINS, 128, 1), (128, 64, 2), (64, 64, 2), (64, WIDTH, 1)];
/// Windows that go through the convolutions at once.
const WINDOWS_AT_ONCE: usize = 64;

/// The network: a spectrum by convolution, four convolutions over it, and a recurrent cell from window to window.
#[derive(Debug, Clone)]
pub struct SileroVad {
    transform: Conv1d,
    convolutions: Vec<Conv1d>,
    input: Linear,
    cell: Cell,
    device: Device,
}

/// The recurrent cell and the head behind it, as plain numbers: windows follow each other, and for so little work at a time
/// the calls of a tensor library would take longer than the sums.
#[derive(Debug, Clone)]
struct Cell {
    /// What each number of the state adds to the gates: (D, 4 D).
    recurrent: Vec<f32>,
    bias: Vec<f32>,
    head: Vec<f32>,
    head_bias: f32,
}

impl SileroVad {
    /// Opens a folder of converted weights. They are kept in f32: the network is small.
    ///
    /// # Errors
    /// The file cannot be read, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device) -> Result<Self> {
        let weights = Weights::open(dir, device, DType::F32)?;
        let network = Self::load(&weights.var_builder())?;
        weights.finish(|_| false)?;
        Ok(network)
    }

    /// Loads all tensors.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let spectrum =
            ConvConfig { stride: [1, TRANSFORM_STEP], bias: false, ..ConvConfig::over_time(1, 2 * BINS, TRANSFORM) };
        let convolution = |(n, (channels, outputs, stride)): (usize, (usize, usize, usize))| {
            let plain = ConvConfig::over_time(channels, outputs, 3);
            let config = ConvConfig { stride: [1, stride], padding: [0, 1], ..plain };
            Conv1d::load(&vb.pp(format!("conv{}", n + 1)), &config)
        };
        let cell = vb.pp("lstm_cell");
        let randn = Init::Randn { mean: 0.0, stdev: 0.02 };
        let weight = cell.get_with_hints((4 * WIDTH, WIDTH), "weight_ih", randn)?;
        let bias = cell.get_with_hints(4 * WIDTH, "bias_ih", randn)?;
        Ok(Self {
            transform: Conv1d::load(&vb.pp("stft_conv"), &spectrum)?,
            convolutions: CONVOLUTIONS.into_iter().enumerate().map(convolution).collect::<candle_core::Result<_>>()?,
            input: Linear::from_tensors(weight, Some(bias)),
            cell: Cell::load(vb)?,
            device: vb.device().clone(),
        })
    }

    /// The probability of speech in each window of [`WINDOW_SAMPLES`] of a clip: mono samples at [`SAMPLE_RATE_HZ`], full
    /// scale 1.0. Zeros fill the last window.
    ///
    /// # Errors
    /// The sound is empty or not finite; memory, device.
    pub fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>> {
        check_samples(samples)?;
        let n_windows = samples.len().div_ceil(WINDOW_SAMPLES);
        let mut state = State::silence();
        let mut probabilities = Vec::with_capacity(n_windows);
        for first in (0..n_windows).step_by(WINDOWS_AT_ONCE) {
            let part = windows(samples, first..n_windows.min(first + WINDOWS_AT_ONCE), &self.device)?;
            let gates: Vec<Vec<f32>> = self.input.forward(&self.features(&part)?)?.to_vec2()?; // (N, 4 D)
            probabilities.extend(gates.into_iter().map(|gates| self.cell.next(gates, &mut state)));
        }
        Ok(probabilities)
    }

    /// The share of a clip's windows that are speech, from 0 to 1: those with a probability of [`SPEECH_THRESHOLD`] or more.
    ///
    /// # Errors
    /// As [`SileroVad::probabilities`].
    pub fn speech_share(&self, samples: &[f32]) -> Result<f32> {
        let probabilities = self.probabilities(samples)?;
        let speech = probabilities.iter().filter(|probability| **probability >= SPEECH_THRESHOLD).count();
        Ok(speech as f32 / probabilities.len() as f32)
    }

    /// [`SileroVad::speech_share`] of several clips, side by side on all threads.
    ///
    /// # Errors
    /// As [`SileroVad::probabilities`].
    pub fn speech_shares(&self, clips: &[impl AsRef<[f32]> + Sync]) -> Result<Vec<f32>> {
        clips.par_iter().map(|samples| self.speech_share(samples.as_ref())).collect()
    }

    /// Vectors (N, D) of windows (N, context, window and mirror image).
    fn features(&self, windows: &Tensor) -> candle_core::Result<Tensor> {
        let parts = self.transform.forward(&windows.unsqueeze(1)?)?; // (N, 2 · bins, frames)
        let [real, imaginary] = [0, BINS].map(|first| parts.narrow(1, first, BINS)?.sqr());
        let mut x = (real? + imaginary?)?.sqrt()?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.relu()?;
        }
        x.squeeze(2)
    }
}

/// What the network remembers from window to window.
struct State {
    hidden: [f32; WIDTH],
    cell: [f32; WIDTH],
}

impl State {
    fn silence() -> Self {
        Self { hidden: [0.0; WIDTH], cell: [0.0; WIDTH] }
    }
}

impl Cell {
    fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let randn = Init::Randn { mean: 0.0, stdev: 0.02 };
        let (cell, head) = (vb.pp("lstm_cell"), vb.pp("final_conv"));
        let values = |tensor: Tensor| tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>();
        let recurrent = cell.get_with_hints((4 * WIDTH, WIDTH), "weight_hh", randn)?;
        let head_bias = values(head.get_with_hints(1, "bias", randn)?)?;
        Ok(Self {
            recurrent: values(recurrent.t()?.contiguous()?)?,
            bias: values(cell.get_with_hints(4 * WIDTH, "bias_hh", randn)?)?,
            head: values(head.get_with_hints((1, WIDTH, 1), "weight", randn)?)?,
            head_bias: head_bias.first().copied().unwrap_or_default(),
        })
    }

    /// The probability of a window from what its input gives to the gates (4 D), which torch orders as input, forget, cell
    /// and output.
    fn next(&self, mut gates: Vec<f32>, state: &mut State) -> f32 {
        gates.iter_mut().zip(&self.bias).for_each(|(gate, bias)| *gate += bias);
        for (hidden, row) in state.hidden.iter().zip(self.recurrent.chunks(4 * WIDTH)) {
            gates.iter_mut().zip(row).for_each(|(gate, weight)| *gate += hidden * weight);
        }
        let mut logit = self.head_bias;
        for n in 0..WIDTH {
            let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * WIDTH + n]);
            state.cell[n] = sigmoid(forget) * state.cell[n] + sigmoid(input) * new.tanh();
            state.hidden[n] = sigmoid(output) * state.cell[n].tanh();
            logit += self.head[n] * state.hidden[n].max(0.0);
        }
        sigmoid(logit)
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Windows (N, context, window and mirror image) of a clip: what lies before each, the window, and the mirror image of its
/// end.
fn windows(samples: &[f32], range: std::ops::Range<usize>, device: &Device) -> candle_core::Result<Tensor> {
    let seen = CONTEXT + WINDOW_SAMPLES;
    let shape = (range.len(), seen + MIRRORED);
    let sample = |n: usize| n.checked_sub(CONTEXT).and_then(|n| samples.get(n)).copied().unwrap_or(0.0);
    let values = range.flat_map(|window| {
        // The last sample is the mirror's edge and not repeated.
        let places = (0..seen).chain((seen - 1 - MIRRORED..seen - 1).rev());
        places.map(move |n| sample(window * WINDOW_SAMPLES + n))
    });
    Tensor::from_vec(values.collect(), shape, device)
}
