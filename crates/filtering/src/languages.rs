//! Selection of tracks by language: one syntax for `fetch-captions` and `extract`.

use serde::{Deserialize, Serialize};

/// Codes of languages, and beginnings of codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Languages(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// This code and no other.
    Code(String),
    /// All codes with this prefix.
    Begin(String),
}

/// A list with an entry that cannot be a language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a list of languages: `{0}`\nhint: give codes separated by commas; `*` at the end of a code matches all that begin with it, as in `en,en-*`"
)]
pub struct LanguagesError(pub String);

impl Languages {
    /// Tracks marked `en`, and no variant: what the published data set took from its dump.
    #[must_use]
    pub fn english() -> Self {
        Self(vec![Entry::Code("en".to_owned())])
    }

    /// `en` and its regional and named variants (`en-US`, `en-GB`).
    #[must_use]
    pub fn english_and_variants() -> Self {
        Self(vec![Entry::Code("en".to_owned()), Entry::Begin("en-".to_owned())])
    }

    /// Whether a track with this language code is wanted.
    #[must_use]
    pub fn contain(&self, code: &str) -> bool {
        self.0.iter().any(|entry| match entry {
            Entry::Code(wanted) => code == wanted,
            Entry::Begin(begin) => code.starts_with(begin.as_str()),
        })
    }

    /// Whether this code is one of a language ([`is_language_tag`]), or one that the list names itself.
    #[must_use]
    pub fn is_tag(&self, code: &str) -> bool {
        is_language_tag(code) || self.0.contains(&Entry::Code(code.to_owned()))
    }

    /// The selection as yt-dlp takes it: regular expressions over whole codes. No entry has a character
    /// that means something in one.
    #[must_use]
    pub fn yt_dlp_patterns(&self) -> Vec<String> {
        let pattern = |entry: &Entry| match entry {
            Entry::Code(code) => code.clone(),
            Entry::Begin(begin) => format!("{begin}.*"),
        };
        self.0.iter().map(pattern).collect()
    }
}

/// Languages with a code of two letters (ISO 639-1, with three old codes that are still in use).
const TWO_LETTERS: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da \
    de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io \
    is it iu iw ja ji jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms \
    mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn \
    so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Languages that have but a code of three letters and that captions are offered in. A word such as `cat`, which would
/// be a code if its language had no code of two letters, is not one.
const THREE_LETTERS: &str = "ada asa bem bho brx ceb chr dje doi dua efi ewo fil fon gaa gsw guz hak haw hil hmn ilo iba kam \
    kar kha kln kok kri kru lad lua luo lus luy mai mas mer mfe mni mul nan nap naq nds new nso nyn pam pap pcm rof rup rwk \
    sat scn sco sdp seh shi srn syr tlh tpi tum und vec vro vun wal war wuu yue zxx";

/// Whether a text is the tag of a language as captions are named after: a code of two or three letters, all small or
/// all capital, and with `-` or `_` between whatever tells regions, scripts and tracks apart (`en-US`, `zh-Hans`, `es-419`,
/// `en-orig`, `en-nP7-2PuUl7o`).
#[must_use]
pub fn is_language_tag(text: &str) -> bool {
    let language = text.split(['-', '_']).next().unwrap_or(text);
    let lower = language.to_ascii_lowercase();
    let known = if language.len() == 2 { TWO_LETTERS } else { THREE_LETTERS };
    looks_like_tag(text) && known.split(' ').any(|code| code == lower)
}

