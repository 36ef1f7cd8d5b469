//! Checks whether a container file is complete, by its outermost sizes.
//!
//! A decoder that reaches the end of a half-copied file often stops as if the sound ended there, and
//! ffmpeg only warns; comparing the sizes in the headers with the file costs only a few seeks.

use super::AudioError;
use super::ogg::{self, Pages};
use std::io::{self, Read, Seek, SeekFrom};

/// The kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// `RIFF`…`WAVE`, or with sizes of 64 bits RF64 and Sony Wave64: read by our own reader first.
    Wav,
    /// ISO base media: MP4, M4A, MOV.
    Mp4,
    /// Matroska and WebM.
    Matroska,
    /// A FLAC file: read by our own reader.
    Flac,
    /// Ogg.
    Ogg,
    /// An ID3v2 tag: MP3, AAC or FLAC follows.
    Tagged,
    /// AIFF, CAF, and MP3 or AAC without a container.
    Known,
    /// `RIFF`…`AVI `: for ffmpeg.
    Avi,
    /// A playlist or other text that refers to media files, with its kind: no decoder may open it.
    Playlist(&'static str),
    /// Anything else: for ffmpeg.
    Unknown,
}

/// First characters of texts that refer to media files, which ffmpeg would open.
const PLAYLISTS: [(&str, &str); 8] = [
    ("#extm3u", "an HLS playlist"),
    ("ffconcat", "an ffconcat script"),
    ("file '", "an ffconcat script"),
    ("<", "XML, as DASH, IMF and SMIL are"),
    ("v=0", "an SDP description"),
    ("[playlist]", "a PLS playlist"),
    ("[reference]", "an ASX reference"),
    ("rtsp://", "an address"),
];

/// The kind of playlist, if the bytes are one, after white space and a byte order mark.
fn playlist(start: &[u8]) -> Option<&'static str> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|text| text.eq_ignore_ascii_case(with.as_bytes()));
    PLAYLISTS.iter().find(|(with, _)| begins(with)).map(|(_, what)| *what)
}

impl Container {
    /// Whether ffmpeg may succeed where a built-in decoder gave up. What our own readers call damaged is: ffmpeg would
    /// leave out what it cannot decode.
    pub(super) fn is_worth_another_decoder(self, error: &AudioError) -> bool {
        match error {
            AudioError::Unsupported { .. } | AudioError::DecoderPanicked { .. } => true,
            AudioError::Malformed { .. } => !matches!(self, Container::Wav | Container::Flac),
            _ => false,
        }
    }
}

/// Names the container by its first bytes (at least 16 for a sure answer) and, because an MP3 may have other bytes in
/// front, by the extension of the file.
pub(super) fn detect(start: &[u8], extension: Option<&str>) -> Container {
    let at = |offset: usize, magic: &[u8]| start.get(offset..offset + magic.len()) == Some(magic);
    let is_wave64 = at(0, b"riff\x2e\x91\xcf\x11");
    if is_wave64 || (at(0, b"RIFF") || at(0, b"RF64") || at(0, b"BW64")) && at(8, b"WAVE") {
        Container::Wav
    } else if at(0, b"RIFF") && at(8, b"AVI ") {
        Container::Avi
    } else if [b"ftyp", b"moov", b"mdat", b"styp", b"wide", b"free", b"skip"].iter().any(|kind| at(4, &kind[..])) {
        Container::Mp4
    } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        Container::Matroska
    } else if at(0, b"fLaC") {
        Container::Flac
    } else if at(0, b"ID3") {
        Container::Tagged
    } else if at(0, b"OggS") {
        Container::Ogg
    } else if at(0, b"FORM") || at(0, b"caff") || is_mpeg_frame(start) {
        Container::Known
    } else {
        let kind = if is_called_mp3(extension) { Container::Known } else { Container::Unknown };
        playlist(start).map_or(kind, Container::Playlist)
    }
}

fn is_called_mp3(extension: Option<&str>) -> bool {
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("mp3"))
}

