//! The id of a video on disk: the one rule that assigns ids to caption and media files.
//!
//! The rule reads a *stem*: the path of a file below the input folder, with `/` between its components and without
//! the extensions that say what it holds (`.mp4`; `.en-US.vtt`). Captions and media of one stem have one id, and files
//! of one name in different folders have two.
//!
//! [`IdRule::Auto`] takes, in this order,
//!
//! 1. `ID` where the last component ends in `[ID]`, eleven of `A-Z a-z 0-9 _ -`, as yt-dlp writes;
//! 2. `ID` where the last component is `ID` or ends in `-ID`, eleven of these that have a capital and a small letter,
//!    and that are not made of words and numbers: `Title-dQw4w9WgXcQ`, but not `foo-soundscapes`, `show-episode0001`,
//!    `NightSounds` or `Recording01`. Fourteen of a thousand real ids look like the latter; they are found in square
//!    brackets only;
//! 3. else the stem, made safe by [`encode`].
//!
//! [`IdRule::Path`] takes the stem always, [`IdRule::Stem`] its last component. [`encode`] is reversible: [`decode`] gives
//! the stem back, so two stems never have one id by the third rule. Where two files of different content still come
//! to one id (two with the same `[ID]`, one file called as another's path is encoded to be), commands refuse both by name.
//! A name that is not UTF-8 gives no id, since two such names may read alike.

use std::fmt::Write as _;

use serde::Serialize;

/// Length of a YouTube video id, the only kind of id that is recognised by its form.
pub const SITE_ID_LEN: usize = 11;

/// Longest id in bytes: it is part of file names, which are limited to 255 bytes.
pub const MAX_ID_BYTES: usize = 200;

/// Which part of a file's name is the id of its video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum IdRule {
    /// The YouTube id in the name (`[ID]` or `-ID`, eleven characters), else the path below the input folder
    #[default]
    Auto,
    /// The name without folders
    Stem,
    /// The path below the input folder
    Path,
}

/// Why a name gives no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VideoIdError {
    /// The stem is empty.
    #[error("the name is empty")]
    Empty,
    /// The id would be too long for a file name.
    #[error("the id would have {n_bytes} bytes, more than {MAX_ID_BYTES}\nhint: `--id stem` leaves the folders out")]
    TooLong {
        /// Length of the id in bytes.
        n_bytes: usize,
    },
    /// The name is not UTF-8, so it cannot be told from other such names.
    #[error("the name is not UTF-8, or holds U+FFFD, which replaces bytes that are not")]
    NotUtf8,
    /// The text is not an output of [`encode`].
    #[error("`{0}` is not an encoded path")]
    NotEncoded(String),
}

impl IdRule {
    /// The id of the video with this stem.
    ///
    /// ```
    /// use audsem_core::video_id::IdRule;
    ///
    /// assert_eq!(IdRule::Auto.id_of("a/Some title [dQw4w9WgXcQ]")?, "dQw4w9WgXcQ");
    /// assert_eq!(IdRule::Auto.id_of("owls/night 1.5")?, "owls%2Fnight 1%2E5");
    /// assert_eq!(IdRule::Stem.id_of("owls/night 1.5")?, "night 1%2E5");
    /// # Ok::<(), audsem_core::video_id::VideoIdError>(())
    /// ```
    ///
    /// # Errors
    /// [`VideoIdError::Empty`], [`VideoIdError::TooLong`], [`VideoIdError::NotUtf8`].
    pub fn id_of(self, stem: &str) -> Result<String, VideoIdError> {
        let last = stem.rsplit('/').next().unwrap_or(stem);
        let named = match self {
            Self::Auto => match site_id(stem) {
                Some(id) => return Ok(id.to_owned()),
                None => stem,
            },
            Self::Stem => last,
            Self::Path => stem,
        };
        if last.is_empty() {
            return Err(VideoIdError::Empty);
        }
        if named.contains(char::REPLACEMENT_CHARACTER) {
            return Err(VideoIdError::NotUtf8);
        }
        let id = encode(named);
        if id.len() > MAX_ID_BYTES { Err(VideoIdError::TooLong { n_bytes: id.len() }) } else { Ok(id) }
    }
}

