//! Short-time power spectra.

use std::f64::consts::TAU;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::Signal;
use super::lanes::{LANES, Row};
use super::pair_fft::{PairFft, PairScratch};
use crate::audio::AudioError;

/// Power spectra of overlapping frames under a periodic Hann window, centred: frame t has its middle at sample
/// t · hop, and the sound is continued by reflection at both ends (the edge sample is not repeated). What torch,
/// librosa and transformers do by default.
///
/// Two real frames share a complex transform: of 128, 256, 512 or 1024 samples our own, of other lengths rustfft's.
pub struct PowerStft {
    transform: Transform,
    window: Vec<f64>,
    hop: usize,
    bins: usize,
}

enum Transform {
    Pairs(Box<PairFft>),
    Any(Arc<dyn Fft<f64>>),
}

/// Buffers for [`PowerStft::power`].
#[derive(Debug)]
pub struct StftScratch {
    /// Frames that lie in one place nowhere.
    frames: Vec<Vec<f32>>,
    rows: Vec<Row>,
    transform: TransformScratch,
}

#[derive(Debug)]
enum TransformScratch {
    Pairs(PairScratch),
    Any { frames: Vec<Complex<f64>>, fft: Vec<Complex<f64>> },
}

impl PowerStft {
    /// Plans transforms of `n_fft` samples every `hop` samples, of which the first `bins` bins are wanted.
    ///
    /// # Errors
    /// [`AudioError::Spectrum`] for a transform of less than 2 samples, no hop, or more bins than n_fft/2 + 1.
    pub fn new(n_fft: usize, hop: usize, bins: usize) -> Result<PowerStft, AudioError> {
        if n_fft < 2 || hop == 0 || bins > n_fft / 2 + 1 {
            return Err(AudioError::Spectrum { what: format!("{bins} bins of {n_fft} samples every {hop}") });
        }
        let window: Vec<f64> = (0..n_fft).map(|k| 0.5 - 0.5 * (TAU * k as f64 / n_fft as f64).cos()).collect();
        let transform = match PairFft::new(&window, bins) {
            Some(pairs) => Transform::Pairs(Box::new(pairs)),
            None => Transform::Any(FftPlanner::new().plan_fft_forward(n_fft)),
        };
        Ok(PowerStft { transform, window, hop, bins })
    }

    /// Length of a frame, in samples.
    pub fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Samples from one frame to the next.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// How many bins of each spectrum there are.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// How many frames a sound of that many samples has.
    pub fn frames(&self, samples: usize) -> usize {
        // Half a frame is added at each end.
        let padded = samples + 2 * (self.n_fft() / 2);
        if padded < self.n_fft() { 0 } else { 1 + (padded - self.n_fft()) / self.hop }
    }

    /// The samples of one frame of a sound; `buffer` is as long as a frame.
    pub(super) fn frame<'b>(&self, sound: &Signal<'b>, frame: usize, buffer: &'b mut [f32]) -> &'b [f32] {
        sound.frame((frame * self.hop) as isize - (self.n_fft() / 2) as isize, buffer)
    }

    /// Has those samples of a frame brought nearer that it does not share with the one before it.
    pub(super) fn prefetch(&self, sound: &Signal<'_>, frame: usize) {
        sound.prefetch(frame * self.hop + self.n_fft() / 2, self.hop);
    }

    /// Buffers of the right size.
    pub fn scratch(&self) -> StftScratch {
        let zero = Complex::new(0.0, 0.0);
        let (rows, transform) = match &self.transform {
            Transform::Pairs(fft) => (fft.rows(), TransformScratch::Pairs(fft.scratch())),
            Transform::Any(fft) => {
                let (frames, fft) = (vec![zero; self.n_fft()], vec![zero; fft.get_inplace_scratch_len()]);
                (self.bins, TransformScratch::Any { frames, fft })
            }
        };
        StftScratch { frames: vec![vec![0.0; self.n_fft()]; LANES], rows: vec![Row::default(); rows], transform }
    }

    /// In which row of [`power`](Self::power) a bin is.
    pub fn row(&self, bin: usize) -> usize {
        match &self.transform {
            Transform::Pairs(fft) => fft.row(bin),
            Transform::Any(_) => bin,
        }
    }

