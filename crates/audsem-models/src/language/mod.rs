//! Decoder-only language models: Qwen2, Qwen2.5 and Llama, from safetensors or GGUF, and Mixtral from safetensors.
//!
//! Bai et al., 2023; Touvron et al., 2023; Jiang et al., 2024. Numbers agree with `Qwen2ForCausalLM`, `LlamaForCausalLM` and
//! `MixtralForCausalLM` of Hugging Face transformers (`fixtures/regen/language.py`).

mod args;
mod config;
mod decoder;
mod gguf;
mod gguf_tensors;
mod gguf_tokenizer;
mod local;
mod mixture;
mod network;

pub use args::{LanguageModel, LanguageModelArgs, LocalModelArgs, OptionalLanguageModelArgs};
pub use config::{Experts, Family, LanguageConfig};
pub use decoder::LanguageDecoder;
pub use gguf::GgufFile;
pub use local::LocalModel;
pub(crate) use local::{ends_of, untruncated};
pub use network::LanguageNetwork;
