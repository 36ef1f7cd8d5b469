//! The layers that all networks are built from.
//!
//! **Invariant:** no layer here ever cuts a gradient. candle's fused operations (its own `LayerNorm` and
//! `softmax_last_dim` among them) return a result without a gradient and without an error; a layer here takes the
//! fused path only where no gradient is tracked, or where the fused operation has a backward pass of its own, and composes
//! differentiable operations elsewhere.
//! Tests assert that both paths agree within 1e-5 and that every trainable tensor gets its gradient. A
//! [`KvCache`] does cut them, and is refused in training.

mod activation;
mod attention;
mod attention_half;
mod batch_norm;
mod block;
mod conv;
mod conv_kernels;
mod decoder;
pub(crate) mod differentiated;
mod dropout;
mod embedding;
pub mod encoder;
#[cfg(test)]
mod finite_differences;
mod frozen;
pub mod fused;
mod kv_cache;
mod linear;
pub mod lora;
pub mod mask;
mod mlp;
mod multi_head;
mod norm;
mod params;
mod pooler;
mod rotary;
mod row_linear;
pub mod text;
mod threads;

pub use activation::{Activation, softmax};
pub use attention::{Attention, join_heads, split_heads};
pub use batch_norm::BatchNorm;
pub use block::{BlockConfig, CrossSource, TransformerBlock};
pub use conv::{Conv1d, Conv2d, ConvConfig};
pub use decoder::{DecoderConfig, DecoderStack};
pub use dropout::{Dropout, Mode};
pub use embedding::Embedding;
pub use kv_cache::{DecoderCache, KvCache, LayerCache};
pub use linear::Linear;
pub use lora::{Lora, LoraConfig};
pub use mask::{TokenSpan, causal_bias, padding_bias, sliding_bias};
pub use mlp::{GatedMlp, MlpConfig, gated};
pub use multi_head::{AttentionContext, MultiHeadAttention, MultiHeadConfig, ProjectionBias};
pub use norm::{LayerNorm, RmsNorm};
pub use params::{Params, Trainable};
pub use pooler::{InferencePooler, Pooler};
pub use rotary::{Angles, RopeScaling, Rotary};
pub use row_linear::RowLinear;
pub use threads::{limit_threads, settle_candle_threads};
