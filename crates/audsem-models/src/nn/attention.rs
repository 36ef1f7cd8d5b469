//! Scaled dot-product attention.

use candle_core::{DType, Result, Tensor, bail};

use super::{Dropout, Mode, causal_bias, fused, softmax};

/// Scaled dot-product attention, with as many heads of keys and values as of queries or fewer. Differentiable.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Added to the scores, in f32: (R, H or 1, T or 1, S), where the batch is a multiple of R; its row `n` gets row
    /// `n mod R`. See [`mask`](super::mask).
    pub bias: Option<&'a Tensor>,
    /// Dropout of the weights.
    pub dropout: Option<&'a Dropout>,
    /// What the pass is for.
    pub mode: Mode,
}

impl Attention<'_> {
    /// Queries (B, H, T, W), keys (B, K, S, W) and values (B, K, S, V) to mixed values (B, H, T, V). Head `h` of the
    /// queries meets head `h / (H / K)` of the keys.
    ///
    /// # Errors
    /// H is not a multiple of K, other shapes, memory, device.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let (b, heads, t, width) = q.dims4()?;
        let (_, kv_heads, s, _) = k.dims4()?;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            bail!("attention of {heads} heads to {kv_heads}: no multiple");
        }
        let is_fused = [q, k, v].into_iter().chain(self.bias).all(fused::is_supported);
        if is_fused && !self.drops() {
            return fused::TensorAttention { bias: self.bias }.forward(q, k, v);
        }
        let (k, v) = (&k.contiguous()?, &v.contiguous()?);
        // The queries of all heads that share keys are rows of one product: keys are not copied.
        let rows = heads / kv_heads * t;
        let q = (q.reshape((b, kv_heads, rows, width))? * (1.0 / (width as f64).sqrt()))?;
        let scores = q.matmul(&k.t()?)?.to_dtype(DType::F32)?.reshape((b, heads, t, s))?;
        let scores = match self.bias {
            Some(bias) => add_bias(&scores, bias)?,
            None => scores,
        };
        let weights = softmax(&scores)?;
        let weights = match self.dropout {
            Some(dropout) => dropout.forward(&weights, self.mode)?,
            None => weights,
        };
        weights.to_dtype(v.dtype())?.reshape((b, kv_heads, rows, s))?.matmul(v)?.reshape((b, heads, t, v.dim(3)?))
    }
}

impl Attention<'_> {
    /// Whether some weights are dropped.
    pub(super) fn drops(&self) -> bool {
        matches!(self.mode, Mode::Train { .. }) && self.dropout.is_some_and(|dropout| dropout.p() > 0.0)
    }

    /// As [`Attention::forward`], in blocks: tokens `cu_seqlens[n]..cu_seqlens[n + 1]` see only each other. Cost and memory
    /// grow with the squares of the blocks, not with that of all tokens; neighbours of one length go through together.
    ///
    /// # Errors
    /// As [`Attention::forward`]; there is a bias; queries and keys are not of the same tokens; or the boundaries do not
    /// rise from 0 to the number of tokens.
    pub fn forward_blocks(&self, q: &Tensor, k: &Tensor, v: &Tensor, cu_seqlens: &[usize]) -> Result<Tensor> {
        self.in_blocks([q, k, v], cu_seqlens, false)
    }

    /// As [`Attention::forward_blocks`], where a token of a block sees itself and those before it alone.
    ///
    /// # Errors
    /// As [`Attention::forward_blocks`].
    pub fn forward_causal_blocks(&self, q: &Tensor, k: &Tensor, v: &Tensor, cu_seqlens: &[usize]) -> Result<Tensor> {
        self.in_blocks([q, k, v], cu_seqlens, true)
    }

    fn in_blocks(&self, [q, k, v]: [&Tensor; 3], cu_seqlens: &[usize], is_causal: bool) -> Result<Tensor> {
        let tokens = q.dim(2)?;
        let rises = cu_seqlens.windows(2).all(|two| two[0] < two[1]);
        if !rises || cu_seqlens.first() != Some(&0) || cu_seqlens.last() != Some(&tokens) || k.dim(2)? != tokens {
            bail!("blocks {cu_seqlens:?} of {tokens} queries and {} keys", k.dim(2)?);
        }
        if self.bias.is_some() {
            bail!("attention in blocks takes no bias");
        }
        if [q, k, v].into_iter().all(fused::is_cpu_f32) && !self.drops() {
            return fused::BlockAttention { cu_seqlens: cu_seqlens.to_vec(), is_causal }.forward(q, k, v);
        }
        let lengths: Vec<usize> = cu_seqlens.windows(2).map(|two| two[1] - two[0]).collect();
        let mut start = 0;
        let mut mixed = Vec::new();
        for run in lengths.chunk_by(|a, b| a == b) {
            let (n, length) = (run.len(), run[0]);
            let blocks = |x: &Tensor| to_blocks(&x.narrow(2, start, n * length)?, n);
            let bias = is_causal.then(|| causal_bias(length, length, q.device())).transpose()?;
            let attention = Attention { bias: bias.as_ref(), ..*self };
            let part = attention.forward(&blocks(q)?, &blocks(k)?, &blocks(v)?)?; // (B·N, H, L, V)
            mixed.push(from_blocks(&part, n)?);
            start += n * length;
        }
        Tensor::cat(&mixed, 2)
    }
}

