//! CLAP: sounds and texts in one space of vectors.

mod feature_config;
mod features;
mod fusion;

pub use feature_config::{FeatureConfig, Padding, Truncation};
pub use features::{Crop, FeatureError, FeatureExtractor, Features};
