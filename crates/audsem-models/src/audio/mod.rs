//! Networks that hear: classifiers and captioners of sound, and speech to text.
//!
//! Each takes mono samples at its own `SAMPLE_RATE_HZ`. Clips run without padding, so what a network says of a clip depends
//! on that clip alone.

pub mod ast;
pub mod audioset;
pub mod beats;
pub mod ced;
pub(crate) mod clips;
pub mod conette;
pub mod lp_musiccaps;
pub mod sat;
mod scores;
pub mod silero_vad;
pub mod whisper;
pub mod yamnet;

pub use scores::{ClassScore, top_classes};
