//! Times a language model of the shape of Qwen2-0.5B, or a GGUF file.
//!
//! `bench_decoder [FILE.gguf]` prints one JSON object: milliseconds to read a prompt of 256 tokens, and for each token of
//! one answer and of eight answers side by side. Without a file, all weights are one number: the work is the same. With
//! one, also what guided decoding adds to each token of an answer in JSON, in microseconds, and what it takes once.
#![allow(clippy::print_stdout, reason = "this is the program's output")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use audsem_models::generate::{CausalDecoder, Guide};
use audsem_models::language::{GgufFile, LanguageConfig, LanguageDecoder, LanguageNetwork};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use serde_json::{Value, json};

const PROMPT: usize = 256;
const TOKENS: u32 = 12;

/// Weights of any name and shape.
struct AnyWeights;

impl SimpleBackend for AnyWeights {
    fn get(&self, shape: Shape, _: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::full(1e-3f32, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("`{name}` has no shape of its own")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        false
    }
}

fn network() -> Result<LanguageNetwork, Box<dyn Error>> {
    if let Some(file) = std::env::args().nth(1) {
        return Ok(GgufFile::open(Path::new(&file))?.network(&Device::Cpu)?);
    }
    let config = LanguageConfig::from_json(&json!({
        "model_type": "qwen2", "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "rope_theta": 1e6,
        "tie_word_embeddings": true,
    }))?;
    let weights = VarBuilder::from_backend(Box::new(AnyWeights), DType::F32, Device::Cpu);
    Ok(LanguageNetwork::load(&weights, &config)?)
}

/// Milliseconds to read the prompts, and the least for one more token of each.
fn time(network: &LanguageNetwork, rows: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let prompt = vec![1; PROMPT];
    let mut decoder = LanguageDecoder::new(network);
    let begin = Instant::now();
    decoder.prefill(&vec![prompt.as_slice(); rows])?;
    let read = begin.elapsed().as_secs_f64() * 1e3;
    let mut least = f64::INFINITY;
    for token in 0..TOKENS {
        let begin = Instant::now();
        decoder.step(&vec![token; rows])?;
        least = least.min(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok((read, least))
}

/// Answers as models write them, of a caption with reasoning.
const ANSWERS: usize = 20;

/// Microseconds of the mask and of the step behind each token of an answer, and milliseconds to prepare the vocabulary and
/// each answer.
fn time_guide(file: &Path) -> Result<Value, Box<dyn Error>> {
    let mut gguf = GgufFile::open(file)?;
    let (tokenizer, width) = (gguf.tokenizer()?, gguf.network(&Device::Cpu)?.vocab_size());
    let end = gguf.number("tokenizer.ggml.eos_token_id")?.ok_or("the file names no end of sequence")?;
    let text = json!({"type": "string", "minLength": 1});
    let schema = json!({"type": "object", "properties": {"thinking": text, "answer": text},
        "required": ["thinking", "answer"], "additionalProperties": false});
    let begin = Instant::now();
    let guide = Guide::new(&tokenizer, width, &[u32::try_from(end)?])?;
    let vocabulary_ms = begin.elapsed().as_secs_f64() * 1e3;
    let thinking =
        "Let me listen closely. Something falls steadily and softly, and hmm, it must be water on a roof. ".repeat(5);
    let answer = format!(r#"{{"thinking": "{thinking}", "answer": "Rain falls on a roof while a dog barks twice."}}"#);
    let tokens = tokenizer.encode_fast(answer, false).map_err(|error| error.to_string())?.get_ids().to_vec();
    let (mut begun, mut masked, mut pushed, mut longest) = (0.0, 0.0, 0.0, 0.0f64);
    for _ in 0..ANSWERS {
        let begin = Instant::now();
        let mut guided = guide.begin(&schema)?;
        begun += begin.elapsed().as_secs_f64();
        for token in &tokens {
            let mut logits = vec![0.0; width];
            let begin = Instant::now();
            guided.mask(black_box(&mut logits))?;
            let mask = begin.elapsed().as_secs_f64();
            guided.push(*token)?;
            pushed += begin.elapsed().as_secs_f64() - mask;
            (masked, longest) = (masked + mask, longest.max(mask));
        }
    }
    let each = 1e6 / (ANSWERS * tokens.len()) as f64;
    Ok(json!({"vocabulary_ms": vocabulary_ms, "answer_ms": begun * 1e3 / ANSWERS as f64, "tokens": tokens.len(),
        "mask_us": masked * each, "longest_mask_us": longest * 1e6, "step_us": pushed * each}))
}

fn main() -> Result<(), Box<dyn Error>> {
    let network = network()?;
    let ((prompt, one), (_, eight)) = (time(&network, 1)?, time(&network, 8)?);
    let guided = std::env::args().nth(1).map(|file| time_guide(Path::new(&file))).transpose()?;
    println!("{}", json!({"prompt_ms": prompt, "token_ms": one, "token_of_8_ms": eight / 8.0, "guided": guided}));
    Ok(())
}
