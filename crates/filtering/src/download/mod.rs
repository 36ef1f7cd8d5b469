//! `download`: a media file for each clip, from a site through yt-dlp or from files on disk.
//!
//! Each video is a shard, named after it so that the table may grow: one call of yt-dlp for all its
//! clips, or one fetch of the whole video where many clips are wanted. A video whose clips have
//! changed is done again. A clip counts only if its file plays as long as it should; unfinished
//! files are in a working folder and never under a clip's name. Files are named by our own key,
//! `clips/PLACE/VIDEO (START-END).ext`, and listed with their times in milliseconds in
//! `PLACE/part-VIDEO.parquet`; each of the 256 places holds its share of the videos. Failures are typed (see [`crate::ytdlp::FetchFault`]): what is gone is
//! dropped and not requested again, temporary failures are tried again by the next run, and a site that
//! refuses ends the run.

mod cut;
mod folder;
mod plan;
mod probe;
mod site;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::tables::ClipMedia;
use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    LeftOut, Run, RunConfig, RunOptions, RunSpec, ScratchFolder, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tables::{tables_under, write_parquet};
use audsem_core::video_id::IdRule;
use audsem_media::audio::{AudioError, check_media};
use audsem_media::program::Program;
use serde::Serialize;

pub use cut::Cut;
pub use plan::{ClipSpan, ClipSpanBuffers, ClipSpanColumns, ClipSpanRef};

use crate::by_video::{UNLISTED, spread_shards};
use crate::error::Result;
use crate::ytdlp::{Access, FaultKind, FetchFault, Pace};
use folder::Library;
use plan::{Video, Work};
use probe::Sound;

audsem_core::reasons! {
    /// Why a clip is left out.
    pub enum DropReason {
        Repeated = "repeated_clip": "an earlier row has the same span of the same video",
        NotInSource = "not_in_source": "the source folder has no file of the video, and only what it has was asked for" => "--source",
    }
}

audsem_core::reasons! {
    /// What can be wrong with a clip's media.
    pub enum Fault {
        BadLine = "bad_line": "the row of a table, or the line of a CSV file, cannot be read",
        BadKey = "bad_key": "video id, start and end make no clip key",
        NoMedia = "no_media": "no file of the source folder belongs to the video" => "--source",
        Outside = "outside_media": "the clip begins after the media ends",
        Short = "short_media": "the media ends before the clip does",
        SoundEnds = "sound_ends_early": "the video continues, but its sound ends before the clip does",
        Truncated = "truncated_media": "the file is shorter than its container states, or is a playlist",
        Ambiguous = "ambiguous_source": "several different files have the id of the video in their names" => "--source",
        Unreadable = "unreadable_media": "ffprobe finds nothing that plays",
        CutFailed = "cut_failed": "ffmpeg could not cut the clip",
    }
}

/// Settings of `download`, apart from where the media come from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Clip tables.
    pub inputs: Vec<PathBuf>,
    /// How clips are cut.
    pub cut: Cut,
    /// How much shorter than asked a clip may be, milliseconds.
    pub max_missing_ms: u32,
    /// Clips that a source folder has no file for are left out, and are not failures.
    pub present_only: bool,
}

/// Where the media come from.
#[derive(Debug)]
pub enum MediaSource {
    /// A site.
    Site {
        /// How it is reached.
        access: Box<Access>,
        /// How often.
        pace: Pace,
        /// Which streams, in yt-dlp's format language.
        format: String,
        /// From how many clips on a video is fetched whole.
        whole_from: usize,
    },
    /// A folder.
    Folder {
        /// Where it is.
        path: PathBuf,
        /// What the ids of its videos are.
        ids: IdRule,
    },
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    cut: &'a Cut,
    max_missing_ms: u32,
    present_only: bool,
    from: HashedSource<'a>,
}

/// Where the media come from, as far as it decides what they are.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum HashedSource<'a> {
    Folder { ids: IdRule },
    Site { url_template: &'a str, format: &'a str, whole_from: usize },
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "download";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config, from: &'a MediaSource) -> Self {
        let Config { inputs: _, cut, max_missing_ms, present_only } = config;
        let from = match from {
            MediaSource::Folder { path: _, ids } => HashedSource::Folder { ids: *ids },
            MediaSource::Site { access, pace: _, format, whole_from } => {
                HashedSource::Site { url_template: &access.url_template, format, whole_from: *whole_from }
            }
        };
        Self { cut, max_missing_ms: *max_missing_ms, present_only: *present_only, from }
    }
}

