//! Where completions and rewards of a training come from.

use super::config::{Config, RolloutChoice, ServerChoice};
use super::rollout::{CompletionTokens, LocalRollouts, RolloutSource, ServerRollouts, ServingConfig, for_server};
use crate::checkpoint::NamedFiles;
use crate::data::{PromptConfig, Turns};
use crate::error::Result;
use crate::manifest::{ShardFiles, read_example};
use crate::rewards::RewardSet;
use crate::setup::{BegunTraining, TrainingData};
use audsem_core::error::Error as CoreError;
use audsem_core::run::RunOptions;
use audsem_llm::{OpenAiServer, RetryPolicy, Secret, ServerConfig};
use audsem_metrics::caption::{ReferenceCorpus, words};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::processor::AudioProcessor;

/// The folder of adapters for a server, below that of the run.
const SERVING: &str = "serving";

/// How prompts are made: with so many tokens at most that a completion has its place behind them.
///
/// # Errors
/// The model has no place for a prompt beside the longest completion.
pub(super) fn prompt(config: &Config, checkpoint: &AudioCheckpoint) -> Result<PromptConfig> {
    let (places, most) =
        (checkpoint.config().language().max_position_embeddings, config.sampling.max_completion_tokens);
    let Some(room) = places.checked_sub(most).filter(|room| *room > 0) else {
        let problem = format!(
            "completions of {most} tokens leave no room for prompts: the model has {places} positions\n\
             hint: lower --max-completion-tokens"
        );
        return Err(CoreError::Config { what: "--max-completion-tokens".to_owned(), problem }.into());
    };
    let prompt = config.setup.prompt(Turns::Prompt);
    Ok(PromptConfig { max_tokens: prompt.max_tokens.min(room), ..prompt })
}

/// Tokens with a meaning of their own.
///
/// # Errors
/// Files of the model cannot be read.
pub(super) fn completion_tokens(checkpoint: &AudioCheckpoint, processor: &AudioProcessor) -> Result<CompletionTokens> {
    let ends = checkpoint.generation(processor.tokenizer())?.eos_token_id;
    Ok(CompletionTokens { ends, barred: checkpoint.config().media_tokens() })
}

/// The rewards; where they need all references, with those of the training data.
///
/// # Errors
/// The rewards contradict each other, or a shard cannot be read.
pub(super) fn rewards(config: &Config, data: &TrainingData) -> Result<RewardSet> {
    let corpus = match config.rewards.needs_references() {
        true => corpus(data)?,
        false => ReferenceCorpus::default(),
    };
    Ok(RewardSet::with_references(&config.rewards, config.form(), corpus)?)
}

fn corpus(data: &TrainingData) -> Result<ReferenceCorpus> {
    let (files, mut corpus) = (ShardFiles::default(), ReferenceCorpus::default());
    for row in &data.train.rows {
        // Examples that cannot be read are reported when their turn comes.
        if let Ok(text) = read_example(&files.read(row)?.json, row.pair) {
            corpus.add(&[words(&text.answer)]);
        }
    }
    Ok(corpus)
}

/// Who writes the completions that are learned from.
///
/// # Errors
/// The address of a server is none.
pub(super) fn rollouts<'a>(
    config: &Config,
    begun: &'a BegunTraining,
    tokens: &CompletionTokens,
    options: &RunOptions,
) -> Result<Box<dyn RolloutSource + 'a>> {
    match &config.rollouts {
        RolloutChoice::Local { rows } => Ok(Box::new(LocalRollouts::new(&config.sampling, tokens, *rows))),
        RolloutChoice::Server(choice) => {
            let serving = ServingConfig {
                sampling: config.sampling,
                tokens: tokens.clone(),
                concurrency: choice.concurrency,
                folder: choice.folder.clone().unwrap_or_else(|| options.output.join(SERVING)),
            };
            let adapter = || -> Result<NamedFiles> {
                begun.model.adapter(Some(begun.base_name())).map_or_else(|| Ok(Vec::new()), for_server)
            };
            Ok(Box::new(ServerRollouts::new(connect(choice)?, serving, Box::new(adapter))))
        }
    }
}

fn connect(choice: &ServerChoice) -> Result<OpenAiServer> {
    let mut server = ServerConfig::new(&choice.url);
    // Each step has an adapter of its own, whose name is the model that is asked.
    server.model = Some("audsem".to_owned());
    (server.concurrency, server.timeout) = (choice.concurrency, choice.timeout);
    server.retry = RetryPolicy { retries: choice.retries, ..RetryPolicy::default() };
    server.api_key = Secret::from_env(&choice.api_key_env);
    Ok(OpenAiServer::connect(server)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tiny::goldens;
    use super::*;

    #[test]
    fn what_stands_for_sounds_pictures_and_videos_is_never_written() {
        for (folder, barred) in [("qwen2_audio_tiny", vec![37]), ("qwen2_5_omni_tiny", vec![37, 38, 39])] {
            let checkpoint = AudioCheckpoint::open(goldens().join(folder).to_str().unwrap(), None).unwrap();
            assert_eq!(checkpoint.config().media_tokens(), barred, "{folder}");
        }
    }
}
