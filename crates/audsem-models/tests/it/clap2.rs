//! CLAP2 against `open_clip` and timm, by `fixtures/regen/clap2.py`.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_core::hub::ModelDir;
use audsem_core::testing::sounds::wave;
use audsem_models::clap::{ClapEncoder, Crop, FeatureConfig, FeatureExtractor, Features, MAX_SECONDS, OpenClipConfig};
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::golden::{Goldens, path};

const MODELS: [&str; 3] = ["modern", "native", "options"];

/// Samples, sampling rates and channels, as in the script.
const SOUNDS: [(&str, usize, u32, usize); 6] = [
    ("window", 700, 48_000, 1),
    ("part", 20_000, 48_000, 1),
    ("full", 14_880, 48_000, 1),
    ("long", 576_000, 48_000, 1),
    ("stereo", 30_001, 48_000, 2),
    ("resampled", 35_000, 44_100, 1),
];

/// How far numbers may be apart.
const TOLERANCE: f32 = 1e-5;

#[derive(Deserialize)]
struct Words {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
}

fn open(folder: &Path) -> Result<ClapEncoder, audsem_models::Error> {
    ClapEncoder::open(&ModelDir::local(folder), &Device::Cpu, DType::F32, None)
}

fn model(name: &str) -> ClapEncoder {
    open(&path(&format!("clap2_{name}"))).unwrap()
}

/// Every other quarter of a second at 48 kHz is softer.
fn loud_and_soft(n: usize, first: usize) -> Vec<f32> {
    let sound = wave(first + n).split_off(first);
    let soft = |place: usize| (place / 12_000) % 2 == 1;
    sound.into_iter().enumerate().map(|(n, x)| if soft(n) { x * 0.05 } else { x }).collect()
}

/// All channels mixed to one.
fn sound(n: usize, channels: usize) -> Vec<f32> {
    let all: Vec<Vec<f32>> = (0..channels).map(|channel| loud_and_soft(n, 90_001 * channel)).collect();
    (0..n).map(|i| all.iter().map(|channel| channel[i]).sum::<f32>() / channels as f32).collect()
}

fn features(encoder: &ClapEncoder) -> Vec<Features> {
    let extractor = encoder.extractor();
    let extract = |(_, n, rate, channels)| {
        let samples = extractor.at_rate(&sound(n, channels), rate).unwrap();
        extractor.extract(&samples, Crop::Centre).unwrap()
    };
    SOUNDS.into_iter().map(extract).collect()
}

fn rows(vectors: &Tensor) -> Vec<Vec<f32>> {
    vectors.to_vec2().unwrap()
}

#[test]
fn sounds_of_any_length_agree_with_the_library() {
    let goldens = Goldens::load("clap2.safetensors");
    for name in MODELS {
        let encoder = model(name);
        for ((sound, ..), features) in SOUNDS.into_iter().zip(features(&encoder)) {
            assert!(!features.is_longer && features.channels == 1);
            let vector = encoder.embed_features(&[&features]).unwrap();
            goldens.check(&format!("{name}.{sound}"), &vector.squeeze(0).unwrap(), TOLERANCE);
        }
    }
}

