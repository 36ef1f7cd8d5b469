//! Cached keys and values of tokens that were read before.

use candle_core::{Result, Tensor, bail};

use super::TokenSpan;

/// Tokens that a new buffer has room for at least.
const MIN_CAPACITY: usize = 64;

/// Keys and values of one attention layer, in buffers that grow by doubling. They carry no gradient.
#[derive(Debug, Default)]
pub struct KvCache {
    keys: Option<Tensor>,   // (B, K, capacity, W)
    values: Option<Tensor>, // (B, K, capacity, V)
    len: usize,
}

impl KvCache {
    /// Tokens that are held, S.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds keys (B, K, T, W) and values (B, K, T, V) of T tokens and gives those of all tokens held, as
    /// [`KvCache::held`] does.
    ///
    /// # Errors
    /// Other rows, heads or widths than those held, memory, device.
    pub fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (new, other) = (keys.dim(2)?, values.dim(2)?);
        if new != other {
            bail!("keys of {new} tokens and values of {other}");
        }
        write(&mut self.keys, self.len, keys)?;
        write(&mut self.values, self.len, values)?;
        self.len += new;
        self.held()
    }

    /// Keys (B, K, S, W) and values (B, K, S, V) of all tokens: views that are good until the next change.
    ///
    /// # Errors
    /// Nothing is held.
    pub fn held(&self) -> Result<(Tensor, Tensor)> {
        match (&self.keys, &self.values) {
            (Some(keys), Some(values)) => Ok((keys.narrow(2, 0, self.len)?, values.narrow(2, 0, self.len)?)),
            _ => bail!("the cache holds no keys"),
        }
    }

    /// Drops all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// A cache of its own with the same content.
    ///
    /// # Errors
    /// Memory or device.
    pub fn fork(&self) -> Result<Self> {
        let copy = |buffer: &Option<Tensor>| buffer.as_ref().map(Tensor::copy).transpose();
        Ok(Self { keys: copy(&self.keys)?, values: copy(&self.values)?, len: self.len })
    }

    /// Takes row `order[n]` for row n; rows may be repeated or left out, as beams ask for.
    ///
    /// # Errors
    /// There is no such row, memory, device.
    pub fn reorder(&mut self, order: &[u32]) -> Result<()> {
        for buffer in [&mut self.keys, &mut self.values].into_iter().flatten() {
            *buffer = buffer.index_select(&Tensor::new(order, buffer.device())?, 0)?;
        }
        Ok(())
    }
}

/// Puts `new` (B, K, T, W) behind the first `len` tokens of a buffer, which is made or enlarged where it has no room.
fn write(buffer: &mut Option<Tensor>, len: usize, new: &Tensor) -> Result<()> {
    let new = new.detach().contiguous()?;
    let (b, heads, t, width) = new.dims4()?;
    let room = buffer.as_ref().map_or(Ok(0), |buffer| buffer.dim(2))?;
    if len + t > room {
        let capacity = (len + t).max(2 * room).max(MIN_CAPACITY);
        let larger = Tensor::zeros((b, heads, capacity, width), new.dtype(), new.device())?;
        if let Some(old) = buffer.as_ref().filter(|_| len > 0) {
            larger.slice_set(&old.narrow(2, 0, len)?.contiguous()?, 2, 0)?;
        }
        *buffer = Some(larger);
    }
    match buffer {
        Some(buffer) if t > 0 => buffer.slice_set(&new, 2, len),
        _ => Ok(()),
    }
}

/// The cache of one decoder layer.
#[derive(Debug, Default)]
pub struct LayerCache {
    /// The decoder's own tokens.
    pub own: KvCache,
    /// The states of the encoder, projected once.
    pub cross: KvCache,
}

/// The cache of a decoder. Reading tokens in several passes with a cache gives the same result as reading
/// all of them in one pass. For inference only: cached tokens carry no gradient.
#[derive(Debug)]
pub struct DecoderCache {
    layers: Vec<LayerCache>,
    span: TokenSpan,
}

impl DecoderCache {
    /// Starts empty, for a decoder of so many layers and a batch of so many rows.
    #[must_use]
    pub fn new(layers: usize, batch: usize) -> Self {
        let layers = std::iter::repeat_with(LayerCache::default).take(layers).collect();
        Self { layers, span: TokenSpan::unpadded(batch, 0) }
    }

    /// Tokens and padding read so far, per row.
    #[must_use]
    pub fn len(&self) -> usize {
        self.span.len()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.span.is_empty()
    }

