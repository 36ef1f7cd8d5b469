//! Power spectra of many real frames, two of them in each complex transform.

use std::f64::consts::TAU;

use super::butterfly::{Butterfly, Complex, ComplexRow};
use super::lanes::{Kernel, LANES, Lanes, Row, dispatch};

/// The inner transform: 64 numbers, in two steps of eight.
const INNER: usize = LANES * LANES;

/// Transforms of N = 128, 256, 512 or 1024 samples.
///
/// Two frames a and b are one complex signal z = a + ib. A first step of radix 2 gives z of the even and of the odd
/// bins as transforms of H = N/2 numbers each; these go through a step of radix R = H/64 and two of radix 8, all in
/// vectors of eight numbers. No bin is ever sorted: of bin f with g = ⌊f/2⌋ = k + R(m + 8p), lane m of vector (k, p)
/// has it, and who reads it asks [`row`](Self::row).
pub(super) struct PairFft {
    radix: usize,
    /// How many values of p the bins asked for have.
    columns: usize,
    /// Half of the window: the sum of bins k and −k is twice what a frame has.
    window: Vec<Row>,
    /// `e^(−2πi·n/N)`, n < H.
    odd: Vec<ComplexRow>,
    /// `e^(−2πi·kb/H)`, (k × b), b < 64.
    outer: Vec<ComplexRow>,
    /// `e^(−2πi·md/64)`, (m × d).
    inner: [ComplexRow; LANES],
}

/// What a transform works in.
#[derive(Debug)]
pub(super) struct PairScratch {
    /// The even bins' and the odd bins' numbers.
    halves: [Vec<ComplexRow>; 2],
    /// Power: (frame × vector), lanes are bins.
    by_frame: Vec<Row>,
}

/// Turns once around the circle in `period` steps, clockwise; `step` tells which of them stands where.
fn turns(rows: usize, period: usize, step: impl Fn(usize) -> usize) -> Vec<ComplexRow> {
    let angle = |index: usize| TAU * (step(index) % period) as f64 / period as f64;
    let row = |row: usize, f: fn(f64) -> f64| Row(std::array::from_fn(|lane| f(angle(row * LANES + lane))));
    (0..rows).map(|index| [row(index, f64::cos), row(index, |angle| -angle.sin())]).collect()
}

impl PairFft {
    /// For frames as long as `window`, and the first `bins` bins of their spectra; None for other lengths.
    pub(super) fn new(window: &[f64], bins: usize) -> Option<PairFft> {
        let half = window.len() / 2;
        if !matches!(window.len(), 128 | 256 | 512 | 1024) || bins == 0 || bins > half + 1 {
            return None;
        }
        let radix = half / INNER;
        let inner = turns(LANES, INNER, |index| (index / LANES) * (index % LANES));
        Some(PairFft {
            radix,
            columns: (bins - 1) / 2 / (radix * LANES) + 1,
            window: window.as_chunks().0.iter().map(|row| Row(row.map(|weight| weight / 2.0))).collect(),
            odd: turns(half / LANES, window.len(), |n| n),
            outer: turns(half / LANES, half, |index| (index / INNER) * (index % INNER)),
            inner: std::array::from_fn(|m| inner[m]),
        })
    }

    /// Where the power of a bin lies.
    pub(super) fn row(&self, bin: usize) -> usize {
        let (parity, index) = (bin % 2, bin / 2);
        let (k, rest) = (index % self.radix, index / self.radix);
        let (m, p) = (rest % LANES, rest / LANES);
        ((parity * self.columns + p) * self.radix + k) * LANES + m
    }

    /// How many rows the power of eight frames takes.
    pub(super) fn rows(&self) -> usize {
        self.vectors() * LANES
    }

    fn vectors(&self) -> usize {
        2 * self.columns * self.radix
    }

    pub(super) fn scratch(&self) -> PairScratch {
        let half = vec![[Row::default(); 2]; self.radix * LANES];
        PairScratch { halves: [half.clone(), half], by_frame: vec![Row::default(); LANES * self.vectors()] }
    }

    /// Power spectra |X|² of up to eight frames: lane i of row [`row(f)`](Self::row) is bin f of frame i.
    pub(super) fn power(&self, frames: &[&[f32]], scratch: &mut PairScratch, rows: &mut [Row]) {
        dispatch(Block { fft: self, frames, scratch, rows });
    }
}

/// The frames of a block.
struct Block<'a> {
    fft: &'a PairFft,
    frames: &'a [&'a [f32]],
    scratch: &'a mut PairScratch,
    rows: &'a mut [Row],
}

