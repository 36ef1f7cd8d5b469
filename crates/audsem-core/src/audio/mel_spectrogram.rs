//! Mel spectrograms: what the audio networks see.

use super::{AudioError, MelBank, MelConfig, PowerStft};

/// Power in mel bands, frame by frame. Made once, used by any number of threads.
///
/// ```
/// use audsem_core::audio::{MelConfig, MelNorm, MelScale, MelSpectrogram};
///
/// let config = MelConfig { n_fft: 1024, sample_rate_hz: 48_000, mels: 64, min_hz: 50.0, max_hz: 14_000.0,
///     scale: MelScale::Slaney, norm: MelNorm::Area };
/// let spectrogram = MelSpectrogram::new(&config, 480)?;
/// let tone: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.0576).sin()).collect(); // 440 Hz
/// let padded = spectrogram.stft().padded(tone.len(), |to| to.copy_from_slice(&tone));
/// let mut loudest = Vec::new();
/// spectrogram.for_each_frame(&padded, 0..spectrogram.stft().frames(tone.len()), |_, mel| {
///     loudest.push((0..64).max_by(|&a, &b| mel[a].total_cmp(&mel[b])));
/// });
/// assert_eq!(loudest.len(), 101);
/// assert_eq!(loudest[50], Some(6)); // whose peak is at 428 Hz
/// # Ok::<(), audsem_core::audio::AudioError>(())
/// ```
#[derive(Debug)]
pub struct MelSpectrogram {
    stft: PowerStft,
    bank: MelBank,
}

impl MelSpectrogram {
    /// Plans the transform and computes the filters. `hop` is in samples.
    ///
    /// # Errors
    /// [`AudioError::Spectrum`] if there is no such bank or transform.
    pub fn new(config: &MelConfig, hop: usize) -> Result<MelSpectrogram, AudioError> {
        Ok(MelSpectrogram { stft: PowerStft::new(config.n_fft, hop)?, bank: MelBank::new(config)? })
    }

    /// The transform, which knows frames and margins.
    pub fn stft(&self) -> &PowerStft {
        &self.stft
    }

    /// The filters.
    pub fn bank(&self) -> &MelBank {
        &self.bank
    }

    /// Calls `each` with every one of `frames` and its power in each band, in an order of its own.
    ///
    /// `padded` is a sound with its margins ([`PowerStft::padded`]). Frames of digital silence cost nothing. No
    /// memory is allocated for a frame.
    pub fn for_each_frame(
        &self,
        padded: &[f32],
        frames: impl IntoIterator<Item = usize>,
        mut each: impl FnMut(usize, &[f64]),
    ) {
        let mut scratch = self.stft.scratch();
        let (mut first, mut second) = (vec![0.0; self.bank.bins()], vec![0.0; self.bank.bins()]);
        let mut mel = vec![0.0; self.bank.mels()];
        let mut waiting: Option<usize> = None;
        let mut pair = |one: usize, two: usize, mel: &mut [f64], each: &mut dyn FnMut(usize, &[f64])| {
            let samples = [self.stft.frame(padded, one), self.stft.frame(padded, two)];
            self.stft.power_of_two(samples, &mut scratch, [&mut first, &mut second]);
            self.bank.apply(&first, mel);
            each(one, mel);
            if two != one {
                self.bank.apply(&second, mel);
                each(two, mel);
            }
        };
        for frame in frames {
            if is_silent(self.stft.frame(padded, frame)) {
                mel.fill(0.0);
                each(frame, &mel);
            } else if let Some(one) = waiting.take() {
                pair(one, frame, &mut mel, &mut each);
            } else {
                waiting = Some(frame);
            }
        }
        if let Some(last) = waiting {
            pair(last, last, &mut mel, &mut each);
        }
    }
}

/// Whether all samples are zero. Ends at the first block of which that is not true: the first one, as a rule.
fn is_silent(samples: &[f32]) -> bool {
    samples.chunks(32).all(|block| block.iter().fold(true, |silent, sample| silent & (*sample == 0.0)))
}
