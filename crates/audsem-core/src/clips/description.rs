//! Which clip a sample is: the one rule from its JSON and its name.

use serde_json::{Map, Value};

use crate::clip_id::{ClipId, ClipIdError};
use crate::json::{MAX_RECORD_BYTES, Read, read_fields};
use crate::suffix::{is_media, is_picture};

/// JSON of a sample that is larger than this is not read: a clip's description has a few hundred bytes.
pub const MAX_JSON_BYTES: u64 = MAX_RECORD_BYTES as u64;

/// The fields of a sample's JSON that may name its clip, the most trustworthy first.
const NAME_FIELDS: [&str; 2] = ["key", "original_filename"];

/// The field of a sample's JSON that holds its caption.
const TEXT: &str = "text";

/// What the JSON of a sample says about its clip. Each field is read by itself: one of an unexpected type does not
/// affect the others.
///
/// ```
/// use audsem_core::clips::Description;
///
/// let described = Description::parse(br#"{"original_filename": "tar/VID (1.0-3.5).mp4", "text": "[dog barks]"}"#);
/// assert_eq!(described.clip_key("17"), "VID (1_0-3_5)");
/// assert_eq!(Description::default().clip_key("VID (1_0-3_5)"), "VID (1_0-3_5)");
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Description {
    /// The clip's key, as a packer of ours wrote it.
    pub key: Option<String>,
    /// The name of the file that the sample was made from.
    pub original_filename: Option<String>,
    /// The caption.
    pub text: Option<String>,
    /// Why the JSON does not tell which clip this is. The clip is then unknown: any name would be a guess.
    pub problem: Option<String>,
}

impl Description {
    /// Reads the JSON of a sample. What is no JSON object is a [`Description::problem`].
    pub fn parse(json: &[u8]) -> Self {
        if json.len() as u64 > MAX_JSON_BYTES {
            return Self::too_large(json.len() as u64);
        }
        let [key, original_filename] = NAME_FIELDS;
        match read_fields(json, [key, original_filename, TEXT]) {
            Ok(Read { value: [key, original_filename, text], .. }) => Self::of_values(key, original_filename, text),
            Err(error) => Self { problem: Some(format!("its JSON: {error}")), ..Self::default() },
        }
    }

    /// Reads the fields of a JSON object.
    pub fn of_fields(fields: &Map<String, Value>) -> Self {
        let [key, original_filename] = NAME_FIELDS.map(|field| fields.get(field).cloned());
        Self::of_values(key, original_filename, fields.get(TEXT).cloned())
    }

    fn of_values(key: Option<Value>, original_filename: Option<Value>, text: Option<Value>) -> Self {
        let is_strange =
            |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null() && !value.is_string());
        let strange = NAME_FIELDS.into_iter().zip([is_strange(&key), is_strange(&original_filename)]);
        let strange = strange.filter(|(_, strange)| *strange).map(|(field, _)| field).next();
        let string = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (key, original_filename) = (string(key), string(original_filename));
        // Falling back to the sample's own name would name a different clip.
        let strange = strange.filter(|_| key.is_none() && original_filename.is_none());
        let problem = strange.map(|field| format!("its JSON: `{field}` is not a string"));
        Self { key, original_filename, text: string(text), problem }
    }

    /// Describes a sample whose JSON is larger than [`MAX_JSON_BYTES`].
    pub fn too_large(n_bytes: u64) -> Self {
        Self { problem: Some(format!("its JSON has {n_bytes} bytes")), ..Self::default() }
    }

    /// The name of the clip and the field it comes from: `key`, else `original_filename`; `None` if the JSON names none.
    pub fn named(&self) -> Option<(&'static str, &str)> {
        let names = [self.key.as_deref(), self.original_filename.as_deref()];
        let mut named = NAME_FIELDS.into_iter().zip(names).filter_map(|(field, name)| Some((field, name?)));
        named.find(|(_, name)| !name.trim().is_empty())
    }

    /// The key of the clip, in whichever way it is named. A name that is not a clip name keeps its last path component,
    /// without a known extension and with dots as underscores.
    pub fn clip_key(&self, sample: &str) -> String {
        clip_key(self.named().map_or(sample, |(_, name)| name))
    }

    /// The clip, if its name is that of one; `None` for what is only a key, and where the JSON is a problem.
    pub fn clip_id(&self, sample: &str) -> Option<ClipId> {
        let name = self.named().map_or(sample, |(_, name)| name);
        self.problem.is_none().then(|| parse_clip(name).ok()).flatten()
    }
}

