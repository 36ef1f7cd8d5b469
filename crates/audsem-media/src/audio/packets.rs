//! Times of the packets of sound and pictures, as ffmpeg reads them, without decoding.

use super::mp4_index::Kind;
use crate::program::{MediaError, Program, Progress};
use std::collections::BTreeMap;
use std::time::Duration;

/// Timeout of ffmpeg: packets are copied, not decoded, so a program that takes this long hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What ffmpeg is told before the name of a list of packets.
pub(super) const LISTED: [&str; 7] = ["-sn", "-dn", "-c", "copy", "-copyinkf", "-f", "framecrc"];

/// The extent of a stream, in seconds from the beginning of the file. Packets before that, which an edit list hides, do
/// not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamSpan {
    /// Where the first packet starts.
    pub first_s: f64,
    /// Where the last packet starts.
    pub last_s: f64,
    /// Where the packet ends that ends last.
    pub end_s: f64,
    /// Number of packets: that of pictures, in a stream of them.
    pub n_packets: u64,
}

/// The streams that ffmpeg selects by default: of each kind the one with the default flag, then the one with the most
/// channels or pixels, then the first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Packets {
    pub(crate) sound: Option<StreamSpan>,
    pub(crate) pictures: Option<StreamSpan>,
}

impl Packets {
    /// Reads all packets of media held in memory.
    ///
    /// # Errors
    /// ffmpeg fails.
    pub(crate) fn read(ffmpeg: &Program, media: &[u8]) -> Result<Packets, MediaError> {
        let call = ffmpeg.call().args(["-nostdin", "-v", "error"]).input_bytes(media, &std::env::temp_dir())?;
        let progress = Progress::start()?;
        let call = call.args(progress.arguments()).args(LISTED).arg("pipe:1");
        let list = call.timeout(TIMEOUT).output()?;
        progress.check()?;
        Ok(Packets::parse(&String::from_utf8_lossy(&list)))
    }

    /// Parses the output of ffmpeg's `framecrc`: time base and kind of each stream, then stream, decoding time,
    /// presentation time and duration of each packet.
    pub(super) fn parse(text: &str) -> Packets {
        let (mut units, mut kinds, mut packets) = (BTreeMap::new(), BTreeMap::new(), Packets::default());
        for line in text.lines() {
            if let Some((stream, unit)) = line.strip_prefix("#tb ").and_then(|rest| rest.split_once(": ")) {
                let seconds =
                    unit.split_once('/').and_then(|(a, b)| Some(a.parse::<f64>().ok()? / b.parse::<f64>().ok()?));
                units.extend(seconds.map(|seconds| (stream.to_owned(), seconds)));
            } else if let Some((stream, kind)) =
                line.strip_prefix("#media_type ").and_then(|rest| rest.split_once(": "))
            {
                let kind = if kind == "audio" { Kind::Sound } else { Kind::Pictures };
                kinds.insert(stream.to_owned(), kind);
            } else {
                let fields: Vec<&str> = line.split(',').map(str::trim).collect();
                let [stream, decoded, shown, length, ..] = fields[..] else { continue };
                let (Some(unit), Some(kind)) = (units.get(stream), kinds.get(stream)) else { continue };
                // AVI only states when a packet is decoded; the smallest number stands for the missing time.
                let time = |text: &str| text.parse::<i64>().ok().filter(|&time| time != i64::MIN);
                let start = time(shown).or_else(|| time(decoded));
                if let (Some(start), Ok(length)) = (start, length.parse::<i64>()) {
                    packets.add(*kind, start as f64 * unit, start.saturating_add(length) as f64 * unit);
                }
            }
        }
        packets
    }

    fn add(&mut self, kind: Kind, start_s: f64, end_s: f64) {
        let stream = match kind {
            Kind::Sound => &mut self.sound,
            Kind::Pictures => &mut self.pictures,
            Kind::Other => return,
        };
        if start_s < 0.0 && end_s <= 0.0 {
            return;
        }
        let span = stream.get_or_insert(StreamSpan { first_s: start_s, last_s: start_s, end_s, n_packets: 0 });
        span.first_s = span.first_s.min(start_s);
        span.last_s = span.last_s.max(start_s);
        span.end_s = span.end_s.max(end_s);
        span.n_packets += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_ffmpeg_are_understood() {
        let text = "#software: Lavf59\n#tb 0: 1/25\n#media_type 0: video\n#codec_id 0: h264\n#tb 1: 1/1000\n\
                    #media_type 1: audio\n0,          0,          2,        1,     5120, 0x1\n\
                    1,          0,          0,       23,      100, 0x2\n0,          1,          1,        1,  1, 0x3\n\
                    0,         -3,         -3,        1,  1, 0x4\n";
        let packets = Packets::parse(text);
        assert_eq!(packets.sound, Some(StreamSpan { first_s: 0.0, last_s: 0.0, end_s: 0.023, n_packets: 1 }));
        let pictures = StreamSpan { first_s: 1.0 / 25.0, last_s: 2.0 / 25.0, end_s: 3.0 / 25.0, n_packets: 2 };
        assert_eq!(packets.pictures, Some(pictures));
        let avi = "#tb 0: 1/25\n#media_type 0: video\n0, 0, -9223372036854775808, 1, 9, 0x1\n0, 74, -9223372036854775808, 1, 9, 0x1\n";
        assert_eq!(Packets::parse(avi).pictures.map(|span| (span.last_s, span.n_packets)), Some((74.0 / 25.0, 2)));
        assert_eq!(Packets::parse("0, NOPTS, NOPTS, 1"), Packets::default());
    }
}
