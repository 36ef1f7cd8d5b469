//! An audio language model in this process, behind the interface that servers have.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use audsem_core::run::ModelFingerprint;
use audsem_llm::{
    Arrived, ErrorScope, FinishReason, Media, MessageContent, Part, Prompt, Request, Response, TextError,
    TextGenerator, Usage,
};
use audsem_media::audio::{Decoder, resample};
use candle_core::{DType, Device};

use super::answering::Prompted;
use super::{AudioAnswer, AudioLanguageModel, AudioModelOptions, USUAL_BATCH};
use crate::error::{Error, Result};
use crate::generate::{GenerationConfig, StopReason};
use crate::multimodal::SAMPLE_RATE_HZ;
use crate::multimodal::processor::{ChatTurn, refused};

type TextResult = std::result::Result<Response, TextError>;

/// A checkpoint with its tokenizer, which answers several questions about sounds at a time. An answer depends on its own
/// request and seed, never on what else is asked.
#[derive(Debug)]
pub struct LocalAudioModel {
    model: AudioLanguageModel,
    beams: usize,
    batch: usize,
}

impl LocalAudioModel {
    /// Opens a folder in the layout of the Hugging Face hub, or a model of the hub by its id, of any family.
    ///
    /// # Errors
    /// As [`AudioLanguageModel::open`].
    pub fn open(model: &str, device: &Device, dtype: DType) -> Result<Self> {
        Self::open_with(model, &AudioModelOptions { device: device.clone(), dtype, ..AudioModelOptions::default() }, 1)
    }

    /// As [`LocalAudioModel::open`], with an adapter or a processor of its own; answers follow so many sequences at a time.
    ///
    /// # Errors
    /// As [`AudioLanguageModel::open`].
    pub fn open_with(model: &str, options: &AudioModelOptions, beams: usize) -> Result<Self> {
        let model = AudioLanguageModel::open(model, options)?;
        for note in model.notes() {
            tracing::warn!("{note}");
        }
        Ok(Self { model, beams: beams.max(1), batch: USUAL_BATCH })
    }

