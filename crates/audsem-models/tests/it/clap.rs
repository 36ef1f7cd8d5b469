//! CLAP against transformers, on three tiny checkpoints: all stages, fused and unfused, 3 and 4 stages.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::clap::{Clap, ClapEncoder, Config, Crop};
use audsem_models::nn::{Mode, Params};
use candle_core::{D, DType, Device, IndexOp, Tensor};

use crate::golden::{Goldens, max_abs, path};
use audsem_core::testing::sounds::{hashed, wave};

pub(crate) const NAMES: [&str; 3] = ["clap_tiny", "clap_fused", "clap_small"];

fn open(name: &str) -> Clap {
    Clap::open(&ModelDir::local(&path(name)), &Device::Cpu, DType::F32).unwrap()
}

/// The same network with every tensor trainable.
fn trainable(name: &str) -> (Clap, Params) {
    let dir = ModelDir::local(&path(name));
    let config: Config = dir.json("config.json").unwrap();
    let params = Params::from_weights(0, &Weights::open(&dir, &Device::Cpu, DType::F32).unwrap());
    let model = Clap::load(&params.var_builder(DType::F32, &Device::Cpu), &config).unwrap();
    assert!(params.newly_initialized().is_empty(), "{:?}", params.newly_initialized());
    (model, params)
}

/// The features that went in, and which clips are longer.
pub(crate) fn features(name: &str, goldens: &Goldens) -> (Tensor, Vec<bool>) {
    let longer = goldens.get("is_longer").flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let longer = longer.into_iter().map(|flag| flag != 0).collect();
    if name != "clap_fused" {
        return (goldens.get("input_features").to_dtype(DType::F32).unwrap(), longer);
    }
    let shape = [3, 4, 1001, 64];
    let noise = |n: u32| (hashed(1_000_000 + n) >> 24) as f32 / 2.0 - 100.0;
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u32).map(noise).collect();
    let sum: f64 = values.iter().map(|x| f64::from(*x)).sum();
    let wanted = goldens.get("input_features.sum").to_scalar::<f64>().unwrap();
    assert!((sum - wanted).abs() < 1e-3, "the formula of the input: {sum} {wanted}");
    (Tensor::from_vec(values, &shape, &Device::Cpu).unwrap(), longer)
}

/// (B, N, C) as transformers has it: (B, C, rows, columns).
fn grid(x: &Tensor) -> Tensor {
    let (b, n, c) = x.dims3().unwrap();
    let side = n.isqrt();
    x.transpose(1, 2).unwrap().contiguous().unwrap().reshape((b, c, side, side)).unwrap()
}

fn every(x: &Tensor, step: usize) -> Tensor {
    let pick = |n: usize| Tensor::from_iter((0..n as u32).step_by(step), &Device::Cpu).unwrap();
    let (rows, columns) = (x.dim(D::Minus2).unwrap(), x.dim(D::Minus1).unwrap());
    let x = x.contiguous().unwrap().index_select(&pick(rows), x.rank() - 2).unwrap();
    x.index_select(&pick(columns), x.rank() - 1).unwrap()
}

#[test]
fn every_stage_of_the_audio_tower_is_that_of_transformers() {
    for name in NAMES {
        let goldens = Goldens::load(&format!("{name}.safetensors"));
        let (mel, longer) = features(name, &goldens);
        for model in [open(name), trainable(name).0] {
            let image = model.audio().image(&mel).unwrap();
            goldens.check("image.every4", &every(&image.i((0, 0)).unwrap(), 4), 1e-4);
            for (stage, state) in model.audio().hidden_states(&mel, &longer).unwrap().iter().enumerate() {
                let state = grid(state);
                if name == "clap_fused" && stage == 0 {
                    goldens.check("hidden.0.every7", &every(&state, 7), 1e-4);
                } else {
                    let wanted = goldens.get(&format!("hidden.{stage}"));
                    let state = state.narrow(0, 0, wanted.dim(0).unwrap()).unwrap();
                    goldens.check(&format!("hidden.{stage}"), &state, 1e-4);
                }
            }
            goldens.check("pooled", &model.audio().pooled(&mel, &longer).unwrap(), 1e-4);
        }
    }
}

