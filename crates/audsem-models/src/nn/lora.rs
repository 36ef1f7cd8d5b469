//! Low-rank adapters (LoRA; Hu et al., 2022), with the names and settings of PEFT.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::{Dropout, Mode};

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

/// Settings of adapters, with the keys of `adapter_config.json` of PEFT and its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank r.
    pub r: usize,
    /// The adapter's result is scaled by `lora_alpha / r`.
    pub lora_alpha: f64,
    /// Dropout of the adapter's input.
    pub lora_dropout: f64,
    /// Scales by `lora_alpha / √r` (rsLoRA; Kalajdzievski, 2023).
    pub use_rslora: bool,
    /// Layers that get an adapter: those of this name, or whose name ends in a dot and this name.
    pub target_modules: Vec<String>,
    /// Which biases are trained; must be `none`.
    pub bias: String,
    /// Weights decomposed into direction and magnitude; must be false.
    pub use_dora: bool,
    /// Weights stored as (in, out); must be false.
    pub fan_in_fan_out: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            target_modules: Vec::new(),
            bias: "none".to_owned(),
            use_dora: false,
            fan_in_fan_out: false,
        }
    }
}

impl LoraConfig {
    /// Names the setting that is not supported.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> crate::error::Result<()> {
        let refuse =
            |key, value: &dyn std::fmt::Debug, supported| Err(crate::error::Error::unsupported(key, value, supported));
        if self.r == 0 {
            return refuse("r", &self.r, "1 or more");
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return refuse("lora_dropout", &self.lora_dropout, "0 to less than 1");
        }
        if self.bias != "none" {
            return refuse("bias", &self.bias, "none");
        }
        if self.use_dora {
            return refuse("use_dora", &self.use_dora, "false");
        }
        if self.fan_in_fan_out {
            return refuse("fan_in_fan_out", &self.fan_in_fan_out, "false");
        }
        if self.target_modules.is_empty() {
            return refuse("target_modules", &self.target_modules, "a list of names of layers");
        }
        Ok(())
    }

    /// What the adapter's result is multiplied by.
    #[must_use]
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// The entry of `target_modules` that the layer `module` (a dotted name) is meant by.
    #[must_use]
    pub fn target_of(&self, module: &str) -> Option<&str> {
        let meant = |target: &&String| {
            module.strip_suffix(target.as_str()).is_some_and(|head| head.is_empty() || head.ends_with('.'))
        };
        self.target_modules.iter().find(meant).map(String::as_str)
    }

    /// The settings as the tensor that [`Lora::load`] asks for.
    pub(super) fn settings(&self) -> Result<Tensor> {
        Tensor::new(&[self.r as f64, self.scale(), self.lora_dropout], &Device::Cpu)
    }
}

/// The adapted layer of a tensor that belongs to an adapter, or nothing.
pub(super) fn adapted_layer(name: &str) -> Option<&str> {
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
        let config = LoraConfig {
            target_modules: vec!["q_proj".to_owned(), "layers.1.v_proj".to_owned()],
            ..LoraConfig::default()
        };
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
    fn scales_are_those_of_lora_and_rslora() {
        let config = LoraConfig { r: 4, lora_alpha: 6.0, ..LoraConfig::default() };
        assert!((config.scale() - 1.5).abs() < 1e-15);
        assert!((LoraConfig { use_rslora: true, ..config }.scale() - 3.0).abs() < 1e-15);
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
        ] {
            let error = read(&format!("{{{setting}, {targets}}}")).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        assert!(read("{}").unwrap_err().to_string().contains("target_modules"));
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
