//! What is asked about a clip, what is accepted, and the row that comes of it.

use std::borrow::Cow;

use audsem_llm::{
    FinishReason, GenerateTask, Part, Prompt, PromptTemplate, Refusal, Request, Response, TextError, read_json,
};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::check::{Check, WrittenText};
use super::metadata::Evidence;
use super::product::verdict_schema;
use super::prompts::PromptSettings;
use super::sounds::ClipSounds;
use super::template::TemplateTask;
use super::timeline::Timeline;

/// Maximum number of tokens of a verdict.
const JUDGE_TOKENS: u32 = 256;

/// Who writes.
#[derive(Debug)]
pub enum Author {
    /// A language model that reads a prompt.
    Model(Box<PromptTemplate>),
    /// Rules; see [`super::template`].
    Template,
}

/// A judge of content.
#[derive(Debug)]
pub struct ContentJudge {
    /// The question; it gets `output`.
    pub prompt: PromptTemplate,
    /// Whether it sees the closed caption.
    pub with_facts: bool,
}

/// Asks about clips.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub author: &'a Author,
    pub judge: Option<&'a ContentJudge>,
    pub settings: PromptSettings,
    pub sounds: Option<&'a ClipSounds>,
    pub temperature: f32,
    pub max_tokens: u32,
    pub seed: u64,
}

impl Writing<'_> {
    /// The seed of a clip: it does not depend on which other clips there are.
    pub(super) fn seed_of(&self, key: &str) -> u64 {
        xxh3_64_with_seed(key.as_bytes(), self.seed)
    }

    /// Attaches the clip's sound for a writer that can hear.
    fn with_sound(&self, prompt: Prompt, clip: &Evidence) -> Result<Prompt, TextError> {
        match self.sounds {
            Some(sounds) => prompt.with_media(vec![Part::Audio(sounds.read(&clip.key)?)]),
            None => Ok(prompt),
        }
    }

    fn sampled(&self, prompt: Prompt, max_tokens: u32, seed: u64) -> Request {
        let mut request = Request::greedy(prompt, max_tokens);
        request.temperature = self.temperature;
        // Servers take their defaults from the model's own files unless a request says its own.
        request.top_p = Some(1.0);
        // Some servers read the seed as a signed 32-bit number.
        request.seed = Some(seed >> 34);
        request
    }
}

impl GenerateTask for Writing<'_> {
    type Record = Evidence;
    type Row = WrittenText;

    fn key<'a>(&self, clip: &'a Evidence) -> Cow<'a, str> {
        Cow::Borrowed(&clip.key)
    }

    fn request(&self, clip: &Evidence) -> Result<Request, TextError> {
        let seed = self.seed_of(&clip.key);
        let prompt = match self.author {
            Author::Model(template) => self.with_sound(self.settings.ask_writer(template, clip)?, clip)?,
            Author::Template => {
                let PromptSettings { product, style, grounded, .. } = self.settings;
                TemplateTask { product, style, grounded, seed, clip: clip.clone() }.prompt()?
            }
        };
        let mut request = self.sampled(prompt, self.max_tokens, seed);
        request.schema = Some(self.settings.schema());
        Ok(request)
    }

    fn harmless(&self) -> Option<Evidence> {
        Some(Evidence::default())
    }

    fn settings_hint(&self) -> &'static str {
        "change --max-tokens or --temperature"
    }

    fn validate(&self, clip: &Evidence, answer: &Response) -> Result<WrittenText, Refusal> {
        if answer.finish == FinishReason::Length {
            return Err(Refusal::new("it was cut off at the maximum number of tokens (--max-tokens); be briefer"));
        }
        let value: Value =
            read_json(answer.answer()).map_err(|error| Refusal::new(format!("it is not JSON: {error}")))?;
        let PromptSettings { product, style, limits, grounded, .. } = self.settings;
        let timeline = grounded.then(|| Timeline::of(clip));
        Check { product, style, limits, timeline: timeline.as_ref() }.read(&value).map_err(Refusal::new)
    }

    fn review(&self, clip: &Evidence, answer: &Response) -> Result<Request, TextError> {
        let judge = self.judge.ok_or(TextError::Prompt { reason: "no judge was asked for", hint: "use --judge" })?;
        let prompt = self.settings.ask_judge(&judge.prompt, clip, answer.answer(), judge.with_facts)?;
        let mut request = self.sampled(prompt, JUDGE_TOKENS, self.seed_of(&clip.key));
        // A verdict shall not depend on luck.
        request.temperature = 0.0;
        request.schema = Some(verdict_schema());
        Ok(request)
    }

    fn verdict(&self, _: &Evidence, review: &Response) -> Result<(), Refusal> {
        let schema = audsem_llm::Schema::compile(&verdict_schema()).map_err(|error| Refusal::new(error.to_string()))?;
        let verdict = schema.read(review.answer()).map_err(|error| {
            Refusal::new(format!("the judge gave no verdict: {error}")).with_reply("Answer again, as asked at first.")
        })?;
        match verdict["valid"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(Refusal::new(format!("a judge rejects it: {}", verdict["reason"].as_str().unwrap_or_default()))),
        }
    }
}
