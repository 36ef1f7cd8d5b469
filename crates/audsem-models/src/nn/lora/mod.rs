//! Low-rank adapters (LoRA; Hu et al., 2022), with the names and settings of PEFT.

mod config;
mod folder;
mod merged;
mod targets;

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::{Dropout, Mode};

pub use config::LoraConfig;
pub use folder::Adapter;
pub use merged::MergedWeights;
pub use targets::{Modules, OneOrMany};

/// Name of the projection down, below the adapted layer.
const A: &str = "lora_A.weight";

/// Name of the projection up.
const B: &str = "lora_B.weight";

/// Rank, scale and dropout as a tensor of three f64: a `VarBuilder` carries tensors and nothing else.
const SETTINGS: &str = "lora_settings";

/// What PEFT puts before the name of an adapted layer.
const PEFT_PREFIX: &str = "base_model.model.";

/// What adapters of the full Qwen2.5-Omni have behind it.
const OMNI_PREFIX: &str = "thinker.";

/// The adapted layer of a tensor that belongs to an adapter, or nothing.
pub(crate) fn adapted_layer(name: &str) -> Option<&str> {
    [A, B, SETTINGS].iter().find_map(|tensor| name.strip_suffix(tensor)?.strip_suffix('.'))
}

/// Whether `name` is that of the settings of an adapter.
pub(super) fn is_settings(name: &str) -> bool {
    name.ends_with(SETTINGS)
}

/// Names of the projections of the adapter of `module`.
pub(super) fn tensor_names(module: &str) -> [String; 2] {
    [A, B].map(|tensor| format!("{module}.{tensor}"))
}

/// The name of a tensor in `adapter_model.safetensors`.
#[must_use]
pub fn to_peft_name(name: &str) -> String {
    format!("{PEFT_PREFIX}{name}")
}

/// The name in the network of a tensor of `adapter_model.safetensors`; adapters of the full Qwen2.5-Omni stand for those
/// of its thinker.
///
/// # Errors
/// It is not named as PEFT names tensors of adapters.
pub fn from_peft_name(name: &str) -> Result<String> {
    let plain = name.strip_prefix(PEFT_PREFIX).filter(|plain| adapted_layer(plain).is_some() && !is_settings(plain));
    match plain {
        Some(plain) => Ok(plain.strip_prefix(OMNI_PREFIX).unwrap_or(plain).to_owned()),
        None => bail!("`{name}` is no tensor of a LoRA adapter as PEFT names them"),
    }
}

/// The name of the projection up that belongs to the projection down `name`; nothing of another tensor.
pub(crate) fn partner_up(name: &str) -> Option<String> {
    Some(format!("{}{B}", name.strip_suffix(A)?))
}

/// `scale · B A`, in f32: what an adapter (A (R, I), B (O, R)) adds to a weight (O, I).
///
/// # Errors
/// Other shapes, memory, device.
pub fn delta(a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    b.detach().to_dtype(DType::F32)?.matmul(&a.detach().to_dtype(DType::F32)?)? * scale
}

/// `weight` (O, I) with an adapter merged: summed in f32 and rounded once to the type of the weight.
///
/// # Errors
/// Other shapes, memory, device.
pub fn merge(weight: &Tensor, a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    (weight.detach().to_dtype(DType::F32)? + delta(a, b, scale)?)?.to_dtype(weight.dtype())
}

/// The adapter of one layer: `scale · B A dropout(x)`, in the type of its own weights.
#[derive(Debug, Clone)]
pub struct Lora {
    a: Tensor, // (R, I)
    b: Tensor, // (O, R)
    scale: f64,
    dropout: Dropout,
}

