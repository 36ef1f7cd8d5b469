//! Front ends against torchaudio, transformers and librosa.

use audsem_core::testing::sounds::{sines, wave};
use audsem_media::audio::{
    DbReference, FftPrecision, FrontEnd, FrontEndConfig, FrontEndError, LogScale, MelConfig, MelNorm, MelScale,
    Padding, Spectrogram, SpectrumKind, WindowConfig, WindowShape,
};

use crate::goldens::Goldens;

/// The largest relative error of the power of a band.
const TOLERANCE: f64 = 1e-5;

/// Kaldi's filter bank under another window.
fn kaldi(shape: WindowShape, n_mels: usize) -> FrontEndConfig {
    FrontEndConfig { window: WindowConfig::symmetric(shape, 400), ..FrontEndConfig::kaldi_fbank(n_mels) }
}

/// The configuration that gives what the script calls by this name.
fn config(name: &str) -> FrontEndConfig {
    let mut config = match name {
        "whisper_80" => FrontEndConfig::whisper(80),
        "whisper_128" => FrontEndConfig::whisper(128),
        "ast" => FrontEndConfig::ast(),
        "beats" => FrontEndConfig::beats(),
        "kaldi_fbank" | "kaldi_centred" | "kaldi_magnitude" => FrontEndConfig::kaldi_fbank(128),
        "kaldi_hamming" => kaldi(WindowShape::Hamming, 40),
        "kaldi_blackman" => kaldi(WindowShape::Blackman, 23),
        "kaldi_rectangular" => kaldi(WindowShape::Rectangular, 23),
        "kaldi_22050" => FrontEndConfig { sample_rate_hz: 22_050, ..FrontEndConfig::kaldi_fbank(80) },
        "sat" => FrontEndConfig::sat(),
        "lp_musiccaps" => FrontEndConfig::lp_musiccaps(),
        "torchaudio_mel" => FrontEndConfig::torchaudio_mel(16_000, 400, 200, MelConfig::htk(128, 0.0, 8000.0)),
        "torchaudio_magnitude" => FrontEndConfig::torchaudio_mel(
            16_000,
            512,
            160,
            MelConfig { scale: MelScale::Slaney, norm: MelNorm::Area, ..MelConfig::htk(64, 0.0, 8000.0) },
        ),
        "torchaudio_uncentred" => FrontEndConfig::torchaudio_mel(11_025, 401, 100, MelConfig::htk(40, 0.0, 5512.0)),
        "librosa_mel" | "librosa_db" => {
            FrontEndConfig::librosa_mel(22_050, 2048, 512, MelConfig::slaney(128, 0.0, 11_025.0))
        }
        "librosa_htk" => FrontEndConfig::librosa_mel(
            11_025,
            401,
            100,
            MelConfig { scale: MelScale::Htk, norm: MelNorm::Peak, ..MelConfig::slaney(40, 0.0, 5512.5) },
        ),
        "conette" => FrontEndConfig::conette(),
        _ => panic!("no front end `{name}`"),
    };
    adjust(&mut config, name);
    config
}

/// The options that are not the library's defaults.
fn adjust(config: &mut FrontEndConfig, name: &str) {
    match name {
        "kaldi_hamming" => (config.mel.min_hz, config.mel.max_hz) = (60.0, 7600.0),
        "kaldi_blackman" => config.frames.pre_emphasis = 0.0,
        "kaldi_rectangular" => config.frames.remove_dc = false,
        "kaldi_centred" => config.frames.padding = Padding::Symmetric,
        "kaldi_magnitude" => (config.fft.spectrum, config.log) = (SpectrumKind::Magnitude, LogScale::Linear),
        "kaldi_22050" => {
            (config.frames.length, config.frames.hop_length) = (441, 165);
            config.window.length = 441;
            config.mel.max_hz = 11_025.0;
        }
        "torchaudio_magnitude" => {
            config.fft.spectrum = SpectrumKind::Magnitude;
            config.frames.padding = Padding::Constant;
            config.window.length = 400;
            let reference = DbReference::Value(1.0);
            config.log = LogScale::Decibels { factor: 20.0, floor: 1e-10, reference, top_db: Some(80.0) };
        }
        "torchaudio_uncentred" => {
            config.frames.padding = Padding::None;
            config.window.shape = WindowShape::Hamming;
        }
        "librosa_db" => {
            let reference = DbReference::Max;
            config.log = LogScale::Decibels { factor: 10.0, floor: 1e-10, reference, top_db: Some(80.0) };
        }
        "librosa_htk" => {
            config.fft.spectrum = SpectrumKind::Magnitude;
            config.window = WindowConfig { shape: WindowShape::Hamming, length: 300, periodic: true };
        }
        _ => {}
    }
}

fn sound(name: &str) -> Vec<f32> {
    let (kind, length) = name.split_once('_').unwrap();
    let length = length.parse().unwrap();
    match kind {
        "wave" => wave(length),
        "tone" => sines(length),
        _ => vec![0.0; length],
    }
}

