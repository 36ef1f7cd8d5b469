//! Rules for messages: what people read has no Debug text of Rust types.

use std::collections::BTreeSet;

use crate::repository::{library_sources, lines_of_code, none};

/// Texts of users in quotation marks: by file, what the placeholders are filled with.
const QUOTED: [(&str, &[&str]); 22] = [
    ("audsem-core/src/cli/config/value.rs", &["text"]),
    ("audsem-core/src/cli/slurm.rs", &["text"]),
    ("audsem-core/src/clip_id.rs", &["ending", "name", "time", "video_id"]),
    ("audsem-core/src/clip_lists.rs", &["text"]),
    ("audsem-core/src/records/choices.rs", &["answer"]),
    ("audsem-models/src/clap/open_clip/config.rs", &["value"]),
    ("audsem-models/src/clap/open_clip/text_config.rs", &["name"]),
    ("audsem-models/src/convert/claps.rs", &["names"]),
    ("audsem-models/src/error.rs", &["character"]),
    ("clip-embeddings/src/embed/text.rs", &["text"]),
    ("evaluate/src/export/mod.rs", &["name"]),
    ("evaluate/src/import/mod.rs", &["reference", "right"]),
    ("metadata-eval/src/cli/write.rs", &[""]),
    ("metadata-eval/src/filter/condition.rs", &["0", "value"]),
    ("metadata-eval/src/import/rows.rs", &["label", "span"]),
    ("metadata-eval/src/write/check.rs", &["text", "words"]),
    ("metadata-eval/src/write/timeline.rs", &["name", "option"]),
    ("tarify/src/clip_rows.rs", &["text"]),
    ("tarify/src/shards/config.rs", &["text"]),
    ("tarify/src/shards/text.rs", &["phrase"]),
    // Not texts of users, but words that tests print.
    ("audsem-core/src/cli/faults.rs", &["names"]),
    // An error of the library, which has no message but this one.
    ("training/src/reduce/nccl.rs", &["error"]),
];

/// Lists of numbers beside the shapes of tensors: `[2, 3]` reads alike in any language.
const NUMBERS: [(&str, &[&str]); 14] = [
    ("audsem-models/src/audio/conette/mod.rs", &["starts"]),
    ("audsem-models/src/convert/expected.rs", &["has", "wants"]),
    ("audsem-models/src/error.rs", &["lengths"]),
    ("audsem-models/src/language/gguf.rs", &["found"]),
    ("audsem-models/src/multimodal/trainable/pack.rs", &["lengths", ""]),
    ("audsem-models/src/nn/attention.rs", &["cu_seqlens"]),
    ("audsem-models/src/nn/fused/linear.rs", &["last"]),
    ("audsem-models/src/nn/fused/norm.rs", &["last"]),
    ("audsem-models/src/nn/fused/trained/attention.rs", &[""]),
    ("audsem-models/src/nn/lora/mod.rs", &["settings"]),
    ("audsem-models/src/nn/mask.rs", &["order"]),
    ("audsem-models/src/nn/rotary.rs", &["sections"]),
    ("audsem-models/src/train/snapshot.rs", &["has", "wanted"]),
    ("audsem-models/src/train/state.rs", &["has", "wanted"]),
];

/// What nobody reads: it is hashed, compared, or the key of an answer that is kept.
const UNSEEN: [(&str, &[&str]); 8] = [
    ("audsem-models/src/language/gguf_tensors.rs", &["config", "read"]),
    ("audsem-models/src/language/local/mod.rs", &[""]),
    ("audsem-models/src/multimodal/audio_language/local.rs", &[""]),
    ("evaluate/src/predict/asking.rs", &["heard"]),
    ("filtering/src/classify/train.rs", &[""]),
    ("filtering/src/extract/pandas.rs", &["number"]),
    ("tarify/src/pack/plan.rs", &["reason"]),
    ("training/src/setup/purpose.rs", &[""]),
];

/// What placeholders are filled with that show the shape of a tensor, a list of numbers.
const SHAPES: [&str; 6] = ["dims", "kernel", "padding", "shape", "stride", "strides"];

/// What the placeholders for Debug text in a line are filled with, by name; without a name, where their arguments are no
/// shapes of tensors, by nothing.
fn debug_texts(line: &str) -> Vec<&str> {
    let of_shapes = line.contains(".dims") || line.contains(".shape");
    let placeholders = line.match_indices(":?}").chain(line.match_indices(":#?}"));
    let names = placeholders.map(|(at, _)| line[..at].rsplit('{').next().unwrap_or_default());
    names.filter(|name| if name.is_empty() { !of_shapes } else { !SHAPES.contains(name) }).collect()
}

#[test]
fn messages_have_no_debug_text() {
    let allowed = || QUOTED.iter().chain(&NUMBERS).chain(&UNSEEN);
    let (mut offenders, mut used) = (Vec::new(), BTreeSet::new());
    for (path, text) in library_sources().filter(|(path, _)| !path.starts_with("crates/audsem-core/src/testing")) {
        let path = path.strip_prefix("crates").unwrap_or(&path).display().to_string();
        for (number, line) in text.lines().take(lines_of_code(&text)).enumerate() {
            let line = line.trim_start();
            // What programmers see.
            if line.starts_with("//") || line.contains("assert") || line.contains("panic!") {
                continue;
            }
            for filling in debug_texts(line) {
                match allowed().find(|(file, names)| path == *file && names.contains(&filling)) {
                    Some((file, _)) => drop(used.insert((*file, filling.to_owned()))),
                    None => offenders.push(format!("{path}:{}: `{filling}` in {line}", number + 1)),
                }
            }
        }
    }
    none(
        &offenders,
        "a message has words and values, and no Debug text; quoted texts and lists of numbers are listed here",
    );
    let named = allowed().flat_map(|(file, names)| names.iter().map(move |name| (*file, (*name).to_owned())));
    let stale = named.filter(|one| !used.contains(one)).map(|(file, name)| format!("{file}: {name}"));
    none(&stale.collect::<Vec<_>>(), "what is allowed here is still there");
}

#[test]
fn events_have_no_debug_text() {
    let mut offenders = Vec::new();
    for (path, text) in library_sources() {
        let code: Vec<&str> = text.lines().take(lines_of_code(&text)).collect();
        let code = code.join("\n");
        for (at, _) in code.match_indices("tracing::") {
            let event = code[at..].split(");").next().unwrap_or_default();
            let fields = event.split(['(', ',', '=']).map(str::trim_start).filter(|part| part.starts_with('?'));
            offenders.extend(fields.map(|field| format!("{}: {field}", path.display())));
        }
    }
    none(&offenders, "a field of an event is written as a value (`%`), not as Debug text (`?`)");
}
