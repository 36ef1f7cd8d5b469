//! The files that the authors of CLAP published, against their libraries: `laion_clap`, fused and not, and `msclap` of 2023.

use audsem_core::hub::ModelDir;
use audsem_core::testing::sounds::wave;
use audsem_models::clap::{AudioConfig, ClapEncoder, Config, Crop, MsClapConfig};
use audsem_models::convert::{SourceDtype, SourceFile, SourceNetwork, SourceTensor};
use candle_core::{DType, Device, IndexOp, Tensor};

use crate::golden::{Goldens, max_abs, path};

/// Each file, its tokenizer, the name of its goldens, and what it is.
const FILES: [(&str, &str, &str, SourceNetwork); 3] = [
    ("original_clap/laion.pt", "clap_tiny", "laion", SourceNetwork::LaionClap),
    ("original_clap/laion_fusion.pt", "clap_tiny", "laion_fusion", SourceNetwork::LaionClap),
    ("original_clap/msclap.pth", "original_clap/gpt2", "msclap", SourceNetwork::MsClap),
];

/// Of `fixtures/regen/original_clap.py`.
const SOUNDS: [(&str, usize); 2] = [("short", 144_017), ("long", 700_001)];

const TEXTS: [&str; 5] = [
    "a dog barks",
    "",
    "Rain falls on a tin roof while thunder rolls in the distance",
    "(wind howling)",
    "Glass breaks; someone shouts \u{201c}Hey!\u{201d}, then footsteps run down 2 flights of stairs \u{2013} and a door slams shut, loudly.",
];

fn texts(name: &str) -> Vec<&'static str> {
    if name == "msclap" {
        let spoken = TEXTS.into_iter().filter(|text| !text.is_empty());
        return spoken.chain(["Stop!! Now! It is over", "a!b ! c"]).collect();
    }
    TEXTS.to_vec()
}

fn source(file: &str) -> SourceFile {
    SourceFile::open(&path(file), None, None).unwrap()
}

fn original(file: &str, tokenizer: &str) -> ClapEncoder {
    ClapEncoder::open_original(&path(file), &ModelDir::local(&path(tokenizer)), &Device::Cpu, DType::F32, None).unwrap()
}

#[test]
fn files_of_the_authors_give_the_vectors_of_their_libraries() {
    let goldens = Goldens::load("original_clap.safetensors");
    for (file, tokenizer, name, _) in FILES {
        let encoder = original(file, tokenizer);
        for (length, samples) in SOUNDS {
            let features = encoder.extractor().extract(&wave(samples), Crop::Centre).unwrap();
            assert_eq!(features.is_longer, length == "long");
            if name != "laion_fusion" {
                let mel = Tensor::from_slice(&features.mel, (features.frames, 64), &Device::Cpu).unwrap();
                let rows: Vec<Tensor> = (0..features.frames).step_by(16).map(|row| mel.i(row..=row).unwrap()).collect();
                // Decibels; the libraries compute them in 32 bits.
                goldens.check(&format!("{name}.{length}.mel.every16"), &Tensor::cat(&rows, 0).unwrap(), 2e-3);
            }
            goldens.check(&format!("{name}.{length}.audio"), &encoder.embed_features(&[&features]).unwrap(), 1e-5);
        }
        goldens.check(&format!("{name}.texts"), &encoder.embed_texts(&texts(name)).unwrap(), 1e-5);
    }
}

#[test]
fn sounds_of_another_rate_are_resampled_as_the_library_does() {
    let encoder = original("original_clap/msclap.pth", "original_clap/gpt2");
    let samples = encoder.extractor().at_rate(&wave(144_017), 48_000).unwrap();
    assert_eq!(samples.len(), 132_316, "ceil(144,017 · 147 / 160)");
    let features = encoder.extractor().extract(&samples, Crop::Centre).unwrap();
    let vector = encoder.embed_features(&[&features]).unwrap();
    Goldens::load("original_clap.safetensors").check("msclap.resampled.audio", &vector, 1e-5);
    // The files of LAION are for sounds that were resampled before.
    let laion = original("original_clap/laion.pt", "clap_tiny");
    let halved = laion.extractor().at_rate(&wave(1_001), 24_000).unwrap();
    assert_eq!(halved, audsem_media::audio::resample(&wave(1_001), 24_000, 48_000).unwrap());
}

