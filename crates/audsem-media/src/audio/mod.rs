//! Sound: decode, downmix, resample, encode and check; the front ends of audio networks.
//!
//! [`Decoder`] turns bytes or a file into [`Audio`]: FLAC files through a strict reader of our own, WAV through
//! `hound`, what `support` lists through symphonia (MP3, Vorbis, AAC, ALAC, FLAC and PCM in the common containers), and
//! everything else through ffmpeg (Opus, AC-3, multichannel AAC, …) if it was given to the decoder. Which decoder reads
//! a file is settled before the first sample, from container, codec and flags.
//! Samples are what ffmpeg gives as 32-bit floats: encoder delay is cut off where the file declares
//! it, channels are in the order of the WAVE format.
//!
//! ```
//! use audsem_media::audio::{self, BitDepth, Decoder};
//!
//! let second: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
//! let flac = audio::encode_flac(&second, 1, 48_000, BitDepth::Sixteen)?;
//! let decoded = Decoder::new().decode_bytes(&flac, Some("flac"))?;
//! assert_eq!((decoded.sample_rate_hz, decoded.frames()), (48_000, 48_000));
//! let mono = audio::resample(&decoded.to_mono(), 48_000, 16_000)?;
//! assert_eq!(mono.len(), 16_000);
//! # Ok::<(), audio::AudioError>(())
//! ```

mod check;
mod container;
mod decode;
mod downmix;
mod ends;
mod error;
mod fallback;
mod flac;
mod flac_decode;
mod flac_file;
mod flac_info;
mod layout;
mod mp4_index;
mod native;
mod ogg;
pub(crate) mod packets;
mod resample;
mod sinc_hann;
mod spectrum;
mod support;
mod tracks;
mod wav;
mod wav_write;

pub use check::{CheckFailure, CheckLimits, Checked, Verify, check_audio};
pub use decode::{Decoder, check_media};
pub use downmix::mono_weights;
pub use error::AudioError;
pub use flac::{BitDepth, encode_flac, quantise};
pub use flac_info::{FlacInfo, probe_flac};
pub use layout::ChannelLayout;
pub use resample::resample;
pub use sinc_hann::{KernelPrecision, SincHann, resample_as_torchaudio};
pub use spectrum::{
    BinSpacing, DbReference, FftConfig, FftPrecision, FrameConfig, FrameCount, FrontEnd, FrontEndConfig, FrontEndError,
    FrontEndTables, LogScale, MelBank, MelConfig, MelNorm, MelScale, Normalization, Padding, Signal, Spectrogram,
    SpectrumKind, WindowConfig, WindowShape, check_samples,
};
pub use wav_write::encode_wav;

/// Decoded sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Frames per second.
    pub sample_rate_hz: u32,
    /// Which loudspeaker each channel is for.
    pub layout: ChannelLayout,
    /// Samples, full scale 1.0, channels interleaved: (frames × channels). Finite.
    pub samples: Vec<f32>,
}

impl Audio {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.layout.channels()
    }

    /// Number of frames: samples of one channel.
    pub fn frames(&self) -> usize {
        self.samples.len() / self.channels().max(1)
    }

    /// Length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.frames() as f64 / f64::from(self.sample_rate_hz)
    }

    /// The largest magnitude over all channels; 0 for no samples.
    pub fn peak(&self) -> f32 {
        self.samples.iter().fold(0.0, |peak, sample| sample.abs().max(peak))
    }

    /// Keeps the frames `from..to`; both are cut to what there is.
    pub fn keep_frames(&mut self, from: usize, to: usize) {
        let (channels, frames) = (self.channels(), self.frames());
        let to = to.min(frames);
        self.samples.truncate(to * channels);
        self.samples.drain(..from.min(to) * channels);
    }
}