    /// Answers so many requests at a time, in place of [`USUAL_BATCH`].
    #[must_use]
    pub fn with_batch(self, requests: usize) -> Self {
        Self { batch: requests.max(1), ..self }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &AudioLanguageModel {
        &self.model
    }

    /// What stands in `run.json` about the model.
    #[must_use]
    pub fn fingerprint(&self) -> &ModelFingerprint {
        self.model.fingerprint()
    }

    /// The tokens of a request, its sounds, and how it is answered.
    fn read(&self, request: &Request) -> Result<Prompted> {
        let draws = request.temperature > 0.0;
        let config = GenerationConfig {
            do_sample: draws,
            temperature: if draws { request.temperature } else { 1.0 },
            top_k: 0,
            top_p: request.top_p.unwrap_or(1.0),
            num_beams: self.beams,
            ..self.model.greedy(request.max_tokens as usize)
        };
        let (tokens, sounds) = match &request.prompt {
            Prompt::Chat(messages) => {
                let (turns, media) = ChatTurn::of_messages(messages)?;
                let sounds = media.into_iter().map(samples).collect::<Result<Vec<_>>>()?;
                let lengths: Vec<usize> = sounds.iter().map(Vec::len).collect();
                (self.model.processor().tokens(&turns, &lengths, true)?.tokens, sounds)
            }
            Prompt::Raw(text) => {
                let encoding = self.model.processor().tokenizer().encode_fast(text.as_str(), false).map_err(refused)?;
                (encoding.get_ids().to_vec(), Vec::new())
            }
        };
        Ok(Prompted { tokens, sounds, seed: request.seed.unwrap_or(0), config })
    }

    /// The best of the answers.
    fn response(&self, answers: Vec<AudioAnswer>) -> Result<Response> {
        let best = answers.into_iter().next();
        let AudioAnswer { text, tokens, finish, prompt_tokens, .. } =
            best.ok_or_else(|| Error::from(candle_core::Error::Msg("a search without a result".to_owned())))?;
        Ok(Response {
            text,
            reasoning: None,
            finish: match finish {
                StopReason::EndOfSequence => FinishReason::Stop,
                StopReason::MaxLength => FinishReason::Length,
            },
            tokens: Vec::new(),
            usage: Usage { prompt_tokens: prompt_tokens as u64, completion_tokens: tokens.len() as u64 },
            model: self.fingerprint().name.clone(),
        })
    }
}

/// Refuses what free text does not have.
fn check(request: &Request) -> std::result::Result<(), TextError> {
    match request.schema.is_some() || request.top_logprobs > 0 || !request.stop.is_empty() {
        true => {
            Err(of_request("this model answers in free text, without schema, stop texts or probabilities".to_owned()))
        }
        false => Ok(()),
    }
}

/// An error of one request.
fn of_request(reason: String) -> TextError {
    TextError::Other { reason, scope: ErrorScope::Request }
}

/// Bytes of sounds and of text, by which requests of a length are answered together.
fn lengths(request: &Request) -> (usize, usize) {
    let messages = match &request.prompt {
        Prompt::Chat(messages) => messages,
        Prompt::Raw(text) => return (0, text.len()),
    };
    let (mut sounds, mut text) = (0, 0);
    for message in messages {
        match &message.content {
            MessageContent::Text(one) => text += one.len(),
            MessageContent::Parts(parts) => parts.iter().for_each(|part| match part {
                Part::Text(one) => text += one.len(),
                Part::Audio(sound) => sounds += sound.bytes().map_or(0, |(_, bytes)| bytes.len()),
                Part::Image(_) => {}
            }),
        }
    }
    (sounds, text)
}

/// The samples of a sound at the network's rate.
fn samples(sound: &Media) -> Result<Vec<f32>> {
    let refuse = |reason: String| Error::ChatTemplate { reason };
    let (format, bytes) = sound.bytes().ok_or_else(|| refuse("a sound behind an address is not fetched".to_owned()))?;
    let audio = Decoder::new().decode_bytes(bytes, Some(format)).map_err(|error| refuse(error.to_string()))?;
    let samples = resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ);
    samples.map_err(|error| refuse(error.to_string()))
}

impl TextGenerator for LocalAudioModel {
    fn identity(&self) -> String {
        let fingerprint = self.fingerprint();
        let hashes = fingerprint.sha256.join(" ");
        let mut identity = format!("{} ({:?}) sha256 {hashes}", fingerprint.name, self.model.dtype());
        if let Some(adapter) = self.model.adapter_fingerprint() {
            identity.push_str(&format!(" with {} sha256 {}", adapter.name, adapter.sha256.join(" ")));
        }
        if self.beams > 1 {
            identity.push_str(&format!(", {} beams", self.beams));
        }
        identity
    }

    /// Answers in free text; schemas, stop texts and probabilities of tokens are refused.
    fn generate(&self, request: &Request) -> TextResult {
        self.generate_batch(std::slice::from_ref(request)).pop().unwrap_or(Err(TextError::NotSent))
    }

    /// The longest sounds come first, so that memory that does not suffice shows at once.
    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<TextResult> {
        let mut results: Vec<TextResult> =
            requests.iter().map(|request| check(request).and(Err(TextError::NotSent))).collect();
        let unsent = |at: &usize| matches!(results[*at], Err(TextError::NotSent));
        let mut order: Vec<usize> = (0..requests.len()).filter(unsent).collect();
        order.sort_by_key(|at| Reverse(lengths(&requests[*at])));
        let outcome = self.model.answer_each(&order, self.batch, &|at| self.read(&requests[at]), &mut |at, answers| {
            let response = answers.and_then(|answers| self.response(answers));
            let response = response.map_err(|error| of_request(error.to_string()));
            results[at] = response.and_then(|response| arrived(at, &response).map(|()| response));
            match results[at].as_ref().is_err_and(TextError::is_systemic) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let first = results.iter_mut().find(|result| matches!(result, Err(TextError::NotSent)));
        if let (Err(error), Some(first)) = (outcome, first) {
            *first = Err(TextError::Other { reason: error.to_string(), scope: ErrorScope::All });
        }
        results
    }
}
