//! What `embed-audio` and `embed-text` make of their inputs: keys, repeats, bad records, dry runs.

use std::fs;

use audsem_clip_embeddings::tables::CaptionMatch;
use audsem_core::tables::{AudioEmbedding, TextEmbedding, VectorFile};
use audsem_core::tar::{ShardOptions, ShardWriter};

use crate::report::score;
use crate::torch_file::torch_file;
use crate::workbench::{Bench, Called, flac, model, shard};

fn call(bench: &Bench, arguments: &str) -> Called {
    bench.call(&format!("{arguments} --model {}", model().display()))
}

fn audio_keys(bench: &Bench, table: &str) -> Vec<String> {
    bench.rows::<AudioEmbedding>(table).into_iter().map(|row| row.key).collect()
}

fn text_keys(bench: &Bench, table: &str) -> Vec<String> {
    bench.rows::<TextEmbedding>(table).into_iter().map(|row| row.key).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, reason)| ((*key).to_owned(), (*reason).to_owned())).collect()
}

#[test]
fn a_list_has_the_same_keys_as_sounds_and_as_captions() {
    let bench = Bench::new();
    bench.write("a/x.flac", flac(300.0));
    bench.write("b/x.flac", flac(400.0));
    bench.write("list.csv", "path,text\na/x.flac,dog\nb/x.flac,cat\n");
    call(&bench, "embed-audio -i list.csv -o audio").ended(0);
    call(&bench, "embed-text -i list.csv -o text").ended(0);
    assert_eq!(audio_keys(&bench, "audio/part-00000.parquet"), ["a/x", "b/x"]);
    assert_eq!(text_keys(&bench, "text/part-00000.parquet"), ["a/x", "b/x"]);
    bench.call("match --audio audio --text text -o match").ended(0);
    assert_eq!(bench.rows::<CaptionMatch>("match/part-00000.parquet").len(), 2);
}

#[test]
fn a_key_that_was_given_stays_and_its_repeat_is_dropped() {
    let bench = Bench::new();
    bench.write("a/x.flac", flac(300.0));
    bench.write("b/x.flac", flac(400.0));
    bench.write("list.csv", "key,path,text\nk1,a/x.flac,dog\nk1,b/x.flac,cat\n");
    for command in ["embed-audio", "embed-text"] {
        call(&bench, &format!("{command} -i list.csv -o {command}")).ended(0);
        assert_eq!(bench.rejects(&format!("{command}/rejects-00000.jsonl")), owned(&[("k1", "repeated_key")]));
        let details = bench.details(&format!("{command}/rejects-00000.jsonl"));
        assert_eq!(details, ["list.csv, line 3; first in part 00000, list.csv"]);
    }
    assert_eq!(audio_keys(&bench, "embed-audio/part-00000.parquet"), ["k1"]);
}

/// Two folders of shards that have a clip in common, in which it lies also twice.
fn overlapping(bench: &Bench) {
    bench.write("a/0.tar", shard(&[("V (1.0-2.0)", "bark"), ("W (1.0-2.0)", "rain")]));
    bench.write("b/0.tar", shard(&[("X (1.0-2.0)", "bell"), ("V (1.0-2.0)", "bark"), ("V (1.0-2.0)", "bark")]));
    bench.write("b/1.tar", shard(&[("W (1.0-2.0)", "rain"), ("Y (1.0-2.0)", "hum")]));
}

#[test]
fn c18_a_clip_in_several_shards_is_embedded_once() {
    let bench = Bench::new();
    overlapping(&bench);
    for command in ["embed-audio", "embed-text"] {
        let called = call(&bench, &format!("{command} -i a b -o {command}")).ended(0);
        let step = called.step("part");
        assert_eq!((&step["in"], &step["kept"], &step["dropped"]["repeated_key"]), (&7.into(), &4.into(), &3.into()));
        let keys = |table: &str| match command {
            "embed-audio" => audio_keys(&bench, &format!("{command}/{table}")),
            _ => text_keys(&bench, &format!("{command}/{table}")),
        };
        assert_eq!(keys("part-00000.parquet"), ["V (1_0-2_0)", "W (1_0-2_0)"]);
        assert_eq!(keys("part-00001.parquet"), ["X (1_0-2_0)"]);
        assert_eq!(keys("part-00002.parquet"), ["Y (1_0-2_0)"]);
        let details = bench.details(&format!("{command}/rejects-00001.jsonl"));
        assert_eq!(details, ["2; first in part 00000, 0.tar", "3; first in part 00000, 0.tar"]);
        assert_eq!(bench.text(&format!("{command}/keys-00000.csv")), "key\nV (1_0-2_0)\nW (1_0-2_0)\n");
    }
}

