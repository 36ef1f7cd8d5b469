//! `predict` against a server on the loopback, and by a model in this process.

use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use audsem_evaluate::item::{AnswerKind, EvaluationItem};
use audsem_evaluate::prediction::{HeardSound, Prediction, PredictionStatus};
use audsem_media::audio::{Decoder, encode_wav};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::workbench::{Bench, fixture};

const RATE_HZ: u32 = 8000;

/// A question about a sound.
pub(crate) fn item(id: &str, sound: &str, kind: AnswerKind, choices: &[&str]) -> EvaluationItem {
    EvaluationItem {
        benchmark: "test".to_owned(),
        id: id.to_owned(),
        kind,
        sounds: vec![sound.to_owned()],
        question: "What is heard?".to_owned(),
        choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
        references: vec!["a dog".to_owned()],
        groups: Default::default(),
        published: Default::default(),
    }
}

pub(crate) fn write_items(bench: &Bench, items: &[EvaluationItem]) {
    let lines: String = items.iter().map(|item| serde_json::to_string(item).unwrap() + "\n").collect();
    bench.write("items.jsonl", lines);
}

/// A tone of 8 kHz as WAV.
pub(crate) fn tone(seconds: f32) -> Vec<u8> {
    let n = (RATE_HZ as f32 * seconds) as usize;
    let samples: Vec<f32> = (0..n).map(|n| (n as f32 * 0.3).sin() * 0.4).collect();
    encode_wav(&samples, 1, RATE_HZ).unwrap()
}

/// So many questions with options in `items.jsonl`, about tones of 1 s, 2 s and so on in `sounds`.
pub(crate) fn items(bench: &Bench, n: usize) {
    let name = |n: usize| format!("{n}.wav");
    (0..n).for_each(|n| bench.write(&format!("sounds/{}", name(n)), tone(n as f32 + 1.0)));
    let options = ["a dog", "a door", "the rain"];
    let question = |n: usize| EvaluationItem {
        question: format!("What is heard{n}?"),
        ..item(&format!("q{n}"), &name(n), AnswerKind::Choice, &options)
    };
    write_items(bench, &(0..n).map(question).collect::<Vec<_>>());
}

/// The samples of the sound of a request, and its text.
fn sent(call: &ReceivedRequest) -> (Option<Vec<f32>>, String) {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    match &body["messages"][0]["content"] {
        Value::String(text) => (None, text.clone()),
        Value::Array(parts) => {
            let wav = parts.iter().find(|part| part["type"] == "input_audio").map(|part| {
                let data = part["input_audio"]["data"].as_str().unwrap();
                let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
                Decoder::new().decode_bytes(&bytes, Some("wav")).unwrap().to_mono()
            });
            let text = parts.iter().find_map(|part| part["text"].as_str()).unwrap();
            (wav, text.to_owned())
        }
        other => panic!("{other}"),
    }
}

