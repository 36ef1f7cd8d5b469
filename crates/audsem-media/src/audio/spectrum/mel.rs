//! Mel scales and banks of triangular filters.

use serde::{Deserialize, Serialize};

use super::FrontEndError;
use super::config::check;
use super::transform::{TILE, Tile};

/// How pitch grows with frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// Linear to 1000 Hz, then logarithmic: Slaney's Auditory Toolbox, the default of librosa.
    Slaney,
    /// 2595 log₁₀(1 + f/700): the HTK book, the default of torchaudio.
    Htk,
    /// 1127 ln(1 + f/700), with triangles that are straight in mel instead of Hz, and nothing at half the sample rate.
    Kaldi,
}

/// How high the triangles are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// 1 at the peak.
    Peak,
    /// Area 1 over Hz; "slaney" in librosa.
    Area,
}

/// Which frequencies the bins of a transform stand for. Both are the same for even lengths and even sample rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinSpacing {
    /// `k · rate / n_fft`: librosa and Kaldi.
    Fourier,
    /// `k · (rate / 2) / (n_fft / 2)` with divisions in whole numbers: torchaudio and transformers.
    WholeHalves,
}

/// What a [`MelBank`] is made from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConfig {
    /// Number of filters.
    pub n_mels: usize,
    /// Lower edge of the first filter.
    pub min_hz: f64,
    /// Upper edge of the last filter.
    pub max_hz: f64,
    /// The scale on which the edges between are equally spaced.
    pub scale: MelScale,
    /// Height of the filters.
    pub norm: MelNorm,
    /// Frequencies of the bins.
    pub bins: BinSpacing,
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
            MelScale::Kaldi => 1127.0 * (1.0 + hz / 700.0).ln(),
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
            MelScale::Kaldi => 700.0 * ((mel / 1127.0).exp() - 1.0),
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
    /// Computes the filters in f64 for transforms of `n_fft` samples: filter i rises from edge i to edge i + 1 and falls
    /// to edge i + 2, linearly in Hz, or in mel on Kaldi's scale.
    ///
    /// # Errors
    /// [`FrontEndError::Config`] if there is no such bank.
    pub fn new(config: &MelConfig, sample_rate_hz: u32, n_fft: usize) -> Result<MelBank, FrontEndError> {
        check(n_fft > 1, "fft.length", n_fft, "2 or more")?;
        config.check(sample_rate_hz)?;
        let bin_hz = match config.bins {
            BinSpacing::Fourier => f64::from(sample_rate_hz) / n_fft as f64,
            BinSpacing::WholeHalves => f64::from(sample_rate_hz / 2) / (n_fft / 2) as f64,
        };
        let in_mel = config.scale == MelScale::Kaldi;
        let bins = if in_mel { n_fft / 2 } else { n_fft / 2 + 1 };
        let mut bank = MelBank { filters: Vec::with_capacity(config.n_mels), weights: Vec::new(), bins: 0 };
        for edge in config.edges(in_mel).windows(3) {
            let (low, peak, high) = (edge[0], edge[1], edge[2]);
            let height = match config.norm {
                MelNorm::Peak => 1.0,
                MelNorm::Area if in_mel => 2.0 / (config.scale.to_hz(high) - config.scale.to_hz(low)),
                MelNorm::Area => 2.0 / (high - low),
            };
            bank.push(bins, |bin| {
                let hz = bin as f64 * bin_hz;
                let at = if in_mel { config.scale.to_mel(hz) } else { hz };
                ((at - low) / (peak - low)).min((high - at) / (high - peak)) * height
            });
        }
        Ok(bank)
    }

    /// Filters from their weights (bins × bands).
    ///
    /// # Errors
    /// [`FrontEndError::Config`] if the table has another shape, or a weight is negative or not finite.
    pub(super) fn from_table(table: &[f32], n_mels: usize) -> Result<MelBank, FrontEndError> {
        let whole = n_mels > 0 && table.len().is_multiple_of(n_mels);
        check(whole, "mel.n_mels", n_mels, "a divisor of the number of weights")?;
        let good = table.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0));
        check(good.is_none(), "mel", good.unwrap_or(&0.0), "weights of 0 or more")?;
        let mut bank = MelBank { filters: Vec::with_capacity(n_mels), weights: Vec::new(), bins: 0 };
        for mel in 0..n_mels {
            let column: Vec<f64> = table.iter().skip(mel).step_by(n_mels).map(|weight| f64::from(*weight)).collect();
            let first_bin = column.iter().position(|weight| *weight > 0.0).unwrap_or(0);
            let end = column.iter().rposition(|weight| *weight > 0.0).map_or(first_bin, |last| last + 1);
            let (start, length) = (bank.weights.len(), end - first_bin);
            bank.weights.extend_from_slice(&column[first_bin..end]);
            bank.bins = bank.bins.max(end);
            bank.filters.push(Filter { first_bin, start, length });
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

    /// The bands of the spectra of a tile of frames.
    pub(super) fn apply(&self, spectra: &[Tile], bands: &mut [Tile]) {
        for (band, &Filter { first_bin, start, length }) in bands.iter_mut().zip(&self.filters) {
            let mut sums = [0.0; TILE];
            for (values, weight) in spectra[first_bin..].iter().zip(&self.weights[start..start + length]) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
            *band = sums;
        }
    }

    /// The first bin of a filter, and its weights from there on.
    pub fn filter(&self, mel: usize) -> (usize, &[f64]) {
        let Filter { first_bin, start, length } = self.filters[mel];
        (first_bin, &self.weights[start..start + length])
    }
}

