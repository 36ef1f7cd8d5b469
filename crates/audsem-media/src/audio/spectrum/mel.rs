//! Mel scales and banks of triangular filters.

use crate::audio::AudioError;

/// How pitch grows with frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MelScale {
    /// Linear to 1000 Hz, then logarithmic: Slaney's Auditory Toolbox, the default of librosa.
    Slaney,
    /// 2595 log₁₀(1 + f/700): the HTK book, the default of torchaudio.
    Htk,
}

/// How high the triangles are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MelNorm {
    /// 1 at the peak.
    Peak,
    /// Area 1 over Hz; "slaney" in librosa.
    Area,
}

/// What a [`MelBank`] is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MelConfig {
    /// Length of the transform, in samples.
    pub n_fft: usize,
    /// Sample rate of the sound.
    pub sample_rate_hz: u32,
    /// Number of filters.
    pub mels: usize,
    /// Lower edge of the first filter.
    pub min_hz: f64,
    /// Upper edge of the last filter.
    pub max_hz: f64,
    /// Where the edges between lie: equally spaced on this scale.
    pub scale: MelScale,
    /// Height of the filters.
    pub norm: MelNorm,
}

/// Slope of Slaney's scale below 1000 Hz, in mel per Hz.
const SLANEY_SLOPE: f64 = 3.0 / 200.0;
/// Where Slaney's scale turns logarithmic.
const SLANEY_KNEE_HZ: f64 = 1000.0;
const SLANEY_KNEE_MEL: f64 = SLANEY_KNEE_HZ * SLANEY_SLOPE;

/// Slaney's scale: 27 mel for each factor of 6.4.
fn slaney_log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

impl MelScale {
    /// From Hz to mel.
    pub fn to_mel(self, hz: f64) -> f64 {
        match self {
            MelScale::Slaney if hz >= SLANEY_KNEE_HZ => {
                SLANEY_KNEE_MEL + (hz / SLANEY_KNEE_HZ).ln() / slaney_log_step()
            }
            MelScale::Slaney => hz * SLANEY_SLOPE,
            MelScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        }
    }

    /// From mel to Hz.
    pub fn to_hz(self, mel: f64) -> f64 {
        match self {
            MelScale::Slaney if mel >= SLANEY_KNEE_MEL => {
                SLANEY_KNEE_HZ * (slaney_log_step() * (mel - SLANEY_KNEE_MEL)).exp()
            }
            MelScale::Slaney => mel / SLANEY_SLOPE,
            MelScale::Htk => 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0),
        }
    }
}

/// Triangular filters over the bins of a power spectrum, stored without their zeros.
#[derive(Debug, Clone)]
pub struct MelBank {
    filters: Vec<Filter>,
    /// Of all filters, one after the other.
    weights: Vec<f64>,
    /// One past the last bin that any filter reads.
    bins: usize,
}

/// Where a filter's weights are.
#[derive(Debug, Clone, Copy)]
struct Filter {
    first_bin: usize,
    /// Index into the weights of the bank.
    start: usize,
    length: usize,
}

impl MelBank {
    /// Computes the filters in f64: filter i rises from edge i to edge i + 1 and falls to edge i + 2, linearly in Hz.
    ///
    /// Bins are at `k · (sample_rate_hz / 2) / (n_fft / 2)` with both divisions in whole numbers, as in librosa,
    /// torchaudio and transformers.
    ///
    /// # Errors
    /// [`AudioError::Spectrum`] if there is no such bank.
    pub fn new(config: &MelConfig) -> Result<MelBank, AudioError> {
        config.check()?;
        let edges = config.edges_hz();
        let bin_hz = f64::from(config.sample_rate_hz / 2) / (config.n_fft / 2) as f64;
        let mut bank = MelBank { filters: Vec::with_capacity(config.mels), weights: Vec::new(), bins: 0 };
        for edge in edges.windows(3) {
            let (low, peak, high) = (edge[0], edge[1], edge[2]);
            let height = match config.norm {
                MelNorm::Peak => 1.0,
                MelNorm::Area => 2.0 / (high - low),
            };
            let weight = |bin: usize| {
                let hz = bin as f64 * bin_hz;
                ((hz - low) / (peak - low)).min((high - hz) / (high - peak)) * height
            };
            bank.push(config.n_fft / 2 + 1, weight);
        }
        Ok(bank)
    }

    fn push(&mut self, bins: usize, weight: impl Fn(usize) -> f64) {
        // A triangle between two bins has no weight at all.
        let first_bin = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        let start = self.weights.len();
        self.weights.extend((first_bin..bins).map(weight).take_while(|w| *w > 0.0));
        let length = self.weights.len() - start;
        self.bins = self.bins.max(first_bin + length);
        self.filters.push(Filter { first_bin, start, length });
    }

