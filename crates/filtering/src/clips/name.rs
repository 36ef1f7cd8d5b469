//! Parsing the file name of a clip.

use audsem_core::clip_id::{ClipId, ClipIdError, parse_seconds};

/// The clip a file is named after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipName {
    /// Id of the video.
    pub video_id: String,
    /// Start in the video, milliseconds.
    pub start_ms: u32,
    /// End in the video, milliseconds. yt-dlp writes `NA` for an end it does not know.
    pub end_ms: Option<u32>,
}

impl ClipName {
    /// Reads a name such as `clips/VID (12.5-15.0).webm`.
    ///
    /// # Errors
    /// What [`ClipId`] says of the name; ends that are `NA` or before the start are let pass.
    pub fn parse(name: &str) -> Result<ClipName, ClipIdError> {
        let error = match name.parse::<ClipId>() {
            Ok(id) => {
                let (start_ms, end_ms) = (id.start_ms(), Some(id.end_ms()));
                return Ok(ClipName { video_id: id.video_id().to_owned(), start_ms, end_ms });
            }
            Err(error) => error,
        };
        let open_end = match &error {
            ClipIdError::BadTime { which: "end", time, .. } => time == "NA",
            ClipIdError::EmptySpan { .. } => true,
            _ => false,
        };
        let start_ms = name.rsplit_once(" (").and_then(|(_, span)| parse_seconds(span.split_once('-')?.0));
        let video_id = name.rsplit_once(" (").and_then(|(path, _)| path.rsplit('/').next());
        match (open_end, video_id, start_ms) {
            // The id has to pass the same rules as any other.
            (true, Some(video_id), Some(start_ms)) => {
                ClipId::new(video_id, start_ms, start_ms.saturating_add(1))?;
                Ok(ClipName { video_id: video_id.to_owned(), start_ms, end_ms: None })
            }
            _ => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_with_open_ends_too() {
        let check = |name: &str, start_ms: u32, end_ms: Option<u32>| {
            let expected = ClipName { video_id: "a-b_c".to_owned(), start_ms, end_ms };
            assert_eq!(ClipName::parse(name).unwrap(), expected, "{name}");
        };
        check("a-b_c (1.0-2.5).mp4", 1000, Some(2500));
        check("x/y/a-b_c (1.0-2.5).webm", 1000, Some(2500));
        check("a-b_c (1.25-NA).webm", 1250, None);
        check("a-b_c (3.0-1.0).webm", 3000, None);
        for bad in ["a-b_c.mp4", "a-b_c (x-2.0).mp4", "a-b_c (1.0-x).mp4", "a.b (1.0-NA).mp4", " (1.0-NA).mp4", ""] {
            assert!(ClipName::parse(bad).is_err(), "{bad}");
        }
    }
}