/// Reads the name of a clip. White space counts as one blank, since packers have broken lines of it.
///
/// # Errors
/// It is the name of no clip.
pub fn parse_clip(name: &str) -> Result<ClipId, ClipIdError> {
    name.parse().or_else(|error| {
        let spaced = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if spaced == name { Err(error) } else { spaced.parse() }
    })
}

/// The name of the clip in the key of a training sample that is one of its questions: all before `_qa_N`.
///
/// ```
/// use audsem_core::clips::clip_of_question;
///
/// assert_eq!(clip_of_question("V (1_0-3_5)_qa_12"), "V (1_0-3_5)");
/// for key in ["V (1_0-3_5)", "a_qa_b", "a_qa_"] {
///     assert_eq!(clip_of_question(key), key);
/// }
/// ```
pub fn clip_of_question(key: &str) -> &str {
    match key.rsplit_once("_qa_") {
        Some((clip, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => clip,
        _ => key,
    }
}

/// The key of the clip that a file or a sample is named after.
pub fn clip_key(name: &str) -> String {
    if let Ok(clip) = parse_clip(name) {
        return clip.tar_key();
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = match last.rsplit_once('.') {
        Some((stem, extension))
            if is_media(extension) || is_picture(extension) || extension.eq_ignore_ascii_case("json") =>
        {
            stem
        }
        _ => last,
    };
    stem.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_clip_is_one_key() {
        let check = |sample: &str, key: Option<&str>, file: Option<&str>, expected: &str| {
            let (key, original_filename) = (key.map(str::to_owned), file.map(str::to_owned));
            let described = Description { key, original_filename, ..Description::default() };
            assert_eq!(described.clip_key(sample), expected);
        };
        check("17", Some("V (1_0-3_5)"), Some("W (1.0-3.5).mp4"), "V (1_0-3_5)");
        check("17", None, Some("tar/V (1.0-3.5).mp4"), "V (1_0-3_5)");
        check("17", Some(" "), Some("V (1.0-3.5)"), "V (1_0-3_5)");
        check("V (1_0-3_5)", None, None, "V (1_0-3_5)");
        // C17: a last dot begins an extension only if a known extension follows.
        check("17", None, Some("dogs/a.b (x.y).flac"), "a_b (x_y)");
        check("17", None, Some("rain v1.2"), "rain v1_2");
        check("17", None, None, "17");
    }

    #[test]
    fn json_is_read_field_by_field_and_never_renames_a_clip() {
        let check = |json: &str, name: Option<&str>, text: Option<&str>, problem: &str| {
            let described = Description::parse(json.as_bytes());
            let found = described.named().map(|(_, name)| name);
            assert_eq!((found, described.text.as_deref()), (name, text), "{json}");
            assert!(described.problem.unwrap_or_default().contains(problem), "{json}");
        };
        check(r#"{"original_filename": "V (1.0-2.0).mp4", "text": ["dog", "cat"]}"#, Some("V (1.0-2.0).mp4"), None, "");
        check(r#"{"key": 5, "original_filename": "V", "text": "dog", "other": [1]}"#, Some("V"), Some("dog"), "");
        check(r#"{"key": null, "text": "dog"}"#, None, Some("dog"), "");
        check(r#"{"original_filename": 17, "text": "dog"}"#, None, Some("dog"), "`original_filename` is not a string");
        check(r#"{"key": "V", "text": "#, None, None, "its JSON");
        check(r#"{"key": "V", "loudness": NaN, "text": "dog"}"#, Some("V"), Some("dog"), "");
        check("[1, 2]", None, None, "its JSON");
        check("", None, None, "its JSON");
    }
}
