//! Short-time power spectra.

use super::AudioError;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Power spectra of overlapping frames under a periodic Hann window, centred: frame t has its middle at sample
/// t · hop, and the sound is continued by reflection at both ends (the edge sample is not repeated). What torch,
/// librosa and transformers do by default.
///
/// Computed in f64. A transform of single precision leaves noise at 1e-7 of the loudest partial, which is more than the
/// quiet end of a spectrum; and two frames share a complex transform, which makes f64 as fast as a real one in f32.
pub struct PowerStft {
    fft: Arc<dyn Fft<f64>>,
    window: Vec<f64>,
    hop: usize,
}

/// Buffers for [`PowerStft::power_of_two`].
#[derive(Debug)]
pub struct StftScratch {
    frames: Vec<Complex<f64>>,
    fft: Vec<Complex<f64>>,
}

impl PowerStft {
    /// Plans transforms of `n_fft` samples every `hop` samples.
    ///
    /// # Errors
    /// [`AudioError::Spectrum`] for a transform of less than 2 samples, or no hop.
    pub fn new(n_fft: usize, hop: usize) -> Result<PowerStft, AudioError> {
        if n_fft < 2 || hop == 0 {
            return Err(AudioError::Spectrum { what: format!("a transform of {n_fft} samples every {hop}") });
        }
        let window = (0..n_fft).map(|k| 0.5 - 0.5 * (TAU * k as f64 / n_fft as f64).cos()).collect();
        Ok(PowerStft { fft: FftPlanner::new().plan_fft_forward(n_fft), window, hop })
    }

    /// Length of a frame, in samples.
    pub fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Samples from one frame to the next.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// How many bins a spectrum has.
    pub fn bins(&self) -> usize {
        self.n_fft() / 2 + 1
    }

    /// How many samples are added at each end.
    pub fn margin(&self) -> usize {
        self.n_fft() / 2
    }

    /// How many frames a sound of that many samples has.
    pub fn frames(&self, samples: usize) -> usize {
        let padded = samples + 2 * self.margin();
        if padded < self.n_fft() { 0 } else { 1 + (padded - self.n_fft()) / self.hop }
    }

    /// A sound of `samples` samples with its margins: `fill` writes the sound, where zeros are; the margins are
    /// its reflection. (samples + 2 · [`margin`](Self::margin))
    pub fn padded(&self, samples: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
        let margin = self.margin();
        let mut padded = vec![0.0; samples + 2 * margin];
        fill(&mut padded[margin..margin + samples]);
        if samples > 0 {
            for distance in 1..=margin {
                padded[margin - distance] = padded[margin + reflected(distance, samples)];
                padded[margin + samples - 1 + distance] = padded[margin + samples - 1 - reflected(distance, samples)];
            }
        }
        padded
    }

    /// The samples of one frame of a sound with its margins.
    pub fn frame<'a>(&self, padded: &'a [f32], frame: usize) -> &'a [f32] {
        &padded[frame * self.hop..][..self.n_fft()]
    }

    /// Buffers of the right size.
    pub fn scratch(&self) -> StftScratch {
        let zero = Complex::new(0.0, 0.0);
        StftScratch { frames: vec![zero; self.n_fft()], fft: vec![zero; self.fft.get_inplace_scratch_len()] }
    }

    /// Power spectra |X|² of two frames, as many bins as `power` has room for.
    ///
    /// The frames are the real and the imaginary part of one complex signal z; their spectra are the even and
    /// the odd part of its spectrum: `X = (Z[k] + conj Z[n−k])/2`, `Y = (Z[k] − conj Z[n−k])/2i`.
    pub fn power_of_two(&self, frames: [&[f32]; 2], scratch: &mut StftScratch, power: [&mut [f64]; 2]) {
        let [first, second] = frames;
        for (((z, w), a), b) in scratch.frames.iter_mut().zip(&self.window).zip(first).zip(second) {
            *z = Complex::new(f64::from(*a) * w, f64::from(*b) * w);
        }
        self.fft.process_with_scratch(&mut scratch.frames, &mut scratch.fft);
        let z = &scratch.frames[..];
        let [first, second] = power;
        first[0] = z[0].re * z[0].re;
        second[0] = z[0].im * z[0].im;
        let ends = z[1..].iter().zip(z[1..].iter().rev());
        for (((up, down), x), y) in ends.zip(&mut first[1..]).zip(&mut second[1..]) {
            let (even, odd) = ((up.re + down.re, up.im - down.im), (up.re - down.re, up.im + down.im));
            *x = 0.25 * (even.0 * even.0 + even.1 * even.1);
            *y = 0.25 * (odd.0 * odd.0 + odd.1 * odd.1);
        }
    }
}

