//! Front ends: from samples to the spectral features that audio networks read.
//!
//! [`FrontEndConfig`] names every choice that CLAP, Kaldi, Whisper, torchaudio and librosa make differently, and has a
//! constructor for each of them. [`FrontEnd`] plans the transform and computes the filters once, and then serves any
//! number of threads.

mod config;
mod error;
mod front_end;
mod log;
mod mel;
mod presets;
mod signal;
mod transform;
mod window;

pub use config::{
    FftConfig, FftPrecision, FrameConfig, FrameCount, FrontEndConfig, Normalization, Padding, SpectrumKind,
};
pub use error::FrontEndError;
pub use front_end::{FrontEnd, FrontEndTables, Spectrogram, check_samples};
pub use log::{DbReference, LogScale};
pub use mel::{BinSpacing, MelBank, MelConfig, MelNorm, MelScale};
pub use signal::Signal;
pub use window::{WindowConfig, WindowShape};
