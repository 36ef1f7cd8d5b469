//! Rotary positions.

use candle_core::{D, DType, Result, Tensor, bail};

use super::fused;

/// Positions as rotations of queries and keys (Su et al., 2021): values `i` and `i + W/2` of a head are one pair, as in
/// the checkpoints of Llama and Qwen2. In f32, whatever the type of what is turned: bfloat16 cannot tell positions
/// beyond 256 apart.
#[derive(Debug, Clone)]
pub struct Rotary {
    frequencies: Vec<f32>, // (W/2), radians per position
    sections: Vec<usize>,  // pairs of each axis, or none
}

/// How frequencies are changed so that a network reads longer texts than it was first trained on; `rope_scaling`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// All positions are divided by the factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3: slow pairs are divided by the factor, fast ones stay, and those between are interpolated.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Pairs that turn less often than this over the original length are slow.
        low_freq_factor: f64,
        /// Pairs that turn more often than this over the original length are fast.
        high_freq_factor: f64,
        /// The original length, in tokens.
        original_max_position_embeddings: usize,
    },
}

impl RopeScaling {
    /// In f32, as the reference computes it.
    fn scaled(self, frequency: f32) -> f32 {
        match self {
            Self::Linear { factor } => frequency / factor as f32,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let original = original_max_position_embeddings as f32;
                let (low, high) = (low_freq_factor as f32, high_freq_factor as f32);
                let wavelength = std::f32::consts::TAU / frequency;
                if wavelength > original / low {
                    return frequency / factor as f32;
                }
                if wavelength < original / high {
                    return frequency;
                }
                let smooth = (original / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
            }
        }
    }
}

impl Rotary {
    /// For heads of `width` values; `theta` is the configuration's `rope_theta`.
    ///
    /// # Errors
    /// The width is odd or 0.
    pub fn new(width: usize, theta: f64) -> Result<Self> {
        if width == 0 || !width.is_multiple_of(2) {
            bail!("rotary positions of heads of {width} values: not even");
        }
        // Rounded where the reference rounds: far positions multiply the smallest difference.
        let frequency = |n: usize| 1.0 / (theta.powf(f64::from(2.0 * n as f32 / width as f32)) as f32);
        Ok(Self { frequencies: (0..width / 2).map(frequency).collect(), sections: Vec::new() })
    }

    /// Changes the frequencies.
    #[must_use]
    pub fn with_scaling(mut self, scaling: RopeScaling) -> Self {
        self.frequencies.iter_mut().for_each(|frequency| *frequency = scaling.scaled(*frequency));
        self
    }

    /// Divides the frequency of each pair by a factor of its own, as GGUF files state the scaling of Llama 3.
    ///
    /// # Errors
    /// There is not one factor for each pair.
    pub fn with_factors(mut self, factors: &[f32]) -> Result<Self> {
        if factors.len() != self.frequencies.len() {
            bail!("{} rotary factors of {} pairs", factors.len(), self.frequencies.len());
        }
        self.frequencies.iter_mut().zip(factors).for_each(|(frequency, factor)| *frequency /= factor);
        Ok(self)
    }

    /// Takes positions of several axes: the first `sections[0]` pairs turn by the first axis, the next
    /// `sections[1]` by the second, and so on; `mrope_section` of Qwen2.5-Omni (time, height, width).
    ///
    /// # Errors
    /// The sections do not sum to the pairs of a head.
    pub fn with_sections(mut self, sections: &[usize]) -> Result<Self> {
        if sections.iter().sum::<usize>() != self.frequencies.len() {
            bail!("rotary sections {sections:?} of {} pairs", self.frequencies.len());
        }
        self.sections = sections.to_vec();
        Ok(self)
    }

