//! Which vector instructions this processor has.

use std::sync::OnceLock;

/// An instruction set that hand-written kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 F and DQ, with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every processor of the architecture has.
    Portable,
}

impl InstructionSet {
    /// The best one that this processor has.
    pub fn best() -> InstructionSet {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
                return if wide { InstructionSet::Avx512 } else { InstructionSet::Avx2 };
            }
            InstructionSet::Portable
        })
    }

    /// All that this processor has, the best one last.
    pub fn available() -> &'static [InstructionSet] {
        match InstructionSet::best() {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => &[InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512],
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => &[InstructionSet::Portable, InstructionSet::Avx2],
            InstructionSet::Portable => &[InstructionSet::Portable],
        }
    }
}