#[test]
fn a_converted_folder_is_the_file() {
    for (file, tokenizer, name, network) in FILES {
        let source = source(file);
        assert_eq!(SourceNetwork::of_clap(&source).unwrap(), network);
        let folder = tempfile::tempdir().unwrap();
        network.convert(&source).unwrap().write(folder.path()).unwrap();
        let (dir, tokenizer_dir) = (ModelDir::local(folder.path()), ModelDir::local(&path(tokenizer)));
        let opened = ClapEncoder::open_with(&dir, &tokenizer_dir, &Device::Cpu, DType::F32, None).unwrap();
        let direct = original(file, tokenizer);
        assert_eq!(opened.max_tokens(), direct.max_tokens(), "{name}");
        assert_eq!(opened.extractor().config().sampling_rate, direct.extractor().config().sampling_rate);
        let vectors = |encoder: &ClapEncoder| {
            let features = encoder.extractor().extract(&wave(144_017), Crop::Centre).unwrap();
            let (sound, text) = (encoder.embed_features(&[&features]), encoder.embed_texts(&["a dog barks"]));
            Tensor::cat(&[sound.unwrap(), text.unwrap()], 0).unwrap()
        };
        assert!(max_abs(&vectors(&opened), &vectors(&direct)) == 0.0, "{name}");
    }
}

#[test]
fn a_text_does_not_depend_on_those_beside_it() {
    for (file, tokenizer, name, _) in FILES {
        let encoder = original(file, tokenizer);
        let texts = texts(name);
        let together = encoder.embed_texts(&texts).unwrap();
        for (n, text) in texts.iter().enumerate() {
            assert!(max_abs(&encoder.embed_texts(&[text]).unwrap(), &together.i(n..=n).unwrap()) == 0.0, "{text}");
        }
    }
}

#[test]
fn texts_are_cut_where_the_libraries_cut_them() {
    let long = "rain ".repeat(200);
    let laion = original("original_clap/laion.pt", "clap_tiny").encode(&long).unwrap();
    assert_eq!((laion.ids.len(), laion.truncated, laion.ids[0], laion.ids[76]), (77, true, 0, 2));
    let microsoft = original("original_clap/msclap.pth", "original_clap/gpt2");
    let encoded = microsoft.encode(&long).unwrap();
    let end = microsoft.encode("a").unwrap().ids.last().copied();
    assert_eq!((encoded.ids.len(), encoded.truncated, encoded.ids.last().copied()), (96, true, end));
    assert!(!microsoft.encode("  ").unwrap().has_text && microsoft.encode("rain").unwrap().has_text);
    let ids = microsoft.encode("no!!").unwrap().ids;
    assert_eq!(ids.iter().filter(|id| **id == 0).count(), 2, "each ! is a token: {ids:?}");
}

