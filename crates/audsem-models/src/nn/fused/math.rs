//! Exponential, error function and what is built of them, written so that the compiler turns loops over them into
//! vector instructions.

use super::simd::Simd;
use crate::nn::Activation;

/// Values summed side by side; the order of summation does not depend on the instruction set.
const LANES: usize = 16;

/// `eˣ` within two units in the last place; exactly 0 below −80, where the results would slow down what follows
/// (denormal numbers).
#[inline(always)]
pub(super) fn exp<S: Simd>(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to the nearest whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-80.0, 88.0);
    let shifted = S::fma(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the remainder is exact (Cody and Waite).
    let r = S::fma(n, -0.693_359_4, clamped);
    let r = S::fma(n, 2.121_944_4e-4, r);
    // Polynomial of Cephes' expf.
    let mut p = S::fma(1.987_569_1e-4, r, 1.398_199_9e-3);
    p = S::fma(p, r, 8.333_452e-3);
    p = S::fma(p, r, 4.166_579_6e-2);
    p = S::fma(p, r, 1.666_666_5e-1);
    p = S::fma(p, r, 0.5);
    let p = S::fma(p * r, r, r + 1.0);
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -80.0 { 0.0 } else { p * scale }
}

/// The error function; absolute error below 2e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub(super) fn erf<S: Simd>(x: f32) -> f32 {
    let magnitude = x.abs();
    let t = 1.0 / S::fma(0.327_591_1, magnitude, 1.0);
    let mut p = S::fma(1.061_405_4, t, -1.453_152);
    p = S::fma(p, t, 1.421_413_7);
    p = S::fma(p, t, -0.284_496_74);
    p = S::fma(p, t, 0.254_829_6);
    let tail = p * t * exp::<S>(-magnitude * magnitude);
    (1.0 - tail).copysign(x)
}

#[inline(always)]
fn tanh<S: Simd>(x: f32) -> f32 {
    // 1 − 2/(e^{2|x|} + 1) loses digits near 0, where tanh x = x − x³/3 + 2x⁵/15 − … serves.
    let magnitude = x.abs();
    let square = x * x;
    let mut series = S::fma(0.021_869_488, square, -0.053_968_254);
    series = S::fma(series, square, 0.133_333_33);
    series = S::fma(series, square, -0.333_333_33);
    let small = S::fma(series * square, x, x);
    let large = (1.0 - 2.0 / (exp::<S>(2.0 * magnitude) + 1.0)).copysign(x);
    if magnitude < 0.3 { small } else { large }
}

/// Applies `activation` to every value.
#[inline(always)]
pub(super) fn activate<S: Simd>(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Gelu => {
            for x in values {
                *x = 0.5 * *x * (1.0 + erf::<S>(*x * std::f32::consts::FRAC_1_SQRT_2));
            }
        }
        Activation::GeluTanh => {
            for x in values {
                let inner = 0.797_884_6 * S::fma(0.044_715 * *x * *x, *x, *x);
                *x = 0.5 * *x * (1.0 + tanh::<S>(inner));
            }
        }
        Activation::QuickGelu => {
            for x in values {
                *x /= 1.0 + exp::<S>(-1.702 * *x);
            }
        }
        Activation::Relu => {
            for x in values {
                // Not `max`, which makes a number of NaN.
                *x = if *x < 0.0 { 0.0 } else { *x };
            }
        }
        Activation::Relu6 => {
            for x in values {
                // As above.
                *x = if *x < 0.0 { 0.0 } else { *x };
                *x = if *x > 6.0 { 6.0 } else { *x };
            }
        }
        Activation::Silu => {
            for x in values {
                *x /= 1.0 + exp::<S>(-*x);
            }
        }
        Activation::Tanh => {
            for x in values {
                *x = tanh::<S>(*x);
            }
        }
    }
}

/// Sum of `f` over all values.
#[inline(always)]
pub(super) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += f(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += f(*x);
    }
    lanes.iter().sum()
}

/// Sum of the products of pairs.
#[inline(always)]
pub(super) fn dot<S: Simd>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = S::fma(*a, *b, *lane);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = S::fma(*a, *b, *lane);
    }
    lanes.iter().sum()
}

/// Largest value; −∞ of none.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    rest.iter().chain(&lanes).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Softmax in place.
#[inline(always)]
pub(super) fn softmax<S: Simd>(values: &mut [f32]) {
    let largest = max(values);
    for x in values.iter_mut() {
        *x = exp::<S>(*x - largest);
    }
    let scale = 1.0 / sum(values, |x| x);
    for x in values {
        *x *= scale;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::simd::{Kernel, on_all};
    use super::*;

    struct Check;

    impl Kernel for Check {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for n in -20_000..=20_000 {
                let x = n as f32 * 4e-3;
                let exact = f64::from(x).exp();
                assert!((f64::from(exp::<S>(x)) / exact - 1.0).abs() < 2.5e-7, "exp {x}");
                let exact = f64::from(x).tanh();
                assert!((f64::from(tanh::<S>(x)) - exact).abs() < 3e-7, "tanh {x}");
            }
            assert_eq!(exp::<S>(-81.0), 0.0);
            assert_eq!(exp::<S>(f32::MIN), 0.0);
            // Values of the error function to ten digits.
            for (x, wanted) in [
                (0.0, 0.0),
                (0.1, 0.112_462_916_0),
                (0.5, 0.520_499_877_8),
                (1.0, 0.842_700_792_9),
                (2.0, 0.995_322_265_0),
                (-1.5, -0.966_105_146_5),
                (5.0, 1.0),
            ] {
                assert!((f64::from(erf::<S>(x)) - wanted).abs() < 2e-7, "erf {x}");
            }
            let all =
                [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Relu, Activation::Silu];
            for activation in all.into_iter().chain([Activation::Relu6, Activation::Tanh]) {
                let mut values = [f32::NAN; 20];
                activate::<S>(activation, &mut values);
                assert!(values.iter().all(|x| x.is_nan()), "{activation:?} makes a number of NaN");
            }
            let mut row = [1.0, 2.0, f32::MIN, 0.5, -300.0];
            softmax::<S>(&mut row);
            let total = [1.0f64, 2.0, 0.5].iter().map(|x| x.exp()).sum::<f64>();
            for (p, x) in row.into_iter().zip([1.0f64, 2.0, f64::NEG_INFINITY, 0.5, f64::NEG_INFINITY]) {
                assert!((f64::from(p) - x.exp() / total).abs() < 1e-7, "softmax {x}");
            }
        }
    }

    #[test]
    fn functions_are_exact_to_single_precision_on_every_instruction_set() {
        on_all(|| Check);
    }
}
