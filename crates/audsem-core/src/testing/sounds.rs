//! The sounds that goldens were made from, by the formulas of `fixtures/regen/clap.py`, `clap_mel.py` and `front_end.py`.

/// A hash of 32 bits (lowbias32): noise that every language repeats exactly.
pub fn hashed(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A sawtooth of 447 Hz (at 48 kHz) and noise.
#[expect(clippy::cast_possible_truncation, reason = "the goldens were made of sounds in f32, and are short")]
pub fn wave(samples: usize) -> Vec<f32> {
    let unit = |x: u32| f64::from(x) / 4_294_967_296.0;
    let sample = |index: u32| {
        let (saw, noise) = (unit(index.wrapping_mul(40_000_000)), unit(hashed(index)));
        (0.4 * (saw - 0.5) + 0.3 * (noise - 0.5)) as f32
    };
    (0..samples as u32).map(sample).collect()
}

/// 440 Hz and 3000 Hz at 48 kHz.
#[expect(clippy::cast_possible_truncation, reason = "the goldens were made of sounds in f32")]
pub fn sines(samples: usize) -> Vec<f32> {
    let sample = |n: usize| {
        let angle = 2.0 * std::f64::consts::PI * (n as f64 / 48_000.0);
        (0.5 * (440.0 * angle).sin() + 0.25 * (3000.0 * angle).sin()) as f32
    };
    (0..samples).map(sample).collect()
}
