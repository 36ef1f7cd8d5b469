//! The vector of a sound or a caption is the same alone, in any company, in any order, on any number of workers and shards.

use std::collections::BTreeMap;

use audsem_core::tables::{AudioEmbedding, TextEmbedding, VectorFile, parts};

use crate::workbench::{Bench, flac, model};

fn call(bench: &Bench, arguments: &str) {
    bench.call(&format!("{arguments} --model {}", model().display())).ended(0);
}

/// The bits of each vector of a run, by key.
fn vectors(bench: &Bench, output: &str, keys: impl Fn(&str) -> Vec<String>) -> BTreeMap<String, Vec<u32>> {
    let mut found = BTreeMap::new();
    for part in parts(&bench.path(output), "part").unwrap() {
        let file = VectorFile::open(&part).unwrap();
        let values: Vec<f32> = (0..file.n_groups()).flat_map(|group| file.group(group).unwrap()).collect();
        let vectors = values.chunks(file.dim()).map(|row| row.iter().map(|x| x.to_bits()).collect());
        found.extend(keys(part.to_str().unwrap()).into_iter().zip(vectors));
    }
    found
}

fn audio(bench: &Bench, output: &str) -> BTreeMap<String, Vec<u32>> {
    vectors(bench, output, |part| bench.rows::<AudioEmbedding>(part).into_iter().map(|row| row.key).collect())
}

fn text(bench: &Bench, output: &str) -> BTreeMap<String, Vec<u32>> {
    vectors(bench, output, |part| bench.rows::<TextEmbedding>(part).into_iter().map(|row| row.key).collect())
}

/// Lists of 40, 1, 5 and 24 captions, of which some come again in a later list, and the same captions in one list, the last
/// first.
fn captions(bench: &Bench) {
    let caption = |n: usize| {
        let n = if n % 7 == 6 { n / 3 } else { n };
        format!("{}{}", ["a dog barks ", "rain ", "wind in the trees "][n % 3].repeat(1 + n % 5), n)
    };
    let rows: Vec<String> = (0..70).map(|n| format!("k{n},{}\n", caption(n))).collect();
    for (name, range) in [("0", 0..40), ("1", 40..41), ("2", 41..46), ("3", 46..70)] {
        bench.write(&format!("lists/{name}.csv"), format!("key,text\n{}", rows[range].concat()));
    }
    bench.write("backwards.csv", format!("key,text\n{}", rows.iter().rev().cloned().collect::<String>()));
    bench.write("alone.csv", format!("key,text\n{}", rows[13]));
}

const LISTS: &str = "-i lists/0.csv lists/1.csv lists/2.csv lists/3.csv";

#[test]
fn captions_in_any_company() {
    let bench = Bench::new();
    captions(&bench);
    call(&bench, &format!("embed-text {LISTS} -o one --workers 1"));
    let wanted = text(&bench, "one");
    assert_eq!(wanted.len(), 70);
    for (name, flags) in [("two", "--workers 2"), ("small", "--workers 1 --batch-size 1"), ("four", "--workers 4")] {
        call(&bench, &format!("embed-text {LISTS} -o {name} {flags}"));
        assert_eq!(bench.tree(name), bench.tree("one"), "{name}");
    }
    // Which keys there are is shared work, too: it is done when the second process ends.
    for shard in ["1/2", "0/2", "1/2"] {
        call(&bench, &format!("embed-text {LISTS} -o split --shard {shard} --workers 1"));
    }
    assert_eq!(bench.tree("split"), bench.tree("one"), "shards");
    call(&bench, "embed-text -i backwards.csv -o backwards --workers 2");
    assert!(text(&bench, "backwards") == wanted, "backwards");
    call(&bench, "embed-text -i alone.csv -o alone");
    assert_eq!(text(&bench, "alone")["k13"], wanted["k13"]);
    // The same in half precision, which goes another way.
    call(&bench, "embed-text -i backwards.csv -o half --workers 2 --dtype f16");
    call(&bench, "embed-text -i alone.csv -o half-alone --dtype f16");
    assert_eq!(text(&bench, "half-alone")["k13"], text(&bench, "half")["k13"]);
}

#[test]
fn sounds_in_any_company() {
    let bench = Bench::new();
    for n in 0..9u16 {
        bench.write(&format!("in/{n}.flac"), flac(200.0 + 50.0 * f32::from(n)));
    }
    let row = |n: usize| format!("k{n},../in/{n}.flac\n");
    for list in 0..3 {
        let rows: String = (4 * list..9.min(4 * list + 4)).map(row).collect();
        bench.write(&format!("lists/{list}.csv"), format!("key,path\n{rows}"));
    }
    bench.write("lists/alone.csv", format!("key,path\n{}", row(6)));
    let lists = "-i lists/0.csv lists/1.csv lists/2.csv";
    call(&bench, &format!("embed-audio {lists} -o one --workers 1"));
    for (name, flags) in [("two", "--workers 2"), ("small", "--workers 2 --batch-size 1"), ("three", "--batch-size 3")]
    {
        call(&bench, &format!("embed-audio {lists} -o {name} {flags}"));
        assert_eq!(bench.tree(name), bench.tree("one"), "{name}");
    }
    // Which keys there are is shared work, too: it is done when the second process ends.
    for shard in ["1/2", "0/2", "1/2"] {
        call(&bench, &format!("embed-audio {lists} -o split --shard {shard} --workers 1"));
    }
    assert_eq!(bench.tree("split"), bench.tree("one"), "shards");
    call(&bench, "embed-audio -i lists/alone.csv -o alone");
    assert_eq!(audio(&bench, "alone")["k6"], audio(&bench, "one")["k6"]);
}

/// A text's place in the order of texts does not decide its cosine either.
#[test]
fn similarities_in_any_company() {
    let bench = Bench::new();
    bench.write("a.flac", flac(300.0));
    let cosine = |texts: &[&str]| -> f64 {
        let mut command = bench.command("similarity a.flac --json --no-progress");
        let output = command.args(texts).arg("--model").arg(model()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        found.iter().find(|one| one["text"] == "rain").unwrap()["cosine"].as_f64().unwrap()
    };
    let words: Vec<String> = (0..40).map(|n| format!("word {n}")).collect();
    let many: Vec<&str> = words.iter().map(String::as_str).chain(["rain"]).collect();
    assert_eq!(cosine(&["rain"]).to_bits(), cosine(&many).to_bits());
}
