//! One shard: candidates to a tar.

use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{LeftOut, Outcome, OutputFile, ShardError, ShardOutput};
use audsem_core::tar::{ShardOptions, ShardWriter, TarError};
use audsem_media::audio::{AudioError, Decoder};
use serde::Serialize;

use super::Group;
use super::cut::{CutFailure, Limits, cut};
use super::load::{Loader, Media};
use super::name::ClipName;
use super::reason::{DropReason, Fault};
use super::rows::Row;
use super::sources::{Candidate, State};

/// What all shards share.
pub(super) struct Work<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) limits: Limits,
    pub(super) tars: &'a [PathBuf],
}

/// The JSON beside each FLAC.
#[derive(Debug, Serialize)]
struct Description<'a> {
    video_id: &'a str,
    /// Seconds in the video, as in the file name.
    start: f64,
    end: f64,
    /// Length of the cue.
    duration: f64,
    /// Length of the media, of which the end is kept.
    actual_duration: f64,
    /// The clean caption.
    text: &'a str,
    original_filename: &'a str,
    original_text: &'a str,
    /// The key of this clip in every later stage.
    key: String,
}

/// A candidate as it goes into the tar.
#[derive(Default)]
struct Sample {
    flac: Vec<u8>,
    json: Vec<u8>,
    seconds: f64,
}

/// Writes one shard.
pub(super) fn run(work: &Work<'_>, group: &Group<'_>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let (threads, dry) = (out.inner_workers(), out.dry_run());
    out.expect(group.candidates.len() as u64);
    let loader = Loader::new(group.candidates, work.tars, !dry);
    let mut tar: Option<ShardWriter<OutputFile>> = None;
    let mut index = group.first_index;
    ordered_map(
        loader,
        threads,
        2 * threads,
        |(candidate, media)| (candidate, judge(work, candidate, media, dry)),
        |(candidate, judged)| {
            if let Some(Sample { flac, json, seconds }) = out.file(&candidate.file, judged?) {
                let writer = match &mut tar {
                    Some(writer) => writer,
                    // Not before the first sample: a shard of rejects leaves no empty tar.
                    None => {
                        let file = out.create(format!("{}.tar", out.name()))?;
                        tar.insert(ShardWriter::new(file, ShardOptions::default()))
                    }
                };
                writer
                    .write_sample(&index.to_string(), &[("flac", &flac), ("json", &json)])
                    .map_err(|error| cannot_write(out.name(), error))?;
                out.work(seconds);
            }
            index += 1;
            Ok::<(), ShardError>(())
        },
    )?;
    if let Some(writer) = tar {
        let (file, _) = writer.finish().map_err(|error| cannot_write(out.name(), error))?;
        out.close(file)?;
    }
    Ok(())
}

/// Converts an error of a full disk to one with the file's name and a hint.
fn cannot_write(shard: &str, error: TarError) -> ShardError {
    match error {
        TarError::Write { source } => ShardError::Fatal(Error::write(Path::new(&format!("{shard}.tar")))(source)),
        other => ShardError::fatal(other),
    }
}

/// The outcome of a candidate.
///
/// # Errors
/// The disk or ffmpeg failed, which says nothing about the candidate.
fn judge(work: &Work<'_>, candidate: &Candidate, media: Media, dry: bool) -> Result<Outcome<Sample>, ShardError> {
    let (id, name, row) = match identify(candidate)? {
        Ok(identified) => identified,
        Err(left_out) => return Ok(Err(left_out)),
    };
    if dry {
        return Ok(Ok(Sample::default()));
    }
    let extension = candidate.file.rsplit_once('.').map(|(_, extension)| extension);
    let audio = match media {
        Media::File(path) => work.decoder.decode_file(&path),
        Media::Bytes(bytes) => work.decoder.decode_bytes(&bytes, extension),
        Media::Failed(error) if !error.is_fatal() => {
            return Ok(Err(LeftOut::fail(Fault::Unreadable, error.to_string())));
        }
        // Its tar was read to the end when it was listed.
        Media::Failed(error) => return Err(ShardError::Input(format!("{}: {error}", candidate.file))),
        Media::None => return Ok(Err(LeftOut::fail(Fault::Unreadable, "it was not read".to_owned()))),
    };
    let cue_s = f64::from(id.duration_ms()) / 1000.0;
    match audio.map_err(CutFailure::from).and_then(|audio| cut(audio, cue_s, &work.limits)) {
        Ok(made) => {
            let json = describe(candidate, name, row, &id, made.actual_s);
            Ok(Ok(Sample { flac: made.flac, json, seconds: made.actual_s }))
        }
        Err(CutFailure::Audio(error)) => Ok(Err(left_out(&error.of_record(&candidate.file)?.into()))),
        Err(failure) => Ok(Err(left_out(&failure))),
    }
}

