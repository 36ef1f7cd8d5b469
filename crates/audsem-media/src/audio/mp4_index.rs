//! What symphonia does not read in the index of an MP4 or MOV file.
//!
//! * Edit lists: how much of a track's beginning and end is not to be heard. AAC encoders put about a thousand samples
//!   of silence in front, and a section copied out of a longer file starts before the wanted moment; without the edit
//!   list everything would be late by that much compared with ffmpeg.
//! * The byte order of PCM: `in24`, `in32`, `fl32` and `fl64` are big-endian unless an `enda` box says otherwise.
//! * Which tracks are sound, and which of them is the default.
//! * Where the pictures end.
//! * Which tracks are stored in other files.

use std::io::{self, Read, Seek, SeekFrom};

/// What is heard of a track, in units of the track's own time scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// Units per second.
    pub(super) timescale: u32,
    /// Media time at which the sound starts.
    pub(super) start: u64,
    /// Media time at which it ends, if the edit is limited.
    pub(super) end: Option<u64>,
}

/// What a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sound,
    Pictures,
    Other,
}

/// A track of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mp4Track {
    pub(super) id: u32,
    pub(super) kind: Kind,
    /// Whether players play it by default.
    pub(super) enabled: bool,
    /// The single edit of an unfragmented file; with several, or in fragmented files, ffmpeg does not trim either.
    pub(super) edit: Option<Edit>,
    /// Whether its PCM samples have the highest byte first although their code does not tell.
    pub(super) big_endian: bool,
    /// Whether its samples are stored in another file, which is never opened.
    pub(super) is_external: bool,
    /// Seconds from the start of the movie to the end of the track; `None` if the index does not count them.
    pub(super) end_s: Option<f64>,
}

/// More than any real index needs; keeps a made-up size from reading a whole file into memory.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The tracks of an MP4 or MOV file; none if it has no index that can be read. Leaves the source at its start.
pub(super) fn read_tracks(source: &mut (impl Read + Seek)) -> Vec<Mp4Track> {
    let index = read_index(source).ok().flatten();
    source.seek(SeekFrom::Start(0)).ok();
    let index = index.unwrap_or_default();
    let fragmented = boxes(&index).any(|(kind, _)| kind == *b"mvex");
    let movie_scale = child(&index, b"mvhd").and_then(timescale).unwrap_or_default();
    let tracks = boxes(&index).filter(|(kind, _)| kind == b"trak");
    tracks.filter_map(|(_, track)| read_track(track, movie_scale, fragmented)).collect()
}

fn read_track(track: &[u8], movie_scale: u32, fragmented: bool) -> Option<Mp4Track> {
    let header = child(track, b"tkhd")?;
    let long = version(header) == 1;
    let id = number(header, if long { 20 } else { 12 })?;
    let media = child(track, b"mdia")?;
    let kind = match child(media, b"hdlr").and_then(|handler| handler.get(8..12)) {
        Some(b"soun") => Kind::Sound,
        Some(b"vide") => Kind::Pictures,
        _ => Kind::Other,
    };
    let duration = if long { long_number(header, 28) } else { number(header, 20).map(u64::from) };
    let counted = duration.filter(|&duration| !fragmented && movie_scale > 0 && duration < u64::from(u32::MAX));
    Some(Mp4Track {
        id,
        kind,
        enabled: header.get(3).is_some_and(|flags| flags & 1 == 1),
        edit: if fragmented { None } else { single_edit(track, movie_scale) },
        big_endian: sample_entry(media).is_some_and(|(kind, entry)| is_big_endian(kind, entry)),
        is_external: is_external(media),
        end_s: counted.map(|duration| duration as f64 / f64::from(movie_scale)),
    })
}

fn single_edit(track: &[u8], movie_scale: u32) -> Option<Edit> {
    let timescale = timescale(child(child(track, b"mdia")?, b"mdhd")?)?;
    let list = child(child(track, b"edts")?, b"elst")?;
    let mut edits = entries(list).filter(|&(_, media_time)| media_time >= 0);
    let (duration, start) = edits.next()?;
    let start = u64::try_from(start).ok()?;
    if edits.next().is_some() || movie_scale == 0 || timescale == 0 {
        return None;
    }
    let length = u128::from(duration) * u128::from(timescale) / u128::from(movie_scale);
    let end = start.checked_add(u64::try_from(length).ok()?)?;
    Some(Edit { timescale, start, end: (duration > 0).then_some(end) })
}

