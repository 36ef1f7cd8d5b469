//! Qwen2, Llama and Mixtral against transformers: logits, greedy continuations and beams, from safetensors and GGUF.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::generate::{CausalDecoder, GenerationConfig, GenerationRequest, generate};
use audsem_models::language::{GgufFile, LanguageConfig, LanguageDecoder, LanguageNetwork};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, path};

const PROMPTS: usize = 3;
const NEW_TOKENS: usize = 8;

fn open(name: &str) -> LanguageNetwork {
    let dir = ModelDir::local(&path(name));
    let config = LanguageConfig::from_json(&dir.json("config.json").unwrap()).unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = LanguageNetwork::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|_| false).unwrap();
    network
}

fn ids(goldens: &Goldens, name: &str) -> Vec<u32> {
    goldens.ids(name).to_vec1().unwrap()
}

fn prompts(goldens: &Goldens) -> Vec<Vec<u32>> {
    (0..PROMPTS).map(|n| ids(goldens, &format!("prompt.{n}"))).collect()
}

fn continued(network: &LanguageNetwork, prompts: &[Vec<u32>], config: &GenerationConfig) -> Vec<Vec<u32>> {
    let requests = prompts.iter().map(|prompt| GenerationRequest { prompt: prompt.clone(), seed: 0 });
    let requests: Vec<GenerationRequest> = requests.collect();
    let mut decoder = LanguageDecoder::new(network);
    let generated = generate(&mut decoder, &requests, config).unwrap();
    generated.into_iter().map(|mut best| best.remove(0).tokens).collect()
}

/// Logits after every token, read one by one behind the first, which is what generation does.
fn stepwise(network: &LanguageNetwork, prompts: &[Vec<u32>]) -> Vec<Vec<Vec<f32>>> {
    let shortest = prompts.iter().map(Vec::len).min().unwrap();
    let mut decoder = LanguageDecoder::new(network);
    let begins: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt[..1]).collect();
    let mut steps = vec![decoder.prefill(&begins).unwrap()];
    for at in 1..shortest {
        let tokens: Vec<u32> = prompts.iter().map(|prompt| prompt[at]).collect();
        steps.push(decoder.step(&tokens).unwrap());
    }
    (0..prompts.len()).map(|row| steps.iter().map(|step| step[row].clone()).collect()).collect()
}

fn check(name: &str, network: &LanguageNetwork) {
    let goldens = Goldens::load(&format!("{name}.safetensors"));
    let prompts = prompts(&goldens);
    let mut decoder = LanguageDecoder::new(network);
    let all: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let together = decoder.prefill(&all).unwrap();
    for (n, prompt) in prompts.iter().enumerate() {
        let row = Tensor::new(together[n].as_slice(), &Device::Cpu).unwrap();
        let last = goldens.get(&format!("logits.{n}")).get(prompt.len() - 1).unwrap();
        let difference = crate::golden::max_abs(&row, &last);
        assert!(difference <= 1e-4, "{name}, prompt {n}: {difference:e}");
        let alone = stepwise(network, std::slice::from_ref(prompt));
        goldens.check(&format!("logits.{n}"), &Tensor::new(alone[0].clone(), &Device::Cpu).unwrap(), 1e-4);
    }
    let greedy = GenerationConfig { max_new_tokens: Some(NEW_TOKENS), ..GenerationConfig::default() };
    let beams = GenerationConfig { num_beams: 3, eos_token_id: vec![7], ..greedy.clone() };
    for (kind, config) in [("greedy", greedy), ("beams", beams)] {
        let together = continued(network, &prompts, &config);
        for (n, tokens) in together.iter().enumerate() {
            assert_eq!(tokens, &ids(&goldens, &format!("{kind}.{n}")), "{name}: {kind} {n}");
        }
    }
}

#[test]
fn qwen2_is_that_of_transformers() {
    check("qwen2_tiny", &open("qwen2_tiny"));
}

#[test]
fn mixtral_is_that_of_transformers() {
    check("mixtral_tiny", &open("mixtral_tiny"));
}

/// From shards; with biases, wide heads, scaled rotary positions and a tied head.
#[test]
fn llama_is_that_of_transformers() {
    check("llama_tiny", &open("llama_tiny"));
}

fn bits(logits: &[Vec<f32>]) -> Vec<Vec<u32>> {
    logits.iter().map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
}