#[test]
fn texts_agree_with_the_library() {
    let goldens = Goldens::load("clap2.safetensors");
    let words: BTreeMap<String, Words> = serde_json::from_slice(&std::fs::read(path("clap2.json")).unwrap()).unwrap();
    for name in MODELS {
        let (encoder, Words { texts, ids }) = (model(name), &words[name]);
        for (text, wanted) in texts.iter().zip(ids) {
            assert_eq!(&encoder.encode(text).unwrap().ids, wanted, "{name}: {text:?}");
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        goldens.check(&format!("{name}.texts"), &encoder.embed_texts(&texts).unwrap(), TOLERANCE);
    }
}

#[test]
fn neither_a_sound_nor_a_text_changes_another() {
    let encoder = model("modern");
    let sounds = features(&encoder);
    let together = rows(&encoder.embed_features(&sounds.iter().collect::<Vec<_>>()).unwrap());
    for (sound, row) in sounds.iter().zip(&together) {
        assert_eq!(&rows(&encoder.embed_features(&[sound]).unwrap())[0], row);
    }
    let texts = ["a dog barks", "rain", "a dog barks", "thunder rolls in the distance"];
    let together = rows(&encoder.embed_texts(&texts).unwrap());
    for (text, row) in texts.iter().zip(&together) {
        assert_eq!(&rows(&encoder.embed_texts(&[text]).unwrap())[0], row);
    }
    assert_eq!(encoder.embed_features(&[]).unwrap().dims(), [0, 12]);
    assert_eq!(encoder.embed_texts(&[]).unwrap().dims(), [0, 12]);
}

#[test]
fn texts_are_cut_to_what_the_network_reads() {
    let encoder = model("modern");
    let (short, long) = (encoder.encode("rain").unwrap(), encoder.encode(&"rain ".repeat(99)).unwrap());
    assert!(!short.truncated && short.has_text);
    assert_eq!((long.truncated, long.ids.len(), long.ids.last()), (true, 24, short.ids.last()));
    assert!(!encoder.encode(" \n").unwrap().has_text);
    let dir = ModelDir::local(&path("clap2_modern"));
    let five = ClapEncoder::open(&dir, &Device::Cpu, DType::F32, Some(5)).unwrap();
    assert_eq!((five.max_tokens(), five.encode("thunder rolls").unwrap().ids.len()), (5, 5));
    // The library mends such texts before the tokenizer of `tokenizer.json` sees them.
    let error = model("native").encode("caf\u{e9}").unwrap_err().to_string();
    assert!(error.contains("ftfy"), "{error}");
}

#[test]
fn what_memory_and_time_are_for_is_the_longest_sound() {
    let config = OpenClipConfig::open(&ModelDir::local(&path("clap2_modern"))).unwrap().audio.features();
    assert_eq!(config.max_length_s, MAX_SECONDS);
    let extractor = FeatureExtractor::new(&FeatureConfig { max_length_s: 1, ..config }).unwrap();
    let extract = |n, crop| extractor.extract(&loud_and_soft(n, 0), crop).unwrap();
    let (whole, cut) = (extract(48_000, Crop::Centre), extract(48_480, Crop::At(480)));
    assert_eq!((whole.frames, whole.is_longer, cut.frames, cut.is_longer), (101, false, 101, true));
    assert_ne!(cut.mel, extract(48_480, Crop::Centre).mel);
}

/// A copy of a model whose configuration is edited.
fn edited(name: &str, edit: impl Fn(&mut Value)) -> tempfile::TempDir {
    let (from, to) = (path(&format!("clap2_{name}")), tempfile::tempdir().unwrap());
    copy(&from, to.path());
    let file = to.path().join("open_clip_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    edit(&mut config);
    std::fs::write(&file, config.to_string()).unwrap();
    to
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

fn refused(name: &str, pointer: &str, value: &Value) -> String {
    let folder = edited(name, |config| {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
    });
    open(folder.path()).unwrap_err().to_string()
}

#[test]
fn settings_that_are_not_known_are_refused_by_name() {
    let (audio, vit, text) = ("/model_cfg/audio_cfg", "/model_cfg/audio_cfg/naflexvit_cfg", "/model_cfg/text_cfg");
    let cases = [
        ("modern", "/model_cfg/vision_cfg".to_owned(), json!({}), "vision_cfg"),
        ("modern", "/preprocess_cfg".to_owned(), json!({"mean": 0.5}), "preprocess_cfg"),
        ("modern", format!("{audio}/model_type"), json!("HTSAT"), "`model_type` is \"htsat\""),
        ("modern", format!("{audio}/rope_type"), json!("mrope"), "`rope_type` is \"mrope\""),
        ("modern", format!("{audio}/patch_pad_mode"), json!("edge"), "unknown variant `edge`"),
        ("modern", format!("{audio}/in_chans"), json!(2), "`in_chans` is 2"),
        ("modern", format!("{audio}/patch_freq"), json!(7), "no multiple of `patch_freq` 7"),
        ("modern", format!("{audio}/training_head"), json!(true), "`training_head`"),
        ("modern", format!("{audio}/norm"), json!("slaney"), "unknown field `norm`"),
        ("modern", format!("{vit}/swiglu_mlp"), json!(true), "unknown field `swiglu_mlp`"),
        ("modern", format!("{vit}/rope_type"), json!("mixed"), "`rope_type` is \"mixed\""),
        ("modern", format!("{vit}/global_pool"), json!("token"), "unknown variant `token`"),
        ("modern", format!("{vit}/num_heads"), json!(3), "`num_heads` 3"),
        ("modern", format!("{vit}/mlp_ratio"), json!(-1.0), "`mlp_ratio` is -1"),
        ("modern", format!("{text}/text_arch"), json!("newest"), "`text_arch`"),
        ("modern", format!("{text}/norm_eps"), Value::Null, "there is no `norm_eps`"),
        ("modern", format!("{text}/eos_id"), json!(7), "`eos_id` of open_clip_config.json is 7"),
        ("modern", format!("{text}/eos_id"), Value::Null, "there is no `eos_id`"),
        ("modern", format!("{text}/pool_type"), json!("last"), "unknown variant `last`"),
        ("modern", format!("{text}/pos_embed"), json!("learned"), "`pos_embed` is \"learned\""),
        ("modern", format!("{text}/tiktoken_bpe_path"), Value::Null, "save_for_hf"),
        ("modern", format!("{text}/tiktoken_bpe_path"), json!("../r.tiktoken"), "r.tiktoken"),
        ("modern", format!("{text}/tokenizer_kwargs"), json!({"add_bos": false}), "unknown field `add_bos`"),
        ("native", format!("{text}/no_causal_mask"), json!(true), "unknown field `no_causal_mask`"),
        ("native", format!("{text}/attn_gated"), json!(true), "unknown field `attn_gated`"),
        ("native", format!("{text}/hf_model_name"), json!("roberta-base"), "text towers of transformers"),
        ("native", format!("{text}/eos_id"), json!(3), ""),
    ];
    for (name, pointer, value, wanted) in cases {
        if wanted.is_empty() {
            // The tower looks for the largest token, not for this one.
            let folder = edited(name, |config| {
                *config.pointer_mut("/model_cfg/text_cfg").unwrap() = {
                    let mut text = config["model_cfg"]["text_cfg"].clone();
                    text["eos_id"] = value.clone();
                    text
                }
            });
            open(folder.path()).unwrap();
            continue;
        }
        let error = refused(name, &pointer, &value);
        assert!(error.contains(wanted), "{pointer} = {value}: {error}");
    }
}

#[test]
fn settings_that_change_no_vector_are_taken() {
    let folder = edited("modern", |config| {
        config["model_cfg"]["init_logit_bias"] = json!(-10.0);
        config["model_cfg"]["audio_cfg"]["audio_seq_len"] = json!(251);
        config["model_cfg"]["audio_cfg"]["naflexvit_cfg"]["drop_path_rate"] = json!(0.2);
        config["model_cfg"]["text_cfg"]["hf_model_name"] = Value::Null;
    });
    let (encoder, plain) = (open(folder.path()).unwrap(), model("modern"));
    let sounds = features(&plain);
    let vectors = |encoder: &ClapEncoder| rows(&encoder.embed_features(&[&sounds[3]]).unwrap());
    assert_eq!(vectors(&encoder), vectors(&plain));
}

#[test]
fn weights_and_files_that_do_not_fit_are_named() {
    let more = refused("modern", "/model_cfg/audio_cfg/naflexvit_cfg/depth", &json!(3));
    assert!(more.contains("blocks.2.attn.qkv.weight"), "{more}");
    let fewer = refused("modern", "/model_cfg/text_cfg/attn_gated", &json!(false));
    assert!(fewer.contains("attn.gate.weight"), "{fewer}");

    let folder = edited("native", |_| {});
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("openai/clip-vit-large-patch14"), "{error}");
    // Elsewhere it is found.
    let dir = ModelDir::local(folder.path());
    let elsewhere = ModelDir::local(&path("clap2_native"));
    ClapEncoder::open_with(&dir, &elsewhere, &Device::Cpu, DType::F32, None).unwrap();

    let folder = edited("modern", |_| {});
    std::fs::remove_file(folder.path().join("open_clip_tiktoken/tiny.tiktoken")).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("open_clip_tiktoken/tiny.tiktoken"), "{error}");
}
