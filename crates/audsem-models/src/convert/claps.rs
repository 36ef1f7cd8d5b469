//! Files of CLAP as its authors published them.

use audsem_media::audio::{KernelPrecision, MelBank, MelConfig};
use serde_json::{Map, Value, json};

use super::network::{Rewritten, dim, object};
use super::taggers::count;
use super::{ConvertError, ExpectedTensors, SourceFile, SourceNetwork, SourceTensor, Tensors};
use crate::clap::{AudioConfig, Clap, ClipPadding, Config, FeatureConfig, MsClap, MsClapConfig, Truncation};
use crate::roberta;
use crate::text::gpt2;

/// Where a file of LAION keeps its audio tower.
const LAION_TOWER: &str = "audio_branch.";
/// Where a file of Microsoft does.
const MICROSOFT_TOWER: &str = "audio_encoder.base.htsat.";
/// Where it keeps its text tower.
const MICROSOFT_TEXT: &str = "caption_encoder.base.";
/// The audio tower in both of ours.
const TOWER: &str = "audio_model.audio_encoder.";
/// Width of an attention head of `roberta-base` and of `gpt2`; the files do not tell it.
const HEAD_WIDTH: usize = 64;
/// What both towers were made with.
const N_FFT: usize = 1024;
/// Tokens of a text that `laion_clap` gives its network at most.
const LAION_TOKENS: usize = 77;
/// Largest difference of a filter's weight from ours, as a share of the largest weight.
const FILTER_TOLERANCE: f64 = 1e-3;

/// Names of the parts of a block: in the files, and in transformers.
const BLOCK: [(&str, &str); 6] = [
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
    (".attn.proj.", ".attention.output.dense."),
    (".attn.relative_position_bias_table", ".attention.self.relative_position_bias_table"),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
];

/// Which CLAP a file is of.
pub(super) fn network_of(file: &SourceFile) -> Result<SourceNetwork, ConvertError> {
    let has = |prefix: &str| file.tensors.keys().any(|name| name.starts_with(prefix));
    if has(LAION_TOWER) {
        return Ok(SourceNetwork::LaionClap);
    }
    if has(MICROSOFT_TOWER) {
        return Ok(SourceNetwork::MsClap);
    }
    let towers = if has("audio_encoder.base.") {
        "the audio tower is that of MS-CLAP 2022, which is not supported\nhint: CLAP_weights_2023.pth is".to_owned()
    } else if has("clap.audio_encoder.") {
        "this is the captioner of MS-CLAP, not its CLAP\nhint: name CLAP_weights_2023.pth".to_owned()
    } else {
        let names: Vec<&String> = file.tensors.keys().take(3).collect();
        format!(
            "neither LAION's CLAP (`{LAION_TOWER}…`) nor MS-CLAP 2023 (`{MICROSOFT_TOWER}…`): the first tensors are {names:?}"
        )
    };
    Err(ConvertError::content(towers).of_file(&file.path, file.format))
}

/// A checkpoint of `laion_clap`, HTSAT and RoBERTa of any size, fused or not.
pub(super) fn laion(file: &SourceFile) -> Result<(Rewritten, Map<String, Value>), ConvertError> {
    let source = &file.tensors;
    check_laion(source)?;
    let mut tensors = Tensors::new();
    let audio = tower(source, LAION_TOWER, &mut tensors)?;
    check_filters(source, LAION_TOWER, 48_000)?;
    for (name, tensor) in source {
        if let Some(rest) = name.strip_prefix("text_branch.") {
            tensors.insert(format!("text_model.{rest}"), tensor.clone());
        } else if let Some(rest) = name.strip_prefix("audio_projection.").or(name.strip_prefix("text_projection.")) {
            let projection = &name[..name.len() - rest.len()];
            let rest = rest.replace("0.", "linear1.").replace("2.", "linear2.");
            tensors.insert(format!("{projection}{rest}"), tensor.clone());
        } else if !name.starts_with(LAION_TOWER) && !is_training_head(name) {
            tensors.insert(name.clone(), tensor.clone());
        }
    }
    let fused = audio.enable_fusion;
    let config = Config {
        audio_config: audio,
        text_config: roberta_of(source),
        projection_dim: dim(source, "audio_projection.0.weight", 0).unwrap_or(512),
        max_text_tokens: Some(LAION_TOKENS),
        ..Config::default()
    };
    let features = FeatureConfig {
        frequency_min: 50.0,
        truncation: if fused { Truncation::Fusion } else { Truncation::RandTrunc },
        quantize_int16: true,
        ..FeatureConfig::default()
    };
    let expected = ExpectedTensors::of(|vb| Clap::load(vb, &config));
    let config = object(json!(config), "clap");
    Ok((Rewritten { tensors, config, expected, ignorable: is_computed }, map_of(&features)))
}

