//! A language model in this process, behind the interface that servers have.

mod answer;

use std::path::Path;
use std::sync::OnceLock;

use audsem_core::hub::ModelDir;
use audsem_core::input::is_file;
use audsem_core::run::ModelFingerprint;
use audsem_core::signals::stop_requested;
use audsem_core::weights::Weights;
use audsem_llm::{Arrived, ErrorScope, Prompt, Request, Response, TextError, TextGenerator};
use candle_core::{DType, Device};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::{GgufFile, LanguageConfig, LanguageDecoder, LanguageNetwork};
use crate::chat::ChatTemplate;
use crate::error::{Error, Result};
use crate::generate::{Guide, decode};
use answer::{Answer, settings};

/// Requests that are answered at a time, so that each weight is read once for all of them.
const BATCH: usize = 8;

/// A chat model with its tokenizer and template. Answers depend on their own requests and seeds, never on what else is
/// asked at the same time.
#[derive(Debug)]
pub struct LocalModel {
    network: LanguageNetwork,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    /// Tokens that end an answer.
    ends: Vec<u32>,
    fingerprint: ModelFingerprint,
    dtype: DType,
    guide: OnceLock<Guide>,
}

impl LocalModel {
    /// Opens a GGUF file, a folder in the layout of the Hugging Face hub, or a model of the hub by its id. The type of
    /// numbers is that of safetensors; GGUF files are computed in f32.
    ///
    /// # Errors
    /// There is no such model, a file is broken, or the architecture is not supported.
    pub fn open(model: &str, device: &Device, dtype: DType) -> Result<Self> {
        let path = Path::new(model);
        if is_file(path)? {
            return Self::open_gguf(path, device);
        }
        Self::open_folder(&ModelDir::resolve(model, None)?, device, dtype)
    }

