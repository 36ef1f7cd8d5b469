//! The model card.

use std::fmt::Write as _;
use std::path::Path;

use audsem_core::input::is_folder;
use candle_core::DType;

use crate::card::TrainingCard;
use crate::error::Result;

/// What a base is called in the card: its id, or the last part of a path, which says nothing elsewhere.
///
/// # Errors
/// It cannot be told whether it is a folder.
pub(super) fn shown(base: &str) -> Result<&str> {
    Ok(if is_hub_id(base)? { base } else { base.trim_end_matches('/').rsplit('/').next().unwrap_or(base) })
}

fn is_hub_id(base: &str) -> Result<bool> {
    Ok(base.split('/').count() == 2 && !base.starts_with(['/', '.']) && !is_folder(Path::new(base))?)
}

/// `README.md` of a model: what it was made of, with what data and settings.
///
/// # Errors
/// As [`shown`].
pub(super) fn model_card(base: &str, training: Option<&TrainingCard>, dtype: DType) -> Result<String> {
    let (is_hub_id, shown) = (is_hub_id(base)?, shown(base)?);
    let mut card = String::new();
    let mut write = || -> std::fmt::Result {
        writeln!(card, "---\nlibrary_name: transformers\npipeline_tag: audio-text-to-text")?;
        if is_hub_id {
            writeln!(card, "base_model: {base}")?;
        }
        writeln!(card, "---\n\n# An audio language model, fine-tuned with AudSem\n")?;
        writeln!(card, "Base: `{}`. Numbers: {}.\n", shown, dtype.as_str())?;
        match training {
            Some(training) => training_section(&mut card, training),
            None => writeln!(card, "There is no record of the training."),
        }?;
        writeln!(
            card,
            "\n## Licence\n\nThe licence of the base applies to these weights, and the terms of the data to what was learned \
             from them. Both must allow a use before it is made."
        )
    };
    write().expect("writing to a string does not fail");
    Ok(card)
}

fn training_section(card: &mut String, training: &TrainingCard) -> std::fmt::Result {
    let settings = serde_json::to_string_pretty(&training.training).unwrap_or_default();
    let start = if training.from_scratch { ", from random weights" } else { "" };
    writeln!(card, "## Training\n\nTrained: {}{start}.", word(&training.train))?;
    if let Some(lora) = &training.lora {
        let layers = serde_json::to_string(&lora.target_modules).unwrap_or_default();
        let (rank, alpha, dropout) = (lora.r, lora.lora_alpha, lora.lora_dropout);
        writeln!(card, "Adapters: rank {rank}, alpha {alpha}, dropout {dropout}, layers {layers}.")?;
    }
    writeln!(card, "Answers: {}; instruction: {}.\n", word(&training.target), training.instruction)?;
    writeln!(card, "| data | weight | digest of the manifest |\n| --- | --- | --- |")?;
    for data in &training.data {
        let name = data.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        writeln!(card, "| {name} | {} | `{}` |", data.weight, data.digest)?;
    }
    writeln!(card, "\n| result | value |\n| --- | --- |")?;
    for (name, value) in &training.results {
        writeln!(card, "| {name} | {value} |")?;
    }
    writeln!(card, "\nSettings of the loop (audsem {}):\n\n```json\n{settings}\n```", training.version)
}

/// The name of a choice, as the command line has it.
fn word(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
