//! What can be written about a clip, and the JSON schema of each.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// A caption of the sound
    Caption,
    /// Open questions with answers
    Qa,
    /// Questions with four options
    Mcqa,
    /// A caption by a model that hears the clip, with hints from its pictures
    VisualCaption,
}

/// How detailed the reasoning is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Reasoning and answer
    #[default]
    Simple,
    /// Reasoning, nine lists of semantic elements, and answer
    Semantic,
}

/// A category of semantic elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category {
    /// Key in JSON.
    pub key: &'static str,
    /// Heading in text.
    pub heading: &'static str,
    /// What belongs there.
    pub meaning: &'static str,
}

const fn category(key: &'static str, heading: &'static str, meaning: &'static str) -> Category {
    Category { key, heading, meaning }
}

/// The nine categories of captions.
const CAPTION_CATEGORIES: [Category; 9] = [
    category(
        "animate",
        "Animate sound makers",
        "people and animals that sound, with adjectives that characterise them",
    ),
    category("inanimate", "Inanimate sources", "things and substances that make the sound"),
    category("actions", "Actions and mechanisms", "how the sound is produced"),
    category("time", "Time", "when, in which order or how often; an empty list if nothing is known"),
    category("place", "Place", "where: the room or surroundings"),
    category("materials", "Acoustic surfaces and materials", "surfaces and materials that shape the sound"),
    category(
        "signal",
        "Signal-level descriptors",
        "words for the sound itself without its source, such as noise or chord",
    ),
    category("sensation", "Auditory sensation attributes", "how it is heard: loud, dull, steady, repeated"),
    category("impression", "Subjective and emotional impressions", "impressions that are not auditory, and feelings"),
];

/// The nine categories of questions: what is needed for the answer.
const QUESTION_CATEGORIES: [Category; 9] = [
    category("animate", "Animate sound makers", "who or what living sounds"),
    category("inanimate", "Objects and substances", "things and substances that make the sound"),
    category("actions", "Actions and mechanisms", "how the sound is produced"),
    category("time", "Relations in time", "order, simultaneity, repetition; an empty list if nothing is known"),
    category("place", "Relations in space", "where sounds are, near or far, inside or outside"),
    category("acoustics", "Acoustic properties", "pitch, loudness, timbre, reverberation"),
    category("signal", "Signal-level descriptors", "words for the sound itself without its source"),
    category("sensation", "Auditory sensation attributes", "how it is heard: loud, dull, steady, repeated"),
    category("coherence", "Coherence of the evidence", "how the observations together lead to the answer"),
];

impl Product {
    /// The name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Caption => "caption",
            Self::Qa => "qa",
            Self::Mcqa => "mcqa",
            Self::VisualCaption => "visual-caption",
        }
    }

    /// Whether it is a caption, not questions.
    #[must_use]
    pub fn is_caption(self) -> bool {
        matches!(self, Self::Caption | Self::VisualCaption)
    }

    /// Maximum number of tokens of an answer, reasoning included, unless a flag says another.
    #[must_use]
    pub fn max_tokens(self) -> u32 {
        if self == Self::Caption { 1024 } else { 2048 }
    }

    /// The nine categories of its semantic elements.
    #[must_use]
    pub fn categories(self) -> &'static [Category; 9] {
        if self.is_caption() { &CAPTION_CATEGORIES } else { &QUESTION_CATEGORIES }
    }

    /// The JSON schema of answers. Properties stand in the order of generation: reasoning comes before the answer, and
    /// where questions are `grounded` in the time of sounds, the claim that decides the answer stands between the two.
    #[must_use]
    pub fn schema(self, style: Style, grounded: bool) -> Value {
        let mut fields = Map::new();
        if !self.is_caption() {
            fields.insert("question".into(), text());
        }
        if self == Self::Mcqa {
            fields.insert("choices".into(), object(["A", "B", "C", "D"].map(|letter| (letter, text()))));
        }
        fields.insert("thinking".into(), text());
        if style == Style::Semantic {
            let list = |category: &Category| {
                let min = u32::from(category.key != "time");
                (category.key, json!({"type": "array", "items": text(), "minItems": min, "maxItems": 3}))
            };
            fields.insert("semantic_elements".into(), object(self.categories().iter().map(list)));
        }
        if grounded && !self.is_caption() {
            fields.insert("claim".into(), claim_schema());
        }
        fields.insert("answer".into(), text());
        let item = object(fields.iter().map(|(name, schema)| (name.as_str(), schema.clone())));
        match self {
            Self::Caption | Self::VisualCaption => item,
            Self::Qa | Self::Mcqa => {
                object([("questions", json!({"type": "array", "items": item, "minItems": 2, "maxItems": 3}))])
            }
        }
    }
}

fn text() -> Value {
    json!({"type": "string", "minLength": 1})
}

/// The schema of a [`super::timeline::Claim`].
fn claim_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["order", "count", "duration"]},
            "sounds": {"type": "array", "items": text(), "minItems": 1, "maxItems": 2},
            "value": {"type": ["integer", "null"], "minimum": 0, "maximum": 100_000},
        },
        "required": ["kind", "sounds", "value"],
        "additionalProperties": false,
    })
}

/// The schema of an object in which every property is required and no other allowed.
fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// The schema of a judge's verdict.
#[must_use]
pub fn verdict_schema() -> Value {
    object([("reason", json!({"type": "string"})), ("valid", json!({"type": "boolean"}))])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_llm::Schema;

    use super::*;

    #[test]
    fn schemas_compile_and_ask_for_reasoning_before_the_answer() {
        for product in [Product::Caption, Product::Qa, Product::Mcqa] {
            for (style, grounded) in [(Style::Simple, false), (Style::Semantic, false), (Style::Simple, true)] {
                let schema = product.schema(style, grounded);
                Schema::compile(&schema).unwrap();
                let text = schema.to_string();
                let place = |name: &str| text.find(&format!("\"{name}\":{{")).unwrap();
                assert!(place("thinking") < place("answer"), "{text}");
                assert_eq!(text.contains("semantic_elements"), style == Style::Semantic);
                assert_eq!(text.contains("claim"), grounded && product != Product::Caption);
            }
        }
        Schema::compile(&verdict_schema()).unwrap();
    }

    #[test]
    fn there_are_two_or_three_questions_with_four_choices() {
        let schema = Schema::compile(&Product::Mcqa.schema(Style::Simple, false)).unwrap();
        let pair = json!({"question": "q", "choices": {"A": "a", "B": "b", "C": "c", "D": "d"}, "thinking": "t",
            "answer": "A. a"});
        let read = |n: usize| schema.read(&json!({ "questions": vec![pair.clone(); n] }).to_string()).is_ok();
        assert_eq!([1, 2, 3, 4].map(read), [false, true, true, false]);
        let mut few = pair.clone();
        few["choices"].as_object_mut().unwrap().shift_remove("D");
        assert!(schema.read(&json!({"questions": [few.clone(), few]}).to_string()).is_err());
    }
}