#[test]
fn c18_repeats_are_the_same_for_any_workers_and_processes() {
    let bench = Bench::new();
    overlapping(&bench);
    call(&bench, "embed-audio -i a b -o whole --workers 1").ended(0);
    call(&bench, "embed-audio -i a b -o two --workers 2").ended(0);
    // Each process goes through in one call, whichever comes first, and knows what the others' shards have.
    call(&bench, "embed-audio -i a b -o parts --shard 1/2").ended(0);
    assert_eq!(audio_keys(&bench, "parts/part-00001.parquet"), ["X (1_0-2_0)"]);
    call(&bench, "embed-audio -i a b -o parts --shard 0/2").ended(0);
    call(&bench, "embed-audio -i a b -o parts").ended(0);
    for other in ["two", "parts"] {
        assert_eq!(bench.tree("whole"), bench.tree(other), "{other}");
    }
}

#[test]
fn a_done_table_is_not_mixed_with_other_owners_of_its_keys() {
    let bench = Bench::new();
    overlapping(&bench);
    let whole = fs::read(bench.path("a/0.tar")).unwrap();
    bench.write("a/0.tar", &whole[..whole.len() / 2]);
    // A shard that cannot be read owns nothing, so the others keep its clips.
    call(&bench, "embed-audio -i a b -o out").ended(1).says("0.tar");
    assert_eq!(audio_keys(&bench, "out/part-00002.parquet"), ["W (1_0-2_0)", "Y (1_0-2_0)"]);
    bench.write("a/0.tar", &whole);
    call(&bench, "embed-audio -i a b -o out").ended(2).says("input of shard part-00001");
    call(&bench, "embed-audio -i a b -o out --fresh").ended(0);
}

