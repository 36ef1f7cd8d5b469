//! What ffprobe knows about a media file.

use std::path::Path;
use std::time::Duration;

use audsem_core::run::ShardError;
use audsem_media::program::{MediaError, Program};
use serde_json::Value;

/// Facts about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    /// Length in milliseconds; `None` where nothing plays.
    pub(super) duration_ms: Option<u32>,
    /// Whether it has moving pictures (a cover picture is none).
    pub(super) has_video: bool,
}

/// Longest time ffprobe may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures a file. One that ffprobe cannot read has no duration.
///
/// # Errors
/// ffprobe cannot be run.
pub(super) fn probe(ffprobe: &Program, path: &Path) -> Result<Probe, ShardError> {
    let call = ffprobe
        .call()
        .args(["-v", "error", "-show_entries", "format=duration:stream=codec_type:stream_disposition=attached_pic"])
        .args(["-of", "json", "-i"])
        .arg(path)
        .timeout(LIMIT);
    match call.output() {
        Ok(json) => Ok(read(&serde_json::from_slice(&json).unwrap_or(Value::Null))),
        Err(error @ (MediaError::Missing { .. } | MediaError::Start { .. })) => Err(ShardError::fatal(error)),
        Err(_) => Ok(Probe { duration_ms: None, has_video: false }),
    }
}

fn read(json: &Value) -> Probe {
    let seconds = json.pointer("/format/duration").and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok());
    let duration_ms = seconds.map(|seconds| (seconds * 1000.0).round()).filter(|ms| *ms >= 1.0 && *ms < 4e9);
    let is_video = |stream: &Value| {
        stream["codec_type"] == "video" && stream.pointer("/disposition/attached_pic") != Some(&Value::from(1))
    };
    let has_video = json["streams"].as_array().is_some_and(|streams| streams.iter().any(is_video));
    Probe { duration_ms: duration_ms.map(|ms| ms as u32), has_video }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts() {
        let check = |json: Value, duration_ms: Option<u32>, has_video: bool| {
            assert_eq!(read(&json), Probe { duration_ms, has_video }, "{json}");
        };
        let (sound, picture) = (json!({"codec_type": "audio"}), json!({"codec_type": "video"}));
        let cover = json!({"codec_type": "video", "disposition": {"attached_pic": 1}});
        check(json!({"format": {"duration": "2.640000"}, "streams": [picture, sound]}), Some(2640), true);
        check(json!({"format": {"duration": "0.000000"}, "streams": [sound]}), None, false);
        check(json!({"format": {"duration": "1.0005"}, "streams": [cover, sound]}), Some(1001), false);
        check(json!({"format": {}}), None, false);
        check(Value::Null, None, false);
    }
}
