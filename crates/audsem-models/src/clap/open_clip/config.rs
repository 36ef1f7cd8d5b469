//! `open_clip_config.json` of a NaFlexClap. No setting is skipped: one that is not known here, or has a value
//! that is not, is refused, unless it cannot change a vector.

use audsem_core::hub::{ModelDir, OPEN_CLIP_CONFIG};
use audsem_media::audio::KernelPrecision;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::text_config::TextConfig;
use crate::clap::{ClipPadding, FeatureConfig, Truncation};
use crate::error::{Error, Result};

/// Most patches of a sound that are embedded as a whole. The work of attention grows with their square.
const MAX_PATCHES: usize = 1 << 15;

/// The longest sound that is embedded as a whole, in seconds, where it has not more patches than `MAX_PATCHES`.
pub const MAX_SECONDS: u32 = 300;

/// Largest size that a configuration may give.
const MAX_SIZE: usize = 1 << 20;

/// Settings that are read by other parts of the library: by other audio towers, by its training, or by its evaluation, which
/// embeds no more than `audio_seq_len` patches of a sound.
const NOT_OF_AUDIO: [&str; 7] =
    ["model_name", "audio_length", "clip_samples", "class_num", "fusion_type", "pretrained", "audio_seq_len"];

/// Settings of timm's `NaFlexVit` for its training, for padded batches, for pictures, and for learned positions, of which
/// there are none.
const NOT_OF_VIT: [&str; 20] = [
    "attn_drop_rate",
    "drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
    "proj_drop_rate",
    "drop_path_rate",
    "weight_init",
    "fix_init",
    "rope_shift_coords",
    "rope_jitter_coords",
    "rope_rescale_coords",
    "use_key_only_attn_mask",
    "dynamic_img_pad",
    "patchify_channels_last",
    "pos_embed_grid_size",
    "pos_embed_interp_mode",
    "pos_embed_ar_preserving",
    "pos_embed_antialias",
    "pos_embed_align_corners",
    "pos_embed_use_grid_sample",
];

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model_cfg: Map<String, Value>,
}

/// The model without its towers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    embed_dim: usize,
    audio_cfg: Map<String, Value>,
    text_cfg: Map<String, Value>,
    #[serde(default)]
    quick_gelu: bool,
    #[serde(default)]
    nonscalar_logit_scale: bool,
}

/// The whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenClipConfig {
    /// Width of the embeddings.
    pub embed_dim: usize,
    /// The audio tower.
    pub audio: AudioConfig,
    /// The text tower.
    pub text: TextConfig,
    /// Whether the scale of cosines is a list of one number.
    pub nonscalar_logit_scale: bool,
}

/// What the last patch is filled with where a sound does not fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PatchPadding {
    /// The smallest number of the spectrogram.
    #[default]
    Floor,
    /// Silence.
    Silence,
    /// The last frame.
    Repeat,
}

/// The audio tower: `audio_cfg`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioConfig {
    model_type: String,
    sample_rate: u32,
    pub(super) mel_bins: usize,
    window_size: usize,
    hop_size: usize,
    fmin: f64,
    fmax: f64,
    pub(super) patch_freq: usize,
    pub(super) patch_time: usize,
    in_chans: usize,
    pub(super) patch_pad_mode: PatchPadding,
    rope_type: String,
    pub(super) pre_norm: bool,
    pub(super) proj_act: String,
    training_head: bool,
    enable_fusion: bool,
    #[serde(rename = "naflexvit_cfg")]
    vit_settings: Map<String, Value>,
    #[serde(skip)]
    pub(super) vit: VitConfig,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            model_type: "HTSAT".to_owned(),
            sample_rate: 48_000,
            mel_bins: 64,
            window_size: 1024,
            hop_size: 480,
            fmin: 50.0,
            fmax: 14_000.0,
            patch_freq: 64,
            patch_time: 4,
            in_chans: 1,
            patch_pad_mode: PatchPadding::default(),
            rope_type: "axial".to_owned(),
            pre_norm: false,
            proj_act: "gelu".to_owned(),
            training_head: false,
            enable_fusion: false,
            vit_settings: Map::new(),
            vit: VitConfig::default(),
        }
    }
}

