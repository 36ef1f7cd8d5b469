//! `export`: complete model folders of what was trained, on disk and on a hub.

use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::testing::Bench;
use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_llm::Role;
use audsem_models::generate::CausalDecoder as _;
use audsem_models::multimodal::MultimodalNetwork as _;
use audsem_models::multimodal::audio_language::{AudioLanguageModel, AudioModelOptions, AudioQuestion};
use audsem_models::multimodal::processor::ChatTurn;
use serde_json::{Value, json};

use crate::sft::{LORA, SCRATCH, bench, with_model};
use crate::sounds;

/// A bench with a finished training of adapters on a folder `model`.
pub(crate) fn trained() -> Bench {
    let bench = with_model(bench());
    bench.call(&format!("{LORA} --epochs 2 -o lora")).ended(0);
    bench
}

fn open(folder: &Path, adapter: Option<&Path>) -> AudioLanguageModel {
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let options = AudioModelOptions { adapter: adapter.map(name), ..AudioModelOptions::default() };
    AudioLanguageModel::open(&name(folder), &options).unwrap()
}

/// The tokens of a question about a sound, and the logits behind them.
fn logits(model: &AudioLanguageModel, sound: &[f32]) -> (Vec<u32>, Vec<f32>) {
    let turns = vec![ChatTurn::question(1, "What is it?")];
    assert_eq!(turns[0].role, Role::User);
    let ids = model.prompt(&AudioQuestion { turns, sounds: vec![sound.to_vec()], seed: 0 }).unwrap().tokens;
    let heard = model.network().embed_audio(sound).unwrap();
    let logits = model.network().decoder(vec![vec![heard]]).prefill(&[&ids]).unwrap();
    (ids, logits.into_iter().next().unwrap())
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn an_exported_model_is_its_base_with_the_adapter() {
    let bench = trained();
    bench.call("export -i lora -o out").ended(0);
    let sound = sounds::sound(1, 9);
    let base = logits(&open(&bench.path("model"), None), &sound).1;
    let adapted = logits(&open(&bench.path("model"), Some(&bench.path("lora/final"))), &sound).1;
    let exported = logits(&open(&bench.path("out/model"), None), &sound).1;
    assert!(worst(&exported, &adapted) < 1e-5 && worst(&exported, &base) > 1e-3);
    let card = bench.text("out/model/README.md");
    assert!(card.contains("Trained: lora") && card.contains("| train | 1 |"), "{card}");
    assert!(!card.contains(bench.path("").to_str().unwrap()), "no path of this machine:\n{card}");
    // A PEFT folder tells its base itself; another one may be named.
    bench.call("export -i lora/final --base model --dtype bf16 -o half").ended(0);
    let size = |run: &str| std::fs::metadata(bench.path(run).join("model/model.safetensors")).unwrap().len();
    assert!(size("half") * 19 / 10 < size("out"), "{} {}", size("half"), size("out"));
    assert_eq!(bench.json("half/model/config.json")["dtype"], "bfloat16");
}

#[test]
fn weights_that_were_trained_stand_in_the_place_of_those_of_the_base() {
    let bench = bench();
    bench.call(&format!("{SCRATCH} --max-steps 4 -o sft")).ended(0);
    bench.call("export -i sft -o out").ended(0);
    bench.call("export -i sft/final -o same").ended(0);
    let read = |path: &str| candle_core::safetensors::load(bench.path(path), &candle_core::Device::Cpu).unwrap();
    let (exported, trained) = (read("out/model/model.safetensors"), read("sft/final/trained.safetensors"));
    for (name, tensor) in &trained {
        let difference = (&exported[name] - tensor).unwrap().abs().unwrap().max_all().unwrap();
        assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{name}");
    }
    assert_eq!(exported.len(), trained.len() + 1, "the positions of the tower are constants");
    assert_eq!(
        std::fs::read(bench.path("out/model/model.safetensors")).unwrap(),
        std::fs::read(bench.path("same/model/model.safetensors")).unwrap()
    );
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json"] {
        assert!(bench.path("out/model").join(name).is_file(), "{name}");
    }
}

#[test]
fn what_is_no_result_of_a_training_is_refused() {
    let bench = with_model(bench());
    bench.call("export -i train -o a").ended(2).says("nothing that was trained is here");
    bench.call("export -i model --base model -o b").ended(2).says("nothing that was trained is here");
    bench.call(&format!("{LORA} --max-steps 1 -o lora")).ended(0);
    bench.call("export -i lora --layout thinker -o c").ended(2).says("--layout");
    bench.call("export -i lora --push-to-hub name -o d").ended(2).says("org/name");
    std::fs::remove_file(bench.path("lora/final/adapter_model.safetensors")).unwrap();
    bench.call("export -i lora -o e").ended(2);
}

/// The interpreter that has torch and transformers, if one is named.
#[allow(clippy::print_stderr, reason = "whoever reads the output of a test shall know that it was skipped")]
fn torch_python() -> Option<PathBuf> {
    let python = std::env::var_os("AUDSEM_GOLDENS_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!(
            "skipped: transformers has not opened the exported models\n\
             hint: name a Python with fixtures/regen/requirements.txt in AUDSEM_GOLDENS_PYTHON, as `just goldens` does"
        );
    }
    python
}

