//! Cuts the input into shards.

use audsem_core::error::{Error, Result};
use audsem_core::input::{Compression, file_bytes};
use audsem_core::run::{FileFingerprint, Fingerprint, Reads, Shard};

use super::config::{Config, ExtractCompat};
use super::dump::ByteRange;
use super::sources::{CaptionSource, CaptionSourceKind};

/// Number of subtitle files at which a shard is closed, unless the next one is of the same video …
const FILES_PER_SHARD: usize = 1024;

/// … and number of their bytes.
const SUBTITLE_BYTES_PER_SHARD: u64 = 32 << 20;

/// A part of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The objects that begin in a byte range of a plain dump, or all of a compressed one.
    Dump {
        /// The file.
        file: CaptionSource,
        /// The range; [`ByteRange::ALL`] for a compressed file.
        range: ByteRange,
        /// Whether the range can be sought in.
        plain: bool,
    },
    /// Subtitle files.
    Subtitles(Vec<CaptionSource>),
    /// A tar of subtitle files.
    Tar(CaptionSource),
}

impl Piece {
    /// Bytes of its file that are read, for the progress line; 0 where that is not known, as with a limit.
    pub fn bytes(&self, limit: Option<u64>) -> u64 {
        match self {
            Self::Dump { file, range, .. } if limit.is_none() => {
                range.end.min(file_bytes(&file.path)).saturating_sub(range.start)
            }
            Self::Tar(file) if limit.is_none() => file_bytes(&file.path),
            Self::Dump { .. } | Self::Tar(_) | Self::Subtitles(_) => 0,
        }
    }
}

/// What one shard reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Number of the shard; the upper half of its row ids.
    pub index: u32,
    /// Normally one; all there are when the run has a limit.
    pub pieces: Vec<Piece>,
}

/// The plan: one shard for each piece, or one for all of them if reading stops at a limit, since what
/// comes before the limit is only known by reading in order.
///
/// # Errors
/// If a file cannot be read, or is of a kind that the mode does not support.
pub fn plan(files: &[CaptionSource], config: &Config, limited: bool) -> Result<Vec<Shard<Work>>> {
    let mut pieces: Vec<(Fingerprint, Piece)> = Vec::new();
    let mut group = Group::default();
    for file in files {
        if config.compat == ExtractCompat::Reference && file.kind != CaptionSourceKind::Dump {
            return Err(Error::input(&file.path, "--compat reference reads JSON dumps only"));
        }
        let print = FileFingerprint::of(&file.path)?;
        if file.kind == CaptionSourceKind::Subtitles {
            if group.is_full() && !group.ends_with_video_of(file) {
                pieces.push(std::mem::take(&mut group).close());
            }
            let others = file.others.iter().map(|other| FileFingerprint::of(&other.path));
            group.add(file, &print, &others.collect::<Result<Vec<_>>>()?);
            continue;
        }
        if !group.files.is_empty() {
            pieces.push(std::mem::take(&mut group).close());
        }
        let base = Fingerprint::new().with(&file.name).with_file(&print);
        if file.kind == CaptionSourceKind::Tar {
            pieces.push((base, Piece::Tar(file.clone())));
        } else {
            pieces.extend(dump_pieces(file, print.bytes, config, &base)?);
        }
    }
    if !group.files.is_empty() {
        pieces.push(group.close());
    }
    Ok(shards(pieces, limited))
}

fn shards(pieces: Vec<(Fingerprint, Piece)>, limited: bool) -> Vec<Shard<Work>> {
    let shard = |index: usize, fingerprint: Reads, pieces| Shard {
        name: format!("{index:05}"),
        fingerprint,
        work: Work { index: u32::try_from(index).expect("fewer than four billion shards"), pieces },
    };
    if limited {
        let (prints, pieces): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
        let print = prints.into_iter().fold(Fingerprint::new(), |all, print| all.with(&print.finish()));
        return vec![shard(0, print.finish(), pieces)];
    }
    let numbered = pieces.into_iter().enumerate();
    numbered.map(|(index, (print, piece))| shard(index, print.finish(), vec![piece])).collect()
}

/// One piece of a compressed dump, which can only be read from its beginning; equal byte ranges of a
/// plain one.
fn dump_pieces(
    file: &CaptionSource,
    n_bytes: u64,
    config: &Config,
    base: &Fingerprint,
) -> Result<Vec<(Fingerprint, Piece)>> {
    let plain = Compression::of_file(&file.path)? == Compression::Plain;
    let piece = |range: ByteRange| {
        let print = base.clone().with(range.start.to_le_bytes()).with(range.end.to_le_bytes());
        (print, Piece::Dump { file: file.clone(), range, plain })
    };
    // The scripts of the reference read a file from beginning to end, or to the first corrupt object.
    if !plain || config.compat == ExtractCompat::Reference {
        return Ok(vec![piece(ByteRange::ALL)]);
    }
    let n = n_bytes.div_ceil(config.shard_bytes).max(1);
    let range = |i: u64| ByteRange { start: i * config.shard_bytes, end: (i + 1) * config.shard_bytes };
    Ok((0..n).map(|i| piece(range(i))).collect())
}

/// Subtitle files gathered for one shard.
#[derive(Default)]
struct Group {
    print: Fingerprint,
    files: Vec<CaptionSource>,
    n_bytes: u64,
}

impl Group {
    fn add(&mut self, file: &CaptionSource, file_print: &FileFingerprint, others: &[FileFingerprint]) {
        let track = file.track.as_ref();
        // Id and language may depend on the media beside the file.
        let id = track.and_then(|track| track.video_id.as_deref().ok()).unwrap_or_default();
        let language = track.and_then(|track| track.language.as_deref()).unwrap_or_default();
        let print = std::mem::take(&mut self.print);
        let print = print.with(&file.name).with(id).with(language).with_file(file_print);
        self.print = others.iter().fold(print, Fingerprint::with_file);
        self.files.push(file.clone());
        self.n_bytes += file_print.bytes;
    }

    /// Whether the last file is a track of the same video, whose tracks are compared with each other.
    fn ends_with_video_of(&self, file: &CaptionSource) -> bool {
        let video = |file: &CaptionSource| file.track.as_ref().map(|track| track.video_id.clone());
        self.files.last().is_some_and(|last| video(last) == video(file))
    }

    fn is_full(&self) -> bool {
        self.files.len() >= FILES_PER_SHARD || self.n_bytes >= SUBTITLE_BYTES_PER_SHARD
    }

    fn close(self) -> (Fingerprint, Piece) {
        (self.print, Piece::Subtitles(self.files))
    }
}
