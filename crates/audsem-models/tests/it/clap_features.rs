//! CLAP's audio features against transformers.

use std::collections::BTreeMap;

use audsem_core::hub::ModelDir;
use audsem_media::audio::{MelBank, MelConfig};
use audsem_models::clap::{ClipPadding, Crop, FeatureConfig, FeatureError, FeatureExtractor, Features, Truncation};
use candle_core::DType;
use proptest::prelude::*;

use crate::golden::{Goldens, path};
use audsem_core::testing::sounds::{hashed, sines, wave};

/// Every how many frames are in the goldens.
const EVERY: usize = 13;

/// What `clap_mel.json` says about a case.
#[derive(serde::Deserialize)]
struct Case {
    sound: String,
    preprocessor: FeatureConfig,
}

fn classic() -> FeatureConfig {
    FeatureConfig { truncation: Truncation::RandTrunc, frequency_min: 50.0, ..FeatureConfig::default() }
}

fn extract(config: &FeatureConfig, samples: &[f32], crop: Crop) -> Result<Features, FeatureError> {
    FeatureExtractor::new(config).unwrap().extract(samples, crop)
}

fn power(decibels: f32) -> f64 {
    10.0_f64.powf(f64::from(decibels) / 10.0)
}

fn integers(goldens: &Goldens, name: &str) -> Vec<usize> {
    let values = goldens.get(name).to_dtype(DType::I64).unwrap().flatten_all().unwrap().to_vec1::<i64>().unwrap();
    values.into_iter().map(|value| usize::try_from(value).unwrap()).collect()
}

fn reals(goldens: &Goldens, name: &str) -> Vec<f64> {
    goldens.get(name).to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
}

/// The features of a golden's sound, cut where the reference cut it.
fn features_of(goldens: &Goldens, name: &str, case: &Case) -> Features {
    let length = integers(goldens, &format!("{name}.length"))[0];
    let samples = match case.sound.as_str() {
        "sines" => sines(length),
        "quiet" => wave(length).iter().map(|sample| sample * 0.007_812_5).collect(),
        _ => wave(length),
    };
    let crop = match integers(goldens, &format!("{name}.starts"))[..] {
        [start] => Crop::At(start),
        [front, middle, back] => Crop::Frames([front, middle, back]),
        _ => Crop::Centre,
    };
    extract(&case.preprocessor, &samples, crop).unwrap()
}

#[test]
fn features_are_those_of_transformers() {
    let goldens = Goldens::load("clap_mel.safetensors");
    let cases = std::fs::read(path("clap_mel.json")).unwrap();
    let cases: BTreeMap<String, Case> = serde_json::from_slice(&cases).unwrap();
    assert_eq!(cases.len(), 20);
    for (name, case) in &cases {
        let features = features_of(&goldens, name, case);
        let (frames, mels) = (case.preprocessor.frames(), case.preprocessor.feature_size);
        assert_eq!(features.frames, frames, "{name}");
        assert_eq!(vec![features.channels], integers(&goldens, &format!("{name}.channels")), "{name}");
        assert_eq!(vec![usize::from(features.is_longer)], integers(&goldens, &format!("{name}.longer")), "{name}");
        assert_eq!(features.mel.len(), features.channels * frames * mels, "{name}");
        let sum: f64 = features.mel.iter().map(|value| f64::from(*value)).sum();
        let wanted = reals(&goldens, &format!("{name}.sum"))[0];
        assert!((sum - wanted).abs() < 2e-6 * features.mel.len() as f64, "{name}: sum {sum}, not {wanted}");

        // Channels that are all the same are there once.
        let golden = goldens.get(&format!("{name}.mel")).to_vec3::<f32>().unwrap();
        let kept = frames.div_ceil(EVERY);
        let mut worst = (0.0, 0, 0);
        for channel in 0..features.channels {
            let wanted = &golden[channel % golden.len()];
            assert_eq!(wanted.len(), kept);
            for (row, wanted) in wanted.iter().enumerate() {
                let got = &features.mel[(channel * frames + row * EVERY) * mels..][..mels];
                for (mel, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                    let error = (power(*got) - power(*wanted)).abs() / power(*wanted);
                    if error > worst.0 {
                        worst = (error, row * EVERY, mel);
                    }
                }
            }
        }
        assert!(worst.0 <= 1e-5, "{name}: {:e} of the power at frame {}, band {}", worst.0, worst.1, worst.2);
    }
}

