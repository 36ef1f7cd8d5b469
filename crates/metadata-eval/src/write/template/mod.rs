//! A writer that is no model: it puts together sentences from the metadata of a clip alone, by rules.
//!
//! Its texts are plain and repeat themselves; they show what the pipeline makes, and serve where no model is at hand.
//! Every row says that it was written this way (`writer`), and the same clip and seed always give the same text. A clip
//! for which the rules have nothing to say is a reject.

mod caption;
mod grounded;
mod lexicon;
mod questions;
mod sounds;

use audsem_llm::{ErrorScope, FinishReason, Prompt, Request, Response, TextError, TextGenerator, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::Evidence;
use super::product::{Product, Style};
use super::timeline::Timeline;
use sounds::Sounds;

/// Name and version of the rules: they decide the output.
pub const TEMPLATE_WRITER: &str = "template-1";

/// What the rules are given, as the text of a raw prompt.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TemplateTask {
    pub product: Product,
    pub style: Style,
    pub grounded: bool,
    pub seed: u64,
    pub clip: Evidence,
}

impl TemplateTask {
    /// # Errors
    /// The rules have nothing to say about the clip.
    pub(super) fn prompt(&self) -> Result<Prompt, TextError> {
        if self.answer().is_null() {
            return Err(TextError::Prompt {
                reason: "the metadata hold too little that the rules can put into words",
                hint: "let a language model write about this clip (--server)",
            });
        }
        let text = serde_json::to_string(self).map_err(|error| TextError::Other {
            reason: format!("the clip has no JSON form: {error}"),
            scope: ErrorScope::Request,
        })?;
        Ok(Prompt::Raw(text))
    }

    /// The answer; null if the rules have nothing to say.
    fn answer(&self) -> Value {
        let Some(sounds) = Sounds::of(&self.clip) else { return Value::Null };
        match self.product {
            Product::Caption | Product::VisualCaption => {
                let thinking = caption::thinking(&sounds, &caption::conclusion(&sounds));
                fields(self, &sounds, json!({ "thinking": thinking }), &caption::caption(&sounds))
            }
            Product::Qa | Product::Mcqa if self.grounded => {
                let (timeline, has_options) = (Timeline::of(&self.clip), self.product == Product::Mcqa);
                self.questions(&sounds, grounded::drafts(&timeline, &sounds, has_options, self.seed))
            }
            Product::Qa => self.questions(&sounds, questions::open(&sounds)),
            Product::Mcqa => self.questions(&sounds, questions::with_options(&sounds, self.seed)),
        }
    }

    fn questions(&self, sounds: &Sounds, drafts: Vec<questions::Draft>) -> Value {
        if drafts.len() < 2 {
            return Value::Null;
        }
        let pair = |draft: questions::Draft| {
            let thinking = caption::thinking(sounds, &draft.reason);
            let mut start = json!({ "question": draft.question });
            if let Some(options) = &draft.options {
                start["choices"] = json!({"A": options[0], "B": options[1], "C": options[2], "D": options[3]});
            }
            start["thinking"] = thinking.into();
            let claim = draft
                .claim
                .as_ref()
                .map(|claim| json!({"kind": claim.kind, "sounds": claim.sounds, "value": claim.value}));
            let mut pair = fields(self, sounds, start, &draft.answer);
            if let Some(claim) = claim {
                pair["claim"] = claim;
            }
            pair
        };
        json!({ "questions": drafts.into_iter().map(pair).collect::<Vec<_>>() })
    }
}

/// Completes a caption or a pair in the order of the schema.
fn fields(task: &TemplateTask, sounds: &Sounds, mut start: Value, answer: &str) -> Value {
    if task.style == Style::Semantic {
        let elements = caption::elements(sounds);
        let keyed = task.product.categories().iter().zip(elements);
        start["semantic_elements"] = keyed.map(|(category, list)| (category.key.to_owned(), json!(list))).collect();
    }
    start["answer"] = answer.into();
    start
}

/// The rules as a generator, so that their texts take the way of a model's: schema, checks, judge, rejects.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemplateWriter;