/// (B, H, N·L, W) to (B·N, H, L, W).
fn to_blocks(x: &Tensor, n: usize) -> Result<Tensor> {
    let (b, heads, t, width) = x.dims4()?;
    let x = x.reshape((b, heads, n, t / n, width))?.transpose(1, 2)?;
    x.reshape((b * n, heads, t / n, width))
}

/// (B·N, H, L, W) to (B, H, N·L, W).
fn from_blocks(x: &Tensor, n: usize) -> Result<Tensor> {
    let (rows, heads, length, width) = x.dims4()?;
    let x = x.reshape((rows / n, n, heads, length, width))?.transpose(1, 2)?;
    x.reshape((rows / n, heads, n * length, width))
}

fn add_bias(scores: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (b, heads, t, s) = scores.dims4()?;
    let rows = bias.dim(0)?;
    if rows == 1 || rows == b {
        return scores.broadcast_add(bias);
    }
    let repeated = scores.reshape((b / rows.max(1), rows, heads, t, s))?;
    repeated.broadcast_add(bias)?.reshape((b, heads, t, s))
}

/// (B, T, H·W) to a view (B, H, T, W).
///
/// # Errors
/// The width is not a multiple of the heads.
pub fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, dim) = x.dims3()?;
    x.reshape((b, t, heads, dim / heads.max(1)))?.transpose(1, 2)
}

