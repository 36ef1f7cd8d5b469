//! Sound in and out: decoding, downmix, resampling, encoding and spectra; pictures; and the external programs (ffmpeg, ffprobe,
//! yt-dlp) that do what no library does.

pub mod audio;
pub mod batch;
pub mod image;
pub mod program;
pub mod simd;
pub mod video;
