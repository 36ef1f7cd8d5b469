//! Parsing the name of a subtitle file: video, language, format.

use audsem_core::video_id::{IdRule, VideoIdError, site_id};

use super::SubtitleFormat;
use crate::languages::{Languages, looks_like_tag};

/// A subtitle file's name without the endings that tell its format and compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtitleName<'a> {
    /// What is left, folders included.
    pub stem: &'a str,
    /// The format its extension stands for.
    pub format: SubtitleFormat,
}

/// Parses a file name; `None` if its extension is not that of a subtitle file.
#[must_use]
pub fn parse(path: &str) -> Option<SubtitleName<'_>> {
    let path = path.trim_start_matches("./");
    let plain = path.strip_suffix(".gz").or_else(|| path.strip_suffix(".zst")).unwrap_or(path);
    let (stem, extension) = plain.rsplit_once('.')?;
    let format = SubtitleFormat::from_extension(extension)?;
    (!last_of(stem).is_empty()).then_some(SubtitleName { stem, format })
}

/// Which video and language a subtitle file belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackName {
    /// The path of its video without extension.
    pub stem: String,
    /// The id of its video.
    pub video_id: Result<String, VideoIdError>,
    /// Whether the id is one that a site has given, so that files of it in different folders are of one video.
    pub from_site: bool,
    /// The language tag, if the name has one; the language in small letters, `-` behind it.
    pub language: Option<String>,
}

/// How ids and languages are read from names.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The rule of ids.
    pub ids: IdRule,
    /// What is a language, beside the usual tags.
    pub languages: &'a Languages,
    /// `fetch-captions` has named the files: `ID.LANGUAGE.FORMAT`.
    pub fetched: bool,
}

impl Naming<'_> {
    /// Finds the track of a stem. A file next to a media file of the same stem belongs to that, whatever its
    /// name ends in (`my.cat.srt` to `my.cat.mp4`); else a language tag behind the last dot is the language.
    #[must_use]
    pub fn track(&self, stem: &str, has_media: impl Fn(&str) -> bool) -> TrackName {
        let tagged = stem.rsplit_once('.').filter(|(rest, tag)| self.is_tagged(rest, tag, &has_media));
        let (video, tag) = match tagged {
            Some((video, tag)) if !has_media(stem) => (video, Some(tag)),
            _ => (stem, None),
        };
        let (ids, from_site) = match self.fetched {
            true => (IdRule::Stem, true),
            false => (self.ids, self.ids == IdRule::Auto && site_id(video).is_some()),
        };
        TrackName { stem: video.to_owned(), video_id: ids.id_of(video), from_site, language: tag.map(normalize) }
    }

    /// Whether a name consists of a video's and a language. Codes that are not in our lists of languages are known by
    /// what stands before them: a site's id, or the name of a medium.
    fn is_tagged(&self, rest: &str, tag: &str, has_media: impl Fn(&str) -> bool) -> bool {
        let is_track = || self.fetched || site_id(rest).is_some() || has_media(rest);
        !last_of(rest).is_empty() && (self.languages.is_tag(tag) || (looks_like_tag(tag) && is_track()))
    }
}

fn normalize(tag: &str) -> String {
    let (language, rest) = tag.split_at(tag.find(['-', '_']).unwrap_or(tag.len()));
    format!("{}{}", language.to_ascii_lowercase(), rest.replacen('_', "-", usize::from(rest.starts_with('_'))))
}

fn last_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn track(path: &str, media: &[&str]) -> (String, Option<String>) {
        let languages = Languages::english();
        let naming = Naming { ids: IdRule::Auto, languages: &languages, fetched: false };
        let track = naming.track(parse(path).unwrap().stem, |stem| media.contains(&stem));
        (track.video_id.unwrap(), track.language)
    }

    #[test]
    fn names_tell_video_and_language() {
        for (path, video_id, language) in [
            ("dQw4w9WgXcQ.en.vtt", "dQw4w9WgXcQ", Some("en")),
            ("subs/a.b/dQw4w9WgXcQ.en-US.vtt.gz", "dQw4w9WgXcQ", Some("en-US")),
            ("A title. With [dots] [dQw4w9WgXcQ].en.srt", "dQw4w9WgXcQ", Some("en")),
            ("A title-dQw4w9WgXcQ.en-nP7-2PuUl7o.json3", "dQw4w9WgXcQ", Some("en-nP7-2PuUl7o")),
            ("A title--Qw4w9WgXcQ.srv3", "-Qw4w9WgXcQ", None),
            ("./clip_01.ttml", "clip_01", None),
            ("Some title.en.vtt", "Some title", Some("en")),
            ("Mr. Smith-dQw4w9WgXcQ.vtt", "dQw4w9WgXcQ", None),
            ("foo-soundscapes.vtt", "foo-soundscapes", None),
            ("Episode 01 - Night Sounds.en-US.vtt", "Episode 01 - Night Sounds", Some("en-US")),
            ("S02E03.1080p.srt", "S02E03%2E1080p", None),
            ("my.cat.srt", "my%2Ecat", None),
            ("my-cat (2).srt", "my-cat (2)", None),
            ("Kühe am Bach.srt", "Kühe am Bach", None),
            ("pig/night.EN_gb.srt", "pig%2Fnight", Some("en-gb")),
            (".en.srt", "%2Een", None),
            ("A title [dQw4w9WgXcQ].ast.vtt", "dQw4w9WgXcQ", Some("ast")),
            ("subs/dQw4w9WgXcQ.cat.vtt", "dQw4w9WgXcQ", Some("cat")),
        ] {
            assert_eq!(track(path, &[]), (video_id.to_owned(), language.map(str::to_owned)), "{path}");
        }
        for path in ["a.mp4", "a", "", "a.en.vtt.part", "a.info.json", ".vtt/x", ".vtt", "a/.srt"] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_medium_beside_counts_for_more_than_a_language() {
        assert_eq!(track("a/my.it.srt", &["a/my.it"]), ("a%2Fmy%2Eit".to_owned(), None));
        assert_eq!(track("a/my.it.srt", &["my.it", "a/my"]), ("a%2Fmy".to_owned(), Some("it".to_owned())));
        assert_eq!(track("a/my.it.en.srt", &["a/my.it"]), ("a%2Fmy%2Eit".to_owned(), Some("en".to_owned())));
        assert_eq!(track("a/my.cat.srt", &["a/my.cat", "a/my"]), ("a%2Fmy%2Ecat".to_owned(), None));
        assert_eq!(track("a/my.ger.srt", &["a/my"]), ("a%2Fmy".to_owned(), Some("ger".to_owned())));
    }

    #[test]
    fn fetched_files_are_called_after_their_ids() {
        let languages = Languages::english();
        let naming = Naming { ids: IdRule::Path, languages: &languages, fetched: true };
        let track = naming.track("run/subtitles/abc-def_012.ast", |_| false);
        assert_eq!((track.video_id.as_deref(), track.language.as_deref()), (Ok("abc-def_012"), Some("ast")));
        assert!(track.from_site);
    }
}