#[test]
fn transformers_opens_exported_models_and_says_the_same() {
    let Some(python) = torch_python() else { return };
    let bench = trained();
    bench.call("export -i lora -o adapters").ended(0);
    bench.call(&format!("{} --max-steps 2 -o sft", SCRATCH.replace("--target answer", "--target think"))).ended(0);
    bench.call("export -i sft -o whole").ended(0);
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/check-export.py"));
    for run in ["adapters", "whole"] {
        let (model, sound) = (open(&bench.path(run).join("model"), None), sounds::sound(2, 5));
        let (ids, logits) = logits(&model, &sound);
        bench.write(&format!("{run}/ours.json"), json!({ "ids": ids, "logits": logits, "sound": sound }).to_string());
        command.arg(bench.path(run).join("model"));
    }
    let output = command.env("HF_HUB_OFFLINE", "1").output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{failed}");
}

/// A hub that takes everything; weights go to its store of large files. The first answer of each route is a failure.
fn hub() -> Loopback {
    Loopback::start(|call, number| {
        if number == 0 {
            return Reply::Send(503, "", b"busy".to_vec());
        }
        let send = |json: Value| Reply::Send(200, "content-type: application/json\r\n", json.to_string().into_bytes());
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let host = &call.headers.iter().find(|(name, _)| name == "host").unwrap().1;
        match call.path.as_str() {
            "/api/repos/create" => Reply::Send(409, "", b"it is there".to_vec()),
            "/api/models/org/tiny/preupload/main" => {
                let mode = |file: &Value| {
                    let is_large = file["path"].as_str().unwrap().ends_with(".safetensors");
                    json!({ "path": file["path"], "uploadMode": if is_large { "lfs" } else { "regular" } })
                };
                send(json!({ "files": body["files"].as_array().unwrap().iter().map(mode).collect::<Vec<_>>() }))
            }
            "/org/tiny.git/info/lfs/objects/batch" => {
                let upload = json!({ "href": format!("http://{host}/store/1"), "header": { "x-store": "yes" } });
                let verify = json!({ "href": format!("http://{host}/verify") });
                let object = &body["objects"][0];
                let actions = json!({ "upload": upload, "verify": verify });
                send(json!({ "objects": [{ "oid": object["oid"], "size": object["size"], "actions": actions }] }))
            }
            "/store/1" | "/verify" => Reply::Send(200, "", Vec::new()),
            "/api/models/org/tiny/commit/main" => send(json!({ "commitUrl": "the commit", "commitOid": "1" })),
            other => Reply::Send(404, "", other.as_bytes().to_vec()),
        }
    })
}

#[test]
fn an_exported_model_is_uploaded_as_one_commit() {
    let (bench, hub) = (trained(), hub());
    let call = |token: &str| {
        bench.call_with("export -i lora -o out --push-to-hub org/tiny --private", |command| {
            let variables =
                [("HF_ENDPOINT", hub.url("").as_str()), ("HF_TOKEN", token)].map(|(k, v)| (k.to_owned(), v.to_owned()));
            command.envs(variables).env_remove("HF_HUB_OFFLINE");
        })
    };
    call("").ended(2).says("HF_TOKEN");
    assert!(hub.calls().is_empty());
    let called = call("secret").ended(0);
    assert_eq!(called.summary()["results"]["url"], "the commit");
    let weights = std::fs::metadata(bench.path("out/model/model.safetensors")).unwrap().len();
    assert_eq!(called.summary()["results"]["sent_bytes"], weights);
    let calls = hub.calls();
    let routes: Vec<(&str, &str)> = calls.iter().map(|call| (call.method.as_str(), call.path.as_str())).collect();
    assert_eq!(routes[0], routes[1], "tried again");
    let header = |path: &str, name: &str| {
        let call = calls.iter().find(|call| call.path == path).unwrap();
        call.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.clone())
    };
    assert_eq!(header("/api/repos/create", "authorization").unwrap(), "Bearer secret");
    assert_eq!(header("/store/1", "authorization"), None, "the store gets no token");
    assert_eq!(header("/store/1", "content-length").unwrap(), weights.to_string());
    assert_eq!(header("/store/1", "x-store").unwrap(), "yes");
    let commit = &calls.iter().find(|call| call.path.ends_with("/commit/main")).unwrap().body;
    let lines: Vec<Value> = commit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["key"], "header");
    let mut names: Vec<&str> = lines[1..].iter().map(|line| line["value"]["path"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut there: Vec<String> = std::fs::read_dir(bench.path("out/model"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(names, there);
    let large: Vec<&Value> = lines.iter().filter(|line| line["key"] == "lfsFile").collect();
    assert_eq!((large.len(), &large[0]["value"]["path"]), (1, &json!("model.safetensors")));
    assert_eq!(large[0]["value"]["oid"].as_str().unwrap().len(), 64);
    assert!(!called.stderr.contains("secret"));
}