impl TextGenerator for TemplateWriter {
    fn identity(&self) -> String {
        TEMPLATE_WRITER.to_owned()
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        let Prompt::Raw(text) = &request.prompt else {
            return Err(TextError::Prompt { reason: "the template writer reads no chat", hint: "give it a clip" });
        };
        // A question asked again has its rejected answer behind it: the rules would only repeat themselves.
        let mut tasks = serde_json::Deserializer::from_str(text).into_iter::<TemplateTask>();
        let answer = match tasks.next() {
            Some(Ok(task)) => task.answer(),
            _ => Value::Null,
        };
        Ok(Response {
            text: answer.to_string(),
            reasoning: None,
            finish: FinishReason::Stop,
            tokens: Vec::new(),
            usage: Usage::default(),
            model: TEMPLATE_WRITER.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_llm::Schema;

    use super::super::check::{Check, WordLimits, WrittenText};
    use super::super::metadata::tests::{dog_and_door, tags};
    use super::super::metadata::{TaggedSpan, TaggerOutput};
    use super::*;

    fn write(product: Product, style: Style, clip: Evidence) -> Result<WrittenText, String> {
        write_grounded(product, style, clip, false)
    }

    fn write_grounded(product: Product, style: Style, clip: Evidence, grounded: bool) -> Result<WrittenText, String> {
        let timeline = grounded.then(|| Timeline::of(&clip));
        let task = TemplateTask { product, style, grounded, seed: 7, clip };
        let prompt = task.prompt().map_err(|error| error.to_string())?;
        let response = TemplateWriter.generate(&Request::greedy(prompt, 1)).unwrap();
        let schema = Schema::compile(&product.schema(style, grounded)).unwrap();
        let value = schema.read(response.answer()).map_err(|error| error.to_string())?;
        Check { product, style, limits: WordLimits::default(), timeline: timeline.as_ref() }.read(&value)
    }

    fn clips() -> Vec<Evidence> {
        let tagger = |found: &[(&str, f32)]| vec![TaggerOutput { tagger: "CED".into(), tags: tags(found) }];
        vec![
            dog_and_door("k"),
            Evidence { closed_caption: Some("♪ [upbeat music playing]".into()), ..Evidence::default() },
            Evidence { taggers: tagger(&[("Rain", 0.7), ("Child speech, kid speaking", 0.35)]), ..Evidence::default() },
            Evidence { audio_caption: Some("A man speaks while an engine idles.".into()), ..Evidence::default() },
            Evidence {
                closed_caption: Some("(ENGINE STARTS)".into()),
                speech: Some(0.8),
                seconds: vec![
                    TaggedSpan { start_ms: 0, end_ms: 1000, tags: tags(&[("Engine starting", 0.9)]) },
                    TaggedSpan { start_ms: 1000, end_ms: 2000, tags: tags(&[("Speech", 0.9)]) },
                ],
                ..Evidence::default()
            },
        ]
    }

    #[test]
    fn texts_pass_every_check() {
        for product in [Product::Caption, Product::Qa, Product::Mcqa] {
            for style in [Style::Simple, Style::Semantic] {
                for clip in clips() {
                    let key = format!("{product:?} {style:?} {:?}", clip.closed_caption);
                    let written = write(product, style, clip);
                    assert!(written.is_ok(), "{key}: {written:?}");
                }
            }
        }
    }

    #[test]
    fn captions_say_what_the_metadata_says() {
        let caption = |clip| match write(Product::Caption, Style::Simple, clip) {
            Ok(WrittenText::Caption(text)) => text.answer,
            other => panic!("{other:?}"),
        };
        let written: Vec<String> = clips().into_iter().map(caption).collect();
        assert_eq!(written[0], "Dog barks, door slams.");
        assert_eq!(written[1], "Upbeat music playing.");
        assert_eq!(written[2], "Rain is heard, along with the sound of child speech.");
        assert_eq!(written[3], "A man speaks while an engine idles.");
        assert_eq!(written[4], "Engine starts, along with the sound of speech.");
    }

    #[test]
    fn wrong_options_are_of_kinds_that_nothing_speaks_of() {
        let Ok(WrittenText::Pairs(pairs)) = write(Product::Mcqa, Style::Simple, dog_and_door("k")) else { panic!() };
        assert_eq!(pairs[0].text.answer, "Dog");
        for option in pairs[0].options.iter().filter(|option| **option != "Dog") {
            let kinds = lexicon::kinds_in(option);
            assert!(!kinds.contains(&2) && !kinds.contains(&9), "{option}");
        }
    }

    #[test]
    fn grounded_questions_state_what_the_seconds_say() {
        for product in [Product::Qa, Product::Mcqa] {
            let written = write_grounded(product, Style::Simple, dog_and_door("k"), true);
            let Ok(WrittenText::Pairs(pairs)) = written else { panic!("{written:?}") };
            let said: Vec<(&str, &str)> = pairs.iter().map(|pair| (&*pair.question, &*pair.text.answer)).collect();
            let expected = match product {
                Product::Mcqa => [
                    ("Which sound begins first?", "Dog"),
                    ("How many separate times is this heard: dog?", "2 times"),
                    ("For how long in all is this heard: dog?", "3 seconds"),
                ],
                _ => [
                    ("Which begins first, dog or slam?", "First comes dog, and slam follows."),
                    ("How many separate times is this heard: dog?", "It is heard two times, with pauses between."),
                    ("For how long in all is this heard: dog?", "It is heard for about three seconds in all."),
                ],
            };
            assert_eq!(said, expected);
            assert!(pairs.iter().all(|pair| pair.claim.is_some()));
        }
    }

    #[test]
    fn one_source_is_named_rather_than_its_group() {
        let tagger = |labels| vec![TaggerOutput { tagger: "CED".into(), tags: tags(labels) }];
        for (labels, expected) in [
            (&[("Animal", 0.83), ("Dog", 0.8), ("Domestic animals, pets", 0.7)][..], "Dog is heard."),
            (&[("Animal", 0.83), ("Dog", 0.2)][..], "Animal is heard."),
        ] {
            let clip = Evidence { taggers: tagger(labels), ..Evidence::default() };
            let Ok(WrittenText::Caption(caption)) = write(Product::Caption, Style::Simple, clip) else { panic!() };
            assert_eq!(caption.answer, expected);
        }
    }

    #[test]
    fn a_clip_without_a_source_gets_no_text() {
        let tagger = vec![TaggerOutput { tagger: "CED".into(), tags: tags(&[("Silence", 0.9), ("Dog", 0.05)]) }];
        let silent = Evidence { taggers: tagger, ..Evidence::default() };
        assert!(write(Product::Caption, Style::Simple, silent).unwrap_err().contains("too little"));
    }

    #[test]
    fn the_same_clip_gives_the_same_text() {
        let options = || match write(Product::Mcqa, Style::Simple, dog_and_door("k")) {
            Ok(WrittenText::Pairs(pairs)) => pairs,
            other => panic!("{other:?}"),
        };
        assert_eq!(options(), options());
    }
}
