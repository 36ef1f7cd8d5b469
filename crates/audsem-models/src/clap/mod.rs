//! CLAP: sounds and texts as vectors of one space.
//!
//! Any checkpoint of `ClapModel` loads (unfused and fused, of any size); what differs comes from its `config.json` and
//! `preprocessor_config.json` (or `processor_config.json`). So do the files that the authors of LAION's CLAP and of MS-CLAP
//! published, see [`crate::convert`], and folders of CLAP2 as `open_clip` writes them. [`ClapEncoder`] is the full pipeline from samples and strings to vectors, [`Clap`] the
//! network of LAION alone, which can be trained, [`MsClap`] that of Microsoft, and [`OpenClip`] that of CLAP2.

mod config;
mod encoder;
mod feature_config;
mod features;
mod fusion;
mod htsat;
mod model;
mod msclap;
mod network;
mod open_clip;
mod words;

pub use config::{AudioConfig, Config};
pub use encoder::ClapEncoder;
pub use feature_config::{ClipPadding, FeatureConfig, Truncation};
pub use features::{Crop, FeatureError, FeatureExtractor, Features};
pub use htsat::{AudioInference, AudioTower};
pub use model::{Clap, ClapInference};
pub use msclap::{MsClap, MsClapConfig};
pub use open_clip::{MAX_SECONDS, OpenClip, OpenClipConfig};
