//! Facts about a media file, from ffprobe.

use std::path::Path;
use std::time::Duration;

use audsem_core::blame::Blame;
use audsem_core::input::read_through;
use audsem_core::run::ShardError;
use audsem_media::program::Program;
use serde_json::Value;

/// Facts about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    /// Length in milliseconds; `None` if there is nothing to play.
    pub(super) duration_ms: Option<u32>,
    /// Whether it has video (a cover picture does not count).
    pub(super) has_video: bool,
    /// Its sound.
    pub(super) sound: Sound,
    /// Whether its sound is ADPCM, in which ffmpeg estimates positions from an average bit rate.
    pub(super) is_adpcm: bool,
}

/// The sound of a file, all tracks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    /// It has no track of sound.
    None,
    /// How long it plays, in milliseconds.
    Lasts(u32),
    /// It has sound, whose length the container does not tell.
    Unknown,
}

/// Longest time ffprobe may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Longest time that reading all packets of a file may take: no codec is run, but a disk may be slow.
const PACKETS_LIMIT: Duration = Duration::from_secs(1800);

/// Measures a file. One that ffprobe cannot read has no duration.
///
/// # Errors
/// ffprobe cannot be run or was killed, or the disk cannot be read.
pub(super) fn probe(ffprobe: &Program, path: &Path) -> Result<Probe, ShardError> {
    let first = attempt(ffprobe, path)?;
    if first.duration_ms.is_some() {
        return Ok(first);
    }
    check_disk(path)?;
    // What the machine lacks for a moment does not fail twice; a damaged file does.
    attempt(ffprobe, path)
}

fn attempt(ffprobe: &Program, path: &Path) -> Result<Probe, ShardError> {
    let call = ffprobe
        .call()
        .args(["-v", "error", "-show_entries", "format=duration,format_name:stream=codec_type,codec_name,duration:stream_tags=DURATION:stream_disposition=attached_pic"])
        .args(["-of", "json"])
        .input(path)
        .timeout(LIMIT);
    match call.output() {
        Ok(json) => {
            let json: Value = serde_json::from_slice(&json).unwrap_or(Value::Null);
            let facts = read(&json);
            if is_recorded(&json) && facts.duration_ms.is_none() { by_packets(ffprobe, path, facts) } else { Ok(facts) }
        }
        Err(error) => {
            drop(error.of_record(&path.display().to_string())?);
            Ok(Probe { duration_ms: None, has_video: false, sound: Sound::None, is_adpcm: false })
        }
    }
}

/// Adds the lengths that the headers of a file lack, as those of a WebM that was written while it was recorded: the ends of
/// its packets.
fn by_packets(ffprobe: &Program, path: &Path, facts: Probe) -> Result<Probe, ShardError> {
    let call = ffprobe
        .call()
        .args(["-v", "error", "-show_entries", "packet=codec_type,pts_time,duration_time", "-of", "csv=p=0"])
        .input(path)
        .timeout(PACKETS_LIMIT);
    match call.output() {
        Ok(packets) => Ok(with_packets(facts, &String::from_utf8_lossy(&packets))),
        Err(error) => {
            drop(error.of_record(&path.display().to_string())?);
            Ok(facts)
        }
    }
}

/// The facts with the lengths of packets, one a line: kind, time and length in seconds. A file begins with its first packet,
/// or at zero where that comes before.
fn with_packets(facts: Probe, packets: &str) -> Probe {
    let (mut begin_s, mut end_s, mut sound_end_s) = (None::<f64>, None::<f64>, None::<f64>);
    for line in packets.lines() {
        let mut fields = line.split(',');
        let (kind, time, length) = (fields.next(), fields.next(), fields.next());
        let Some(time) = time.and_then(|time| time.parse::<f64>().ok()) else { continue };
        // A packet without a length reaches at least to its beginning.
        let packet_end_s = time + length.and_then(|length| length.parse::<f64>().ok()).unwrap_or(0.0);
        let later = |end: Option<f64>| Some(end.map_or(packet_end_s, |end| end.max(packet_end_s)));
        match kind {
            Some("audio") => (end_s, sound_end_s) = (later(end_s), later(sound_end_s)),
            Some("video") => end_s = later(end_s),
            _ => continue,
        }
        begin_s = Some(begin_s.map_or(time, |begin| begin.min(time)));
    }
    let begin_s = begin_s.unwrap_or(0.0).max(0.0);
    let ms = |end: Option<f64>| end.and_then(|end| whole_ms(end - begin_s)).filter(|ms| *ms >= 1);
    let sound = match (facts.sound, ms(sound_end_s)) {
        (Sound::Unknown, Some(sound_ms)) => Sound::Lasts(sound_ms),
        (sound, _) => sound,
    };
    Probe { duration_ms: ms(end_s), sound, ..facts }
}

/// Whether a file is of a format that is also written while it is recorded, without its length.
fn is_recorded(json: &Value) -> bool {
    let formats = json.pointer("/format/format_name").and_then(Value::as_str).unwrap_or_default();
    formats.split(',').any(|format| ["matroska", "webm", "flv"].contains(&format))
}

