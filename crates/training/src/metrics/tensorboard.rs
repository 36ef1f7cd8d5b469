//! Event files of TensorBoard: scalars alone.
//!
//! A file is a sequence of records, each with its length and checksums (the TFRecord format), that hold messages of
//! the types `Event` and `Summary` in the wire format of protocol buffers. Bytes agree with those that the package
//! `tensorboard` writes (`fixtures/regen/tensorboard_events.py`). No well-kept crate writes them: the one there is has
//! had no release for years and brings a protobuf runtime, image codecs and a random generator.

use super::{History, MetricRecord};

/// Name of the file; TensorBoard finds it by `tfevents`.
pub const EVENTS_FILE: &str = "events.out.tfevents.0.audsem";

/// The scalars of a training as an event file. The time of an event is its step in seconds, so that equal trainings
/// have equal files.
#[must_use]
pub fn event_file(history: &History) -> Vec<u8> {
    let mut file = Vec::new();
    record(&mut file, &version_event());
    history.records.iter().for_each(|moment| file.extend(scalar_records(moment)));
    file
}

/// The records of one moment.
pub(super) fn scalar_records(moment: &MetricRecord) -> Vec<u8> {
    let mut records = Vec::new();
    for (tag, value) in moment.values() {
        record(&mut records, &scalar_event(moment.step, tag, value));
    }
    records
}

/// Appends a record: length, its checksum, data, their checksum.
fn record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked_crc(data).to_le_bytes());
}

/// `Event { wall_time: 0, file_version: "brain.Event:2" }`, the first of a file.
fn version_event() -> Vec<u8> {
    let mut event = Vec::new();
    bytes_field(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time, step, summary: { value: { tag, simple_value } } }`.
fn scalar_event(step: usize, tag: &str, value: f64) -> Vec<u8> {
    let mut scalar = Vec::new();
    bytes_field(&mut scalar, 1, tag.as_bytes());
    scalar.push(2 << 3 | 5);
    scalar.extend((value as f32).to_le_bytes());
    let mut summary = Vec::new();
    bytes_field(&mut summary, 1, &scalar);
    let mut event = Vec::new();
    if step > 0 {
        event.push(1 << 3 | 1);
        event.extend((step as f64).to_le_bytes());
        event.push(2 << 3);
        varint(&mut event, step as u64);
    }
    bytes_field(&mut event, 5, &summary);
    event
}

/// A field of bytes: key, length, content.
fn bytes_field(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// CRC-32C, rotated and shifted as TFRecord has it.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: event files are small.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn bytes_are_those_that_tensorboard_writes() {
        let mut history = History::default();
        history.push(MetricRecord::new(1).with("loss", 2.5).with("learning_rate", 0.0));
        history.push(MetricRecord::new(300).with("loss", 0.1).with("valid/mean_token_accuracy", -1.0));
        let golden = include_bytes!("../../../../fixtures/goldens/tensorboard_events.bin");
        assert_eq!(event_file(&history), golden);
    }
}
