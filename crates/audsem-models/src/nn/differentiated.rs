//! Parts of networks with backward passes that are called, not found in a graph.
//!
//! candle's backward pass begins each gradient with a tensor of zeros and makes a new tensor for each term of it, on one
//! thread: in a decoder layer that is as much memory again as all the rest of the pass goes through.

use candle_core::{Result, Tensor, TensorId};

/// Gradients of one part.
#[derive(Debug)]
pub(crate) struct PartGradients {
    /// That of the input, if it was wanted.
    pub(crate) of_input: Option<Tensor>,
    /// Those of tensors that are trained.
    pub(crate) of_trained: Vec<(TensorId, Tensor)>,
}

/// From the gradient of a result to those of what it was made of; the input's only if it is wanted.
pub(crate) type BackFunction<'a> = Box<dyn FnOnce(&Tensor, bool) -> Result<PartGradients> + 'a>;

/// The result of a part, and its backward pass.
pub(crate) struct Differentiated<'a> {
    /// The result, without a graph.
    pub(crate) output: Tensor,
    /// The backward pass, which holds what the forward pass has to keep for it.
    pub(crate) back: BackFunction<'a>,
}
