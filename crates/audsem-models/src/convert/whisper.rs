//! Whisper of CTranslate2, with the names and the configuration of transformers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::network::beside;
use super::{ConvertError, SourceFile, SourceTensor, TensorMismatch, Tensors};

const SPECIFICATION: &str = "WhisperSpec";

/// Tensors with their new names, and `config.json`.
pub(super) fn convert(file: &SourceFile) -> Result<(Tensors, Map<String, Value>), ConvertError> {
    if file.metadata.get("specification").and_then(Value::as_str) != Some(SPECIFICATION) {
        return Err(ConvertError::content(format!(
            "the file is no model of CTranslate2 with specification {SPECIFICATION}"
        )));
    }
    let mut renamer = Renamer { left: file.tensors.clone(), done: BTreeMap::new(), missing: Vec::new() };
    let layers = ["encoder", "decoder"].map(|side| layers(&file.tensors, side));
    renamer.ends();
    for layer in 0..layers[0] {
        renamer.layer("encoder", layer)?;
    }
    for layer in 0..layers[1] {
        renamer.layer("decoder", layer)?;
    }
    let mismatch =
        TensorMismatch { missing: renamer.missing, unexpected: renamer.left.into_keys().collect(), shapes: Vec::new() };
    if mismatch != TensorMismatch::default() {
        return Err(ConvertError::Mismatch { network: "whisper", mismatch });
    }
    let config = config(file, &renamer.done, layers)?;
    Ok((renamer.done, config))
}

/// How many layers the encoder or decoder has.
fn layers(tensors: &Tensors, side: &str) -> usize {
    (0..).take_while(|n| tensors.contains_key(&format!("{side}/layer_{n}/self_attention/linear_0/weight"))).count()
}

struct Renamer {
    left: Tensors,
    done: Tensors,
    missing: Vec<String>,
}

impl Renamer {
    fn take(&mut self, name: &str) -> Option<SourceTensor> {
        let taken = self.left.remove(name);
        if taken.is_none() {
            self.missing.push(name.to_owned());
        }
        taken
    }

    fn rename(&mut self, from: &str, to: &str) {
        if let Some(tensor) = self.take(from) {
            self.done.insert(to.to_owned(), tensor);
        }
    }

    /// Everything outside the layers.
    fn ends(&mut self) {
        for conv in ["conv1", "conv2"] {
            self.linear(&format!("encoder/{conv}"), &format!("model.encoder.{conv}"));
        }
        for side in ["encoder", "decoder"] {
            self.rename(
                &format!("{side}/position_encodings/encodings"),
                &format!("model.{side}.embed_positions.weight"),
            );
            self.norm(&format!("{side}/layer_norm"), &format!("model.{side}.layer_norm"));
        }
        self.rename("decoder/embeddings/weight", "model.decoder.embed_tokens.weight");
    }

    fn linear(&mut self, from: &str, to: &str) {
        self.rename(&format!("{from}/weight"), &format!("{to}.weight"));
        self.rename(&format!("{from}/bias"), &format!("{to}.bias"));
    }

    fn norm(&mut self, from: &str, to: &str) {
        self.rename(&format!("{from}/gamma"), &format!("{to}.weight"));
        self.rename(&format!("{from}/beta"), &format!("{to}.bias"));
    }

    fn layer(&mut self, side: &str, n: usize) -> Result<(), ConvertError> {
        let (from, to) = (format!("{side}/layer_{n}"), format!("model.{side}.layers.{n}"));
        self.norm(&format!("{from}/self_attention/layer_norm"), &format!("{to}.self_attn_layer_norm"));
        self.fused(
            &format!("{from}/self_attention/linear_0"),
            &format!("{to}.self_attn"),
            &["q_proj", "k_proj", "v_proj"],
        )?;
        self.linear(&format!("{from}/self_attention/linear_1"), &format!("{to}.self_attn.out_proj"));
        if side == "decoder" {
            self.norm(&format!("{from}/attention/layer_norm"), &format!("{to}.encoder_attn_layer_norm"));
            self.linear(&format!("{from}/attention/linear_0"), &format!("{to}.encoder_attn.q_proj"));
            self.fused(&format!("{from}/attention/linear_1"), &format!("{to}.encoder_attn"), &["k_proj", "v_proj"])?;
            self.linear(&format!("{from}/attention/linear_2"), &format!("{to}.encoder_attn.out_proj"));
        }
        self.norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.final_layer_norm"));
        self.linear(&format!("{from}/ffn/linear_0"), &format!("{to}.fc1"));
        self.linear(&format!("{from}/ffn/linear_1"), &format!("{to}.fc2"));
        Ok(())
    }

    /// Projections that the file has in one matrix. Whisper's keys have no bias; the file has zeros there.
    fn fused(&mut self, from: &str, to: &str, names: &[&str]) -> Result<(), ConvertError> {
        for part in ["weight", "bias"] {
            let Some(tensor) = self.take(&format!("{from}/{part}")) else { continue };
            for (name, tensor) in names.iter().zip(tensor.split(names.len())?) {
                if (*name, part) != ("k_proj", "bias") {
                    self.done.insert(format!("{to}.{name}.{part}"), tensor);
                } else if tensor.values().iter().any(|value| *value != 0.0) {
                    return Err(ConvertError::content(format!("`{from}/bias` gives keys a bias, which Whisper lacks")));
                }
            }
        }
        Ok(())
    }
}

fn config(
    file: &SourceFile,
    tensors: &Tensors,
    [encoder_layers, decoder_layers]: [usize; 2],
) -> Result<Map<String, Value>, ConvertError> {
    let dim = |name: &str, dim: usize| tensors.get(name).and_then(|tensor| tensor.shape().get(dim)).copied();
    let heads = |side: &str| file.metadata.get(&format!("{side}/num_heads")).and_then(Value::as_u64);
    let (Some(encoder_heads), Some(decoder_heads)) = (heads("encoder"), heads("decoder")) else {
        return Err(ConvertError::content("the file does not tell the number of attention heads"));
    };
    let config = json!({
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "vocab_size": dim("model.decoder.embed_tokens.weight", 0),
        "num_mel_bins": dim("model.encoder.conv1.weight", 1),
        "d_model": dim("model.encoder.conv1.weight", 0),
        "encoder_layers": encoder_layers,
        "encoder_attention_heads": encoder_heads,
        "encoder_ffn_dim": dim("model.encoder.layers.0.fc1.weight", 0),
        "decoder_layers": decoder_layers,
        "decoder_attention_heads": decoder_heads,
        "decoder_ffn_dim": dim("model.decoder.layers.0.fc1.weight", 0),
        "max_source_positions": dim("model.encoder.embed_positions.weight", 0),
        "max_target_positions": dim("model.decoder.embed_positions.weight", 0),
        "activation_function": "gelu",
        "scale_embedding": false,
        "tie_word_embeddings": true,
    });
    let Value::Object(mut config) = config else { return Ok(Map::new()) };
    // What packages of CTranslate2 say beside the weights about tokens that are never written, or never first.
    let settings = beside(file)?;
    for (theirs, ours) in [("suppress_ids", "suppress_tokens"), ("suppress_ids_begin", "begin_suppress_tokens")] {
        config.extend(settings.get(theirs).map(|ids| (ours.to_owned(), ids.clone())));
    }
    Ok(config)
}
