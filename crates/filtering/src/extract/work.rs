//! What one shard does: read its pieces, write its part.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use audsem_core::blame::Blame;
use audsem_core::input::{self, open_file};
use audsem_core::parallel::ordered_map;
use audsem_core::progress::InputMeter;
use audsem_core::run::{LeftOut, OutputFile, ShardError, ShardOutput};
use audsem_core::tables::{Cue, CueRef, ParquetWriter};
use audsem_core::tar::{Member, MemberReader, is_metadata};

use super::config::Config;
use super::dump::{self, Block, Blocks, ByteRange};
use super::harvest::Harvest;
use super::other_languages::OtherLanguages;
use super::plan::{Piece, Work};
use super::reasons::Fault;
use super::sources::CaptionSource;
use super::subtitles::{self, SubtitleFile, TrackName};
use super::twins::Twins;
use crate::error::Error;

/// Blocks in flight for each thread of a shard.
const AHEAD: usize = 2;

/// Largest subtitle file that is read; real ones have some hundred kilobytes.
const MAX_SUBTITLE_BYTES: u64 = 64 << 20;

/// Counter of dumps that cannot be read to their end: how much of them is lost is not known.
pub(super) const CUT_DUMPS: &str = "cut_dumps";

/// Why a shard stopped reading.
enum Stop {
    /// The limit is reached.
    Full,
    /// An error that ends the shard.
    Error(ShardError),
}

impl<E: Into<ShardError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Reads the pieces of one shard and writes `part-NAME.parquet`.
pub(super) fn extract(
    config: &Config,
    limit: Option<u64>,
    work: &Work,
    languages: &OtherLanguages,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let writer = ParquetWriter::new(&mut file).map_err(Error::from)?;
    let next_row = u64::from(work.index) << 32;
    let mut part = Part { config, writer, next_row, out, limit, n_read: 0, twins: Twins::default(), languages };
    for piece in &work.pieces {
        let meter = part.out.meter(piece.bytes(limit));
        match part.read(piece, meter) {
            Ok(()) => {}
            Err(Stop::Full) => break,
            Err(Stop::Error(error)) => return Err(error),
        }
    }
    part.writer.finish().map_err(Error::from)?;
    out.close(file)?;
    Ok(())
}

/// The part being written.
struct Part<'a> {
    config: &'a Config,
    writer: ParquetWriter<Cue, &'a mut OutputFile>,
    next_row: u64,
    out: &'a mut ShardOutput,
    limit: Option<u64>,
    n_read: u64,
    twins: Twins,
    languages: &'a OtherLanguages,
}

/// One file of a track, read: with the number of its bytes, or why it cannot be read.
struct Candidate<'a> {
    source: &'a CaptionSource,
    read: io::Result<(SubtitleFile, u64)>,
}

impl<'a> Candidate<'a> {
    /// What a file is worth that leaves nothing to be wished for.
    const WHOLE: u8 = 2;

    /// Reads a file. One that is damaged is of no use; what the system fails to read is tried again.
    fn open(source: &'a CaptionSource) -> Result<Self, Stop> {
        let format = subtitles::parse_name(&source.name).expect("only files with such names are read").format;
        let bytes = input::open(&source.path).map_err(io::Error::other).and_then(read_all);
        if let Err(error) = &bytes
            && Blame::of_io(error) == Blame::Surroundings
        {
            return Err(ShardError::Input(format!("{}: {error}", source.name)).into());
        }
        let read = bytes.map(|bytes| (SubtitleFile::read(&bytes, format), bytes.len() as u64));
        Ok(Self { source, read })
    }

    fn worth(&self) -> u8 {
        self.read.as_ref().map_or(0, |(file, _)| file.worth())
    }
}

