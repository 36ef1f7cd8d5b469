//! The bias of attention by the distance of a key from its query.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Config;
use crate::nn::Embedding;

/// A learned bias for each head and class of distances: near ones have a class each, farther ones share classes that grow
/// with their logarithm (Raffel et al., "T5", 2020).
#[derive(Debug, Clone)]
pub(super) struct DistanceBias {
    table: Embedding, // (buckets, H)
    buckets: usize,
    max_distance: usize,
}

impl DistanceBias {
    /// Loads `weight`.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        Ok(Self {
            table: Embedding::load(vb, config.num_buckets, config.encoder_attention_heads, super::STDEV)?,
            buckets: config.num_buckets,
            max_distance: config.max_distance,
        })
    }

    /// The bias (1, H, T, T) of T tokens, query before key.
    pub(super) fn forward(&self, tokens: usize) -> Result<Tensor> {
        let device = self.table.table().device();
        let reach = tokens as i64 - 1;
        let buckets: Vec<u32> = (-reach..=reach).map(|distance| self.bucket(distance)).collect();
        let values = self.table.forward(&Tensor::new(buckets, device)?)?.t()?; // (H, 2T − 1)
        // The row of a query is a piece of these values, which starts one place earlier for each query.
        let rows: Vec<Tensor> =
            (0..tokens).map(|query| values.narrow(1, tokens - 1 - query, tokens)).collect::<Result<_>>()?;
        Tensor::stack(&rows, 0)?.transpose(0, 1)?.contiguous()?.unsqueeze(0) // (T, H, T) to (1, H, T, T)
    }

    /// The class of a distance, which is that of the key minus that of the query. Logarithms in single precision, as in
    /// the reference, decide where classes end.
    pub(super) fn bucket(&self, distance: i64) -> u32 {
        let half = self.buckets / 2;
        let near = half / 2;
        let behind = if distance > 0 { half } else { 0 };
        let length = usize::try_from(distance.unsigned_abs()).unwrap_or(usize::MAX);
        let class = if length < near {
            length
        } else {
            let ratio = (length as f32 / near as f32).ln() / (self.max_distance as f64 / near as f64).ln() as f32;
            (near + (ratio * (half - near) as f32) as usize).min(half - 1)
        };
        (behind + class) as u32
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{DType, Device};

    fn goldens() -> std::collections::HashMap<String, Tensor> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/original_networks/beats.safetensors");
        candle_core::safetensors::load(path, &Device::Cpu).unwrap()
    }

    fn config() -> Config {
        Config { num_buckets: 320, max_distance: 800, encoder_attention_heads: 4, ..Config::default() }
    }

    fn bias(goldens: &std::collections::HashMap<String, Tensor>) -> DistanceBias {
        let name = "weights.encoder.layers.0.self_attn.relative_attention_bias.weight";
        let tensors = std::collections::HashMap::from([("weight".to_owned(), goldens[name].clone())]);
        DistanceBias::load(&VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config()).unwrap()
    }

    #[test]
    fn classes_and_biases_are_those_of_the_original() {
        let goldens = goldens();
        let bias = bias(&goldens);
        let distances = goldens["rel_bucket.r"].to_vec1::<i32>().unwrap();
        let wanted = goldens["rel_bucket.bucket"].to_vec1::<i32>().unwrap();
        for (distance, wanted) in distances.into_iter().zip(wanted) {
            assert_eq!(bias.bucket(i64::from(distance)) as i32, wanted, "distance {distance}");
        }
        let of_every_7th = &goldens["pos_bias.every_7th_query"];
        let rows = Tensor::from_iter((0..120u32).step_by(7), &Device::Cpu).unwrap();
        let got = bias.forward(120).unwrap().squeeze(0).unwrap().index_select(&rows, 1).unwrap();
        let difference = (got - of_every_7th).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(difference, 0.0);
    }
}