/// The site's own id in a stem, by the first two parts of the rule.
#[must_use]
pub fn site_id(stem: &str) -> Option<&str> {
    let last = stem.rsplit('/').next().unwrap_or(stem);
    let is_id = |id: &&str| id.len() == SITE_ID_LEN && id.bytes().all(is_id_byte);
    let in_brackets = last.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')).map(|(_, id)| id);
    if let Some(id) = in_brackets.filter(is_id) {
        return Some(id);
    }
    let at = last.len().checked_sub(SITE_ID_LEN).filter(|&at| last.is_char_boundary(at))?;
    let (before, id) = last.split_at(at);
    let is_alone = before.is_empty() || before.ends_with('-');
    Some(id).filter(is_id).filter(|id| is_alone && mixes_cases(id) && !is_made_of_words(id))
}

/// Whether a byte may be part of a site id.
#[must_use]
pub fn is_id_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

fn mixes_cases(id: &str) -> bool {
    id.bytes().any(|b| b.is_ascii_uppercase()) && id.bytes().any(|b| b.is_ascii_lowercase())
}

/// Whether an id consists of words of two small letters or more, each with a capital before it or not, and of numbers:
/// `NightSounds`, `Interview_1`.
fn is_made_of_words(id: &str) -> bool {
    let mut rest = id.as_bytes();
    while let [first, after @ ..] = rest {
        let small = if first.is_ascii_uppercase() { after } else { rest };
        let n_small = small.iter().take_while(|b| b.is_ascii_lowercase()).count();
        if first.is_ascii_alphabetic() && n_small < 2 {
            return false;
        }
        rest = if first.is_ascii_alphabetic() { &small[n_small..] } else { after };
    }
    true
}

/// Makes a path part of a clip key: a dot, a slash, a backslash, a percent sign, a control character, and a blank at
/// either end become `%` and two hexadecimal digits for each of their bytes in UTF-8; everything else stays.
///
/// ```
/// use audsem_core::video_id::{decode, encode};
///
/// assert_eq!(encode("a/b"), "a%2Fb");
/// assert_eq!(encode("a%2Fb"), "a%252Fb");
/// assert_eq!(encode("Kühe am Bach (2)"), "Kühe am Bach (2)");
/// assert_eq!(decode("a%2Fb").as_deref(), Ok("a/b"));
/// ```
#[must_use]
pub fn encode(path: &str) -> String {
    let mut id = String::with_capacity(path.len());
    let last = path.char_indices().next_back().map(|(at, _)| at);
    for (at, c) in path.char_indices() {
        let is_edge = at == 0 || Some(at) == last;
        if matches!(c, '.' | '/' | '\\' | '%') || c.is_control() || (is_edge && c.is_whitespace()) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(id, "%{byte:02X}").expect("a string takes any text");
            }
        } else {
            id.push(c);
        }
    }
    id
}

