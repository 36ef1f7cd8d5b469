//! Arithmetic on single vectors. Sums are in 64 bits, so that their error is far below the rounding of
//! the 32-bit scores they end in.

use crate::reason::Fault;

/// Independent sums, so that the processor need not wait for one addition before the next.
const LANES: usize = 8;

/// Scalar product of two vectors of equal length.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + rest
}

/// Scalar products of `x` with a direction in 64 bits, and with itself, in one pass.
pub fn dot_and_square(x: &[f32], direction: &[f64]) -> (f64, f64) {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (d, d_rest) = direction.as_chunks::<LANES>();
    let (mut dots, mut squares) = ([0.0f64; LANES], [0.0f64; LANES]);
    for (x, d) in x.iter().zip(d) {
        for lane in 0..LANES {
            let value = f64::from(x[lane]);
            dots[lane] += value * d[lane];
            squares[lane] += value * value;
        }
    }
    let mut total = (dots.iter().sum::<f64>(), squares.iter().sum::<f64>());
    for (x, d) in x_rest.iter().zip(d_rest) {
        total.0 += f64::from(*x) * d;
        total.1 += f64::from(*x) * f64::from(*x);
    }
    total
}

/// The factor that makes a vector a unit vector, from its scalar product with itself.
///
/// # Errors
/// The vector has no direction, or numbers that are not finite. The squares of 32-bit numbers neither
/// overflow nor underflow in 64 bits, so the sum is sufficient to decide.
pub fn scale(square: f64) -> Result<f64, Fault> {
    if square == 0.0 {
        return Err(Fault::ZeroVector);
    }
    if square.is_finite() { Ok(1.0 / square.sqrt()) } else { Err(Fault::NotFinite) }
}

/// A scalar product of unit vectors as a cosine of 32 bits: rounding may carry it beyond 1.
pub fn cosine(product: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "scores are kept in 32 bits")]
    let cosine = product.clamp(-1.0, 1.0) as f32;
    cosine
}

/// Writes `x` as a unit vector of 32 bits to the end of `out`.
///
/// # Errors
/// As [`scale`]; nothing is written then.
pub fn push_unit(x: &[f32], out: &mut Vec<f32>) -> Result<(), Fault> {
    let factor = scale(dot(x, x))?;
    #[expect(clippy::cast_possible_truncation, reason = "unit vectors are compared in 32 bits")]
    out.extend(x.iter().map(|value| (f64::from(*value) * factor) as f32));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_over_whole_and_broken_lanes() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..19).map(|i| 1.0 - i as f32).collect();
        let expected: f64 = (0..19).map(|i| f64::from(i) * (1.0 - f64::from(i))).sum();
        assert_eq!(dot(&a, &b), expected);
        let direction: Vec<f64> = b.iter().map(|x| f64::from(*x)).collect();
        assert_eq!(dot_and_square(&a, &direction), (expected, dot(&a, &a)));
    }

    #[test]
    fn vectors_without_direction_are_told_apart() {
        let check = |x: &[f32], expected| {
            let mut out = vec![7.0];
            assert_eq!(push_unit(x, &mut out), expected, "{x:?}");
            assert_eq!(out.len(), if expected.is_ok() { 1 + x.len() } else { 1 });
        };
        check(&[0.0, -0.0], Err(Fault::ZeroVector));
        check(&[1.0, f32::NAN], Err(Fault::NotFinite));
        check(&[f32::INFINITY, 0.0], Err(Fault::NotFinite));
        check(&[f32::MAX; 4], Ok(()));
        check(&[f32::from_bits(1), 0.0], Ok(()));
    }

    #[test]
    fn cosines_stay_cosines() {
        for (product, expected) in [(1.000_000_1, 1.0), (-1.000_000_1, -1.0), (0.5, 0.5), (f64::INFINITY, 1.0)] {
            assert_eq!(cosine(product), expected);
        }
        assert!(cosine(f64::NAN).is_nan());
    }

    #[test]
    fn the_largest_and_smallest_numbers_have_a_direction() {
        let mut out = Vec::new();
        push_unit(&[f32::MAX, f32::MAX], &mut out).expect("finite");
        push_unit(&[f32::from_bits(1), 0.0], &mut out).expect("not zero");
        assert_eq!(out, [0.5f32.sqrt(), 0.5f32.sqrt(), 1.0, 0.0]);
    }
}
