//! Networks that write text from the states of an encoder.

pub mod bart;
mod continuation;

pub(crate) use continuation::forward_layers;
pub use continuation::{Continuations, TextDecoder};
