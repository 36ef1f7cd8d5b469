//! What decodes the sounds of clips.

use std::path::Path;

use audsem_media::audio::Decoder;
use audsem_media::program::{Program, Tool};

/// The built-in decoders, and ffmpeg for what they cannot read, where there is one.
pub(crate) fn decoder(ffmpeg: Option<&Path>) -> Decoder {
    match Program::find(Tool::Ffmpeg, ffmpeg) {
        Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg),
        Err(error) => {
            tracing::warn!("some sounds may not be readable: {error}");
            Decoder::new()
        }
    }
}
