//! Eight numbers of double precision side by side, per instruction set, chosen at run time.
#![allow(unsafe_code, reason = "vector instructions; every block says why it is sound")]

use crate::simd::InstructionSet;

/// How many numbers lie side by side.
pub const LANES: usize = 8;

/// Samples in a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64 / size_of::<f32>();

/// Eight numbers in memory, as wide as a cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Row(pub [f64; LANES]);

/// Eight numbers in registers. Values exist only in code that [`dispatch`] has called: a processor without the
/// instructions never meets them.
pub(super) trait Lanes: Copy {
    fn splat(value: f64) -> Self;
    fn load(row: &Row) -> Self;
    fn load_f32(from: &[f32; LANES]) -> Self;
    fn store(self, row: &mut Row);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self · factor + term`, rounded once where the hardware can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `self · factor − term`, likewise.
    fn mul_sub(self, factor: Self, term: Self) -> Self;
    fn reverse(self) -> Self;
    /// Lane i of value j becomes lane j of value i.
    fn transpose(values: [Self; LANES]) -> [Self; LANES];
}

/// Has samples brought into the second-level cache.
pub(super) fn prefetch(samples: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in samples.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

        // SAFETY: nothing is read, and every processor of the architecture has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = samples;
}

/// Work that is compiled once for each instruction set.
pub(super) trait Kernel {
    /// Does the work; must be `#[inline(always)]`, so that it is compiled with the instructions of `L`.
    fn run<L: Lanes>(self);
}

/// Does `kernel`'s work with the best instructions of this processor.
pub(super) fn dispatch<K: Kernel>(kernel: K) {
    with(InstructionSet::best(), kernel);
}