/// The transformer of the audio tower: `naflexvit_cfg`, with the defaults of timm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VitConfig {
    pub embed_dim: usize,
    pub depth: usize,
    pub num_heads: usize,
    pub mlp_ratio: f64,
    pub qkv_bias: bool,
    pub qk_norm: bool,
    pub init_values: Option<f64>,
    pub class_token: bool,
    pub reg_tokens: usize,
    pub rope_temperature: f64,
    rope_type: Option<String>,
    pos_embed: String,
    attn_type: String,
    pub attn_gated: bool,
    pub pre_norm: bool,
    pub fc_norm: Option<bool>,
    pub global_pool: Pool,
    pub pool_include_prefix: bool,
    pub attn_pool_num_heads: Option<usize>,
    pub attn_pool_mlp_ratio: Option<f64>,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            embed_dim: 768,
            depth: 12,
            num_heads: 12,
            mlp_ratio: 4.0,
            qkv_bias: true,
            qk_norm: false,
            init_values: None,
            class_token: false,
            reg_tokens: 0,
            rope_temperature: 10_000.0,
            rope_type: None,
            pos_embed: "none".to_owned(),
            attn_type: "standard".to_owned(),
            attn_gated: false,
            pre_norm: false,
            fc_norm: None,
            global_pool: Pool::Map,
            pool_include_prefix: false,
            attn_pool_num_heads: None,
            attn_pool_mlp_ratio: None,
        }
    }
}

/// How the vectors of patches become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pool {
    /// Attention of one learned query.
    Map,
    /// Their mean.
    Avg,
}

impl OpenClipConfig {
    /// Reads it from a model's folder.
    ///
    /// # Errors
    /// The file is absent or is not as expected, or has a setting that this network does not have, which is named.
    pub fn open(dir: &ModelDir) -> Result<Self> {
        Self::of_file(dir.json(OPEN_CLIP_CONFIG)?)
    }

    fn of_file(file: Value) -> Result<Self> {
        let File { mut model_cfg } = parsed("the file", file)?;
        // The first two are of new models; the third says which class of the library holds a text tower.
        leave_out(&mut model_cfg, &["init_logit_scale", "init_logit_bias", "custom_text"]);
        let model: Model = parsed("model_cfg", Value::Object(model_cfg))?;
        let config = Self {
            embed_dim: model.embed_dim,
            audio: AudioConfig::of_settings(model.audio_cfg)?,
            text: TextConfig::of_settings(model.text_cfg, model.quick_gelu)?,
            nonscalar_logit_scale: model.nonscalar_logit_scale,
        };
        check_sizes("model_cfg", &[("embed_dim", config.embed_dim)])?;
        config.audio.validate()?;
        config.text.validate()?;
        Ok(config)
    }
}

impl AudioConfig {
    fn of_settings(mut settings: Map<String, Value>) -> Result<Self> {
        leave_out(&mut settings, &NOT_OF_AUDIO);
        let mut config: Self = parsed("audio_cfg", Value::Object(settings))?;
        let mut vit = std::mem::take(&mut config.vit_settings);
        leave_out(&mut vit, &NOT_OF_VIT);
        config.vit = parsed("naflexvit_cfg", Value::Object(vit))?;
        Ok(config)
    }

    fn validate(&self) -> Result<()> {
        const SECTION: &str = "audio_cfg";
        let vit = &self.vit;
        one_of(SECTION, "model_type", &self.model_type.to_ascii_lowercase(), &["naflexvit"])?;
        one_of(SECTION, "proj_act", &self.proj_act, &["gelu", "relu"])?;
        one_of(SECTION, "training_head", &self.training_head, &[false])?;
        one_of(SECTION, "enable_fusion", &self.enable_fusion, &[false])?;
        one_of(SECTION, "in_chans", &self.in_chans, &[1])?;
        check_sizes(SECTION, &[("mel_bins", self.mel_bins), ("hop_size", self.hop_size)])?;
        check_sizes(SECTION, &[("patch_freq", self.patch_freq), ("patch_time", self.patch_time)])?;
        if !self.mel_bins.is_multiple_of(self.patch_freq) {
            let problem = format!("`mel_bins` {} are no multiple of `patch_freq` {}", self.mel_bins, self.patch_freq);
            return Err(refused(SECTION, problem));
        }
        one_of(SECTION, "rope_type", vit.rope_type.as_ref().unwrap_or(&self.rope_type), &["axial"])?;
        vit.validate()
    }

    /// Rows of patches, one above the other.
    pub(super) fn rows(&self) -> usize {
        self.mel_bins / self.patch_freq
    }

