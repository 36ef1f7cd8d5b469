//! Networks that read pictures or sounds and write text.

pub mod audio_language;
pub mod compose;
pub mod export;
pub mod llava_video;
mod merge;
pub mod processor;
pub mod qwen2_5_omni;
pub mod qwen2_audio;
pub mod random;
mod sound;
pub mod trainable;

pub use merge::{MultimodalDecoder, MultimodalNetwork};
pub(crate) use merge::{fill_places, splice};
pub use sound::{HOP_SAMPLES, SAMPLE_RATE_HZ, SoundLengths};
