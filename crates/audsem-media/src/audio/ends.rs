//! Whether the sound of a file lasts as long as its pictures.
//!
//! The end of a clip's file is the end of the clip. If the sound stops before the pictures do, the end of the sound is
//! an earlier moment, and what is cut from there is other sound than that of the clip.

use super::AudioError;
use super::mp4_index::{Kind, Mp4Track};
use crate::program::{MediaError, Program};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Timeout of ffmpeg: packets are copied, not decoded, so a program that takes this long hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Where sound and pictures end, in seconds from the same start; `None` if the file has no such stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ends {
    pub(super) sound_s: Option<f64>,
    pub(super) pictures_s: Option<f64>,
}

impl Ends {
    /// What the index of an MP4 or MOV file counts; `None` if it does not count every track.
    pub(super) fn of_index(index: &[Mp4Track], sound: u32) -> Option<Ends> {
        let sound_s = index.iter().find(|track| track.id == sound)?.end_s?;
        let pictures = index.iter().filter(|track| track.kind == Kind::Pictures);
        let ends: Vec<f64> = pictures.map(|track| track.end_s).collect::<Option<_>>()?;
        Some(Ends { sound_s: Some(sound_s), pictures_s: ends.into_iter().reduce(f64::max) })
    }

    /// Notes a packet of sound or of pictures that ends then.
    pub(super) fn add(&mut self, kind: Kind, end_s: f64) {
        let end = match kind {
            Kind::Sound => &mut self.sound_s,
            Kind::Pictures => &mut self.pictures_s,
            Kind::Other => return,
        };
        *end = Some(end.map_or(end_s, |so_far| so_far.max(end_s)));
    }

    /// # Errors
    /// [`AudioError::EndsEarly`] if the sound ends more than `tolerance_s` before the pictures.
    pub(super) fn check(self, tolerance_s: f64) -> Result<(), AudioError> {
        match self {
            Ends { sound_s: Some(sound_s), pictures_s: Some(pictures_s) } if sound_s + tolerance_s < pictures_s => {
                Err(AudioError::EndsEarly { sound_s, pictures_s })
            }
            _ => Ok(()),
        }
    }
}

/// Reads all packets of sound and of the first pictures with ffmpeg, without decoding them.
///
/// # Errors
/// ffmpeg fails.
pub(super) fn by_ffmpeg(ffmpeg: &Program, file: &Path) -> Result<Ends, MediaError> {
    let call = ffmpeg.call().args(["-nostdin", "-v", "error", "-i"]).arg(file);
    let call = call.args(["-map", "0:V:0?", "-map", "0:a", "-c", "copy", "-f", "framecrc", "pipe:1"]);
    Ok(read_packets(&String::from_utf8_lossy(&call.timeout(TIMEOUT).output()?)))
}

/// Understands what ffmpeg's `framecrc` writes: time base and kind of each stream, then stream, decoding time,
/// presentation time and duration of each packet.
fn read_packets(text: &str) -> Ends {
    let (mut units, mut kinds, mut ends) = (BTreeMap::new(), BTreeMap::new(), Ends::default());
    for line in text.lines() {
        if let Some((stream, unit)) = line.strip_prefix("#tb ").and_then(|rest| rest.split_once(": ")) {
            let seconds = unit.split_once('/').and_then(|(a, b)| Some(a.parse::<f64>().ok()? / b.parse::<f64>().ok()?));
            units.extend(seconds.map(|seconds| (stream.to_owned(), seconds)));
        } else if let Some((stream, kind)) = line.strip_prefix("#media_type ").and_then(|rest| rest.split_once(": ")) {
            let kind = if kind == "audio" { Kind::Sound } else { Kind::Pictures };
            kinds.insert(stream.to_owned(), kind);
        } else {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [stream, _, start, length, ..] = fields[..] else { continue };
            let (Some(unit), Some(kind)) = (units.get(stream), kinds.get(stream)) else { continue };
            if let (Ok(start), Ok(length)) = (start.parse::<i64>(), length.parse::<i64>()) {
                ends.add(*kind, start.saturating_add(length) as f64 * unit);
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_ffmpeg_are_understood() {
        let text = "#software: Lavf59\n#tb 0: 1/25\n#media_type 0: video\n#codec_id 0: h264\n#tb 1: 1/1000\n\
                    #media_type 1: audio\n0,          0,          2,        1,     5120, 0x1\n\
                    1,          0,          0,       23,      100, 0x2\n0,          1,          1,        1,  1, 0x3\n";
        let ends = read_packets(text);
        assert_eq!(ends, Ends { sound_s: Some(0.023), pictures_s: Some(3.0 / 25.0) });
        assert!(ends.check(0.1).is_ok());
        assert!(matches!(ends.check(0.05), Err(AudioError::EndsEarly { .. })));
        assert!(Ends { pictures_s: None, ..ends }.check(0.0).is_ok());
    }
}
