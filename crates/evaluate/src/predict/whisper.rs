//! Whisper, which writes speech down: alone for transcripts, or in front of a language model that reads what it writes.

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_core::run::ModelFingerprint;
use audsem_core::signals::stop_requested;
use audsem_llm::{
    Arrived, ErrorScope, FinishReason, Media, Message, MessageContent, Part, Prompt, Request, Response, TextError,
    TextGenerator, Usage,
};
use audsem_media::audio::{Decoder, resample};
use audsem_models::audio::whisper::{Transcriber, Transcript, WhisperTask};
use audsem_models::multimodal::SAMPLE_RATE_HZ;
use rayon::prelude::*;

use crate::error::Error;

/// Whisper behind the interface that servers have: the answer to a question is what is said in its sounds.
pub(super) struct SpeechWriter {
    transcriber: Transcriber,
    fingerprint: ModelFingerprint,
    precision: Precision,
    language: String,
    task: WhisperTask,
}

/// What is asked of Whisper.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpeechRules<'a> {
    /// The language that is spoken, by Whisper's code.
    pub language: &'a str,
    pub task: WhisperTask,
    pub device: DeviceChoice,
    pub precision: Precision,
}

impl SpeechWriter {
    /// Opens a folder, or a checkpoint of the hub by its id.
    pub(super) fn open(model: &str, rules: SpeechRules<'_>) -> Result<Self, Error> {
        let SpeechRules { language, task, device, precision } = rules;
        let dir = ModelDir::resolve(model, None)?;
        let transcriber = Transcriber::open(&dir, &device.open()?, precision.dtype(), language, task)?;
        Ok(Self { transcriber, fingerprint: dir.fingerprint()?, precision, language: language.to_owned(), task })
    }

    pub(super) fn fingerprint(&self) -> &ModelFingerprint {
        &self.fingerprint
    }

    /// What is said in a sound.
    fn transcript(&self, sound: &Media) -> Result<Transcript, TextError> {
        let refuse = |reason: String| TextError::Other { reason, scope: ErrorScope::Request };
        let (format, bytes) =
            sound.bytes().ok_or_else(|| refuse("a sound behind an address is not fetched".to_owned()))?;
        let samples = Decoder::new()
            .decode_bytes(bytes, Some(format))
            .and_then(|audio| resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ))
            .map_err(|error| refuse(error.to_string()))?;
        self.transcriber.transcribe(&samples).map_err(|error| refuse(error.to_string()))
    }
}

impl TextGenerator for SpeechWriter {
    fn identity(&self) -> String {
        let Self { fingerprint, precision, language, task, .. } = self;
        let (name, precision, sha256) = (&fingerprint.name, precision.name(), fingerprint.sha256.join(" "));
        let task = if *task == WhisperTask::Translate { ", into English" } else { "" };
        format!("{name} ({precision}, {language}{task}) sha256 {sha256}")
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        let said = sounds(&request.prompt).map(|sound| self.transcript(sound)).collect::<Result<Vec<_>, _>>()?;
        if said.is_empty() {
            let reason = "Whisper writes down what is said, and this question comes without a sound".to_owned();
            return Err(TextError::Other { reason, scope: ErrorScope::Request });
        }
        let texts: Vec<&str> = said.iter().map(|said| said.text.as_str()).collect();
        let is_cut = said.iter().any(|said| said.is_cut);
        let written = said.iter().map(|said| said.tokens as u64).sum();
        Ok(Response {
            text: texts.join(" "),
            reasoning: None,
            finish: if is_cut { FinishReason::Length } else { FinishReason::Stop },
            tokens: Vec::new(),
            usage: Usage { completion_tokens: written, ..Usage::default() },
            model: self.fingerprint.name.clone(),
        })
    }

    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        side_by_side(requests, |at, request| {
            self.generate(request).and_then(|response| arrived(at, &response).map(|()| response))
        })
    }
}

/// Sounds side by side on all threads: each is heard by itself, so that no answer depends on the others.
fn side_by_side<T: Send>(
    requests: &[Request],
    work: impl Fn(usize, &Request) -> Result<T, TextError> + Sync,
) -> Vec<Result<T, TextError>> {
    let answer = |(at, request)| if stop_requested() { Err(TextError::NotSent) } else { work(at, request) };
    requests.par_iter().enumerate().map(answer).collect()
}

/// Whisper in front of a language model, which reads what is said in the sounds of a question in their place.
pub(super) struct SpeechReader {
    writer: SpeechWriter,
    reader: Box<dyn TextGenerator>,
}

impl SpeechReader {
    pub(super) fn new(writer: SpeechWriter, reader: Box<dyn TextGenerator>) -> Self {
        Self { writer, reader }
    }

    /// The request with what is said in place of its sounds.
    fn written(&self, request: &Request) -> Result<Request, TextError> {
        let Prompt::Chat(turns) = &request.prompt else { return Ok(request.clone()) };
        let turns = turns.iter().map(|turn| Ok(Message::new(turn.role, self.content(&turn.content)?)));
        Ok(Request { prompt: Prompt::Chat(turns.collect::<Result<_, TextError>>()?), ..request.clone() })
    }

    fn content(&self, content: &MessageContent) -> Result<String, TextError> {
        let parts = match content {
            MessageContent::Text(text) => return Ok(text.clone()),
            MessageContent::Parts(parts) => parts,
        };
        let line = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Audio(sound) => {
                Ok(format!("What is said in the recording: {}\n", self.writer.transcript(sound)?.text))
            }
            Part::Image(_) => {
                let reason = "a language model that reads transcripts sees no pictures".to_owned();
                Err(TextError::Other { reason, scope: ErrorScope::Request })
            }
        };
        Ok(parts.iter().map(line).collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl TextGenerator for SpeechReader {
    fn identity(&self) -> String {
        format!("{}, read by {}", self.writer.identity(), self.reader.identity())
    }

    fn lanes(&self) -> usize {
        self.reader.lanes()
    }

    fn may_refuse_settings(&self) -> bool {
        self.reader.may_refuse_settings()
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        self.reader.generate(&self.written(request)?)
    }

    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        let written = side_by_side(requests, |_, request| self.written(request));
        let places: Vec<usize> = (0..written.len()).filter(|&at| written[at].is_ok()).collect();
        let readable: Vec<Request> = written.iter().flatten().cloned().collect();
        let mut answers =
            self.reader.generate_batch_with(&readable, &|at, response| arrived(places[at], response)).into_iter();
        let answer = |written: Result<Request, TextError>| {
            written.and_then(|_| answers.next().unwrap_or(Err(TextError::NotSent)))
        };
        written.into_iter().map(answer).collect()
    }
}

/// The sounds of a prompt in their order.
fn sounds(prompt: &Prompt) -> impl Iterator<Item = &Media> {
    let turns: &[Message] = match prompt {
        Prompt::Chat(turns) => turns,
        Prompt::Raw(_) => &[],
    };
    let parts = turns.iter().flat_map(|turn| match &turn.content {
        MessageContent::Parts(parts) => parts.as_slice(),
        MessageContent::Text(_) => &[],
    });
    parts.filter_map(|part| match part {
        Part::Audio(sound) => Some(sound),
        _ => None,
    })
}
