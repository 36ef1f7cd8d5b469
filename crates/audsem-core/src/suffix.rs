//! Which files and members are media, by the ends of their names.

/// Suffixes of video files, the most common first.
pub const VIDEO: [&str; 10] = ["mp4", "mkv", "webm", "mov", "m4v", "avi", "flv", "wmv", "3gp", "ts"];

/// Suffixes of audio files, lossless formats first.
pub const AUDIO: [&str; 14] =
    ["flac", "wav", "aiff", "aif", "caf", "m4a", "opus", "ogg", "oga", "mp3", "aac", "mka", "weba", "wma"];

/// Suffixes of picture files.
pub const PICTURE: [&str; 3] = ["jpg", "jpeg", "png"];

/// Whether a suffix is that of a video file, ignoring case.
pub fn is_video(suffix: &str) -> bool {
    VIDEO.iter().any(|known| known.eq_ignore_ascii_case(suffix))
}

/// Whether a suffix is that of an audio file, ignoring case.
pub fn is_audio(suffix: &str) -> bool {
    AUDIO.iter().any(|known| known.eq_ignore_ascii_case(suffix))
}

/// Whether a suffix is that of a picture file, ignoring case.
pub fn is_picture(suffix: &str) -> bool {
    PICTURE.iter().any(|known| known.eq_ignore_ascii_case(suffix))
}

/// Whether a suffix is that of an audio or video file, ignoring case.
pub fn is_media(suffix: &str) -> bool {
    is_video(suffix) || is_audio(suffix)
}

/// Whether what follows the first dot of a name is no suffix but the rest of a name with more dots, such as
/// `5-3.0).flac`: a reader of WebDataset has cut the key at the first one.
pub fn is_cut(suffix: &str) -> bool {
    suffix.rsplit_once('.').is_some_and(|(_, last)| is_media(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_of_one_kind_in_any_case() {
        assert!(is_video("MP4") && !is_audio("mp4") && is_audio("Flac") && !is_video("flac") && is_media("oga"));
        assert!(!is_media("json") && !is_media("") && !is_media("mp"));
        assert!(is_picture("JPG") && !is_picture("mp4") && !is_media("png"));
        assert!(is_cut("5-3.0).flac") && is_cut("1.MP4") && !is_cut("flac") && !is_cut("mfcc.npy"));
        assert!(VIDEO.iter().all(|suffix| !is_audio(suffix)));
    }
}
