//! Networks that write text from the states of an encoder, and one that reads it.

pub mod bart;
mod continuation;
pub mod gpt2;

pub(crate) use continuation::forward_layers;
pub use continuation::{Continuations, TextDecoder};
