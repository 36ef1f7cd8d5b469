//! Scaled dot-product attention.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::{Pass, dropout, softmax};

/// Scaled dot-product attention, with as many heads of keys and values as of queries or fewer. Differentiable.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Added to the scores, in f32: (R, H or 1, T or 1, S), where the batch is a multiple of R; its row `n` gets row
    /// `n mod R`. See [`padding_bias`] and [`causal_bias`].
    pub bias: Option<&'a Tensor>,
    /// Dropout of the weights.
    pub dropout: f64,
    /// What the pass is for.
    pub pass: &'a Pass,
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
        // The queries of all heads that share keys are rows of one product: keys are not copied.
        let rows = heads / kv_heads * t;
        let q = (q.reshape((b, kv_heads, rows, width))? * (1.0 / (width as f64).sqrt()))?;
        let scores = q.matmul(&k.t()?)?.to_dtype(DType::F32)?.reshape((b, heads, t, s))?;
        let scores = match self.bias {
            Some(bias) => add_bias(&scores, bias)?,
            None => scores,
        };
        let weights = dropout(&softmax(&scores)?, self.dropout, self.pass)?.to_dtype(v.dtype())?;
        weights.reshape((b, kv_heads, rows, s))?.matmul(v)?.reshape((b, heads, t, v.dim(3)?))
    }
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

/// (B, T, H·W) to (B, H, T, W).
///
/// # Errors
/// The width is not a multiple of the heads.
pub fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, dim) = x.dims3()?;
    x.reshape((b, t, heads, dim / heads.max(1)))?.transpose(1, 2)?.contiguous()
}

/// (B, H, T, W) to (B, T, H·W).
///
/// # Errors
/// Memory or device.
pub fn join_heads(x: &Tensor) -> Result<Tensor> {
    let (b, heads, t, width) = x.dims4()?;
    x.transpose(1, 2)?.reshape((b, t, heads * width))
}

/// What keeps attention from padding: 0 at tokens, the most negative f32 at padding, whose softmax weight is exactly 0.
/// `mask` (B, S) is 1 at tokens and 0 at padding; the result is (B, 1, 1, S).
///
/// # Errors
/// Memory or device.
pub fn padding_bias(mask: &Tensor) -> Result<Tensor> {
    let (b, s) = mask.dims2()?;
    let padding = (1.0 - mask.to_dtype(DType::F32)?)?;
    (padding * f64::from(f32::MIN))?.reshape((b, 1, 1, s))
}

/// What keeps attention from the future: (1, 1, T, S) for queries that are the last T of S tokens. To be joined with
/// [`padding_bias`] by `broadcast_minimum`; a sum would be −∞ where both hold.
///
/// # Errors
/// More queries than keys, memory, device.
pub fn causal_bias(queries: usize, keys: usize, device: &Device) -> Result<Tensor> {
    let Some(earlier) = keys.checked_sub(queries) else {
        bail!("{queries} queries of {keys} tokens");
    };
    let seen = |query: usize| (0..keys).map(move |key| if key <= earlier + query { 0.0 } else { f32::MIN });
    Tensor::from_vec((0..queries).flat_map(seen).collect(), (1, 1, queries, keys), device)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_query_sees_itself_and_what_was_before() {
        let values = |t, s| causal_bias(t, s, &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(2, 2), [0.0, f32::MIN, 0.0, 0.0]);
        assert_eq!(values(2, 3), [0.0, 0.0, f32::MIN, 0.0, 0.0, 0.0]);
        assert_eq!(values(1, 3), [0.0; 3]);
        assert!(causal_bias(3, 2, &Device::Cpu).is_err());
    }

    #[test]
    fn heads_that_do_not_share_evenly_are_refused() {
        let x = |heads| Tensor::zeros((1, heads, 2, 4), DType::F32, &Device::Cpu).unwrap();
        let attention = Attention { bias: None, dropout: 0.0, pass: &Pass::infer() };
        let error = attention.forward(&x(3), &x(2), &x(2)).unwrap_err().to_string();
        assert!(error.contains("3 heads to 2"), "{error}");
    }

    #[test]
    fn a_bias_of_fewer_rows_repeats() {
        let x =
            Tensor::arange(0f32, 48.0, &Device::Cpu).unwrap().reshape((4, 1, 3, 4)).unwrap().affine(0.1, 0.0).unwrap();
        let bias = Tensor::arange(0f32, 18.0, &Device::Cpu).unwrap().reshape((2, 1, 3, 3)).unwrap();
        let full = Tensor::cat(&[&bias, &bias], 0).unwrap();
        let run =
            |bias| Attention { bias: Some(bias), dropout: 0.0, pass: &Pass::infer() }.forward(&x, &x, &x).unwrap();
        let values = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(run(&bias)), values(run(&full)));
        assert_eq!(values(join_heads(&split_heads(&x.squeeze(1).unwrap(), 2).unwrap()).unwrap()), values(x));
    }
}
