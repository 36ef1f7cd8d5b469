//! The spellings of what is looked for.

use audsem_core::clip_id::{ClipId, parse_seconds};
use audsem_core::suffix::is_media;
use audsem_core::video_id::{IdRule, decode};

/// Endings of captions, which may have a language in front.
const CAPTIONS: [&str; 14] =
    ["vtt", "webvtt", "srt", "json3", "srv1", "srv2", "srv3", "ttml", "dfxp", "itt", "sbv", "ass", "ssa", "json"];

/// What is looked for.
///
/// ```
/// use audsem_tarify::why::Wanted;
///
/// for spelling in ["V (1.0-2.5)", "V (1_0-2_5)", "train/V (1_0-2_5).flac", "clips/a7/V (1.0-2.5).webm"] {
///     assert_eq!(Wanted::parse(spelling).to_string(), "V (1_0-2_5)");
/// }
/// assert!(Wanted::parse("V@1.0").fits("V (1_0-2_5)").is_some());
/// assert!(Wanted::parse("videos/owl/night.mp4").fits("owl%2Fnight (1_0-2_5)").is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A clip, however its name is written.
    Clip(ClipId),
    /// A cue, as the rejects of `extract` call it: `VIDEO@SECONDS`.
    Cue {
        /// The video.
        video_id: String,
        /// Its start, milliseconds.
        start_ms: u32,
    },
    /// A video, by its id or by the name of one of its files; or anything else that has a key.
    Video {
        /// What its id may be, the likeliest first.
        ids: Vec<String>,
        /// The path of one of its files without ending, where that is what was given.
        paths: Vec<String>,
    },
}

impl Wanted {
    /// Reads a key in any spelling that our files have.
    pub fn parse(key: &str) -> Self {
        let key = key.trim();
        if let Ok(clip) = key.parse() {
            return Self::Clip(clip);
        }
        if let Some((video_id, start_ms)) = cue(key) {
            return Self::Cue { video_id: video_id.to_owned(), start_ms };
        }
        let mut paths: Vec<String> = Vec::new();
        if let Some(stem) = stem_of(key) {
            // `night.en.vtt` has a language before its ending.
            let without_language = stem.rsplit_once('.').map(|(stem, _)| stem);
            paths.extend(std::iter::once(stem).chain(without_language).map(str::to_owned));
        }
        let mut ids = vec![key.to_owned()];
        let named = std::iter::once(key).chain(paths.iter().map(String::as_str));
        ids.extend(named.filter_map(|path| IdRule::Auto.id_of(path).ok()));
        Self::Video { ids, paths }
    }

    /// Whether a video is the one that is looked for. Which folder was the input of `extract` is not known, so a path may have
    /// more folders in front than the id has, or fewer.
    fn is_video(ids: &[String], paths: &[String], video_id: &str) -> bool {
        let ends = |long: &str, short: &str| {
            long.strip_suffix(short).is_some_and(|front| front.is_empty() || front.ends_with('/'))
        };
        ids.iter().any(|id| id == video_id)
            || !paths.is_empty()
                && decode(video_id).is_ok_and(|own| paths.iter().any(|path| ends(path, &own) || ends(&own, path)))
    }

    /// The one spelling of a key of a file, if it is about what is looked for.
    pub fn fits(&self, key: &str) -> Option<String> {
        match (self, key.parse::<ClipId>()) {
            (_, Ok(clip)) => self.fits_clip(&clip).then(|| clip.tar_key()),
            (Self::Cue { video_id, start_ms }, Err(_)) => {
                (cue(key) == Some((video_id.as_str(), *start_ms))).then(|| key.to_owned())
            }
            (Self::Clip(clip), Err(_)) => {
                (cue(key) == Some((clip.video_id(), clip.start_ms()))).then(|| key.to_owned())
            }
            (Self::Video { ids, paths }, Err(_)) => {
                let subject = cue(key).map_or(key, |(video_id, _)| video_id);
                Self::is_video(ids, paths, subject).then(|| key.to_owned())
            }
        }
    }

