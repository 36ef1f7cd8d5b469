//! CoNeTTE against the package `conette`.

use audsem_core::hub::ModelDir;
use audsem_core::testing::sounds::wave;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEndError, Spectrogram};
use audsem_models::audio::conette::{CaptionSettings, Conette, ConetteCaptioner, Config};
use audsem_models::text::TextDecoder;
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::golden::{Goldens, max_abs, path};

const LENGTHS: [usize; 3] = [48_000, 30_011, 7_360];

fn dir() -> ModelDir {
    ModelDir::local(&path("conette_tiny"))
}

fn open() -> ConetteCaptioner {
    ConetteCaptioner::open(&dir(), &Device::Cpu, DType::F32).unwrap()
}

fn tensor(clip: &Spectrogram) -> Tensor {
    Tensor::from_slice(&clip.values, (1, clip.n_frames, clip.n_bands), &Device::Cpu).unwrap()
}

#[test]
fn every_part_is_that_of_the_package() {
    let (goldens, captioner) = (Goldens::load("conette_tiny.safetensors"), open());
    let weights = Weights::open(&dir(), &Device::Cpu, DType::F32).unwrap();
    let network = Conette::load(&weights.var_builder(), captioner.config()).unwrap();
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let features = tensor(&captioner.features(&wave(length)).unwrap());
        goldens.check(&format!("{n}.mel"), &features.squeeze(0).unwrap(), 1e-3);
        let mel = goldens.get(&format!("{n}.mel")).unsqueeze(0).unwrap();
        let frames = network.frames(&mel).unwrap();
        goldens.check(&format!("{n}.frames"), &frames, 2e-5);
        let states = network.states(&frames).unwrap();
        goldens.check(&format!("{n}.states"), &states, 2e-5);
        let logits = network.decode(&goldens.ids("ids"), &states, &mut network.cache(1)).unwrap();
        goldens.check(&format!("{n}.logits"), &network.logits(&logits).unwrap(), 5e-5);
        let mut cache = network.cache(1);
        for token in 0..8 {
            let id = goldens.ids("ids").narrow(1, token, 1).unwrap();
            let one = network.logits(&network.decode(&id, &states, &mut cache).unwrap()).unwrap();
            let wanted = goldens.get(&format!("{n}.logits")).narrow(1, token, 1).unwrap();
            assert!(max_abs(&one, &wanted) < 5e-5, "sound {n}, token {token}");
        }
    }
    let short = Tensor::zeros((1, 23, 224), DType::F32, &Device::Cpu).unwrap();
    assert!(network.frames(&short).unwrap_err().to_string().contains("23 frames"));
}

#[derive(Deserialize)]
struct Golden {
    captions: Vec<Caption>,
}

#[derive(Deserialize)]
struct Caption {
    sound: usize,
    task: String,
    beam_size: usize,
    min_pred_size: usize,
    max_pred_size: usize,
    ids: Vec<u32>,
    score: f32,
}

fn clips(captioner: &ConetteCaptioner) -> Vec<Spectrogram> {
    LENGTHS.map(|length| captioner.features(&wave(length)).unwrap()).into()
}

#[test]
fn captions_are_those_of_the_package() {
    let captioner = open();
    let clips = clips(&captioner);
    let golden: Golden = serde_json::from_slice(&std::fs::read(path("conette_captions.json")).unwrap()).unwrap();
    assert_eq!(golden.captions.len(), 15);
    for wanted in golden.captions {
        let Caption { beam_size, min_pred_size, max_pred_size, .. } = wanted;
        let settings = CaptionSettings { task: wanted.task, beam_size, min_pred_size, max_pred_size };
        let found = captioner.tokens(&[&clips[wanted.sound]], &settings).unwrap();
        assert_eq!(found[0].tokens, wanted.ids, "sound {}, {settings:?}", wanted.sound);
        let difference = (found[0].mean_log_probability - wanted.score).abs();
        assert!(difference < 1e-5, "sound {}, {settings:?}: {difference:e}", wanted.sound);
    }
}

#[test]
fn a_caption_does_not_depend_on_other_clips() {
    let captioner = open();
    let clips = clips(&captioner);
    let clips: Vec<&Spectrogram> = clips.iter().collect();
    let settings = CaptionSettings::of(captioner.config());
    assert_eq!(settings.task, "clotho");
    let together = captioner.tokens(&clips, &settings).unwrap();
    for (n, clip) in clips.iter().enumerate() {
        assert_eq!(captioner.tokens(&[clip], &settings).unwrap()[0], together[n], "bit for bit");
    }
    let texts = captioner.captions(&clips, &settings).unwrap();
    assert_eq!(texts[1], "wind talk rain");
}

#[test]
fn what_does_not_fit_is_refused() {
    let captioner = open();
    let error = captioner.features(&[0.1; 7_359]).unwrap_err();
    assert!(matches!(error, FrontEndError::TooShort { samples: 7_359, needed: 7_360 }), "{error}");
    let settings = CaptionSettings::of(captioner.config());
    for (settings, part) in [
        (CaptionSettings { task: "music".to_owned(), ..settings.clone() }, "music"),
        (CaptionSettings { beam_size: 0, ..settings.clone() }, "beam_size"),
        (CaptionSettings { max_pred_size: 21, ..settings }, "max_pred_size"),
    ] {
        assert!(captioner.tokens(&[], &settings).unwrap_err().to_string().contains(part), "{settings:?}");
    }
    let mut config: Config = dir().json("config.json").unwrap();
    config.task_names.swap(0, 1);
    let weights = Weights::open(&dir(), &Device::Cpu, DType::F32).unwrap();
    let error = Conette::load(&weights.var_builder(), &config).unwrap_err().to_string();
    assert!(error.contains("task_id_to_token_id"), "{error}");
}
