//! The chat template of a checkpoint, or that of its family.

use audsem_core::hub::ModelDir;
use serde_json::Value;

use super::{AUDIO, ChatTurn};
use crate::chat::ChatTemplate;
use crate::error::{Error, Result};
use crate::multimodal::audio_language::AudioFamily;

impl AudioFamily {
    /// The family's chat template in Jinja: ChatML, in which Qwen2-Audio numbers the sounds.
    #[must_use]
    pub fn chat_template(self) -> &'static str {
        match self {
            Self::Qwen2Audio => include_str!("qwen2_audio.jinja"),
            Self::QwenOmni => include_str!("qwen2_5_omni.jinja"),
        }
    }
}

/// The template of a folder's processor; the family's where there is none, or where it has no place for sounds, as that of a
/// tokenizer alone. The latter two are told.
///
/// # Errors
/// A file cannot be read, or the template cannot be parsed.
pub(super) fn open(dir: &ModelDir, family: AudioFamily, notes: &mut Vec<String>) -> Result<ChatTemplate> {
    let settings: Value = dir.optional_json("tokenizer_config.json")?.unwrap_or_default();
    let token = |role: &str| settings[role].as_str().or_else(|| settings[role]["content"].as_str());
    let parse = |source: &str| ChatTemplate::parse(source, token("bos_token"), token("eos_token"));
    let name = family.name();
    match stored(dir)? {
        None => notes.push(format!("no chat template of a processor: that of {name} is used")),
        Some(source) => {
            let template = parse(&source)?;
            match hears(&template) {
                Ok(true) => return Ok(template),
                Ok(false) => notes.push(format!("the chat template has no place for sounds: that of {name} is used")),
                Err(error) => notes.push(format!("the chat template refuses sounds ({error}): that of {name} is used")),
            }
        }
    }
    parse(family.chat_template())
}

/// The source of the template that a processor would load.
fn stored(dir: &ModelDir) -> Result<Option<String>> {
    if let Some(path) = dir.optional("chat_template.jinja")? {
        let failed = |error| Error::ChatTemplate { reason: format!("{}: {error}", path.display()) };
        return std::fs::read_to_string(&path).map(Some).map_err(failed);
    }
    for name in ["chat_template.json", "processor_config.json"] {
        let file: Value = dir.optional_json(name)?.unwrap_or_default();
        if let Some(source) = file["chat_template"].as_str() {
            return Ok(Some(source.to_owned()));
        }
    }
    Ok(None)
}

/// Whether a template writes one mark for one sound.
fn hears(template: &ChatTemplate) -> Result<bool> {
    let text = template.fill([ChatTurn::question(1, "?").to_json()], true)?;
    Ok(text.matches(AUDIO).count() == 1)
}
