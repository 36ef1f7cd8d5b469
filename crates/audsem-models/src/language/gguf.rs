//! Language models from GGUF files: sizes from their metadata, weights in their block formats.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};

use super::mixture::{FeedForward, GatedBlock};
use super::network::{Layer, Parts, TokenTable};
use super::{Family, LanguageConfig, LanguageNetwork};
use crate::error::{Error, Result};
use crate::nn::{Activation, Linear, ProjectionBias, RmsNorm, RopeScaling, Rotary, RowLinear};

/// Block formats whose products candle 0.11 computes number by number on x86: widened to f32, SmolLM2-135M in Q4_1 writes
/// several times as fast.
const SLOW_FORMATS: [GgmlDType; 4] = [GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1, GgmlDType::Q8_1];

/// Most bytes of f32 that weights in slow formats are widened to; those of larger models keep their blocks.
const MOST_WIDENED: usize = 2 << 30;

/// An opened GGUF file.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    content: Content,
    reader: BufReader<File>,
    unread: BTreeSet<String>,
}

impl GgufFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// It cannot be read, or is no GGUF file.
    pub fn open(path: &Path) -> Result<Self> {
        let fault = |reason: String| Error::Gguf { path: path.to_owned(), reason };
        let mut reader = BufReader::new(File::open(path).map_err(|error| fault(error.to_string()))?);
        let content = Content::read(&mut reader).map_err(|error| fault(error.to_string()))?;
        let unread = content.tensor_infos.keys().cloned().collect();
        Ok(Self { path: path.to_owned(), content, reader, unread })
    }

    pub(super) fn fault(&self, reason: impl Into<String>) -> Error {
        Error::Gguf { path: self.path.clone(), reason: reason.into() }
    }

    /// The value under a key, if there is one.
    pub(super) fn optional(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
    }

    /// The text under a key, if there is one.
    ///
    /// # Errors
    /// The value is no text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.optional(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(format!("`{key}` is no text"))),
        }
    }

    /// The whole number under a key, if there is one.
    ///
    /// # Errors
    /// The value is no whole number from 0.
    pub fn number(&self, key: &str) -> Result<Option<usize>> {
        let number = |value: &Value| match *value {
            Value::U8(n) => Some(u64::from(n)),
            Value::U16(n) => Some(u64::from(n)),
            Value::U32(n) => Some(u64::from(n)),
            Value::U64(n) => Some(n),
            Value::I32(n) => u64::try_from(n).ok(),
            Value::I64(n) => u64::try_from(n).ok(),
            _ => None,
        };
        let Some(value) = self.optional(key) else { return Ok(None) };
        let found = number(value).and_then(|n| usize::try_from(n).ok());
        found.map(Some).ok_or_else(|| self.fault(format!("`{key}` is no whole number from 0")))
    }

    pub(super) fn real(&self, key: &str) -> Result<Option<f64>> {
        match self.optional(key) {
            None => Ok(None),
            Some(Value::F32(x)) => Ok(Some(f64::from(*x))),
            Some(Value::F64(x)) => Ok(Some(*x)),
            Some(_) => Err(self.fault(format!("`{key}` is no number"))),
        }
    }

    /// The configuration of the network.
    ///
    /// # Errors
    /// The architecture is neither Llama's nor Qwen2's, a key is missing, or a setting is not supported.
    pub fn config(&self) -> Result<LanguageConfig> {
        let architecture = self.text("general.architecture")?.unwrap_or_default().to_owned();
        let family = match architecture.as_str() {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            other => return Err(self.fault(format!("architecture `{other}`\nhint: llama and qwen2 are supported"))),
        };
        let key = |name: &str| format!("{architecture}.{name}");
        let wanted =
            |name: &str| self.number(&key(name))?.ok_or_else(|| self.fault(format!("metadata lacks `{}`", key(name))));
        if self.number(&key("expert_count"))?.unwrap_or(0) > 0 {
            return Err(self.fault("a mixture of experts is not supported"));
        }
        let (dim, heads) = (wanted("embedding_length")?, wanted("attention.head_count")?);
        let head_dim = self.number(&key("attention.key_length"))?.unwrap_or(dim / heads.max(1));
        let has = |name: &str| self.has(name);
        let vocabulary = self.shape("token_embd.weight")?.first().copied().unwrap_or(0);
        let config = LanguageConfig {
            family,
            vocab_size: vocabulary,
            hidden_size: dim,
            intermediate_size: wanted("feed_forward_length")?,
            num_hidden_layers: wanted("block_count")?,
            num_attention_heads: heads,
            num_key_value_heads: self.number(&key("attention.head_count_kv"))?.unwrap_or(heads),
            head_dim,
            activation: Activation::Silu,
            rms_norm_eps: self
                .real(&key("attention.layer_norm_rms_epsilon"))?
                .ok_or_else(|| self.fault("metadata lacks the epsilon of the norms"))?,
            rotary: self.rotary(&key, head_dim)?,
            attention_bias: match has("blk.0.attn_q.bias") {
                true => ProjectionBias { output: has("blk.0.attn_output.bias"), ..ProjectionBias::QWEN2 },
                false => ProjectionBias::NONE,
            },
            mlp_bias: has("blk.0.ffn_down.bias"),
            experts: None,
            tie_word_embeddings: !has("output.weight"),
            max_position_embeddings: wanted("context_length")?,
        };
        config.validate()?;
        Ok(config)
    }

    fn rotary(&self, key: &dyn Fn(&str) -> String, head_dim: usize) -> Result<Rotary> {
        let turned = self.number(&key("rope.dimension_count"))?.unwrap_or(head_dim);
        if turned != head_dim {
            return Err(self.fault(format!("rotary positions of {turned} values of heads of {head_dim}")));
        }
        let rotary = Rotary::new(head_dim, self.real(&key("rope.freq_base"))?.unwrap_or(10_000.0))?;
        match self.text(&key("rope.scaling.type"))?.unwrap_or("none") {
            "none" => Ok(rotary),
            "linear" => {
                let factor = self.real(&key("rope.scaling.factor"))?;
                let factor = factor.ok_or_else(|| self.fault("linear rotary scaling lacks its factor"))?;
                Ok(rotary.with_scaling(RopeScaling::Linear { factor }))
            }
            other => Err(self.fault(format!("rotary scaling `{other}`\nhint: none and linear are supported"))),
        }
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// The first tensor that nothing has asked for.
    pub(super) fn unread(&self) -> Option<&String> {
        self.unread.first()
    }

    fn shape(&self, name: &str) -> Result<&[usize]> {
        let info = self.content.tensor_infos.get(name);
        info.map(|info| info.shape.dims()).ok_or_else(|| self.fault(format!("lacks tensor `{name}`")))
    }

    pub(super) fn tensor(&mut self, name: &str, shape: &[usize], device: &Device) -> Result<QTensor> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(self.fault(format!("tensor `{name}` has shape {found:?}, not {shape:?}")));
        }
        self.unread.remove(name);
        let read = self.content.tensor(&mut self.reader, name, device);
        read.map_err(|error| self.fault(format!("tensor `{name}`: {error}")))
    }

    /// A map by a weight of the file, in its blocks or, where that is faster and affordable, in f32.
    fn row_linear(&self, weight: QTensor, bias: Option<Tensor>) -> Result<RowLinear> {
        let is_widened = weight.device().is_cpu() && SLOW_FORMATS.contains(&weight.dtype()) && self.widens();
        Ok(match is_widened {
            true => RowLinear::new(Linear::from_tensors(weight.dequantize(&weight.device())?, bias))?,
            false => RowLinear::quantised(weight, bias)?,
        })
    }

    /// Whether there is room for all weights in slow formats as f32.
    fn widens(&self) -> bool {
        let slow = self.content.tensor_infos.values().filter(|info| SLOW_FORMATS.contains(&info.ggml_dtype));
        slow.map(|info| 4 * info.shape.elem_count()).sum::<usize>() <= MOST_WIDENED
    }

    pub(super) fn plain(&mut self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        Ok(self.tensor(name, shape, device)?.dequantize(device)?)
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor is missing, of another shape or of an unknown kind.
    pub fn network(&mut self, device: &Device) -> Result<LanguageNetwork> {
        let mut config = self.config()?;
        let (dim, vocabulary) = (config.hidden_size, config.vocab_size);
        if self.has("rope_freqs.weight") {
            let factors = self.plain("rope_freqs.weight", &[config.head_dim / 2], device)?;
            config.rotary = config.rotary.with_factors(&factors.to_vec1::<f32>()?)?;
        }
        let table = self.tensor("token_embd.weight", &[vocabulary, dim], device)?;
        let head = match config.tie_word_embeddings {
            true => self.tensor("token_embd.weight", &[vocabulary, dim], device)?,
            false => self.tensor("output.weight", &[vocabulary, dim], device)?,
        };
        let layer = |n| self.layer(n, &config, device);
        let layers = (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?;
        let norm = RmsNorm::from_weight(self.plain("output_norm.weight", &[dim], device)?, config.rms_norm_eps);
        let parts = Parts {
            table: TokenTable::Quantised(table.into()),
            layers,
            norm,
            head: self.row_linear(head, None)?,
            device: device.clone(),
        };
        match self.unread.first() {
            Some(name) => Err(self.fault(format!("tensor `{name}` belongs to no part of this architecture"))),
            None => Ok(LanguageNetwork::from_parts(parts, &config)),
        }
    }

    fn layer(&mut self, n: usize, config: &LanguageConfig, device: &Device) -> Result<Layer> {
        let (dim, wide, bias) = (config.hidden_size, config.intermediate_size, config.attention_bias);
        let (heads, kv_heads, head_dim) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        // Files of Llama hold the values of a head in another order, for rotations of neighbours.
        let turned = |heads: usize| (config.family == Family::Llama).then_some(heads);
        let mut map = |name: &str, [outputs, inputs]: [usize; 2], bias: bool, neighbours: Option<usize>| {
            let mut weight = self.tensor(&format!("blk.{n}.{name}.weight"), &[outputs, inputs], device)?;
            let name_of_bias = format!("blk.{n}.{name}.bias");
            let mut bias = bias.then(|| self.tensor(&name_of_bias, &[outputs], device)).transpose()?;
            if let Some(heads) = neighbours {
                weight = halves(&weight, heads, device)?;
                bias = bias.map(|bias| halves(&bias, heads, device)).transpose()?;
            }
            let bias = bias.map(|bias| bias.dequantize(device)).transpose()?;
            self.row_linear(weight, bias)
        };
        let projections = vec![
            map("attn_q", [heads * head_dim, dim], bias.query, turned(heads))?,
            map("attn_k", [kv_heads * head_dim, dim], bias.key, turned(kv_heads))?,
            map("attn_v", [kv_heads * head_dim, dim], bias.value, None)?,
        ];
        let output = map("attn_output", [dim, heads * head_dim], bias.output, None)?;
        let wide_maps = ["ffn_gate", "ffn_up"].map(|name| map(name, [wide, dim], config.mlp_bias, None));
        let wide_maps = wide_maps.into_iter().collect::<Result<_>>()?;
        let down = map("ffn_down", [dim, wide], config.mlp_bias, None)?;
        let mut norm = |name: &str| {
            let weight = self.plain(&format!("blk.{n}.{name}.weight"), &[dim], device)?;
            Result::Ok(RmsNorm::from_weight(weight, config.rms_norm_eps))
        };
        let (attention_norm, mlp_norm) = (norm("attn_norm")?, norm("ffn_norm")?);
        let feed_forward = FeedForward::Dense(GatedBlock { wide: wide_maps, down });
        Ok(Layer { attention_norm, projections, output, mlp_norm, feed_forward })
    }
}

/// Reorders the rows of each head from pairs of neighbours to pairs a half apart, block by block as they are stored.
pub(super) fn halves(tensor: &QTensor, heads: usize, device: &Device) -> Result<QTensor> {
    let (data, shape, dtype) = (tensor.data()?, tensor.shape().clone(), tensor.dtype());
    let rows = shape.dims().first().copied().unwrap_or(0);
    let (row_bytes, width) = (data.len() / rows.max(1), rows / heads.max(1));
    let mut reordered = Vec::with_capacity(data.len());
    for row in 0..rows {
        let (head, at) = (row / width, row % width);
        let from = head * width + 2 * (at % (width / 2)) + at / (width / 2);
        reordered.extend_from_slice(&data[from * row_bytes..][..row_bytes]);
    }
    Ok(QTensor::new(QStorage::from_data(reordered.into(), device, dtype)?, shape)?)
}