#[test]
fn sizes_are_read_from_the_tensors() {
    let mut source = source("original_clap/laion_fusion.pt");
    let config = |source: &SourceFile| -> Config {
        let converted = SourceNetwork::LaionClap.convert(source).unwrap();
        serde_json::from_value(serde_json::Value::Object(converted.config.unwrap())).unwrap()
    };
    let Config { audio_config, text_config, projection_dim, max_text_tokens, .. } = config(&source);
    let AudioConfig { depths, num_attention_heads, enable_fusion, spec_size, window_size, aff_block_r, .. } =
        audio_config;
    assert_eq!((depths, num_attention_heads), (vec![2, 2, 2, 2], vec![1, 2, 2, 4]));
    assert_eq!((enable_fusion, spec_size, window_size, aff_block_r), (true, 256, 8, 4));
    assert_eq!((projection_dim, max_text_tokens), (24, Some(77)));
    assert_eq!((text_config.num_hidden_layers, text_config.num_attention_heads, text_config.vocab_size), (1, 2, 300));
    assert!((text_config.layer_norm_eps - 1e-5).abs() < 1e-12);
    // The masks that files of the authors have tell the size of the image.
    let masks = SourceTensor::new(SourceDtype::U8, vec![64, 64, 64], vec![0; 64 * 64 * 64]).unwrap();
    source.tensors.insert("audio_branch.layers.0.blocks.1.attn_mask".to_owned(), masks);
    assert_eq!(config(&source).audio_config.spec_size, 256);
    let microsoft = SourceNetwork::MsClap.convert(&self::source("original_clap/msclap.pth")).unwrap();
    let config: MsClapConfig = serde_json::from_value(microsoft.config.unwrap().into()).unwrap();
    assert_eq!((config.text_config.n_layer, config.text_config.n_head, config.text_config.n_positions), (2, 2, 96));
    assert_eq!(microsoft.features.unwrap()["filter_sampling_rate"], 32_000);
}

/// The message about a file with one tensor changed.
fn refusal(file: &str, network: SourceNetwork, change: impl FnOnce(&mut SourceFile)) -> String {
    let mut source = source(file);
    change(&mut source);
    network.convert(&source).unwrap_err().to_string()
}

#[test]
fn other_towers_and_filters_are_named() {
    let tensor = |shape: Vec<usize>| {
        let bytes = vec![0; 4 * shape.iter().product::<usize>()];
        SourceTensor::new(SourceDtype::F32, shape, bytes).unwrap()
    };
    let (laion, microsoft) = ("original_clap/laion.pt", "original_clap/msclap.pth");
    let put = |name: &'static str, shape: Vec<usize>| {
        move |source: &mut SourceFile| drop(source.tensors.insert(name.to_owned(), tensor(shape)))
    };
    let of_laion = |name, shape, part: &str| {
        let error = refusal(laion, SourceNetwork::LaionClap, put(name, shape));
        assert!(error.contains(part), "{error}");
    };
    of_laion("audio_branch.conv_block1.conv1.weight", vec![1], "the audio tower is PANN");
    of_laion("text_branch.embeddings.token_type_embeddings.weight", vec![2, 128], "the text tower is not RoBERTa");
    of_laion("audio_branch.logmel_extractor.melW", vec![513, 64], "trained behind other filters");
    of_laion("audio_branch.spectrogram_extractor.stft.conv_real.weight", vec![769, 1, 1536], "frames of 1536 samples");
    of_laion("audio_branch.layers.4.blocks.0.norm3.weight", vec![1], "unexpected (1)");
    let error = refusal(microsoft, SourceNetwork::MsClap, |source| drop(source.tensors.remove("logit_scale")));
    assert!(error.contains("missing (1): logit_scale"), "{error}");

    let mut other = source(laion);
    other.tensors.retain(|name, _| name.starts_with("text_branch."));
    let error = SourceNetwork::of_clap(&other).unwrap_err().to_string();
    assert!(error.contains("neither LAION's CLAP") && error.contains("laion.pt"), "{error}");
    other.tensors.insert("audio_encoder.base.conv_block1.conv1.weight".to_owned(), tensor(vec![1]));
    assert!(SourceNetwork::of_clap(&other).unwrap_err().to_string().contains("MS-CLAP 2022"));
}

#[test]
fn the_tokenizer_of_another_network_is_refused() {
    let bert = ModelDir::local(&path("clap_tiny"));
    let file = path("original_clap/msclap.pth");
    let error = ClapEncoder::open_original(&file, &bert, &Device::Cpu, DType::F32, None).unwrap_err().to_string();
    assert!(error.contains("is not one token") && error.contains("gpt2"), "{error}");
}
