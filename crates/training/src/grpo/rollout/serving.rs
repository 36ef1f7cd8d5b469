//! The adapter in training in the form that vLLM reads.

use audsem_models::multimodal::audio_language::AudioFamily;
use audsem_models::nn::lora::Adapter;

use crate::checkpoint::NamedFiles;
use crate::error::Result;

/// Begin the names of the language model and of the tower in checkpoints of the thinker of Qwen2.5-Omni.
const PARTS: [&str; 2] = ["model.", "audio_tower."];
/// Stands in front of them in the whole model, of which the thinker is a part and whose names vLLM expects.
const THINKER: &str = "thinker.";

/// Files of an adapter as a server is given them. Layers of the thinker have the names that they have in the whole model;
/// others keep theirs.
///
/// # Errors
/// A tensor cannot be read back from its device.
pub fn for_server(adapter: Adapter) -> Result<NamedFiles> {
    let files = adapter.with_tensor_names(serving_name).files()?;
    Ok(files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
}

/// vLLM knows names of checkpoints, and not those that transformers 5 has in memory.
fn serving_name(name: &str) -> String {
    let stored = AudioFamily::QwenOmni.tensor_name(name);
    if PARTS.iter().any(|part| stored.starts_with(part)) { format!("{THINKER}{stored}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use audsem_core::hub::ModelDir;

    use super::*;

    #[test]
    fn names_are_those_of_the_whole_model() {
        for (name, expected) in [
            ("model.layers.0.self_attn.q_proj.lora_A.weight", "thinker.model.layers.0.self_attn.q_proj.lora_A.weight"),
            ("thinker.model.x", "thinker.model.x"),
            ("model.language_model.layers.0.x", "thinker.model.layers.0.x"),
            ("model.audio_tower.layers.0.x", "thinker.audio_tower.layers.0.x"),
            ("language_model.model.x", "language_model.model.x"),
        ] {
            assert_eq!(serving_name(name), expected);
        }
    }

    #[test]
    fn the_files_are_those_of_peft() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens/training/adapter");
        let files = for_server(Adapter::open(&ModelDir::local(&folder)).unwrap()).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors"]);
        assert!(files[0].1.windows(13).any(|part| part == br#""peft_type": "#), "settings as PEFT writes them");
    }
}
