//! Qwen2-Audio in this process, behind the interface that servers have.

use audsem_core::hub::ModelDir;
use audsem_core::run::ModelFingerprint;
use audsem_core::signals::stop_requested;
use audsem_core::weights::Weights;
use audsem_llm::{
    Arrived, ErrorScope, FinishReason, Media, Prompt, Request, Response, TextError, TextGenerator, Usage,
};
use audsem_media::audio::{Decoder, resample};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::prompt::{AUDIO, conversation, expand_audio};
use super::{Qwen2Audio, Qwen2AudioConfig, SAMPLE_RATE_HZ};
use crate::error::{Error, Result};
use crate::generate::{GenerationConfig, GenerationRequest, StopReason, generate};
use crate::language::{ends_of, untruncated};

/// Ends a turn of a conversation, and with it an answer.
const END_OF_TURN: &str = "<|im_end|>";

/// A checkpoint with its tokenizer, which answers questions about sounds one after the other.
#[derive(Debug)]
pub struct LocalAudioModel {
    network: Qwen2Audio,
    tokenizer: Tokenizer,
    /// Tokens that end an answer.
    ends: Vec<u32>,
    /// Most tokens of a conversation.
    longest: usize,
    fingerprint: ModelFingerprint,
    dtype: DType,
}

impl LocalAudioModel {
    /// Opens a folder in the layout of the Hugging Face hub, or a model of the hub by its id: `config.json`, safetensors and
    /// a tokenizer.
    ///
    /// # Errors
    /// There is no such model, a file is broken, tensors are missing or unused, or the tokenizer is of another network.
    pub fn open(model: &str, device: &Device, dtype: DType) -> Result<Self> {
        let dir = ModelDir::resolve(model, None)?;
        let json: Value = dir.json("config.json")?;
        let config = Qwen2AudioConfig::from_json(&json)?;
        let weights = Weights::open(&dir, device, dtype)?;
        let network = Qwen2Audio::load(&weights.var_builder(), &config)?;
        let tied = config.language.tie_word_embeddings;
        weights.finish(|name| {
            name.ends_with("rotary_emb.inv_freq") || (tied && name == "language_model.lm_head.weight")
        })?;
        let tokenizer = untruncated(crate::tokenizer::Tokenizer::load(&dir, usize::MAX, None)?.inner())?;
        if tokenizer.token_to_id(AUDIO) != Some(config.audio_token_id) {
            let message = format!("{AUDIO} is not token {}, as config.json has it", config.audio_token_id);
            return Err(Error::Tokenizer { path: dir.root().to_owned(), message });
        }
        let mut ends = ends_of(&dir, &json, &tokenizer)?;
        ends.extend(tokenizer.token_to_id(END_OF_TURN).filter(|id| !ends.contains(id)));
        let (longest, fingerprint) = (network.language().max_tokens(), dir.fingerprint()?);
        Ok(Self { network, tokenizer, ends, longest, fingerprint, dtype })
    }

    /// What stands in `run.json` about the model.
    #[must_use]
    pub fn fingerprint(&self) -> &ModelFingerprint {
        &self.fingerprint
    }

    /// The tokens of a request, and the vectors of its sounds.
    fn read(&self, prompt: &Prompt) -> Result<(Vec<u32>, Vec<Tensor>)> {
        let (text, sounds) = match prompt {
            Prompt::Chat(turns) => conversation(turns)?,
            Prompt::Raw(text) => (text.clone(), Vec::new()),
        };
        let heard = sounds.into_iter().map(|sound| self.hear(sound)).collect::<Result<Vec<_>>>()?;
        let vectors = heard.iter().map(|heard| heard.dim(0)).collect::<candle_core::Result<Vec<_>>>()?;
        let failed = |error: tokenizers::Error| Error::Tokenizer { path: "".into(), message: error.to_string() };
        let encoding = self.tokenizer.encode_fast(expand_audio(&text, &vectors)?, false).map_err(failed)?;
        Ok((encoding.get_ids().to_vec(), heard))
    }

    /// The vectors of a sound, of which the first 30 seconds are heard.
    fn hear(&self, sound: &Media) -> Result<Tensor> {
        let refuse = |reason: String| Error::ChatTemplate { reason };
        let (format, bytes) =
            sound.bytes().ok_or_else(|| refuse("a sound behind an address is not fetched".to_owned()))?;
        let audio = Decoder::new().decode_bytes(bytes, Some(format)).map_err(|error| refuse(error.to_string()))?;
        let samples = resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ);
        self.network.embed_audio(&samples.map_err(|error| refuse(error.to_string()))?)
    }

    fn answer(&self, request: &Request) -> Result<Response> {
        let (prompt, sounds) = self.read(&request.prompt)?;
        let room = self.longest.saturating_sub(prompt.len()).min(request.max_tokens as usize);
        if room == 0 {
            return Err(Error::TextLength { tokens: prompt.len(), longest: self.longest.saturating_sub(1) });
        }
        let samples = request.temperature > 0.0;
        let config = GenerationConfig {
            max_new_tokens: Some(room),
            eos_token_id: self.ends.clone(),
            do_sample: samples,
            temperature: if samples { request.temperature } else { 1.0 },
            top_k: 0,
            top_p: request.top_p.unwrap_or(1.0),
            ..GenerationConfig::default()
        };
        let length = prompt.len() as u64;
        let requests = [GenerationRequest { prompt, seed: request.seed.unwrap_or(0) }];
        let answers = generate(&mut self.network.decoder(vec![sounds]), &requests, &config)?;
        let answer = answers.into_iter().flatten().next();
        let answer = answer.ok_or_else(|| candle_core::Error::Msg("a search without a result".to_owned()))?;
        let failed = |error: tokenizers::Error| Error::Tokenizer { path: "".into(), message: error.to_string() };
        Ok(Response {
            text: self.tokenizer.decode(&answer.tokens, true).map_err(failed)?,
            reasoning: None,
            finish: match answer.finish {
                StopReason::EndOfSequence => FinishReason::Stop,
                StopReason::MaxLength => FinishReason::Length,
            },
            tokens: Vec::new(),
            usage: Usage { prompt_tokens: length, completion_tokens: answer.tokens.len() as u64 },
            model: self.fingerprint.name.clone(),
        })
    }
}

impl TextGenerator for LocalAudioModel {
    fn identity(&self) -> String {
        let hashes = self.fingerprint.sha256.join(" ");
        format!("{} ({:?}) sha256 {hashes}", self.fingerprint.name, self.dtype)
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