#[test]
fn filter_banks_are_those_of_transformers() {
    let goldens = Goldens::load("clap_mel.safetensors");
    for (name, config) in
        [("slaney", MelConfig::slaney(64, 50.0, 14_000.0)), ("htk", MelConfig::htk(64, 50.0, 14_000.0))]
    {
        let bank = MelBank::new(&config, 48_000, 1024).unwrap();
        let [sums, peaks] = ["sums", "peaks"].map(|what| reals(&goldens, &format!("bank.{name}.{what}")));
        let peak_bins = integers(&goldens, &format!("bank.{name}.peak_bins"));
        for mel in 0..64 {
            let (first, weights) = bank.filter(mel);
            let peak = (0..weights.len()).max_by(|&a, &b| weights[a].total_cmp(&weights[b])).unwrap();
            assert_eq!(first + peak, peak_bins[mel], "{name} {mel}");
            assert!((weights[peak] / peaks[mel] - 1.0).abs() < 1e-12, "{name} {mel}");
            assert!((weights.iter().sum::<f64>() / sums[mel] - 1.0).abs() < 1e-12, "{name} {mel}");
        }
    }
}

#[test]
fn two_sines_have_the_values_computed_independently() {
    let features = extract(&classic(), &sines(144_017), Crop::Centre).unwrap();
    for (frame, mel, wanted) in [
        (0, 0, 9.1951),
        (0, 10, 6.8554),
        (0, 30, -11.8075),
        (300, 10, 3.5074),
        (500, 10, -21.2516),
        (500, 11, -28.1246),
        (500, 33, -84.1412),
        (500, 63, -100.0),
        (900, 20, -7.5053),
        (901, 20, -32.3346),
        (1000, 0, -100.0),
    ] {
        let got = features.mel[frame * 64 + mel];
        assert!((got - wanted).abs() < 1e-4, "frame {frame}, band {mel}: {got}, not {wanted}");
    }
    let loudest = features.mel.iter().copied().fold(f32::MIN, f32::max);
    assert!((loudest - 24.2729).abs() < 1e-4, "{loudest}");
}

#[test]
fn a_sound_repeated_by_hand_has_the_same_features() {
    let same = |config: &FeatureConfig, tile: &[f32], whole: &[f32]| {
        let (short, long) =
            (extract(config, tile, Crop::Centre).unwrap(), extract(config, whole, Crop::Centre).unwrap());
        assert_eq!(whole.len(), 480_000);
        assert_eq!((short.channels, short.is_longer), (long.channels, long.is_longer));
        let worst = short.mel.iter().zip(&long.mel).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-5, "{} samples, {:?}: {worst:e} dB", tile.len(), config.padding);
    };
    // Whole hops, halves and thirds of one, no part of one: frames are the same again, later, or never.
    for length in [480, 96_240, 144_000, 100_160, 77_777, 300_000] {
        let tile = wave(length);
        let times = 480_000 / length;
        let mut padded = tile.repeat(times);
        padded.resize(480_000, 0.0);
        same(&classic(), &tile, &padded);
        let mut once = tile.clone();
        once.resize(480_000, 0.0);
        same(&FeatureConfig { padding: ClipPadding::Pad, ..classic() }, &tile, &once);
        let mut over = tile.repeat(times + 1);
        over.truncate(480_000);
        same(&FeatureConfig { padding: ClipPadding::Repeat, ..classic() }, &tile, &over);
    }
}

#[test]
fn pieces_of_long_sounds_are_where_they_should_be() {
    let (samples, config) = (wave(700_001), classic());
    let extractor = FeatureExtractor::new(&config).unwrap();
    let piece = |start: usize| extractor.extract(&samples[start..start + 480_000], Crop::Centre).unwrap().mel;
    assert_eq!(extractor.extract(&samples, Crop::Centre).unwrap().mel, piece(110_000));
    assert_eq!(extractor.extract(&samples, Crop::At(220_001)).unwrap().mel, piece(220_001));
    let seeded = extractor.extract(&samples, Crop::Seeded(3)).unwrap();
    assert_eq!(extractor.extract(&samples, Crop::Seeded(3)).unwrap(), seeded);
    assert_ne!(extractor.extract(&samples, Crop::Seeded(4)).unwrap().mel, seeded.mel);
    assert!(seeded.is_longer);

    let fused = FeatureExtractor::new(&FeatureConfig { truncation: Truncation::Fusion, ..config }).unwrap();
    // 1459 frames, 459 starts: thirds from 0, 153 and 306.
    let centre = fused.extract(&samples, Crop::Centre).unwrap();
    assert_eq!(centre, fused.extract(&samples, Crop::Frames([76, 229, 382])).unwrap());
    assert_ne!(centre, fused.extract(&samples, Crop::Seeded(1)).unwrap());
    assert_eq!(fused.extract(&samples, Crop::Seeded(1)).unwrap(), fused.extract(&samples, Crop::Seeded(1)).unwrap());
    assert_eq!((centre.channels, centre.is_longer), (4, true));
}

#[test]
fn what_has_no_features_says_why() {
    let long = wave(480_001);
    let says = |result: Result<Features, FeatureError>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let fusion = FeatureConfig::default();
    says(extract(&classic(), &[], Crop::Centre), "0 samples");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = wave(5000);
        samples[4321] = bad;
        says(extract(&classic(), &samples, Crop::Centre), &format!("sample 4321 is {bad}"));
    }
    says(
        extract(&classic(), &long, Crop::At(2)),
        "cannot start at sample 2: the last possible start in this sound is 1",
    );
    says(extract(&classic(), &long, Crop::Frames([0, 0, 0])), "one piece");
    says(extract(&fusion, &wave(480_480), Crop::At(0)), "three pieces");
    says(extract(&fusion, &wave(480_480), Crop::Frames([0, 2, 0])), "cannot start at frame 2");
    // A sound that fits is never cut.
    assert!(extract(&classic(), &wave(400), Crop::At(1)).is_ok());
}