/// Names towers that this network does not have, instead of a hundred tensors.
fn check_laion(source: &Tensors) -> Result<(), ConvertError> {
    if source.keys().any(|name| name.starts_with("audio_branch.conv_block1.")) {
        return Err(ConvertError::content("the audio tower is PANN, which is not supported: HTSAT is"));
    }
    // BERT has two segments, RoBERTa one; the other text towers have no such table.
    if dim(source, "text_branch.embeddings.token_type_embeddings.weight", 0) != Some(1) {
        return Err(ConvertError::content("the text tower is not RoBERTa, which alone is supported"));
    }
    if source.keys().any(|name| name.starts_with("audio_branch.mel_conv1d.")) {
        return Err(ConvertError::content(
            "the audio tower fuses in one dimension, which is not supported: `aff_2d` is",
        ));
    }
    Ok(())
}

/// The text tower: `roberta-base` of any size.
fn roberta_of(source: &Tensors) -> roberta::Config {
    let (default, size) = (roberta::Config::clap(), |name: &str, n| dim(source, &format!("text_branch.{name}"), n));
    let hidden_size = size("embeddings.word_embeddings.weight", 1).unwrap_or(default.hidden_size);
    roberta::Config {
        vocab_size: size("embeddings.word_embeddings.weight", 0).unwrap_or(default.vocab_size),
        hidden_size,
        num_hidden_layers: count(source, |n| format!("text_branch.encoder.layer.{n}.output.dense.weight")),
        num_attention_heads: (hidden_size / HEAD_WIDTH).max(1),
        intermediate_size: size("encoder.layer.0.intermediate.dense.weight", 0).unwrap_or(default.intermediate_size),
        max_position_embeddings: size("embeddings.position_embeddings.weight", 0)
            .unwrap_or(default.max_position_embeddings),
        // That of roberta-base, which files of transformers have with 1e-12.
        layer_norm_eps: 1e-5,
        ..default
    }
}

/// `CLAP_weights_2023.pth` of `msclap`, HTSAT and GPT-2 of any size.
pub(super) fn microsoft(file: &SourceFile) -> Result<(Rewritten, Map<String, Value>), ConvertError> {
    let source = &file.tensors;
    let mut tensors = Tensors::new();
    let audio = tower(source, MICROSOFT_TOWER, &mut tensors)?;
    check_filters(source, MICROSOFT_TOWER, 32_000)?;
    for (name, tensor) in source {
        if let Some(rest) = name.strip_prefix(MICROSOFT_TEXT) {
            // The mask of the future, which older versions saved.
            if rest.ends_with(".attn.bias") || rest.ends_with(".attn.masked_bias") {
                continue;
            }
            let is_map = rest.starts_with("h.") && tensor.shape().len() == 2;
            let tensor = if is_map { tensor.transposed()? } else { tensor.clone() };
            tensors.insert(format!("text_model.{rest}"), tensor);
        } else if let Some(rest) = name.strip_prefix("audio_encoder.projection.") {
            tensors.insert(format!("audio_projection.{rest}"), tensor.clone());
        } else if let Some(rest) = name.strip_prefix("caption_encoder.projection.") {
            tensors.insert(format!("text_projection.{rest}"), tensor.clone());
        } else if !name.starts_with(MICROSOFT_TOWER) {
            tensors.insert(name.clone(), tensor.clone());
        }
    }
    let config = MsClapConfig {
        audio_config: audio,
        text_config: gpt2_of(source),
        projection_dim: dim(source, "audio_encoder.projection.linear1.weight", 0).unwrap_or(1024),
        ..MsClapConfig::default()
    };
    // The library makes the filters for 32 kHz, whatever its configuration says.
    let features = FeatureConfig {
        sampling_rate: 44_100,
        hop_length: 320,
        frequency_min: 50.0,
        max_length_s: 7,
        truncation: Truncation::RandTrunc,
        padding: ClipPadding::Repeat,
        filter_sampling_rate: Some(32_000),
        // `torchaudio.transforms.Resample`.
        torchaudio_resampling: Some(KernelPrecision::Double),
        ..FeatureConfig::default()
    };
    let expected = ExpectedTensors::of(|vb| MsClap::load(vb, &config));
    let config = object(json!(config), "msclap");
    Ok((Rewritten { tensors, config, expected, ignorable: is_computed }, map_of(&features)))
}