/// The server counts a token for each word and 25 for each second, and tells how loud and how long the sound is.
pub(crate) fn answered(call: &ReceivedRequest) -> Reply {
    let (sound, text) = sent(call);
    let tokens = text.split_whitespace().count() + sound.as_ref().map_or(0, |sound| sound.len() / 640);
    let said = match &sound {
        None => "no sound".to_owned(),
        Some(sound) if sound.iter().all(|sample| *sample == 0.0) => format!("{} ms of silence", sound.len() / 16),
        Some(sound) => format!("{} ms of sound", sound.len() / 16),
    };
    let body = json!({"choices": [{"message": {"content": said}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 4}});
    Reply::Send(200, "", body.to_string().into_bytes())
}

pub(crate) fn predictions(bench: &Bench, run: &str, parts: usize) -> Vec<Prediction> {
    let part = |n: usize| bench.text(&format!("{run}/part-{n:05}.jsonl"));
    let text: String = (0..parts).map(part).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_way_to_ask_gives_a_line_and_no_question_is_asked_twice() {
    let bench = Bench::new();
    items(&bench, 3);
    let server = Loopback::start(|call, _| answered(call));
    let url = server.url("/v1");
    let call = |output: &str, flags: &str| {
        let flags = format!("{flags} --permute 2 --blind --replay replay --expect-family qwen2-audio");
        let common = "--items items.jsonl --sounds sounds --per-shard 2 --model m";
        bench.call(&format!("predict {common} {flags} -o {output} --server {url}")).ended(0)
    };
    let summary = call("out", "").summary();
    let answered = &summary["steps"]["part"]["counts"]["answered"];
    assert_eq!((&summary["results"]["questions"], answered), (&json!(3), &json!(12)));
    let all = predictions(&bench, "out", 2);
    let way = |one: &Prediction| (one.item.id.clone(), one.index, one.heard, one.permutation);
    let expected = |n: u64| {
        use HeardSound::{Nothing, Silence, Sound};
        [(Sound, 0), (Sound, 1), (Silence, 0), (Nothing, 0)].map(|(heard, order)| (format!("q{n}"), n, heard, order))
    };
    assert_eq!(all.iter().map(way).collect::<Vec<_>>(), [0, 1, 2].map(expected).concat());
    let said: Vec<&str> = all[4..8].iter().map(|one| one.output.as_deref().unwrap()).collect();
    assert_eq!(said, ["2000 ms of sound", "2000 ms of sound", "2000 ms of silence", "no sound"]);
    assert_eq!(all[4].shown_choices, ["a dog", "a door", "the rain"]);
    assert_ne!(all[5].shown_choices, all[4].shown_choices);
    assert_ne!(all[5].prompt_sha256, all[4].prompt_sha256);
    assert_eq!(all[6].prompt_sha256, all[4].prompt_sha256);
    let tokens = |one: &Prediction| (one.prompt_tokens, one.text_tokens, one.sounds.first().map(|s| s.expected_tokens));
    assert_eq!(tokens(&all[4]), (Some(63), Some(13), Some(Some(50))));
    assert_eq!(tokens(&all[6]), (Some(63), Some(13), Some(Some(50))));
    assert_eq!(tokens(&all[7]), (Some(13), Some(13), None));
    let n = server.calls().len();
    // Beside the probe of the server: four ways to ask and two texts alone for each question.
    let questions = server.calls().iter().filter(|call| sent(call).1.contains("Choices:")).count();
    assert_eq!(questions, 3 * 6);
    call("again", "--workers 2");
    assert_eq!(server.calls().len(), n);
    assert_eq!(bench.tree("again"), bench.tree("out"));
}

#[test]
fn what_cannot_be_asked_is_written_down_with_its_reason() {
    let bench = Bench::new();
    for (name, sound) in [("short.wav", tone(0.25)), ("long.wav", tone(2.5)), ("broken.wav", b"RIFF".to_vec())] {
        bench.write(&format!("sounds/{name}"), sound);
    }
    let letters: Vec<String> = (0..27).map(|n| n.to_string()).collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    write_items(
        &bench,
        &[
            item("short", "short.wav", AnswerKind::Open, &[]),
            item("speech", "./long.wav", AnswerKind::Transcript, &[]),
            item("long", "long.wav", AnswerKind::Caption, &[]),
            item("broken", "broken.wav", AnswerKind::Open, &[]),
            item("absent", "absent.wav", AnswerKind::Open, &[]),
            item("many", "short.wav", AnswerKind::Choice, &letters),
        ],
    );
    let server = Loopback::start(|call, _| answered(call));
    let url = server.url("/v1");
    let call = |long: &str| {
        let flags = format!("--items items.jsonl --sounds sounds --model m --longest-s 1 --long {long}");
        let called = bench.call(&format!("predict {flags} -o {long} --server {url}")).ended(0);
        assert!(called.stderr.contains("1 of 6 sounds is not there"), "{}", called.stderr);
        let all = predictions(&bench, long, 1);
        let brief = |one: &Prediction| {
            let given = one.sounds.first().map_or(0, |sound| sound.given_ms);
            (one.status, one.output.clone().unwrap_or_default(), given)
        };
        (called.step("part"), all.iter().map(brief).collect::<Vec<_>>(), all)
    };
    use PredictionStatus::{Answered, NoSound, Refused, TooLong};
    let none = String::new;
    let said = |text: &str| text.to_owned();
    let (step, brief, all) = call("chunk");
    let chunks = "1000 ms of sound 1000 ms of sound 1000 ms of sound";
    let first = [
        (Answered, said("1000 ms of sound"), 250),
        (Answered, said(chunks), 2500),
        (Answered, said("1000 ms of sound"), 1000),
    ];
    let last = [(NoSound, none(), 0), (NoSound, none(), 0), (Refused, none(), 250)];
    assert_eq!(brief, [first.as_slice(), &last].concat());
    assert_eq!((&step["kept"], &step["counts"]["partly_heard"]), (&json!(6), &json!(1)));
    let problems: Vec<&str> = all[3..].iter().map(|one| one.problem.as_deref().unwrap()).collect();
    assert!(problems[0].contains("broken.wav") && problems[1].contains("no such sound"), "{problems:?}");
    assert!(problems[2].contains("27 options"), "{problems:?}");
    assert_eq!((all[1].prompt_tokens, all[1].text_tokens), (Some(3 * 28), Some(3 * 3)), "of all pieces");
    let (_, brief, _) = call("refuse");
    assert_eq!(brief[1..3], [(TooLong, none(), 0), (TooLong, none(), 0)]);
    let (_, brief, _) = call("native");
    assert_eq!(brief[1], (Answered, said("2500 ms of sound"), 2500));
}

#[test]
fn answers_that_are_cut_or_refused_are_told_apart() {
    let bench = Bench::new();
    items(&bench, 3);
    let server = Loopback::start(|call, _| {
        let (sound, text) = sent(call);
        let seconds = sound.as_ref().map_or(0, |sound| sound.len() / 16_000);
        if seconds == 3 {
            return Reply::Send(400, "", b"the sound is too long".to_vec());
        }
        if !text.contains("Choices:") {
            return answered(call);
        }
        let (finish, thinking) = if seconds == 2 { ("length", None) } else { ("stop", Some("It barks.")) };
        let message = json!({"content": "a dog", "reasoning_content": thinking});
        let body = json!({"choices": [{"message": message, "finish_reason": finish}]});
        Reply::Send(200, "", body.to_string().into_bytes())
    });
    let flags = "--items items.jsonl --sounds sounds --model m";
    bench.call(&format!("predict {flags} -o out --server {}", server.url("/v1"))).ended(0);
    let all = predictions(&bench, "out", 1);
    assert_eq!(all[0].output.as_deref(), Some("<think>It barks.</think>a dog"));
    assert_eq!((all[0].prompt_tokens, all[0].text_tokens), (None, None), "nobody counted");
    assert_eq!((all[1].status, all[1].output.as_deref()), (PredictionStatus::CutOff, Some("a dog")));
    assert_eq!((all[2].status, &all[2].output), (PredictionStatus::Refused, &None));
    assert!(all[2].problem.as_deref().unwrap().contains("the sound is too long"), "{:?}", all[2].problem);
    let flags = "--items items.jsonl --sounds sounds --model m --longest-s 1 --long refuse --limit 3";
    bench.write("sounds/0.wav", tone(4.0));
    bench.call(&format!("predict {flags} -o none --server {}", server.url("/v1"))).ended(0).says("nobody has answered");
}

#[test]
fn mistakes_are_explained() {
    let bench = Bench::new();
    items(&bench, 1);
    let check = |flags: &str, expected: &str| bench.call(&format!("predict -o out {flags}")).ended(2).says(expected);
    let with = |flags: &str| format!("--items items.jsonl --sounds sounds {flags}");
    check(&with(""), "name a server with --server, or a model with --model");
    check(&with("--server http://127.0.0.1:1/v1 --dtype bf16"), "--dtype");
    check(&with("--model m --audio-form input-audio"), "--audio-form");
    check("--items items.jsonl --model m", "hint: name the folders or tars that hold them with --sounds");
    check(&with("--server http://127.0.0.1:1/v1 --beams 5"), "--beams");
    check(&with("--server http://127.0.0.1:1/v1 --batch-size 4"), "--batch-size");
    check(&with("--model m --batch-size 0"), "expected a whole number from 1");
    check(&with("--server http://127.0.0.1:1/v1 --preset reference"), "--preset reference");
    check(&with("--model m --expect-family qwen2-audio"), "--expect-family");
    check(&with("--model m --prompt unknown"), "choose with --prompt among audiobench, ");
    check(&with("--model m --prompt omni-length"), "--target-words");
    check(&with("--model m --longest-s 0.5"), "expected 1 to 86400 seconds");
    let line = bench.text("items.jsonl");
    bench.write("twice.jsonl", format!("{line}{line}"));
    check("--items twice.jsonl --model m", "twice.jsonl:2: a second question of `test` is called `q0`");
    bench.write("broken.jsonl", "{\"id\": 1}\n");
    check("--items broken.jsonl --model m", "broken.jsonl:1");
    let dry = bench.call(&format!("predict -o dry {} --dry-run --permute 9", with("--model absent"))).ended(0);
    assert_eq!((dry.step("part")["kept"].clone(), bench.path("dry").exists()), (json!(6), false));
}

/// Makes a tiny Qwen2-Audio in the folder `model`, and `n` questions about the sounds that transformers describes, each with
/// another loudness; gives the flags of the command.
pub(crate) fn heard_in_this_process(bench: &Bench, n: usize) -> &'static str {
    listener(bench, n);
    "--items items.jsonl --sounds sounds --model model --max-tokens 24"
}

/// What transformers says about each of the sounds.
fn listener(bench: &Bench, n: usize) -> Vec<String> {
    for file in [
        "qwen2_audio_tiny/config.json",
        "qwen2_audio_tiny/model.safetensors",
        "qwen2_audio_chat/tokenizer.json",
        "qwen2_audio_chat/generation_config.json",
    ] {
        let name = file.split('/').next_back().unwrap();
        bench.write(&format!("model/{name}"), std::fs::read(fixture("goldens").join(file)).unwrap());
    }
    let golden = std::fs::read(fixture("goldens/qwen2_audio_chat/answers.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let answers = golden["answers"].as_array().unwrap();
    let mut items = Vec::new();
    for number in 0..n {
        let gain = 1.0 - (number / answers.len()) as f32 / 16.0;
        let sample = |value: &Value| value.as_f64().unwrap() as f32 / 32_768.0 * gain;
        let samples = answers[number % answers.len()]["samples"].as_array().unwrap();
        let samples: Vec<f32> = samples.iter().map(sample).collect();
        bench.write(&format!("sounds/{number}.wav"), encode_wav(&samples, 1, 16_000).unwrap());
        let mut item = item(&number.to_string(), &format!("{number}.wav"), AnswerKind::Caption, &[]);
        item.question = golden["question"].as_str().unwrap().to_owned();
        items.push(item);
    }
    write_items(bench, &items);
    answers.iter().map(|answer| answer["text"].as_str().unwrap().to_owned()).collect()
}

/// The sounds are shorter than a second, so that they are padded, which transformers did not do: see the next test.
#[test]
fn a_model_in_this_process_answers_and_its_tokens_are_those_expected() {
    let bench = Bench::new();
    let arguments = heard_in_this_process(&bench, 2);
    bench.call(&format!("predict {arguments} -o out --blind")).ended(0);
    let all = predictions(&bench, "out", 1);
    assert_eq!(all.len(), 6);
    for one in all.iter().filter(|one| one.heard != HeardSound::Nothing) {
        let heard = one.prompt_tokens.unwrap() - one.text_tokens.unwrap();
        let expected = one.sounds[0].expected_tokens.unwrap();
        // The marks around a sound are tokens too.
        assert!((expected..expected + 16).contains(&heard), "{heard} tokens instead of {expected}");
        assert_eq!(one.sounds[0].given_ms, one.sounds[0].duration_ms);
    }
    let run = bench.json("out/run.json");
    let sha256 = run["models"][0]["sha256"][0].as_str().unwrap();
    assert!(run["config"]["model"].as_str().unwrap().contains(sha256), "{run}");
    assert_eq!((&run["config"]["asks_for_tags"], &run["config"]["target_words"]), (&json!(false), &Value::Null));
    for flags in ["--replay out/replay --workers 2", "--no-replay --workers 1"] {
        bench.call(&format!("predict {arguments} --blind -o again --fresh {flags}")).ended(0);
        assert_eq!(predictions(&bench, "again", 1), all, "{flags}");
    }
    bench.call(&format!("predict {arguments} -o beams --beams 3 --profile think:9")).ended(0);
    let heard = predictions(&bench, "beams", 1);
    assert!(heard.iter().all(|one| one.status != PredictionStatus::Refused && one.output.is_some()), "{heard:?}");
    let config = bench.json("beams/run.json")["config"].clone();
    assert!(config["model"].as_str().unwrap().ends_with(", 3 beams"), "{config}");
    assert_eq!((&config["asks_for_tags"], &config["target_words"]), (&json!(true), &json!(9)));
    let reference = arguments.replace("--max-tokens 24", "--preset reference --limit 1");
    bench.call(&format!("predict {reference} -o reference")).ended(0);
    assert!(predictions(&bench, "reference", 1)[0].output.is_some());
    let config = bench.json("reference/run.json")["config"].clone();
    assert!(config["model"].as_str().unwrap().ends_with(", 5 beams"), "{config}");
    assert_eq!(config["max_tokens"], 512);
}

/// Whatever is asked at the same time, and however often it is stopped: the same bytes. A question that is too long for the
/// model, one without a sound and one with a broken sound fail alone.
#[test]
fn predictions_do_not_depend_on_the_size_of_batches() {
    let bench = Bench::new();
    let arguments = heard_in_this_process(&bench, 7).replace("--max-tokens 24", "--max-tokens 12");
    bench.write("sounds/broken.wav", b"RIFF");
    for (n, seconds) in [2.5, 1.2, 4.0].into_iter().enumerate() {
        bench.write(&format!("sounds/long{n}.wav"), tone(seconds));
    }
    let mut more = [
        item("long0", "long0.wav", AnswerKind::Choice, &["a dog", "a door", "the rain"]),
        item("too long", "1.wav", AnswerKind::Caption, &[]),
        item("long1", "long1.wav", AnswerKind::Caption, &[]),
        item("broken", "broken.wav", AnswerKind::Caption, &[]),
        item("long2", "long2.wav", AnswerKind::Choice, &["a dog", "a door"]),
        item("absent", "absent.wav", AnswerKind::Caption, &[]),
    ];
    more[1].question = "heard ".repeat(400);
    let lines: String = more.iter().map(|item| serde_json::to_string(item).unwrap() + "\n").collect();
    bench.write("items.jsonl", bench.text("items.jsonl") + &lines);
    let call = |output: &str, flags: &str| {
        let common = format!("predict {arguments} --permute 2 --blind --per-shard 8");
        let replay = if flags.contains("--no-replay") { String::new() } else { format!("--replay {output}-replay") };
        bench.call(&format!("{common} -o {output} {replay} {flags}")).ended(0).summary()
    };
    let summary = call("one", "--batch-size 1");
    for (output, flags) in
        [("usual", ""), ("three", "--batch-size 3 --no-replay"), ("all", "--batch-size 999 --workers 2 --no-replay")]
    {
        let other = call(output, flags);
        assert_eq!(other["results"], summary["results"], "{flags}");
        assert_eq!(bench.tree(output), bench.tree("one"), "{flags}");
    }
    let all = predictions(&bench, "one", 2);
    let of = |id: &str| all.iter().filter(|one| one.item.id == id).collect::<Vec<_>>();
    for one in of("too long") {
        let problem = one.problem.as_deref().unwrap();
        assert!(one.status == PredictionStatus::Refused && problem.contains("this network takes 1 to"), "{problem}");
    }
    let unasked = [of("broken"), of("absent")].concat();
    let is_heard = |one: &&&Prediction| one.heard != HeardSound::Nothing;
    assert!(unasked.iter().filter(is_heard).all(|one| one.status == PredictionStatus::NoSound));
    let answered = all.iter().filter(|one| one.output.is_some()).count();
    assert_eq!((answered, all.len()), (7 * 3 + 4 + 3 + 4 + 2, 7 * 3 + 4 + 3 + 3 + 3 + 4 + 3));
    // A run that is stopped goes on from the answers that it has, with any batch.
    let answers = stored(&bench, "one");
    bench.write("stopped-replay/answers-1-0.jsonl", answers[..17].join("\n") + "\n");
    call("stopped", "--batch-size 5");
    assert_eq!(bench.tree("stopped"), bench.tree("one"));
    assert_eq!(stored(&bench, "stopped").len(), answers.len(), "no question is asked twice");
}

/// The lines of a run's stored answers.
fn stored(bench: &Bench, run: &str) -> Vec<String> {
    let files = std::fs::read_dir(bench.path(&format!("{run}-replay"))).unwrap();
    let text = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect::<String>();
    text.lines().map(str::to_owned).collect()
}

/// Makes a tiny Whisper of random weights in the folder `whisper`, whose words are `w0` and so on.
fn random_whisper(bench: &Bench) {
    for file in ["config.json", "generation_config.json", "model.safetensors"] {
        bench.write(&format!("whisper/{file}"), std::fs::read(fixture("goldens/whisper_tiny").join(file)).unwrap());
    }
    let marks = [
        (49, "<|endoftext|>"),
        (50, "<|startoftranscript|>"),
        (51, "<|notimestamps|>"),
        (52, "<|en|>"),
        (53, "<|transcribe|>"),
        (54, "<|translate|>"),
    ];
    let name =
        |id: u64| marks.iter().find(|(mark, _)| *mark == id).map_or(format!("w{id}"), |(_, name)| (*name).to_owned());
    let words: serde_json::Map<String, Value> = (0..60).map(|id| (name(id), json!(id))).collect();
    let mark = |(id, content): &(u64, &str)| {
        json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false})
    };
    let tokenizer = json!({"version": "1.0", "added_tokens": marks.iter().map(mark).collect::<Vec<_>>(),
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"}});
    bench.write("whisper/tokenizer.json", tokenizer.to_string());
}

#[test]
fn whisper_writes_transcripts_and_a_language_model_reads_them() {
    let bench = Bench::new();
    random_whisper(&bench);
    for n in 0..2 {
        bench.write(&format!("sounds/{n}.wav"), tone(1.0 + n as f32));
    }
    let spoken = |n: usize| EvaluationItem {
        question: format!("What is heard in {n}?"),
        ..item(&n.to_string(), &format!("{n}.wav"), AnswerKind::Transcript, &[])
    };
    write_items(&bench, &[spoken(0), spoken(1)]);
    let common = "predict --items items.jsonl --sounds sounds --whisper whisper";
    bench.call(&format!("{common} -o alone --blind")).ended(0);
    let alone = predictions(&bench, "alone", 1);
    let said: Vec<String> = alone.iter().filter_map(|one| one.output.clone()).collect();
    assert!(said.len() == 4 && said.iter().all(|text| text.starts_with('w')), "{said:?}");
    assert_eq!(alone[2].status, PredictionStatus::Refused);
    assert!(alone[2].problem.as_deref().unwrap().contains("without a sound"), "{:?}", alone[2].problem);
    assert_eq!((alone[0].text_tokens, alone[0].sounds[0].expected_tokens), (None, None));
    bench.call(&format!("{common} -o again --blind --workers 1")).ended(0);
    assert_eq!(predictions(&bench, "again", 1), alone);

    let server = Loopback::start(|call, _| answered(call));
    let call = format!("{common} -o read --permute 2 --model m --server {}", server.url("/v1"));
    bench.call(&call).ended(0);
    let calls = server.calls();
    assert_eq!(calls.len(), 2, "a server that reads is not asked whether it hears");
    let texts: Vec<String> = calls.iter().map(|call| sent(call).1).collect();
    for (n, at) in [(0, 0), (1, 2)] {
        let expected = format!("What is said in the recording: {}\nWhat is heard in {n}?", said[at]);
        assert!(texts.contains(&expected), "{expected}: {texts:?}");
    }
    assert!(predictions(&bench, "read", 1).iter().all(|one| one.output.as_deref() == Some("no sound")));
    bench.call(&call).ended(0);
    assert_eq!(server.calls().len(), 2);

    // The task stands in the prompt, and decides what is written.
    bench.call(&format!("{common} -o translated --whisper-task translate")).ended(2).says("(transcript)");
    let asked: Vec<EvaluationItem> =
        [0, 1].map(|n| EvaluationItem { kind: AnswerKind::Translation, ..spoken(n) }).into();
    write_items(&bench, &asked);
    bench.call(&format!("{common} -o translated")).ended(2).says("(translation)");
    bench.call(&format!("{common} -o translated --whisper-task translate")).ended(0);
    let translated = predictions(&bench, "translated", 1);
    assert_ne!(translated[0].output, alone[0].output);
    let model = bench.json("translated/run.json")["config"]["model"].to_string();
    assert!(model.contains(", en, into English)"), "{model}");
    write_items(&bench, &[spoken(0), spoken(1)]);

    bench.call(&format!("{common} -o beams --beams 5")).ended(2).says("--beams");

    items(&bench, 1);
    bench.call(&format!("{common} -o choice")).ended(2).says("asks for another answer (choice)");
}

#[test]
fn a_benchmark_is_asked_as_published() {
    let bench = Bench::new();
    bench.write("mmau/sounds/0.wav", tone(1.0));
    let record = |id: &str, answer: &str| {
        json!({"id": id, "audio_id": "./sounds/0.wav", "question": "What is heard?", "choices": ["a dog", "a door"],
            "answer": answer, "dataset": "AudioSet", "task": "sound", "split": "test-mini", "category": "Reasoning",
            "sub-category": "Counting", "difficulty": "easy"})
    };
    bench.write("mmau/mini.json", json!([record("a", "a dog"), record("b", "a cow")]).to_string());
    let server = Loopback::start(|call, _| answered(call));
    let flags = format!("--benchmark mmau --data mmau/mini.json --model m --server {}", server.url("/v1"));
    let called = bench.call(&format!("predict {flags} -o out --prompt omni-length --target-words 25")).ended(0);
    let notes = called.summary()["results"]["notes"].to_string();
    assert!(notes.contains("the right answer of 1 question is not among the options"), "{notes}");
    let all = predictions(&bench, "out", 1);
    assert_eq!(all.iter().map(|one| one.item.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all[0].item.groups["task"], "sound");
    assert!(sent(server.calls().last().unwrap()).1.contains("about 25 words long"));
    let config = bench.json("out/run.json")["config"].clone();
    assert_eq!((&config["asks_for_tags"], &config["target_words"]), (&json!(true), &json!(25)));
    assert_eq!(
        (&config["wording"]["name"], config["questions_sha256"].as_str().unwrap().len()),
        (&json!("omni-length"), 64)
    );
    bench.call("score -i out -o scored").ended(0);
    // The page has the words that were sent.
    bench.call("report -i scored -o page").ended(0);
    for name in ["page/report.html", "page/report.md"] {
        let page = bench.text(name).replace('\\', "");
        assert!(page.contains("question with options") && page.contains("{target_words} words long"), "{name}");
    }
    bench.call(&format!("predict {flags} -o both --items x.jsonl")).ended(2).says("cannot be used with");
    bench.call("predict --model m -o none").ended(2).says("--benchmark");
}
