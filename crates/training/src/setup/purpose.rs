//! Which training a checkpoint belongs to.

use audsem_core::run::{Fingerprint, RunOptions};
use serde::Serialize;

/// Identifies the training that a checkpoint belongs to: everything that decides its outcome, and the version of this program.
#[must_use]
pub fn purpose(config: &impl Serialize, options: &RunOptions) -> String {
    let config = serde_json::to_string(config).expect("a configuration is plain data");
    let options = format!("{} {:?}", options.seed, options.limit);
    Fingerprint::new().with(env!("CARGO_PKG_VERSION")).with(config).with(options).hash()
}
