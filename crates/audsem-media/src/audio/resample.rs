//! Changing the sample rate of a whole sound.

use super::AudioError;
use super::error::checked_rate;
use super::sinc_hann::gcd;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};
use std::cell::RefCell;

/// Frames per transform on the side of the higher rate. Long transforms have steep filters: with this
/// length the pass band ends at 98 % of the lower Nyquist frequency, and the ringing of
/// the filter stays under 25 ms at 44.1 kHz.
const BLOCK_FRAMES: usize = 2048;

/// How many planned resamplers a thread keeps; planning one costs more than a short clip.
const KEPT: usize = 4;

thread_local! {
    static PLANNED: RefCell<Recent<(u32, u32), Fft<f32>>> = const { RefCell::new(Recent::new()) };
}

/// What was made for the few keys used last.
pub(super) struct Recent<K, V>(Vec<(K, V)>);

impl<K: PartialEq, V> Recent<K, V> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// What belongs to the key, made where it is not there.
    pub(super) fn get_or_make<E>(&mut self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<&mut V, E> {
        let entry = match self.0.iter().position(|(other, _)| *other == key) {
            Some(at) => self.0.remove(at),
            None => (key, make()?),
        };
        self.0.truncate(KEPT - 1);
        self.0.insert(0, entry);
        Ok(&mut self.0[0].1)
    }
}

/// Changes the rate of one channel. The result has `round(n · to / from)` samples, its first one at
/// the same moment as the first of the input. Band-limited by FFT (`rubato`), full quality.
///
/// # Errors
/// [`AudioError::SampleRate`].
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Result<Vec<f32>, AudioError> {
    let (from_hz, to_hz) = (checked_rate(from_hz)?, checked_rate(to_hz)?);
    if from_hz == to_hz || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let length = resampled_length(samples.len(), from_hz, to_hz);
    PLANNED.with_borrow_mut(|planned| {
        let resampler = planned.get_or_make((from_hz, to_hz), || Ok::<_, AudioError>(plan(from_hz, to_hz)))?;
        let input = InterleavedSlice::new(samples, 1, samples.len()).expect("one channel of that many frames");
        let output = resampler.process_all(&input, samples.len(), None).expect("buffers of the length asked for");
        let mut output = output.take_data();
        // rubato gives the length rounded up.
        output.resize(length, 0.0);
        Ok(output)
    })
}

fn plan(from_hz: u32, to_hz: u32) -> Fft<f32> {
    let divisor = gcd(from_hz, to_hz);
    let (from, to) = ((from_hz / divisor) as usize, (to_hz / divisor) as usize);
    // An even number of smallest blocks: the filter's middle is then a whole sample on both sides; in
    // an odd block it lies half a sample beside the delay that is taken off.
    let blocks = BLOCK_FRAMES.div_ceil(from.max(to)).next_multiple_of(2);
    Fft::new_custom(from, to, blocks * from, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Both)
        .expect("rates were checked and the chunk is not empty")
}

/// `round(n · to / from)`, halves up.
fn resampled_length(frames: usize, from_hz: u32, to_hz: u32) -> usize {
    let (from, to) = (u128::from(from_hz), u128::from(to_hz));
    let length = (2 * frames as u128 * to + from) / (2 * from);
    usize::try_from(length).expect("a sound in memory stays in memory")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::f64::consts::TAU;

    const RATES: [(u32, u32); 9] = [
        (44_100, 48_000),
        (48_000, 16_000),
        (44_100, 16_000),
        (22_050, 48_000),
        (11_025, 48_000),
        (8_000, 48_000),
        (96_000, 48_000),
        (48_000, 32_000),
        (22_255, 48_000),
    ];

    #[test]
    fn the_length_is_exact() {
        for (from, to) in RATES {
            for frames in [1, 2, 147, 1000, 4097, 50_001] {
                let out = resample(&vec![0.1; frames], from, to).unwrap();
                let exact = (frames as f64 * f64::from(to) / f64::from(from)).round() as usize;
                assert_eq!(out.len(), exact, "{frames} frames from {from} to {to}");
            }
        }
        assert!(resample(&[], 8000, 48_000).unwrap().is_empty());
        assert_eq!(resample(&[0.5, -0.5], 8000, 8000).unwrap(), [0.5, -0.5]);
        assert!(resample(&[0.5], 0, 8000).is_err());
        assert!(resample(&[0.5], 8000, 2_000_000).is_err());
    }

    #[test]
    fn tones_keep_their_phase_and_level() {
        for (from, to) in RATES {
            for share in [0.02, 0.25, 0.5, 0.8, 0.93] {
                let hz = share * f64::from(from.min(to)) / 2.0;
                let wave = |n: usize, rate: u32| (0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32;
                let input: Vec<f32> = (0..from as usize).map(|n| wave(n, from)).collect();
                let output = resample(&input, from, to).unwrap();
                // The ends ring, because the tone starts and stops there.
                let edge = output.len() / 8;
                let worst = (edge..output.len() - edge).map(|n| (output[n] - wave(n, to)).abs()).fold(0.0, f32::max);
                assert!(worst < 2e-4, "{hz} Hz from {from} to {to}: off by {worst}");
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_removed() {
        for (from, to) in RATES.into_iter().filter(|(from, to)| from > to) {
            let hz = 1.1 * f64::from(to) / 2.0;
            let input: Vec<f32> = (0..from).map(|n| (TAU * hz * f64::from(n) / f64::from(from)).sin() as f32).collect();
            let output = resample(&input, from, to).unwrap();
            let edge = output.len() / 8;
            let rest = output[edge..output.len() - edge].iter().fold(0.0_f32, |peak, sample| sample.abs().max(peak));
            assert!(rest < 1e-4, "{hz} Hz from {from} to {to}: {rest} is left");
        }
    }

    #[test]
    fn an_impulse_stays_where_it_was() {
        for (from, to) in RATES {
            let mut input = vec![0.0; 9000];
            input[4500] = 1.0;
            let output = resample(&input, from, to).unwrap();
            let loudest = (0..output.len()).max_by(|&a, &b| output[a].total_cmp(&output[b])).unwrap();
            let exact = 4500.0 * f64::from(to) / f64::from(from);
            assert!((loudest as f64 - exact).abs() <= 1.0, "{from} to {to}: at {loudest}, not {exact}");
        }
    }

    #[test]
    fn a_used_resampler_gives_the_same_as_a_fresh_one() {
        let noise: Vec<f32> =
            (0..30_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / 1.7e7 - 0.5).collect();
        let first = resample(&noise, 44_100, 48_000).unwrap();
        for (from, to) in RATES {
            resample(&noise[..1000], from, to).unwrap();
        }
        assert_eq!(resample(&noise, 44_100, 48_000).unwrap(), first);
    }
}