/// The power (or magnitude) that a feature was made of, up to a factor.
fn power(config: &FrontEndConfig, feature: f32) -> f64 {
    let feature = f64::from(feature);
    let feature = config.normalization.map_or(feature, |n| feature * n.divisor + n.mean);
    match config.log {
        LogScale::Linear => feature,
        LogScale::Natural { .. } => feature.exp(),
        LogScale::NaturalOffset { offset } => feature.exp() - offset,
        LogScale::Log10 { .. } => 10.0_f64.powf(feature),
        LogScale::Decibels { factor, .. } => 10.0_f64.powf(feature / factor),
        LogScale::Whisper => 10.0_f64.powf(4.0 * feature - 4.0),
    }
}

/// The largest relative error of the power of any band of `frames`, every so many of which are in `golden`.
fn worst(config: &FrontEndConfig, features: &[f32], golden: &[f32], every: usize) -> f64 {
    let n_mels = config.mel.n_mels;
    let rows = golden.chunks_exact(n_mels).zip(features.chunks_exact(n_mels).step_by(every));
    let pairs = rows.flat_map(|(wanted, got)| wanted.iter().zip(got));
    let errors = pairs.map(|(wanted, got)| {
        let (wanted, got) = (power(config, *wanted), power(config, *got));
        // The f32 of a band that is empty holds zero, or what rounding leaves of it.
        if (got - wanted).abs() < 1e-30 { 0.0 } else { (got - wanted).abs() / wanted }
    });
    errors.fold(0.0, f64::max)
}

