//! Where the hub and its cache are.

use std::path::PathBuf;

/// Where models are looked for, apart from local folders.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// The hub cache folder.
    pub cache: PathBuf,
    /// Never use the network.
    pub offline: bool,
    /// Base address of the hub, where it is not the public one.
    pub endpoint: Option<String>,
    /// Access token for private repositories.
    pub token: Option<String>,
}

impl HubSettings {
    /// Reads `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and `HF_TOKEN`, with the meaning the Python
    /// library gives them.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "these variables belong to the hub libraries, not to our flags")]
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = || var("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let cache = var("HF_HUB_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            var("HF_HOME").map_or_else(|| home().join(".cache/huggingface"), PathBuf::from).join("hub")
        });
        let offline = var("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"));
        Self { cache, offline, endpoint: var("HF_ENDPOINT"), token: var("HF_TOKEN") }
    }
}