    /// For heads of `width` values with positions on two axes, each of which turns one half of the pairs by frequencies of its
    /// own, as timm does it for patches of pictures.
    ///
    /// # Errors
    /// The width is no multiple of 4, or 0.
    pub fn axial(width: usize, theta: f64) -> Result<Self> {
        if !width.is_multiple_of(4) {
            bail!("rotary positions on two axes of heads of {width} values: no multiple of 4");
        }
        let Self { mut frequencies, .. } = Self::new(width / 2, theta)?;
        frequencies.extend_from_within(..);
        Ok(Self { frequencies, sections: vec![width / 4; 2] })
    }

    /// Radians per position of each pair.
    #[must_use]
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// Cosines and sines for position ids (B, T), or (1, T) for all rows; all layers share them. With sections also for
    /// ids (A, B, T) of A axes; ids (B, T) stand for all axes then.
    ///
    /// # Errors
    /// Another number of axes than sections, memory, device.
    pub fn angles(&self, positions: &Tensor) -> Result<Angles> {
        if positions.rank() == 2 {
            return Self::angles_of(positions, &self.frequencies);
        }
        let (axes, _, _) = positions.dims3()?;
        if axes != self.sections.len() {
            bail!("rotary positions of {axes} axes for {} sections", self.sections.len());
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(axes);
        for (axis, &pairs) in self.sections.iter().enumerate() {
            parts.push(Self::angles_of(&positions.get(axis)?, &self.frequencies[start..start + pairs])?);
            start += pairs;
        }
        let joined = |part: fn(&Angles) -> &Tensor| Tensor::cat(&parts.iter().map(part).collect::<Vec<_>>(), 3);
        Ok(Angles { cos: joined(|part| &part.cos)?, sin: joined(|part| &part.sin)? })
    }

    fn angles_of(positions: &Tensor, frequencies: &[f32]) -> Result<Angles> {
        let (b, t) = positions.dims2()?;
        let frequencies = Tensor::new(frequencies, positions.device())?;
        let angles = positions.to_dtype(DType::F32)?.reshape((b, 1, t, 1))?.broadcast_mul(&frequencies)?;
        Ok(Angles { cos: angles.cos()?, sin: angles.sin()? })
    }
}

/// Rotations of a batch of positions.
#[derive(Debug, Clone)]
pub struct Angles {
    cos: Tensor, // (B, 1, T, W/2)
    sin: Tensor, // (B, 1, T, W/2)
}

impl Angles {
    /// Turns queries or keys (B, H, T, W). Differentiable.
    ///
    /// # Errors
    /// Another shape, memory, device.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if fused::is_cpu_f32(x) && [&self.cos, &self.sin].into_iter().all(fused::is_supported) {
            return fused::rotated(x, &self.cos, &self.sin);
        }
        let half = self.cos.dim(D::Minus1)?;
        let wide = x.to_dtype(DType::F32)?;
        let (a, b) = (wide.narrow(D::Minus1, 0, half)?, wide.narrow(D::Minus1, half, half)?);
        let turned_a = (a.broadcast_mul(&self.cos)? - b.broadcast_mul(&self.sin)?)?;
        let turned_b = (b.broadcast_mul(&self.cos)? + a.broadcast_mul(&self.sin)?)?;
        let turned = Tensor::cat(&[turned_a, turned_b], D::Minus1)?;
        if turned.dims() != x.dims() {
            bail!("rotary positions for heads of {} values, given {:?}", 2 * half, x.dims());
        }
        turned.to_dtype(x.dtype())
    }

    /// As [`Angles::forward`], where values `2i` and `2i + 1` of a head are one pair.
    ///
    /// # Errors
    /// Another shape, memory, device.
    pub fn forward_neighbours(&self, x: &Tensor) -> Result<Tensor> {
        let (b, heads, t, width) = x.dims4()?;
        let half = self.cos.dim(D::Minus1)?;
        if width != 2 * half {
            bail!("rotary positions for heads of {} values, given {:?}", 2 * half, x.dims());
        }
        let pairs = x.to_dtype(DType::F32)?.reshape((b, heads, t, half, 2))?;
        let part = |n: usize| pairs.narrow(4, n, 1)?.squeeze(4);
        let (a, b) = (part(0)?, part(1)?);
        let turned_a = (a.broadcast_mul(&self.cos)? - b.broadcast_mul(&self.sin)?)?;
        let turned_b = (b.broadcast_mul(&self.cos)? + a.broadcast_mul(&self.sin)?)?;
        Tensor::stack(&[turned_a, turned_b], 4)?.reshape(x.dims())?.to_dtype(x.dtype())
    }

    /// The gradient of queries or keys (B, H, T, W), from that of what they were turned to: it turns back.
    ///
    /// # Errors
    /// Another shape, memory, device.
    pub(super) fn back(&self, grad: &Tensor) -> Result<Tensor> {
        Self { cos: self.cos.clone(), sin: self.sin.neg()? }.forward(grad)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::finite_differences::check_gradient;
    use candle_core::Device;

    #[test]
    fn only_the_distance_of_two_positions_matters() {
        let rotary = Rotary::new(8, 10_000.0).unwrap();
        let x = |shift: f64| Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap().affine(0.3, shift).unwrap();
        let product = |p: u32, q: u32| {
            let turn = |x: Tensor, at: u32| {
                let angles = rotary.angles(&Tensor::new(&[[at]], &Device::Cpu).unwrap()).unwrap();
                angles.forward(&x.reshape((1, 1, 1, 8)).unwrap()).unwrap()
            };
            let products = (turn(x(0.2), p) * turn(x(-1.1), q)).unwrap();
            products.sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        assert!((product(3, 1) - product(102, 100)).abs() < 1e-4);
        assert!((product(3, 1) - product(3, 2)).abs() > 1e-2);
    }

    #[test]
    fn sections_have_to_fit() {
        let rotary = Rotary::new(8, 1e4).unwrap();
        assert!(rotary.clone().with_sections(&[1, 1, 1]).is_err());
        let rotary = rotary.with_sections(&[2, 1, 1]).unwrap();
        for axes in [1, 2, 4] {
            assert!(rotary.angles(&Tensor::zeros((axes, 1, 5), DType::U32, &Device::Cpu).unwrap()).is_err());
        }
    }

    /// Both forms of training: that of the CPU in f32, and that of other types and devices.
    #[test]
    fn gradients_on_one_axis_and_on_three_are_what_values_say() {
        let rotary = Rotary::new(8, 1e4).unwrap().with_sections(&[1, 2, 1]).unwrap();
        let text = Tensor::new(&[[0u32, 1, 2], [5, 6, 7]], &Device::Cpu).unwrap();
        let media =
            Tensor::new(&[[[3u32, 3, 28], [0, 1, 2]], [[3, 4, 3], [0, 1, 2]], [[4, 5, 6], [0, 1, 2]]], &Device::Cpu);
        let x = Tensor::arange(0f32, 96.0, &Device::Cpu).unwrap().affine(0.7, 0.2).unwrap().sin().unwrap();
        let x = x.reshape((2, 2, 3, 8)).unwrap();
        for positions in [text, media.unwrap()] {
            let angles = rotary.angles(&positions).unwrap();
            check_gradient(&x, |x| angles.forward(x));
            check_gradient(&x, |x| angles.forward(&x.to_dtype(DType::F64)?)?.to_dtype(DType::F32));
            let composed = angles.forward(&x.to_dtype(DType::F64).unwrap()).unwrap().to_dtype(DType::F32).unwrap();
            let difference = (angles.forward(&x).unwrap() - composed).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }

    #[test]
    fn heads_of_another_width_are_refused() {
        assert!(Rotary::new(7, 1e4).is_err() && Rotary::new(0, 1e4).is_err());
        let angles = Rotary::new(8, 1e4).unwrap().angles(&Tensor::new(&[[0u32, 1]], &Device::Cpu).unwrap()).unwrap();
        for width in [6, 10] {
            assert!(angles.forward(&Tensor::zeros((1, 2, 2, width), DType::F32, &Device::Cpu).unwrap()).is_err());
        }
    }
}
