//! Qwen2-Audio against transformers.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_llm::{FinishReason, Media, Message, MessageContent, Part, Prompt, Request, Role, TextGenerator as _};
use audsem_media::audio::encode_wav;
use audsem_models::generate::{CausalDecoder, GenerationConfig, GenerationRequest, generate};
use audsem_models::multimodal::audio_language::LocalAudioModel;
use audsem_models::multimodal::qwen2_audio::{Qwen2Audio, Qwen2AudioConfig};
use audsem_models::multimodal::{MultimodalNetwork, SoundLengths};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, path};

fn open() -> (Qwen2Audio, Goldens) {
    open_folder("qwen2_audio_tiny")
}

fn open_folder(name: &str) -> (Qwen2Audio, Goldens) {
    let dir = ModelDir::local(&path(name));
    let config = Qwen2AudioConfig::from_json(&dir.json("config.json").unwrap()).unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = Qwen2Audio::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|_| false).unwrap();
    (network, Goldens::load(&format!("{name}.safetensors")))
}

fn samples(goldens: &Goldens, n: usize) -> Vec<f32> {
    goldens.get(&format!("samples.{n}")).to_vec1().unwrap()
}

fn prompt(goldens: &Goldens, n: usize) -> Vec<u32> {
    goldens.ids(&format!("prompt.{n}")).to_vec1().unwrap()
}

#[test]
fn what_is_heard_is_that_of_transformers() {
    let (network, goldens) = open();
    for n in 0..2 {
        let samples = samples(&goldens, n);
        let heard = network.hear(&samples).unwrap();
        assert_eq!(heard.dim(0).unwrap(), SoundLengths::of(samples.len(), 480_000).unwrap().vectors);
        goldens.check(&format!("heard.{n}"), &heard, 1e-4);
        goldens.check(&format!("projected.{n}"), &network.embed_audio(&samples).unwrap(), 1e-4);
    }
}

/// The sound and all before the question at once, then the question token by token.
#[test]
fn logits_are_those_of_transformers() {
    let (network, goldens) = open();
    for n in 0..2 {
        let sound = network.embed_audio(&samples(&goldens, n)).unwrap();
        let prompt = prompt(&goldens, n);
        let (begin, rest) = prompt.split_at(prompt.len() - 3);
        let mut decoder = network.decoder(vec![vec![sound]]);
        let mut logits = decoder.prefill(&[begin]).unwrap();
        logits.extend(rest.iter().flat_map(|token| decoder.step(&[*token]).unwrap()));
        let wanted = goldens.get(&format!("logits.{n}")).narrow(0, 1, 4).unwrap();
        let difference = crate::golden::max_abs(&Tensor::new(logits, &Device::Cpu).unwrap(), &wanted);
        assert!(difference <= 1e-4, "logits.{n}: {difference:e}");
    }
}

#[test]
fn a_batch_of_two_lengths_answers_as_each_alone_in_transformers() {
    let (network, goldens) = open();
    let sounds = (0..2).map(|n| vec![network.embed_audio(&samples(&goldens, n)).unwrap()]).collect();
    let request = |n| GenerationRequest { prompt: prompt(&goldens, n), seed: 0 };
    let config = GenerationConfig { max_new_tokens: Some(8), ..GenerationConfig::default() };
    let answers = generate(&mut network.decoder(sounds), &[request(0), request(1)], &config).unwrap();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer[0].tokens, goldens.ids(&format!("greedy.{n}")).to_vec1::<u32>().unwrap(), "{n}");
    }
}

/// With Qwen2 and with Llama, the latter behind a tower of 80 bands.
#[test]
fn five_beams_are_those_of_transformers() {
    let config = |num_beams, eos_token_id| GenerationConfig {
        max_new_tokens: Some(16),
        num_beams,
        eos_token_id,
        ..GenerationConfig::default()
    };
    let check = |network: &Qwen2Audio, goldens: &Goldens, wanted: (&Goldens, &str), config: &GenerationConfig| {
        let sounds = (0..2).map(|n| vec![network.embed_audio(&samples(goldens, n)).unwrap()]).collect();
        let request = |n| GenerationRequest { prompt: prompt(goldens, n), seed: 0 };
        let answers = generate(&mut network.decoder(sounds), &[request(0), request(1)], config).unwrap();
        for (n, answer) in answers.iter().enumerate() {
            let name = format!("{}.{n}", wanted.1);
            assert_eq!(answer[0].tokens, wanted.0.ids(&name).to_vec1::<u32>().unwrap(), "{name}");
        }
    };
    let (network, goldens) = open();
    let beams = Goldens::load("qwen2_audio_beams.safetensors");
    check(&network, &goldens, (&beams, "beams"), &config(5, vec![7]));
    let (network, llama) = open_folder("qwen2_audio_llama_tiny");
    let logits = |n| {
        let sound = network.embed_audio(&samples(&goldens, n)).unwrap();
        network.decoder(vec![vec![sound]]).prefill(&[&prompt(&llama, n)]).unwrap()
    };
    for n in 0..2 {
        let wanted = llama.get(&format!("logits.{n}")).narrow(0, 4, 1).unwrap();
        let difference = crate::golden::max_abs(&Tensor::new(logits(n), &Device::Cpu).unwrap(), &wanted);
        assert!(difference <= 1e-4, "logits.{n}: {difference:e}");
    }
    check(&network, &goldens, (&llama, "greedy"), &config(1, Vec::new()));
    check(&network, &goldens, (&llama, "beams"), &config(5, vec![7]));
}

