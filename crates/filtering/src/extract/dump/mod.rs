//! The captions dump: JSON objects, one video each, usually one a line.

mod blocks;
mod boundary;
mod dom;
mod objects;
mod prefilter;
mod scan;
#[cfg(test)]
mod tests;
mod video;

pub use blocks::{Block, BlockSizes, Blocks, ByteRange};
pub use objects::{Found, ParseOptions, for_each_object};
pub use video::{DumpCue, Track, Video};

use super::harvest::{CueText, Harvest, HarvestOptions, excerpt};
use super::reasons::{DropReason, Fault};
use super::subtitles::strip_markup;
use super::twins::Twins;
use audsem_core::run::LeftOut;
use audsem_core::terminal::counted;

/// Takes the cues of one block of the dump `file`, up to and including the object with which `limit`
/// records are read.
#[must_use]
pub fn harvest(
    block: &Block,
    file: &str,
    parse: ParseOptions,
    options: &HarvestOptions,
    limit: Option<u64>,
) -> Harvest {
    let mut harvest = Harvest::default();
    match block {
        Block::TooLarge { offset, len } => too_large(&mut harvest, file, *offset, *len),
        Block::Objects { offset, bytes } => for_each_object(bytes, parse, |found| match found {
            _ if limit.is_some_and(|limit| harvest.n_read() >= limit) => {}
            Found::Video { video, mended } => {
                harvest.tally.texts_mended += u64::from(mended);
                take_video(&mut harvest, &video, options);
            }
            Found::Unparsed => {
                harvest.tally.videos += 1;
                harvest.tally.videos_skipped_unparsed += 1;
            }
            Found::Corrupt { at, text, error } => {
                harvest.tally.objects_corrupt += 1;
                let detail = format!("{error}: {}", excerpt(&text));
                harvest.fault(place(file, offset + at as u64), Fault::CorruptObject, detail);
            }
            Found::TooLarge { at, len } => {
                too_large(&mut harvest, file, offset + at as u64, len as u64);
            }
        }),
    }
    harvest
}

fn too_large(harvest: &mut Harvest, file: &str, offset: u64, len: u64) {
    harvest.tally.objects_too_large += 1;
    let detail = format!("{len} bytes without the end of an object; is the file one large JSON array?");
    harvest.fault(place(file, offset), Fault::ObjectTooLarge, detail);
}

fn place(file: &str, offset: u64) -> String {
    format!("{file}@{offset}")
}

fn take_video(harvest: &mut Harvest, video: &Video<'_>, options: &HarvestOptions) {
    harvest.tally.videos += 1;
    let Some(tracks) = &video.tracks else {
        harvest.tally.videos_without_captions += 1;
        return;
    };
    let Some(id) = video.id.as_deref() else {
        harvest.fault("?".to_owned(), Fault::NoVideoId, counted(tracks.len(), "caption tracks"));
        return;
    };
    let kept = harvest.rows.len();
    let mut twins = Twins::default();
    for track in tracks {
        let of_others = harvest.rows.len();
        take_track(harvest, id, track, options);
        twins.settle(harvest, of_others);
    }
    harvest.tally.videos_with_cues += u64::from(harvest.rows.len() > kept);
}

fn take_track(harvest: &mut Harvest, id: &str, track: &Track<'_>, options: &HarvestOptions) {
    let Some(lang) = track.lang.as_deref() else {
        harvest.tally.tracks_without_language += 1;
        return;
    };
    if !options.languages.contain(lang) {
        harvest.pass_over(lang);
        harvest.tally.cues_other_language += track.plain + track.incomplete + track.cues.len() as u64;
        return;
    }
    harvest.tally.tracks_without_transcript += u64::from(!track.has_transcript);
    harvest.leave_out(id, DropReason::NotBracketed, track.plain);
    harvest.take_incomplete(id, track.incomplete, options);
    for cue in &track.cues {
        let plain = strip_markup(&cue.text);
        let text = CueText::from_decimal(&plain, &cue.start, &cue.dur);
        if cue.malformed {
            harvest.reject(id, text, LeftOut::fail(Fault::BadField, ()));
        } else {
            harvest.take(id, text, options);
        }
    }
}
