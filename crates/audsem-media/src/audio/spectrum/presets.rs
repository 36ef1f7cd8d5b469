//! The front ends of the libraries and of the networks that were trained behind them.

use super::{
    FftConfig, FftPrecision, FrameConfig, FrameCount, FrontEndConfig, LogScale, MelConfig, Normalization, Padding,
    SpectrumKind, WindowConfig, WindowShape,
};

/// 2⁻²³, the floor under Kaldi's logarithms.
const KALDI_FLOOR: f64 = 1.192_092_955_078_125e-7;

impl FrontEndConfig {
    /// Power of centred frames under a periodic Hann window of their length, reflected at the ends, without a logarithm:
    /// torchaudio's `MelSpectrogram`. Its `AmplitudeToDB` is [`LogScale::decibels`].
    pub fn torchaudio_mel(sample_rate_hz: u32, n_fft: usize, hop_length: usize, mel: MelConfig) -> Self {
        Self {
            sample_rate_hz,
            gain: 1.0,
            n_samples: None,
            frames: FrameConfig {
                length: n_fft,
                hop_length,
                padding: Padding::Reflect,
                remove_dc: false,
                pre_emphasis: 0.0,
            },
            window: WindowConfig::hann(n_fft),
            fft: FftConfig { length: n_fft, spectrum: SpectrumKind::Power, precision: FftPrecision::F64 },
            mel,
            log: LogScale::Linear,
            n_frames: FrameCount::All,
            normalization: None,
        }
    }

    /// librosa's `feature.melspectrogram`, which pads with zeros. Its `power_to_db` is [`LogScale::decibels`].
    pub fn librosa_mel(sample_rate_hz: u32, n_fft: usize, hop_length: usize, mel: MelConfig) -> Self {
        let mut config = Self::torchaudio_mel(sample_rate_hz, n_fft, hop_length, mel);
        config.frames.padding = Padding::Constant;
        config
    }

    /// transformers' `ClapFeatureExtractor`, for one sound of full length: decibels, at least −100.
    pub fn clap(sample_rate_hz: u32, n_fft: usize, hop_length: usize, mel: MelConfig) -> Self {
        let log = LogScale::decibels(None);
        Self { log, ..Self::torchaudio_mel(sample_rate_hz, n_fft, hop_length, mel) }
    }

    /// Whisper's log-mel features of 30 s at 16 kHz, 3000 frames of 80 or 128 bands.
    pub fn whisper(n_mels: usize) -> Self {
        Self {
            n_samples: Some(480_000),
            log: LogScale::Whisper,
            n_frames: FrameCount::AllButLast,
            ..Self::torchaudio_mel(16_000, 400, 160, MelConfig::slaney(n_mels, 0.0, 8000.0))
        }
    }

    /// `torchaudio.compliance.kaldi.fbank` at 16 kHz with its defaults: whole frames of 25 ms every 10 ms, without their
    /// mean, pre-emphasised by 0.97, under a Povey window; natural logarithms.
    pub fn kaldi_fbank(n_mels: usize) -> Self {
        Self {
            sample_rate_hz: 16_000,
            gain: 1.0,
            n_samples: None,
            frames: FrameConfig {
                length: 400,
                hop_length: 160,
                padding: Padding::None,
                remove_dc: true,
                pre_emphasis: 0.97,
            },
            window: WindowConfig::symmetric(WindowShape::Povey, 400),
            fft: FftConfig { length: 512, spectrum: SpectrumKind::Power, precision: FftPrecision::F64 },
            mel: MelConfig::kaldi(n_mels, 20.0, 8000.0),
            log: LogScale::Natural { floor: KALDI_FLOOR },
            n_frames: FrameCount::All,
            normalization: None,
        }
    }

    /// AST: 1024 frames of 128 bands, normalised by the statistics of AudioSet (`ASTFeatureExtractor`).
    pub fn ast() -> Self {
        Self {
            window: WindowConfig::symmetric(WindowShape::Hann, 400),
            n_frames: FrameCount::Fixed(1024),
            normalization: Some(Normalization { mean: -4.267_739_3, divisor: 2.0 * 4.568_997_4 }),
            ..Self::kaldi_fbank(128)
        }
    }

    /// BEATs: 128 bands of samples in the range of 16-bit integers, normalised as its authors do.
    pub fn beats() -> Self {
        Self {
            gain: 32_768.0,
            normalization: Some(Normalization { mean: 15.416_63, divisor: 2.0 * 6.555_82 }),
            ..Self::kaldi_fbank(128)
        }
    }

    /// Streaming Audio Transformers (SAT): 64 bands at 16 kHz, at most 120 dB below the loudest.
    pub fn sat() -> Self {
        let log = LogScale::decibels(Some(120.0));
        Self { log, ..Self::torchaudio_mel(16_000, 512, 160, MelConfig::htk(64, 0.0, 8000.0)) }
    }

    /// CED: 64 bands at 16 kHz, in decibels from −100 on.
    pub fn ced() -> Self {
        let log = LogScale::decibels(None);
        Self { log, ..Self::torchaudio_mel(16_000, 512, 160, MelConfig::htk(64, 0.0, 8000.0)) }
    }

    /// YAMNet: 64 bands of magnitudes from 125 to 7500 Hz at 16 kHz, natural logarithms of whole frames of 25 ms.
    pub fn yamnet() -> Self {
        // TensorFlow's filters are straight in mel, as Kaldi's are.
        let mut config = Self::torchaudio_mel(16_000, 400, 160, MelConfig::kaldi(64, 125.0, 7500.0));
        config.frames.padding = Padding::None;
        config.fft.length = 512;
        config.fft.spectrum = SpectrumKind::Magnitude;
        config.log = LogScale::NaturalOffset { offset: 0.001 };
        config
    }

    /// LP-MusicCaps: 128 bands of the squared real part, of 10 s at 16 kHz.
    pub fn lp_musiccaps() -> Self {
        let mut config = Self::torchaudio_mel(16_000, 1024, 160, MelConfig::htk(128, 0.0, 8000.0));
        config.n_samples = Some(160_000);
        config.fft.spectrum = SpectrumKind::RealPower;
        config.log = LogScale::decibels(None);
        config
    }

    /// CoNeTTE: 224 bands at 32 kHz, in decibels.
    pub fn conette() -> Self {
        let mut config = Self::librosa_mel(32_000, 1024, 320, MelConfig::slaney(224, 50.0, 14_000.0));
        config.frames.padding = Padding::Reflect;
        config.log = LogScale::decibels(None);
        config
    }
}