    /// Rows of the batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.span.batch()
    }

    /// Records the tokens that are read next and returns the span that ends with them.
    ///
    /// # Errors
    /// Another number of rows.
    pub fn extend(&mut self, new: &TokenSpan) -> Result<&TokenSpan> {
        self.span = self.span.clone().followed_by(new)?;
        Ok(&self.span)
    }

    /// The cache of layer `n`.
    ///
    /// # Errors
    /// There is no such layer.
    pub fn layer(&mut self, n: usize) -> Result<&mut LayerCache> {
        let layers = self.layers.len();
        match self.layers.get_mut(n) {
            Some(layer) => Ok(layer),
            None => bail!("layer {n} of a cache for {layers}"),
        }
    }

    /// A cache of its own with the same content.
    ///
    /// # Errors
    /// Memory or device.
    pub fn fork(&self) -> Result<Self> {
        let layer = |layer: &LayerCache| Ok(LayerCache { own: layer.own.fork()?, cross: layer.cross.fork()? });
        Ok(Self { layers: self.layers.iter().map(layer).collect::<Result<_>>()?, span: self.span.clone() })
    }

    /// Drops all but the first `len` tokens of each row.
    pub fn truncate(&mut self, len: usize) {
        self.layers.iter_mut().for_each(|layer| layer.own.truncate(len));
        self.span.truncate(len);
    }

    /// Takes row `order[n]` for row n, in all layers; rows may be repeated or left out, as beams ask for.
    ///
    /// # Errors
    /// There is no such row, memory, device.
    pub fn reorder(&mut self, order: &[u32]) -> Result<()> {
        self.span.reorder(order)?;
        self.layers.iter_mut().try_for_each(|layer| {
            layer.own.reorder(order)?;
            layer.cross.reorder(order)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{DType, Device};

    /// Keys (2, 1, T, 2) whose values tell row and token.
    fn keys(tokens: std::ops::Range<usize>) -> Tensor {
        let value = |row: usize, token: usize, n: usize| (1000 * row + 10 * token + n) as f32;
        let row = |row| tokens.clone().flat_map(move |token| (0..2).map(move |n| value(row, token, n)));
        let values: Vec<f32> = (0..2).flat_map(row).collect();
        Tensor::from_vec(values, (2, 1, tokens.len(), 2), &Device::Cpu).unwrap()
    }

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn what_was_appended_is_held_across_growth() {
        let mut cache = KvCache::default();
        assert!(cache.held().is_err());
        let ends = [1, 3, 60, 64, 65, 200, 201];
        let mut start = 0;
        for end in ends {
            let new = keys(start..end);
            let (k, v) = cache.append(&new, &(&new + 0.5).unwrap()).unwrap();
            assert_eq!(values(&k), values(&keys(0..end)), "{end}");
            assert_eq!(values(&v), values(&(keys(0..end) + 0.5).unwrap()), "{end}");
            start = end;
        }
    }

    #[test]
    fn truncated_tokens_are_written_over() {
        let mut cache = KvCache::default();
        cache.append(&keys(0..5), &keys(0..5)).unwrap();
        cache.truncate(2);
        assert_eq!(values(&cache.held().unwrap().0), values(&keys(0..2)));
        let (k, _) = cache.append(&keys(2..4), &keys(2..4)).unwrap();
        assert_eq!(values(&k), values(&keys(0..4)));
        cache.truncate(9);
        assert_eq!(cache.len(), 4);
    }

    #[test]
    fn rows_are_reordered_and_repeated() {
        let mut cache = KvCache::default();
        cache.append(&keys(0..3), &keys(0..3)).unwrap();
        cache.reorder(&[1, 1, 0]).unwrap();
        let (k, v) = cache.held().unwrap();
        for (row, from) in [1, 1, 0].into_iter().enumerate() {
            assert_eq!(values(&k.get(row).unwrap()), values(&keys(0..3).get(from).unwrap()));
        }
        assert_eq!(values(&k), values(&v));
        assert!(cache.reorder(&[7]).is_err());
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let mut cache = KvCache::default();
        assert!(cache.fork().unwrap().is_empty());
        cache.append(&keys(0..3), &keys(0..3)).unwrap();
        let mut other = cache.fork().unwrap();
        cache.append(&keys(3..4), &keys(3..4)).unwrap();
        other.append(&keys(7..8), &keys(7..8)).unwrap();
        assert_eq!(values(&cache.held().unwrap().0), values(&keys(0..4)));
        assert_eq!(values(&other.held().unwrap().0.narrow(2, 3, 1).unwrap()), values(&keys(7..8)));
    }

    #[test]
    fn other_shapes_are_refused() {
        let mut cache = KvCache::default();
        cache.append(&keys(0..3), &keys(0..3)).unwrap();
        assert!(cache.append(&keys(3..4), &keys(3..5)).is_err());
        let wide = Tensor::zeros((2, 1, 1, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(cache.append(&wide, &wide).is_err());
        let more = Tensor::zeros((3, 1, 1, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(cache.append(&more, &more).is_err());
    }
}
