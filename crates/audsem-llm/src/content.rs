//! What a message says: text, sounds and pictures.

use std::fmt;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use audsem_core::blame::Blame;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::TextError;
use super::request::hex_sha256;

/// Sampling rate of silence in Hz: what audio language models resample to.
const SILENCE_HZ: u32 = 16_000;

/// The content of a message. Text alone is a string on the wire, as every server reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum MessageContent {
    /// Text alone.
    Text(String),
    /// Text, sounds and pictures in the order in which the model gets them.
    Parts(Vec<Part>),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Text.
    Text(String),
    /// A sound.
    Audio(Media),
    /// A picture.
    Image(Media),
}

/// A sound or a picture. In a replay key it stands as the SHA-256 of its bytes, or as its address.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Media(Source);

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Source {
    Bytes {
        format: String,
        sha256: String,
        /// Known by their hash, so they are neither compared nor written into a key.
        #[serde(skip)]
        bytes: SharedBytes,
    },
    Url {
        url: String,
    },
}

/// Bytes that clones of a request share.
#[derive(Clone)]
struct SharedBytes(Arc<[u8]>);

impl PartialEq for SharedBytes {
    /// Bytes of equal hash are equal.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SharedBytes {}

impl Media {
    /// Takes the bytes of a file in a format by its usual suffix: `wav`, `mp3`, `flac`, `png`, `jpeg` …
    #[must_use]
    pub fn from_bytes(format: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let format = match format.to_ascii_lowercase().as_str() {
            "jpg" => "jpeg".to_owned(),
            format => format.to_owned(),
        };
        Self(Source::Bytes { format, sha256: hex_sha256(&bytes), bytes: SharedBytes(bytes) })
    }

    /// A silent recording of one channel, 16 bits and 16 kHz as WAV, which every server that hears reads.
    #[must_use]
    pub fn silence(seconds: u16) -> Self {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SILENCE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = Cursor::new(Vec::new());
        let written = hound::WavWriter::new(&mut wav, spec).and_then(|mut writer| {
            (0..SILENCE_HZ * u32::from(seconds)).try_for_each(|_| writer.write_sample(0_i16))?;
            writer.finalize()
        });
        written.expect("memory can be written, and the file is far below 4 GB");
        Self::from_bytes("wav", wav.into_inner())
    }

    /// Reads a local file; its suffix names the format.
    ///
    /// # Errors
    /// [`TextError::Media`] if it cannot be read or has no suffix.
    pub fn read(path: &Path) -> Result<Self, TextError> {
        let format = path.extension().and_then(|suffix| suffix.to_str());
        let format = format.ok_or_else(|| TextError::Media {
            path: path.to_owned(),
            reason: "the name has no suffix that names the format".to_owned(),
            blame: Blame::Record,
        })?;
        let bytes = std::fs::read(path).map_err(|error| TextError::unread_media(path, &error))?;
        Ok(Self::from_bytes(format, bytes))
    }

    /// Leaves fetching to the server. A `data:` address is taken apart, so that it is known by its content.
    #[must_use]
    pub fn from_url(url: &str) -> Self {
        match parse_data_url(url) {
            Some((format, bytes)) => Self::from_bytes(&format, bytes),
            None => Self(Source::Url { url: url.to_owned() }),
        }
    }

    /// Format and bytes, if the bytes are at hand: they are not if the server is to fetch them.
    #[must_use]
    pub fn bytes(&self) -> Option<(&str, &[u8])> {
        match &self.0 {
            Source::Bytes { format, bytes, .. } => Some((format, &bytes.0)),
            Source::Url { .. } => None,
        }
    }

    /// The address, if the server fetches it itself.
    pub(super) fn url(&self) -> Option<&str> {
        match &self.0 {
            Source::Url { url } => Some(url),
            Source::Bytes { .. } => None,
        }
    }

