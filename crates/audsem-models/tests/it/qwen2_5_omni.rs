//! The thinker of Qwen2.5-Omni against transformers.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::generate::{CausalDecoder, GenerationConfig, GenerationRequest, generate};
use audsem_models::multimodal::audio_language::AudioFamily;
use audsem_models::multimodal::qwen2_5_omni::{OmniThinker, OmniThinkerConfig};
use audsem_models::multimodal::{HOP_SAMPLES, MultimodalNetwork, SoundLengths};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, path};

/// Frames of the sounds that the golden's prompts are about.
const PROMPTED: [usize; 3] = [101, 450, 5];

fn open() -> (OmniThinker, Goldens) {
    let dir = ModelDir::local(&path("qwen2_5_omni_tiny"));
    let config = OmniThinkerConfig::from_json(&dir.json("config.json").unwrap()).unwrap();
    let family = AudioFamily::QwenOmni;
    let weights = Weights::open_renamed(&dir, &Device::Cpu, DType::F32, |name| family.tensor_name(name)).unwrap();
    let network = OmniThinker::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|name| family.is_ignored(name)).unwrap();
    (network, Goldens::load("qwen2_5_omni_tiny.safetensors"))
}

fn samples(goldens: &Goldens, frames: usize) -> Vec<f32> {
    let mut samples = goldens.samples("samples").remove(0);
    samples.truncate(HOP_SAMPLES * frames);
    samples
}

fn prompt(goldens: &Goldens, n: usize) -> Vec<u32> {
    goldens.ids(&format!("prompt.{n}")).to_vec1().unwrap()
}

#[test]
fn features_are_those_of_transformers_without_a_limit_of_30_seconds() {
    let (network, goldens) = open();
    for frames in [5, 101] {
        let features = network.hearing().features(&samples(&goldens, frames)).unwrap().squeeze(0).unwrap();
        goldens.check(&format!("features.{frames}"), &features, 1e-4);
    }
    // 40 s of the sound again and again.
    let long: Vec<f32> = samples(&goldens, 450).into_iter().cycle().take(640_000).collect();
    assert_eq!(network.embed_audio(&long).unwrap().dims(), [1000, 24]);
}

/// Values of transformers 4.52.4 for a tone; digital silence, and samples that are no numbers.
#[test]
fn features_of_a_tone_and_of_silence_are_known_values() {
    let (network, _) = open();
    let tone: Vec<f32> =
        (0..16_000).map(|n| (0.5 * (std::f64::consts::TAU * 440.0 * f64::from(n) / 16_000.0).sin()) as f32).collect();
    let features = network.hearing().features(&tone).unwrap().squeeze(0).unwrap();
    assert_eq!(features.dims(), [128, 100]);
    let rows = features.t().unwrap().to_vec2::<f32>().unwrap();
    for (frame, band, value) in [
        (50, 0, -0.514_645_9),
        (50, 18, 1.485_354_1),
        (0, 12, 1.076_70),
        (0, 13, 1.161_19),
        (0, 14, 1.282_03),
        (0, 15, 1.236_17),
        (0, 16, 1.406_97),
    ] {
        assert!((rows[frame][band] - value).abs() < 2e-5, "frame {frame}, band {band}: {}", rows[frame][band]);
    }
    let sum: f64 = rows.iter().flatten().map(|value| f64::from(*value)).sum();
    assert!((sum + 5444.1465).abs() < 0.05, "{sum}");
    let silence = network.hearing().features(&[0.0; 3200]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(silence.iter().all(|value| (value + 1.5).abs() < 1e-6));
    assert!(network.hearing().features(&[f32::NAN; 3200]).is_err());
    assert!(network.hearing().features(&[0.1; 320]).unwrap_err().to_string().contains("at least 321"));
}

/// Fewer frames than a window, whole windows, and windows with a rest.
#[test]
fn windows_are_heard_as_in_transformers() {
    let (network, goldens) = open();
    for frames in [3, 4, 5, 101, 199, 200, 201, 400, 450] {
        let samples = samples(&goldens, frames);
        let heard = network.embed_audio(&samples).unwrap();
        assert_eq!(heard.dim(0).unwrap(), SoundLengths::of(samples.len(), 4_800_000).unwrap().vectors, "{frames}");
        goldens.check(&format!("vectors.{frames}"), &heard, 1e-4);
    }
}

#[test]
fn no_window_hears_another() {
    let (network, goldens) = open();
    let whole = network.hearing().features(&samples(&goldens, 450)).unwrap();
    let silent = Tensor::zeros((1, 128, 250), DType::F32, &Device::Cpu).unwrap();
    let begun = Tensor::cat(&[&whole.narrow(2, 0, 200).unwrap(), &silent], 2).unwrap();
    let first = |mel: &Tensor| {
        network.hearing().tower().forward(mel).unwrap().narrow(0, 0, 50).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(first(&whole), first(&begun));
    assert!(
        max_abs(
            &network.hearing().tower().forward(&whole).unwrap(),
            &network.hearing().tower().forward(&begun).unwrap()
        ) > 1e-3
    );
}

/// The sound and all before the question at once, then the question token by token.
#[test]
fn logits_are_those_of_transformers() {
    let (network, goldens) = open();
    for (n, frames) in PROMPTED.into_iter().enumerate() {
        let sound = network.embed_audio(&samples(&goldens, frames)).unwrap();
        let prompt = prompt(&goldens, n);
        let (begin, rest) = prompt.split_at(prompt.len() - 3);
        let mut decoder = network.decoder(vec![vec![sound]]);
        let mut logits = decoder.prefill(&[begin]).unwrap();
        logits.extend(rest.iter().flat_map(|token| decoder.step(&[*token]).unwrap()));
        let wanted = goldens.get(&format!("logits.{n}")).narrow(0, 1, 4).unwrap();
        let difference = max_abs(&Tensor::new(logits, &Device::Cpu).unwrap(), &wanted);
        assert!(difference <= 1e-4, "logits.{n}: {difference:e}");
    }
}

#[test]
fn a_batch_of_three_lengths_answers_as_each_alone_in_transformers() {
    let (network, goldens) = open();
    let hear = |frames: usize| vec![network.embed_audio(&samples(&goldens, frames)).unwrap()];
    let requests: Vec<_> = (0..3).map(|n| GenerationRequest { prompt: prompt(&goldens, n), seed: 0 }).collect();
    let greedy = GenerationConfig { max_new_tokens: Some(16), ..GenerationConfig::default() };
    let beams = GenerationConfig { num_beams: 5, eos_token_id: vec![33], ..greedy.clone() };
    for (name, config) in [("greedy", greedy), ("beams", beams)] {
        let sounds = PROMPTED.map(hear).to_vec();
        let answers = generate(&mut network.decoder(sounds), &requests, &config).unwrap();
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(answer[0].tokens, goldens.ids(&format!("{name}.{n}")).to_vec1::<u32>().unwrap(), "{name}.{n}");
        }
    }
}

#[test]
fn pictures_are_refused() {
    let (network, goldens) = open();
    let sound = network.embed_audio(&samples(&goldens, 5)).unwrap();
    let mut prompt = prompt(&goldens, 2);
    assert!(network.merge(&prompt, &vec![sound.clone()]).is_ok());
    assert!(network.merge(&prompt, &Vec::new()).unwrap_err().to_string().contains("places for"));
    for picture in [38, 39] {
        prompt.push(picture);
        let error = network.merge(&prompt, &vec![sound.clone()]).unwrap_err().to_string();
        assert!(error.contains("reads no pictures"), "{error}");
        prompt.pop();
    }
}