/// The clip that a candidate is, and what is known of it.
///
/// # Errors
/// [`ShardError::Input`] for a broken tar: how much lies behind the break is not known, so it cannot be counted
/// against the failure limit.
fn identify(candidate: &Candidate) -> Result<Outcome<(ClipId, &ClipName, &Row)>, ShardError> {
    let left_out = match &candidate.state {
        State::Named { name, row: Some(row) } => {
            let end_ms = name.end_ms.unwrap_or(row.end_ms);
            match ClipId::new(&name.video_id, name.start_ms, end_ms) {
                Ok(id) => return Ok(Ok((id, name, row))),
                Err(_) => LeftOut::fail(Fault::BadName, format!("it ends at {end_ms} ms")),
            }
        }
        State::Named { name, row: None } => {
            LeftOut::drop(DropReason::NoClipRow, format!("{} at {} ms", name.video_id, name.start_ms))
        }
        State::Duplicate { of } => LeftOut::drop(DropReason::Duplicate, of.clone()),
        State::BadName(why) => LeftOut::fail(Fault::BadName, why.clone()),
        State::Partial => LeftOut::fail(Fault::Partial, String::new()),
        State::NoEndMarker => LeftOut::fail(Fault::NoEndMarker, String::new()),
        State::BrokenTar(why) => return Err(ShardError::Input(format!("{}: {why}", candidate.file))),
    };
    Ok(Err(left_out))
}

fn describe(candidate: &Candidate, name: &ClipName, row: &Row, id: &ClipId, actual_s: f64) -> Vec<u8> {
    let seconds = |ms: u32| f64::from(ms) / 1000.0;
    let description = Description {
        video_id: &name.video_id,
        start: seconds(id.start_ms()),
        end: seconds(id.end_ms()),
        duration: seconds(id.duration_ms()),
        // Microseconds are finer than any sample.
        actual_duration: (actual_s * 1e6).round() / 1e6,
        text: &row.clean_text,
        original_filename: &candidate.file,
        original_text: &row.text,
        key: id.tar_key(),
    };
    serde_json::to_vec(&description).expect("numbers and texts always become JSON")
}

fn left_out(failure: &CutFailure) -> LeftOut {
    let detail = failure.to_string();
    match failure {
        CutFailure::TooShort { .. } => LeftOut::drop(DropReason::TooShort, detail),
        CutFailure::TooLong { .. } => LeftOut::drop(DropReason::TooLong, detail),
        CutFailure::Audio(error) => match error {
            AudioError::TooLong { .. } => LeftOut::drop(DropReason::TooLong, detail),
            AudioError::NoAudioTrack => LeftOut::drop(DropReason::NoAudio, detail),
            AudioError::EndsEarly { .. } => LeftOut::drop(DropReason::SoundEndsEarly, detail),
            AudioError::Read { .. } => LeftOut::fail(Fault::Unreadable, detail),
            AudioError::Empty => LeftOut::fail(Fault::Empty, detail),
            AudioError::Truncated { .. } => LeftOut::fail(Fault::Truncated, detail),
            AudioError::NotFinite { .. } => LeftOut::fail(Fault::NanSamples, detail),
            _ => LeftOut::fail(Fault::Undecodable, detail),
        },
    }
}
