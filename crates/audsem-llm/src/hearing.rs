//! A server whose model hears: how it takes sounds is found out by asking, and that it hears them is checked.

use std::sync::{Mutex, PoisonError};

use audsem_core::signals::stop_requested;

use super::probe::settings_refused;
use super::server::AudioForm;
use super::{
    Arrived, ErrorScope, Media, Message, OpenAiServer, Part, Prompt, Request, Response, Role, TextError, TextGenerator,
};

/// What the probe asks.
const QUESTION: &str = "What is heard?";

/// Tokens that a sound of a few seconds adds at least: fewer are the marks around a sound that was left out.
const LEAST_TOKENS: u64 = 12;

/// Tokens that a sound of a few seconds adds at most: more are its bytes, read as text.
const MOST_TOKENS: u64 = 4000;

/// A server that is asked about sounds. Before its first question, one probe finds the form in which it takes sounds, and
/// whether they add to the tokens that it counts. A server that ignores them, or reads them as text, is not asked.
pub struct HearingServer {
    server: OpenAiServer,
    named: Option<AudioForm>,
    sound: Media,
    /// What the probe has found: that the server hears, or why it is not asked.
    found: Mutex<Option<Result<(), String>>>,
}

impl HearingServer {
    /// Takes a server, the form in which it takes sounds where that is known, and a sound of some seconds for the probe.
    #[must_use]
    pub fn new(server: OpenAiServer, named: Option<AudioForm>, sound: Media) -> Self {
        Self { server, named, sound, found: Mutex::default() }
    }

    /// Probes the server once, whoever asks. A server that was not reached is asked again.
    fn probe(&self) -> Result<(), TextError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*found {
            return known.clone().map_err(|reason| TextError::Other { reason, scope: ErrorScope::All });
        }
        let probed = self.probe_once();
        match &probed {
            Ok(()) => *found = Some(Ok(())),
            Err(error @ (TextError::Config { .. } | TextError::Settings { .. })) => {
                *found = Some(Err(error.to_string()))
            }
            Err(_) => {}
        }
        probed
    }

    /// Asks the server once with the sound, in each form until one is heard, and once without.
    fn probe_once(&self) -> Result<(), TextError> {
        let without = self.tokens(Vec::new())?;
        let forms = self.named.map_or_else(|| AudioForm::ALL.to_vec(), |form| vec![form]);
        let (mut problems, mut takes_none) = (Vec::new(), true);
        for form in forms {
            self.server.send_audio_as(form);
            let with = self.tokens(vec![Part::Audio(self.sound.clone())])?;
            takes_none &= with.is_err();
            match self.judged(&without, &with) {
                Ok(()) => {
                    tracing::debug!(form = form.name(), "the server hears");
                    return Ok(());
                }
                Err(problem) => problems.push(format!("{}: {problem}", form.name())),
            }
        }
        // Who refuses the question without a sound as well does not mean the sound.
        if let (Err(TextError::Rejected { url, status, body }), true) = (without, takes_none) {
            return Err(settings_refused(url, status, body, ""));
        }
        Err(TextError::Config {
            what: "sounds for the language model server",
            value: self.server.model().to_owned(),
            reason: problems.join("; "),
            hint: "serve a model that hears, with its audio encoder; if the server counts no tokens, name the form that it \
                   takes with --audio-form",
        })
    }

    /// Whether a sound was heard, by the tokens of a question without and with it.
    fn judged(&self, without: &Result<u64, TextError>, with: &Result<u64, TextError>) -> Result<(), String> {
        let with = *with.as_ref().map_err(ToString::to_string)?;
        let without = *without.as_ref().unwrap_or(&0);
        match with.saturating_sub(without) {
            _ if (with == 0 || without == 0) && self.named.is_some() => {
                tracing::warn!("the server counts no tokens, so that nobody knows whether its model hears");
                Ok(())
            }
            _ if with == 0 || without == 0 => {
                Err("the server counts no tokens, which would show that it hears".to_owned())
            }
            added if added < LEAST_TOKENS => {
                Err(format!("the sound adds {added} tokens to a question of {without}, so that it is not heard"))
            }
            added if added > MOST_TOKENS => {
                Err(format!("the sound adds {added} tokens to a question of {without}, so that it is read as text"))
            }
            _ => Ok(()),
        }
    }

    /// The tokens of the question with these sounds; inside is that the server refuses it.
    fn tokens(&self, sounds: Vec<Part>) -> Result<Result<u64, TextError>, TextError> {
        let prompt = Prompt::Chat(vec![Message::new(Role::User, QUESTION)]);
        let prompt = if sounds.is_empty() { prompt } else { prompt.with_media(sounds)? };
        match self.server.generate(&Request::greedy(prompt, 1)) {
            Ok(response) => Ok(Ok(response.usage.prompt_tokens)),
            Err(error @ TextError::Rejected { .. }) if !error.is_systemic() => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}

impl TextGenerator for HearingServer {
    fn identity(&self) -> String {
        self.server.identity()
    }

    fn lanes(&self) -> usize {
        self.server.lanes()
    }

    fn may_refuse_settings(&self) -> bool {
        true
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        self.probe().map_err(for_all)?;
        self.server.generate(request)
    }

    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        match self.probe() {
            Ok(()) => self.server.generate_batch_with(requests, arrived),
            Err(error) => {
                let others = requests.iter().skip(1).map(|_| Err(TextError::NotSent));
                std::iter::once(Err(for_all(error))).chain(others).collect()
            }
        }
    }
}