#[test]
fn places_and_sounds_have_to_agree() {
    let (network, goldens) = open();
    let sound = network.embed_audio(&samples(&goldens, 1)).unwrap();
    let mut prompt = prompt(&goldens, 1);
    assert!(network.merge(&prompt, &vec![sound.clone()]).is_ok());
    assert!(
        network.merge(&prompt, &Vec::new()).is_err()
            && network.merge(&prompt, &vec![sound.clone(), sound.clone()]).is_err()
    );
    prompt.retain(|token| *token != 37);
    assert!(network.merge(&prompt, &Vec::new()).is_ok() && network.merge(&prompt, &vec![sound]).is_err());
}

/// The checkpoint with its tokenizer and its settings, and the question and the answers of transformers.
fn chat_folder() -> (tempfile::TempDir, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    for file in [
        "qwen2_audio_tiny/config.json",
        "qwen2_audio_tiny/model.safetensors",
        "qwen2_audio_chat/tokenizer.json",
        "qwen2_audio_chat/generation_config.json",
    ] {
        std::fs::copy(path(file), folder.path().join(file.split('/').next_back().unwrap())).unwrap();
    }
    let answers = std::fs::read(path("qwen2_audio_chat/answers.json")).unwrap();
    (folder, serde_json::from_slice(&answers).unwrap())
}

#[test]
fn questions_about_sounds_are_answered_as_transformers_answers_them() {
    let (folder, golden) = chat_folder();
    let model = LocalAudioModel::open(folder.path().to_str().unwrap(), &Device::Cpu, DType::F32).unwrap();
    let request = |answer: &serde_json::Value, max_tokens| {
        let samples: Vec<f32> =
            answer["samples"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32 / 32_768.0).collect();
        let wav = Part::Audio(Media::from_bytes("wav", encode_wav(&samples, 1, 16_000).unwrap()));
        let question = Part::Text(golden["question"].as_str().unwrap().to_owned());
        let turn = Message::new(Role::User, MessageContent::Parts(vec![wav, question]));
        Request::greedy(Prompt::Chat(vec![turn]), max_tokens)
    };
    let answers = golden["answers"].as_array().unwrap();
    let requests: Vec<Request> = answers.iter().map(|answer| request(answer, 24)).collect();
    for (answer, wanted) in model.generate_batch(&requests).into_iter().zip(answers) {
        let answer = answer.unwrap();
        assert_eq!((answer.text.as_str(), answer.finish), (wanted["text"].as_str().unwrap(), FinishReason::Stop));
        assert_eq!(answer.usage.completion_tokens as usize, wanted["ids"].as_array().unwrap().len());
    }
    assert_eq!(model.generate(&request(&answers[1], 2)).unwrap().finish, FinishReason::Length);
    assert_eq!(model.fingerprint().sha256.first().map(String::len), Some(64));

    let refused = |request: Request| model.generate(&request).unwrap_err().to_string();
    let picture = Part::Image(Media::from_bytes("png", b"x".to_vec()));
    let turn = Message::new(Role::User, MessageContent::Parts(vec![picture]));
    assert!(refused(Request::greedy(Prompt::Chat(vec![turn]), 8)).contains("no pictures"));
    let broken = Part::Audio(Media::from_bytes("wav", b"RIFF".to_vec()));
    let turn = Message::new(Role::User, MessageContent::Parts(vec![broken]));
    assert!(!refused(Request::greedy(Prompt::Chat(vec![turn]), 8)).is_empty());
    let schema = Request { schema: Some(serde_json::json!({})), ..request(&answers[0], 8) };
    assert!(refused(schema).contains("free text"));
}

#[test]
fn a_tokenizer_of_another_network_is_refused() {
    let (folder, _) = chat_folder();
    let tokenizer = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.replace("<|AUDIO|>", "<|audio|>")).unwrap();
    let error = LocalAudioModel::open(folder.path().to_str().unwrap(), &Device::Cpu, DType::F32).unwrap_err();
    assert!(error.to_string().contains("<|AUDIO|> is not token 37"), "{error}");
}
