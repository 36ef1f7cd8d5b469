//! A folder of CLAP2 as `--model`.

use std::path::{Path, PathBuf};

use audsem_core::hub::ModelDir;
use audsem_core::tables::VectorFile;
use audsem_media::audio::{BitDepth, Decoder, encode_flac};
use audsem_models::clap::{ClapEncoder, Crop};
use candle_core::{DType, Device};

use crate::workbench::{Bench, cosine};

/// A folder of CLAP2.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens/clap2_modern")
}

/// Sounds of several lengths, some captions, and the model.
fn bench() -> Bench {
    let bench = Bench::new();
    for (n, samples) in [700, 20_000, 96_000, 20_000].into_iter().enumerate() {
        let sound: Vec<f32> = (0..samples).map(|i| 0.4 * ((i * (n + 3)) as f32 * 0.02).sin()).collect();
        bench.write(&format!("in/{n}.flac"), encode_flac(&sound, 1, 48_000, BitDepth::Sixteen).unwrap());
    }
    bench.write("captions.csv", "key,text\na,a dog barks\nb,rain on a roof\nc,caf\u{e9} \u{1f327}\n");
    for name in [
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "open_clip_tiktoken/tiny.tiktoken",
        "open_clip_tiktoken/tiny.json",
    ] {
        bench.write(&format!("clap2/{name}"), std::fs::read(golden().join(name)).unwrap());
    }
    bench
}

fn vectors(bench: &Bench, folder: &str) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    let mut n = 0;
    while bench.path(&format!("{folder}/part-{n:05}.parquet")).exists() {
        let file = VectorFile::open(&bench.path(&format!("{folder}/part-{n:05}.parquet"))).unwrap();
        let dim = file.dim();
        all.extend(file.group(0).unwrap().chunks(dim).map(<[f32]>::to_vec));
        n += 1;
    }
    all
}

#[test]
fn sounds_and_captions_get_the_vectors_of_the_network() {
    let bench = bench();
    bench.call("embed-audio -i in --model clap2 -o audio").ended(0);
    bench.call("embed-text -i captions.csv --model clap2 -o text").ended(0);
    let encoder = ClapEncoder::open(&ModelDir::local(&golden()), &Device::Cpu, DType::F32, None).unwrap();
    let direct = encoder.embed_texts(&["a dog barks", "rain on a roof", "caf\u{e9} \u{1f327}"]).unwrap();
    assert_eq!(vectors(&bench, "text"), direct.to_vec2::<f32>().unwrap());
    let sounds = vectors(&bench, "audio");
    assert_eq!(sounds.len(), 4);
    for (n, vector) in sounds.iter().enumerate() {
        let sound = Decoder::new().decode_file(&bench.path(&format!("in/{n}.flac"))).unwrap();
        let features = encoder.extractor().extract(&sound.to_mono(), Crop::Centre).unwrap();
        let alone = encoder.embed_features(&[&features]).unwrap().to_vec2::<f32>().unwrap();
        assert!(cosine(vector, &alone[0]) > 1.0 - 1e-6 && vector == &alone[0]);
    }
}

#[test]
fn no_vector_depends_on_the_batch() {
    let bench = bench();
    let mut trees = Vec::new();
    for size in [1, 3, 16] {
        bench.call(&format!("embed-audio -i in --model clap2 --batch-size {size} -o audio-{size}")).ended(0);
        bench.call(&format!("embed-text -i captions.csv --model clap2 --batch-size {size} -o text-{size}")).ended(0);
        trees.push((vectors(&bench, &format!("audio-{size}")), vectors(&bench, &format!("text-{size}"))));
    }
    assert!(trees.iter().all(|tree| tree == &trees[0]));
}

#[test]
fn a_setting_that_is_not_known_stops_the_command() {
    let bench = bench();
    let config =
        bench.text("clap2/open_clip_config.json").replace("\"rope_type\": \"axial\"", "\"rope_type\": \"mixed\"");
    bench.write("clap2/open_clip_config.json", config);
    bench.call("embed-audio -i in --model clap2 -o out").ended(2).says("`rope_type` is \"mixed\"");
    assert!(!bench.path("out").exists());
}
