//! The text towers: that of CLIP, and the one that the library calls modern.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::block::{Block, LatentQuery, Mlp, Norm, NormKind, Pass, SelfAttention, map, normed, tensor};
use super::config::hidden;
use super::text_config::{
    ModernMlp, ModernPool, ModernText, NativePool, NativeText, NormPlacement, NormType, Sight, TextConfig, Tokens,
    Tower,
};
use crate::clap::model::unit;
use crate::error::{Error, Result};
use crate::nn::{Activation, Embedding, Linear, Rotary, causal_bias};

/// Epsilon of the norms of CLIP's tower.
const NATIVE_EPS: f64 = 1e-5;

/// How the states of tokens become one vector.
#[derive(Debug, Clone)]
enum Pooling {
    Highest,
    End(u32),
    Mean,
    Attentive(Box<LatentQuery>),
}

/// The last map.
#[derive(Debug, Clone)]
enum Projection {
    Map(Linear),
    Matrix(Tensor), // (D, E)
}

/// A text tower.
#[derive(Debug, Clone)]
pub(super) struct TextTower {
    embedding: Embedding,
    /// Learned vectors of positions (T, D).
    positions: Option<Tensor>,
    rotary: Option<Rotary>,
    registers: Option<Tensor>, // (1, R, D)
    norm_pre: Option<Norm>,
    blocks: Vec<Block>,
    norm: Norm,
    pooling: Pooling,
    projection: Projection,
    is_causal: bool,
    tokens: Tokens,
}