/// The programs that cut and measure.
#[derive(Debug, Clone)]
pub struct Tools {
    /// ffmpeg.
    pub ffmpeg: Program,
    /// ffprobe.
    pub ffprobe: Program,
}

/// A clip's file in the working folder, or on the user's disk.
#[derive(Debug)]
struct Piece {
    path: PathBuf,
    origin: &'static str,
    /// How long it plays, if that has been checked.
    media_ms: Option<u32>,
}

/// Why a clip has no piece.
#[derive(Debug)]
enum Miss {
    /// With what may be meant instead.
    NotInSource(String),
    Media(Fault, String),
    Fetch(FetchFault, String),
}

impl Miss {
    fn left_out(self) -> LeftOut {
        match self {
            Self::NotInSource(perhaps) => LeftOut::drop(DropReason::NotInSource, perhaps),
            Self::Media(fault, detail) => LeftOut::fail(fault, detail),
            Self::Fetch(fault, detail) => fault.left_out(detail),
        }
    }
}

/// A clip and its piece, or why there is none.
type Fetched = (ClipId, Result<Piece, Miss>);

/// What the work on a video needs.
struct Job<'a> {
    config: &'a Config,
    from: &'a MediaSource,
    tools: &'a Tools,
    library: Option<&'a Library>,
}

