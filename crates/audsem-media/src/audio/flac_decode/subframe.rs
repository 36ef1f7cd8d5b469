//! The samples of one channel in a frame (RFC 9639, section 9.2).
//!
//! Sums wrap around instead of panicking: data that overflows is damaged, which the
//! frame's checksum or the range of its samples reveals.

use super::Fault;
use super::bits::Bits;

/// The highest order of a linear predictor.
const MAX_ORDER: usize = 32;

/// Decodes a subframe of `samples.len()` samples with `width` bits each.
pub(super) fn decode(bits: &mut Bits<'_>, width: u32, samples: &mut [i64]) -> Result<(), Fault> {
    let head = bits.unsigned(8)?;
    if head & 0x80 != 0 {
        return Err(Fault::Bad("a reserved bit of a subframe is set"));
    }
    let wasted = if head & 1 == 1 { bits.zeros()? + 1 } else { 0 };
    let width = match u32::try_from(wasted) {
        Ok(wasted) if wasted < width => width - wasted,
        _ => return Err(Fault::Bad("a subframe wastes all bits of its samples")),
    };
    match head >> 1 {
        0 => samples.fill(bits.signed(width)?),
        1 => verbatim(bits, width, samples)?,
        kind @ 8..=12 => fixed(bits, width, (kind - 8) as usize, samples)?,
        kind @ 32..=63 => linear(bits, width, (kind - 31) as usize, samples)?,
        _ => return Err(Fault::Bad("a subframe is of a reserved kind")),
    }
    if wasted > 0 {
        samples.iter_mut().for_each(|sample| *sample <<= wasted);
    }
    Ok(())
}

fn verbatim(bits: &mut Bits<'_>, width: u32, samples: &mut [i64]) -> Result<(), Fault> {
    for sample in samples {
        *sample = bits.signed(width)?;
    }
    Ok(())
}

fn fixed(bits: &mut Bits<'_>, width: u32, order: usize, samples: &mut [i64]) -> Result<(), Fault> {
    warm_up(bits, width, order, samples)?;
    residual(bits, order, samples)?;
    match order {
        0 => {}
        1 => predict(&[1], 0, samples),
        2 => predict(&[-1, 2], 0, samples),
        3 => predict(&[1, -3, 3], 0, samples),
        _ => predict(&[-1, 4, -6, 4], 0, samples),
    }
    Ok(())
}

fn linear(bits: &mut Bits<'_>, width: u32, order: usize, samples: &mut [i64]) -> Result<(), Fault> {
    warm_up(bits, width, order, samples)?;
    let precision = bits.unsigned(4)? as u32 + 1;
    let shift = bits.signed(5)?;
    if precision == 16 || shift < 0 {
        return Err(Fault::Bad("a predictor has a forbidden precision"));
    }
    // Stored from the latest sample back; kept in the order of the samples, the unused ones 0.
    let mut factors = [0; MAX_ORDER];
    for factor in factors[MAX_ORDER - order..].iter_mut().rev() {
        *factor = bits.signed(precision)?;
    }
    residual(bits, order, samples)?;
    let shift = shift as u32;
    match order {
        1..=4 => predict_padded::<4>(order, &factors, shift, samples),
        5 | 6 => predict_padded::<6>(order, &factors, shift, samples),
        7 | 8 => predict_padded::<8>(order, &factors, shift, samples),
        9..=12 => predict_padded::<12>(order, &factors, shift, samples),
        _ => predict_padded::<MAX_ORDER>(order, &factors, shift, samples),
    }
    Ok(())
}

fn warm_up(bits: &mut Bits<'_>, width: u32, order: usize, samples: &mut [i64]) -> Result<(), Fault> {
    let first = samples.get_mut(..order).ok_or(Fault::Bad("a block is shorter than its predictor"))?;
    verbatim(bits, width, first)
}

/// Predicts with `N` factors, of which all but the last `order` are 0.
fn predict_padded<const N: usize>(order: usize, factors: &[i64; MAX_ORDER], shift: u32, samples: &mut [i64]) {
    let factors: &[i64; N] = factors.last_chunk().expect("N is at most MAX_ORDER");
    // The first samples have fewer than N before them.
    for at in order..N.min(samples.len()) {
        let (before, rest) = samples.split_at_mut(at);
        let used = before.iter().rev().zip(factors.iter().rev()).take(order);
        let sum = used.fold(0_i64, |sum, (sample, factor)| sum.wrapping_add(sample.wrapping_mul(*factor)));
        rest[0] = rest[0].wrapping_add(sum >> shift);
    }
    predict(factors, shift, samples);
}

/// Adds to every sample from the `N`th on its prediction: the `N` samples before it, in order, times the
/// factors.
fn predict<const N: usize>(factors: &[i64; N], shift: u32, samples: &mut [i64]) {
    for at in N..samples.len() {
        let (before, rest) = samples.split_at_mut(at);
        let Some(before) = before.last_chunk::<N>() else { return };
        let mut sum = 0_i64;
        for (sample, factor) in before.iter().zip(factors) {
            sum = sum.wrapping_add(sample.wrapping_mul(*factor));
        }
        rest[0] = rest[0].wrapping_add(sum >> shift);
    }
}

/// Reads what the predictor leaves over, for every sample behind the first `order`.
fn residual(bits: &mut Bits<'_>, order: usize, samples: &mut [i64]) -> Result<(), Fault> {
    let parameter_bits = match bits.unsigned(2)? {
        0 => 4,
        1 => 5,
        _ => return Err(Fault::Bad("a residual is coded in a reserved way")),
    };
    let partitions = 1_usize << bits.unsigned(4)?;
    let length = samples.len() / partitions;
    if length * partitions != samples.len() || length < order {
        return Err(Fault::Bad("a block cannot be divided as its residual is"));
    }
    let mut from = order;
    for partition in 1..=partitions {
        rice_partition(bits, parameter_bits, &mut samples[from..partition * length])?;
        from = partition * length;
    }
    Ok(())
}

fn rice_partition(bits: &mut Bits<'_>, parameter_bits: u32, samples: &mut [i64]) -> Result<(), Fault> {
    let parameter = bits.unsigned(parameter_bits)? as u32;
    if parameter == (1 << parameter_bits) - 1 {
        let width = bits.unsigned(5)? as u32;
        return verbatim(bits, width, samples);
    }
    for sample in samples {
        let folded = bits.rice(parameter)?;
        *sample = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
    }
    Ok(())
}
