//! Networks that read pictures or sounds and write text.

pub mod llava_video;
pub mod qwen2_audio;