/// The path that [`encode`] turned into this id.
///
/// # Errors
/// [`VideoIdError::NotEncoded`] if the text is not an output of [`encode`].
pub fn decode(id: &str) -> Result<String, VideoIdError> {
    let not_encoded = || VideoIdError::NotEncoded(id.to_owned());
    let mut bytes = Vec::with_capacity(id.len());
    let mut pieces = id.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let (digits, rest) = digits.map(|digits| (digits, &piece[2..])).ok_or_else(not_encoded)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| not_encoded())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    // Each path has exactly one encoding: `%41`, for example, is never written.
    String::from_utf8(bytes).ok().filter(|path| encode(path) == id).ok_or_else(not_encoded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::clip_id::ClipId;
    use crate::tar::split_key;

    #[test]
    fn ids_of_stems() {
        for (stem, auto, last) in [
            ("dQw4w9WgXcQ", "dQw4w9WgXcQ", "dQw4w9WgXcQ"),
            ("a/b/dQw4w9WgXcQ", "dQw4w9WgXcQ", "dQw4w9WgXcQ"),
            ("-Qw4w9WgX-Q", "-Qw4w9WgX-Q", "-Qw4w9WgX-Q"),
            ("A title. With [dots] [dQw4w9WgXcQ]", "dQw4w9WgXcQ", "A title%2E With [dots] [dQw4w9WgXcQ]"),
            ("x/A title-dQw4w9WgXcQ", "dQw4w9WgXcQ", "A title-dQw4w9WgXcQ"),
            ("A title--Qw4w9WgXcQ", "-Qw4w9WgXcQ", "A title--Qw4w9WgXcQ"),
            ("Ünïcode tïtle-dQw4w9WgXcQ", "dQw4w9WgXcQ", "Ünïcode tïtle-dQw4w9WgXcQ"),
            ("T [soundscapes]", "soundscapes", "T [soundscapes]"),
            // Near misses.
            ("foo-soundscapes", "foo-soundscapes", "foo-soundscapes"),
            ("a/soundscapes", "a%2Fsoundscapes", "soundscapes"),
            ("show-episode0001", "show-episode0001", "show-episode0001"),
            ("rec-20240105-12", "rec-20240105-12", "rec-20240105-12"),
            ("take-Soundscapes", "take-Soundscapes", "take-Soundscapes"),
            ("owl/NightSounds", "owl%2FNightSounds", "NightSounds"),
            ("pig/Recording01", "pig%2FRecording01", "Recording01"),
            ("a/Interview_1", "a%2FInterview_1", "Interview_1"),
            ("titledQw4w9WgXcQ", "titledQw4w9WgXcQ", "titledQw4w9WgXcQ"),
            ("A [dQw4w9WgXc]", "A [dQw4w9WgXc]", "A [dQw4w9WgXc]"),
            ("A [dQw4w9WgXcQ] b", "A [dQw4w9WgXcQ] b", "A [dQw4w9WgXcQ] b"),
            ("dQw4w9WgXcQ/a", "dQw4w9WgXcQ%2Fa", "a"),
            ("aüdQw4w9WgXcü", "aüdQw4w9WgXcü", "aüdQw4w9WgXcü"),
            // Files on disk.
            ("Episode 01 - Night Sounds", "Episode 01 - Night Sounds", "Episode 01 - Night Sounds"),
            ("S02E03.1080p", "S02E03%2E1080p", "S02E03%2E1080p"),
            ("my.cat", "my%2Ecat", "my%2Ecat"),
            ("my-cat (2)", "my-cat (2)", "my-cat (2)"),
            ("Kühe am Bach", "Kühe am Bach", "Kühe am Bach"),
            ("owl/night", "owl%2Fnight", "night"),
            ("pig/night", "pig%2Fnight", "night"),
            ("owl%2Fnight", "owl%252Fnight", "owl%252Fnight"),
            (" 夜\\\u{3000}", "%20夜%5C%E3%80%80", "%20夜%5C%E3%80%80"),
        ] {
            assert_eq!(IdRule::Auto.id_of(stem).as_deref(), Ok(auto), "{stem:?}");
            assert_eq!(IdRule::Stem.id_of(stem).as_deref(), Ok(last), "{stem:?}");
            assert_eq!(IdRule::Path.id_of(stem), Ok(encode(stem)), "{stem:?}");
        }
        for rule in [IdRule::Auto, IdRule::Stem, IdRule::Path] {
            assert_eq!(rule.id_of(""), Err(VideoIdError::Empty));
            assert_eq!(rule.id_of("a/"), Err(VideoIdError::Empty));
            assert_eq!(rule.id_of(&"x".repeat(201)), Err(VideoIdError::TooLong { n_bytes: 201 }));
            assert_eq!(rule.id_of("a/n\u{fffd}"), Err(VideoIdError::NotUtf8));
        }
    }

    #[test]
    fn what_encode_never_writes_stands_for_no_path() {
        for id in ["%", "%2", "%2g", "%41", "%2f", "a.b", "a/b", " a", "%ff", "%FF", "a%20b", "%é"] {
            assert_eq!(decode(id), Err(VideoIdError::NotEncoded(id.to_owned())), "{id}");
        }
        assert_eq!(decode("").as_deref(), Ok(""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// Any path has an id, which is the path's alone, and which travels in every name of a clip.
        #[test]
        fn every_path_has_an_id_of_its_own(path in "(\\PC|[ ./%\\\\\\x00-\\x1f()0-9a-f_-]|[\u{a0}\u{3000}\u{fffd}]){1,40}") {
            let id = encode(&path);
            prop_assert_eq!(decode(&id), Ok(path));
            let clip = ClipId::new(&id, 1_000, 2_500).unwrap();
            prop_assert_eq!(&clip.to_string().parse::<ClipId>().unwrap(), &clip);
            prop_assert_eq!(&clip.tar_key().parse::<ClipId>().unwrap(), &clip);
            prop_assert_eq!(&format!("a/{clip}.flac").parse::<ClipId>().unwrap(), &clip);
            let member = format!("{}.flac", clip.tar_key());
            prop_assert_eq!(split_key(&member), Some((&*clip.tar_key(), "flac".to_owned())));
        }

        #[test]
        fn different_paths_have_different_ids(a in "[a.%2F/ ]{1,5}", b in "[a.%2F/ ]{1,5}") {
            prop_assert_eq!(a == b, encode(&a) == encode(&b));
            prop_assert_eq!(decode(&a).is_ok_and(|path| path == b), encode(&b) == a);
        }
    }
}
