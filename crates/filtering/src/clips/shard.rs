//! One shard: candidates to a tar.

use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{OutputFile, ShardError, ShardOutput};
use audsem_core::tar::{ShardOptions, ShardWriter, TarError};
use audsem_media::audio::{AudioError, Decoder};
use serde::Serialize;

use super::Group;
use super::cut::{CutFailure, Limits, cut};
use super::load::{Loader, Media};
use super::name::ClipName;
use super::reason::{Drop, Fault};
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

/// What became of a candidate.
enum Outcome {
    Keep {
        flac: Vec<u8>,
        json: Vec<u8>,
        seconds: f64,
    },
    Drop(Drop, String),
    Fail(Fault, String),
    /// Nothing can be decoded here, this or any other.
    Stop(AudioError),
}

/// Writes one shard.
pub(super) fn run(work: &Work<'_>, group: &Group<'_>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let (threads, dry) = (out.inner_workers(), out.dry_run());
    let loader = Loader::new(group.candidates, work.tars, !dry);
    let mut tar: Option<ShardWriter<OutputFile>> = None;
    let mut index = group.first_index;
    ordered_map(
        loader,
        threads,
        2 * threads,
        |(candidate, media)| (candidate, judge(work, candidate, media, dry)),
        |(candidate, outcome)| {
            out.read(1);
            match outcome {
                Outcome::Keep { flac, json, seconds } => {
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
                    out.keep(1);
                    out.work(seconds);
                }
                Outcome::Drop(reason, detail) => out.drop(&candidate.file, reason, detail),
                Outcome::Fail(fault, detail) => out.fail(&candidate.file, fault, detail),
                Outcome::Stop(error) => return Err(ShardError::fatal(error)),
            }
            index += 1;
            Ok(())
        },
    )?;
    if let Some(writer) = tar {
        let (file, _) = writer.finish().map_err(|error| cannot_write(out.name(), error))?;
        out.close(file)?;
    }
    Ok(())
}

/// A full disk is told with the file and the hint that goes with it.
fn cannot_write(shard: &str, error: TarError) -> ShardError {
    match error {
        TarError::Write { source } => ShardError::Fatal(Error::write(Path::new(&format!("{shard}.tar")))(source)),
        other => ShardError::fatal(other),
    }
}

fn judge(work: &Work<'_>, candidate: &Candidate, media: Media, dry: bool) -> Outcome {
    let (name, row) = match &candidate.state {
        State::Named { name, row: Some(row) } => (name, row),
        State::Named { name, row: None } => {
            return Outcome::Drop(Drop::NoClipRow, format!("{} at {} ms", name.video_id, name.start_ms));
        }
        State::Duplicate { of } => return Outcome::Drop(Drop::Duplicate, of.clone()),
        State::BadName(why) => return Outcome::Fail(Fault::BadName, why.clone()),
        State::Partial => return Outcome::Fail(Fault::Partial, String::new()),
        State::NoEndMarker => return Outcome::Fail(Fault::NoEndMarker, String::new()),
        State::BrokenTar(why) => return Outcome::Fail(Fault::BrokenTar, why.clone()),
    };
    let end_ms = name.end_ms.unwrap_or(row.end_ms);
    let Ok(id) = ClipId::new(&name.video_id, name.start_ms, end_ms) else {
        return Outcome::Fail(Fault::BadName, format!("it ends at {end_ms} ms"));
    };
    if dry {
        return Outcome::Keep { flac: Vec::new(), json: Vec::new(), seconds: 0.0 };
    }
    let extension = candidate.file.rsplit_once('.').map(|(_, extension)| extension);
    let audio = match media {
        Media::File(path) => work.decoder.decode_file(&path),
        Media::Bytes(bytes) => work.decoder.decode_bytes(&bytes, extension),
        Media::Failed(error) => return Outcome::Fail(Fault::Unreadable, error.to_string()),
        Media::None => return Outcome::Fail(Fault::Unreadable, "it was not read".to_owned()),
    };
    let cue_s = f64::from(id.duration_ms()) / 1000.0;
    match audio.map_err(CutFailure::from).and_then(|audio| cut(audio, cue_s, &work.limits)) {
        Ok(made) => {
            let json = describe(candidate, name, row, &id, made.actual_s);
            Outcome::Keep { flac: made.flac, json, seconds: made.actual_s }
        }
        Err(failure) => left_out(failure),
    }
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

fn left_out(failure: CutFailure) -> Outcome {
    let detail = failure.to_string();
    match failure {
        CutFailure::TooShort { .. } => Outcome::Drop(Drop::TooShort, detail),
        CutFailure::TooLong { .. } => Outcome::Drop(Drop::TooLong, detail),
        CutFailure::Audio(error) if error.is_unavailable_program() => Outcome::Stop(error),
        CutFailure::Audio(error) => match error {
            AudioError::TooLong { .. } => Outcome::Drop(Drop::TooLong, detail),
            AudioError::NoAudioTrack => Outcome::Drop(Drop::NoAudio, detail),
            AudioError::EndsEarly { .. } => Outcome::Drop(Drop::SoundEndsEarly, detail),
            AudioError::Read { .. } => Outcome::Fail(Fault::Unreadable, detail),
            AudioError::Empty => Outcome::Fail(Fault::Empty, detail),
            AudioError::Truncated { .. } => Outcome::Fail(Fault::Truncated, detail),
            AudioError::NotFinite { .. } => Outcome::Fail(Fault::NanSamples, detail),
            _ => Outcome::Fail(Fault::Undecodable, detail),
        },
    }
}
