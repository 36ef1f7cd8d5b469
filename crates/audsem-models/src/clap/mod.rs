//! CLAP: sounds and texts as vectors of one space.
//!
//! Any checkpoint of `ClapModel` loads (unfused and fused, of any size); what differs comes from its `config.json` and
//! `preprocessor_config.json` (or `processor_config.json`). [`ClapEncoder`] is the full pipeline from samples and strings
//! to vectors, [`Clap`] the network alone, which can be trained.

mod config;
mod encoder;
mod feature_config;
mod features;
mod fusion;
mod htsat;
mod model;

pub use config::{AudioConfig, Config};
pub use encoder::ClapEncoder;
pub use feature_config::{ClipPadding, FeatureConfig, Truncation};
pub use features::{Crop, FeatureError, FeatureExtractor, Features};
pub use htsat::{AudioInference, AudioTower};
pub use model::{Clap, ClapInference};
