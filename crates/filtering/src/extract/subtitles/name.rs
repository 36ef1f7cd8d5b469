//! What the name of a subtitle file says: video, language, format.

use super::Format;

/// Length of a YouTube video id.
const YOUTUBE_ID: usize = 11;

/// A subtitle file's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtitleName<'a> {
    /// The video it belongs to, if the name tells it.
    pub video_id: Option<&'a str>,
    /// The language code, if the name has one.
    pub language: Option<&'a str>,
    /// The format its extension stands for.
    pub format: Format,
}

/// Takes a file name (folders and a compression's extension aside) apart; `None` if its extension is
/// none of a subtitle file. Understands `ID.en.vtt`, `Title [ID].en.vtt`, `Title-ID.en.vtt` and the
/// same without a language.
#[must_use]
pub fn parse(path: &str) -> Option<SubtitleName<'_>> {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let file = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(file);
    let (stem, extension) = file.rsplit_once('.')?;
    let format = Format::from_extension(extension)?;
    let (stem, language) = match stem.rsplit_once('.') {
        Some((rest, code)) if is_language(code) => (rest, Some(code)),
        _ => (stem, None),
    };
    Some(SubtitleName { video_id: video_id(stem), language, format })
}

/// Whether this is a language code as yt-dlp writes it: `en`, `en-US`, `zh-Hans`, `en-orig`,
/// `en-nP7-2PuUl7o`.
fn is_language(code: &str) -> bool {
    let (language, rest) = code.split_at_checked(code.find(['-', '_']).unwrap_or(code.len())).unwrap_or((code, ""));
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && rest.bytes().all(is_id_byte)
}

fn is_id_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_id_byte)
}

/// The id in what is left of a file name.
fn video_id(stem: &str) -> Option<&str> {
    if let Some((_, id)) = stem.strip_suffix(']').and_then(|rest| rest.rsplit_once('['))
        && is_id(id)
    {
        return Some(id);
    }
    // A whole name that can be an id is one, even where its end could be one as well.
    if is_id(stem) && (stem.len() <= YOUTUBE_ID || !has_dash_before_id(stem)) {
        return Some(stem);
    }
    has_dash_before_id(stem).then(|| &stem[stem.len() - YOUTUBE_ID..])
}

/// Whether the name ends as in `Title-ID`, the ID being one of YouTube's.
fn has_dash_before_id(stem: &str) -> bool {
    let Some(at) = stem.len().checked_sub(YOUTUBE_ID + 1) else { return false };
    stem.as_bytes()[at] == b'-' && stem.as_bytes()[at + 1..].iter().all(|&b| is_id_byte(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_downloaders_write_them() {
        for (path, video_id, language) in [
            ("dQw4w9WgXcQ.en.vtt", Some("dQw4w9WgXcQ"), Some("en")),
            ("subs/a.b/dQw4w9WgXcQ.en-US.vtt.gz", Some("dQw4w9WgXcQ"), Some("en-US")),
            ("A title. With [dots] [dQw4w9WgXcQ].en.srt", Some("dQw4w9WgXcQ"), Some("en")),
            ("A title-dQw4w9WgXcQ.en-nP7-2PuUl7o.json3", Some("dQw4w9WgXcQ"), Some("en-nP7-2PuUl7o")),
            ("A title--Qw4w9WgXcQ.srv3", Some("-Qw4w9WgXcQ"), None),
            ("-Qw4w9WgX-Q.en.vtt", Some("-Qw4w9WgX-Q"), Some("en")),
            ("clip_01.ttml", Some("clip_01"), None),
            ("Some title.en.vtt", None, Some("en")),
            ("Mr. Smith-dQw4w9WgXcQ.vtt", Some("dQw4w9WgXcQ"), None),
            ("Ünïcode tïtle-dQw4w9WgXcQ.en.vtt", Some("dQw4w9WgXcQ"), Some("en")),
            ("ünïcödeünïcödeü.vtt", None, None),
        ] {
            let name = parse(path).unwrap();
            assert_eq!((name.video_id, name.language), (video_id, language), "{path}");
        }
        for path in ["a.mp4", "a", "", "a.en.vtt.part", "a.info.json", ".vtt/x"] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
