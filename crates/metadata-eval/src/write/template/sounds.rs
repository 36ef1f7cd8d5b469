//! The sounds of a clip in the order in which a text speaks of them.

use super::super::metadata::Evidence;
use super::super::words::{count_words, stem};
use super::lexicon::{KINDS, Kind, is_general, is_source, kinds_in, words};

/// Minimum probability of a label that a text mentions.
const MIN_PROB: f32 = 0.3;

/// Minimum probability of a label in a second that counts for the order.
const MIN_SECOND_PROB: f32 = 0.5;

/// Maximum number of words of a closed caption that becomes a caption.
const MAX_CAPTION_WORDS: usize = 35;

/// What a text may say about a clip.
#[derive(Debug)]
pub(super) struct Sounds {
    /// A person's or a model's sentence about the clip, without brackets and notes.
    pub sentence: Option<String>,
    /// The main sound, lower case.
    pub main: String,
    /// Other sounds, the most probable first, lower case, none of which the main sound or the sentence names.
    pub others: Vec<String>,
    /// Sounds in the order in which they begin; empty if they begin together or nothing is known.
    pub order: Vec<String>,
    /// Share of speech.
    pub speech: Option<f32>,
    /// Kind of the main sound.
    pub kind: Option<&'static Kind>,
    /// Kinds that anything about the clip speaks of, pictures included: no wrong option is one of them.
    pub mentioned: Vec<usize>,
    /// All texts about the clip, in lower case.
    pub everything: String,
}

impl Sounds {
    /// `None` if nothing names a source of sound.
    pub(super) fn of(clip: &Evidence) -> Option<Self> {
        let sentence = [&clip.closed_caption, &clip.audio_caption, &clip.short_caption];
        let sentence = sentence.into_iter().flatten().find_map(|text| sentence_of(text));
        let labels = labels(clip);
        let everything = everything(clip);
        let said = sentence.as_deref().unwrap_or_default();
        let main = match (labels.iter().find(|label| speaks_of(said, label)), labels.first(), &sentence) {
            (Some(label), _, _) => label.clone(),
            (None, Some(label), None) => label.clone(),
            (None, _, Some(sentence)) => lower_first(sentence),
            (None, None, None) => return None,
        };
        let others = labels.iter().filter(|label| **label != main && !speaks_of(said, label));
        let others = others.filter(|label| !same_kind(&main, label)).take(2).cloned().collect();
        Some(Self {
            kind: kinds_in(&main).first().or(kinds_in(said).first()).map(|&i| &KINDS[i]),
            mentioned: kinds_in(&everything),
            order: order(clip),
            speech: clip.speech,
            sentence,
            main,
            others,
            everything,
        })
    }
}

/// All probable sources of sound, each once: those of a single source before groups of them, the most probable first.
fn labels(clip: &Evidence) -> Vec<String> {
    let whole = clip.taggers.iter().flat_map(|output| &output.tags).filter(|tag| tag.prob >= MIN_PROB);
    let seconds = clip.seconds.iter().flat_map(|second| &second.tags).filter(|tag| tag.prob >= MIN_SECOND_PROB);
    let sources = whole.chain(seconds).filter(|tag| is_source(&tag.label));
    let mut tags: Vec<(bool, f32, String)> =
        sources.map(|tag| (is_general(&tag.label), tag.prob, phrase(&tag.label))).collect();
    tags.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.total_cmp(&a.1)).then_with(|| a.2.cmp(&b.2)));
    let mut labels: Vec<String> = Vec::new();
    for (_, _, label) in tags {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// Sounds by their first second, if there are several and the first begins before the others.
fn order(clip: &Evidence) -> Vec<String> {
    let mut onsets: Vec<(u32, String)> = Vec::new();
    for second in &clip.seconds {
        for tag in second.tags.iter().filter(|tag| tag.prob >= MIN_SECOND_PROB && is_source(&tag.label)) {
            let label = phrase(&tag.label);
            let known = onsets.iter().any(|(_, other)| *other == label || same_kind(other, &label));
            if !known {
                onsets.push((second.start_ms, label));
            }
        }
    }
    match onsets.as_slice() {
        [first, second, ..] if first.0 < second.0 => onsets.into_iter().map(|(_, label)| label).collect(),
        _ => Vec::new(),
    }
}

/// The first name of a label, lower case: `Child speech, kid speaking` → `child speech`.
fn phrase(label: &str) -> String {
    let label = label.split([',', '(']).next().unwrap_or(label).trim();
    lower_first(label)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_lowercase().collect()).unwrap_or_default();
    first + chars.as_str().trim_end_matches('.')
}

/// Whether a text names a label: one of its words, or a word of its kind.
fn speaks_of(text: &str, label: &str) -> bool {
    let stems = |text: &str| -> Vec<String> { words(text).iter().map(|word| stem(word)).collect() };
    let said = stems(text);
    let kinds = kinds_in(text);
    stems(label).iter().any(|word| said.contains(word))
        || kinds_in(label).first().is_some_and(|kind| kinds.contains(kind))
}

fn same_kind(one: &str, other: &str) -> bool {
    matches!((kinds_in(one).first(), kinds_in(other).first()), (Some(a), Some(b)) if a == b)
}

/// A caption without marks of its medium, as a sentence; `None` if nothing is left or too much.
fn sentence_of(text: &str) -> Option<String> {
    let bare: String = text.chars().map(|c| if "[](){}♪♫*#<>_\"".contains(c) { ' ' } else { c }).collect();
    let bare = audsem_core::records::clean(&bare);
    let bare = bare.trim_matches(|c: char| !c.is_alphanumeric());
    let n = count_words(bare);
    if n == 0 || n > MAX_CAPTION_WORDS {
        return None;
    }
    let is_shouted = bare.chars().all(|c| !c.is_lowercase());
    let text = if is_shouted { bare.to_lowercase() } else { bare.to_owned() };
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    Some(first + chars.as_str() + ".")
}

fn everything(clip: &Evidence) -> String {
    let texts = [&clip.closed_caption, &clip.audio_caption, &clip.short_caption, &clip.scene];
    let texts = texts.into_iter().flatten().chain(&clip.music).chain(&clip.descriptions).map(String::as_str);
    let tags = clip.taggers.iter().flat_map(|output| &output.tags).chain(&clip.ast);
    let tags = tags.chain(clip.seconds.iter().flat_map(|second| &second.tags));
    let tags = tags.chain(&clip.objects).chain(&clip.places).chain(&clip.image_labels);
    let labels = tags.map(|tag| tag.label.as_str());
    texts.chain(labels).collect::<Vec<_>>().join("\n").to_lowercase()
}
