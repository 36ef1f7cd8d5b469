//! What of the language model keeps its graph from the forward pass to the backward pass.

use crate::language::LanguageConfig;

/// Numbers that the graphs of the halves of a layer hold for each token, beside their inputs, which are held anyway. Attention
/// takes somewhat more with adapters that drop some of their input and with weights that are trained, and less on the CPU with
/// neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphSizes {
    /// Of norm, attention and sum.
    pub attention: usize,
    /// Of norm, feed-forward block and sum.
    pub feed_forward: usize,
}

impl GraphSizes {
    /// The sizes of a language model's graphs; `is_feed_forward_trained` says whether weights of these blocks are, or adapters beside them.
    #[must_use]
    pub fn of(config: &LanguageConfig, is_feed_forward_trained: bool) -> Self {
        let LanguageConfig { hidden_size: dim, intermediate_size: wide, head_dim, .. } = *config;
        let heads = config.num_attention_heads + config.num_key_value_heads;
        // Norm, projection and sum; of each head what was projected, turned and mixed, or keys and values.
        let attention = 3 * dim + 3 * heads * head_dim;
        // Sum, gates and values where nothing is trained, else norm, projection and product, too.
        let feed_forward = if is_feed_forward_trained { 3 * dim + 3 * wide } else { dim + 2 * wide };
        Self { attention, feed_forward }
    }

    /// Whether a tensor, by the network's name, belongs to a feed-forward block of the language model.
    #[must_use]
    pub fn is_of_feed_forward(name: &str) -> bool {
        name.contains(".mlp.")
    }
}

/// How many of the last layers keep the graph of each half, instead of computing it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptHalves {
    /// Halves with attention.
    pub attention: usize,
    /// Halves with feed-forward blocks.
    pub feed_forward: usize,
}

impl KeptHalves {
    /// The best use of the memory that the graphs of `layers` layers take, in a model of `of` layers: feed-forward blocks are
    /// most of the work and keep least. Half a layer at least is held at once; so much of the last layer is always kept.
    #[must_use]
    pub fn best(layers: usize, of: usize, sizes: GraphSizes) -> Self {
        let (attention, feed_forward) = (sizes.attention.max(1), sizes.feed_forward.max(1));
        let memory = layers.saturating_mul(attention + feed_forward);
        // While attention that is not kept is gone back through, the last feed-forward block is done with.
        let blocks = (1 + memory.saturating_sub(attention.max(feed_forward)) / feed_forward).min(of);
        Self { attention: (memory.saturating_sub(blocks * feed_forward) / attention).min(of), feed_forward: blocks }
    }

    /// Numbers for each token that are held at the most, in a model of `of` layers.
    #[must_use]
    pub fn held(self, of: usize, sizes: GraphSizes) -> usize {
        let kept = self.attention * sizes.attention + self.feed_forward * sizes.feed_forward;
        let again = if self.attention < of { sizes.attention } else { 0 };
        kept.max(self.feed_forward.saturating_sub(self.attention + 1) * sizes.feed_forward + again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_forward_blocks_are_kept_first() {
        let sizes = GraphSizes { attention: 10, feed_forward: 6 };
        let best = |layers| {
            let kept = KeptHalves::best(layers, 12, sizes);
            (kept.attention, kept.feed_forward, kept.held(12, sizes))
        };
        let wanted = [(0, (0, 1, 10)), (1, (0, 2, 16)), (2, (0, 4, 28)), (5, (0, 12, 76)), (7, (4, 12, 112))];
        for (layers, wanted) in wanted {
            assert_eq!(best(layers), wanted, "{layers}");
        }
        assert_eq!((best(12), best(usize::MAX)), ((12, 12, 192), (12, 12, 192)));
        for (layers, attention, feed_forward) in (0..20).flat_map(|n| [(n, 3, 7), (n, 7, 3), (n, 5, 5)]) {
            let sizes = GraphSizes { attention, feed_forward };
            let held = KeptHalves::best(layers, 12, sizes).held(12, sizes);
            assert!(held <= layers.max(1) * 10, "{layers} layers of {sizes:?}: {held}");
        }
    }
}
