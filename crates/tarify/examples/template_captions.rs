//! Writes one record per clip of audio shards, as the captioning stage will: caption, reasoning, and a
//! question with choices. Here they are filled into templates from the clip's closed caption. No model
//! has listened, and the records say so.
//!
//! ```text
//! cargo run -p audsem-tarify --example template_captions -- FOLDER-OF-TARS RECORDS.jsonl
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use audsem_core::clip_id::ClipId;
use audsem_core::files::write_atomically;
use audsem_core::tar::SampleReader;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, output] = &arguments[..] else { bail!("expected FOLDER-OF-TARS and RECORDS.jsonl") };
    let clips = read_clips(folder)?;
    // Wrong choices come from other clips, so every one is a sound that somebody captioned.
    let texts: Vec<&String> = clips.values().collect();
    let mut lines = String::new();
    for (i, (key, text)) in clips.iter().enumerate() {
        let others: Vec<&str> =
            (1..texts.len()).map(|step| texts[(i + step * 7) % texts.len()].as_str()).filter(|t| t != text).collect();
        lines.push_str(&record(key, text, &others, i).to_string());
        lines.push('\n');
    }
    write_atomically(output, lines.as_bytes()).context("cannot write the records")
}

/// Key and caption of each clip, in the order of the keys.
fn read_clips(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut clips = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "tar") {
            continue;
        }
        let mut tar = SampleReader::open(&path)?;
        while let Some(sample) = tar.next_sample()? {
            let bytes = sample.get("json").with_context(|| format!("{} has no JSON", sample.key))?;
            let clip: Value = serde_json::from_slice(bytes)?;
            let (Some(name), Some(text)) = (clip["original_filename"].as_str(), clip["text"].as_str()) else {
                bail!("{}: no file name or text in {clip}", path.display());
            };
            clips.insert(name.parse::<ClipId>()?.tar_key(), text.to_owned());
        }
    }
    if clips.is_empty() {
        bail!("no clip in {}", folder.display());
    }
    Ok(clips)
}

fn record(key: &str, text: &str, others: &[&str], place: usize) -> Value {
    let letters = ["A", "B", "C", "D"];
    let right = place % letters.len();
    let mut wrong = others.iter();
    let choices: serde_json::Map<String, Value> = letters
        .iter()
        .enumerate()
        .filter_map(|(i, letter)| {
            let choice = if i == right { text } else { *wrong.next()? };
            Some(((*letter).to_owned(), choice.into()))
        })
        .collect();
    json!({
        "file_name": format!("tar/{key}"),
        "caption": format!("This recording was captioned for deaf viewers with the words: {text}."),
        "thinking": format!(
            "The closed caption at this moment reads \"{text}\", so that sound should be heard. \
             This sentence was filled into a template; no model has listened."
        ),
        "qa_pairs": [{
            "question": "Which of these captions was written for this recording?",
            "choices": choices,
            "thinking": format!("The closed caption says \"{text}\", and one of the choices repeats it. Filled into a template."),
            "answer": text,
        }],
    })
}