#[test]
fn embeddings_of_both_forms_are_those_of_transformers() {
    for name in NAMES {
        let goldens = Goldens::load(&format!("{name}.safetensors"));
        let (mel, longer) = features(name, &goldens);
        let (ids, mask) = (goldens.ids("text.ids"), goldens.ids("text.mask"));
        for model in [open(name), trainable(name).0] {
            goldens.check("audio_embeds", &model.embed_audio(&mel, &longer).unwrap(), 1e-5);
            let hidden = model.text().hidden_states(&ids, Some(&mask)).unwrap();
            for (layer, state) in hidden.iter().enumerate() {
                check_tokens(&goldens, &format!("text.hidden.{layer}"), state, &mask);
            }
            let pooled = model.text().pool(&hidden[hidden.len() - 1]).unwrap();
            goldens.check("text.pooled", &pooled, 1e-5);
            goldens.check("text_embeds", &model.embed_text(&ids, Some(&mask), Mode::Infer).unwrap(), 1e-5);
        }
        let model = open(name).into_inference().unwrap();
        goldens.check("audio_embeds", &model.embed_audio(&mel, &longer).unwrap(), 1e-5);
        let texts = unpadded(&ids, &mask);
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        goldens.check("text_embeds", &model.embed_text(&texts).unwrap(), 1e-5);
    }
}

/// Compares values at tokens only; values at padding are unspecified.
fn check_tokens(goldens: &Goldens, name: &str, got: &Tensor, mask: &Tensor) {
    let mask = mask.to_dtype(DType::F32).unwrap().unsqueeze(2).unwrap();
    let (got, wanted) = (got.broadcast_mul(&mask).unwrap(), goldens.get(name).broadcast_mul(&mask).unwrap());
    let difference = max_abs(&got, &wanted);
    assert!(difference <= 1e-5, "{name}: max |difference| {difference:e}");
}

pub(crate) fn unpadded(ids: &Tensor, mask: &Tensor) -> Vec<Vec<u32>> {
    let rows = ids.to_vec2::<u32>().unwrap().into_iter().zip(mask.to_vec2::<u32>().unwrap());
    rows.map(|(ids, mask)| ids.into_iter().zip(mask).filter(|(_, mask)| *mask == 1).map(|(id, _)| id).collect())
        .collect()
}

#[test]
fn without_a_longer_clip_the_fused_checkpoint_looks_at_the_whole_only() {
    let goldens = Goldens::load("clap_fused.safetensors");
    let (mel, _) = features("clap_fused", &goldens);
    let model = open("clap_fused").into_inference().unwrap();
    goldens.check("none_longer.audio_embeds", &model.embed_audio(&mel, &[false; 3]).unwrap(), 1e-5);
}

#[test]
fn an_image_that_needs_no_stretching_is_taken_as_it_is() {
    let goldens = Goldens::load("clap_small.safetensors");
    let mel = goldens.get("whole.input_features").to_dtype(DType::F32).unwrap();
    let model = open("clap_small");
    let image = model.audio().image(&mel).unwrap();
    goldens.check("whole.image.every4", &every(&image.i((0, 0)).unwrap(), 4), 1e-4);
    goldens.check("whole.audio_embeds", &model.embed_audio(&mel, &[false]).unwrap(), 1e-5);
}

#[test]
fn a_clip_and_a_text_do_not_depend_on_their_batch() {
    for name in NAMES {
        let goldens = Goldens::load(&format!("{name}.safetensors"));
        let (mel, longer) = features(name, &goldens);
        let model = open(name).into_inference().unwrap();
        let together = model.embed_audio(&mel, &longer).unwrap();
        for clip in 0..longer.len() {
            let alone = model.embed_audio(&mel.i(clip..=clip).unwrap(), &longer[clip..=clip]).unwrap();
            assert!(max_abs(&alone, &together.i(clip..=clip).unwrap()) < 1e-6, "{name} clip {clip}");
        }
        let texts = unpadded(&goldens.ids("text.ids"), &goldens.ids("text.mask"));
        let all: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let together = model.embed_text(&all).unwrap();
        for (n, text) in all.iter().enumerate() {
            let alone = model.embed_text(&[text]).unwrap();
            assert!(max_abs(&alone, &together.i(n..=n).unwrap()) < 1e-6, "{name} text {n}");
        }
    }
}

/// Σ weights · logits: clips before texts, and texts before clips.
fn loss(model: &Clap, name: &str, goldens: &Goldens) -> Tensor {
    let (mel, longer) = features(name, goldens);
    let (ids, mask) = (goldens.ids("text.ids"), goldens.ids("text.mask"));
    let audio = model.embed_audio(&mel, &longer).unwrap();
    let text = model.embed_text(&ids, Some(&mask), Mode::Infer).unwrap();
    let cosines = audio.matmul(&text.t().unwrap()).unwrap();
    let (scale_audio, scale_text) = model.logit_scales().unwrap();
    let [audio_first, text_first] = [(0, scale_audio), (1, scale_text)].map(|(n, scale)| {
        let weights = goldens.get("grad.weights").get(n).unwrap();
        (weights * cosines.broadcast_mul(&scale).unwrap()).unwrap().sum_all().unwrap()
    });
    (audio_first + text_first).unwrap()
}

