//! What is asked of a server and what it answers: OpenAI's chat completions with the extensions of vLLM.

use audsem_core::terminal::counted;
use audsem_media::audio::encode_wav;
use audsem_report::data_url;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CompletionTokens, Finish, Rollout, RolloutError, RolloutPrompt, RolloutRequest, SamplingConfig, seed_of};
use crate::error::{Error, Result};

/// Sample rate of sounds.
const SAMPLE_RATE_HZ: u32 = 16_000;

/// The body of a request for completions of a prompt.
pub(super) fn body(
    model: &str,
    prompt: &RolloutPrompt<'_>,
    (sampling, tokens): (&SamplingConfig, &CompletionTokens),
    request: RolloutRequest,
) -> Result<Value> {
    let system = prompt.system.map(|text| json!({ "role": "system", "content": text }));
    let user = json!({ "role": "user", "content": content(prompt)? });
    let messages: Vec<Value> = system.into_iter().chain([user]).collect();
    let mut body = json!({
        "model": model, "messages": messages, "n": request.per_prompt,
        "temperature": sampling.temperature, "top_p": sampling.top_p,
        // vLLM takes -1 for all tokens.
        "top_k": i64::try_from(sampling.top_k).ok().filter(|k| *k > 0).unwrap_or(-1),
        "repetition_penalty": sampling.repetition_penalty, "max_tokens": sampling.max_completion_tokens,
        "stop_token_ids": tokens.ends, "logit_bias": barred(tokens),
        // Some servers read seeds as signed.
        "seed": seed_of(request, prompt.key, 0) >> 1,
        "logprobs": true, "return_token_ids": true,
    });
    if let Some(min_p) = sampling.min_p {
        body["min_p"] = json!(min_p);
    }
    Ok(body)
}

/// The lowest bias that the protocol has, for each token that is never to be drawn.
fn barred(tokens: &CompletionTokens) -> Map<String, Value> {
    tokens.barred.iter().map(|token| (token.to_string(), json!(-100))).collect()
}

/// The user's turn: the sounds, then the question.
fn content(prompt: &RolloutPrompt<'_>) -> Result<Vec<Value>> {
    let mut content = Vec::with_capacity(prompt.sounds.len() + 1);
    for sound in prompt.sounds {
        let wav = encode_wav(sound, 1, SAMPLE_RATE_HZ).map_err(|error| problem(prompt.key, error.to_string()))?;
        content.push(json!({ "type": "audio_url", "audio_url": { "url": data_url("wav", &wav).as_str() } }));
    }
    content.push(json!({ "type": "text", "text": prompt.question }));
    Ok(content)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    prompt_token_ids: Option<Vec<u32>>,
    #[serde(default)]
    usage: Option<PromptUsage>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct PromptUsage {
    prompt_tokens: usize,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    token_ids: Option<Vec<u32>>,
    #[serde(default)]
    logprobs: Option<LogProbs>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct LogProbs {
    content: Option<Vec<LogProb>>,
}

#[derive(Deserialize)]
struct LogProb {
    logprob: f32,
}

/// Reads the answer about a prompt, and compares what the server has read with what the trainer reads.
pub(super) fn read(
    text: &str,
    prompt: &RolloutPrompt<'_>,
    per_prompt: usize,
    tokens: &CompletionTokens,
) -> Result<Vec<Rollout>> {
    let answer: Answer = serde_json::from_str(text).map_err(|error| problem(prompt.key, error.to_string()))?;
    check_prompt(&answer, prompt)?;
    let mut choices = answer.choices;
    if choices.len() != per_prompt {
        return Err(problem(prompt.key, format!("{} instead of {per_prompt}", counted(choices.len(), "completions"))));
    }
    choices.sort_by_key(|choice| choice.index);
    choices.into_iter().map(|choice| rollout(choice, tokens).map_err(|why| problem(prompt.key, why))).collect()
}

fn check_prompt(answer: &Answer, prompt: &RolloutPrompt<'_>) -> Result<()> {
    let trainer = prompt.tokens.len();
    let (server, place) = match (&answer.prompt_token_ids, &answer.usage) {
        (Some(ids), _) => {
            let differing = ids.iter().zip(prompt.tokens).position(|(theirs, ours)| theirs != ours);
            let is_same = differing.is_none() && ids.len() == trainer;
            (ids.len(), (!is_same).then(|| differing.unwrap_or(ids.len().min(trainer))))
        }
        (None, Some(usage)) => (usage.prompt_tokens, None),
        (None, None) => return Err(problem(prompt.key, "it tells no number of prompt tokens".to_owned())),
    };
    match server == trainer && place.is_none() {
        true => Ok(()),
        false => Err(RolloutError::OtherPrompt { key: prompt.key.to_owned(), server, trainer, place }.into()),
    }
}

fn rollout(choice: Choice, special: &CompletionTokens) -> std::result::Result<Rollout, String> {
    let tokens = choice.token_ids.ok_or("it holds no token ids, which vLLM gives from version 0.10 on")?;
    let content = choice.logprobs.and_then(|logprobs| logprobs.content).ok_or("it holds no log-probabilities")?;
    if tokens.is_empty() || tokens.len() != content.len() {
        return Err(format!(
            "{} with {}",
            counted(tokens.len(), "tokens"),
            counted(content.len(), "log-probabilities")
        ));
    }
    if let Some(token) = tokens.iter().find(|token| special.barred.contains(token)) {
        return Err(format!("token {token}, which stands for a sound or a picture, is in a completion"));
    }
    let finish = match choice.finish_reason.as_deref() {
        Some("stop") => Finish::Stop,
        Some("length") => Finish::Length,
        Some(other) => return Err(format!("the completion ended by `{other}`")),
        None => return Err("it does not say why the completion ended".to_owned()),
    };
    let log_probs: Vec<f32> = content.iter().map(|one| one.logprob).collect();
    match log_probs.iter().find(|log_prob| !log_prob.is_finite()) {
        Some(log_prob) => Err(format!("a log-probability of {log_prob}")),
        None => Ok(Rollout { tokens, log_probs, finish }),
    }
}

fn problem(key: &str, problem: String) -> Error {
    RolloutError::Answer { key: key.to_owned(), problem }.into()
}
