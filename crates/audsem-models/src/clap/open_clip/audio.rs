//! The audio tower: a vision transformer over patches of a log-mel spectrogram of any length, timm's `NaFlexVit`.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;

use super::block::{Block, LatentQuery, Mlp, Norm, NormKind, Pass, SelfAttention, map, normed, tensor};
use super::config::{AudioConfig, PatchPadding, Pool, VitConfig, hidden};
use crate::clap::model::unit;
use crate::error::Result;
use crate::nn::{Activation, Linear, Rotary};

/// The norms of timm.
const NORM: NormKind = NormKind { rms: false, eps: 1e-6 };

/// The decibels of silence.
const SILENCE_DB: f64 = -100.0;

/// How the vectors of patches become one.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a model has one")]
enum Pooling {
    /// Attention of a learned query, and a map of its own.
    Attentive {
        query: Box<LatentQuery>,
        out: Linear,
        norm: Norm,
        mlp: Mlp,
    },
    Mean,
}

/// The tower with the projection behind it.
#[derive(Debug, Clone)]
pub(super) struct AudioTower {
    patches: Linear,
    prefix: Option<Tensor>, // (1, P, D)
    norm_pre: Option<Norm>,
    blocks: Vec<Block>,
    norm: Option<Norm>,
    pooling: Pooling,
    fc_norm: Option<Norm>,
    rotary: Rotary,
    projection: Mlp,
    config: AudioConfig,
}

impl AudioTower {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &AudioConfig, embed_dim: usize) -> Result<Self> {
        let (vit, dim, base) = (&config.vit, config.vit.embed_dim, vb.pp("encoder.vit"));
        let embeds = base.pp("embeds");
        let token =
            |wanted: usize, name: &str| (wanted > 0).then(|| tensor(&embeds, (1, wanted, dim), name)).transpose();
        let prefix = [token(usize::from(vit.class_token), "cls_token")?, token(vit.reg_tokens, "reg_token")?];
        let prefix: Vec<Tensor> = prefix.into_iter().flatten().collect();
        // timm leaves the bias out where the tokens are normalised next.
        let patches = map(&embeds.pp("proj"), config.patch_freq * config.patch_time, dim, !vit.pre_norm)?;
        let norm_is_last = vit.fc_norm.unwrap_or(vit.global_pool == Pool::Avg);
        let (first, second) =
            (map(&vb.pp("proj.0"), dim, embed_dim, true)?, map(&vb.pp("proj.2"), embed_dim, embed_dim, true)?);
        let activation = if config.proj_act == "relu" { Activation::Relu } else { Activation::Gelu };
        Ok(Self {
            patches,
            prefix: if prefix.is_empty() { None } else { Some(Tensor::cat(&prefix, 1)?) },
            norm_pre: NORM.load_if(vit.pre_norm, &base.pp("norm_pre"), dim)?,
            blocks: (0..vit.depth).map(|n| load_block(&base.pp("blocks").pp(n), vit)).collect::<Result<_>>()?,
            norm: NORM.load_if(!norm_is_last, &base.pp("norm"), dim)?,
            pooling: Pooling::load(&base.pp("attn_pool"), vit)?,
            fc_norm: NORM.load_if(norm_is_last, &base.pp("fc_norm"), dim)?,
            rotary: Rotary::axial(dim / vit.num_heads, vit.rope_temperature)?,
            projection: Mlp::Plain { first, activation, second },
            config: config.clone(),
        })
    }

    /// Unit vectors (B, E), in f32, of spectrograms (B, T, F) in decibels.
    pub(super) fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let dtype = self.patches.weight().dtype();
        let (patches, columns) = self.patches_of(mel)?;
        let patches = self.patches.forward(&patches.to_dtype(dtype)?)?;
        let (b, _, dim) = patches.dims3()?;
        let x = match &self.prefix {
            Some(prefix) => Tensor::cat(&[&prefix.broadcast_as((b, prefix.dim(1)?, dim))?.contiguous()?, &patches], 1)?,
            None => patches,
        };
        let mut x = normed(self.norm_pre.as_ref(), x)?;
        let angles = self.rotary.angles(&self.positions(columns, mel)?)?;
        let mut pass = Pass { angles: Some(&angles), bias: None, first_values: None };
        for block in &self.blocks {
            x = block.forward(&x, &mut pass)?;
        }
        let x = normed(self.norm.as_ref(), x)?;
        let prefix = if self.config.vit.pool_include_prefix { 0 } else { self.config.vit.prefix() };
        let x = x.narrow(1, prefix, x.dim(1)? - prefix)?.contiguous()?;
        let pooled = normed(self.fc_norm.as_ref(), self.pooling.forward(&x)?)?;
        let pooled = if self.config.pre_norm { unit(&pooled)?.to_dtype(dtype)? } else { pooled };
        unit(&self.projection.forward(&pooled)?)
    }

    /// The patches (B, N, P) of spectrograms (B, T, F), row by row from the lowest bands on, and how many are in a row.
    fn patches_of(&self, mel: &Tensor) -> Result<(Tensor, usize)> {
        let AudioConfig { patch_freq, patch_time, patch_pad_mode, .. } = self.config;
        let (b, frames, bands) = mel.dims3()?;
        let columns = frames.div_ceil(patch_time).max(1);
        let lacking = columns * patch_time - frames;
        let mel = if lacking == 0 { mel.clone() } else { padded(mel, lacking, patch_pad_mode)? };
        let rows = bands / patch_freq;
        let patches =
            mel.reshape((b, columns, patch_time, rows, patch_freq))?.permute((0, 3, 1, 2, 4))?.contiguous()?;
        Ok((patches.reshape((b, rows * columns, patch_time * patch_freq))?, columns))
    }

    /// Row and column of each token: (2, 1, T). Those before the patches are not turned, as if they were at (0, 0).
    fn positions(&self, columns: usize, like: &Tensor) -> Result<Tensor> {
        let (rows, prefix) = (self.config.rows(), self.config.vit.prefix());
        let axis = |of: fn(usize, usize) -> usize| {
            let patches = (0..rows * columns).map(move |n| of(n, columns));
            std::iter::repeat_n(0, prefix).chain(patches)
        };
        #[expect(clippy::cast_possible_truncation, reason = "there are far fewer patches")]
        let positions: Vec<u32> = axis(|n, c| n / c).chain(axis(|n, c| n % c)).map(|n| n as u32).collect();
        Ok(Tensor::from_vec(positions, (2, 1, prefix + rows * columns), like.device())?)
    }
}

