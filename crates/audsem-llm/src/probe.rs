//! The first question of each kind, which is asked alone: a server that refuses its settings would refuse thousands alike.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use audsem_core::run::{ShardError, ShardOutput};

use super::pending::send;
use super::{Media, Message, MessageContent, Part, Prompt, Request, Response, TextError, TextGenerator, Usage};

/// What is said and heard in a question that nobody can object to.
const HARMLESS: &str = "Hello.";
const SILENCE_S: u16 = 4;

/// Fields of a request's body that are settings.
const FIELDS: [&str; 7] = ["top_logprobs", "logprobs", "max_tokens", "temperature", "top_p", "seed", "stop"];

/// Lets the first question of each kind pass alone, and the others once it has an answer. One gate serves one generator.
#[derive(Default)]
pub(super) struct Gate {
    known: Mutex<HashMap<Kind, Known>>,
}

/// What a server may refuse whatever is asked. A run has few kinds.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    max_tokens: u32,
    /// Temperature and bound of nucleus sampling, as bits.
    sampling: (u32, Option<u32>),
    has_seed: bool,
    stop: Vec<String>,
    top_logprobs: u8,
    has_schema: bool,
    is_raw: bool,
    has_sound: bool,
}

/// What is known of a kind.
enum Known {
    Passed,
    /// Address, status and words of the server.
    Refused(String, u16, String),
}

/// What a step says to the gate.
pub(super) struct Probing {
    /// A question of the step's own about something harmless.
    pub(super) harmless: Option<Request>,
    /// The flags of the step to change, as a clause; may be empty.
    pub(super) hint: &'static str,
}

impl Kind {
    fn of(request: &Request) -> Self {
        Self {
            max_tokens: request.max_tokens,
            sampling: (request.temperature.to_bits(), request.top_p.map(f32::to_bits)),
            has_seed: request.seed.is_some(),
            stop: request.stop.clone(),
            top_logprobs: request.top_logprobs,
            has_schema: request.schema.is_some(),
            is_raw: matches!(request.prompt, Prompt::Raw(_)),
            has_sound: match &request.prompt {
                Prompt::Chat(turns) => turns.iter().any(|turn| !turn.content.is_text()),
                Prompt::Raw(_) => false,
            },
        }
    }
}

impl Gate {
    /// Sends requests; the first one of each kind alone. If that is refused, a harmless question of its kind tells whether its
    /// text is at fault or what all questions have in common: then the run ends. `is_first` as in [`send`].
    pub(super) fn send(
        &self,
        generator: &dyn TextGenerator,
        requests: &[Request],
        probing: &dyn Fn() -> Probing,
        (progress, is_first): (&ShardOutput, bool),
        usage: &mut Vec<Usage>,
    ) -> Result<Vec<Result<Response, TextError>>, ShardError> {
        if !generator.may_refuse_settings() {
            return send(generator, requests, progress, is_first, usage);
        }
        let mut alone = HashMap::new();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, request) in requests.iter().enumerate() {
            let kind = Kind::of(request);
            match known.get(&kind) {
                Some(Known::Passed) => continue,
                Some(Known::Refused(url, status, body)) => {
                    let error = settings_refused(url.clone(), *status, body.clone(), probing().hint);
                    return Err(ShardError::fatal(error));
                }
                None => {}
            }
            let answers = send(generator, std::slice::from_ref(request), progress, is_first, usage)?;
            if let Some(Err(TextError::Rejected { .. })) = answers.first() {
                let Probing { harmless, hint } = probing();
                let probe = harmless.filter(|own| Kind::of(own) == kind).unwrap_or_else(|| harmless_form(request));
                if let Some((url, status, body)) = refusal(generator, probe, progress)? {
                    known.insert(kind, Known::Refused(url.clone(), status, body.clone()));
                    return Err(ShardError::fatal(settings_refused(url, status, body, hint)));
                }
            }
            known.insert(kind, Known::Passed);
            alone.extend(answers.into_iter().map(|answer| (place, answer)));
        }
        drop(known);
        let rest = requests.iter().enumerate().filter(|(place, _)| !alone.contains_key(place));
        let rest: Vec<Request> = rest.map(|(_, request)| request.clone()).collect();
        let mut others = send(generator, &rest, progress, is_first, usage)?.into_iter();
        Ok((0..requests.len()).filter_map(|place| alone.remove(&place).or_else(|| others.next())).collect())
    }
}

/// Address, status and words of a server that refuses a question. It goes out without a schema: the question before it was
/// refused in every form of a schema, and without one. Its tokens are nobody's.
fn refusal(
    generator: &dyn TextGenerator,
    probe: Request,
    progress: &ShardOutput,
) -> Result<Option<(String, u16, String)>, ShardError> {
    let answers = send(generator, &[Request { schema: None, ..probe }], progress, false, &mut Vec::new())?;
    Ok(answers.into_iter().find_map(|answer| match answer {
        Err(TextError::Rejected { url, status, body }) => Some((url, status, body)),
        _ => None,
    }))
}

/// The error that a server refuses what all questions have in common, with the flags to change: those of the step, and the
/// one that every step has, for the field that the server names.
pub(super) fn settings_refused(url: String, status: u16, body: String, hint: &str) -> TextError {
    let is_named = |word: &&str| FIELDS.contains(word);
    let field = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').find(is_named).unwrap_or("NAME");
    let own = if hint.is_empty() { String::new() } else { format!("{hint}, or ") };
    let hint = format!(
        "{own}leave the field that it names out with --server-param {field}=null, or send another value with --server-param \
         {field}=VALUE"
    );
    TextError::Settings { url, status, body, hint }
}

/// A question in the form of this one, with a greeting in place of each text and silence in place of each sound.
fn harmless_form(request: &Request) -> Request {
    let part = |part: &Part| match part {
        Part::Text(_) => Some(Part::Text(HARMLESS.to_owned())),
        Part::Audio(_) => Some(Part::Audio(Media::silence(SILENCE_S))),
        Part::Image(_) => None,
    };
    let content = |content: &MessageContent| match content {
        MessageContent::Text(_) => MessageContent::Text(HARMLESS.to_owned()),
        MessageContent::Parts(parts) => MessageContent::Parts(parts.iter().filter_map(part).collect()),
    };
    let prompt = match &request.prompt {
        Prompt::Chat(turns) => {
            Prompt::Chat(turns.iter().map(|turn| Message::new(turn.role, content(&turn.content))).collect())
        }
        Prompt::Raw(_) => Prompt::Raw(HARMLESS.to_owned()),
    };
    Request { prompt, ..request.clone() }
}