#[test]
fn features_are_those_of_the_libraries() {
    let goldens = Goldens::open("front_end.safetensors");
    let cases: Vec<&str> = goldens.names().filter_map(|name| name.strip_suffix(".features")).collect();
    assert_eq!(cases.len(), 122);
    let mut offenders = Vec::new();
    for case in cases {
        let (name, kind) = case.split_once('.').unwrap();
        let config = config(name);
        let features = FrontEnd::new(&config).unwrap().features(&sound(kind)).unwrap();
        let n_frames = goldens.i64(&format!("{case}.n_frames"))[0];
        let golden = goldens.f32(&format!("{case}.features"));
        assert_eq!(i64::try_from(features.n_frames).unwrap(), n_frames, "{case}");
        assert_eq!(features.values.len(), features.n_frames * features.n_bands, "{case}");
        let every = 1 + features.n_frames / 32;
        assert_eq!(golden.len(), features.n_frames.div_ceil(every) * features.n_bands, "{case}");
        let error = worst(&config, &features.values, &golden, every);
        let sum: f64 = features.values.iter().map(|value| f64::from(*value)).sum();
        let wanted = goldens.f64(&format!("{case}.sum"))[0];
        // Of values up to 1000 in f32.
        let sums_agree = (sum - wanted).abs() <= 1e-5 * wanted.abs().max(features.values.len() as f64);
        if error > TOLERANCE || !sums_agree {
            offenders.push(format!("{case}: {error:e} of the power, sum {sum} not {wanted}"));
        }
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

/// Fails unless all features are within `tolerance` of the golden, which holds the frames that `frames` tells of.
fn check(
    name: &str,
    features: &Spectrogram,
    golden: &[f32],
    frames: impl Iterator<Item = usize> + Clone,
    tolerance: f32,
) {
    let got = frames.flat_map(|frame| &features.values[frame * features.n_bands..][..features.n_bands]);
    let difference = |(a, b): (&f32, &f32)| if a.is_finite() && b.is_finite() { (a - b).abs() } else { f32::INFINITY };
    assert_eq!(got.clone().count(), golden.len(), "{name}");
    let worst = got.zip(golden).map(difference).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{name}: max |difference| {worst:e} > {tolerance:e}");
}

/// The networks' own code in f32, whose rounding is what the tolerances are for.
#[test]
fn features_are_those_of_the_original_networks() {
    let goldens = Goldens::open("../original_front_ends/features.safetensors");
    let features = |name: &str, config: FrontEndConfig, padded: usize| {
        let mut samples: Vec<f32> =
            goldens.i16(&format!("{name}.samples")).iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        samples.resize(samples.len().max(padded), 0.0);
        FrontEnd::new(&config).unwrap().features(&samples).unwrap()
    };
    // Decibels divided by 13, and decibels.
    let beats = features("beats", FrontEndConfig::beats(), 40_000);
    check("beats", &beats, &goldens.f32("beats.features"), (0..248).step_by(4), 1.5e-4);
    for clip in ["sat_0", "sat_1"] {
        let sat = features(clip, FrontEndConfig::sat(), 0);
        check(clip, &sat, &goldens.f32(&format!("{clip}.features")), 0..101, 1e-3);
    }
    let music = features("lp_musiccaps", FrontEndConfig::lp_musiccaps(), 0);
    let golden = goldens.f32("lp_musiccaps.features");
    check("lp_musiccaps", &music, &golden, (0..40).chain((0..1001).step_by(25)), 1e-2);
}

#[test]
fn thirty_two_bits_have_the_noise_of_thirty_two_bits() {
    // Relative to the loudest band: quiet ones hold noise.
    let mut config = FrontEndConfig::torchaudio_mel(16_000, 1024, 160, MelConfig::htk(64, 0.0, 8000.0));
    let exact = FrontEnd::new(&config).unwrap().features(&sines(16_000)).unwrap();
    config.fft.precision = FftPrecision::F32;
    let fast = FrontEnd::new(&config).unwrap().features(&sines(16_000)).unwrap();
    let loudest = exact.values.iter().copied().fold(0.0, f32::max);
    let error = exact.values.iter().zip(&fast.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error > 0.0 && error < 2e-6 * loudest, "{error:e} of {loudest:e}");
}

#[test]
fn what_is_no_sound_is_refused() {
    for config in
        [FrontEndConfig::whisper(80), FrontEndConfig::beats(), FrontEndConfig::sat(), FrontEndConfig::conette()]
    {
        let front_end = FrontEnd::new(&config).unwrap();
        assert_eq!(front_end.features(&[]), Err(FrontEndError::Empty));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            // Whisper does not look at what is behind 30 s, but such a sound is broken all the same.
            for n in [700, 500_000] {
                let mut samples = wave(n);
                samples[n - 1] = value;
                let error = front_end.features(&samples).unwrap_err();
                assert!(matches!(error, FrontEndError::NotFinite { index, .. } if index == n - 1), "{error}");
            }
        }
    }
}

#[test]
fn a_sound_without_a_frame_is_too_short() {
    let refused = |config: &FrontEndConfig, n: usize| {
        let front_end = FrontEnd::new(config).unwrap();
        assert_eq!(front_end.features(&wave(n)), Err(FrontEndError::TooShort { samples: n, needed: n + 1 }));
        assert!(front_end.features(&wave(n + 1)).is_ok());
    };
    refused(&FrontEndConfig::ast(), 399);
    refused(&config("kaldi_centred"), 79);
    refused(&config("torchaudio_uncentred"), 400);
    refused(&FrontEndConfig { n_samples: None, ..FrontEndConfig::whisper(80) }, 159);
}

#[test]
fn samples_beyond_the_range_of_features_are_refused() {
    let samples = [1e30; 1000];
    let linear = FrontEnd::new(&config("torchaudio_mel")).unwrap();
    assert_eq!(linear.features(&samples), Err(FrontEndError::Overflow { peak: 1e30 }));
    assert!(FrontEnd::new(&config("sat")).unwrap().features(&samples).is_ok());
}

#[test]
fn a_quiet_frame_keeps_its_features_beside_a_loud_one() {
    let front_end =
        FrontEnd::new(&FrontEndConfig::torchaudio_mel(48_000, 1024, 1024, MelConfig::slaney(64, 50.0, 14_000.0)));
    let tone = |n: usize| if n < 2048 { (n as f32 * 0.3).sin() } else { 1e-6 * (n as f32 * 0.7).sin() };
    let samples: Vec<f32> = (0..4096).map(tone).collect();
    let together = front_end.as_ref().unwrap().features(&samples).unwrap();
    let quiet: Vec<f32> = (0..4096).map(|n| if n < 2048 { 0.0 } else { tone(n) }).collect();
    let alone = front_end.as_ref().unwrap().features(&quiet).unwrap();
    assert_eq!(together.values[3 * 64..], alone.values[3 * 64..]);
}

#[test]
fn configurations_are_written_and_read() {
    for name in ["whisper_80", "ast", "kaldi_centred", "librosa_db", "torchaudio_magnitude"] {
        let config = config(name);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<FrontEndConfig>(&json).unwrap(), config, "{json}");
    }
    let mut json = serde_json::to_value(FrontEndConfig::sat()).unwrap();
    json["hop"] = 160.into();
    assert!(serde_json::from_value::<FrontEndConfig>(json).unwrap_err().to_string().contains("hop"));
}

#[test]
fn configurations_that_cannot_be_are_refused_by_name() {
    let refused = |field: &str, change: fn(&mut FrontEndConfig)| {
        let mut config = FrontEndConfig::kaldi_fbank(80);
        change(&mut config);
        let error = FrontEnd::new(&config).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{field}: {error}");
    };
    refused("frames.hop_length", |config| config.frames.hop_length = 0);
    refused("frames.length", |config| config.frames.length = 1);
    refused("frames.pre_emphasis", |config| config.frames.pre_emphasis = f64::NAN);
    refused("window.length", |config| config.window.length = 401);
    refused("window.length", |config| config.window.length = 0);
    refused("fft.length", |config| config.fft.length = 399);
    refused("fft.length", |config| config.fft.length = 513);
    refused("gain", |config| config.gain = 0.0);
    refused("n_samples", |config| config.n_samples = Some(0));
    refused("mel.n_mels", |config| config.mel.n_mels = 0);
    refused("mel.max_hz", |config| config.mel.max_hz = 8001.0);
    refused("log.floor", |config| config.log = LogScale::Natural { floor: 0.0 });
    refused("log.top_db", |config| config.log = LogScale::decibels(Some(f64::INFINITY)));
}
