//! One answer in the making.

use audsem_core::signals::stop_requested;
use audsem_llm::{Alternative, ErrorScope, FinishReason, Request, Response, TextError, Token, Usage};

use super::{LocalModel, failed};
use crate::error::Result;
use crate::generate::{Continuation, GenerationConfig, GuidedAnswer, LogitsProcessors, Sampler, log_softmax};

/// The prompt's tokens and how they are continued.
pub(super) struct Settings {
    prompt: Vec<u32>,
    config: GenerationConfig,
}

/// Reads a request. A bound on tokens beyond what the network has positions for is lowered to that.
pub(super) fn settings(model: &LocalModel, request: &Request) -> std::result::Result<Settings, TextError> {
    let prompt = model.tokens(&request.prompt)?;
    let refuse = |reason: String| TextError::Other { reason, scope: ErrorScope::Request };
    let (longest, wanted) = (model.network.max_tokens(), request.max_tokens as usize);
    let room = longest.saturating_sub(prompt.len()).min(wanted);
    if prompt.is_empty() || room == 0 {
        let reason = format!(
            "a prompt of {} tokens and an answer of {wanted}: the model takes 1 to {longest} in all",
            prompt.len()
        );
        return Err(refuse(reason));
    }
    let samples = request.temperature > 0.0;
    let config = GenerationConfig {
        max_new_tokens: Some(room),
        eos_token_id: model.ends.clone(),
        do_sample: samples,
        temperature: if samples { request.temperature } else { 1.0 },
        top_k: 0,
        top_p: request.top_p.unwrap_or(1.0),
        ..GenerationConfig::default()
    };
    config.validate().map_err(|error| refuse(error.to_string()))?;
    Ok(Settings { prompt, config })
}

/// An answer in the making.
pub(super) struct Answer<'a> {
    model: &'a LocalModel,
    request: &'a Request,
    settings: &'a Settings,
    ids: Vec<u32>,
    processors: LogitsProcessors<'a>,
    sampler: Sampler,
    guided: Option<GuidedAnswer>,
    tokens: Vec<Token>,
    /// Where a stop text begins in the answer.
    stopped_at: Option<usize>,
    finish: FinishReason,
    fault: Option<TextError>,
}

impl<'a> Answer<'a> {
    pub(super) fn begin(model: &'a LocalModel, request: &'a Request, settings: &'a Settings) -> Result<Self> {
        let guided = request.schema.as_ref().map(|schema| model.guide()?.begin(schema)).transpose()?;
        Ok(Self {
            model,
            request,
            settings,
            ids: settings.prompt.clone(),
            processors: LogitsProcessors::new(&settings.config, settings.prompt.len())?,
            sampler: Sampler::new(&settings.config, request.seed.unwrap_or(0)),
            guided,
            tokens: Vec::new(),
            stopped_at: None,
            finish: FinishReason::Length,
            fault: None,
        })
    }

    /// Chooses the next token; nothing if the answer has ended with it.
    fn choose(&mut self, logits: &mut [f32]) -> Result<Option<u32>> {
        let original = (self.request.top_logprobs > 0).then(|| logits.to_vec());
        if let Some(guided) = &mut self.guided {
            guided.mask(logits)?;
        }
        self.processors.process(&self.ids, logits);
        let token = self.sampler.choose(logits)?;
        self.ids.push(token);
        if self.model.ends.contains(&token) {
            self.finish = FinishReason::Stop;
            return Ok(None);
        }
        if let Some(original) = original {
            let token = self.token(token, original);
            self.tokens.push(token);
        }
        if let Some(guided) = &mut self.guided {
            guided.push(token)?;
        }
        if self.guided.as_ref().is_some_and(GuidedAnswer::is_complete) || self.meets_a_stop() {
            self.finish = FinishReason::Stop;
            return Ok(None);
        }
        Ok((self.ids.len() < self.processors.max_length()).then_some(token))
    }

    fn meets_a_stop(&mut self) -> bool {
        if self.request.stop.is_empty() {
            return false;
        }
        let text = self.text();
        self.stopped_at = self.request.stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
        self.stopped_at.is_some()
    }

    /// The token with the probabilities that the network itself gave, before any rule or temperature.
    fn token(&self, id: u32, mut logits: Vec<f32>) -> Token {
        log_softmax(&mut logits);
        let mut best: Vec<usize> = (0..logits.len()).collect();
        let wanted = usize::from(self.request.top_logprobs).min(best.len());
        let order = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if wanted < best.len() {
            best.select_nth_unstable_by(wanted, order);
            best.truncate(wanted);
        }
        best.sort_by(order);
        #[expect(clippy::cast_possible_truncation, reason = "token ids have 32 bits")]
        let alternative = |id: usize| Alternative { text: self.text_of(&[id as u32]), logprob: logits[id] };
        Token {
            text: self.text_of(&[id]),
            logprob: logits[id as usize],
            alternatives: best.into_iter().map(alternative).collect(),
        }
    }

    fn text_of(&self, ids: &[u32]) -> String {
        self.model.tokenizer.decode(ids, false).unwrap_or_default()
    }

    fn text(&self) -> String {
        self.model.tokenizer.decode(&self.ids[self.settings.prompt.len()..], true).unwrap_or_default()
    }

    pub(super) fn response(self) -> std::result::Result<Response, TextError> {
        let mut text = self.text();
        if let Some(at) = self.stopped_at {
            text.truncate(at);
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let prompt = self.settings.prompt.len();
        Ok(Response {
            text,
            reasoning: None,
            finish: self.finish,
            tokens: self.tokens,
            usage: Usage { prompt_tokens: prompt as u64, completion_tokens: (self.ids.len() - prompt) as u64 },
            model: self.model.fingerprint.name.clone(),
        })
    }
}

impl Continuation for Answer<'_> {
    fn prompt(&self) -> &[u32] {
        &self.settings.prompt
    }

    /// A fault ends this answer alone, a stop request every answer: schedulers do not wait for the end of long ones.
    fn advance(&mut self, logits: &mut [f32]) -> Result<Option<u32>> {
        if stop_requested() {
            self.fault = Some(TextError::NotSent);
            return Ok(None);
        }
        Ok(self.choose(logits).unwrap_or_else(|error| {
            self.fault = Some(failed(&error));
            None
        }))
    }
}
