//! A mel bank over spectra that lie side by side.

use super::lanes::{Kernel, Lanes, Row, dispatch};
use super::log::log10;
use super::{LogScale, MelBank};

/// A [`MelBank`] whose weights know the rows of their bins.
#[derive(Debug)]
pub(super) struct PlacedBank {
    weights: Vec<Weight>,
    /// One past each filter's last weight.
    ends: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Weight {
    row: usize,
    weight: f64,
}

impl PlacedBank {
    /// `row` tells where the power of a bin lies.
    pub(super) fn new(bank: &MelBank, row: impl Fn(usize) -> usize) -> PlacedBank {
        let (mut weights, mut ends) = (Vec::new(), Vec::with_capacity(bank.mels()));
        for mel in 0..bank.mels() {
            let (first, filter) = bank.filter(mel);
            weights.extend((first..).zip(filter).map(|(bin, &weight)| Weight { row: row(bin), weight }));
            ends.push(weights.len());
        }
        PlacedBank { weights, ends }
    }

    /// Logarithms of the power in each band, a row a band. Tells whether all power was finite.
    pub(super) fn log_mel(&self, power: &[Row], scale: &LogScale, mel: &mut [Row]) -> bool {
        let mut finite = true;
        dispatch(LogMel { bank: self, power, scale, mel, finite: &mut finite });
        finite
    }
}

struct LogMel<'a> {
    bank: &'a PlacedBank,
    power: &'a [Row],
    scale: &'a LogScale,
    mel: &'a mut [Row],
    finite: &'a mut bool,
}

impl Kernel for LogMel<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let LogMel { bank, power, scale, mel, finite } = self;
        // 0·x is 0 unless x is infinite or not a number.
        let (mut start, mut nothing) = (0, L::splat(0.0));
        for (out, end) in mel.iter_mut().zip(&bank.ends) {
            let (pairs, last) = bank.weights[start..*end].as_chunks::<2>();
            start = *end;
            // Two sums: one would wait for itself.
            let (mut even, mut odd) = (L::splat(0.0), L::splat(0.0));
            for [a, b] in pairs {
                even = L::load(&power[a.row]).mul_add(L::splat(a.weight), even);
                odd = L::load(&power[b.row]).mul_add(L::splat(b.weight), odd);
            }
            for a in last {
                even = L::load(&power[a.row]).mul_add(L::splat(a.weight), even);
            }
            let sum = even.add(odd);
            nothing = sum.mul_add(L::splat(0.0), nothing);
            sum.store(out);
        }
        let mut sums = Row::default();
        nothing.store(&mut sums);
        *finite = sums.0.iter().all(|sum| sum.is_finite());
        for out in mel {
            let mut values = out.0;
            for value in &mut values {
                *value = if *value > scale.floor { *value } else { scale.floor };
            }
            values = log10(values);
            for value in &mut values {
                *value *= scale.factor;
            }
            out.0 = values;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{LANES, on_all};
    use super::super::{MelConfig, MelNorm, MelScale};
    use super::*;

    fn power(bin: usize, lane: usize) -> f64 {
        ((bin * bin + 13 * lane) % 97) as f64 * 10.0_f64.powi(lane as i32 - 4)
    }

    struct Check<'a> {
        bank: &'a MelBank,
        placed: &'a PlacedBank,
        rows: &'a [Row],
    }

    impl Kernel for Check<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self) {
            let scale = LogScale { floor: 1e-3, factor: 10.0 };
            let mut mel = vec![Row::default(); 64];
            let mut finite = false;
            LogMel { bank: self.placed, power: self.rows, scale: &scale, mel: &mut mel, finite: &mut finite }
                .run::<L>();
            assert!(finite);
            for (index, got) in mel.iter().enumerate() {
                let (first, weights) = self.bank.filter(index);
                for lane in 0..LANES {
                    let sum: f64 = weights.iter().zip(first..).map(|(w, bin)| w * power(bin, lane)).sum();
                    let (got, wanted) = (got.0[lane], 10.0 * sum.max(1e-3).log10());
                    assert!((got - wanted).abs() < 1e-11, "filter {index}, lane {lane}: {got} {wanted}");
                }
            }
        }
    }

    #[test]
    fn bands_are_a_product_with_the_matrix_of_the_bank() {
        let config = MelConfig {
            n_fft: 1024,
            sample_rate_hz: 48_000,
            mels: 64,
            min_hz: 50.0,
            max_hz: 14_000.0,
            scale: MelScale::Slaney,
            norm: MelNorm::Area,
        };
        let bank = MelBank::new(&config).expect("a bank that can be");
        // Any order of rows will do.
        let row = |bin: usize| (bin * 7 + 3) % 513;
        let mut rows = vec![Row::default(); 513];
        for bin in 0..513 {
            rows[row(bin)] = Row(std::array::from_fn(|lane| power(bin, lane)));
        }
        let placed = PlacedBank::new(&bank, row);
        on_all(|| Check { bank: &bank, placed: &placed, rows: &rows });
    }
}