/// Gets the media of all clips of the table.
///
/// # Errors
/// Any error that prevents the run from continuing, including [`crate::error::Error::Blocked`].
pub fn run(config: &Config, from: &MediaSource, tools: &Tools, options: &RunOptions) -> Result<Summary> {
    let inputs = config.inputs.iter().map(|path| tables_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
    let library = match from {
        MediaSource::Folder { path, ids } => Some(Library::scan(path, *ids)?),
        MediaSource::Site { .. } => None,
    };
    let mut plan = plan::plan(&inputs, library.as_ref(), options.limit)?;
    let mut run = Run::open(options, RunSpec::new(&HashedConfig::of(config, from)))?.rerun_changed()?;
    let job = Job { config, from, tools, library: library.as_ref() };
    let step = Step { name: "part", unit: "clips", physical: "MB" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL).explain(FetchFault::ALL);
    spread_shards(&run, step, &mut plan)?;
    run.execute(step, &plan, |work, out| match work {
        Work::Video(video) => job.video(video, out),
        Work::BadLines(lines) => {
            lines.iter().for_each(|(key, detail)| out.file_left_out(key, LeftOut::fail(Fault::BadLine, detail)));
            Ok(())
        }
    })?;
    let stale = run.count_stale(step, &plan)?;
    let summary = run.finish()?;
    Ok(if stale > 0 { summary.with_result(UNLISTED, stale) } else { summary })
}

impl Job<'_> {
    fn video(&self, video: &Video, out: &mut ShardOutput) -> Result<(), ShardError> {
        out.announce(video.n_rows);
        let (clips, repeated, bad) = video.clips();
        for key in repeated {
            out.file_left_out(key, LeftOut::drop(DropReason::Repeated, ""));
        }
        for (key, detail) in bad {
            out.file_left_out(key, LeftOut::fail(Fault::BadKey, detail));
        }
        if out.dry_run() {
            out.file_kept(clips.len() as u64);
            return Ok(());
        }
        let scratch = out.scratch()?;
        let outcomes = match self.from {
            MediaSource::Site { access, pace, format, whole_from } => {
                let site = site::Site { access, pace, format, whole_from: *whole_from, job: self };
                site.fetch(&video.id, clips, &scratch)?
            }
            MediaSource::Folder { .. } => self.pieces_of_library(clips, &scratch)?,
        };
        let all_may_pass = |(_, outcome): &Fetched| matches!(outcome, Err(Miss::Fetch(fault, _)) if fault.kind() == FaultKind::Retryable);
        if let Some((_, Err(Miss::Fetch(_, detail)))) = outcomes.first()
            && outcomes.iter().all(all_may_pass)
        {
            // Not committed, so that the next run tries the video again.
            return Err(ShardError::Input(format!("{}: {detail}", video.id)));
        }
        self.write(outcomes, out)
    }

    fn pieces_of_library(&self, clips: Vec<ClipId>, scratch: &ScratchFolder) -> Result<Vec<Fetched>, ShardError> {
        let library = self.library.expect("a folder was scanned");
        // All clips are of one video.
        let (whole, ambiguous) = match clips.first().map(|clip| library.video(clip.video_id())) {
            None => (None, None),
            Some(Ok(whole)) => (whole, None),
            Some(Err(files)) => (None, Some(files)),
        };
        let facts = whole.map(|path| probe::probe(&self.tools.ffprobe, path)).transpose()?;
        let perhaps = match (clips.first(), whole, &ambiguous) {
            (Some(clip), None, None) => library.perhaps(clip.video_id()),
            _ => None,
        };
        perhaps.iter().for_each(|perhaps| tracing::warn!("{}: {perhaps}", clips[0].video_id()));
        clips
            .into_iter()
            .map(|clip| {
                let piece = if let Some(path) = library.clip(&clip) {
                    Ok(Piece { path: path.to_owned(), origin: "copy", media_ms: None })
                } else if let Some(source) = whole.zip(facts) {
                    cut::cut(self, source, &clip, scratch.path(), "cut")?
                } else if let Some(files) = &ambiguous {
                    Err(Miss::Media(Fault::Ambiguous, files.clone()))
                } else if self.config.present_only {
                    Err(Miss::NotInSource(perhaps.clone().unwrap_or_default()))
                } else {
                    let perhaps = perhaps.as_ref().map(|perhaps| format!("; {perhaps}")).unwrap_or_default();
                    Err(Miss::Media(Fault::NoMedia, format!("no media file for {}{perhaps}", clip.video_id())))
                };
                Ok((clip, piece))
            })
            .collect()
    }

    /// Checks, names and lists the pieces.
    fn write(&self, outcomes: Vec<Fetched>, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut rows = Vec::new();
        for (clip, outcome) in outcomes {
            let checked = match outcome {
                Ok(piece) => {
                    let media_ms = piece.media_ms.map_or_else(|| self.check(&clip, &piece.path), |ms| Ok(Ok(ms)))?;
                    media_ms.map(|media_ms| (piece, media_ms))
                }
                Err(miss) => Err(miss),
            };
            if let Err(Miss::Media(Fault::CutFailed | Fault::Short | Fault::SoundEnds, _)) = &checked
                && let Some(source) = self.library.and_then(|library| library.video(clip.video_id()).ok().flatten())
            {
                // Media that could not be read are not missing from the video.
                probe::check_disk(source)?;
            }
            if let Some((piece, media_ms)) = out.file(&clip, checked.map_err(Miss::left_out)) {
                rows.push(keep(&clip, &piece, media_ms, out)?);
            }
        }
        let mut file = out.create(out.file_of("part", "parquet"))?;
        write_parquet(&rows, &mut file).map_err(ShardError::fatal)?;
        Ok(out.close(file)?)
    }

    /// How long a piece plays, in milliseconds, if that is long enough.
    fn check(&self, clip: &ClipId, path: &Path) -> Result<Result<u32, Miss>, ShardError> {
        let miss = |fault, detail| Ok(Err(Miss::Media(fault, detail)));
        match std::fs::read(path).map(|bytes| check_media(&bytes, path.extension().and_then(OsStr::to_str))) {
            // An empty section has no duration either.
            Ok(Ok(()) | Err(AudioError::Empty)) => {}
            Ok(Err(error)) => return miss(Fault::Truncated, error.to_string()),
            Err(error) => return Err(ShardError::Input(format!("{clip}: {error}"))),
        }
        let facts = probe::probe(&self.tools.ffprobe, path)?;
        let Some(media_ms) = facts.duration_ms else {
            return miss(Fault::Unreadable, "no duration".to_owned());
        };
        if let Sound::Lasts(sound_ms) = facts.sound
            && sound_ms.saturating_add(self.config.max_missing_ms) < clip.duration_ms().min(media_ms)
        {
            return miss(Fault::SoundEnds, format!("{sound_ms} of {} ms", clip.duration_ms()));
        }
        if media_ms.saturating_add(self.config.max_missing_ms) < clip.duration_ms() {
            return miss(Fault::Short, format!("{media_ms} of {} ms", clip.duration_ms()));
        }
        Ok(Ok(media_ms))
    }
}

/// Copies a piece to its place in the run folder.
fn keep(clip: &ClipId, piece: &Piece, media_ms: u32, out: &mut ShardOutput) -> Result<ClipMedia, ShardError> {
    let ending = piece.path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = out.file_in("clips", &format!("{clip}.{ending}"));
    let mut file = out.create(&name)?;
    let mut source = File::open(&piece.path).map_err(CoreError::read(&piece.path))?;
    let n_bytes = std::io::copy(&mut source, &mut file).map_err(CoreError::write(file.path()))?;
    out.close(file)?;
    out.work(n_bytes as f64 / 1e6);
    Ok(ClipMedia {
        video_id: clip.video_id().to_owned(),
        start_ms: clip.start_ms(),
        end_ms: clip.end_ms(),
        file: name,
        n_bytes,
        media_ms,
        origin: piece.origin.to_owned(),
    })
}
