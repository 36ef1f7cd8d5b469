//! `text_cfg`: the text towers of CLIP and those that the library calls modern, and their tokenizers.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::{check_ratio, check_sizes, check_temperature, leave_out, one_of, parsed, refused};
use crate::error::Result;

const SECTION: &str = "text_cfg";

/// Settings for training and for what else the library returns, and what it calls its text towers of transformers.
const NOT_OF_TEXT: [&str; 7] = [
    "output_tokens",
    "zero_init_residual",
    "hf_tokenizer_name",
    "hf_model_pretrained",
    "hf_proj_type",
    "hf_pooler_type",
    "variable_text",
];

/// Settings of [`Tokens`].
const OF_TOKENS: [&str; 9] = [
    "context_length",
    "vocab_size",
    "pad_id",
    "bos_id",
    "eos_id",
    "tokenizer_type",
    "tiktoken_bpe_path",
    "tiktoken_config_path",
    "tokenizer_kwargs",
];

/// The text tower with its tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    pub(super) tokens: Tokens,
    pub(super) tower: Tower,
}

/// The two kinds of text towers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tower {
    /// That of CLIP.
    Native(NativeText),
    /// With rotary positions, gates, and all else that has been found since.
    Modern(ModernText),
}

/// The tokens of texts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tokens {
    pub context_length: usize,
    pub vocab_size: usize,
    pub pad_id: Option<u32>,
    pub bos_id: Option<u32>,
    pub eos_id: Option<u32>,
    tokenizer_type: String,
    pub tiktoken_bpe_path: Option<String>,
    pub tiktoken_config_path: Option<String>,
    tokenizer_kwargs: Option<TokenizerSettings>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            context_length: 77,
            vocab_size: 49_408,
            pad_id: None,
            bos_id: None,
            eos_id: None,
            tokenizer_type: String::new(),
            tiktoken_bpe_path: None,
            tiktoken_config_path: None,
            tokenizer_kwargs: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenizerSettings {
    clean: Option<Clean>,
}

/// What becomes of a text before it is cut into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Clean {
    /// Blanks become one space each.
    Whitespace,
    /// And capitals small letters.
    Lower,
    /// And punctuation is left out.
    Canonicalize,
    /// Blanks and low lines become one space each.
    WhitespaceUnderscore,
}

impl Tokens {
    pub(super) fn is_tiktoken(&self) -> bool {
        self.tokenizer_type == "tiktoken"
    }

    pub(super) fn clean(&self) -> Option<Clean> {
        self.tokenizer_kwargs.as_ref().and_then(|settings| settings.clean)
    }
}

/// The token whose state stands for a text, in the tower of CLIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NativePool {
    /// The one with the largest number.
    Argmax,
    /// The end of the text.
    Eos,
}

/// The text tower of CLIP.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NativeText {
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
    pub mlp_ratio: f64,
    pub ls_init_value: Option<f64>,
    pub pool_type: NativePool,
    pub proj_bias: bool,
    proj_type: String,
    #[serde(skip)]
    pub quick_gelu: bool,
}

impl Default for NativeText {
    fn default() -> Self {
        Self {
            width: 512,
            heads: 8,
            layers: 12,
            mlp_ratio: 4.0,
            ls_init_value: None,
            pool_type: NativePool::Argmax,
            proj_bias: false,
            proj_type: "linear".to_owned(),
            quick_gelu: false,
        }
    }
}

/// What a token sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sight {
    /// Itself and those before it.
    Causal,
    /// All.
    Bidirectional,
}

/// The map behind the attention of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModernMlp {
    /// Half of it gates the other half.
    Swiglu,
    /// With GELU.
    Mlp,
    /// With the square of what is above 0.
    Relu2,
}

/// Where the norms of a layer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NormPlacement {
    /// Before attention and map.
    Pre,
    /// Before and after them.
    Sandwich,
}

/// The kind of all norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NormType {
    RmsNorm,
    LayerNorm,
}

/// How the states of tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModernPool {
    /// The state of the end of the text.
    #[serde(alias = "argmax")]
    Eos,
    /// Their mean.
    Mean,
    /// Attention of one learned query.
    Map,
}

/// The text tower that the library calls modern.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ModernText {
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
    pub mlp_ratio: f64,
    pub ls_init_value: Option<f64>,
    pub pool_type: ModernPool,
    pub attention_mode: Sight,
    pos_embed: String,
    pub rope_temperature: f64,
    pub mlp_type: ModernMlp,
    pub norm_type: Option<NormType>,
    /// Its default was not the same in all commits of the library.
    norm_eps: Option<f64>,
    pub qk_norm: bool,
    pub attn_gated: bool,
    pub gate_bias: Option<bool>,
    pub attention_bias: Option<bool>,
    pub mlp_bias: Option<bool>,
    pub norm_placement: NormPlacement,
    pub pre_norm: bool,
    pub reg_tokens: usize,
    pub value_residual: bool,
    pub proj_bias: bool,
    proj_type: String,
}

