//! Chooses the decoder of a file.

use super::container::{self, Container};
use super::ends::Ends;
use super::flac_info::skip_id3;
use super::packets::Packets;
use super::{Audio, AudioError, fallback, flac_file, mp4_index, native, wav};
use crate::program::Program;
use audsem_core::blame::Blame;
use audsem_core::panics::caught;
use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::path::Path;

/// Longer sounds are refused unless the caller says otherwise; it bounds the memory a small file that
/// unpacks to hours of silence can take.
const DEFAULT_MAX_S: f64 = 3600.0;

/// Turns bytes or files into [`Audio`].
///
/// Every error is about the one sound; a decoder is used for any number of them, from any thread.
#[derive(Debug, Clone)]
pub struct Decoder {
    ffmpeg: Option<Program>,
    max_s: f64,
    end_tolerance_s: Option<f64>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { ffmpeg: None, max_s: DEFAULT_MAX_S, end_tolerance_s: None }
    }
}

impl Decoder {
    /// The built-in decoders alone, for sounds of up to an hour.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Also uses ffmpeg, for sounds the built-in decoders cannot read.
    pub fn with_ffmpeg(mut self, ffmpeg: Program) -> Decoder {
        self.ffmpeg = Some(ffmpeg);
        self
    }

    /// Refuses sounds of more than `max_s` seconds.
    pub fn max_seconds(mut self, max_s: f64) -> Decoder {
        self.max_s = max_s;
        self
    }

    /// Refuses sounds that end more than `tolerance_s` seconds before the pictures of their file.
    pub fn ends_with_pictures(mut self, tolerance_s: f64) -> Decoder {
        self.end_tolerance_s = Some(tolerance_s);
        self
    }

    /// Decodes the default audio track of a media file held in memory: of those with the default flag, or else of all,
    /// the first that has the most channels, as ffmpeg chooses. `extension`, that of its name,
    /// helps with formats that have no magic number.
    ///
    /// # Errors
    /// [`AudioError`]; never [`AudioError::Read`].
    pub fn decode_bytes(&self, bytes: &[u8], extension: Option<&str>) -> Result<Audio, AudioError> {
        if bytes.is_empty() {
            return Err(AudioError::Empty);
        }
        let kind = container::detect(bytes, extension);
        match (&self.ffmpeg, self.built_in(kind, bytes, extension)) {
            (Some(ffmpeg), Err(error)) if kind.is_worth_another_decoder(&error) => {
                checked(self.with_program(ffmpeg, bytes, error))
            }
            (_, result) => checked(result),
        }
    }

    /// Decodes the default audio track of a media file, as [`Decoder::decode_bytes`]. The whole file is read first: a
    /// failing disk is then a read error, and can neither make decoding fall back to ffmpeg nor end the sound early.
    ///
    /// # Errors
    /// [`AudioError`].
    pub fn decode_file(&self, path: &Path) -> Result<Audio, AudioError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a file"));
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| AudioError::Read { path: path.to_owned(), source })?;
        self.decode_bytes(&bytes, path.extension().and_then(|extension| extension.to_str()))
    }

    /// The built-in decoders, with panics turned into errors: they are meant for untrusted
    /// bytes, but their documentation says that some streams may still panic.
    fn built_in(&self, kind: Container, bytes: &[u8], extension: Option<&str>) -> Result<Audio, AudioError> {
        let decode = move || {
            container::check_complete(kind, &mut Cursor::new(bytes))?;
            match kind {
                Container::Wav => match wav::decode(bytes, self.max_s) {
                    Err(AudioError::Unsupported { .. }) => self.native(kind, bytes, extension),
                    result => result,
                },
                Container::Flac => flac_file::decode(bytes, self.max_s),
                Container::Tagged if skip_id3(bytes).starts_with(b"fLaC") => flac_file::decode(bytes, self.max_s),
                Container::Tagged | Container::Mp4 | Container::Matroska | Container::Ogg | Container::Known => {
                    self.native(kind, bytes, extension)
                }
                Container::Playlist(what) => Err(AudioError::NamesFiles { what }),
                Container::Avi | Container::Unknown => {
                    Err(AudioError::Unsupported { what: "no known container".to_owned() })
                }
            }
        };
        caught(decode).unwrap_or_else(|what| Err(AudioError::DecoderPanicked { what }))
    }

    fn native(&self, kind: Container, bytes: &[u8], extension: Option<&str>) -> Result<Audio, AudioError> {
        let index = if kind == Container::Mp4 { mp4_index::read_tracks(&mut Cursor::new(bytes)) } else { Vec::new() };
        native::decode(
            Box::new(Cursor::new(bytes)),
            native::Options { extension, max_s: self.max_s, end_tolerance_s: self.end_tolerance_s, index: &index },
        )
    }

    fn with_program(&self, ffmpeg: &Program, media: &[u8], built_in: AudioError) -> Result<Audio, AudioError> {
        let Some(tolerance_s) = self.end_tolerance_s else {
            return fallback::decode(ffmpeg, media, self.max_s, built_in);
        };
        match fallback::decode_with_packets(ffmpeg, media, self.max_s) {
            Ok((audio, packets)) => Ends::of_packets(&packets).check(tolerance_s).map(|()| audio),
            // Sound or pictures: each alone, to know which.
            Err(AudioError::Helper(error)) if error.blame() != Blame::Surroundings => {
                let audio = fallback::decode(ffmpeg, media, self.max_s, built_in)?;
                match Packets::read(ffmpeg, media) {
                    Ok(packets) => Ends::of_packets(&packets).check(tolerance_s)?,
                    Err(error) if error.blame() == Blame::Surroundings => return Err(AudioError::Helper(error)),
                    // ffmpeg can copy what it decodes, so this is an error of the pictures.
                    Err(_) => {}
                }
                Ok(audio)
            }
            Err(error) => Err(error),
        }
    }
}

/// Checks without decoding whether bytes may be a complete media file: not a playlist, and not shorter than the container
/// states.
///
/// # Errors
/// [`AudioError::Empty`], [`AudioError::NamesFiles`] or [`AudioError::Truncated`].
pub fn check_media(bytes: &[u8], extension: Option<&str>) -> Result<(), AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    match container::detect(bytes, extension) {
        Container::Playlist(what) => Err(AudioError::NamesFiles { what }),
        kind => match container::check_complete(kind, &mut Cursor::new(bytes)) {
            Err(error @ AudioError::Truncated { .. }) => Err(error),
            _ => Ok(()),
        },
    }
}

/// Refuses sounds without frames and with samples that are not finite.
fn checked(result: Result<Audio, AudioError>) -> Result<Audio, AudioError> {
    let audio = result?;
    if audio.frames() == 0 {
        return Err(AudioError::Empty);
    }
    match audio.samples.iter().position(|sample| !sample.is_finite()) {
        Some(index) => Err(AudioError::NotFinite { index, value: audio.samples[index] }),
        None => Ok(audio),
    }
}