/// Not only that there is one: a branch that is cut beside a residual sum leaves a part of each gradient.
#[test]
fn every_gradient_is_that_of_torch() {
    for name in NAMES {
        let goldens = Goldens::load(&format!("{name}.safetensors"));
        let (model, params) = trainable(name);
        let loss = loss(&model, name, &goldens);
        goldens.check_relative("grad.loss", &loss, 1e-5, 1.0);
        let grads = loss.backward().unwrap();
        for (tensor, var) in params.vars() {
            if tensor.contains("running_") {
                assert!(grads.get(&var).is_none(), "{name}: {tensor} is measured, not learned");
                continue;
            }
            let grad = grads.get(&var).unwrap_or_else(|| panic!("no gradient: {name}: {tensor}"));
            let flat = grad.flatten_all().unwrap();
            let every = (flat.elem_count() / 32) | 1;
            let places = Tensor::from_iter((0..flat.elem_count() as u32).step_by(every), &Device::Cpu).unwrap();
            let sample = flat.index_select(&places, 0).unwrap();
            let sample = sample.reshape(goldens.get(&format!("grad.{tensor}")).dims()).unwrap();
            // A shift of all keys moves every score of a row alike, which softmax does not see: that gradient is noise.
            goldens.check_relative(&format!("grad.{tensor}"), &sample, 1e-4, 1e-2);
        }
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_says_what_is_missing_and_what_is_unused() {
    let dir = ModelDir::local(&path("clap_tiny"));
    let mut config: Config = dir.json("config.json").unwrap();
    config.audio_config.depths = vec![2, 2, 2, 2];
    config.text_config.num_hidden_layers = 1;
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    Clap::load(&weights.var_builder(), &config).unwrap();
    let error = weights.finish(|_| false).unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("layers.2.blocks.1."), "{error}");
    assert!(error.contains("unused") && error.contains("encoder.layer.1."), "{error}");
}

#[test]
fn features_of_another_checkpoint_are_refused() {
    let model = open("clap_tiny").into_inference().unwrap();
    let zeros = |shape: [usize; 4]| Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
    for (shape, part) in [([1, 1, 1001, 32], "mel bins"), ([1, 1, 1025, 64], "frames"), ([1, 4, 1001, 64], "views")] {
        let error = model.embed_audio(&zeros(shape), &[false]).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("hint"), "{error}");
    }
    let error = model.embed_text(&[&[0, 4000, 2]]).unwrap_err().to_string();
    assert!(error.contains("4000"), "{error}");
    assert!(model.embed_text(&[&[]]).unwrap_err().to_string().contains("0 tokens"));
}

#[derive(serde::Deserialize)]
struct Text {
    text: String,
    ids_max_12: Vec<u32>,
}

#[test]
fn samples_and_strings_become_the_vectors_of_transformers() {
    let goldens = Goldens::load("clap_tiny.safetensors");
    let dir = ModelDir::local(&path("clap_tiny"));
    let encoder = ClapEncoder::open(&dir, &Device::Cpu, DType::F32, Some(32)).unwrap();
    let features = encoder.extractor().extract(&wave(144_017), Crop::Centre).unwrap();
    goldens.check("wave.audio_embeds", &encoder.embed_features(&[&features]).unwrap(), 1e-5);

    let texts: Vec<Text> = serde_json::from_slice(&std::fs::read(path("clap_texts.json")).unwrap()).unwrap();
    let short = ClapEncoder::open(&dir, &Device::Cpu, DType::F32, Some(12)).unwrap();
    for text in &texts {
        assert_eq!(short.encode(&text.text).unwrap().ids, text.ids_max_12, "{}", text.text);
    }
    let texts: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    goldens.check("text_embeds", &encoder.embed_texts(&texts).unwrap(), 1e-5);
}

#[test]
fn a_checkpoint_saved_by_a_processor_of_transformers_5_opens() {
    let dir = ModelDir::local(&path("clap_fused"));
    assert!(!dir.has("preprocessor_config.json").unwrap() && dir.has("processor_config.json").unwrap());
    let encoder = ClapEncoder::open(&dir, &Device::Cpu, DType::F32, Some(32)).unwrap();
    let features = encoder.extractor().extract(&wave(144_017), Crop::Centre).unwrap();
    assert_eq!(features.channels, 4, "the whole and three cuts, as the file says");
    let (sound, text) = (encoder.embed_features(&[&features]).unwrap(), encoder.embed_texts(&["a dog barks"]).unwrap());
    assert_eq!((sound.dims(), text.dims()), (&[1, 24][..], &[1, 24][..]));
}
