//! The kernels that determine the speed, one per instruction set, chosen at run time.
#![allow(unsafe_code, reason = "vector instructions; every block says why it is sound")]

use audsem_media::simd::InstructionSet;

/// Columns of a panel of packed weights: two AVX-512 registers.
pub(super) const PANEL: usize = 32;

/// Most rows of a tile, over all instruction sets.
pub(super) const MAX_TILE_ROWS: usize = 12;

/// Rows of a tile of output, as wide as a panel.
pub(super) type Tile = [[f32; PANEL]; MAX_TILE_ROWS];

/// An instruction set.
pub(super) trait Simd: Copy {
    /// Rows of a tile that fit the registers.
    const TILE_ROWS: usize;

    /// `a * b + c`, fused where the hardware has it.
    fn fma(a: f32, b: f32, c: f32) -> f32;

    /// `tile[m][n] = Σ_k a[m·stride + k] · panel[k·PANEL + n]` for `m < M`.
    ///
    /// # Safety
    /// The instruction set is there; `a` is valid for `(M - 1)·stride + k` reads, `panel` for `k·PANEL`.
    unsafe fn tile<const M: usize>(k: usize, a: *const f32, stride: usize, panel: *const f32, tile: &mut Tile);
}

/// Copies up to a panel of values; a whole panel, which is the rule, without a call.
#[inline(always)]
pub(super) fn copy_panel(from: &[f32], to: &mut [f32]) {
    match (<&[f32; PANEL]>::try_from(from), <&mut [f32; PANEL]>::try_from(&mut *to)) {
        (Ok(from), Ok(to)) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

/// Work that is compiled once for each instruction set.
pub(super) trait Kernel {
    /// Does the work; must be `#[inline(always)]`, so that it is compiled with the instructions of `S`.
    fn run<S: Simd>(self);
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

/// Plain loops, vectorised by the compiler.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    const TILE_ROWS: usize = 4;

    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    unsafe fn tile<const M: usize>(k: usize, a: *const f32, stride: usize, panel: *const f32, tile: &mut Tile) {
        let mut sums = [[0f32; PANEL]; M];
        for i in 0..k {
            // SAFETY: the caller vouches for `k·PANEL` values.
            let row = unsafe { &*panel.add(i * PANEL).cast::<[f32; PANEL]>() };
            for (m, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller vouches for `(M - 1)·stride + k` values.
                let a = unsafe { *a.add(m * stride + i) };
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum += a * b;
                }
            }
        }
        tile[..M].copy_from_slice(&sums);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{Kernel, PANEL, Simd, Tile};

    #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
    pub(super) fn with_avx512<K: Kernel>(kernel: K) {
        kernel.run::<Avx512>();
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn with_avx2<K: Kernel>(kernel: K) {
        kernel.run::<Avx2>();
    }

    #[derive(Clone, Copy)]
    pub(super) struct Avx512;

    impl Simd for Avx512 {
        const TILE_ROWS: usize = 12;

        #[inline(always)]
        fn fma(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        unsafe fn tile<const M: usize>(k: usize, a: *const f32, stride: usize, panel: *const f32, tile: &mut Tile) {
            // SAFETY: the caller vouches for the instructions and for both ranges; a tile has M rows of PANEL values.
            unsafe {
                let mut left = [_mm512_setzero_ps(); M];
                let mut right = [_mm512_setzero_ps(); M];
                for i in 0..k {
                    let row = panel.add(i * PANEL);
                    let (b0, b1) = (_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(16)));
                    for m in 0..M {
                        let a = _mm512_set1_ps(*a.add(m * stride + i));
                        left[m] = _mm512_fmadd_ps(a, b0, left[m]);
                        right[m] = _mm512_fmadd_ps(a, b1, right[m]);
                    }
                }
                for m in 0..M {
                    let out = tile[m].as_mut_ptr();
                    _mm512_storeu_ps(out, left[m]);
                    _mm512_storeu_ps(out.add(16), right[m]);
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Avx2;

    impl Simd for Avx2 {
        const TILE_ROWS: usize = 6;

        #[inline(always)]
        fn fma(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        unsafe fn tile<const M: usize>(k: usize, a: *const f32, stride: usize, panel: *const f32, tile: &mut Tile) {
            // Sixteen registers: the panel goes in two halves of two registers.
            for half in [0, PANEL / 2] {
                // SAFETY: as for AVX-512.
                unsafe {
                    let mut left = [_mm256_setzero_ps(); M];
                    let mut right = [_mm256_setzero_ps(); M];
                    for i in 0..k {
                        let row = panel.add(i * PANEL + half);
                        let (b0, b1) = (_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8)));
                        for m in 0..M {
                            let a = _mm256_set1_ps(*a.add(m * stride + i));
                            left[m] = _mm256_fmadd_ps(a, b0, left[m]);
                            right[m] = _mm256_fmadd_ps(a, b1, right[m]);
                        }
                    }
                    for m in 0..M {
                        let out = tile[m].as_mut_ptr().add(half);
                        _mm256_storeu_ps(out, left[m]);
                        _mm256_storeu_ps(out.add(8), right[m]);
                    }
                }
            }
        }
    }
}

/// Runs `kernel` with every instruction set this processor has, for tests.
#[cfg(test)]
pub(super) fn on_all<K: Kernel>(make: impl Fn() -> K) {
    for set in InstructionSet::available() {
        with(*set, make());
    }
}