/// Tells a damaged file from a failing disk.
///
/// # Errors
/// [`ShardError::Input`] if the file cannot be read to its end.
pub(super) fn check_disk(path: &Path) -> Result<(), ShardError> {
    match read_through(path) {
        Err(error) if Blame::of_io(&error) == Blame::Surroundings => {
            Err(ShardError::Input(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

fn read(json: &Value) -> Probe {
    let duration_ms = json.pointer("/format/duration").and_then(milliseconds).filter(|ms| *ms >= 1);
    let is_video = |stream: &Value| {
        stream["codec_type"] == "video" && stream.pointer("/disposition/attached_pic") != Some(&Value::from(1))
    };
    let has_video = json["streams"].as_array().is_some_and(|streams| streams.iter().any(is_video));
    let sounds = || json["streams"].as_array().into_iter().flatten().filter(|stream| stream["codec_type"] == "audio");
    let lengths: Option<Vec<u32>> = sounds().map(sound_ms).collect();
    let sound = match lengths {
        None => Sound::Unknown,
        Some(lengths) => lengths.into_iter().max().map_or(Sound::None, Sound::Lasts),
    };
    let is_adpcm = sounds().any(|stream| stream["codec_name"].as_str().is_some_and(|name| name.starts_with("adpcm")));
    Probe { duration_ms, has_video, sound, is_adpcm }
}

/// Seconds as ffprobe writes them.
fn milliseconds(value: &Value) -> Option<u32> {
    whole_ms(value.as_str()?.parse::<f64>().ok()?)
}

fn whole_ms(seconds: f64) -> Option<u32> {
    Some((seconds * 1000.0).round()).filter(|ms| *ms >= 0.0 && *ms < 4e9).map(|ms| ms as u32)
}

/// The length of a stream: that of its packets or, as Matroska writes it, `00:00:02.640000000`.
fn sound_ms(stream: &Value) -> Option<u32> {
    milliseconds(&stream["duration"]).or_else(|| {
        let mut parts = stream.pointer("/tags/DURATION")?.as_str()?.split(':').map(|part| part.parse::<f64>().ok());
        let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
        Some((((hours * 60.0 + minutes) * 60.0 + seconds) * 1000.0).round() as u32)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts() {
        let check = |json: Value, duration_ms: Option<u32>, has_video: bool| {
            let facts = read(&json);
            assert_eq!((facts.duration_ms, facts.has_video), (duration_ms, has_video), "{json}");
        };
        let (sound, picture) = (json!({"codec_type": "audio"}), json!({"codec_type": "video"}));
        let cover = json!({"codec_type": "video", "disposition": {"attached_pic": 1}});
        check(json!({"format": {"duration": "2.640000"}, "streams": [picture, sound]}), Some(2640), true);
        check(json!({"format": {"duration": "0.000000"}, "streams": [sound]}), None, false);
        check(json!({"format": {"duration": "1.0005"}, "streams": [cover, sound]}), Some(1001), false);
        check(json!({"format": {}}), None, false);
        check(Value::Null, None, false);
    }

    #[test]
    fn lengths_that_headers_lack_are_those_of_the_packets() {
        let unknown = Probe { duration_ms: None, has_video: true, sound: Sound::Unknown, is_adpcm: false };
        let check = |packets: &str, duration_ms: Option<u32>, sound: Sound| {
            let facts = with_packets(unknown, packets);
            assert_eq!((facts.duration_ms, facts.sound, facts.has_video), (duration_ms, sound, true), "{packets}");
        };
        let sound = "audio,-0.007000,0.020000\naudio,2.994000,0.020000,\n";
        check(sound, Some(3014), Sound::Lasts(3014));
        check(&format!("{sound}video,3.907000,0.100000\nsubtitle,9.0,1.0\n"), Some(4007), Sound::Lasts(3014));
        check("video,0.5,N/A\nvideo,2.5,N/A\nvideo,1.5,N/A\n", Some(2000), Sound::Unknown);
        // A recording that begins late: times count from there.
        check("audio,20.5,0.02\nvideo,20.0,0.1\nvideo,22.0,0.1\n", Some(2100), Sound::Lasts(520));
        check("video,N/A,N/A\n", None, Sound::Unknown);
        check("", None, Sound::Unknown);
    }

    #[test]
    fn lengths_of_sound() {
        let check = |streams: Value, expected: Sound| {
            assert_eq!(read(&json!({ "streams": streams })).sound, expected, "{streams}");
        };
        let sound = |seconds: &str| json!({"codec_type": "audio", "duration": seconds});
        check(json!([]), Sound::None);
        check(json!([{"codec_type": "video", "duration": "9.0"}]), Sound::None);
        check(json!([{"codec_type": "video", "duration": "20.0"}, sound("5.0")]), Sound::Lasts(5000));
        check(json!([sound("5.0"), sound("7.25")]), Sound::Lasts(7250));
        check(json!([{"codec_type": "audio", "tags": {"DURATION": "00:01:02.640000000"}}]), Sound::Lasts(62_640));
        check(json!([{"codec_type": "audio"}]), Sound::Unknown);
        assert!(read(&json!({"streams": [{"codec_type": "audio", "codec_name": "adpcm_ms"}]})).is_adpcm);
    }
}