fn rows_are_those_of_sequences_alone(name: &str, network: &LanguageNetwork) {
    let prompts = prompts(&Goldens::load(&format!("{name}.safetensors")));
    let together = stepwise(network, &prompts);
    for (row, prompt) in prompts.iter().enumerate() {
        let alone = stepwise(network, std::slice::from_ref(prompt));
        assert_eq!(bits(&together[row]), bits(&alone[0][..together[row].len()]), "{name}: {row}");
    }
}

#[test]
fn a_row_in_a_batch_is_the_row_alone_bit_for_bit() {
    rows_are_those_of_sequences_alone("qwen2_tiny", &open("qwen2_tiny"));
    rows_are_those_of_sequences_alone("llama_tiny", &open("llama_tiny"));
    rows_are_those_of_sequences_alone("mixtral_tiny", &open("mixtral_tiny"));
    let network = GgufFile::open(&path("llama_tiny.gguf")).unwrap().network(&Device::Cpu).unwrap();
    rows_are_those_of_sequences_alone("llama_tiny_gguf", &network);
}

/// Prompts are read with dequantised weights, single tokens with products of quantised values.
#[test]
fn gguf_is_the_network_of_its_dequantised_weights() {
    let network = GgufFile::open(&path("llama_tiny.gguf")).unwrap().network(&Device::Cpu).unwrap();
    let goldens = Goldens::load("llama_tiny_gguf.safetensors");
    for (n, prompt) in prompts(&goldens).iter().enumerate() {
        let golden = goldens.get(&format!("logits.{n}"));
        if prompt.len() >= 8 {
            let mut decoder = LanguageDecoder::new(&network);
            let row = decoder.prefill(&[prompt]).unwrap().remove(0);
            let last = golden.get(prompt.len() - 1).unwrap();
            // The head takes one row, whose values it rounds to 8 bits.
            let difference = crate::golden::max_abs(&Tensor::new(row, &Device::Cpu).unwrap(), &last);
            assert!(difference <= 2e-2, "prompt {n}: {difference:e}");
        }
        let alone = stepwise(&network, std::slice::from_ref(prompt));
        // All values that meet a weight are rounded to 8 bits, in blocks of 32, in every layer.
        goldens.check(&format!("logits.{n}"), &Tensor::new(alone[0].clone(), &Device::Cpu).unwrap(), 0.2);
    }
}

#[test]
fn the_tokenizer_of_a_gguf_file_is_that_of_the_checkpoint() {
    let file = GgufFile::open(&path("llama_tiny.gguf")).unwrap();
    let ours = file.tokenizer().unwrap();
    let theirs = tokenizers::Tokenizer::from_file(path("qwen2_tiny/tokenizer.json")).unwrap();
    for text in ["<|im_start|>user\nthe dog, singing a th\u{e9}<|im_end|>\n", "", "  a  the\t\u{1f436}"] {
        let ids = |tokenizer: &tokenizers::Tokenizer| tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(ids(&ours), ids(&theirs), "{text}");
        assert_eq!(ours.decode(&ids(&ours), false).unwrap(), text);
    }
    // Digits are split one by one, as the file says, so they meet no merge.
    assert_eq!(ours.encode("1234", false).unwrap().len(), 4);
    assert_eq!(file.token("tokenizer.ggml.eos_token_id").unwrap().unwrap().1, "<|im_end|>");
}

#[test]
fn too_many_tokens_and_unknown_ones_are_refused() {
    let network = open("llama_tiny");
    let mut decoder = LanguageDecoder::new(&network);
    let long = vec![1u32; 129];
    let error = decoder.prefill(&[&long]).unwrap_err().to_string();
    assert!(error.contains("text has 129 tokens"), "{error}");
    decoder.prefill(&[&long[..128]]).unwrap();
    assert!(decoder.step(&[1]).is_err());
    assert!(decoder.prefill(&[&[100_000]]).unwrap_err().to_string().contains("not in the vocabulary"));
    assert!(decoder.prefill(&[&[]]).is_err());
}

#[test]
fn a_damaged_gguf_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(path("llama_tiny.gguf")).unwrap();
    for length in [0, 3, 100, 5000, bytes.len() - 100] {
        let file = folder.path().join("cut.gguf");
        std::fs::write(&file, &bytes[..length]).unwrap();
        let error = GgufFile::open(&file).and_then(|mut file| file.network(&Device::Cpu)).unwrap_err().to_string();
        assert!(error.contains("cut.gguf"), "{length}: {error}");
    }
}