#[test]
fn broken_json_is_a_fault_and_never_another_name() {
    let bench = Bench::new();
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    let strange = br#"{"original_filename": "V (1.0-2.0).mp4", "text": ["dog","cat"]}"#;
    tar.write_sample("1", &[("flac", &flac(300.0)), ("json", strange)]).unwrap();
    tar.write_sample("2", &[("flac", &flac(310.0)), ("json", br#"{"original_filename": "W "#)]).unwrap();
    tar.write_sample("3", &[("flac", &flac(320.0)), ("json", br#"{"original_filename": 7, "text": "rain"}"#)]).unwrap();
    bench.write("in.tar", tar.finish().unwrap().0);
    call(&bench, "embed-audio -i in.tar -o audio --max-fail-rate 1").ended(0);
    assert_eq!(audio_keys(&bench, "audio/part-00000.parquet"), ["V (1_0-2_0)"]);
    assert_eq!(bench.rejects("audio/rejects-00000.jsonl"), owned(&[("2", "bad_json"), ("3", "bad_json")]));
    call(&bench, "embed-text -i in.tar -o text --max-fail-rate 1").ended(1).says("none of 3 captions was kept");
    let expected = owned(&[("V (1_0-2_0)", "no_caption"), ("2", "bad_json"), ("3", "bad_json")]);
    assert_eq!(bench.rejects("text/rejects-00000.jsonl"), expected);
}

#[test]
fn a_bad_line_of_a_list_is_left_out_alone() {
    let bench = Bench::new();
    bench.write("a.flac", flac(300.0));
    bench.write("list.csv", "key,path,text\nk1,,dog\nk2,a.flac,cat,mat\nk3,a.flac,rain\n");
    call(&bench, "embed-audio -i list.csv -o audio --max-fail-rate 1").ended(0);
    assert_eq!(audio_keys(&bench, "audio/part-00000.parquet"), ["k3"]);
    assert_eq!(
        bench.rejects("audio/rejects-00000.jsonl"),
        owned(&[("k1", "bad_row"), ("list.csv, line 3", "bad_row")])
    );
    let details = bench.details("audio/rejects-00000.jsonl");
    assert_eq!(details[0], "list.csv, line 2: no `path`");
    assert_eq!(details[1], "list.csv, line 3: 4 columns where the first line has 3");
    call(&bench, "embed-text -i list.csv -o text --max-fail-rate 1").ended(0);
    assert_eq!(text_keys(&bench, "text/part-00000.parquet"), ["k1", "k3"]);
}

#[test]
fn what_a_folder_with_tars_hides_is_said() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&[("V (1.0-2.0)", "bark")]));
    bench.write("in/a.flac", flac(300.0));
    bench.write("in/x/b.flac", flac(300.0));
    bench.write("in/x/1.tar", shard(&[("W (1.0-2.0)", "rain")]));
    let called = call(&bench, "embed-audio -i in -o audio").ended(0);
    called.says("tars in subfolders are not read: 1 below in");
    let called = call(&bench, "embed-audio -i in -o again").ended(0);
    called.says("files next to tars are not read: 2 in and below in");
    call(&bench, "embed-text -i in -o text").ended(0).says("tars in subfolders are not read: 1 below in");
    // A folder with nothing but tars below names them, too.
    bench.write("out/x/1.tar", shard(&[("W (1.0-2.0)", "rain")]));
    call(&bench, "embed-audio -i out -o none").ended(2).says("tars in subfolders are not read: 1 below out");
}

#[test]
fn a_dry_run_counts_what_a_run_would_embed_and_needs_no_model() {
    let bench = Bench::new();
    overlapping(&bench);
    bench.write("sounds/a.flac", flac(300.0));
    bench.write("sounds/b.mp3", "no header of ours");
    bench.write("list.csv", "key,path\nk1,sounds/a.flac\nk1,sounds/a.flac\nk2,sounds/gone.flac\n");
    let dry = "-i a b list.csv sounds -o dry --dry-run --max-fail-rate 1 --model absent/model/folder";
    let called = bench.call(&format!("embed-audio {dry}")).ended(0);
    let step = called.step("part");
    assert_eq!((&step["in"], &step["kept"]), (&12.into(), &7.into()));
    assert_eq!((&step["dropped"]["repeated_key"], &step["failed"]["unreadable"]), (&4.into(), &1.into()));
    // Six tones of half a second each.
    let results = &called.summary()["results"];
    assert_eq!((&results["shards"], &results["seconds_of_sound"]), (&5.into(), &3.0.into()));
    assert_eq!(results["sounds_not_in_these_seconds"], 1);
    assert!(!bench.path("dry").exists());
    let called = bench.call("embed-text -i a b -o dry --dry-run --model absent/model/folder").ended(0);
    let step = called.step("part");
    assert_eq!((&step["in"], &step["kept"], &step["dropped"]["repeated_key"]), (&7.into(), &4.into(), &3.into()));
    // And a real run comes to the same.
    let real = call(&bench, "embed-audio -i a b -o real").ended(0);
    let dry = bench.call("embed-audio -i a b -o dry --dry-run --model absent/model/folder").ended(0);
    assert_eq!(real.summary()["results"], dry.summary()["results"]);
}

#[test]
fn tables_of_one_model_are_compared_whatever_its_folder_is_called() {
    let bench = Bench::new();
    bench.write("in.tar", shard(&[("V (1.0-2.0)", "bark")]));
    for (name, change) in [("one", ""), ("two", ""), ("other", "\n")] {
        for file in ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"] {
            let mut content = fs::read(model().join(file)).unwrap();
            if file == "tokenizer.json" {
                content.extend_from_slice(change.as_bytes());
            }
            bench.write(&format!("{name}/{file}"), content);
        }
    }
    bench.call("embed-audio -i in.tar --model one -o audio").ended(0);
    for (name, flags) in [("two", ""), ("other", ""), ("two", "--dtype bf16")] {
        let output = format!("{name}{}", flags.len());
        bench.call(&format!("embed-text -i in.tar --model {name} -o text-{output} {flags}")).ended(0);
    }
    bench.call("match --audio audio --text text-two0 -o renamed").ended(0);
    bench.call("match --audio audio --text text-other0 -o other").ended(2).says("embeddings of the model other@");
    let mixed = bench.call("match --audio audio --text text-two12 -o mixed").ended(0);
    mixed.says("numbers of different types");
}

#[test]
fn a_pickled_checkpoint_gives_the_same_vectors() {
    let bench = Bench::new();
    bench.write("in.tar", shard(&[("V (1.0-2.0)", "dog barks")]));
    for file in ["config.json", "preprocessor_config.json", "tokenizer.json"] {
        bench.write(&format!("pickled/{file}"), fs::read(model().join(file)).unwrap());
    }
    let tensors = candle_core::safetensors::load(model().join("model.safetensors"), &candle_core::Device::Cpu).unwrap();
    bench.write("pickled/pytorch_model.bin", torch_file(&tensors.into_iter().collect()));
    for command in ["embed-audio", "embed-text"] {
        call(&bench, &format!("{command} -i in.tar -o {command}")).ended(0);
        bench.call(&format!("{command} -i in.tar -o {command}-pickled --model pickled")).ended(0);
        let vectors = |folder: String| {
            VectorFile::open(&bench.path(&format!("{folder}/part-00000.parquet"))).unwrap().group(0).unwrap()
        };
        assert_eq!(vectors(command.to_owned()), vectors(format!("{command}-pickled")));
    }
}

/// A tar that is cut, or has data after its end marker, plain and compressed.
#[test]
fn tars_without_their_end_or_with_more_behind_it_fail_in_every_command() {
    let bench = Bench::new();
    let whole = shard(&[("V (1.0-2.0)", "bark"), ("W (1.0-2.0)", "rain")]);
    let glued = [whole.clone(), whole.clone()].concat();
    bench.write("ok/0.tar", &whole);
    bench.write("cut/0.tar", &whole[..whole.len() - 1024]);
    bench.write("glued/0.tar", &glued);
    bench.write("glued-zst/0.tar.zst", zstd::encode_all(&glued[..], 1).unwrap());
    bench.table("scores/a.parquet", &[score("V (1_0-2_0)", "one", 1.0)]);
    let each = [
        "embed-audio --dry-run -i IN -o dry --model MODEL",
        "embed-audio -i IN -o audio --model MODEL",
        "embed-text -i IN -o text --model MODEL",
        "merge-shards --source IN -o merged",
        "extract -i scores --shards IN -o copies",
        "report -i scores --shards IN -o report",
    ];
    for (input, problem) in [
        ("cut", "tar without end marker"),
        ("glued", "tar has data after its end marker"),
        ("glued-zst", "tar has data after its end marker"),
    ] {
        for command in each {
            let command = command.replace("MODEL", &model().display().to_string());
            bench.call(&command.replace("IN", "ok").replace("-o ", "-o ok-")).ended(0);
            let called = bench.call(&command.replace("IN", input).replace("-o ", &format!("-o {input}-")));
            called.ended(1).says(problem);
        }
    }
}

/// Consecutive samples of one key are one key twice, not one sample with twice the members.
#[test]
fn a_clip_twice_in_a_tar_keeps_its_first() {
    let bench = Bench::new();
    let (first, second) = (flac(300.0), flac(900.0));
    let json = br#"{"key": "V (1_0-2_0)", "text": "bark"}"#;
    let members: [(&str, &[u8]); 4] = [("1.flac", &first), ("1.json", json), ("1.flac", &second), ("1.json", json)];
    let mut tar = tar::Builder::new(Vec::new());
    for (name, payload) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(payload.len() as u64);
        tar.append_data(&mut header, name, payload).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    bench.write("plain.tar", &tar);
    bench.write("packed.tar.zst", zstd::encode_all(&tar[..], 1).unwrap());
    bench.write("first.flac", &first);
    bench.write("list.csv", "key,path\nV (1_0-2_0),first.flac\n");
    call(&bench, "embed-audio -i list.csv -o expected").ended(0);
    let vectors = |folder: &str| {
        VectorFile::open(&bench.path(&format!("{folder}/part-00000.parquet"))).unwrap().group(0).unwrap()
    };
    for input in ["plain.tar", "packed.tar.zst"] {
        call(&bench, &format!("embed-audio -i {input} -o out-{input}")).ended(0);
        assert_eq!(vectors(&format!("out-{input}")), vectors("expected"));
        let details = bench.details(&format!("out-{input}/rejects-00000.jsonl"));
        assert_eq!(details, [format!("1; first in part 00000, {input}")]);
    }
}

/// A tokenizer that puts nothing around a text may leave nothing of it.
#[test]
fn a_caption_without_a_token_is_a_reject() {
    let bench = Bench::new();
    for entry in fs::read_dir(model()).unwrap() {
        let path = entry.unwrap().path();
        bench.write(&format!("model/{}", path.file_name().unwrap().to_str().unwrap()), fs::read(&path).unwrap());
    }
    let mut tokenizer = bench.json("model/tokenizer.json");
    tokenizer["post_processor"] = serde_json::Value::Null;
    tokenizer["normalizer"] = serde_json::json!({"type": "Replace", "pattern": {"String": "♪"}, "content": ""});
    bench.write("model/tokenizer.json", tokenizer.to_string());
    bench.write("model/tokenizer_config.json", r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#);
    bench.write("list.csv", "key,text\na,a dog barks\nb,♪♪\nc,rain\n");
    bench.call("embed-text -i list.csv --model model -o text --max-fail-rate 1").ended(0);
    assert_eq!(text_keys(&bench, "text/part-00000.parquet"), ["a", "c"]);
    assert_eq!(bench.rejects("text/rejects-00000.jsonl"), owned(&[("b", "no_tokens")]));
}
