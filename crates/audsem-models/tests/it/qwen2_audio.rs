//! Qwen2-Audio against transformers.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::generate::{CausalDecoder, GenerationConfig, GenerationRequest, generate};
use audsem_models::multimodal::qwen2_audio::{Qwen2Audio, Qwen2AudioConfig, audio_tokens, chat_text, expand_audio};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, path};

fn open() -> (Qwen2Audio, Goldens) {
    let dir = ModelDir::local(&path("qwen2_audio_tiny"));
    let config = Qwen2AudioConfig::from_json(&dir.json("config.json").unwrap()).unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = Qwen2Audio::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|_| false).unwrap();
    (network, Goldens::load("qwen2_audio_tiny.safetensors"))
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
        assert_eq!(heard.dim(0).unwrap(), audio_tokens(samples.len()).unwrap());
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

#[test]
fn places_and_sounds_have_to_agree() {
    let (network, goldens) = open();
    let sound = network.embed_audio(&samples(&goldens, 1)).unwrap();
    let mut prompt = prompt(&goldens, 1);
    assert!(network.merge(&prompt, std::slice::from_ref(&sound)).is_ok());
    assert!(network.merge(&prompt, &[]).is_err() && network.merge(&prompt, &[sound.clone(), sound.clone()]).is_err());
    prompt.retain(|token| *token != 37);
    assert!(network.merge(&prompt, &[]).is_ok() && network.merge(&prompt, &[sound]).is_err());
}

#[test]
fn prompts_are_those_of_the_processor() {
    let text = chat_text(None, 2, "What is heard?");
    assert_eq!(
        text,
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n\
         Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\nAudio 2: <|audio_bos|><|AUDIO|><|audio_eos|>\n\
         What is heard?<|im_end|>\n<|im_start|>assistant\n"
    );
    let expanded = expand_audio(&text, &[3, 1]).unwrap();
    assert!(expanded.contains("1: <|audio_bos|><|AUDIO|><|AUDIO|><|AUDIO|><|audio_eos|>"), "{expanded}");
    assert_eq!(expanded.matches("<|AUDIO|>").count(), 4);
    assert!(expand_audio(&text, &[3]).is_err());
}