    /// Number of filters.
    pub fn mels(&self) -> usize {
        self.filters.len()
    }

    /// One past the last bin that any filter reads: a spectrum is needed no further.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The first bin of a filter, and its weights from there on.
    pub fn filter(&self, mel: usize) -> (usize, &[f64]) {
        let Filter { first_bin, start, length } = self.filters[mel];
        (first_bin, &self.weights[start..start + length])
    }
}

impl MelConfig {
    fn check(&self) -> Result<(), AudioError> {
        let nyquist = f64::from(self.sample_rate_hz) / 2.0;
        let what = if self.n_fft < 2 {
            format!("a transform of {} samples", self.n_fft)
        } else if self.mels == 0 {
            "no filter".to_owned()
        } else if !(self.min_hz >= 0.0 && self.min_hz < self.max_hz && self.max_hz <= nyquist) {
            format!("filters from {} to {} Hz at {} Hz", self.min_hz, self.max_hz, self.sample_rate_hz)
        } else {
            return Ok(());
        };
        Err(AudioError::Spectrum { what: format!("a mel bank of {what}") })
    }

    /// The `mels + 2` edges.
    fn edges_hz(&self) -> Vec<f64> {
        let (low, high) = (self.scale.to_mel(self.min_hz), self.scale.to_mel(self.max_hz));
        let step = (high - low) / (self.mels + 1) as f64;
        (0..self.mels + 2).map(|edge| self.scale.to_hz(low + edge as f64 * step)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(scale: MelScale, norm: MelNorm) -> MelConfig {
        MelConfig { n_fft: 1024, sample_rate_hz: 48_000, mels: 64, min_hz: 50.0, max_hz: 14_000.0, scale, norm }
    }

    #[test]
    fn scales_go_there_and_back() {
        for scale in [MelScale::Slaney, MelScale::Htk] {
            for hz in [0.0, 50.0, 440.0, 999.999, 1000.0, 1000.001, 14_000.0] {
                let back = scale.to_hz(scale.to_mel(hz));
                assert!((back - hz).abs() < 1e-9, "{scale:?}: {hz} became {back}");
            }
        }
        // By definition 1000 Hz is 15 on Slaney's scale and, within rounding of its constants, 1000 on HTK's.
        assert_eq!(MelScale::Slaney.to_mel(1000.0), 15.0);
        assert!((MelScale::Htk.to_mel(1000.0) - 1000.0).abs() < 0.02);
    }

    #[test]
    fn a_filter_of_area_one_has_area_one() {
        let bank = MelBank::new(&config(MelScale::Slaney, MelNorm::Area)).unwrap();
        // Wide filters: sampled at the bins, a triangle's area is its sum times the distance of bins.
        for mel in 50..64 {
            let area: f64 = bank.filter(mel).1.iter().sum::<f64>() * 46.875;
            assert!((area - 1.0).abs() < 0.01, "filter {mel}: {area}");
        }
    }

    #[test]
    fn what_is_stored_is_all_that_is_not_zero() {
        let bank = MelBank::new(&config(MelScale::Htk, MelNorm::Peak)).unwrap();
        let edges = config(MelScale::Htk, MelNorm::Peak).edges_hz();
        for mel in 0..64 {
            let (first, weights) = bank.filter(mel);
            let inside: Vec<usize> = (0..513)
                .filter(|bin| *bin as f64 * 46.875 > edges[mel] && (*bin as f64 * 46.875) < edges[mel + 2])
                .collect();
            assert_eq!(inside, (first..first + weights.len()).collect::<Vec<_>>(), "filter {mel}");
            assert!(weights.iter().all(|w| *w > 0.0 && *w <= 1.0));
        }
        assert_eq!(bank.bins(), 299, "14000 Hz lies between bins 298 and 299");
    }

    #[test]
    fn narrow_filters_may_be_empty() {
        // 300 filters over 33 bins.
        let config = MelConfig { n_fft: 64, mels: 300, ..config(MelScale::Htk, MelNorm::Peak) };
        let bank = MelBank::new(&config).unwrap();
        assert!((0..300).any(|mel| bank.filter(mel).1.is_empty()));
        assert!((0..300).all(|mel| bank.filter(mel).1.iter().all(|weight| *weight > 0.0)));
    }

    #[test]
    fn a_bank_that_cannot_be_is_refused() {
        let good = config(MelScale::Htk, MelNorm::Peak);
        for (bad, part) in [
            (MelConfig { mels: 0, ..good }, "no filter"),
            (MelConfig { n_fft: 1, ..good }, "1 samples"),
            (MelConfig { max_hz: 24_001.0, ..good }, "24001 Hz"),
            (MelConfig { min_hz: f64::NAN, ..good }, "NaN"),
            (MelConfig { min_hz: 14_000.0, ..good }, "14000"),
        ] {
            let error = MelBank::new(&bad).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