/// Does `kernel`'s work with instructions that this processor has.
fn with<K: Kernel>(set: InstructionSet, kernel: K) {
    match set {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the callers take `set` from what this processor has.
        InstructionSet::Avx512 => unsafe { x86::with_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        InstructionSet::Avx2 => unsafe { x86::with_avx2(kernel) },
        InstructionSet::Portable => kernel.run::<Portable>(),
    }
}

/// Does the work of one kernel after another, with every instruction set that this processor has.
#[cfg(test)]
pub(super) fn on_all<K: Kernel>(mut make: impl FnMut() -> K) {
    for set in InstructionSet::available() {
        with(*set, make());
    }
}

/// What the compiler makes of plain loops.
#[derive(Clone, Copy)]
pub(super) struct Portable([f64; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let mut out = self;
        for (out, other) in out.0.iter_mut().zip(other.0) {
            *out = f(*out, other);
        }
        out
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Portable([value; LANES])
    }

    #[inline(always)]
    fn load(row: &Row) -> Self {
        Portable(row.0)
    }

    #[inline(always)]
    fn load_f32(from: &[f32; LANES]) -> Self {
        Portable(from.map(f64::from))
    }

    #[inline(always)]
    fn store(self, row: &mut Row) {
        row.0 = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul(factor).add(term)
    }

    #[inline(always)]
    fn mul_sub(self, factor: Self, term: Self) -> Self {
        self.mul(factor).sub(term)
    }

    #[inline(always)]
    fn reverse(mut self) -> Self {
        self.0.reverse();
        self
    }

    #[inline(always)]
    fn transpose(values: [Self; LANES]) -> [Self; LANES] {
        let mut out = values;
        for (i, out) in out.iter_mut().enumerate() {
            for (j, value) in values.iter().enumerate() {
                out.0[j] = value.0[i];
            }
        }
        out
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, LANES, Lanes, Row};

    #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
    pub(super) fn with_avx512<K: Kernel>(kernel: K) {
        kernel.run::<Avx512>();
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn with_avx2<K: Kernel>(kernel: K) {
        kernel.run::<Avx2>();
    }

    #[derive(Clone, Copy)]
    pub(super) struct Avx512(__m512d);

    // SAFETY, of all blocks: values of this type exist only where `with_avx512` runs, whose caller vouches for the
    // instructions; memory is reached through references to eight values, and a row is aligned to 64 bytes.
    impl Lanes for Avx512 {
        #[inline(always)]
        fn splat(value: f64) -> Self {
            Avx512(unsafe { _mm512_set1_pd(value) })
        }

        #[inline(always)]
        fn load(row: &Row) -> Self {
            Avx512(unsafe { _mm512_load_pd(row.0.as_ptr()) })
        }

        #[inline(always)]
        fn load_f32(from: &[f32; LANES]) -> Self {
            Avx512(unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(from.as_ptr())) })
        }

        #[inline(always)]
        fn store(self, row: &mut Row) {
            unsafe { _mm512_store_pd(row.0.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Avx512(unsafe { _mm512_add_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Avx512(unsafe { _mm512_sub_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Avx512(unsafe { _mm512_mul_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            Avx512(unsafe { _mm512_fmadd_pd(self.0, factor.0, term.0) })
        }

        #[inline(always)]
        fn mul_sub(self, factor: Self, term: Self) -> Self {
            Avx512(unsafe { _mm512_fmsub_pd(self.0, factor.0, term.0) })
        }

        #[inline(always)]
        fn reverse(self) -> Self {
            Avx512(unsafe { _mm512_permutexvar_pd(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), self.0) })
        }

        #[inline(always)]
        fn transpose(v: [Self; LANES]) -> [Self; LANES] {
            unsafe {
                // Columns 0, 2, 4, 6 of rows (0, 1), (2, 3), (4, 5), (6, 7), as four pairs of numbers each.
                let even = quarters([
                    _mm512_unpacklo_pd(v[0].0, v[1].0),
                    _mm512_unpacklo_pd(v[2].0, v[3].0),
                    _mm512_unpacklo_pd(v[4].0, v[5].0),
                    _mm512_unpacklo_pd(v[6].0, v[7].0),
                ]);
                let odd = quarters([
                    _mm512_unpackhi_pd(v[0].0, v[1].0),
                    _mm512_unpackhi_pd(v[2].0, v[3].0),
                    _mm512_unpackhi_pd(v[4].0, v[5].0),
                    _mm512_unpackhi_pd(v[6].0, v[7].0),
                ]);
                [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]].map(Avx512)
            }
        }
    }

    /// Transposes four times four pairs of numbers.
    ///
    /// # Safety
    /// AVX-512 is there.
    #[inline(always)]
    unsafe fn quarters(v: [__m512d; 4]) -> [__m512d; 4] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let (a, b) = (_mm512_shuffle_f64x2(v[0], v[1], 0x44), _mm512_shuffle_f64x2(v[2], v[3], 0x44));
            let (c, d) = (_mm512_shuffle_f64x2(v[0], v[1], 0xee), _mm512_shuffle_f64x2(v[2], v[3], 0xee));
            [
                _mm512_shuffle_f64x2(a, b, 0x88),
                _mm512_shuffle_f64x2(a, b, 0xdd),
                _mm512_shuffle_f64x2(c, d, 0x88),
                _mm512_shuffle_f64x2(c, d, 0xdd),
            ]
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Avx2(__m256d, __m256d);

    // SAFETY, of all blocks: as for AVX-512, with `with_avx2`.
    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(value: f64) -> Self {
            let half = unsafe { _mm256_set1_pd(value) };
            Avx2(half, half)
        }

        #[inline(always)]
        fn load(row: &Row) -> Self {
            let at = row.0.as_ptr();
            unsafe { Avx2(_mm256_load_pd(at), _mm256_load_pd(at.add(4))) }
        }

        #[inline(always)]
        fn load_f32(from: &[f32; LANES]) -> Self {
            let at = from.as_ptr();
            unsafe { Avx2(_mm256_cvtps_pd(_mm_loadu_ps(at)), _mm256_cvtps_pd(_mm_loadu_ps(at.add(4)))) }
        }

        #[inline(always)]
        fn store(self, row: &mut Row) {
            let at = row.0.as_mut_ptr();
            unsafe {
                _mm256_store_pd(at, self.0);
                _mm256_store_pd(at.add(4), self.1);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_add_pd(self.0, other.0), _mm256_add_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_sub_pd(self.0, other.0), _mm256_sub_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_mul_pd(self.0, other.0), _mm256_mul_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            unsafe { Avx2(_mm256_fmadd_pd(self.0, factor.0, term.0), _mm256_fmadd_pd(self.1, factor.1, term.1)) }
        }

        #[inline(always)]
        fn mul_sub(self, factor: Self, term: Self) -> Self {
            unsafe { Avx2(_mm256_fmsub_pd(self.0, factor.0, term.0), _mm256_fmsub_pd(self.1, factor.1, term.1)) }
        }

        #[inline(always)]
        fn reverse(self) -> Self {
            unsafe { Avx2(_mm256_permute4x64_pd(self.1, 0x1b), _mm256_permute4x64_pd(self.0, 0x1b)) }
        }

        #[inline(always)]
        fn transpose(v: [Self; LANES]) -> [Self; LANES] {
            unsafe {
                let top_left = square([v[0].0, v[1].0, v[2].0, v[3].0]);
                let top_right = square([v[0].1, v[1].1, v[2].1, v[3].1]);
                let low_left = square([v[4].0, v[5].0, v[6].0, v[7].0]);
                let low_right = square([v[4].1, v[5].1, v[6].1, v[7].1]);
                let mut out = v;
                for i in 0..4 {
                    out[i] = Avx2(top_left[i], low_left[i]);
                    out[i + 4] = Avx2(top_right[i], low_right[i]);
                }
                out
            }
        }
    }

    /// Transposes four times four numbers.
    ///
    /// # Safety
    /// AVX2 is there.
    #[inline(always)]
    unsafe fn square(v: [__m256d; 4]) -> [__m256d; 4] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let (a, b) = (_mm256_unpacklo_pd(v[0], v[1]), _mm256_unpackhi_pd(v[0], v[1]));
            let (c, d) = (_mm256_unpacklo_pd(v[2], v[3]), _mm256_unpackhi_pd(v[2], v[3]));
            [
                _mm256_permute2f128_pd(a, c, 0x20),
                _mm256_permute2f128_pd(b, d, 0x20),
                _mm256_permute2f128_pd(a, c, 0x31),
                _mm256_permute2f128_pd(b, d, 0x31),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does everything with numbers that every format holds exactly, and compares with plain arithmetic.
    struct Check;

    impl Kernel for Check {
        #[inline(always)]
        fn run<L: Lanes>(self) {
            let stored = |lanes: L| {
                let mut row = Row::default();
                lanes.store(&mut row);
                row.0
            };
            let (a, b) = ([1.0, -2.0, 3.0, 4.5, 5.0, 6.0, -7.0, 8.0], [0.5, 2.0, 4.0, -8.0, 16.0, 1.0, 0.0, 3.0]);
            let (x, y) = (L::load(&Row(a)), L::load_f32(&b.map(|value| value as f32)));
            let each = |f: fn(f64, f64) -> f64| std::array::from_fn::<f64, LANES, _>(|lane| f(a[lane], b[lane]));
            assert_eq!(stored(x.add(y)), each(|a, b| a + b));
            assert_eq!(stored(x.sub(y)), each(|a, b| a - b));
            assert_eq!(stored(x.mul(y)), each(|a, b| a * b));
            assert_eq!(stored(x.mul_add(y, L::splat(10.0))), each(|a, b| a * b + 10.0));
            assert_eq!(stored(x.mul_sub(y, L::splat(10.0))), each(|a, b| a * b - 10.0));
            assert_eq!(stored(x.reverse()), [8.0, -7.0, 6.0, 5.0, 4.5, 3.0, -2.0, 1.0]);
            let square: [[f64; LANES]; LANES] =
                std::array::from_fn(|i| std::array::from_fn(|j| (i * LANES + j) as f64));
            let turned = L::transpose(square.map(|row| L::load(&Row(row))));
            for (i, row) in turned.into_iter().enumerate() {
                assert_eq!(stored(row), std::array::from_fn(|j| square[j][i]));
            }
        }
    }

    #[test]
    fn every_instruction_set_does_the_same() {
        on_all(|| Check);
    }
}
