//! Our rows from records of the reference.

use serde_json::Value;

use super::literal;
use super::records::Record;
use crate::combine::new_row;
use crate::tables::{
    AudioFeatures, ClipMetadata, DriftScore, ImageFeatures, ScoredLabel, SecondFeatures, SecondTags, SoundTag,
    VideoFeatures,
};
use audsem_core::clip_id::tar_key_of;

/// A row type that the reference has records of.
pub(super) trait FromReference: Sized {
    /// The row of a record.
    ///
    /// # Errors
    /// A field is missing or has an unexpected form.
    fn from_reference(record: Record) -> Result<Self, String>;
}

impl FromReference for AudioFeatures {
    fn from_reference(mut record: Record) -> Result<Self, String> {
        Ok(Self {
            audio_caption: text(&mut record, "audio_caption")?,
            beats_tags: tags(&mut record, "audio_tags")?,
            ast_label: text(&mut record, "ast_classification")?,
            conette_caption: text(&mut record, "conette_candidates")?,
            music_captions: text(&mut record, "music_caption")?.map(|caption| vec![caption]),
            ..Self::of_key(key(&mut record)?)
        })
    }
}

impl FromReference for SecondFeatures {
    fn from_reference(mut record: Record) -> Result<Self, String> {
        let seconds = seconds(&mut record)?.ok_or("no `sat_predictions`")?;
        Ok(Self { key: key(&mut record)?, place: None, seconds })
    }
}

impl FromReference for ImageFeatures {
    fn from_reference(mut record: Record) -> Result<Self, String> {
        Ok(Self {
            descriptions: texts(&mut record, "descriptions")?,
            objects: scored(&mut record, "objects")?,
            places: scored(&mut record, "places")?,
            ..Self::of_key(key(&mut record)?)
        })
    }
}

impl FromReference for VideoFeatures {
    fn from_reference(mut record: Record) -> Result<Self, String> {
        let caption = text(&mut record, "caption")?.ok_or("no `caption`")?;
        Ok(Self { key: key(&mut record)?, place: None, frames_ms: None, caption })
    }
}

impl FromReference for DriftScore {
    fn from_reference(mut record: Record) -> Result<Self, String> {
        let score = record.get("score").and_then(Value::as_f64).ok_or("no `score`")?;
        let dataset = text(&mut record, "dataset")?.ok_or("no `dataset`")?;
        Ok(Self { key: key(&mut record)?, dataset, dissimilarity: score as f32 })
    }
}

impl FromReference for ClipMetadata {
    fn from_reference(mut record: Record) -> Result<Self, String> {
        let audio_caption = text(&mut record, "audio_caption")?;
        let beats_tags = tags(&mut record, "audio_tags")?;
        let seconds = seconds(&mut record)?;
        let objects = scored(&mut record, "objects")?;
        let scene = text(&mut record, "caption")?;
        let row = new_row(&key(&mut record)?);
        Ok(Self {
            duration_ms: row.start_ms.zip(row.end_ms).map(|(start, end)| end - start),
            text: text(&mut record, "text")?,
            has_audio: audio_caption.is_some() || beats_tags.is_some(),
            has_sat: seconds.is_some(),
            has_image: objects.is_some(),
            has_video: scene.is_some(),
            audio_caption,
            beats_tags,
            ast_label: text(&mut record, "ast_classification")?,
            conette_caption: text(&mut record, "conette_candidates")?,
            music_captions: text(&mut record, "music_caption")?.map(|caption| vec![caption]),
            seconds,
            descriptions: texts(&mut record, "descriptions")?,
            objects,
            places: scored(&mut record, "places")?,
            scene,
            ..row
        })
    }
}

/// The clip's key; the reference calls it `file_name`.
fn key(record: &mut Record) -> Result<String, String> {
    let name = text(record, "file_name")?.filter(|name| !name.trim().is_empty()).ok_or("no `file_name`")?;
    Ok(tar_key_of(&name).into_owned())
}

/// A text; nothing where it is absent or null.
fn text(record: &mut Record, name: &str) -> Result<Option<String>, String> {
    match record.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("`{name}` is no text: {}", kind(&other))),
    }
}

/// A list or dictionary, either as it is or as Python prints it.
fn nested(record: &mut Record, name: &str) -> Result<Option<Value>, String> {
    match record.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => literal::read(&text).map(Some).map_err(|problem| format!("`{name}`: {problem}")),
        Some(value) => Ok(Some(value)),
    }
}

fn texts(record: &mut Record, name: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = nested(record, name)? else { return Ok(None) };
    let Value::Array(items) = value else { return Err(format!("`{name}` is no list: {}", kind(&value))) };
    let text = |item| match item {
        Value::String(text) => Ok(text),
        other => Err(format!("`{name}` holds {}", kind(&other))),
    };
    items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn tags(record: &mut Record, name: &str) -> Result<Option<Vec<SoundTag>>, String> {
    nested(record, name)?.map(|value| tags_of(value, name)).transpose()
}

/// Labels with their probabilities. Those without one are of other clips: polars gives each row the labels of all rows.
fn tags_of(value: Value, name: &str) -> Result<Vec<SoundTag>, String> {
    let Value::Object(entries) = value else { return Err(format!("`{name}` is no dictionary: {}", kind(&value))) };
    let tag = |(label, prob)| match prob {
        Value::Null => None,
        Value::Number(prob) => Some(Ok(SoundTag { label, prob: number(&prob) })),
        other => Some(Err(format!("`{name}`: the probability of {label:?} is {}", kind(&other)))),
    };
    entries.into_iter().filter_map(tag).collect()
}

fn scored(record: &mut Record, name: &str) -> Result<Option<Vec<ScoredLabel>>, String> {
    let Some(value) = nested(record, name)? else { return Ok(None) };
    let Value::Array(items) = value else { return Err(format!("`{name}` is no list: {}", kind(&value))) };
    let scored = |item: Value| match (&item["label"], &item["score"]) {
        (Value::String(label), Value::Number(score)) => Ok(ScoredLabel { label: label.clone(), score: number(score) }),
        _ => Err(format!("`{name}` holds something else than labels with scores: {item}")),
    };
    items.into_iter().map(scored).collect::<Result<_, _>>().map(Some)
}

/// The labels of each second, which the reference calls `0-1`, `1-2` and so on.
fn seconds(record: &mut Record) -> Result<Option<Vec<SecondTags>>, String> {
    const NAME: &str = "sat_predictions";
    let Some(value) = nested(record, NAME)? else { return Ok(None) };
    let Value::Object(entries) = value else { return Err(format!("`{NAME}` is no dictionary: {}", kind(&value))) };
    let second = |(span, tags): (String, Value)| {
        let bad = || format!("`{NAME}`: {span:?} is no span of seconds");
        let (start, end) = span.split_once('-').ok_or_else(bad)?;
        let ms = |seconds: &str| seconds.parse::<u32>().ok()?.checked_mul(1000);
        let (start_ms, end_ms) = ms(start).zip(ms(end)).filter(|(start, end)| start < end).ok_or_else(bad)?;
        Ok::<_, String>(SecondTags { start_ms, end_ms, tags: tags_of(tags, NAME)? })
    };
    let mut seconds = entries.into_iter().map(second).collect::<Result<Vec<_>, _>>()?;
    seconds.sort_by_key(|second| second.start_ms);
    Ok(Some(seconds))
}

#[expect(clippy::cast_possible_truncation, reason = "tables hold 32 bits, as the networks give them")]
fn number(number: &serde_json::Number) -> f32 {
    number.as_f64().unwrap_or(f64::NAN) as f32
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a dictionary",
    }
}