/// The text tower: `gpt2` of any size.
fn gpt2_of(source: &Tensors) -> gpt2::Config {
    let size = |name: &str, n| dim(source, &format!("{MICROSOFT_TEXT}{name}"), n);
    let default = gpt2::Config::default();
    let n_embd = size("wte.weight", 1).unwrap_or(default.n_embd);
    gpt2::Config {
        vocab_size: size("wte.weight", 0).unwrap_or(default.vocab_size),
        n_positions: size("wpe.weight", 0).unwrap_or(default.n_positions),
        n_embd,
        n_layer: count(source, |n| format!("{MICROSOFT_TEXT}h.{n}.ln_1.weight")),
        n_head: (n_embd / HEAD_WIDTH).max(1),
        ..default
    }
}

fn map_of(features: &FeatureConfig) -> Map<String, Value> {
    json!(features).as_object().cloned().unwrap_or_default()
}

/// What LAION trained beside the projections, and no embedding is made with.
fn is_training_head(name: &str) -> bool {
    name.starts_with("audio_transform.") || name.starts_with("text_transform.")
}

/// Tensors that the networks compute.
fn is_computed(name: &str) -> bool {
    name.ends_with(".position_ids") || name.ends_with(".token_type_ids")
}

/// The audio tower under the names of transformers, put among `tensors`, and its sizes. What the file holds of the front
/// end and of the classes of AudioSet is left out.
fn tower(source: &Tensors, prefix: &str, tensors: &mut Tensors) -> Result<AudioConfig, ConvertError> {
    const LEFT_OUT: [&str; 4] = ["spectrogram_extractor.", "logmel_extractor.", "tscam_conv.", "head."];
    for (name, tensor) in source {
        let Some(rest) = name.strip_prefix(prefix) else { continue };
        let is_buffer = rest.ends_with(".attn_mask") || rest.ends_with(".relative_position_index");
        if is_buffer || LEFT_OUT.iter().any(|part| rest.starts_with(part)) {
            continue;
        }
        if let Some((block, kind)) = rest.split_once(".attn.qkv.") {
            for (part, tensor) in ["query", "key", "value"].into_iter().zip(tensor.split(3)?) {
                tensors.insert(format!("{TOWER}{block}.attention.self.{part}.{kind}"), tensor);
            }
            continue;
        }
        let mut renamed = rest.replacen("bn0.", "batch_norm.", usize::from(rest.starts_with("bn0.")));
        if renamed.starts_with("layers.") && renamed.contains(".blocks.") {
            for (theirs, ours) in BLOCK {
                renamed = renamed.replace(theirs, ours);
            }
        }
        tensors.insert(format!("{TOWER}{renamed}"), tensor.clone());
    }
    audio_config(source, prefix)
}