    /// Format and bytes in base64, if the bytes are at hand.
    pub(super) fn base64(&self) -> Option<(&str, String)> {
        match &self.0 {
            Source::Bytes { format, bytes, .. } => Some((format, STANDARD.encode(&bytes.0))),
            Source::Url { .. } => None,
        }
    }
}

impl fmt::Debug for Media {
    /// Prints no bytes, so that logs stay readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Bytes { format, sha256, bytes } => write!(f, "{format}, {} bytes, sha256 {sha256}", bytes.0.len()),
            Source::Url { url } => f.write_str(url),
        }
    }
}

/// `data:audio/wav;base64,UklG…` → `wav` and the bytes.
fn parse_data_url(url: &str) -> Option<(String, Vec<u8>)> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let (_, format) = kind.split_once('/')?;
    Some((format.to_owned(), STANDARD.decode(data).ok()?))
}

impl MessageContent {
    /// The texts of all parts, one below the other; sounds and pictures are left out.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                let text = |part: &Part| if let Part::Text(text) = part { Some(text.clone()) } else { None };
                parts.iter().filter_map(text).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Whether there is nothing but text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Parts(parts) => parts.iter().all(|part| matches!(part, Part::Text(_))),
        }
    }

    /// Inserts sounds and pictures before the existing content, where models expect them.
    pub(super) fn prepend(&mut self, media: Vec<Part>) {
        let said = match std::mem::replace(self, Self::Parts(media)) {
            Self::Text(text) => vec![Part::Text(text)],
            Self::Parts(parts) => parts,
        };
        if let Self::Parts(parts) = self {
            parts.extend(said);
        }
    }
}

impl From<String> for MessageContent {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for MessageContent {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Message, Prompt, Request, Role};

    fn key(parts: Vec<Part>) -> String {
        let message = Message { role: Role::User, content: MessageContent::Parts(parts) };
        Request::greedy(Prompt::Chat(vec![message]), 4).key("m")
    }

    fn wav(bytes: &[u8]) -> Media {
        Media::from_bytes("wav", bytes)
    }

    #[test]
    fn key_knows_media_by_content_kind_and_place() {
        let text = || Part::Text("What is heard?".into());
        let base = key(vec![Part::Audio(wav(b"abc")), text()]);
        assert_eq!(base, key(vec![Part::Audio(wav(b"abc")), text()]));
        let others = [
            key(vec![Part::Audio(wav(b"abd")), text()]),
            key(vec![Part::Audio(Media::from_bytes("mp3", &b"abc"[..])), text()]),
            key(vec![Part::Image(wav(b"abc")), text()]),
            key(vec![text(), Part::Audio(wav(b"abc"))]),
            key(vec![Part::Audio(wav(b"abc")), Part::Audio(wav(b"abc")), text()]),
            key(vec![Part::Audio(Media::from_url("http://h/a.wav")), text()]),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    /// A long sound adds its hash to what is hashed, not its bytes.
    #[test]
    fn serialised_media_hold_no_bytes() {
        let json = serde_json::to_string(&Part::Audio(wav(&[7; 100_000]))).unwrap();
        assert!(json.len() < 120 && json.contains("sha256"), "{json}");
        assert!(format!("{:?}", wav(&[7; 100_000])).len() < 120);
    }

    #[test]
    fn data_address_is_known_by_its_content() {
        assert_eq!(Media::from_url("data:audio/wav;base64,YWJj"), wav(b"abc"));
        assert_eq!(Media::from_url("http://h/a.wav").url(), Some("http://h/a.wav"));
        assert_eq!(wav(b"abc").base64().unwrap(), ("wav", "YWJj".to_owned()));
    }

    #[test]
    fn file_is_read_and_its_suffix_names_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.JPG");
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"), &path).unwrap();
        assert_eq!(Media::read(&path).unwrap().base64().unwrap().0, "jpeg");
        let error = Media::read(&folder.path().join("gone.wav")).unwrap_err().to_string();
        assert!(error.contains("gone.wav"), "{error}");
        assert!(Media::read(folder.path()).unwrap_err().to_string().contains("suffix"));
    }
}
