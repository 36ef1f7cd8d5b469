//! What is made and compared.

use super::ffmpeg::Shape;

/// How files are coded and in which containers.
pub(super) struct Row {
    /// Codec and further arguments of ffmpeg.
    pub(super) codec: &'static [&'static str],
    /// Names of files, behind that of the codec, that the built-in decoders read.
    pub(super) built_in: &'static [&'static str],
    /// Names of files that only ffmpeg reads.
    pub(super) by_ffmpeg: &'static [&'static str],
}

const fn row(
    codec: &'static [&'static str],
    built_in: &'static [&'static str],
    by_ffmpeg: &'static [&'static str],
) -> Row {
    Row { codec, built_in, by_ffmpeg }
}

/// Lossless codecs: samples must be equal bit by bit.
pub(super) const LOSSLESS: &[Row] = &[
    row(&["pcm_u8"], &["wav", "w64", "aiff", "mov"], &["mkv", "avi"]),
    row(&["pcm_s8"], &["aiff"], &["caf", "mov"]),
    row(&["pcm_s16le"], &["wav", "w64", "aiff", "caf", "mov", "mkv"], &["avi"]),
    row(&["pcm_s16be"], &["aiff", "caf", "mov", "mkv"], &[]),
    row(&["pcm_s24le"], &["wav", "w64", "caf", "mov", "mkv"], &["avi"]),
    row(&["pcm_s24be"], &["aiff", "caf", "mov", "mkv"], &[]),
    row(&["pcm_s32le"], &["wav", "w64", "caf", "mov", "mkv"], &["avi"]),
    row(&["pcm_s32be"], &["aiff", "caf", "mov", "mkv"], &[]),
    row(&["pcm_s64le"], &[], &["wav", "mov", "mkv"]),
    row(&["pcm_f32le"], &["wav", "w64", "caf", "mov", "mkv"], &["avi"]),
    row(&["pcm_f32be"], &["aiff", "caf", "mov"], &[]),
    row(&["pcm_f64le"], &["wav", "caf", "mov", "mkv"], &["w64", "avi"]),
    row(&["pcm_f64be"], &["aiff", "caf", "mov"], &[]),
    row(&["pcm_alaw"], &["wav", "aiff"], &["w64", "caf", "mov", "mkv", "avi"]),
    row(&["pcm_mulaw"], &["wav", "aiff"], &["w64", "caf", "mov", "mkv", "avi"]),
    row(&["pcm_s16le", "-rf64", "always"], &["rf64.wav"], &[]),
    row(&["adpcm_ms"], &["wav"], &["w64", "caf", "mov", "mkv", "avi"]),
    row(&["adpcm_ima_wav"], &["wav"], &["w64", "caf", "mov", "mkv", "avi"]),
    row(&["adpcm_ima_qt"], &[], &["aiff", "caf", "mov"]),
    row(&["flac"], &["flac", "ogg", "mp4", "mkv"], &["wav", "caf"]),
    row(&["flac", "-sample_fmt", "s32"], &["24.flac", "24.ogg", "24.mp4", "24.mkv"], &[]),
    row(&["alac"], &["m4a", "caf", "mkv"], &["mov"]),
    row(&["alac", "-sample_fmt", "s32p"], &["24.m4a", "24.caf"], &[]),
    row(&["wavpack"], &[], &["wv", "mkv"]),
    row(&["tta"], &[], &["mkv"]),
];

