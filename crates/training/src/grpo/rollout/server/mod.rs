//! Completions by a vLLM server that hears, and that is given the adapter in training anew at each step.

use std::path::{Path, PathBuf};

use audsem_core::files::{create_folder, write_atomically};
use audsem_core::parallel::ordered_map;
use audsem_llm::{OpenAiServer, TextError};
use audsem_models::train::TrainableModel;
use serde_json::json;

use super::wire::{body, read};
use super::{CompletionTokens, Rollout, RolloutError, RolloutPrompt, RolloutRequest, RolloutSource, SamplingConfig};
use crate::checkpoint::NamedFiles;
use crate::error::{Error, Result};

/// The route of completions.
const COMPLETIONS: &str = "chat/completions";
/// The route that loads an adapter.
const LOAD: &str = "load_lora_adapter";
/// The route that removes one.
const UNLOAD: &str = "unload_lora_adapter";
/// What vLLM says of an adapter that it has under this name: a training that was killed has left it there.
const LOADED_ALREADY: &str = "already been loaded";

/// Gives the files of the adapter in training as it stands, in the layout that the server reads.
pub type ServingAdapter<'a> = Box<dyn Fn() -> Result<NamedFiles> + 'a>;

/// What a server is asked for.
#[derive(Debug, Clone)]
pub struct ServingConfig {
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// Tokens with a meaning of their own.
    pub tokens: CompletionTokens,
    /// Requests at a time.
    pub concurrency: usize,
    /// A folder that both this process and the server see, for adapters.
    pub folder: PathBuf,
}

/// Asks a server.
pub struct ServerRollouts<'a> {
    server: OpenAiServer,
    config: ServingConfig,
    adapter: ServingAdapter<'a>,
    /// Name and step of the adapter that the server has.
    loaded: Option<(String, usize)>,
}

impl<'a> ServerRollouts<'a> {
    /// Asks `server`, which is given what `adapter` returns at each step.
    #[must_use]
    pub fn new(server: OpenAiServer, config: ServingConfig, adapter: ServingAdapter<'a>) -> Self {
        Self { server, config, adapter, loaded: None }
    }

    /// The name under which the server has the adapter of a step.
    fn publish(&mut self, step: usize) -> Result<String> {
        if let Some((name, _)) = self.loaded.as_ref().filter(|(_, loaded)| *loaded == step) {
            return Ok(name.clone());
        }
        // A fresh name at each step: servers keep what they have computed by name.
        let name = format!("audsem-step-{step}");
        let folder = self.config.folder.join(&name);
        create_folder(&folder)?;
        for (file, bytes) in (self.adapter)()? {
            write_atomically(&folder.join(file), &bytes)?;
        }
        self.load(&name, &folder)?;
        if let Some((old, _)) = self.loaded.replace((name.clone(), step)) {
            self.withdraw(&old);
        }
        Ok(name)
    }

    fn load(&self, name: &str, folder: &Path) -> Result<()> {
        let path = std::path::absolute(folder).map_err(audsem_core::error::Error::read(folder))?;
        let body = json!({ "lora_name": name, "lora_path": path });
        let answer = match self.server.call(LOAD, &body) {
            Err(TextError::Rejected { body: why, .. }) if why.contains(LOADED_ALREADY) => {
                self.server.call(UNLOAD, &json!({ "lora_name": name })).and_then(|_| self.server.call(LOAD, &body))
            }
            answer => answer,
        };
        match answer {
            Ok(_) => Ok(()),
            Err(TextError::NotSent) => Err(TextError::NotSent.into()),
            Err(reason) => Err(RolloutError::Adapter { name: name.to_owned(), reason }.into()),
        }
    }

    /// Takes an adapter back. What the server keeps of it takes memory there, and nothing else.
    fn withdraw(&self, name: &str) {
        if let Err(error) = self.server.call(UNLOAD, &json!({ "lora_name": name })) {
            tracing::warn!("the server still has the adapter {name}: {error}");
        }
        let folder = self.config.folder.join(name);
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!("an old adapter is left in {}: {error}", folder.display());
        }
    }
}

impl RolloutSource for ServerRollouts<'_> {
    fn roll_out(
        &mut self,
        _: &dyn TrainableModel,
        prompts: &[RolloutPrompt<'_>],
        request: RolloutRequest,
    ) -> Result<Vec<Vec<Rollout>>> {
        let name = self.publish(request.step)?;
        let Self { server, config, .. } = self;
        let ask = |prompt: &RolloutPrompt<'_>| {
            let body = body(&name, prompt, (&config.sampling, &config.tokens), request)?;
            read(&server.call(COMPLETIONS, &body)?, prompt, request.per_prompt, &config.tokens)
        };
        let threads = config.concurrency.clamp(1, prompts.len().max(1));
        let mut all = Vec::with_capacity(prompts.len());
        ordered_map(prompts, threads, 2 * threads, ask, |answer: Result<Vec<Rollout>>| {
            all.push(answer?);
            Ok::<(), Error>(())
        })?;
        Ok(all)
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn finish(&mut self) {
        if let Some((name, _)) = self.loaded.take() {
            self.withdraw(&name);
        }
    }
}

#[cfg(test)]
mod tests;
