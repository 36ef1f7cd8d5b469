//! Sounds in a page: embedded, or as files next to it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Markup;

/// Characters that RFC 3986 does not escape in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A `data:` URL of an audio file, by its file extension: the page can be moved without its sounds.
pub fn data_url(extension: &str, bytes: &[u8]) -> Markup {
    let subtype = utf8_percent_encode(subtype(extension), PATH);
    Markup::new(format!("data:audio/{subtype};base64,{}", BASE64_STANDARD.encode(bytes)))
}

/// The URL of a file beside the page, from its path relative to the page.
pub fn relative_url(path: &str) -> Markup {
    Markup::new(utf8_percent_encode(path, PATH).to_string())
}

/// The media subtype of an audio file.
fn subtype(extension: &str) -> &str {
    match extension {
        "mp3" => "mpeg",
        "m4a" => "mp4",
        "oga" | "opus" => "ogg",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_have_addresses() {
        assert_eq!(data_url("mp3", b"foob").as_str(), "data:audio/mpeg;base64,Zm9vYg==");
        assert_eq!(relative_url("clips/0/V (1_0-3_5).flac").as_str(), "clips/0/V%20%281_0-3_5%29.flac");
        assert_eq!(relative_url("ü#?\"<.wav").as_str(), "%C3%BC%23%3F%22%3C.wav");
    }
}