/// Lossy codecs: equal length, samples equal within [`LOSSY`].
pub(super) const LOSSY_ROWS: &[Row] = &[
    row(&["aac"], &["m4a", "mp4", "mov", "3gp", "mkv", "aac"], &["ts", "avi"]),
    row(&["libmp3lame"], &["mp3", "mp4", "mov", "caf"], &["mkv", "wav", "avi", "ts"]),
    row(&["libmp3lame", "-write_xing", "0"], &["bare.mp3"], &[]),
    row(&["libmp3lame", "-q:a", "2"], &["vbr.mp3"], &[]),
    row(&["libmp3lame", "-q:a", "2", "-write_xing", "0"], &["vbr-bare.mp3"], &[]),
    row(
        &["libmp3lame", "-id3v2_version", "4", "-metadata", "title=a title", "-write_id3v1", "1"],
        &["tagged.mp3"],
        &[],
    ),
    row(&["mp2"], &[], &["mp2", "mkv", "wav", "ts"]),
    row(&["libvorbis"], &["ogg", "webm", "mkv"], &["mp4"]),
    row(&["libopus"], &[], &["opus", "webm", "mkv", "mp4"]),
    row(&["ac3"], &[], &["mp4", "mov", "mkv", "wav", "ts", "avi"]),
    row(&["eac3"], &[], &["mp4", "mkv"]),
    row(&["wmav2"], &[], &["wma", "mkv"]),
];

/// The largest difference of a lossy codec, full scale 1: transforms differ in their last bits.
pub(super) const LOSSY: f32 = 1e-4;

/// The other sample rates and numbers of channels, with what is made in them.
pub(super) const SHAPES: [(Shape, &[Row]); 4] = [
    (
        Shape { rate_hz: 8_000, channels: 1, seconds: 1.3 },
        &[
            row(&["pcm_mulaw"], &["wav"], &[]),
            row(&["pcm_s16le"], &["wav", "mov"], &[]),
            row(&["pcm_s24be"], &["aiff", "mov"], &[]),
            row(&["adpcm_ms"], &["wav"], &[]),
            row(&["adpcm_ima_wav"], &["wav"], &["avi"]),
            row(&["adpcm_ima_qt"], &[], &["mov", "aiff"]),
            row(&["flac"], &["flac"], &[]),
            row(&["alac"], &["m4a"], &[]),
            row(&["aac"], &["m4a", "mkv"], &["aac"]),
            row(&["libmp3lame"], &["mp3"], &[]),
            row(&["libvorbis"], &["ogg", "webm"], &[]),
            row(&["libopus"], &[], &["opus"]),
        ],
    ),
    (
        Shape { rate_hz: 11_025, channels: 2, seconds: 1.3 },
        &[
            row(&["pcm_u8"], &["wav"], &["avi"]),
            row(&["adpcm_ms"], &["wav"], &[]),
            row(&["flac"], &["flac", "ogg"], &[]),
            row(&["aac"], &["m4a"], &["ts"]),
            row(&["libmp3lame"], &["mp3"], &["mkv"]),
            row(&["libvorbis"], &["ogg"], &[]),
        ],
    ),
    (
        Shape { rate_hz: 48_000, channels: 6, seconds: 1.3 },
        &[
            row(&["pcm_s16le"], &["wav", "caf", "mkv", "w64"], &["mov"]),
            row(&["pcm_s24be"], &["aiff", "caf"], &["mov"]),
            row(&["flac"], &["flac", "ogg", "mkv", "mp4"], &[]),
            row(&["alac"], &["m4a", "caf"], &[]),
            row(&["aac"], &[], &["m4a", "aac", "mkv", "ts"]),
            row(&["libvorbis"], &[], &["ogg", "mkv"]),
            row(&["libopus", "-mapping_family", "1"], &[], &["opus", "mkv"]),
            row(&["ac3"], &[], &["mkv", "mp4"]),
            row(&["wavpack"], &[], &["wv"]),
        ],
    ),
    (
        Shape { rate_hz: 96_000, channels: 2, seconds: 1.3 },
        &[
            row(&["pcm_s24le"], &["wav", "mov"], &[]),
            row(&["pcm_f32le"], &["wav"], &[]),
            row(&["flac", "-sample_fmt", "s32"], &["flac"], &[]),
            row(&["alac", "-sample_fmt", "s32p"], &["m4a"], &[]),
            row(&["aac"], &["m4a"], &[]),
            row(&["libvorbis"], &["ogg"], &[]),
        ],
    ),
];