/// Whether a frame of MP3 or of AAC in ADTS begins here: eleven bits set, then a valid version.
fn is_mpeg_frame(start: &[u8]) -> bool {
    matches!(start, [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x18 != 0x08)
}

/// Fails with [`AudioError::Truncated`] if the container promises more bytes than there are, and with
/// [`AudioError::Unsupported`] if it is one of those no built-in reader can follow; leaves the source at its start.
pub(super) fn check_complete(kind: Container, source: &mut (impl Read + Seek)) -> Result<(), AudioError> {
    let missing = match kind {
        Container::Mp4 => mp4_gap(source),
        Container::Matroska => matroska_gap(source),
        Container::Avi => riff_gap(source),
        Container::Ogg => match ogg::walk(source) {
            Ok(Pages { chained: true, .. }) => {
                source.seek(SeekFrom::Start(0)).ok();
                return Err(AudioError::Unsupported { what: "chained Ogg streams".to_owned() });
            }
            pages => pages.map(|pages| pages.gap),
        },
        Container::Wav
        | Container::Flac
        | Container::Tagged
        | Container::Known
        | Container::Playlist(_)
        | Container::Unknown => Ok(None),
    };
    // A read error shows again, with its cause, when the sound is decoded.
    let missing = missing.unwrap_or(None);
    source.seek(SeekFrom::Start(0)).ok();
    missing.map_or(Ok(()), |what| Err(AudioError::Truncated { what }))
}

/// Compares the size in an AVI header with the size of the file; 0 and the largest numbers are what writers put there
/// that cannot go back.
fn riff_gap(source: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let end = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(4))?;
    let mut size = [0; 4];
    source.read_exact(&mut size)?;
    let (size, there) = (u64::from(u32::from_le_bytes(size)), end - 8);
    Ok((size > there && size < 0x7fff_f000).then(|| format!("its RIFF chunk has {there} of {size} bytes")))
}

/// Walks the outermost boxes.
fn mp4_gap(source: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let end = source.seek(SeekFrom::End(0))?;
    let (mut position, mut has_index) = (0, false);
    while position + 8 <= end {
        source.seek(SeekFrom::Start(position))?;
        let mut header = [0; 16];
        source.read_exact(&mut header[..8])?;
        let [a, b, c, d, kind @ ..] = *header.first_chunk::<8>().expect("16 bytes");
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => end - position,
            1 => {
                source.read_exact(&mut header[8..])?;
                u64::from_be_bytes(*header.last_chunk::<8>().expect("16 bytes"))
            }
            size => u64::from(size),
        };
        has_index |= &kind == b"moov" || &kind == b"moof";
        if size > end - position && [b"moov", b"moof", b"mdat"].contains(&&kind) {
            let (name, there) = (String::from_utf8_lossy(&kind).into_owned(), end - position);
            return Ok(Some(format!("its {name} box has {there} of {size} bytes")));
        }
        if size < 8 || size > end - position {
            return Ok(None);
        }
        position += size;
    }
    Ok((!has_index).then(|| "the moov box, the table of its contents, is missing".to_owned()))
}

/// Reads the EBML header and the size of the segment.
fn matroska_gap(source: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let end = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(4))?;
    let Some(header) = ebml_size(source)? else { return Ok(None) };
    let Some(after_header) = source.stream_position()?.checked_add(header) else { return Ok(None) };
    source.seek(SeekFrom::Start(after_header))?;
    let mut id = [0; 4];
    if after_header + 4 > end {
        return Ok(Some("it ends within its first header".to_owned()));
    }
    source.read_exact(&mut id)?;
    if id != [0x18, 0x53, 0x80, 0x67] {
        return Ok(None);
    }
    let Some(size) = ebml_size(source)? else { return Ok(None) };
    let there = end.saturating_sub(source.stream_position()?);
    Ok((size > there).then(|| format!("its segment has {there} of {size} bytes")))
}

/// A variable-length EBML number; `None` for "unknown size", which live streams write.
fn ebml_size(source: &mut impl Read) -> io::Result<Option<u64>> {
    let mut first = [0];
    source.read_exact(&mut first)?;
    let length = first[0].leading_zeros();
    if length > 7 {
        return Ok(None);
    }
    let mut value = u64::from(first[0]) & (0x7f >> length);
    for _ in 0..length {
        let mut byte = [0];
        source.read_exact(&mut byte)?;
        value = value << 8 | u64::from(byte[0]);
    }
    let unknown = (1_u64 << (7 * (length + 1))) - 1;
    Ok((value != unknown).then_some(value))
}