/// A probe that fails keeps every question from being asked.
fn for_all(error: TextError) -> TextError {
    match error {
        error if error.is_systemic() || stop_requested() => error,
        error => TextError::Other { reason: error.to_string(), scope: ErrorScope::All },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::testing::loopback::{Loopback, Reply};
    use serde_json::{Value, json};

    use super::*;
    use crate::ServerConfig;

    /// A server that counts so many tokens for a question without a sound, with one as `input_audio`, and with one as
    /// `audio_url`; it refuses what has none.
    fn server(without: u64, as_input: Option<u64>, as_url: Option<u64>) -> Loopback {
        Loopback::start(move |call, _| {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            let parts = body["messages"][0]["content"].as_array().cloned().unwrap_or_default();
            let has = |kind: &str| parts.iter().any(|part| part["type"] == kind);
            let tokens = match () {
                () if has("input_audio") => as_input,
                () if has("audio_url") => {
                    let url = parts[0]["audio_url"]["url"].as_str().unwrap();
                    assert!(url.starts_with("data:audio/wav;base64,"), "{url}");
                    as_url
                }
                () => Some(without),
            };
            let Some(tokens) = tokens else { return Reply::Send(400, "", b"unknown part".to_vec()) };
            let body = json!({"choices": [{"message": {"content": "a dog"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": tokens, "completion_tokens": 1}});
            Reply::Send(200, "", body.to_string().into_bytes())
        })
    }

    fn hearing(server: &Loopback, named: Option<AudioForm>) -> HearingServer {
        let config = ServerConfig { model: Some("m".to_owned()), ..ServerConfig::new(&server.url("/v1")) };
        HearingServer::new(OpenAiServer::connect(config).unwrap(), named, Media::from_bytes("wav", *b"RIFF"))
    }

    fn question() -> Request {
        let sound = Part::Audio(Media::from_bytes("wav", *b"RIFF, too"));
        Request::greedy(Prompt::Chat(vec![Message::new(Role::User, "?")]).with_media(vec![sound]).unwrap(), 8)
    }

    #[test]
    fn the_form_that_is_heard_is_found_once() {
        for (as_input, as_url, probes) in [(Some(60), None, 2), (None, Some(60), 3), (Some(12), Some(60), 3)] {
            let server = server(10, as_input, as_url);
            let hearing = hearing(&server, None);
            for answer in hearing.generate_batch(&[question(), question()]) {
                assert_eq!(answer.unwrap().usage.prompt_tokens, 60);
            }
            hearing.generate(&question()).unwrap();
            assert_eq!(server.calls().len(), probes + 3);
        }
    }

    #[test]
    fn a_server_that_does_not_hear_is_not_asked() {
        let check = |counts: (u64, Option<u64>, Option<u64>), named, expected: &str| {
            let server = server(counts.0, counts.1, counts.2);
            let hearing = hearing(&server, named);
            let answers = hearing.generate_batch(&[question(), question()]);
            let problem = answers[0].as_ref().unwrap_err();
            assert!(problem.is_systemic() && problem.to_string().contains(expected), "{problem}");
            assert!(matches!(answers[1], Err(TextError::NotSent)));
            // What the probe has found is not asked again.
            let n = server.calls().len();
            assert_eq!(hearing.generate(&question()).unwrap_err().to_string(), problem.to_string());
            assert_eq!(server.calls().len(), n);
        };
        check((10, Some(10), Some(14)), None, "the sound adds 4 tokens to a question of 10, so that it is not heard");
        check((10, None, None), None, "unknown part");
        check((10, Some(9000), None), None, "read as text");
        check((0, Some(0), Some(0)), None, "counts no tokens");
        check((10, Some(10), Some(60)), Some(AudioForm::InputAudio), "input_audio: the sound adds 0 tokens");
    }

    #[test]
    fn a_server_that_counts_nothing_is_asked_in_the_form_that_is_named() {
        let server = server(0, Some(0), Some(0));
        assert_eq!(hearing(&server, Some(AudioForm::AudioUrl)).generate(&question()).unwrap().text, "a dog");
        assert!(server.calls()[2].body.contains("audio_url"));
    }
}
