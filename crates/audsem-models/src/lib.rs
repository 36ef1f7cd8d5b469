//! Neural networks of AudSem in [candle](candle_core), each proven against its reference implementation.
//!
//! A network is one file: a `Config` that reads the checkpoint's own `config.json`, private blocks, `load` and
//! `forward`. Tensor names are those of the checkpoint. A network does not access files, tables or the hub:
//! weights come as a `VarBuilder`, text as token ids.
//!
//! ```
//! use audsem_models::bert::{BertClassifier, Config};
//! use audsem_models::nn::{Mode, Params};
//! use candle_core::{DType, Device, Tensor};
//!
//! # fn main() -> Result<(), audsem_models::Error> {
//! // A small classifier with seeded random weights.
//! let config = Config { vocab_size: 100, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2,
//!     intermediate_size: 32, ..Config::default() };
//! let params = Params::new(7);
//! let model = BertClassifier::load(params.var_builder(DType::F32, &Device::Cpu), &config)?;
//! let ids = Tensor::new(&[[2u32, 5, 3]], &Device::Cpu)?; // (B, T)
//! let logits = model.forward(&ids, None, Mode::Infer)?; // (B, 2)
//! assert_eq!(logits.dims(), [1, 2]);
//! # Ok(())
//! # }
//! ```

pub mod audio;
pub mod bert;
pub mod chat;
pub mod checkpoint;
pub mod clap;
pub mod convert;
pub mod error;
pub mod fluency;
pub mod generate;
pub mod language;
pub mod multimodal;
pub mod nn;
pub mod roberta;
pub mod sentence;
pub mod text;
pub mod tokenizer;
pub mod tokens;
pub mod train;
pub mod vision;

pub use error::{Error, Result};