impl Kernel for Block<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Block { fft, frames, scratch, rows } = self;
        let vectors = fft.vectors();
        let PairScratch { halves: [even, odd], by_frame } = scratch;
        for (pair, power) in frames.chunks(2).zip(by_frame.chunks_exact_mut(2 * vectors)) {
            fft.split::<L>([pair[0], pair[pair.len() - 1]], even, odd);
            for half in [&mut *even, &mut *odd] {
                match fft.radix {
                    8 => fft.outer_step::<L, 8>(half),
                    4 => fft.outer_step::<L, 4>(half),
                    2 => fft.outer_step::<L, 2>(half),
                    _ => {}
                }
                fft.inner_steps::<L>(half);
            }
            let (first, second) = power.split_at_mut(vectors);
            let (first_even, first_odd) = first.split_at_mut(vectors / 2);
            let (second_even, second_odd) = second.split_at_mut(vectors / 2);
            fft.even_power::<L>(even, first_even, second_even);
            fft.odd_power::<L>(odd, first_odd, second_odd);
        }
        for (vector, rows) in rows.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut values = [L::splat(0.0); LANES];
            for (frame, value) in values.iter_mut().enumerate() {
                *value = L::load(&by_frame[frame * vectors + vector]);
            }
            for (value, row) in L::transpose(values).into_iter().zip(rows) {
                value.store(row);
            }
        }
    }
}

impl PairFft {
    /// Window, and the step of radix 2.
    #[inline(always)]
    fn split<L: Lanes>(&self, frames: [&[f32]; 2], even: &mut [ComplexRow], odd: &mut [ComplexRow]) {
        let half = even.len();
        let (window_low, window_high) = self.window.split_at(half);
        let [(a_low, a_high), (b_low, b_high)] = frames.map(|frame| frame.as_chunks().0.split_at(half));
        let low = a_low.iter().zip(b_low).zip(window_low);
        let high = a_high.iter().zip(b_high).zip(window_high);
        let out = even.iter_mut().zip(odd).zip(&self.odd);
        for ((((a0, b0), w0), ((a1, b1), w1)), ((even, odd), turn)) in low.zip(high).zip(out) {
            let (w0, w1) = (L::load(w0), L::load(w1));
            let (a0, a1) = (L::load_f32(a0), L::load_f32(a1).mul(w1));
            let (b0, b1) = (L::load_f32(b0), L::load_f32(b1).mul(w1));
            Complex { re: a0.mul_add(w0, a1), im: b0.mul_add(w0, b1) }.store(even);
            let difference = Complex { re: a0.mul_sub(w0, a1), im: b0.mul_sub(w0, b1) };
            difference.mul(Complex::load(turn)).store(odd);
        }
    }

    /// The step of radix R: R numbers, 64 apart.
    #[inline(always)]
    fn outer_step<L: Lanes, const R: usize>(&self, half: &mut [ComplexRow])
    where
        [Complex<L>; R]: Butterfly,
    {
        let half = &mut half[..R * LANES];
        let turns = &self.outer[..R * LANES];
        for row in 0..LANES {
            let mut x = [Complex { re: L::splat(0.0), im: L::splat(0.0) }; R];
            for (a, x) in x.iter_mut().enumerate() {
                *x = Complex::load(&half[a * LANES + row]);
            }
            for (k, x) in x.transform().into_iter().enumerate() {
                let at = k * LANES + row;
                let x = if k == 0 { x } else { x.mul(Complex::load(&turns[at])) };
                x.store(&mut half[at]);
            }
        }
    }

    /// Both steps of radix 8, on 64 numbers at a time, without leaving the registers.
    #[inline(always)]
    fn inner_steps<L: Lanes>(&self, half: &mut [ComplexRow]) {
        for rows in half.as_chunks_mut::<LANES>().0 {
            let mut x = [Complex { re: L::splat(0.0), im: L::splat(0.0) }; LANES];
            for (x, row) in x.iter_mut().zip(&*rows) {
                *x = Complex::load(row);
            }
            let x = x.transform();
            let (mut re, mut im) = ([L::splat(0.0); LANES], [L::splat(0.0); LANES]);
            for m in 0..LANES {
                let x = if m == 0 { x[0] } else { x[m].mul(Complex::load(&self.inner[m])) };
                (re[m], im[m]) = (x.re, x.im);
            }
            let (re, im) = (L::transpose(re), L::transpose(im));
            let mut x = x;
            for d in 0..LANES {
                x[d] = Complex { re: re[d], im: im[d] };
            }
            for (x, row) in x.transform().into_iter().zip(rows) {
                x.store(row);
            }
        }
    }

    /// Bins f = 2g: −f is bin H − g of the same half.
    #[inline(always)]
    fn even_power<L: Lanes>(&self, z: &[ComplexRow], first: &mut [Row], second: &mut [Row]) {
        for p in 0..self.columns {
            // k = 0: m + 8p becomes 64 − (m + 8p), which no vector has in a row.
            let mut opposite = [Row::default(); 2];
            for m in 0..LANES {
                let at = (INNER - (m + LANES * p)) % INNER;
                for part in 0..2 {
                    opposite[part].0[m] = z[at / LANES][part].0[at % LANES];
                }
            }
            let at = p * self.radix;
            power_of_both::<L>(&z[p], Complex::load(&opposite), &mut first[at], &mut second[at]);
            for k in 1..self.radix {
                let opposite = Complex::load(&z[(self.radix - k) * LANES + LANES - 1 - p]);
                let opposite = Complex { re: L::reverse(opposite.re), im: L::reverse(opposite.im) };
                power_of_both::<L>(&z[k * LANES + p], opposite, &mut first[at + k], &mut second[at + k]);
            }
        }
    }

