//! Short transforms of complex numbers that lie in registers.

use std::f64::consts::FRAC_1_SQRT_2;

use super::lanes::{Lanes, Row};

/// Eight complex numbers in memory: real parts, imaginary parts.
pub(super) type ComplexRow = [Row; 2];

/// Eight complex numbers in registers.
#[derive(Clone, Copy)]
pub(super) struct Complex<L> {
    pub(super) re: L,
    pub(super) im: L,
}

impl<L: Lanes> Complex<L> {
    #[inline(always)]
    pub(super) fn load(row: &ComplexRow) -> Self {
        Complex { re: L::load(&row[0]), im: L::load(&row[1]) }
    }

    #[inline(always)]
    pub(super) fn store(self, row: &mut ComplexRow) {
        self.re.store(&mut row[0]);
        self.im.store(&mut row[1]);
    }

    #[inline(always)]
    pub(super) fn mul(self, other: Self) -> Self {
        Complex {
            re: self.re.mul_sub(other.re, self.im.mul(other.im)),
            im: self.re.mul_add(other.im, self.im.mul(other.re)),
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Complex { re: self.re.add(other.re), im: self.im.add(other.im) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Complex { re: self.re.sub(other.re), im: self.im.sub(other.im) }
    }

    /// `self − i · other` and `self + i · other`.
    #[inline(always)]
    fn quarter_turns(self, other: Self) -> (Self, Self) {
        (
            Complex { re: self.re.add(other.im), im: self.im.sub(other.re) },
            Complex { re: self.re.sub(other.im), im: self.im.add(other.re) },
        )
    }
}

/// A transform of as many numbers as the array has, lane by lane.
pub(super) trait Butterfly: Copy {
    /// `X[k] = Σ_n x[n] e^(−2πi·kn/N)`
    fn transform(self) -> Self;
}

impl<L: Lanes> Butterfly for [Complex<L>; 1] {
    #[inline(always)]
    fn transform(self) -> Self {
        self
    }
}

impl<L: Lanes> Butterfly for [Complex<L>; 2] {
    #[inline(always)]
    fn transform(self) -> Self {
        [self[0].add(self[1]), self[0].sub(self[1])]
    }
}

impl<L: Lanes> Butterfly for [Complex<L>; 4] {
    #[inline(always)]
    fn transform(self) -> Self {
        let [x0, x1, x2, x3] = self;
        let (even_sum, even_difference) = (x0.add(x2), x0.sub(x2));
        let (odd_sum, odd_difference) = (x1.add(x3), x1.sub(x3));
        let (first, third) = even_difference.quarter_turns(odd_difference);
        [even_sum.add(odd_sum), first, even_sum.sub(odd_sum), third]
    }
}

impl<L: Lanes> Butterfly for [Complex<L>; 8] {
    #[inline(always)]
    fn transform(self) -> Self {
        let x = self;
        let even = [x[0].add(x[4]), x[1].add(x[5]), x[2].add(x[6]), x[3].add(x[7])].transform();
        let d = [x[0].sub(x[4]), x[1].sub(x[5]), x[2].sub(x[6]), x[3].sub(x[7])];
        // The odd half transforms d[n] turned by n eighths. Of the turned d[1] and d[3], √2 times sum and difference:
        let (sum1, difference1) = (d[1].re.add(d[1].im), d[1].im.sub(d[1].re));
        let (sum3, difference3) = (d[3].re.add(d[3].im), d[3].im.sub(d[3].re));
        let sum = Complex { re: sum1.add(difference3), im: difference1.sub(sum3) };
        let difference = Complex { re: sum1.sub(difference3), im: difference1.add(sum3) };
        // 1/√2 is a factor of fused multiplications.
        let (plus, minus) = (L::splat(FRAC_1_SQRT_2), L::splat(-FRAC_1_SQRT_2));
        let (near, far) = d[0].quarter_turns(d[2]);
        [
            even[0],
            Complex { re: sum.re.mul_add(plus, near.re), im: sum.im.mul_add(plus, near.im) },
            even[1],
            Complex { re: difference.im.mul_add(plus, far.re), im: difference.re.mul_add(minus, far.im) },
            even[2],
            Complex { re: sum.re.mul_add(minus, near.re), im: sum.im.mul_add(minus, near.im) },
            even[3],
            Complex { re: difference.im.mul_add(minus, far.re), im: difference.re.mul_add(plus, far.im) },
        ]
    }
}