impl Part<'_> {
    fn read(&mut self, piece: &Piece, meter: InputMeter) -> Result<(), Stop> {
        match piece {
            Piece::Dump { file, range, plain } => self.read_dump(file, *range, *plain, meter),
            Piece::Subtitles(files) => files.iter().try_for_each(|file| self.read_subtitles(file)),
            Piece::Tar(file) => self.read_tar(file, meter),
        }
    }

    fn read_dump(
        &mut self,
        file: &CaptionSource,
        range: ByteRange,
        plain: bool,
        meter: InputMeter,
    ) -> Result<(), Stop> {
        let blocks = open_dump(&file.path, range, plain, self.config, meter)?;
        let all_rejects = self.out.files_all_rejects();
        let (parse, options) = (self.config.parse_options(all_rejects), self.config.harvest_options(all_rejects));
        // Which records are within the limit depends on the order, so blocks are then read sequentially.
        let threads = if self.limit.is_some() { 1 } else { self.out.inner_workers() };
        let (limit, n_read) = (self.limit, AtomicU64::new(self.n_read));
        let harvest = |block: io::Result<Block>| {
            let remaining = limit.map(|limit| limit.saturating_sub(n_read.load(Ordering::Relaxed)));
            block.map(|block| (dump::harvest(&block, &file.name, parse, &options, remaining), block.n_bytes()))
        };
        ordered_map(blocks, threads, threads * AHEAD, harvest, |harvest| {
            let taken = match harvest {
                Ok((harvest, n_bytes)) => self.take(&harvest, n_bytes),
                Err(error) => {
                    self.out.count(CUT_DUMPS, 1);
                    self.broken(&file.name, &error)
                }
            };
            n_read.store(self.n_read, Ordering::Relaxed);
            taken
        })
    }

    /// Reads a track: its file in the most exact format, or the first in another one that is of more use.
    fn read_subtitles(&mut self, file: &CaptionSource) -> Result<(), Stop> {
        let track = file.track.as_ref().expect("subtitle files have one");
        let is_wanted = subtitles::is_wanted(track, &self.config.subtitle_options(false));
        let others = if is_wanted { &*file.others } else { &[] };
        let mut best = Candidate::open(file)?;
        let mut in_other_format = false;
        for other in others {
            if best.worth() >= Candidate::WHOLE {
                break;
            }
            let candidate = Candidate::open(other)?;
            if candidate.worth() > best.worth() {
                (best, in_other_format) = (candidate, true);
            }
        }
        match best.read {
            Ok((read, n_bytes)) => {
                self.take_subtitles(&best.source.name, track, read, n_bytes, u64::from(in_other_format))
            }
            Err(error) => self.broken(&best.source.name, &error),
        }
    }

    fn read_tar(&mut self, file: &CaptionSource, meter: InputMeter) -> Result<(), Stop> {
        let mut members = MemberReader::open(&file.path).map_err(ShardError::input)?.metered(meter);
        let mut bytes = Vec::new();
        loop {
            let member = match members.next_member() {
                Ok(Some(member)) => member,
                Ok(None) => return Ok(()),
                // How much lies behind the break is not known, so it cannot be counted against the failure limit.
                Err(error) => return Err(ShardError::input(error).into()),
            };
            if !is_subtitles(&member) {
                self.out.count("members_passed_over", 1);
                continue;
            }
            let name = format!("{}/{}", file.name, member.name);
            if member.size > MAX_SUBTITLE_BYTES {
                self.broken(&name, &too_large())?;
                continue;
            }
            members.read_payload(&mut bytes).map_err(ShardError::input)?;
            match input::decompress(Cursor::new(std::mem::take(&mut bytes))).and_then(read_all) {
                Ok(text) => {
                    let parsed = subtitles::parse_name(&member.name).expect("only files with such names are read");
                    let track = self.config.naming().track(parsed.stem, |_| false);
                    self.take_subtitles(&name, &track, SubtitleFile::read(&text, parsed.format), text.len() as u64, 0)?;
                }
                Err(error) => self.broken(&name, &error)?,
            }
        }
    }

    fn take_subtitles(
        &mut self,
        path: &str,
        track: &TrackName,
        read: SubtitleFile,
        n_bytes: u64,
        in_other_format: u64,
    ) -> Result<(), Stop> {
        let options = self.config.subtitle_options(self.out.files_all_rejects());
        let mut harvest = subtitles::harvest(path, track, read, &options, &mut self.twins);
        harvest.tally.tracks_in_other_format = in_other_format;
        self.take(&harvest, n_bytes)
    }

    /// A file, or the rest of it, is damaged: that counts as one record. What the system fails to read is tried again.
    fn broken(&mut self, name: &str, error: &io::Error) -> Result<(), Stop> {
        if Blame::of_io(error) == Blame::Surroundings {
            return Err(ShardError::Input(format!("{name}: {error}")).into());
        }
        tracing::warn!("{name}: {error}");
        let mut harvest = Harvest::default();
        harvest.fault(name.to_owned(), Fault::BrokenInput, error.to_string());
        self.take(&harvest, 0)
    }

    /// Writes what a piece of input has yielded.
    fn take(&mut self, harvest: &Harvest, n_bytes: u64) -> Result<(), Stop> {
        for row in &harvest.rows {
            let (row_id, video_id, text) = (self.next_row, row.video_id.as_str(), row.text.as_str());
            let row = CueRef { row_id, video_id, start_ms: row.start_ms, dur_ms: row.dur_ms, text };
            self.writer.push(row).map_err(Error::from)?;
            self.next_row += 1;
        }
        self.out.file_kept(harvest.rows.len() as u64);
        account(self.out, harvest);
        self.languages.add(harvest);
        self.out.work(n_bytes as f64 / 1e6);
        self.n_read += harvest.n_read();
        match self.limit {
            Some(limit) if self.n_read >= limit => Err(Stop::Full),
            _ => Ok(()),
        }
    }
}

/// Files everything of a harvest but its rows.
pub(super) fn account(out: &mut ShardOutput, harvest: &Harvest) {
    for reject in &harvest.rejects {
        out.file_left_out(&reject.key, reject.cause.map_detail(|()| &reject.detail));
    }
    for group in &harvest.groups {
        out.file_many(&group.video_id, LeftOut::drop(group.reason, ""), group.records);
    }
    for (name, n) in harvest.tally.named() {
        if n > 0 {
            out.count(name, n);
        }
    }
}

/// Opens a dump at the begin of a range.
pub(super) fn open_dump(
    path: &Path,
    range: ByteRange,
    plain: bool,
    config: &Config,
    meter: InputMeter,
) -> Result<Blocks<Box<dyn Read + Send>>, ShardError> {
    let reader: Box<dyn Read + Send> = if plain {
        let mut file = open_file(path).map_err(ShardError::from_core)?;
        file.seek(SeekFrom::Start(range.seek())).map_err(ShardError::input)?;
        Box::new(meter.reader(file))
    } else {
        input::open_metered(path, meter).map_err(ShardError::from_core)?
    };
    Ok(Blocks::new(reader, range, config.block_sizes()))
}

fn is_subtitles(member: &Member) -> bool {
    member.is_file && !is_metadata(&member.name) && subtitles::parse_name(&member.name).is_some()
}

/// Reads a subtitle file; one that is too large is an error.
fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let n = reader.take(MAX_SUBTITLE_BYTES + 1).read_to_end(&mut bytes)?;
    if n as u64 > MAX_SUBTITLE_BYTES { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> io::Error {
    io::Error::other(format!("larger than the limit of a subtitle file ({MAX_SUBTITLE_BYTES} bytes)"))
}