    /// Power spectra |X|² of up to eight frames of a sound, side by side: lane i of row [`row(k)`](Self::row) is bin k
    /// of `frames[i]`.
    ///
    /// # Panics
    /// If there are more than eight frames, or `scratch` is another transform's.
    pub fn power<'s>(&self, sound: &Signal<'_>, frames: &[usize], scratch: &'s mut StftScratch) -> &'s [Row] {
        assert!(frames.len() <= LANES, "{} frames", frames.len());
        let StftScratch { frames: buffers, rows, transform } = scratch;
        let mut samples: [&[f32]; LANES] = [&[]; LANES];
        for ((samples, frame), buffer) in samples.iter_mut().zip(frames).zip(buffers) {
            *samples = self.frame(sound, *frame, buffer);
        }
        let samples = &samples[..frames.len()];
        match (&self.transform, transform) {
            (Transform::Pairs(fft), TransformScratch::Pairs(scratch)) => fft.power(samples, scratch, rows),
            (Transform::Any(fft), TransformScratch::Any { frames, fft: scratch }) => {
                for (pair, samples) in samples.chunks(2).enumerate() {
                    for (((z, w), a), b) in
                        frames.iter_mut().zip(&self.window).zip(samples[0]).zip(samples[samples.len() - 1])
                    {
                        *z = Complex::new(f64::from(*a) * w, f64::from(*b) * w);
                    }
                    fft.process_with_scratch(frames, scratch);
                    power_of_both(frames, 2 * pair, rows);
                }
            }
            _ => panic!("the buffers are those of another transform"),
        }
        rows
    }
}

/// Power spectra of the two frames whose complex signal has the spectrum `z`, into two lanes.
///
/// The frames are its real and imaginary part; their spectra are the even and the odd part of its spectrum:
/// `X = (Z[k] + conj Z[n−k])/2`, `Y = (Z[k] − conj Z[n−k])/2i`.
fn power_of_both(z: &[Complex<f64>], lane: usize, rows: &mut [Row]) {
    for (bin, row) in rows.iter_mut().enumerate() {
        let (up, down) = (z[bin], z[(z.len() - bin) % z.len()]);
        let (even, odd) = ((up.re + down.re, up.im - down.im), (up.re - down.re, up.im + down.im));
        row.0[lane] = 0.25 * (even.0 * even.0 + even.1 * even.1);
        row.0[lane + 1] = 0.25 * (odd.0 * odd.0 + odd.1 * odd.1);
    }
}

impl std::fmt::Debug for PowerStft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PowerStft").field("n_fft", &self.n_fft()).field("hop", &self.hop).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Spectra of several frames, one after the other.
    fn spectra(stft: &PowerStft, samples: &[f32], frames: &[usize]) -> Vec<Vec<f64>> {
        let mut scratch = stft.scratch();
        let rows = stft.power(&Signal::new(samples), frames, &mut scratch);
        let bins = |lane: usize| (0..stft.bins()).map(|bin| rows[stft.row(bin)].0[lane]).collect();
        (0..frames.len()).map(bins).collect()
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
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn spectra_are_those_of_the_definition(
            samples in prop::collection::vec(-1.0_f32..1.0, 1..700),
            n_fft in prop::sample::select(vec![2_usize, 8, 15, 16, 100, 128, 256, 512, 1024]),
            hop in 1_usize..200,
            share in 0.0_f64..1.0,
            count in 1_usize..=LANES,
        ) {
            let bins = 1 + (share * (n_fft / 2) as f64).round() as usize;
            let stft = PowerStft::new(n_fft, hop, bins).unwrap();
            let frames = stft.frames(samples.len());
            let padded = samples.len() + 2 * (n_fft / 2);
            prop_assert!(frames == 0 || (frames - 1) * hop + n_fft <= padded);
            prop_assert!(frames * hop + n_fft > padded, "there is room for another frame");
            if frames > 0 {
                let chosen: Vec<usize> = (0..count).map(|index| index * (frames - 1) / LANES.max(2)).collect();
                for (frame, power) in chosen.iter().zip(spectra(&stft, &samples, &chosen)) {
                    // Ends, middle and some between: all bins of long frames take too long.
                    for bin in (0..bins).step_by(1 + bins / 40).chain([bins - 1]) {
                        let wanted = naive(&samples, n_fft, hop, *frame, bin);
                        let got = power[bin];
                        prop_assert!((got - wanted).abs() < 1e-9, "frame {} bin {}: {} {}", frame, bin, got, wanted);
                    }
                }
            }
        }
    }

    #[test]
    fn a_quiet_frame_keeps_its_spectrum_beside_a_loud_one() {
        for n_fft in [1000, 1024] {
            let stft = PowerStft::new(n_fft, n_fft, n_fft / 2 + 1).unwrap();
            let tone = |n: usize| if n < 2048 { (n as f32 * 0.3).sin() } else { 1e-6 * (n as f32 * 0.7).sin() };
            let samples: Vec<f32> = (0..4096).map(tone).collect();
            let (together, alone) = (spectra(&stft, &samples, &[1, 3]), spectra(&stft, &samples, &[3]));
            for (bin, (together, alone)) in together[1].iter().zip(&alone[0]).enumerate() {
                assert!((together - alone).abs() <= 1e-6 * alone + 1e-22, "bin {bin}: {together:e} {alone:e}");
            }
        }
    }

    #[test]
    fn no_transform_without_samples_or_hop() {
        assert!(PowerStft::new(1, 4, 1).unwrap_err().to_string().contains("1 samples"));
        assert!(PowerStft::new(8, 0, 5).unwrap_err().to_string().contains("every 0"));
        assert!(PowerStft::new(8, 4, 6).unwrap_err().to_string().contains("6 bins"));
    }
}
