//! Logarithms of many numbers at once.

use super::lanes::LANES;

/// Decimal logarithm of positive, normal numbers; relative error below 1e-13 (absolute near 1).
///
/// x = 2ⁿ·m with m in [√½, √2): ln m = 2 artanh s, s = (m − 1)/(m + 1), |s| < 0.172, by its series to s¹⁵. Written so
/// that the compiler turns each loop into vector instructions.
#[inline(always)]
pub(super) fn log10(x: [f64; LANES]) -> [f64; LANES] {
    /// The bits of √½: subtracting them puts the border between exponents there.
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    /// 2⁵², whose last bits hold a whole number.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    const LOG10_E: f64 = std::f64::consts::LOG10_E;
    let mut out = x;
    for x in &mut out {
        let bits = x.to_bits();
        let exponent = (bits.wrapping_sub(ROOT_HALF).wrapping_add(1023 << 52)) >> 52;
        let m = f64::from_bits(bits.wrapping_sub(exponent.wrapping_sub(1023) << 52));
        let n = f64::from_bits(WHOLE.to_bits() | exponent) - (WHOLE + 1023.0);
        let s = (m - 1.0) / (m + 1.0);
        let square = s * s;
        let mut series = 2.0 / 15.0;
        for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
            series = series * square + 2.0 / odd;
        }
        *x = n * std::f64::consts::LOG10_2 + (series * square + 2.0) * s * LOG10_E;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Kernel, Lanes, on_all};
    use super::*;

    struct Check;

    impl Kernel for Check {
        #[inline(always)]
        fn run<L: Lanes>(self) {
            // Every order of magnitude, and the borders between exponents.
            let powers = (-300..300).flat_map(|n| [1.0, 1.37, 2.9, 9.999].map(|m| m * 10.0_f64.powi(n)));
            let borders = (-1000..1000).map(|n| std::f64::consts::FRAC_1_SQRT_2 * 2.0_f64.powi(n));
            let near_one = (-50..50).map(|n| 1.0 + f64::from(n) * 1e-3);
            for x in powers.chain(borders.clone()).chain(borders.map(f64::next_down)).chain(near_one) {
                let (got, wanted) = (log10([x; LANES])[LANES - 1], x.log10());
                assert!((got - wanted).abs() <= 1e-13 * wanted.abs() + 1e-16, "log10 {x:e}: {got} {wanted}");
            }
            assert_eq!(log10([1.0; LANES]), [0.0; LANES]);
        }
    }

    #[test]
    fn logarithms_are_exact_to_thirteen_digits_on_every_instruction_set() {
        on_all(|| Check);
    }
}