/// (B, H, T, W) to (B, T, H·W).
///
/// # Errors
/// Memory or device.
pub fn join_heads(x: &Tensor) -> Result<Tensor> {
    let (b, heads, t, width) = x.dims4()?;
    x.transpose(1, 2)?.reshape((b, t, heads * width))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::Device;

    #[test]
    fn heads_that_do_not_share_evenly_are_refused() {
        let x = |heads| Tensor::zeros((1, heads, 2, 4), DType::F32, &Device::Cpu).unwrap();
        let attention = Attention { bias: None, dropout: None, mode: Mode::Infer };
        let error = attention.forward(&x(3), &x(2), &x(2)).unwrap_err().to_string();
        assert!(error.contains("3 heads to 2"), "{error}");
    }

    #[test]
    fn a_bias_of_fewer_rows_repeats() {
        let x =
            Tensor::arange(0f32, 48.0, &Device::Cpu).unwrap().reshape((4, 1, 3, 4)).unwrap().affine(0.1, 0.0).unwrap();
        let bias = Tensor::arange(0f32, 18.0, &Device::Cpu).unwrap().reshape((2, 1, 3, 3)).unwrap();
        let full = Tensor::cat(&[&bias, &bias], 0).unwrap();
        let run = |bias| Attention { bias: Some(bias), dropout: None, mode: Mode::Infer }.forward(&x, &x, &x).unwrap();
        let values = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(run(&bias)), values(run(&full)));
        assert_eq!(values(join_heads(&split_heads(&x.squeeze(1).unwrap(), 2).unwrap()).unwrap()), values(x));
    }

    /// Few queries and many, keys below and beyond a panel, shared heads, views that are not contiguous, every kind of bias;
    /// and a row among others is the row alone, bit for bit.
    #[test]
    fn fused_and_composed_attention_agree() {
        let wave = |shape: [usize; 4], shift: f64| {
            let n = shape.iter().product::<usize>() as f32;
            Tensor::arange(0f32, n, &Device::Cpu)
                .unwrap()
                .affine(0.37, shift)
                .unwrap()
                .sin()
                .unwrap()
                .reshape(&shape)
                .unwrap()
        };
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (t, s, heads, kv_heads, width) in [
            (1, 1, 1, 1, 3),
            (1, 70, 4, 2, 64),
            (7, 33, 2, 2, 16),
            (8, 32, 6, 2, 40),
            (50, 97, 3, 1, 32),
            (101, 101, 2, 2, 64),
        ] {
            let view = |heads, t, shift| wave([2, t, heads, width], shift).transpose(1, 2).unwrap();
            let (q, k, v) = (view(heads, t, 0.1), view(kv_heads, s, 1.7), view(kv_heads, s, 2.9));
            let biases = [None, Some([1, 1, t, s]), Some([2, 1, 1, s]), Some([1, heads, t, s]), Some([2, heads, t, s])];
            for bias in biases.map(|shape| shape.map(|shape| wave(shape, 0.5))) {
                let attention = Attention { bias: bias.as_ref(), dropout: None, mode: Mode::Infer };
                let got = attention.forward(&q, &k, &v).unwrap();
                let tracked = candle_core::Var::from_tensor(&q).unwrap();
                let wanted = attention.forward(&tracked, &k, &v).unwrap();
                assert!(wanted.track_op() && !got.track_op());
                let pairs = values(&got).into_iter().zip(values(&wanted));
                let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(difference < 2e-6, "{t} × {s}, bias {bias:?}: {difference:e}");
                let of = |x: &Tensor| x.narrow(0, 1, 1).unwrap();
                let own = bias.as_ref().map(|bias| if bias.dim(0).unwrap() == 2 { of(bias) } else { bias.clone() });
                let alone = Attention { bias: own.as_ref(), ..attention }.forward(&of(&q), &of(&k), &of(&v)).unwrap();
                assert_eq!(values(&alone), values(&of(&got)));
            }
        }
    }

    /// Against one attention whose bias hides what is not in a query's block.
    #[test]
    fn blocks_see_only_themselves() {
        let device = &Device::Cpu;
        let x = |shift: f64| {
            let x = Tensor::arange(0f32, 2.0 * 2.0 * 9.0 * 4.0, device).unwrap();
            x.affine(0.37, shift).unwrap().sin().unwrap().reshape((2, 2, 9, 4)).unwrap()
        };
        let (q, k, v) = (x(0.1), x(1.7), x(2.9));
        let block = [0, 0, 1, 1, 1, 2, 2, 2, 3];
        let hidden = |a: usize| block.iter().map(move |b| if block[a] == *b { 0.0 } else { f32::MIN });
        let bias = Tensor::from_vec((0..9).flat_map(hidden).collect::<Vec<f32>>(), (1, 1, 9, 9), device).unwrap();
        let attention = Attention { bias: Some(&bias), dropout: None, mode: Mode::Infer };
        let wanted = attention.forward(&q, &k, &v).unwrap();
        let blocks = Attention { bias: None, ..attention };
        let got = blocks.forward_blocks(&q, &k, &v, &[0, 2, 5, 8, 9]).unwrap();
        let difference = (got - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-6, "{difference:e}");
        for wrong in [&[0, 5][..], &[1, 9], &[0, 5, 5, 9], &[]] {
            assert!(blocks.forward_blocks(&q, &k, &v, wrong).is_err(), "{wrong:?}");
        }
        assert!(attention.forward_blocks(&q, &k, &v, &[0, 9]).is_err());
    }
}
