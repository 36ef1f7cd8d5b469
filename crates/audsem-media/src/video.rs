//! Video: the lengths of a clip's sound and pictures, and whether a transcoded copy is complete.
//!
//! ffmpeg 5.1 exits with 0 on a full disk, and with 0 at the end of a truncated file. So a clip is measured before it is
//! transcoded, by decoding its sound and reading the packets of its pictures, and the copy is measured in the same way
//! and compared.

use crate::audio::packets::Packets;
pub use crate::audio::packets::StreamSpan;
use crate::audio::{AudioError, Decoder};
use crate::program::{MediaError, Program, Progress};
use audsem_core::blame::Blame;
use audsem_core::terminal::counted;
use std::time::Duration;

/// Sound that a copy may lack: encoders work in blocks of up to 4,608 frames.
const SOUND_SLACK_S: f64 = 0.15;

/// Timeout of ffmpeg: a program that takes this long for one clip hangs.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Lengths of a video, measured by reading it to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VideoFacts {
    /// Seconds of sound, decoded; `None` if it has no track of sound.
    pub sound_s: Option<f64>,
    /// Its pictures; `None` if it has none.
    pub pictures: Option<StreamSpan>,
}

impl VideoFacts {
    /// Measures the tracks of a video in memory that ffmpeg selects by default.
    ///
    /// # Errors
    /// [`AudioError`]: among others it is not a media file, is truncated, or its sound cannot be decoded to the end.
    pub fn measure(decoder: &Decoder, ffmpeg: &Program, media: &[u8], extension: &str) -> Result<Self, AudioError> {
        let sound_s = match decoder.decode_bytes(media, Some(extension)) {
            Ok(audio) => Some(audio.duration_s()),
            Err(AudioError::NoAudioTrack) => None,
            Err(error) => return Err(error),
        };
        let pictures = Packets::read(ffmpeg, media).map_err(unreadable)?.pictures;
        Ok(VideoFacts { sound_s, pictures })
    }

    /// Compares with a transcoded copy of `frames_per_second`: neither its sound nor its pictures may end before those of
    /// the video.
    ///
    /// # Errors
    /// [`AudioError::Truncated`] with what is missing.
    pub fn check_copy(&self, copy: &VideoFacts, frames_per_second: u32) -> Result<(), AudioError> {
        let (sound_s, copied_s) = (self.sound_s.unwrap_or_default(), copy.sound_s.unwrap_or_default());
        if copied_s + SOUND_SLACK_S < sound_s {
            return Err(AudioError::Truncated { what: format!("{copied_s:.3} of {sound_s:.3} s of sound came out") });
        }
        let seconds = self.pictures.map_or(0.0, |pictures| pictures.last_s - pictures.first_s);
        let copied = copy.pictures.map_or(0, |pictures| pictures.n_packets);
        // The first and the last picture may fall between two of the new ones.
        let least = (seconds * f64::from(frames_per_second)).floor() - 1.0;
        if (copied as f64) < least.max(f64::from(u8::from(self.pictures.is_some()))) {
            let what = format!("{} came out, {least} or more are in {seconds:.3} s", counted(copied, "pictures"));
            return Err(AudioError::Truncated { what });
        }
        Ok(())
    }
}

/// Decodes all pictures and all sound of a video held in memory.
///
/// # Errors
/// [`AudioError::Malformed`] with the first error that ffmpeg reports, or [`AudioError::Helper`].
pub fn decode_whole(ffmpeg: &Program, media: &[u8]) -> Result<(), AudioError> {
    let call = ffmpeg.call().args(["-nostdin", "-v", "error", "-threads", "1"]);
    let call = call.input_bytes(media, &std::env::temp_dir()).map_err(AudioError::Helper)?;
    let progress = Progress::start().map_err(AudioError::Helper)?;
    let call = call.args(progress.arguments());
    let finished = call.args(["-map", "0:v?", "-map", "0:a?", "-f", "null", "-"]).timeout(TIMEOUT).run();
    let finished = finished.map_err(unreadable)?;
    match finished.stderr.lines().find(|line| !line.trim().is_empty()) {
        None if finished.status.success() => progress.check().map_err(AudioError::Helper),
        line => {
            let what = line.map_or_else(|| finished.status.to_string(), str::to_owned);
            Err(AudioError::Malformed { what })
        }
    }
}

fn unreadable(error: MediaError) -> AudioError {
    match (error.blame(), &error) {
        (Blame::Surroundings, _) => AudioError::Helper(error),
        (Blame::Record, MediaError::Failed { stderr, .. }) => {
            let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("no error message");
            AudioError::Malformed { what: line.trim().to_owned() }
        }
        (Blame::Record, _) => AudioError::Malformed { what: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_ends_early_is_refused() {
        let facts = |sound_s: f64, last_s: f64, n_packets: u64| VideoFacts {
            sound_s: Some(sound_s),
            pictures: Some(StreamSpan { first_s: 0.0, last_s, end_s: last_s, n_packets }),
        };
        let source = facts(10.0, 9.96, 250);
        let check = |copy: VideoFacts, is_whole: bool| {
            assert_eq!(source.check_copy(&copy, 2).is_ok(), is_whole, "{copy:?}");
        };
        check(facts(10.0, 9.5, 20), true);
        check(facts(9.9, 9.0, 18), true);
        check(facts(9.8, 9.5, 20), false);
        check(facts(10.0, 8.0, 17), false);
        check(VideoFacts { sound_s: None, ..source }, false);
        check(VideoFacts { pictures: None, ..source }, false);
    }
}
