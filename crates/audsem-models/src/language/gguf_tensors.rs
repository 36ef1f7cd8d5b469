//! GGUF files in the form of transformers: configuration and dequantised weights.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::gguf::halves;
use super::{Family, GgufFile, LanguageConfig};
use crate::error::Result;

/// Maps of a layer in GGUF files and in transformers.
const MAPS: [(&str, &str); 7] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Norms of a layer.
const NORMS: [(&str, &str); 2] = [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")];

impl GgufFile {
    /// The `config.json` of the network, as transformers reads it.
    ///
    /// # Errors
    /// As [`GgufFile::config`]; or the file has settings that no `config.json` holds, as a factor for each frequency.
    pub fn config_json(&self) -> Result<Value> {
        let config = self.config()?;
        let (architecture, model_type) = match config.family {
            Family::Llama => ("LlamaForCausalLM", "llama"),
            Family::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
            Family::Mixtral => return Err(self.fault("a mixture of experts is not supported")),
        };
        let theta = self.real(&format!("{model_type}.rope.freq_base"))?.unwrap_or(10_000.0);
        let mut json = json!({
            "architectures": [architecture],
            "model_type": model_type,
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_hidden_layers,
            "num_attention_heads": config.num_attention_heads,
            "num_key_value_heads": config.num_key_value_heads,
            "head_dim": config.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": config.rms_norm_eps,
            "rope_theta": theta,
            "tie_word_embeddings": config.tie_word_embeddings,
            "max_position_embeddings": config.max_position_embeddings,
        });
        if config.family == Family::Llama {
            json["attention_bias"] = config.attention_bias.query.into();
            json["mlp_bias"] = config.mlp_bias.into();
        }
        if let Some(factor) = self.real(&format!("{model_type}.rope.scaling.factor"))? {
            json["rope_scaling"] = json!({"rope_type": "linear", "factor": factor});
        }
        // What cannot be written down would be lost without a word.
        let read = LanguageConfig::from_json(&json)?;
        if self.has("rope_freqs.weight") || format!("{read:?}") != format!("{config:?}") {
            return Err(self.fault("has settings that a config.json of transformers does not hold"));
        }
        Ok(json)
    }

    /// The weights in f32 by the names of transformers, each value dequantised.
    ///
    /// # Errors
    /// A tensor is missing, of another shape or of an unknown kind, or belongs to no part of the architecture.
    pub fn tensors(&mut self) -> Result<BTreeMap<String, Tensor>> {
        let config = self.config()?;
        let (dim, vocabulary) = (config.hidden_size, config.vocab_size);
        let mut tensors = BTreeMap::new();
        let ends = [
            ("token_embd", "model.embed_tokens", vec![vocabulary, dim]),
            ("output_norm", "model.norm", vec![dim]),
            ("output", "lm_head", vec![vocabulary, dim]),
        ];
        for (from, to, shape) in ends {
            if from != "output" || !config.tie_word_embeddings {
                let weight = self.plain(&format!("{from}.weight"), &shape, &Device::Cpu)?;
                tensors.insert(format!("{to}.weight"), weight);
            }
        }
        for n in 0..config.num_hidden_layers {
            for (from, to) in NORMS {
                let weight = self.plain(&format!("blk.{n}.{from}.weight"), &[dim], &Device::Cpu)?;
                tensors.insert(format!("model.layers.{n}.{to}.weight"), weight);
            }
            for (from, to) in MAPS {
                self.map(&config, &format!("blk.{n}.{from}"), &format!("model.layers.{n}.{to}"), &mut tensors)?;
            }
        }
        match self.unread() {
            Some(name) => Err(self.fault(format!("tensor `{name}` belongs to no part of this architecture"))),
            None => Ok(tensors),
        }
    }

    /// Weight and bias of a map, in the order of transformers.
    fn map(
        &mut self,
        config: &LanguageConfig,
        from: &str,
        to: &str,
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let [of_queries, of_keys] =
            [config.num_attention_heads, config.num_key_value_heads].map(|heads| heads * config.head_dim);
        let name = from.rsplit('.').next().unwrap_or_default();
        let [outputs, inputs] = match name {
            "attn_q" => [of_queries, dim],
            "attn_k" | "attn_v" => [of_keys, dim],
            "attn_output" => [dim, of_queries],
            "ffn_down" => [dim, wide],
            _ => [wide, dim],
        };
        // Files of Llama hold the values of a head in another order, for rotations of neighbours.
        let heads = match (config.family, name) {
            (Family::Llama, "attn_q") => Some(config.num_attention_heads),
            (Family::Llama, "attn_k") => Some(config.num_key_value_heads),
            _ => None,
        };
        for (kind, shape) in [("weight", vec![outputs, inputs]), ("bias", vec![outputs])] {
            let stored = format!("{from}.{kind}");
            if kind == "bias" && !self.has(&stored) {
                continue;
            }
            let tensor = self.tensor(&stored, &shape, &Device::Cpu)?;
            let tensor = match heads {
                Some(heads) => halves(&tensor, heads, &Device::Cpu)?,
                None => tensor,
            };
            tensors.insert(format!("{to}.{kind}"), tensor.dequantize(&Device::Cpu)?);
        }
        Ok(())
    }
}
