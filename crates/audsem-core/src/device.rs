//! Which device a model runs on, and in which number type.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::weights::ModelError;

/// What `--device` says: `auto`, `cpu` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device where this build has CUDA and the machine has one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this ordinal.
    Cuda(usize),
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`ModelError::NoCuda`] if CUDA was requested by name and is not available; `auto` never fails.
    pub fn open(self) -> Result<Device, ModelError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(Device::cuda_if_available(0).unwrap_or(Device::Cpu)),
            Self::Cuda(ordinal) => {
                Device::new_cuda(ordinal).map_err(|source| ModelError::NoCuda { ordinal, source: Box::new(source) })
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("unknown device: `{text}`; it is `auto`, `cpu` or `cuda:N`")),
        }
    }
}

/// The number type of weights and activations, `--dtype`. Norms, softmax, positions and logits are f32 whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: the only sensible choice on a CPU.
    #[default]
    F32,
    /// bfloat16, for GPUs; on a CPU it is widened for every product and slower than `f32`.
    Bf16,
    /// 16-bit IEEE floats.
    F16,
}

impl Precision {
    /// Name of the number type, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The type as candle names it.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_round_trip() {
        for (text, expected) in [
            ("auto", Some(DeviceChoice::Auto)),
            ("cpu", Some(DeviceChoice::Cpu)),
            ("cuda:0", Some(DeviceChoice::Cuda(0))),
            ("cuda:7", Some(DeviceChoice::Cuda(7))),
            ("cuda:", None),
            ("cuda:-1", None),
            ("gpu", None),
            ("CPU", None),
        ] {
            let parsed: Result<DeviceChoice, _> = text.parse();
            assert_eq!(parsed.as_ref().ok(), expected.as_ref(), "{text}");
            if let Ok(device) = parsed {
                assert_eq!(device.to_string(), text);
            }
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_by_name_fails_where_the_build_has_none_and_auto_does_not() {
        let message = DeviceChoice::Cuda(0).open().expect_err("this build has no CUDA").to_string();
        assert!(message.contains("cuda:0") && message.contains("hint:"), "{message}");
        assert!(DeviceChoice::Auto.open().is_ok());
    }
}
