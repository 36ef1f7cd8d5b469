//! An audio language model in this process, behind the interface that servers have.

use audsem_core::run::ModelFingerprint;
use audsem_core::signals::stop_requested;
use audsem_llm::{
    Arrived, ErrorScope, FinishReason, Media, Prompt, Request, Response, TextError, TextGenerator, Usage,
};
use audsem_media::audio::{Decoder, resample};
use candle_core::{DType, Device};

use super::{AudioLanguageModel, AudioModelOptions, Continued, Prompted};
use crate::error::{Error, Result};
use crate::generate::{GenerationConfig, StopReason};
use crate::multimodal::SAMPLE_RATE_HZ;
use crate::multimodal::processor::{ChatTurn, refused};

/// A checkpoint with its tokenizer, which answers questions about sounds one after the other.
#[derive(Debug)]
pub struct LocalAudioModel {
    model: AudioLanguageModel,
    beams: usize,
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
        Ok(Self { model, beams: beams.max(1) })
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

    /// The tokens of a request, and its sounds.
    fn read(&self, request: &Request) -> Result<Prompted> {
        let seed = request.seed.unwrap_or(0);
        match &request.prompt {
            Prompt::Chat(messages) => {
                let (turns, media) = ChatTurn::of_messages(messages)?;
                let sounds = media.into_iter().map(samples).collect::<Result<Vec<_>>>()?;
                let lengths: Vec<usize> = sounds.iter().map(Vec::len).collect();
                let tokens = self.model.processor().tokens(&turns, &lengths, true)?.tokens;
                Ok(Prompted { tokens, sounds, seed })
            }
            Prompt::Raw(text) => {
                let encoding = self.model.processor().tokenizer().encode_fast(text.as_str(), false).map_err(refused)?;
                Ok(Prompted { tokens: encoding.get_ids().to_vec(), sounds: Vec::new(), seed })
            }
        }
    }

    fn answer(&self, request: &Request) -> Result<Response> {
        let prompted = self.read(request)?;
        let prompt_tokens = prompted.tokens.len() as u64;
        let samples = request.temperature > 0.0;
        let config = GenerationConfig {
            do_sample: samples,
            temperature: if samples { request.temperature } else { 1.0 },
            top_k: 0,
            top_p: request.top_p.unwrap_or(1.0),
            num_beams: self.beams,
            ..self.model.greedy(request.max_tokens as usize)
        };
        let answer = self.model.continued(&[prompted], &config)?.into_iter().flatten().next();
        let Continued { text, generated } =
            answer.ok_or_else(|| Error::from(candle_core::Error::Msg("a search without a result".to_owned())))?;
        Ok(Response {
            text,
            reasoning: None,
            finish: match generated.finish {
                StopReason::EndOfSequence => FinishReason::Stop,
                StopReason::MaxLength => FinishReason::Length,
            },
            tokens: Vec::new(),
            usage: Usage { prompt_tokens, completion_tokens: generated.tokens.len() as u64 },
            model: self.fingerprint().name.clone(),
        })
    }
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
    fn generate(&self, request: &Request) -> std::result::Result<Response, TextError> {
        let refuse = |reason: String| TextError::Other { reason, scope: ErrorScope::Request };
        if request.schema.is_some() || request.top_logprobs > 0 || !request.stop.is_empty() {
            return Err(refuse(
                "this model answers in free text, without schema, stop texts or probabilities".to_owned(),
            ));
        }
        self.answer(request).map_err(|error| refuse(error.to_string()))
    }

    fn generate_batch_with(
        &self,
        requests: &[Request],
        arrived: &Arrived<'_>,
    ) -> Vec<std::result::Result<Response, TextError>> {
        let mut is_down = false;
        let answer = |(at, request): (usize, &Request)| {
            if is_down || stop_requested() {
                return Err(TextError::NotSent);
            }
            let answer = self.generate(request).and_then(|response| arrived(at, &response).map(|()| response));
            is_down |= answer.as_ref().is_err_and(TextError::is_systemic);
            answer
        };
        requests.iter().enumerate().map(answer).collect()
    }
}
