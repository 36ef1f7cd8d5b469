//! Attention masks as biases that are added to attention scores.
//!
//! A bias is 0 where a query sees a key and the most negative f32 where it does not; softmax then gives exactly 0.

use candle_core::{DType, Device, Result, Tensor, bail};

/// Hides padding: `mask` (B, S) is 1 at tokens and 0 at padding; the result is (B, 1, 1, S).
///
/// # Errors
/// Memory or device.
pub fn padding_bias(mask: &Tensor) -> Result<Tensor> {
    let (b, s) = mask.dims2()?;
    let padding = (1.0 - mask.to_dtype(DType::F32)?)?;
    (padding * f64::from(f32::MIN))?.reshape((b, 1, 1, s))
}

/// Hides the future: (1, 1, T, S) for queries that are the last T of S tokens. To be joined with [`padding_bias`] by
/// `broadcast_minimum`; a sum would be −∞ where both hold.
///
/// # Errors
/// More queries than keys, memory, device.
pub fn causal_bias(queries: usize, keys: usize, device: &Device) -> Result<Tensor> {
    sliding_bias(queries, keys, keys.max(1), device)
}

/// Hides the future and what lies `window` tokens or more before a query, as `sliding_window` of Mistral and Qwen2
/// does: a query sees itself and the `window - 1` tokens before it. Shapes as in [`causal_bias`].
///
/// # Errors
/// More queries than keys, a window of 0, memory, device.
pub fn sliding_bias(queries: usize, keys: usize, window: usize, device: &Device) -> Result<Tensor> {
    let Some(earlier) = keys.checked_sub(queries) else {
        bail!("{queries} queries of {keys} tokens");
    };
    if window == 0 {
        bail!("a query has to see itself: a window of 0 tokens");
    }
    let bias = |query: usize| (0..keys).map(move |key| visible(sees(earlier + query, key, window)));
    Tensor::from_vec((0..queries).flat_map(bias).collect(), (1, 1, queries, keys), device)
}

/// Whether the token at `query` sees the token at `key` through a sliding window.
fn sees(query: usize, key: usize, window: usize) -> bool {
    key <= query && query - key < window
}

fn visible(seen: bool) -> f32 {
    if seen { 0.0 } else { f32::MIN }
}

/// The tokens that a decoder reads at once, and all before them: where they stand and which of them are padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpan {
    /// For each row, true at tokens and false at padding: S values, of which the last `new` are read now.
    rows: Vec<Vec<bool>>,
    new: usize,
}

impl TokenSpan {
    /// `new` tokens in each of `batch` rows, without padding and with nothing before them.
    #[must_use]
    pub fn unpadded(batch: usize, new: usize) -> Self {
        Self { rows: vec![vec![true; new]; batch], new }
    }

    /// The tokens of `mask` (B, T), which is 1 at tokens and 0 at padding; padding may stand anywhere.
    ///
    /// # Errors
    /// The mask has another number of dimensions, or a value that is neither.
    pub fn from_mask(mask: &Tensor) -> Result<Self> {
        let values = mask.to_dtype(DType::U32)?.to_vec2::<u32>()?;
        if let Some(other) = values.iter().flatten().find(|value| **value > 1) {
            bail!("an attention mask holds 0 and 1, not {other}");
        }
        let rows = values.into_iter().map(|row| row.into_iter().map(|value| value == 1).collect()).collect();
        Ok(Self { rows, new: mask.dim(1)? })
    }

    /// This span with the tokens of `later` behind it, which are the new ones then.
    ///
    /// # Errors
    /// Another number of rows.
    pub fn followed_by(mut self, later: &Self) -> Result<Self> {
        if self.rows.len() != later.rows.len() {
            bail!("{} rows behind {}", later.rows.len(), self.rows.len());
        }
        self.rows.iter_mut().zip(&later.rows).for_each(|(row, later)| row.extend(later));
        self.new = later.len();
        Ok(self)
    }

