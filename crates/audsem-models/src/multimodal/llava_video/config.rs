//! What `config.json` says about the vision part.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the tokens of a frame become fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolMode {
    /// Bilinear interpolation between the centres of tokens; the side is rounded up.
    Bilinear,
    /// The mean of each square of tokens; the side is rounded down.
    Average,
    /// The largest value of each square of tokens; the side is rounded down.
    Max,
}

/// Where the trained vector of an end stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewlinePosition {
    /// Behind each row of each frame.
    Grid,
    /// Behind each frame.
    Frame,
    /// Behind the last frame.
    OneToken,
    /// Nowhere.
    NoToken,
}

/// The keys of the vision part; absent ones have the values of LLaVA-Video-7B-Qwen2. The language model reads the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Width D of the language model.
    pub hidden_size: usize,
    /// Kind of the projector; must be two linear maps with GELU between, `mlp2x_gelu`.
    pub mm_projector_type: String,
    /// How the tokens of a frame become fewer.
    pub mm_spatial_pool_mode: PoolMode,
    /// By what the side of the grid is divided.
    pub mm_spatial_pool_stride: usize,
    /// Where ends are marked.
    pub mm_newline_position: NewlinePosition,
    /// Whether some frames are pooled more than others; must be false.
    pub add_faster_video: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 3584,
            mm_projector_type: "mlp2x_gelu".to_owned(),
            mm_spatial_pool_mode: PoolMode::Bilinear,
            mm_spatial_pool_stride: 2,
            mm_newline_position: NewlinePosition::Grid,
            add_faster_video: false,
        }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first setting that it does not.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("mm_spatial_pool_stride", self.mm_spatial_pool_stride),
        ])?;
        if self.mm_projector_type != "mlp2x_gelu" {
            return Err(Error::unsupported("mm_projector_type", &self.mm_projector_type, "mlp2x_gelu"));
        }
        if self.add_faster_video {
            return Err(Error::unsupported("add_faster_video", &self.add_faster_video, "false"));
        }
        Ok(())
    }
}