/// The first sample entry of a track: how its samples are coded.
fn sample_entry(media: &[u8]) -> Option<([u8; 4], &[u8])> {
    let table = child(child(child(media, b"minf")?, b"stbl")?, b"stsd")?;
    boxes(table.get(8..)?).next()
}

/// Whether the data reference of a track's first sample entry names a file: it lacks the flag "in this file" and holds
/// more than the flags.
fn is_external(media: &[u8]) -> bool {
    let references = child(media, b"minf").and_then(|body| child(body, b"dinf")).and_then(|body| child(body, b"dref"));
    let number = sample_entry(media).and_then(|(_, entry)| entry.get(6..8));
    let (Some(references), Some(&[high, low])) = (references.and_then(|body| body.get(8..)), number) else {
        return false;
    };
    let index = usize::from(u16::from_be_bytes([high, low])).saturating_sub(1);
    boxes(references)
        .nth(index)
        .is_some_and(|(_, body)| body.len() > 5 && body.get(3).is_some_and(|flags| flags & 1 == 0))
}

fn is_big_endian(kind: [u8; 4], entry: &[u8]) -> bool {
    if ![b"in24", b"in32", b"fl32", b"fl64"].contains(&&kind) {
        return false;
    }
    // The fields of a sound entry, longer in its second version.
    let fields = if entry.get(8..10) == Some(&[0, 1]) { 44 } else { 28 };
    let settings = entry.get(fields..).and_then(|boxes| child(boxes, b"wave"));
    settings.and_then(|settings| child(settings, b"enda")) != Some(&[0, 1])
}

/// The body of the `moov` box.
fn read_index(source: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut position = 0;
    while position + 8 <= end {
        source.seek(SeekFrom::Start(position))?;
        let mut header = [0; 8];
        source.read_exact(&mut header)?;
        let (mut size, mut head) = (u64::from(number(&header, 0).unwrap_or_default()), 8);
        if size == 1 {
            let mut long = [0; 8];
            source.read_exact(&mut long)?;
            (size, head) = (u64::from_be_bytes(long), 16);
        }
        if size < head || size > end - position {
            return Ok(None);
        }
        if header.ends_with(b"moov") {
            let mut body = Vec::new();
            source.take((size - head).min(MAX_INDEX_BYTES)).read_to_end(&mut body)?;
            return Ok(Some(body));
        }
        position += size;
    }
    Ok(None)
}

/// The boxes in a body: kind and body of each, as far as their sizes hold.
fn boxes(mut body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = number(body, 0)? as usize;
        let kind = *body.get(4..8)?.first_chunk::<4>()?;
        let inner = body.get(8..size)?;
        body = body.get(size..)?;
        Some((kind, inner))
    })
}

fn child<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|(found, _)| found == kind).map(|(_, inner)| inner)
}

fn version(full_box: &[u8]) -> u8 {
    full_box.first().copied().unwrap_or_default()
}

fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

fn long_number(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The time scale in an `mvhd` or `mdhd` box.
fn timescale(header: &[u8]) -> Option<u32> {
    number(header, if version(header) == 1 { 20 } else { 12 })
}

/// Duration (movie time scale) and media time of each entry; media time −1 is a pause.
fn entries(list: &[u8]) -> impl Iterator<Item = (u64, i64)> {
    let long = version(list) == 1;
    let count = number(list, 4).unwrap_or_default();
    (0..count as usize).map_while(move |n| {
        if long {
            let at = 8 + 20 * n;
            Some((long_number(list, at)?, long_number(list, at + 8)?.cast_signed()))
        } else {
            let at = 8 + 12 * n;
            Some((u64::from(number(list, at)?), i64::from(number(list, at + 4)?.cast_signed())))
        }
    })
}