/// The sizes of the tower.
fn audio_config(source: &Tensors, prefix: &str) -> Result<AudioConfig, ConvertError> {
    let default = AudioConfig::default();
    let size = |name: &str, n| dim(source, &format!("{prefix}{name}"), n);
    let missing = |name: &str| ConvertError::content(format!("there is no `{prefix}{name}`"));
    let wanted = |name: &str, n| size(name, n).ok_or_else(|| missing(name));
    let stages = count(source, |n| format!("{prefix}layers.{n}.blocks.0.norm1.weight"));
    let width = wanted("patch_embed.proj.weight", 0)?;
    let patch_size = wanted("patch_embed.proj.weight", 2)?;
    let table = |stage: usize| format!("layers.{stage}.blocks.0.attn.relative_position_bias_table");
    let window_size = wanted(&table(0), 0)?.isqrt().div_ceil(2);
    let heads = (0..stages).map(|stage| wanted(&table(stage), 1)).collect::<Result<_, _>>()?;
    // The masks of shifted windows tell how many of them the first grid has.
    let windows = size("layers.0.blocks.1.attn_mask", 0).map(usize::isqrt);
    let hidden = wanted("layers.0.blocks.0.mlp.fc1.weight", 0)?;
    Ok(AudioConfig {
        window_size,
        num_mel_bins: wanted("bn0.weight", 0)?,
        spec_size: windows.map_or(default.spec_size, |windows| windows * window_size * patch_size),
        patch_size,
        patch_stride: [patch_size; 2],
        hidden_size: width << stages.saturating_sub(1),
        depths: (0..stages)
            .map(|stage| count(source, |n| format!("{prefix}layers.{stage}.blocks.{n}.norm1.weight")))
            .collect(),
        num_attention_heads: heads,
        enable_fusion: size("patch_embed.mel_conv2d.weight", 0).is_some(),
        fusion_type: size("patch_embed.mel_conv2d.weight", 0).map(|_| "aff_2d".to_owned()),
        patch_embeds_hidden_size: width,
        enable_patch_layer_norm: size("patch_embed.norm.weight", 0).is_some(),
        qkv_bias: size("layers.0.blocks.0.attn.qkv.bias", 0).is_some(),
        mlp_ratio: hidden as f64 / width.max(1) as f64,
        aff_block_r: size("patch_embed.fusion_model.local_att.0.weight", 0)
            .map_or(default.aff_block_r, |narrow| width / narrow.max(1)),
        ..default
    })
}

/// Makes sure that the filters of the file are those that ours are made like: weights trained behind others would give
/// wrong vectors without a word.
fn check_filters(source: &Tensors, prefix: &str, rate: u32) -> Result<(), ConvertError> {
    let name = format!("{prefix}logmel_extractor.melW");
    let window = dim(source, &format!("{prefix}spectrogram_extractor.stft.conv_real.weight"), 2);
    if let Some(length) = window.filter(|length| *length != N_FFT) {
        let problem = format!("the front end has frames of {length} samples: {N_FFT} are supported");
        return Err(ConvertError::content(problem));
    }
    let Some(filters) = source.get(&name) else { return Ok(()) };
    let &[bins, mels] = filters.shape() else {
        return Err(ConvertError::content(format!("`{name}` has the shape {:?}", filters.shape())));
    };
    let difference = difference_of_filters(filters, bins, mels, rate)?;
    if difference > FILTER_TOLERANCE {
        return Err(ConvertError::content(format!(
            "`{name}`: the network was trained behind other filters than {mels} from 50 to 14000 Hz at {rate} Hz: they differ by {:.1} % of the largest weight",
            difference * 100.0
        )));
    }
    Ok(())
}

/// The largest difference of weights over the largest weight.
fn difference_of_filters(filters: &SourceTensor, bins: usize, mels: usize, rate: u32) -> Result<f64, ConvertError> {
    let bank = MelBank::new(&MelConfig::slaney(mels, 50.0, 14_000.0), rate, 2 * bins.saturating_sub(1).max(1))
        .map_err(|error| ConvertError::content(format!("filters for {rate} Hz: {error}")))?;
    let stored = filters.values();
    let (mut difference, mut largest) = (0.0f64, f64::MIN_POSITIVE);
    for mel in 0..mels {
        let (first, weights) = bank.filter(mel);
        for bin in 0..bins {
            let ours = bin.checked_sub(first).and_then(|n| weights.get(n)).copied().unwrap_or(0.0);
            difference = difference.max((ours - f64::from(stored[bin * mels + mel])).abs());
            largest = largest.max(ours);
        }
    }
    Ok(difference / largest)
}