    fn open_folder(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let json: Value = dir.json("config.json")?;
        let config = LanguageConfig::from_json(&json)?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = LanguageNetwork::load(&weights.var_builder(), &config)?;
        // Older files carry the frequencies, and tied heads may be written out.
        let tied = config.tie_word_embeddings;
        weights.finish(|name| name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight"))?;
        let tokenizer = untruncated(crate::tokenizer::Tokenizer::load(dir, usize::MAX, None)?.inner())?;
        let ends = ends_of(dir, &json, &tokenizer)?;
        let (template, fingerprint) = (ChatTemplate::open(dir)?, dir.fingerprint()?);
        Ok(Self { network, tokenizer, template, ends, fingerprint, dtype, guide: OnceLock::new() })
    }

    fn open_gguf(path: &Path, device: &Device) -> Result<Self> {
        let mut file = GgufFile::open(path)?;
        let network = file.network(device)?;
        let tokenizer = file.tokenizer()?;
        let token = |role: &str| file.token(&format!("tokenizer.ggml.{role}_token_id"));
        let (begin, end) = (token("bos")?, token("eos")?);
        let template = match file.text("tokenizer.chat_template")? {
            Some(source) => Some(ChatTemplate::parse(source, begin.map(|(_, text)| text), end.map(|(_, text)| text))?),
            None => None,
        };
        let ends = [end, token("eot")?].into_iter().flatten().map(|(id, _)| id).collect();
        let fingerprint = ModelFingerprint::of_file(path)?;
        let (dtype, guide) = (DType::F32, OnceLock::new());
        Ok(Self { network, tokenizer, template, ends: once(ends), fingerprint, dtype, guide })
    }

    /// What stands in `run.json` about the model.
    #[must_use]
    pub fn fingerprint(&self) -> &ModelFingerprint {
        &self.fingerprint
    }

    /// Tokens of a prompt: a chat through the template, which writes its own special tokens; raw text with those that
    /// the tokenizer puts around a text.
    fn tokens(&self, prompt: &Prompt) -> std::result::Result<Vec<u32>, TextError> {
        let refuse = |reason: String| TextError::Other { reason, scope: ErrorScope::Request };
        let (text, special) = match prompt {
            Prompt::Raw(text) => (text.clone(), true),
            Prompt::Chat(messages) => {
                let template = self.template.as_ref().ok_or(TextError::Prompt {
                    reason: "the model has no chat template",
                    hint: "write the prompt as one `--- raw ---` section, or use a chat model",
                })?;
                (template.render(messages, true).map_err(|error| refuse(error.to_string()))?, false)
            }
        };
        let encoding = self.tokenizer.encode_fast(text, special).map_err(|error| refuse(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn guide(&self) -> Result<&Guide> {
        if let Some(guide) = self.guide.get() {
            return Ok(guide);
        }
        let guide = Guide::new(&self.tokenizer, self.network.vocab_size(), &self.ends)?;
        Ok(self.guide.get_or_init(|| guide))
    }

    /// Answers requests together.
    fn answer(&self, requests: &[Request]) -> Vec<std::result::Result<Response, TextError>> {
        let prepared: Vec<_> = requests.iter().map(|request| settings(self, request)).collect();
        let (mut answers, mut places) = (Vec::new(), Vec::new());
        let mut results: Vec<std::result::Result<Response, TextError>> = Vec::new();
        for (at, (request, prepared)) in requests.iter().zip(prepared.iter()).enumerate() {
            let begun = prepared.as_ref().map(|prepared| Answer::begin(self, request, prepared));
            match begun {
                Ok(Ok(answer)) => {
                    answers.push(answer);
                    places.push(at);
                    results.push(Err(TextError::NotSent));
                }
                Ok(Err(error)) => results.push(Err(failed(&error))),
                Err(_) => results.push(Err(TextError::NotSent)),
            }
        }
        let outcome = decode(&mut LanguageDecoder::new(&self.network), &mut answers);
        for (at, answer) in places.into_iter().zip(answers) {
            results[at] = match &outcome {
                Ok(()) => answer.response(),
                Err(error) => Err(TextError::Other { reason: error.to_string(), scope: ErrorScope::All }),
            };
        }
        prepared.into_iter().zip(results).map(|(prepared, result)| prepared.and(result)).collect()
    }
}

impl TextGenerator for LocalModel {
    fn identity(&self) -> String {
        let hashes = self.fingerprint.sha256.join(" ");
        format!("{} ({:?}) sha256 {hashes}", self.fingerprint.name, self.dtype)
    }

    fn generate(&self, request: &Request) -> std::result::Result<Response, TextError> {
        self.answer(std::slice::from_ref(request)).pop().unwrap_or(Err(TextError::NotSent))
    }

    fn generate_batch_with(
        &self,
        requests: &[Request],
        arrived: &Arrived<'_>,
    ) -> Vec<std::result::Result<Response, TextError>> {
        let (mut results, mut is_down) = (Vec::with_capacity(requests.len()), false);
        for batch in requests.chunks(BATCH) {
            if is_down || stop_requested() {
                results.extend(batch.iter().map(|_| Err(TextError::NotSent)));
                continue;
            }
            for answer in self.answer(batch) {
                let at = results.len();
                let answer = answer.and_then(|response| arrived(at, &response).map(|()| response));
                is_down |= answer.as_ref().is_err_and(TextError::is_systemic);
                results.push(answer);
            }
        }
        results
    }
}

/// An error of one request.
fn failed(error: &Error) -> TextError {
    TextError::Other { reason: error.to_string(), scope: ErrorScope::Request }
}

/// The tokens that end an answer, as the files of a checkpoint name them.
pub(crate) fn ends_of(dir: &ModelDir, config: &Value, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let mut ends = ids(&config["eos_token_id"]);
    let generation: Value = dir.optional_json("generation_config.json")?.unwrap_or_default();
    ends.extend(ids(&generation["eos_token_id"]));
    if let Some(settings) = dir.optional_json::<Value>("tokenizer_config.json")? {
        let end = settings["eos_token"].as_str().or_else(|| settings["eos_token"]["content"].as_str());
        ends.extend(end.and_then(|end| tokenizer.token_to_id(end)));
    }
    Ok(once(ends))
}

/// A prompt is never cut without a word.
pub(crate) fn untruncated(tokenizer: &Tokenizer) -> Result<Tokenizer> {
    let mut tokenizer = tokenizer.clone();
    tokenizer
        .with_truncation(None)
        .map_err(|error| Error::Tokenizer { path: std::path::PathBuf::new(), message: error.to_string() })?;
    Ok(tokenizer)
}

/// One id or a list of them.
fn ids(value: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(values) => values.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}

/// Each id at its first place only.
fn once(ids: Vec<u32>) -> Vec<u32> {
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}