    fn fits_clip(&self, clip: &ClipId) -> bool {
        match self {
            Self::Clip(wanted) => wanted == clip,
            Self::Cue { video_id, start_ms } => clip.video_id() == video_id && clip.start_ms() == *start_ms,
            Self::Video { ids, paths } => Self::is_video(ids, paths, clip.video_id()),
        }
    }

    /// Whether a record about a whole video is about that of what is looked for.
    pub fn is_of_video(&self, key: &str) -> bool {
        match self {
            Self::Clip(clip) => clip.video_id() == key,
            Self::Cue { video_id, .. } => video_id == key,
            Self::Video { ids, paths } => Self::is_video(ids, paths, key),
        }
    }

    /// The likeliest id of the video.
    pub fn video_id(&self) -> &str {
        match self {
            Self::Clip(clip) => clip.video_id(),
            Self::Cue { video_id, .. } => video_id,
            Self::Video { ids, .. } => ids.last().unwrap_or(&ids[0]),
        }
    }

    /// The start, where there is one.
    pub fn start_ms(&self) -> Option<u32> {
        match self {
            Self::Clip(clip) => Some(clip.start_ms()),
            Self::Cue { start_ms, .. } => Some(*start_ms),
            Self::Video { .. } => None,
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clip(clip) => f.write_str(&clip.tar_key()),
            Self::Cue { video_id, start_ms } => write!(f, "{video_id}@{}", f64::from(*start_ms) / 1000.0),
            Self::Video { ids, .. } => f.write_str(&ids[0]),
        }
    }
}

/// The video and the start in milliseconds of a cue as rejects name it.
pub(super) fn cue(key: &str) -> Option<(&str, u32)> {
    let (video_id, start) = key.rsplit_once('@')?;
    Some((video_id, parse_seconds(start)?))
}

/// The name of a media or caption file without its ending.
fn stem_of(name: &str) -> Option<&str> {
    let plain = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let (stem, ending) = plain.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    (is_media(&ending) || CAPTIONS.contains(&&*ending)).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_finds_its_records() {
        for (spelling, key, expected) in [
            ("V (1.0-2.5)", "V (1_0-2_5)", Some("V (1_0-2_5)")),
            ("V (1_0-2_5).flac", "clips/a7/V (1.0-2.5).webm", Some("V (1_0-2_5)")),
            ("V (1_0-2_5)", "V (1_0-2_6)", None),
            ("V (1_0-2_5)", "V@1", Some("V@1")),
            ("V (1_0-2_5)", "V@1.5", None),
            ("V@1.0", "V@1", Some("V@1")),
            ("V@1.0", "V (1_0-9_0)", Some("V (1_0-9_0)")),
            ("V", "V (3_0-9_0)", Some("V (3_0-9_0)")),
            ("V", "V@7", Some("V@7")),
            ("V", "V", Some("V")),
            ("V", "VW (3_0-9_0)", None),
            ("videos/Vögel & Co/night.mp4", "Vögel & Co%2Fnight (1_0-4_0)", Some("Vögel & Co%2Fnight (1_0-4_0)")),
            ("night.en.vtt", "night (1_0-4_0)", Some("night (1_0-4_0)")),
            ("night.mp4", "Vögel & Co%2Fnight (1_0-4_0)", Some("Vögel & Co%2Fnight (1_0-4_0)")),
            ("night.mp4", "midnight (1_0-4_0)", None),
            ("owl/night.mp4", "bat%2Fnight (1_0-4_0)", None),
            ("in/Title [dQw4w9WgXcQ].mkv", "dQw4w9WgXcQ (1_0-4_0)", Some("dQw4w9WgXcQ (1_0-4_0)")),
        ] {
            assert_eq!(Wanted::parse(spelling).fits(key).as_deref(), expected, "{spelling}: {key}");
        }
    }
}