#[test]
fn configurations_are_read_with_the_defaults_of_the_class() {
    // `clap_fused` has it within the file of a processor.
    let read = |name: &str| FeatureConfig::open(&ModelDir::local(&path(name))).unwrap();
    assert_eq!(read("clap_tiny"), classic());
    let file = "processor_config.json";
    assert_eq!(read("clap_fused"), FeatureConfig { frequency_min: 50.0, file, ..FeatureConfig::default() });
    let small = read("clap_small");
    assert_eq!((small.feature_size, small.frames(), small.padding), (32, 501, ClipPadding::Repeat));
    assert_eq!(serde_json::from_str::<FeatureConfig>("{}").unwrap(), FeatureConfig::default());
    assert!(serde_json::from_str::<FeatureConfig>(r#"{"padding": "reflect"}"#).is_err());
    for (json, part) in [
        (r#"{"feature_extractor_type": "WhisperFeatureExtractor"}"#, "WhisperFeatureExtractor"),
        (r#"{"hop_length": 0}"#, "hop_length"),
        (r#"{"fft_window_size": 1023}"#, "fft_window_size"),
        (r#"{"max_length_s": 0}"#, "max_length_s"),
        (r#"{"frequency_max": 0}"#, "frequency_max"),
        (r#"{"feature_size": 0}"#, "feature_size"),
    ] {
        let error = FeatureExtractor::new(&serde_json::from_str(json).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("preprocessor_config.json: ") && error.contains(part), "{error}");
    }
}

#[test]
fn where_two_files_configure_the_extractor_that_of_the_processor_counts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = ModelDir::local(folder.path());
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    assert!(FeatureConfig::open(&dir).unwrap_err().to_string().contains("preprocessor_config.json"));
    write("preprocessor_config.json", r#"{"feature_size": 32}"#);
    // Older libraries write a processor's file that says nothing of features.
    write("processor_config.json", r#"{"processor_class": "ClapProcessor"}"#);
    assert_eq!(FeatureConfig::open(&dir).unwrap().feature_size, 32);
    write("processor_config.json", r#"{"feature_extractor": {"feature_size": 48}}"#);
    assert_eq!(FeatureConfig::open(&dir).unwrap().feature_size, 48);
    write("processor_config.json", r#"{"feature_extractor": {"hop_length": 0}}"#);
    let error = FeatureConfig::open(&dir).unwrap().validate().unwrap_err().to_string();
    assert!(error.starts_with("processor_config.json: `hop_length`"), "{error}");
    write("processor_config.json", r#"{"feature_extractor": {"padding": "reflect"}}"#);
    let error = FeatureConfig::open(&dir).unwrap_err().to_string();
    assert!(error.contains("processor_config.json") && error.contains("reflect"), "{error}");
}

#[test]
fn threads_share_an_extractor_and_get_the_same_bits() {
    let (extractor, samples) = (FeatureExtractor::new(&classic()).unwrap(), wave(90_000));
    let alone = extractor.extract(&samples, Crop::Centre).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| extractor.extract(&samples, Crop::Centre).unwrap())).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_sound_gives_1001_finite_frames(
        length in prop_oneof![1..2000_usize, 1..1_000_000_usize, 479_000..481_000_usize],
        first in any::<u32>(),
        scale in prop::sample::select(vec![0.0_f32, 1e-30, 1e-3, 1.0, 1e4, f32::MAX]),
        fusion in any::<bool>(),
        padding in prop::sample::select(vec![ClipPadding::Repeatpad, ClipPadding::Repeat, ClipPadding::Pad]),
        seed in any::<u64>(),
    ) {
        let truncation = if fusion { Truncation::Fusion } else { Truncation::RandTrunc };
        let config = FeatureConfig { truncation, padding, ..classic() };
        let value = |n: u32| (f64::from(hashed(first.wrapping_add(n))) / 2_147_483_648.0 - 1.0) as f32 * scale;
        let samples: Vec<f32> = (0..length as u32).map(value).collect();
        let features = extract(&config, &samples, Crop::Seeded(seed)).unwrap();
        prop_assert_eq!((features.frames, features.channels), (1001, if fusion { 4 } else { 1 }));
        prop_assert_eq!(features.mel.len(), features.channels * 1001 * 64);
        prop_assert!(features.mel.iter().all(|value| value.is_finite() && *value >= -100.0));
        // A fused sound that is longer by less than a frame is taken whole.
        let limit = if fusion { 480_480 } else { 480_001 };
        prop_assert_eq!(features.is_longer, length >= limit);
    }
}
