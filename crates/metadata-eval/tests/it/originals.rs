//! `sat` and `audio --models beats` give the labels that the original networks give for the same samples.

use std::collections::HashMap;

use audsem_media::audio::{BitDepth, encode_flac};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata, SecondFeatures, SoundTag};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use crate::workbench::{Bench, fixture};

/// What the original network was given and gave.
pub(crate) struct Original {
    tensors: HashMap<String, Tensor>,
    pub(crate) config: Value,
}

impl Original {
    pub(crate) fn load(name: &str) -> Self {
        let path = fixture(&format!("original_networks/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let n = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        let header: Value = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
        let config = serde_json::from_str(header["__metadata__"]["config"].as_str().unwrap()).unwrap();
        Self { tensors: candle_core::safetensors::load(path, &Device::Cpu).unwrap(), config }
    }

    /// Writes a checkpoint of the network.
    pub(crate) fn write_model(&self, bench: &Bench, folder: &str, config: &Value) {
        let weights = self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("weights.")?, tensor)));
        let weights: HashMap<&str, Tensor> = weights.map(|(name, tensor)| (name, tensor.clone())).collect();
        bench.write(&format!("{folder}/config.json"), config.to_string());
        candle_core::safetensors::save(&weights, bench.path(&format!("{folder}/model.safetensors"))).unwrap();
    }

    /// The sounds as FLAC.
    pub(crate) fn sounds(&self) -> Vec<Vec<u8>> {
        let waveforms = self.tensors["inputs.waveform_i16"].to_vec2::<i16>().unwrap();
        let lengths = self.tensors["inputs.lengths"].to_vec1::<i64>().unwrap();
        let flac = |(samples, length): (&Vec<i16>, i64)| {
            let samples = &samples[..usize::try_from(length).unwrap()];
            let samples: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
            encode_flac(&samples, 1, 16_000, BitDepth::Sixteen).unwrap()
        };
        waveforms.iter().zip(lengths).map(flac).collect()
    }

    /// Writes a checkpoint of the network, its sounds, and names of its classes.
    fn write(&self, bench: &Bench, config: &Value) {
        self.write_model(bench, "model", config);
        for (clip, sound) in self.sounds().into_iter().enumerate() {
            bench.write(&format!("in/{clip}.flac"), sound);
        }
        let names: String = (0..11).map(|class| format!("{class},/m/{class},\"Class, {class}\"\n")).collect();
        bench.write("names.csv", format!("index,mid,display_name\n{names}"));
    }

    /// The probabilities of one clip.
    fn probabilities(&self, name: &str, clip: usize) -> Vec<f32> {
        self.tensors[name].get(clip).unwrap().to_vec1().unwrap()
    }
}

#[track_caller]
fn check(tags: &[SoundTag], probabilities: &[f32], top_k: usize) {
    let mut expected: Vec<(usize, f32)> = probabilities.iter().copied().enumerate().collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    assert_eq!(tags.len(), top_k);
    for (tag, (class, probability)) in tags.iter().zip(expected) {
        assert_eq!(tag.label, format!("Class, {class}"));
        assert!((tag.prob - probability).abs() < 1e-4, "{}: {} for {probability}", tag.label, tag.prob);
    }
}

#[test]
fn each_second_has_the_labels_of_the_original_stream() {
    let (bench, original) = (Bench::new(), Original::load("sat"));
    original.write(&bench, &original.config);
    let call = |flags: &str| bench.call(&format!("sat -i in --model model --class-names names.csv {flags}")).ended(0);
    assert_eq!(call("-o out").step("part")["counts"]["decoded"], 2);
    let rows: Vec<SecondFeatures> = bench.rows("out/part-00000.parquet");
    let seconds = &rows[0].seconds;
    assert_eq!((rows[0].key.as_str(), seconds.len(), seconds[2].start_ms, seconds[2].end_ms), ("0", 3, 2000, 3000));
    for (number, second) in seconds.iter().enumerate() {
        check(&second.tags, &original.probabilities(&format!("chunk{number}.probs"), 0), 5);
    }
    call("-o two --workers 2 --batch-size 1");
    assert_eq!(bench.tree("two"), bench.tree("out"));
    bench.call("combine --sat out -o combined").ended(0);
    let joined: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert_eq!(joined[0].seconds.as_ref(), Some(seconds));
    bench.write("few.csv", "index,mid,display_name\n0,/m/0,x\n");
    bench
        .call("sat -i in --model model --class-names few.csv -o no")
        .ended(2)
        .says("it names 1 classes, and the network has 11");
}

#[test]
fn beats_needs_the_names_of_its_classes() {
    let (bench, original) = (Bench::new(), Original::load("beats"));
    let labels: serde_json::Map<String, Value> = (0..11).map(|n| (n.to_string(), json!(format!("/m/{n}")))).collect();
    let mut config = original.config.clone();
    config["label_dict"] = labels.into();
    original.write(&bench, &config);
    let audio = "audio -i in --models beats --model-dir beats=model --top-k 3";
    bench.call(&format!("{audio} -o no")).ended(2).says("--class-names");
    bench.call(&format!("{audio} --class-names names.csv -o out")).ended(0);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    for (row, name) in rows.iter().zip(["long.probs", "short.probs"]) {
        check(row.beats_tags.as_ref().unwrap(), &original.probabilities(name, 0), 3);
    }
}
