//! Power spectra and mel spectrograms, eight frames at a time.
//!
//! Everything is double precision. A transform of single precision leaves noise at 1e-7 of the loudest partial, which
//! is more than the quiet end of a spectrum has.

mod butterfly;
mod lanes;
mod log;
mod mel;
mod mel_spectrogram;
mod pair_fft;
mod placed_bank;
mod signal;
mod stft;

pub use lanes::{LANES, Row};
pub use mel::{MelBank, MelConfig, MelNorm, MelScale};
pub use mel_spectrogram::{LogScale, MelSpectrogram};
pub use signal::Signal;
pub use stft::{PowerStft, StftScratch};
