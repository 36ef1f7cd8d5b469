//! The audio tower: the layers of Whisper over windows of two seconds that do not see each other.

use candle_core::{Device, Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use super::OmniTowerConfig;
use crate::audio::whisper::{LAYER_NORM_EPS, block, convolutions};
use crate::error::Result;
use crate::nn::{Activation, AttentionContext, Conv1d, LayerNorm, Linear, Mode, TransformerBlock};

/// The longest wave of the positions, in states times 2π.
const MAX_TIMESCALE: f32 = 10_000.0;

/// Two convolutions over the frames of each window, fixed positions that begin anew in each, transformer blocks, the average
/// of each two states, a norm, and a map to the width of the language model.
#[derive(Debug, Clone)]
pub struct OmniAudioTower {
    convolutions: [Conv1d; 2],
    positions: Tensor, // (S, D)
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    projector: Linear,
    /// Frames of a window.
    window: usize,
}

impl OmniAudioTower {
    /// Loads `conv1`, `conv2`, `layers`, `ln_post` and `proj` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or sizes do not fit each other.
    pub fn load(vb: &VarBuilder<'_>, config: &OmniTowerConfig) -> Result<Self> {
        config.validate()?;
        let encoder = &config.encoder;
        let shape = block(encoder.dim, encoder.heads, encoder.intermediate, encoder.activation, false);
        let blocks = (0..encoder.layers).map(|n| TransformerBlock::load(&vb.pp("layers").pp(n), &shape));
        Ok(Self {
            convolutions: convolutions(vb, encoder)?,
            positions: sinusoids(config.window, encoder.dim, vb.device())?.to_dtype(vb.dtype())?,
            blocks: blocks.collect::<TensorResult<_>>()?,
            norm: LayerNorm::load(&vb.pp("ln_post"), encoder.dim, LAYER_NORM_EPS)?,
            projector: Linear::load(&vb.pp("proj"), encoder.dim, config.output, 0.02)?,
            window: 2 * config.window,
        })
    }

    /// The states (S, D) of the frames (1, M, F) of one sound, behind the blocks: one for each two frames, rounded up.
    ///
    /// # Errors
    /// There is no frame, another number of bands, memory, device.
    pub fn states(&self, mel: &Tensor) -> Result<Tensor> {
        self.in_windows(mel, |mut x| {
            for block in &self.blocks {
                x = block.forward(&x, &AttentionContext::full(Mode::Infer), None, None)?;
            }
            Ok(x)
        })
    }

    /// What the first block gets of the frames (1, M, F) of one sound: the states (1, S, D) behind the convolutions, with
    /// their positions. Differentiable.
    ///
    /// # Errors
    /// As [`OmniAudioTower::states`].
    pub fn stem(&self, mel: &Tensor) -> Result<Tensor> {
        Ok(self.in_windows(mel, Ok)?.unsqueeze(0)?)
    }

    /// The states of each window of a sound of so many frames: all windows are full but the last.
    #[must_use]
    pub fn window_states(&self, frames: usize) -> Vec<usize> {
        let of_window = |begin: usize| (frames - begin).min(self.window).div_ceil(2);
        (0..frames).step_by(self.window).map(of_window).collect()
    }

    /// The states (S, D) of all windows of a sound, from what `map` makes of those of windows (W, S, D) of one length.
    fn in_windows(&self, mel: &Tensor, map: impl Fn(Tensor) -> TensorResult<Tensor>) -> Result<Tensor> {
        let (_, bands, frames) = mel.dims3()?;
        let (full, rest) = (frames / self.window, frames % self.window);
        let mut parts = Vec::with_capacity(2);
        if full > 0 {
            let windows = mel.narrow(2, 0, full * self.window)?.reshape((bands, full, self.window))?;
            parts.push(map(self.convolved(&windows.transpose(0, 1)?.contiguous()?)?)?.flatten(0, 1)?);
        }
        if rest > 0 {
            let windows = mel.narrow(2, full * self.window, rest)?.contiguous()?;
            parts.push(map(self.convolved(&windows)?)?.flatten(0, 1)?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// The states (W, S, D) of windows (W, M, F) of one length behind the convolutions, none of which sees another, with
    /// their positions.
    fn convolved(&self, mel: &Tensor) -> TensorResult<Tensor> {
        let [first, halving] = &self.convolutions;
        let x = first.forward_activated(&mel.to_dtype(self.positions.dtype())?, Activation::Gelu)?;
        let x = halving.forward_activated(&x, Activation::Gelu)?.transpose(1, 2)?;
        x.broadcast_add(&self.positions.narrow(0, 0, x.dim(1)?)?)?.contiguous()
    }

    /// The blocks between the stem and the norm.
    #[must_use]
    pub fn blocks(&self) -> &[TransformerBlock] {
        &self.blocks
    }

    /// The vectors (T, E) of averages (T, D) of two states: normalised, then mapped to the width of the language model.
    ///
    /// # Errors
    /// Another width, memory, device.
    pub fn project(&self, pooled: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        self.projector.forward_in(&self.norm.forward(pooled)?, mode)
    }

    /// The vectors (T, E) of the frames (1, M, F) of one sound: of each two states, of which an odd last one is left out.
    ///
    /// # Errors
    /// There are fewer than two states; otherwise as [`OmniAudioTower::states`].
    pub fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let states = self.states(mel)?;
        let (n, dim) = states.dims2()?;
        let pooled = states.narrow(0, 0, n / 2 * 2)?.reshape((n / 2, 2, dim))?.mean(1)?;
        Ok(self.project(&pooled, Mode::Infer)?)
    }
}

/// The positions (n, dim) of Whisper, in f32 as the reference computes them: sines, then cosines, of waves whose lengths
/// grow geometrically.
fn sinusoids(n: usize, dim: usize, device: &Device) -> TensorResult<Tensor> {
    let waves = dim / 2;
    let growth = (f64::from(MAX_TIMESCALE).ln() / (waves - 1) as f64) as f32;
    let frequencies: Vec<f32> = (0..waves).map(|wave| (-growth * wave as f32).exp()).collect();
    let angles = |at: usize| frequencies.iter().map(move |frequency| at as f32 * frequency);
    let row = |at: usize| angles(at).map(f32::sin).chain(angles(at).map(f32::cos));
    Tensor::from_vec((0..n).flat_map(row).collect::<Vec<f32>>(), (n, 2 * waves), device)
}
