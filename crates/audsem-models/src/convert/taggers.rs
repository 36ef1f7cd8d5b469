//! Files of networks that tag sounds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::network::{Rewritten, dim, object, without_prefix};
use super::{ConvertError, ExpectedTensors, SourceFile, Tensors, onnx};
use crate::audio::{beats, ced, sat, silero_vad, yamnet};

/// Width of an attention head in all published sizes of CED and SAT, whose files do not tell it.
const HEAD_WIDTH: usize = 64;

/// What the graph of Silero VAD calls the table of its transform, behind the name of the network.
const SILERO_TRANSFORM: &str = "stft.forward_basis_buffer";
/// Rows of that table for sounds of 16 kHz; the graph holds a network for 8 kHz too.
const SILERO_ROWS: usize = 258;
/// Parts of names in the graph of Silero VAD, and what they are in the package's safetensors.
const SILERO_NAMES: [(&str, &str); 7] = [
    ("stft.forward_basis_buffer", "stft_conv.weight"),
    ("encoder.0.reparam_conv.", "conv1."),
    ("encoder.1.reparam_conv.", "conv2."),
    ("encoder.2.reparam_conv.", "conv3."),
    ("encoder.3.reparam_conv.", "conv4."),
    ("decoder.rnn.", "lstm_cell."),
    ("decoder.decoder.2.", "final_conv."),
];

/// The number of entries in a row of layers: `PREFIX.0`, `PREFIX.1` and so on.
pub(super) fn count(tensors: &Tensors, name: impl Fn(usize) -> String) -> usize {
    (0..).take_while(|n| tensors.contains_key(&name(*n))).count()
}

/// Names of the authors. The export calls the positions over frequency `alias`.
pub(super) fn ced(file: &SourceFile) -> Rewritten {
    let mut tensors = without_prefix(&file.tensors, "model.");
    for (from, to) in [("alias", "encoder.freq_pos_embed"), (onnx::STFT_WINDOW, "mel_transform.spectrogram.window")] {
        if let Some(tensor) = tensors.remove(from) {
            tensors.insert(to.to_owned(), tensor);
        }
    }
    let default = ced::Config::default();
    let embed_dim = dim(&tensors, "encoder.patch_embed.proj.weight", 0).unwrap_or(default.embed_dim);
    let columns = dim(&tensors, "encoder.time_pos_embed", 3);
    let config = ced::Config {
        embed_dim,
        depth: count(&tensors, |n| format!("encoder.blocks.{n}.norm1.weight")),
        num_heads: (embed_dim / HEAD_WIDTH).max(1),
        target_length: columns.map_or(default.target_length, |columns| columns * default.patch_size),
        outputdim: dim(&tensors, "outputlayer.1.weight", 0).unwrap_or(default.outputdim),
        front_end_tables: ["spectrogram.window", "mel_scale.fb"]
            .iter()
            .all(|name| tensors.contains_key(&format!("mel_transform.{name}"))),
        ..default
    };
    let expected = ExpectedTensors::of(|vb| ced::Ced::load(vb, &config));
    Rewritten { tensors, config: object(json!(config), "ced"), expected, ignorable: ced::is_ignorable }
}

pub(super) fn yamnet(file: &SourceFile) -> Rewritten {
    Rewritten {
        tensors: without_prefix(&file.tensors, "model."),
        config: object(json!({}), "yamnet"),
        expected: ExpectedTensors::of(yamnet::Yamnet::load),
        ignorable: |_| false,
    }
}

/// The network for 16 kHz of the package's graph, which holds one for 8 kHz beside it; the names are those of the
/// package's safetensors. Gives the names of the other network's tensors too.
pub(super) fn silero_vad(file: &SourceFile) -> (Rewritten, Vec<String>) {
    let is_wanted =
        |name: &&String| name.ends_with(SILERO_TRANSFORM) && dim(&file.tensors, name, 0) == Some(SILERO_ROWS);
    let transform = file.tensors.keys().find(is_wanted);
    let prefix = transform.and_then(|name| name.strip_suffix(SILERO_TRANSFORM)).unwrap_or_default();
    let (mut tensors, mut others) = (BTreeMap::new(), Vec::new());
    for (name, tensor) in &file.tensors {
        match name.strip_prefix(prefix) {
            Some(own) => {
                let new = SILERO_NAMES.iter().find_map(|(from, to)| Some(format!("{to}{}", own.strip_prefix(from)?)));
                tensors.insert(new.unwrap_or_else(|| own.to_owned()), tensor.clone());
            }
            None => others.push(name.clone()),
        }
    }
    let expected = ExpectedTensors::of(silero_vad::SileroVad::load);
    (Rewritten { tensors, config: object(json!({}), "silero_vad"), expected, ignorable: |_| false }, others)
}

/// The authors' checkpoint: weights under `model`, beside the configuration `cfg` and the classes `label_dict`.
pub(super) fn beats(file: &SourceFile) -> Result<Rewritten, ConvertError> {
    let Some(Value::Object(mut config)) = file.metadata.get("cfg").cloned() else {
        return Err(ConvertError::content("the file holds no configuration `cfg`, which checkpoints of BEATs have"));
    };
    if let Some(labels) = file.metadata.get("label_dict") {
        config.insert("label_dict".to_owned(), labels.clone());
    }
    let config: beats::Config = serde_json::from_value(Value::Object(config))
        .map_err(|error| ConvertError::content(format!("`cfg` or `label_dict`: {error}")))?;
    Ok(Rewritten {
        tensors: file.tensors.clone(),
        expected: ExpectedTensors::of(|vb| beats::Beats::load(vb, &config)),
        config: object(json!(config), "beats"),
        ignorable: beats::is_ignorable,
    })
}

/// The authors' checkpoint: a state dictionary alone, or under `model`.
pub(super) fn sat(file: &SourceFile) -> Rewritten {
    let (tensors, default) = (file.tensors.clone(), sat::Config::default());
    let patch = "patch_embed.proj.weight";
    let embed_dim = dim(&tensors, patch, 0).unwrap_or(default.embed_dim);
    let patch_size = dim(&tensors, patch, 2).unwrap_or(default.patch_size);
    // Half of the positions are those of the cache.
    let columns = dim(&tensors, "time_pos_embed", 3).map(|columns| columns / 2);
    let frames = columns.map_or(default.target_length, |columns| columns * patch_size);
    let wide = dim(&tensors, "blocks.0.mlp.fc1.weight", 0);
    let config = sat::Config {
        outputdim: dim(&tensors, "outputlayer.1.weight", 0).unwrap_or(default.outputdim),
        patch_size,
        n_mels: dim(&tensors, "init_bn.1.weight", 0).unwrap_or(default.n_mels),
        embed_dim,
        depth: count(&tensors, |n| format!("blocks.{n}.norm1.weight")),
        num_heads: (embed_dim / HEAD_WIDTH).max(1),
        mlp_ratio: wide.map_or(default.mlp_ratio, |wide| wide / embed_dim.max(1)),
        target_length: frames,
        cache_length: frames,
    };
    let expected = ExpectedTensors::of(|vb| sat::Sat::load(vb, &config));
    Rewritten { tensors, config: object(json!(config), "sat"), expected, ignorable: sat::is_ignorable }
}