impl Lora {
    /// Loads the adapter of the layer `vb` stands at, if it has one. A new one has no effect: A is uniform in ±1/√I, B is 0.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub(super) fn load(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Option<Self>> {
        if !vb.contains_tensor(A) {
            return Ok(None);
        }
        let settings = vb.get_unchecked_dtype(SETTINGS, DType::F64)?.to_vec1::<f64>()?;
        let &[r, scale, p] = settings.as_slice() else {
            bail!("an adapter's settings are rank, scale and dropout, not {settings:?}");
        };
        let r = r as usize;
        let bound = 1.0 / (inputs as f64).sqrt();
        let a = vb.get_with_hints_dtype((r, inputs), A, Init::Uniform { lo: -bound, up: bound }, DType::F32)?;
        let b = vb.get_with_hints_dtype((outputs, r), B, Init::Const(0.0), DType::F32)?;
        Ok(Some(Self { a, b, scale, dropout: Dropout::at(&vb.pp("lora_dropout"), p)? }))
    }

    /// The dropout of its input.
    #[must_use]
    pub fn dropout(&self) -> &Dropout {
        &self.dropout
    }

    /// A, B and the scale, if a pass of this kind drops nothing of the input.
    pub(super) fn factors(&self, mode: Mode) -> Option<(&Tensor, &Tensor, f64)> {
        let drops = matches!(mode, Mode::Train { .. }) && self.dropout.p() > 0.0;
        (!drops).then_some((&self.a, &self.b, self.scale))
    }

    /// (N, I) to (N, O), in the type of x.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let wide = self.dropout.forward(&x.to_dtype(self.a.dtype())?, mode)?;
        (wide.matmul(&self.a.t()?)?.matmul(&self.b.t()?)? * self.scale)?.to_dtype(x.dtype())
    }

    /// `weight` with this adapter merged.
    pub(super) fn merge_into(&self, weight: &Tensor) -> Result<Tensor> {
        merge(weight, &self.a, &self.b, self.scale)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn layers_are_matched_by_their_last_names() {
        let targets: &[&str] = &["q_proj", "layers.1.v_proj"];
        let config = LoraConfig { target_modules: targets.into(), ..LoraConfig::default() };
        for (module, target) in [
            ("model.layers.0.self_attn.q_proj", Some("q_proj")),
            ("q_proj", Some("q_proj")),
            ("audio_tower.layers.1.v_proj", Some("layers.1.v_proj")),
            ("model.layers.0.self_attn.xq_proj", None),
            ("visual.blocks.0.attn.q", None),
            ("layers.11.v_proj", None),
        ] {
            assert_eq!(config.target_of(module), target, "{module}");
        }
    }

    #[test]
    fn all_linear_leaves_the_output_out_wherever_it_is() {
        let all = Modules::Pattern("all-linear".to_owned());
        let config = LoraConfig { target_modules: all, ..LoraConfig::default() };
        for (module, is_meant) in
            [("lm_head", false), ("language_model.lm_head", false), ("language_model.model.layers.0.mlp.up_proj", true)]
        {
            assert_eq!(config.target_of(module).is_some(), is_meant, "{module}");
        }
    }

    #[test]
    fn scales_are_those_of_lora_and_rslora() {
        let config = LoraConfig { r: 4, lora_alpha: 6.0, ..LoraConfig::default() };
        let scale = |config: &LoraConfig| config.rank_and_scale("q").unwrap().1;
        assert!((scale(&config) - 1.5).abs() < 1e-15);
        assert!((scale(&LoraConfig { use_rslora: true, ..config }) - 3.0).abs() < 1e-15);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let read = |json: &str| serde_json::from_str::<LoraConfig>(json).unwrap().validate();
        let targets = r#""target_modules": ["q_proj", "v_proj"]"#;
        read(&format!(r#"{{"r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "peft_type": "LORA", {targets}}}"#))
            .unwrap();
        for (setting, key) in [
            (r#""r": 0"#, "r"),
            (r#""use_dora": true"#, "use_dora"),
            (r#""bias": "all""#, "bias"),
            (r#""lora_dropout": 1.0"#, "lora_dropout"),
            (r#""fan_in_fan_out": true"#, "fan_in_fan_out"),
            (r#""r": 1000000000000"#, "r"),
            (r#""exclude_modules": "(""#, "exclude_modules"),
            (r#""rank_pattern": {"(": 2}"#, "rank_pattern"),
        ] {
            let error = read(&format!("{{{setting}, {targets}}}")).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        for none in ["{}", r#"{"target_modules": "(q_proj"}"#] {
            assert!(read(none).unwrap_err().to_string().contains("target_modules"));
        }
        let both = read(r#"{"target_modules": ".*q", "layers_to_transform": 1}"#).unwrap_err().to_string();
        assert!(both.contains("layers_to_transform"), "{both}");
        let config = LoraConfig {
            alpha_pattern: [("q".to_owned(), 2.0), ("self\\.q".to_owned(), 3.0)].into(),
            ..LoraConfig::default()
        };
        assert!(config.rank_and_scale("layer.self.q").unwrap_err().to_string().contains("alpha_pattern"));
        assert!((config.rank_and_scale("layer.cross.q").unwrap().1 - 0.25).abs() < 1e-15);
    }

    #[test]
    fn names_are_those_of_peft() {
        let name = "model.layers.0.self_attn.q_proj.lora_A.weight";
        let peft = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
        assert_eq!(to_peft_name(name), peft);
        assert_eq!(from_peft_name(peft).unwrap(), name);
        assert_eq!(from_peft_name(&format!("base_model.model.thinker.{name}")).unwrap(), name);
        for other in [name, "base_model.model.lm_head.weight", "base_model.model.q.lora_settings"] {
            assert!(from_peft_name(other).is_err(), "{other}");
        }
    }
}