impl std::fmt::Debug for PowerStft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PowerStft").field("n_fft", &self.n_fft()).field("hop", &self.hop).finish_non_exhaustive()
    }
}

/// Index of the sample that lies `distance` outside of the first one, after as many reflections as it takes.
fn reflected(distance: usize, samples: usize) -> usize {
    if samples == 1 {
        return 0;
    }
    let period = 2 * (samples - 1);
    let along = distance % period;
    along.min(period - along)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn spectra(stft: &PowerStft, samples: &[f32], frames: [usize; 2]) -> [Vec<f64>; 2] {
        let padded = stft.padded(samples.len(), |to| to.copy_from_slice(samples));
        let (mut first, mut second) = (vec![0.0; stft.bins()], vec![0.0; stft.bins()]);
        let frames = frames.map(|frame| stft.frame(&padded, frame));
        stft.power_of_two(frames, &mut stft.scratch(), [&mut first, &mut second]);
        [first, second]
    }

    /// By the definitions: np.pad's "reflect", the window, the sum.
    fn naive(samples: &[f32], n_fft: usize, hop: usize, frame: usize, bin: usize) -> f64 {
        let last = samples.len() as isize - 1;
        let at = |mut index: isize| {
            while index < 0 || index > last {
                index = if index < 0 { -index } else { 2 * last - index };
                if last == 0 {
                    index = 0;
                }
            }
            f64::from(samples[index as usize])
        };
        let mut sum = Complex::new(0.0, 0.0);
        for k in 0..n_fft {
            let window = 0.5 * (1.0 - (TAU * k as f64 / n_fft as f64).cos());
            let value = at((frame * hop + k) as isize - (n_fft / 2) as isize) * window;
            let turn = TAU * ((k * bin) % n_fft) as f64 / n_fft as f64;
            sum += Complex::new(value * turn.cos(), -value * turn.sin());
        }
        sum.norm_sqr()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn spectra_are_those_of_the_definition(
            samples in prop::collection::vec(-1.0_f32..1.0, 1..200),
            n_fft in prop::sample::select(vec![2_usize, 8, 15, 16, 64, 100]),
            hop in 1_usize..40,
        ) {
            let stft = PowerStft::new(n_fft, hop).unwrap();
            let frames = stft.frames(samples.len());
            let padded = stft.padded(samples.len(), |to| to.copy_from_slice(&samples));
            prop_assert!(frames == 0 || (frames - 1) * hop + n_fft <= padded.len());
            prop_assert!(frames * hop + n_fft > padded.len(), "there is room for another frame");
            if frames > 0 {
                let chosen = [0, frames - 1];
                for (frame, power) in chosen.iter().zip(spectra(&stft, &samples, chosen)) {
                    for (bin, got) in power.iter().enumerate() {
                        let wanted = naive(&samples, n_fft, hop, *frame, bin);
                        prop_assert!((got - wanted).abs() < 1e-9, "frame {frame} bin {bin}: {got} {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_quiet_frame_keeps_its_spectrum_beside_a_loud_one() {
        let stft = PowerStft::new(1024, 1024).unwrap();
        let samples: Vec<f32> =
            (0..4096).map(|n| if n < 2048 { (n as f32 * 0.3).sin() } else { 1e-6 * (n as f32 * 0.7).sin() }).collect();
        let [_, together] = spectra(&stft, &samples, [1, 3]);
        let [alone, _] = spectra(&stft, &samples, [3, 3]);
        for (bin, (together, alone)) in together.iter().zip(&alone).enumerate() {
            assert!((together - alone).abs() <= 1e-6 * alone + 1e-22, "bin {bin}: {together:e} {alone:e}");
        }
    }

    #[test]
    fn no_transform_without_samples_or_hop() {
        assert!(PowerStft::new(1, 4).unwrap_err().to_string().contains("1 samples"));
        assert!(PowerStft::new(8, 0).unwrap_err().to_string().contains("every 0"));
    }
}