    /// How features are made of sounds.
    #[must_use]
    pub fn features(&self) -> FeatureConfig {
        let frames = MAX_PATCHES / self.rows() * self.patch_time;
        let seconds = frames.saturating_mul(self.hop_size) / (self.sample_rate.max(1) as usize);
        FeatureConfig {
            feature_size: self.mel_bins,
            sampling_rate: self.sample_rate,
            hop_length: self.hop_size,
            fft_window_size: self.window_size,
            frequency_min: self.fmin,
            frequency_max: self.fmax,
            max_length_s: u32::try_from(seconds).unwrap_or(MAX_SECONDS).min(MAX_SECONDS),
            truncation: Truncation::Whole,
            padding: ClipPadding::Pad,
            // `torchaudio.functional.resample`.
            torchaudio_resampling: Some(KernelPrecision::Single),
            file: OPEN_CLIP_CONFIG,
            ..FeatureConfig::default()
        }
    }
}

impl VitConfig {
    fn validate(&self) -> Result<()> {
        const SECTION: &str = "naflexvit_cfg";
        let pool_heads = self.attn_pool_num_heads.unwrap_or(self.num_heads);
        check_sizes(SECTION, &[("embed_dim", self.embed_dim), ("depth", self.depth), ("num_heads", self.num_heads)])?;
        check_sizes(SECTION, &[("attn_pool_num_heads", pool_heads), ("reg_tokens + 1", self.reg_tokens + 1)])?;
        check_ratio(SECTION, "mlp_ratio", self.mlp_ratio, self.embed_dim)?;
        check_ratio(SECTION, "attn_pool_mlp_ratio", self.pool_ratio(), self.embed_dim)?;
        check_temperature(SECTION, self.rope_temperature)?;
        one_of(SECTION, "pos_embed", &self.pos_embed, &["none", ""])?;
        one_of(SECTION, "attn_type", &self.attn_type, &["standard", "rope"])?;
        if !self.embed_dim.is_multiple_of(4 * self.num_heads) || !self.embed_dim.is_multiple_of(pool_heads) {
            let problem = format!(
                "heads of `embed_dim` {} over `num_heads` {} values, of which a quarter turns by each axis",
                self.embed_dim, self.num_heads
            );
            return Err(refused(SECTION, problem));
        }
        Ok(())
    }

    /// The ratio of the map behind the attention that pools.
    pub(super) fn pool_ratio(&self) -> f64 {
        self.attn_pool_mlp_ratio.filter(|ratio| *ratio != 0.0).unwrap_or(self.mlp_ratio)
    }

    /// Tokens before the patches.
    pub(super) fn prefix(&self) -> usize {
        usize::from(self.class_token) + self.reg_tokens
    }
}

/// A part of the file as the settings that are known.
pub(super) fn parsed<T: DeserializeOwned>(section: &'static str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| refused(section, error.to_string()))
}

/// Takes settings out that change no vector.
pub(super) fn leave_out(settings: &mut Map<String, Value>, keys: &[&str]) {
    settings.retain(|key, _| !keys.contains(&key.as_str()));
}

pub(super) fn refused(section: &'static str, problem: String) -> Error {
    Error::OpenClipConfig { section, problem }
}

/// Refuses a value that is none of those.
pub(super) fn one_of<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    section: &'static str,
    key: &str,
    value: &T,
    supported: &[U],
) -> Result<()> {
    if supported.iter().any(|other| value == other) {
        return Ok(());
    }
    let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
    Err(refused(section, format!("`{key}` is {value:?}; supported is {}", supported.join(", "))))
}

pub(super) fn check_sizes(section: &'static str, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| !(1..=MAX_SIZE).contains(size)) {
        Some((key, size)) => Err(refused(section, format!("`{key}` is {size}; supported is 1 to {MAX_SIZE}"))),
        None => Ok(()),
    }
}

/// Refuses a width that is a fraction of another where there is nothing of it, or far too much.
pub(super) fn check_ratio(section: &'static str, key: &str, ratio: f64, width: usize) -> Result<()> {
    let hidden = if ratio.is_finite() && ratio > 0.0 { hidden(width, ratio) } else { 0 };
    if (1..=MAX_SIZE).contains(&hidden) {
        return Ok(());
    }
    Err(refused(section, format!("`{key}` is {ratio}: it makes a width of {hidden}")))
}

pub(super) fn check_temperature(section: &'static str, temperature: f64) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(refused(section, format!("`rope_temperature` is {temperature}; supported are numbers above 0")))
}

/// The width of a hidden layer, rounded down as the library does.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a size")]
pub(super) fn hidden(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}