/// Whether a text has the form of a language's tag, as words of two or three letters have too: to be asked only where
/// something else tells that a tag stands there.
#[must_use]
pub fn looks_like_tag(text: &str) -> bool {
    let (language, rest) = text.split_at(text.find(['-', '_']).unwrap_or(text.len()));
    let is_code = matches!(language.len(), 2 | 3)
        && (language.bytes().all(|b| b.is_ascii_lowercase()) || language.bytes().all(|b| b.is_ascii_uppercase()));
    is_code && rest.len() != 1 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

impl Entry {
    /// `None` unless the entry is a code of letters, digits, `-` and `_`, or a beginning of one with `*` behind
    /// (or `.*`, as yt-dlp writes it). `all`, which has another meaning for yt-dlp, is not a code.
    fn parse(text: &str) -> Option<Self> {
        let is_code = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        // yt-dlp takes a leading hyphen for an exclusion.
        if text.is_empty() || text.starts_with('-') || text == "all" {
            return None;
        }
        match text.strip_suffix(".*").or_else(|| text.strip_suffix('*')) {
            Some(begin) => is_code(begin).then(|| Self::Begin(begin.to_owned())),
            None => is_code(text).then(|| Self::Code(text.to_owned())),
        }
    }
}

impl std::str::FromStr for Languages {
    type Err = LanguagesError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let entries: Option<Vec<Entry>> = list.split(',').map(|entry| Entry::parse(entry.trim())).collect();
        entries.map(Self).ok_or_else(|| LanguagesError(list.to_owned()))
    }
}

impl std::fmt::Display for Languages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, entry) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match entry {
                Entry::Code(code) => write!(f, "{comma}{code}")?,
                Entry::Begin(begin) => write!(f, "{comma}{begin}*")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Languages {
    type Error = LanguagesError;

    fn try_from(list: String) -> Result<Self, Self::Error> {
        list.parse()
    }
}

impl From<Languages> for String {
    fn from(languages: Languages) -> Self {
        languages.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_match_exactly_or_by_their_beginning() {
        for (list, code, expected) in [
            ("en", "en", true),
            ("en", "en-GB", false),
            ("en,en-GB", "en-GB", true),
            ("en*", "en-US", true),
            ("en.*", "en-US", true),
            ("en-*", "en", false),
            ("en,en-*", "en-US", true),
            ("en,en-*", "enm", false),
            ("*", "de", true),
            ("de, en", "en", true),
            ("en", "de", false),
        ] {
            assert_eq!(list.parse::<Languages>().unwrap().contain(code), expected, "{list} {code}");
        }
        for list in ["", "en,,de", "en|de", "-en", "e*n", "all", "en,[a-z]+"] {
            let error = list.parse::<Languages>().unwrap_err().to_string();
            assert!(error.contains(list) && error.contains("en,en-*"), "{error}");
        }
    }

    #[test]
    fn tags_of_languages_are_told_from_words_and_numbers() {
        for tag in [
            "en",
            "EN",
            "en-US",
            "en_US",
            "pt-BR",
            "es-419",
            "zh-Hans",
            "en-orig",
            "en-nP7-2PuUl7o",
            "fil",
            "yue-HK",
            "und",
            "iw",
        ] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for other in
            ["", "e", "1080p", "cat", "owl", "En", "xx", "en-", "en US", "-en", "english", "S02E03", "h264", "é", "dé"]
        {
            assert!(!is_language_tag(other), "{other}");
        }
        for (text, looks) in
            [("ast", true), ("CAT", true), ("En", false), ("en-", false), ("1080p", false), ("", false)]
        {
            assert_eq!(looks_like_tag(text), looks, "{text}");
        }
        assert!("en,cat".parse::<Languages>().unwrap().is_tag("cat"));
        assert!(!"*".parse::<Languages>().unwrap().is_tag("cat"));
    }

    #[test]
    fn one_syntax_is_said_as_yt_dlp_and_as_we_say_it() {
        let variants: Languages = "en,en-*".parse().unwrap();
        assert_eq!(variants, Languages::english_and_variants());
        assert_eq!(variants.yt_dlp_patterns(), ["en", "en-.*"]);
        assert_eq!(variants.to_string(), "en,en-*");
        assert_eq!("en.*".parse::<Languages>().unwrap().to_string(), "en*");
        assert_eq!("*".parse::<Languages>().unwrap().yt_dlp_patterns(), [".*"]);
        assert_eq!(Languages::english().yt_dlp_patterns(), ["en"]);
    }
}