    /// All tokens of a row, S.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows, B.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.rows.len()
    }

    /// Drops all but the first `len` tokens of each row.
    pub fn truncate(&mut self, len: usize) {
        self.rows.iter_mut().for_each(|row| row.truncate(len));
        self.new = self.new.min(self.len());
    }

    /// Takes row `order[n]` for row n; rows may be repeated or left out.
    ///
    /// # Errors
    /// There is no such row.
    pub fn reorder(&mut self, order: &[u32]) -> Result<()> {
        let row = |n: &u32| self.rows.get(*n as usize).cloned();
        let Some(rows) = order.iter().map(row).collect() else {
            bail!("rows {order:?} of {}", self.rows.len());
        };
        self.rows = rows;
        Ok(())
    }

    fn is_padded(&self) -> bool {
        self.rows.iter().flatten().any(|token| !token)
    }

    /// Position ids of the new tokens (B, T): a token's is the number of tokens before it in its row, so padding in front
    /// changes nothing. Padding gets the position of the token before it, or 0.
    ///
    /// # Errors
    /// Memory or device.
    pub fn positions(&self, device: &Device) -> Result<Tensor> {
        let positions = |row: &Vec<bool>| {
            let counts = row.iter().scan(0u32, |count, token| {
                *count += u32::from(*token);
                Some(count.saturating_sub(1))
            });
            counts.skip(row.len() - self.new).collect::<Vec<u32>>()
        };
        Tensor::from_vec(self.rows.iter().flat_map(positions).collect(), (self.batch(), self.new), device)
    }

    /// What the new tokens may see: themselves and the tokens before them, at most `window` in all where there is one,
    /// and no padding. (B or 1, 1, T, S); none if they may see everything.
    ///
    /// # Errors
    /// A window of 0, memory, device.
    pub fn bias(&self, window: Option<usize>, device: &Device) -> Result<Option<Tensor>> {
        let (len, new) = (self.len(), self.new);
        let window = window.unwrap_or(len.max(1));
        if new == 1 && window >= len && !self.is_padded() {
            return Ok(None);
        }
        let bias = sliding_bias(new, len, window, device)?;
        if !self.is_padded() {
            return Ok(Some(bias));
        }
        let padding: Vec<f32> = self.rows.iter().flatten().map(|token| visible(*token)).collect();
        let padding = Tensor::from_vec(padding, (self.batch(), 1, 1, len), device)?;
        Ok(Some(padding.broadcast_minimum(&bias)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NO: f32 = f32::MIN;

    fn values(bias: &Tensor) -> Vec<f32> {
        bias.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_query_sees_itself_and_what_was_before() {
        let bias = |t, s| values(&causal_bias(t, s, &Device::Cpu).unwrap());
        assert_eq!(bias(2, 2), [0.0, NO, 0.0, 0.0]);
        assert_eq!(bias(2, 3), [0.0, 0.0, NO, 0.0, 0.0, 0.0]);
        assert_eq!(bias(1, 3), [0.0; 3]);
        assert!(causal_bias(3, 2, &Device::Cpu).is_err());
    }

    #[test]
    fn a_sliding_window_ends_before_the_query() {
        let bias = |t, s, window| values(&sliding_bias(t, s, window, &Device::Cpu).unwrap());
        assert_eq!(bias(3, 3, 2), [0.0, NO, NO, 0.0, 0.0, NO, NO, 0.0, 0.0]);
        assert_eq!(bias(1, 4, 3), [NO, 0.0, 0.0, 0.0]);
        assert!(sliding_bias(1, 1, 0, &Device::Cpu).is_err());
    }

    #[test]
    fn positions_count_tokens_and_the_bias_hides_padding() {
        let mask = Tensor::new(&[[0u32, 0, 1, 1], [1, 1, 1, 0]], &Device::Cpu).unwrap();
        let span = TokenSpan::from_mask(&mask).unwrap();
        assert_eq!(span.positions(&Device::Cpu).unwrap().to_vec2::<u32>().unwrap(), [[0, 0, 0, 1], [0, 1, 2, 2]]);
        let later = span.followed_by(&TokenSpan::unpadded(2, 1)).unwrap();
        assert_eq!(later.positions(&Device::Cpu).unwrap().to_vec2::<u32>().unwrap(), [[2], [3]]);
        let bias = later.bias(None, &Device::Cpu).unwrap().unwrap();
        assert_eq!(bias.dims(), [2, 1, 1, 5]);
        assert_eq!(values(&bias), [NO, NO, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, NO, 0.0]);
        let bias = later.bias(Some(2), &Device::Cpu).unwrap().unwrap();
        assert_eq!(values(&bias), [NO, NO, NO, 0.0, 0.0, NO, NO, NO, NO, 0.0]);
        let wrong = Tensor::new(&[[2u32]], &Device::Cpu).unwrap();
        assert!(TokenSpan::from_mask(&wrong).unwrap_err().to_string().contains("not 2"));
    }

    #[test]
    fn one_token_behind_others_sees_all_of_them() {
        let span = TokenSpan::unpadded(3, 4).followed_by(&TokenSpan::unpadded(3, 1)).unwrap();
        assert!(span.bias(None, &Device::Cpu).unwrap().is_none());
        assert!(span.bias(Some(4), &Device::Cpu).unwrap().is_some());
        assert!(TokenSpan::unpadded(3, 4).followed_by(&TokenSpan::unpadded(2, 1)).is_err());
    }
}