/// Spectrograms (B, T, F) with some frames more.
fn padded(mel: &Tensor, lacking: usize, mode: PatchPadding) -> Result<Tensor> {
    let (b, frames, bands) = mel.dims3()?;
    let shape = (b, lacking, bands);
    let filling = match mode {
        PatchPadding::Repeat => mel.narrow(1, frames - 1, 1)?.broadcast_as(shape)?,
        PatchPadding::Silence => Tensor::full(SILENCE_DB, shape, mel.device())?.to_dtype(mel.dtype())?,
        PatchPadding::Floor => mel.flatten_from(1)?.min_keepdim(1)?.reshape((b, 1, 1))?.broadcast_as(shape)?,
    };
    Ok(Tensor::cat(&[mel, &filling.contiguous()?], 1)?)
}

fn load_block(vb: &VarBuilder<'_>, config: &VitConfig) -> Result<Block> {
    let (dim, attn, mlp) = (config.embed_dim, vb.pp("attn"), vb.pp("mlp"));
    let head_norm = |name: &str| NORM.load_if(config.qk_norm, &attn.pp(name), dim / config.num_heads);
    let scale = |name: &str| config.init_values.map(|_| tensor(vb, dim, name)).transpose();
    let inner = hidden(dim, config.mlp_ratio);
    Ok(Block {
        norm1: NORM.load(&vb.pp("norm1"), dim)?,
        attention: SelfAttention {
            heads: config.num_heads,
            qkv: map(&attn.pp("qkv"), dim, 3 * dim, config.qkv_bias)?,
            q_norm: head_norm("q_norm")?,
            k_norm: head_norm("k_norm")?,
            gate: config.attn_gated.then(|| map(&attn.pp("gate"), dim, dim, config.qkv_bias)).transpose()?,
            own_values: None,
            out: map(&attn.pp("proj"), dim, dim, true)?,
        },
        after1: None,
        scale1: scale("gamma_1")?,
        norm2: NORM.load(&vb.pp("norm2"), dim)?,
        mlp: load_mlp(&mlp, dim, inner)?,
        after2: None,
        scale2: scale("gamma_2")?,
    })
}

fn load_mlp(vb: &VarBuilder<'_>, dim: usize, inner: usize) -> Result<Mlp> {
    let (first, second) = (map(&vb.pp("fc1"), dim, inner, true)?, map(&vb.pp("fc2"), inner, dim, true)?);
    Ok(Mlp::Plain { first, activation: Activation::Gelu, second })
}

impl Pooling {
    fn load(vb: &VarBuilder<'_>, config: &VitConfig) -> Result<Self> {
        if config.global_pool == Pool::Avg {
            return Ok(Self::Mean);
        }
        let dim = config.embed_dim;
        let heads = config.attn_pool_num_heads.filter(|heads| *heads > 0).unwrap_or(config.num_heads);
        Ok(Self::Attentive {
            query: Box::new(LatentQuery::load(vb, "latent", (dim, heads), true, None)?),
            out: map(&vb.pp("proj"), dim, dim, true)?,
            norm: NORM.load(&vb.pp("norm"), dim)?,
            mlp: load_mlp(&vb.pp("mlp"), dim, hidden(dim, config.pool_ratio()))?,
        })
    }

    /// Tokens (B, T, D) to (B, D).
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Mean => Ok(x.to_dtype(DType::F32)?.mean(1)?.to_dtype(x.dtype())?),
            Self::Attentive { query, out, norm, mlp } => {
                let seen = out.forward(&query.forward(x)?)?;
                Ok((&seen + mlp.forward(&norm.forward(&seen)?)?)?.squeeze(1)?)
            }
        }
    }
}