impl Default for ModernText {
    fn default() -> Self {
        Self {
            width: 512,
            heads: 8,
            layers: 12,
            mlp_ratio: 4.0,
            ls_init_value: None,
            pool_type: ModernPool::Eos,
            attention_mode: Sight::Causal,
            pos_embed: "rope".to_owned(),
            rope_temperature: 10_000.0,
            mlp_type: ModernMlp::Swiglu,
            norm_type: None,
            norm_eps: None,
            qk_norm: false,
            attn_gated: false,
            gate_bias: None,
            attention_bias: None,
            mlp_bias: None,
            norm_placement: NormPlacement::Pre,
            pre_norm: false,
            reg_tokens: 0,
            value_residual: false,
            proj_bias: false,
            proj_type: "linear".to_owned(),
        }
    }
}

impl TextConfig {
    pub(super) fn of_settings(mut settings: Map<String, Value>, quick_gelu: bool) -> Result<Self> {
        if let Some(name) = settings.get("hf_model_name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
            let problem = format!("`hf_model_name` is {name:?}: text towers of transformers are not built in");
            return Err(refused(SECTION, problem));
        }
        leave_out(&mut settings, &NOT_OF_TEXT);
        // What is off, or not said, is as if it were not there.
        settings.retain(|_, value| !value.is_null());
        let mut taken = |key: &str| settings.remove(key).map(|value| (key.to_owned(), value));
        let kind = taken("text_arch").map_or_else(|| "clip".into(), |(_, kind)| kind);
        let tokens: Map<String, Value> = OF_TOKENS.into_iter().filter_map(&mut taken).collect();
        let is_tiktoken = tokens.get("tokenizer_type").is_some_and(|kind| kind == "tiktoken");
        leave_out(&mut settings, if is_tiktoken { &["tiktoken_name"] } else { &[] });
        let rest = Value::Object(settings);
        one_of(SECTION, "text_arch", &kind, &["clip", "modern"])?;
        let tower = match kind == "modern" {
            true => Tower::Modern(parsed(SECTION, rest)?),
            false => Tower::Native(NativeText { quick_gelu, ..parsed(SECTION, rest)? }),
        };
        Ok(Self { tokens: parsed(SECTION, Value::Object(tokens))?, tower })
    }

    pub(super) fn validate(&self) -> Result<()> {
        let tokens = &self.tokens;
        check_sizes(SECTION, &[("context_length", tokens.context_length), ("vocab_size", tokens.vocab_size)])?;
        one_of(SECTION, "tokenizer_type", &tokens.tokenizer_type, &["", "tiktoken"])?;
        let (width, heads, layers, ratio, projection) = match &self.tower {
            Tower::Native(text) => (text.width, text.heads, text.layers, text.mlp_ratio, &text.proj_type),
            Tower::Modern(text) => (text.width, text.heads, text.layers, text.mlp_ratio, &text.proj_type),
        };
        check_sizes(SECTION, &[("width", width), ("heads", heads), ("layers", layers)])?;
        check_ratio(SECTION, "mlp_ratio", ratio, width)?;
        one_of(SECTION, "proj_type", projection, &["linear"])?;
        if !width.is_multiple_of(heads) {
            return Err(refused(SECTION, format!("`width` {width} is no multiple of `heads` {heads}")));
        }
        let needs_end = match &self.tower {
            Tower::Native(text) => text.pool_type == NativePool::Eos,
            Tower::Modern(text) => text.validate()? == ModernPool::Eos,
        };
        if needs_end && tokens.eos_id.is_none() {
            return Err(refused(SECTION, "`pool_type` takes the end of the text, and there is no `eos_id`".to_owned()));
        }
        Ok(())
    }
}

impl ModernText {
    fn validate(&self) -> Result<ModernPool> {
        check_sizes(SECTION, &[("reg_tokens + 1", self.reg_tokens + 1)])?;
        check_temperature(SECTION, self.rope_temperature)?;
        one_of(SECTION, "pos_embed", &self.pos_embed, &["rope", "none", ""])?;
        if self.has_positions() && !self.width.is_multiple_of(2 * self.heads) {
            return Err(refused(SECTION, format!("heads of `width` {} over {} are odd", self.width, self.heads)));
        }
        self.eps().map(|_| self.pool_type)
    }

    pub(super) fn has_positions(&self) -> bool {
        self.pos_embed == "rope"
    }

    /// What is added to variances.
    pub(super) fn eps(&self) -> Result<f64> {
        match self.norm_eps {
            Some(eps) if (0.0..1.0).contains(&eps) => Ok(eps),
            Some(eps) => Err(refused(SECTION, format!("`norm_eps` is {eps}; supported is 0 to 1"))),
            None => {
                Err(refused(SECTION, "there is no `norm_eps`, and the library has had several defaults".to_owned()))
            }
        }
    }

    /// Whether the gates have a bias.
    pub(super) fn has_gate_bias(&self) -> bool {
        self.gate_bias.or(self.attention_bias).unwrap_or(false)
    }
}
