//! Model folders that want to do harm, or are broken in a way that shows nowhere: each is refused with its reason.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::workbench::{Bench, model, shard};

/// A folder with a copy of the tiny model and a shard to embed.
fn bench() -> (Bench, PathBuf) {
    let bench = Bench::new();
    let folder = bench.path("model");
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(model()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    bench.write("in.tar", shard(&[("V (1.0-2.0)", "rain"), ("W (1.0-2.0)", "wind")]));
    (bench, folder)
}

fn set(path: &std::path::Path, pointer: &str, value: Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    fs::write(path, json.to_string()).unwrap();
}

/// Memory may grow to 4 GiB, so that a test of what is asked for before it is checked cannot bring the machine down.
fn refused(bench: &Bench, what: &str, part: &str) {
    for command in ["embed-text", "embed-audio"] {
        let mut call = std::process::Command::new("sh");
        let program = bench.command(&format!("{command} -i in.tar -o out --model model --workers 1 --no-progress"));
        call.args(["-c", "ulimit -v 4194304; exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
        let output = call.current_dir(bench.path("")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}, {command}: {told}");
        assert!(told.contains(part), "{what}, {command}: {part} is not in: {told}");
        assert!(!bench.path("out").exists(), "{what}, {command}");
    }
}

#[test]
fn absurd_sizes_in_config_json() {
    let (huge, max) = (json!(1u64 << 40), json!(u64::MAX));
    for (pointer, value) in [
        ("/text_config/hidden_size", huge.clone()),
        ("/text_config/vocab_size", json!(200_000_000)),
        ("/text_config/vocab_size", max.clone()),
        ("/text_config/num_hidden_layers", huge.clone()),
        ("/text_config/intermediate_size", json!(100_000_000)),
        ("/text_config/max_position_embeddings", json!(100_000_000)),
        ("/text_config/num_attention_heads", json!(0)),
        ("/text_config/num_attention_heads", json!(5)),
        ("/text_config/num_attention_heads", json!(-4)),
        ("/audio_config/depths", json!([1_000_000_000_000u64, 2, 1, 2])),
        ("/audio_config/num_attention_heads", json!([3, 2, 4, 8])),
        ("/audio_config/patch_embeds_hidden_size", max.clone()),
        ("/audio_config/spec_size", huge.clone()),
        ("/audio_config/window_size", json!(0)),
        ("/audio_config/mlp_ratio", json!(1e300)),
        ("/projection_dim", huge),
        ("/projection_dim", json!(100_000_000)),
        ("/projection_dim", json!(-1)),
    ] {
        let (bench, folder) = bench();
        set(&folder.join("config.json"), pointer, value.clone());
        let key = pointer.rsplit('/').next().unwrap();
        let told = match (key, &value) {
            ("depths", _) => "missing",
            ("num_hidden_layers", _) => "missing",
            (_, value) if value.as_i64().is_some_and(|value| value < 0) => "config.json",
            ("vocab_size" | "intermediate_size" | "max_position_embeddings" | "projection_dim", value)
                if *value == json!(200_000_000) || *value == json!(100_000_000) =>
            {
                "wrong shape"
            }
            (key, _) => key,
        };
        refused(&bench, &format!("{pointer}: {value}"), told);
    }
}

#[test]
fn absurd_settings_of_features() {
    for (key, value) in [
        ("sampling_rate", json!(4_000_000_000u32)),
        ("sampling_rate", json!(0)),
        ("feature_size", json!(1u64 << 40)),
        ("feature_size", json!(65)),
        ("fft_window_size", json!(1u64 << 40)),
        ("hop_length", json!(0)),
        ("hop_length", json!(1)),
        ("max_length_s", json!(4_000_000_000u32)),
        ("frequency_max", json!(-5.0)),
    ] {
        let (bench, folder) = bench();
        set(&folder.join("preprocessor_config.json"), &format!("/{key}"), value.clone());
        let told = match key {
            "hop_length" if value == json!(1) => "max_length_s",
            "feature_size" if value == json!(65) => "mel bins",
            key => key,
        };
        refused(&bench, &format!("{key}: {value}"), told);
    }
}

/// Sizes that a tokenizer file asks for and nobody needs.
#[test]
fn absurd_lengths_in_tokenizer_json_do_not_matter() {
    let (bench, folder) = bench();
    let path = folder.join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["padding"] = json!({"strategy": {"Fixed": 1u64 << 50}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
    json["truncation"] =
        json!({"direction": "Right", "max_length": 1u64 << 60, "strategy": "LongestFirst", "stride": 1u64 << 59});
    fs::write(&path, json.to_string()).unwrap();
    for class in ["RobertaTokenizer", "PreTrainedTokenizerFast"] {
        fs::write(
            folder.join("tokenizer_config.json"),
            json!({"tokenizer_class": class, "model_max_length": 1e30}).to_string(),
        )
        .unwrap();
        bench.call(&format!("embed-text -i in.tar -o {class} --model model")).ended(0);
    }
}

/// NaN in a weight made all vectors equal, with exit code 0.
#[test]
fn numbers_that_are_none_in_weights() {
    for broken in [f32::NAN, f32::INFINITY] {
        let (bench, folder) = bench();
        let path = folder.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let name = "text_model.encoder.layer.0.output.dense.weight";
        let from = usize::try_from(json[name]["data_offsets"][0].as_u64().unwrap()).unwrap() + 8 + header;
        bytes[from + 16..from + 20].copy_from_slice(&broken.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        refused(&bench, &format!("{broken}"), name);
    }
}

#[test]
fn captions_of_many_megabytes_take_little_memory_and_are_counted() {
    let bench = Bench::new();
    let mut list = fs::File::create(bench.path("list.csv")).unwrap();
    writeln!(list, "key,text\nshort,rain").unwrap();
    for (key, word, n) in [("words", "rain falls ", 5 << 20), ("one", "x", 50 << 20)] {
        writeln!(list, "{key},{}", word.repeat(n)).unwrap();
    }
    drop(list);
    let mut call = std::process::Command::new("sh");
    let arguments = format!(
        "embed-text -i list.csv -o out --workers 1 --no-progress --max-fail-rate 1 --model {}",
        model().display()
    );
    let program = bench.command(&arguments);
    call.args(["-c", "ulimit -v 2097152; exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
    let output = call.current_dir(bench.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let stats = bench.json("out/stats.json");
    let step = &stats["steps"]["part"];
    assert_eq!((&step["kept"], &step["counts"]["truncated"]), (&2.into(), &1.into()), "{step}");
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), [("one".to_owned(), "too_long".to_owned())]);
}
