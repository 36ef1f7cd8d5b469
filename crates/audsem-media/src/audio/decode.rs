//! Chooses the decoder of a file.

use super::container::{self, Container};
use super::flac_info::skip_id3;
use super::{Audio, AudioError, ends, fallback, flac_file, mp4_index, native, wav};
use crate::program::Program;
use std::any::Any;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use symphonia::core::io::MediaSource;

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
        let built_in = self.built_in(kind, Cursor::new(bytes), extension, |source| Ok(source.get_ref().to_vec()));
        let error = match (&self.ffmpeg, built_in) {
            (Some(_), Err(error)) if kind.is_worth_another_decoder(&error) => error,
            (_, result) => return checked(result),
        };
        checked(self.by_ffmpeg(error, |ffmpeg, error| {
            // A file, because ffmpeg must seek in MP4.
            let suffix = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
            let file = tempfile::Builder::new().prefix("audsem-").suffix(&suffix).tempfile();
            let file = file.and_then(|mut file| file.write_all(bytes).map(|()| file));
            let file = file.map_err(|source| AudioError::Read { path: std::env::temp_dir(), source })?;
            self.with_program(ffmpeg, file.path(), error)
        }))
    }

    /// Decodes the default audio track of a media file, as [`Decoder::decode_bytes`].
    ///
    /// # Errors
    /// [`AudioError`].
    pub fn decode_file(&self, path: &Path) -> Result<Audio, AudioError> {
        let read_error = |source| AudioError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read_error)?;
        if !file.metadata().map_err(read_error)?.is_file() {
            return Err(read_error(std::io::Error::other("it is not a file")));
        }
        let mut start = Vec::new();
        Read::by_ref(&mut file).take(16).read_to_end(&mut start).map_err(read_error)?;
        file.seek(SeekFrom::Start(0)).map_err(read_error)?;
        if start.is_empty() {
            return Err(AudioError::Empty);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let whole = |mut file: File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes).map_err(read_error)
        };
        let kind = container::detect(&start, extension);
        let error = match (&self.ffmpeg, self.built_in(kind, file, extension, whole)) {
            (Some(_), Err(error)) if kind.is_worth_another_decoder(&error) => error,
            (_, result) => return checked(result),
        };
        checked(self.by_ffmpeg(error, |ffmpeg, error| self.with_program(ffmpeg, path, error)))
    }

    /// The built-in decoders, with panics turned into errors: they are meant for untrusted
    /// bytes, but their documentation says that some streams may still panic.
    fn built_in<S: MediaSource>(
        &self,
        kind: Container,
        mut source: S,
        extension: Option<&str>,
        whole: impl FnOnce(S) -> Result<Vec<u8>, AudioError>,
    ) -> Result<Audio, AudioError> {
        let decode = move || {
            container::check_complete(kind, &mut source)?;
            match kind {
                Container::Wav => {
                    let bytes = whole(source)?;
                    match wav::decode(&bytes, self.max_s) {
                        Err(AudioError::Unsupported { .. }) => self.native(kind, Cursor::new(&bytes[..]), extension),
                        result => result,
                    }
                }
                Container::Flac => flac_file::decode(&whole(source)?, self.max_s),
                Container::Tagged => {
                    let bytes = whole(source)?;
                    if skip_id3(&bytes).starts_with(b"fLaC") {
                        return flac_file::decode(&bytes, self.max_s);
                    }
                    self.native(kind, Cursor::new(&bytes[..]), extension)
                }
                Container::Mp4 | Container::Matroska | Container::Ogg | Container::Known => {
                    self.native(kind, source, extension)
                }
                Container::Avi | Container::Unknown => {
                    Err(AudioError::Unsupported { what: "no known container".to_owned() })
                }
            }
        };
        catch_unwind(AssertUnwindSafe(decode))
            .unwrap_or_else(|panic| Err(AudioError::DecoderPanicked { what: panic_message(panic.as_ref()) }))
    }

    fn native<S: MediaSource>(
        &self,
        kind: Container,
        mut source: S,
        extension: Option<&str>,
    ) -> Result<Audio, AudioError> {
        let index = if kind == Container::Mp4 { mp4_index::read_tracks(&mut source) } else { Vec::new() };
        native::decode(
            Box::new(source),
            native::Options { extension, max_s: self.max_s, end_tolerance_s: self.end_tolerance_s, index: &index },
        )
    }

    fn with_program(&self, ffmpeg: &Program, file: &Path, built_in: AudioError) -> Result<Audio, AudioError> {
        let audio = fallback::decode(ffmpeg, file, self.max_s, built_in)?;
        if let Some(tolerance_s) = self.end_tolerance_s {
            // What ffmpeg decodes it can also copy; an error here would be one of the pictures.
            ends::by_ffmpeg(ffmpeg, file).unwrap_or_default().check(tolerance_s)?;
        }
        Ok(audio)
    }

    fn by_ffmpeg(
        &self,
        error: AudioError,
        decode: impl FnOnce(&Program, AudioError) -> Result<Audio, AudioError>,
    ) -> Result<Audio, AudioError> {
        match &self.ffmpeg {
            Some(ffmpeg) => decode(ffmpeg, error),
            None => Err(error),
        }
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

/// The text of a panic, as far as it has one.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