impl TextTower {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &TextConfig, embed_dim: usize) -> Result<Self> {
        match &config.tower {
            Tower::Native(text) => Self::load_native(vb, text, &config.tokens, embed_dim),
            Tower::Modern(text) => Self::load_modern(vb, text, &config.tokens, embed_dim),
        }
    }

    fn load_native(vb: &VarBuilder<'_>, config: &NativeText, tokens: &Tokens, embed_dim: usize) -> Result<Self> {
        let (dim, kind) = (config.width, NormKind { rms: false, eps: NATIVE_EPS });
        let layers = vb.pp("transformer.resblocks");
        let projection = match config.proj_bias {
            true => Projection::Map(map(&vb.pp("text_projection"), dim, embed_dim, true)?),
            false => Projection::Matrix(tensor(vb, (dim, embed_dim), "text_projection")?),
        };
        Ok(Self {
            embedding: Embedding::load(&vb.pp("token_embedding"), tokens.vocab_size, dim, 0.02)?,
            positions: Some(tensor(vb, (tokens.context_length, dim), "positional_embedding")?),
            rotary: None,
            registers: None,
            norm_pre: None,
            blocks: (0..config.layers).map(|n| native_block(&layers.pp(n), config, kind)).collect::<Result<_>>()?,
            norm: kind.load(&vb.pp("ln_final"), dim)?,
            pooling: match (config.pool_type, tokens.eos_id) {
                (NativePool::Eos, Some(end)) => Pooling::End(end),
                _ => Pooling::Highest,
            },
            projection,
            is_causal: true,
            tokens: tokens.clone(),
        })
    }

    fn load_modern(vb: &VarBuilder<'_>, config: &ModernText, tokens: &Tokens, embed_dim: usize) -> Result<Self> {
        let (dim, layers) = (config.width, vb.pp("blocks"));
        let kind = NormKind { rms: config.norm_type != Some(NormType::LayerNorm), eps: config.eps()? };
        let attention_bias = config.attention_bias.unwrap_or(false);
        let registers = (config.reg_tokens > 0).then(|| tensor(vb, (1, config.reg_tokens, dim), "reg_tokens"));
        let rotary = || Rotary::new(dim / config.heads, config.rope_temperature);
        Ok(Self {
            embedding: Embedding::load(&vb.pp("token_embedding"), tokens.vocab_size, dim, 0.02)?,
            positions: None,
            rotary: config.has_positions().then(rotary).transpose()?,
            registers: registers.transpose()?,
            norm_pre: kind.load_if(config.pre_norm, &vb.pp("norm_pre"), dim)?,
            blocks: (0..config.layers).map(|n| modern_block(&layers.pp(n), config, kind, n)).collect::<Result<_>>()?,
            norm: kind.load(&vb.pp("ln_final"), dim)?,
            pooling: match (config.pool_type, tokens.eos_id) {
                (ModernPool::Map, _) => {
                    let (heads, norms) = ((dim, config.heads), config.qk_norm.then_some(kind));
                    Pooling::Attentive(Box::new(LatentQuery::load(
                        &vb.pp("pool"),
                        "query",
                        heads,
                        attention_bias,
                        norms,
                    )?))
                }
                (ModernPool::Eos, Some(end)) => Pooling::End(end),
                _ => Pooling::Mean,
            },
            projection: Projection::Map(map(&vb.pp("text_projection"), dim, embed_dim, config.proj_bias)?),
            is_causal: config.attention_mode == Sight::Causal,
            tokens: tokens.clone(),
        })
    }

    /// Most tokens of a text.
    pub(super) fn longest(&self) -> usize {
        self.tokens.context_length
    }

    /// Unit vectors (B, E), in f32, of texts of one length.
    pub(super) fn forward(&self, texts: &[&[u32]], device: &Device) -> Result<Tensor> {
        let ids = self.ids(texts, device)?;
        let (b, t) = ids.dims2()?;
        let x = self.embedding.forward(&ids)?;
        let x = match &self.positions {
            Some(positions) => x.broadcast_add(&positions.narrow(0, 0, t)?)?,
            None => x,
        };
        let x = match &self.registers {
            Some(registers) => {
                let (_, n, dim) = registers.dims3()?;
                Tensor::cat(&[&registers.broadcast_as((b, n, dim))?.contiguous()?, &x], 1)?
            }
            None => x,
        };
        let mut x = normed(self.norm_pre.as_ref(), x)?;
        let all = x.dim(1)?;
        let angles = self.rotary.as_ref().map(|rotary| {
            let positions = Tensor::arange(0, all as u32, device)?.unsqueeze(0)?;
            rotary.angles(&positions)
        });
        let angles = angles.transpose()?;
        let bias = self.is_causal.then(|| causal_bias(all, all, device)).transpose()?;
        let mut pass = Pass { angles: angles.as_ref(), bias: bias.as_ref(), first_values: None };
        for block in &self.blocks {
            x = block.forward(&x, &mut pass)?;
        }
        let x = self.norm.forward(&x)?.narrow(1, all - t, t)?.contiguous()?;
        unit(&self.projection.forward(&self.pooling.forward(&x, texts)?)?)
    }

    fn ids(&self, texts: &[&[u32]], device: &Device) -> Result<Tensor> {
        let t = texts.first().map_or(0, |ids| ids.len());
        let longest = self.longest();
        let wrong = |ids: &&&[u32]| ids.len() != t || !(1..=longest).contains(&ids.len());
        if let Some(ids) = texts.iter().find(wrong) {
            return Err(Error::TextLength { tokens: ids.len(), longest });
        }
        let all: Vec<u32> = texts.iter().flat_map(|ids| ids.iter().copied()).collect();
        let vocab_size = self.tokens.vocab_size;
        if let Some(&id) = all.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenId { id, vocab_size });
        }
        Ok(Tensor::from_vec(all, (texts.len(), t), device)?)
    }
}

impl Pooling {
    /// States (B, T, D) to (B, D).
    fn forward(&self, x: &Tensor, texts: &[&[u32]]) -> Result<Tensor> {
        let state = |place: &dyn Fn(&[u32]) -> usize| -> Result<Tensor> {
            let rows = texts.iter().enumerate().map(|(n, ids)| x.get(n)?.narrow(0, place(ids), 1));
            Ok(Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
        };
        match self {
            Self::Highest => state(&|ids| first_highest(ids)),
            // A text without its end is one that was cut, of which the last token stands for it.
            Self::End(end) => state(&|ids| ids.iter().position(|id| id == end).unwrap_or(ids.len() - 1)),
            Self::Mean => Ok(x.to_dtype(DType::F32)?.mean(1)?.to_dtype(x.dtype())?),
            Self::Attentive(query) => Ok(query.forward(x)?.squeeze(1)?),
        }
    }
}

/// The place of the largest number, the first where there are several.
fn first_highest(ids: &[u32]) -> usize {
    let highest = ids.iter().max();
    ids.iter().position(|id| Some(id) == highest).unwrap_or(0)
}

impl Projection {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Map(linear) => linear.forward(x)?,
            Self::Matrix(matrix) => x.matmul(matrix)?,
        })
    }
}

