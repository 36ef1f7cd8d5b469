//! The resampler of torchaudio, for parity with models that were trained behind it.
//!
//! `torchaudio.functional.resample` and `torchaudio.transforms.Resample` with their default method
//! `sinc_interp_hann`: a windowed sinc of 6 zero crossings, cut off at 0.99 of the lower Nyquist frequency.
//! The formula is that of `_get_sinc_resample_kernel` in torchaudio 2.11. Rates are reduced by
//! their greatest common divisor to `from` and `to`; the output sample `k·to + j` is the sum over
//! `i` of input sample `k·from + i` with weight `w(t) · sin(πt)/(πt) · s`, where
//! `f = min(from, to) · 0.99`, `t = (i/from − j/to) · f` limited to ±6, `w(t) = cos²(πt/12)`, `s = f/from`.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::AudioError;
use super::error::checked_rate;
use super::resample::Recent;

/// Zero crossings on each side; torchaudio's default `lowpass_filter_width`.
const CROSSINGS: f64 = 6.0;
/// Cut-off as a share of the lower Nyquist frequency; torchaudio's default `rolloff`.
const ROLLOFF: f64 = 0.99;

/// In which precision the filter is computed. The sound itself is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelPrecision {
    /// As `torchaudio.transforms.Resample` does.
    Double,
    /// As `torchaudio.functional.resample` does, which computes the filter in the sound's own
    /// precision; it differs from the other by up to 2e-5.
    Single,
}

/// A filter for one pair of rates.
#[derive(Debug, Clone)]
pub struct SincHann {
    from: usize,
    to: usize,
    /// One per output phase.
    phases: Vec<Phase>,
}

/// The weights of one output phase that are not zero.
#[derive(Debug, Clone)]
struct Phase {
    /// Input index of the first weight, relative to the block; may lie before it.
    first: isize,
    weights: Vec<f32>,
}

impl SincHann {
    /// Computes the filter.
    ///
    /// # Errors
    /// [`AudioError::SampleRate`].
    pub fn new(from_hz: u32, to_hz: u32, precision: KernelPrecision) -> Result<SincHann, AudioError> {
        let (from_hz, to_hz) = (checked_rate(from_hz)?, checked_rate(to_hz)?);
        let divisor = gcd(from_hz, to_hz);
        let (from, to) = ((from_hz / divisor) as usize, (to_hz / divisor) as usize);
        let base = from.min(to) as f64 * ROLLOFF;
        let width = (CROSSINGS * from as f64 / base).ceil() as isize;
        let phase = |j: usize| {
            let weight = |i: isize| match precision {
                KernelPrecision::Double => weight(i, j, from, to, base),
                KernelPrecision::Single => weight_single(i, j, from, to, base),
            };
            // torchaudio keeps the zeros beyond the window; leaving them out saves most of the work, and so does not
            // computing them. One more on each side, as the middle is rounded.
            let middle = (j * from / to) as isize;
            let window = (-width).max(middle - width - 1)..(width + from as isize).min(middle + width + 3);
            let weights = window.map(|i| (i, weight(i)));
            let nonzero: Vec<(isize, f32)> = weights.filter(|(_, weight)| *weight != 0.0).collect();
            let (first, last) = (nonzero.first().map_or(0, |w| w.0), nonzero.last().map_or(-1, |w| w.0));
            let mut weights = vec![0.0; usize::try_from(last - first + 1).unwrap_or(0)];
            for (i, weight) in nonzero {
                weights[(i - first).unsigned_abs()] = weight;
            }
            Phase { first, weights }
        };
        Ok(SincHann { from, to, phases: (0..to).map(phase).collect() })
    }

    /// Changes the rate of one channel; the result has `ceil(n · to / from)` samples, as torchaudio's.
    pub fn apply(&self, samples: &[f32]) -> Vec<f32> {
        if self.from == self.to {
            return samples.to_vec();
        }
        let length = (samples.len() * self.to).div_ceil(self.from);
        let sample = |n: usize| {
            let phase = &self.phases[n % self.to];
            let start = (n / self.to * self.from) as isize + phase.first;
            // Beyond both ends the sound is zero.
            let skip = usize::try_from(-start).unwrap_or(0).min(phase.weights.len());
            let input = samples.get((start + skip as isize).unsigned_abs()..).unwrap_or_default();
            input.iter().zip(&phase.weights[skip..]).map(|(sample, weight)| sample * weight).sum()
        };
        (0..length).map(sample).collect()
    }
}

thread_local! {
    static COMPUTED: RefCell<Recent<(u32, u32, KernelPrecision), SincHann>> = const { RefCell::new(Recent::new()) };
}

/// Changes the rate of one channel as torchaudio does, with a filter that is computed once for sounds of equal rates. The
/// result has `ceil(n · to / from)` samples. For all but parity, [`resample`](super::resample()) is the better resampler.
///
/// # Errors
/// [`AudioError::SampleRate`].
pub fn resample_as_torchaudio(
    samples: &[f32],
    from_hz: u32,
    to_hz: u32,
    precision: KernelPrecision,
) -> Result<Vec<f32>, AudioError> {
    COMPUTED.with_borrow_mut(|computed| {
        let filter = computed.get_or_make((from_hz, to_hz, precision), || SincHann::new(from_hz, to_hz, precision))?;
        Ok(filter.apply(samples))
    })
}

/// The weight of input `i` for output phase `j`. The phase is rounded to f32 and all else is f64, because
/// torchaudio divides integers there, which gives torch's default type.
fn weight(i: isize, j: usize, from: usize, to: usize, base: f64) -> f32 {
    use std::f64::consts::PI;
    let t = (f64::from(-(j as f32) / to as f32) + i as f64 / from as f64) * base;
    let t = t.clamp(-CROSSINGS, CROSSINGS);
    let window = (t * PI / CROSSINGS / 2.0).cos().powi(2);
    let sinc = if t == 0.0 { 1.0 } else { (t * PI).sin() / (t * PI) };
    // The window is zero at its ends but for the rounding of π.
    if t.abs() >= CROSSINGS { 0.0 } else { (sinc * (window * (base / from as f64))) as f32 }
}

/// Weight with every step rounded to f32, in torchaudio's order.
fn weight_single(i: isize, j: usize, from: usize, to: usize, base: f64) -> f32 {
    use std::f32::consts::PI;
    let crossings = CROSSINGS as f32;
    let t = (-(j as f32) / to as f32 + i as f32 / from as f32) * base as f32;
    let t = t.clamp(-crossings, crossings);
    let window = (t * PI / crossings / 2.0).cos().powi(2);
    let angle = t * PI;
    let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
    if t.abs() >= crossings { 0.0 } else { sinc * (window * (base / from as f64) as f32) }
}

/// The greatest common divisor.
pub(super) fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