    /// Bins f = 2g + 1: −f is bin H − 1 − g of the same half, so that every digit of g becomes its complement.
    #[inline(always)]
    fn odd_power<L: Lanes>(&self, z: &[ComplexRow], first: &mut [Row], second: &mut [Row]) {
        for p in 0..self.columns {
            for k in 0..self.radix {
                let opposite = Complex::load(&z[(self.radix - 1 - k) * LANES + LANES - 1 - p]);
                let opposite = Complex { re: L::reverse(opposite.re), im: L::reverse(opposite.im) };
                let at = p * self.radix + k;
                power_of_both::<L>(&z[k * LANES + p], opposite, &mut first[at], &mut second[at]);
            }
        }
    }
}

/// From `Z[f]` and `Z[−f]` of z = a + ib: `A = (Z[f] + conj Z[−f])/2`, `B = (Z[f] − conj Z[−f])/2i`; the window has the 1/2.
#[inline(always)]
fn power_of_both<L: Lanes>(z: &ComplexRow, opposite: Complex<L>, first: &mut Row, second: &mut Row) {
    let z = Complex::<L>::load(z);
    let (re, im) = (z.re.add(opposite.re), z.im.sub(opposite.im));
    re.mul_add(re, im.mul(im)).store(first);
    let (re, im) = (z.re.sub(opposite.re), z.im.add(opposite.im));
    re.mul_add(re, im.mul(im)).store(second);
}

#[cfg(test)]
mod tests {
    use super::super::lanes::on_all;
    use super::*;

    fn frame(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|k| (((k * 7919 + seed * 104_729 + k * k * 31) % 1009) as f32 / 504.5) - 1.0).collect()
    }

    /// By the definition.
    fn naive(frame: &[f32], window: &[f64], bin: usize) -> f64 {
        let n = frame.len();
        let (mut re, mut im) = (0.0, 0.0);
        for (k, (sample, weight)) in frame.iter().zip(window).enumerate() {
            let (sin, cos) = (TAU * ((k * bin) % n) as f64 / n as f64).sin_cos();
            re += f64::from(*sample) * weight * cos;
            im -= f64::from(*sample) * weight * sin;
        }
        re * re + im * im
    }

    #[test]
    fn all_lengths_on_every_instruction_set_are_right_at_every_bin() {
        for n in [128, 256, 512, 1024] {
            // Not symmetric, so that no mistake of places can hide.
            let window: Vec<f64> = (0..n).map(|k| 0.3 + k as f64 / n as f64).collect();
            let frames: Vec<Vec<f32>> = (0..LANES).map(|seed| frame(n, seed)).collect();
            let frames: Vec<&[f32]> = frames.iter().map(Vec::as_slice).collect();
            for bins in [1, n / 4 + 3, n / 2 + 1] {
                let fft = PairFft::new(&window, bins).expect("a supported length");
                let spectra: Vec<Vec<f64>> = frames
                    .iter()
                    .map(|frame| (0..bins).step_by(7).map(|bin| naive(frame, &window, bin)).collect())
                    .collect();
                let check = |rows: &[Row], count: usize| {
                    for (lane, spectrum) in spectra[..count].iter().enumerate() {
                        for (index, wanted) in spectrum.iter().enumerate() {
                            let got = rows[fft.row(7 * index)].0[lane];
                            assert!(
                                (got - wanted).abs() < 1e-9,
                                "{n}, frame {lane}, bin {}: {got} {wanted}",
                                7 * index
                            );
                        }
                    }
                };
                for count in [1, 5, LANES] {
                    on_all(|| Run { fft: &fft, frames: &frames[..count], check: &check });
                }
            }
        }
    }

    struct Run<'a> {
        fft: &'a PairFft,
        frames: &'a [&'a [f32]],
        check: &'a dyn Fn(&[Row], usize),
    }

    impl Kernel for Run<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self) {
            let Run { fft, frames, check } = self;
            let mut rows = vec![Row([f64::NAN; LANES]); fft.rows()];
            Block { fft, frames, scratch: &mut fft.scratch(), rows: &mut rows }.run::<L>();
            check(&rows, frames.len());
        }
    }

    #[test]
    fn other_lengths_are_left_to_others() {
        assert!(PairFft::new(&[1.0; 400], 201).is_none());
        assert!(PairFft::new(&[1.0; 2048], 1025).is_none());
    }
}
