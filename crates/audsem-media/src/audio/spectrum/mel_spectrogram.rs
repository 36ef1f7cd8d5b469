//! Mel spectrograms: what the audio networks see.

use super::lanes::{LANES, Row};
use super::placed_bank::PlacedBank;
use super::{MelBank, MelConfig, PowerStft, Signal, StftScratch};
use crate::audio::AudioError;

/// What becomes of a power x: `factor · log₁₀ max(x, floor)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogScale {
    /// The least power; above 2.3e-308.
    pub floor: f64,
    /// 10 for decibels.
    pub factor: f64,
}

/// Power in mel bands, frame by frame. Made once, used by any number of threads.
///
/// ```
/// use audsem_media::audio::{LogScale, MelConfig, MelNorm, MelScale, MelSpectrogram, Signal};
///
/// let config = MelConfig { n_fft: 1024, sample_rate_hz: 48_000, mels: 64, min_hz: 50.0, max_hz: 14_000.0,
///     scale: MelScale::Slaney, norm: MelNorm::Area };
/// let spectrogram = MelSpectrogram::new(&config, 480)?;
/// let tone: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.0576).sin()).collect(); // 440 Hz
/// let frames = spectrogram.stft().frames(tone.len());
/// assert_eq!(frames, 101);
/// let mut mel = vec![0.0; frames * 64];
/// spectrogram.log_mel(&Signal::new(&tone), 0..frames, &LogScale { floor: 1e-10, factor: 10.0 }, &mut mel);
/// let middle = &mel[50 * 64..51 * 64];
/// assert_eq!((0..64).max_by(|&a, &b| middle[a].total_cmp(&middle[b])), Some(6)); // whose peak is at 428 Hz
/// # Ok::<(), audsem_media::audio::AudioError>(())
/// ```
#[derive(Debug)]
pub struct MelSpectrogram {
    stft: PowerStft,
    bank: PlacedBank,
    mels: usize,
}

/// Frames that wait for each other, and what they are transformed in.
struct Block {
    frames: Vec<usize>,
    scratch: StftScratch,
    mel: Vec<Row>,
}

impl MelSpectrogram {
    /// Plans the transform and computes the filters. `hop` is in samples.
    ///
    /// # Errors
    /// [`AudioError::Spectrum`] if there is no such bank or transform.
    pub fn new(config: &MelConfig, hop: usize) -> Result<MelSpectrogram, AudioError> {
        let bank = MelBank::new(config)?;
        let stft = PowerStft::new(config.n_fft, hop, bank.bins())?;
        let placed = PlacedBank::new(&bank, |bin| stft.row(bin));
        Ok(MelSpectrogram { stft, bank: placed, mels: bank.mels() })
    }

    /// The transform, which knows how many frames there are.
    pub fn stft(&self) -> &PowerStft {
        &self.stft
    }

    /// Number of bands.
    pub fn mels(&self) -> usize {
        self.mels
    }

    /// Writes the logarithms of the power in each band for `frames` of a sound to their places in `out`
    /// (frames × mels), and tells whether all samples of these frames were finite; if not, what was written means
    /// nothing. Frames of digital silence cost nothing. No memory is allocated for a frame.
    ///
    /// # Panics
    /// If `out` has no room for one of `frames`.
    pub fn log_mel(
        &self,
        sound: &Signal<'_>,
        frames: impl IntoIterator<Item = usize>,
        scale: &LogScale,
        out: &mut [f32],
    ) -> bool {
        let mut finite = true;
        let silence = (scale.factor * scale.floor.log10()) as f32;
        let mut buffer = vec![0.0; self.stft.n_fft()];
        let mut block = Block {
            frames: Vec::with_capacity(LANES),
            scratch: self.stft.scratch(),
            mel: vec![Row::default(); self.mels],
        };
        for frame in frames {
            self.stft.prefetch(sound, frame + 2 * LANES);
            if is_silent(self.stft.frame(sound, frame, &mut buffer)) {
                out[frame * self.mels..][..self.mels].fill(silence);
                continue;
            }
            block.frames.push(frame);
            if block.frames.len() == LANES {
                finite &= self.write(sound, &mut block, scale, out);
            }
        }
        if !block.frames.is_empty() {
            finite &= self.write(sound, &mut block, scale, out);
        }
        finite
    }

    fn write(&self, sound: &Signal<'_>, block: &mut Block, scale: &LogScale, out: &mut [f32]) -> bool {
        let power = self.stft.power(sound, &block.frames, &mut block.scratch);
        let finite = self.bank.log_mel(power, scale, &mut block.mel);
        for (lane, frame) in block.frames.drain(..).enumerate() {
            for (out, mel) in out[frame * self.mels..][..self.mels].iter_mut().zip(&block.mel) {
                *out = mel.0[lane] as f32;
            }
        }
        finite
    }
}

/// Whether all samples are zero.
fn is_silent(samples: &[f32]) -> bool {
    // As a rule the first one is not; blocks without a way out are tested in vectors.
    samples.first().is_none_or(|first| *first == 0.0)
        && samples.chunks(32).all(|block| block.iter().fold(true, |silent, sample| silent & (*sample == 0.0)))
}