fn native_block(vb: &VarBuilder<'_>, config: &NativeText, kind: NormKind) -> Result<Block> {
    let (dim, attn, mlp) = (config.width, vb.pp("attn"), vb.pp("mlp"));
    let inner = hidden(dim, config.mlp_ratio);
    let qkv = Linear::from_tensors(
        tensor(&attn, (3 * dim, dim), "in_proj_weight")?,
        Some(tensor(&attn, 3 * dim, "in_proj_bias")?),
    );
    let scale = |name: &str| config.ls_init_value.map(|_| tensor(&vb.pp(name), dim, "gamma")).transpose();
    let activation = if config.quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
    Ok(Block {
        norm1: kind.load(&vb.pp("ln_1"), dim)?,
        attention: SelfAttention {
            heads: config.heads,
            qkv,
            q_norm: None,
            k_norm: None,
            gate: None,
            own_values: None,
            out: map(&attn.pp("out_proj"), dim, dim, true)?,
        },
        after1: None,
        scale1: scale("ls_1")?,
        norm2: kind.load(&vb.pp("ln_2"), dim)?,
        mlp: Mlp::Plain {
            first: map(&mlp.pp("c_fc"), dim, inner, true)?,
            activation,
            second: map(&mlp.pp("c_proj"), inner, dim, true)?,
        },
        after2: None,
        scale2: scale("ls_2")?,
    })
}

fn modern_block(vb: &VarBuilder<'_>, config: &ModernText, kind: NormKind, n: usize) -> Result<Block> {
    let (dim, attn) = (config.width, vb.pp("attn"));
    let bias = config.attention_bias.unwrap_or(false);
    let head_norm = |name: &str| kind.load_if(config.qk_norm, &attn.pp(name), dim / config.heads);
    let sandwich = config.norm_placement == NormPlacement::Sandwich;
    let scale = |name: &str| config.ls_init_value.map(|_| tensor(&vb.pp(name), dim, "gamma")).transpose();
    let mixes = config.value_residual && n > 0;
    Ok(Block {
        norm1: kind.load(&vb.pp("norm1"), dim)?,
        attention: SelfAttention {
            heads: config.heads,
            qkv: map(&attn.pp("qkv"), dim, 3 * dim, bias)?,
            q_norm: head_norm("q_norm")?,
            k_norm: head_norm("k_norm")?,
            gate: config.attn_gated.then(|| map(&attn.pp("gate"), dim, dim, config.has_gate_bias())).transpose()?,
            own_values: mixes.then(|| tensor(&attn, 1, "vr_lambda")).transpose()?,
            out: map(&attn.pp("proj"), dim, dim, bias)?,
        },
        after1: kind.load_if(sandwich, &vb.pp("norm1_post"), dim)?,
        scale1: scale("ls1")?,
        norm2: kind.load(&vb.pp("norm2"), dim)?,
        mlp: modern_mlp(&vb.pp("mlp"), config)?,
        after2: kind.load_if(sandwich, &vb.pp("norm2_post"), dim)?,
        scale2: scale("ls2")?,
    })
}

fn modern_mlp(vb: &VarBuilder<'_>, config: &ModernText) -> Result<Mlp> {
    let (dim, bias) = (config.width, config.mlp_bias.unwrap_or(false));
    let inner = hidden(dim, config.mlp_ratio);
    if config.mlp_type == ModernMlp::Swiglu {
        let (first, second) = (map(&vb.pp("w12"), dim, 2 * inner, bias)?, map(&vb.pp("w3"), inner, dim, bias)?);
        return Ok(Mlp::Gated { first, second });
    }
    let (first, second) = (map(&vb.pp("c_fc"), dim, inner, bias)?, map(&vb.pp("c_proj"), inner, dim, bias)?);
    Ok(match config.mlp_type {
        ModernMlp::Relu2 => Mlp::Squared { first, second },
        _ => Mlp::Plain { first, activation: Activation::Gelu, second },
    })
}
