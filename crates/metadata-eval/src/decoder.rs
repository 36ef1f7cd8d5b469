//! What decodes the sounds and pictures of clips.

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

/// The ffmpeg that decodes videos, where there is one.
pub(crate) fn video_program(ffmpeg: Option<&Path>) -> Option<Program> {
    let found = Program::find(Tool::Ffmpeg, ffmpeg);
    found.inspect_err(|error| tracing::warn!("videos are not readable, pictures are: {error}")).ok()
}