impl MelConfig {
    /// librosa's default: Slaney's scale and filters of area 1.
    pub fn slaney(n_mels: usize, min_hz: f64, max_hz: f64) -> Self {
        Self { n_mels, min_hz, max_hz, scale: MelScale::Slaney, norm: MelNorm::Area, bins: BinSpacing::Fourier }
    }

    /// torchaudio's default: the HTK book's scale and filters with a peak of 1.
    pub fn htk(n_mels: usize, min_hz: f64, max_hz: f64) -> Self {
        Self { n_mels, min_hz, max_hz, scale: MelScale::Htk, norm: MelNorm::Peak, bins: BinSpacing::WholeHalves }
    }

    /// Kaldi's filters.
    pub fn kaldi(n_mels: usize, min_hz: f64, max_hz: f64) -> Self {
        Self { n_mels, min_hz, max_hz, scale: MelScale::Kaldi, norm: MelNorm::Peak, bins: BinSpacing::Fourier }
    }

    /// # Errors
    /// [`FrontEndError::Config`] with the value that cannot be.
    pub(super) fn check(&self, sample_rate_hz: u32) -> Result<(), FrontEndError> {
        let nyquist = f64::from(sample_rate_hz) / 2.0;
        check(self.n_mels > 0, "mel.n_mels", self.n_mels, "1 or more")?;
        check(self.min_hz >= 0.0 && self.min_hz < self.max_hz, "mel.min_hz", self.min_hz, "0 to mel.max_hz")?;
        if self.scale == MelScale::Kaldi {
            return check(self.max_hz <= nyquist, "mel.max_hz", self.max_hz, "half of the sample rate or less");
        }
        // Filters of other libraries that lie beyond have no weight.
        check(self.max_hz.is_finite(), "mel.max_hz", self.max_hz, "finite numbers")
    }

    /// The `n_mels + 2` edges, in mel or Hz.
    fn edges(&self, in_mel: bool) -> Vec<f64> {
        let (low, high) = (self.scale.to_mel(self.min_hz), self.scale.to_mel(self.max_hz));
        let step = (high - low) / (self.n_mels + 1) as f64;
        let mel = |edge: usize| low + edge as f64 * step;
        (0..self.n_mels + 2).map(|edge| if in_mel { mel(edge) } else { self.scale.to_hz(mel(edge)) }).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bank(config: &MelConfig) -> MelBank {
        MelBank::new(config, 48_000, 1024).unwrap()
    }

    #[test]
    fn scales_go_there_and_back() {
        for scale in [MelScale::Slaney, MelScale::Htk, MelScale::Kaldi] {
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
        let bank = bank(&MelConfig::slaney(64, 50.0, 14_000.0));
        // Wide filters: sampled at the bins, a triangle's area is its sum times the distance of bins.
        for mel in 50..64 {
            let area: f64 = bank.filter(mel).1.iter().sum::<f64>() * 46.875;
            assert!((area - 1.0).abs() < 0.01, "filter {mel}: {area}");
        }
    }

    #[test]
    fn what_is_stored_is_all_that_is_not_zero() {
        let config = MelConfig::htk(64, 50.0, 14_000.0);
        let (bank, edges) = (bank(&config), config.edges(false));
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
        let bank = MelBank::new(&MelConfig::htk(300, 50.0, 14_000.0), 48_000, 64).unwrap();
        assert!((0..300).any(|mel| bank.filter(mel).1.is_empty()));
        assert!((0..300).all(|mel| bank.filter(mel).1.iter().all(|weight| *weight > 0.0)));
    }

    /// As transformers makes them: `fixtures/regen/mel_above_nyquist.py`.
    #[test]
    fn filters_above_half_of_the_sample_rate_have_no_weight() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/goldens/mel_above_nyquist.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        for max_hz in [8_000, 8_001, 12_000, 30_000] {
            for (name, config) in [
                ("htk", MelConfig::htk(16, 50.0, f64::from(max_hz))),
                (
                    "slaney",
                    MelConfig { bins: BinSpacing::WholeHalves, ..MelConfig::slaney(16, 50.0, f64::from(max_hz)) },
                ),
            ] {
                let bank = MelBank::new(&config, 16_000, 256).unwrap();
                for (mel, expected) in golden[format!("{name} {max_hz}")].as_array().unwrap().iter().enumerate() {
                    let (first, weights) = bank.filter(mel);
                    let (sum, most) = (weights.iter().sum::<f64>(), weights.iter().copied().fold(0.0, f64::max));
                    let place = format!("{name} {max_hz}, filter {mel}");
                    assert_eq!((first as u64, weights.len() as u64), place_of(expected), "{place}");
                    for (found, expected) in [(sum, &expected[2]), (most, &expected[3])] {
                        let expected = expected.as_f64().unwrap();
                        assert!(
                            (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
                            "{place}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }

    fn place_of(filter: &serde_json::Value) -> (u64, u64) {
        (filter[0].as_u64().unwrap(), filter[1].as_u64().unwrap())
    }

    #[test]
    fn a_bank_that_cannot_be_is_refused() {
        let good = MelConfig::htk(64, 50.0, 14_000.0);
        for (bad, n_fft, part) in [
            (MelConfig { n_mels: 0, ..good }, 1024, "`mel.n_mels` is 0"),
            (good, 1, "`fft.length` is 1"),
            (MelConfig::kaldi(64, 50.0, 24_001.0), 1024, "24001"),
            (MelConfig { max_hz: f64::INFINITY, ..good }, 1024, "inf"),
            (MelConfig { min_hz: f64::NAN, ..good }, 1024, "NaN"),
            (MelConfig { min_hz: 14_000.0, ..good }, 1024, "14000"),
        ] {
            let error = MelBank::new(&bad, 48_000, n_fft).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
