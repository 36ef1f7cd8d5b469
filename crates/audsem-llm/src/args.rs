//! Command-line flags of subcommands that ask a language model server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::server::Secret;
use super::{Api, OpenAiServer, Replay, RetryPolicy, SchemaFormat, ServerConfig, TextError, Unanswered};

/// Flags for reaching an OpenAI-compatible server; flattened into the arguments of a subcommand.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Language model server")]
pub struct ServerArgs {
    /// Address of an OpenAI-compatible server, up to where /chat/completions follows
    /// (vLLM, SGLang, llama.cpp …), e.g. http://127.0.0.1:8000/v1
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// Model to request; may be omitted if the server serves exactly one
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// API route: `raw` sends chats as plain text to /completions, for base models without a chat template
    #[arg(long, value_enum, default_value_t)]
    pub api: Api,
    /// How JSON schemas are sent to the server; forms that it refuses are replaced by the next one
    #[arg(long, value_enum, default_value_t)]
    pub schema_format: SchemaFormat,
    /// Number of concurrent requests
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub concurrency: usize,
    /// Timeout of one request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    pub timeout: f64,
    /// Timeout of connecting, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub connect_timeout: f64,
    /// Maximum number of retries of a request after overload, a broken connection or a timeout
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub retries: u32,
    /// What happens to a question that the server has not answered after all retries, although it answers others
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub unanswered: Unanswered,
    /// Name of the environment variable that holds the API key, if the server needs one; keys are never read from
    /// the command line, which every user of the machine can see
    #[arg(long, value_name = "VARIABLE", default_value = "OPENAI_API_KEY")]
    pub api_key_env: String,
    /// Version of the API of an Azure deployment, at NAME.openai.azure.com/openai/deployments/DEPLOYMENT:
    /// it stands behind every address, and the key is sent as Azure wants it
    #[arg(long, value_name = "VERSION")]
    pub azure_api_version: Option<String>,
    /// Extra field of every request body, e.g. --server-param 'chat_template_kwargs={"enable_thinking":false}'; with null, as in
    /// --server-param max_tokens=null, the field is left out
    #[arg(long, value_name = "NAME=JSON")]
    pub server_param: Vec<String>,
    /// Folder that caches answers; several runs may share one [default: OUTPUT/replay]
    #[arg(long, value_name = "DIR", conflicts_with = "no_replay")]
    pub replay: Option<PathBuf>,
    /// Neither store answers nor use stored ones
    #[arg(long)]
    pub no_replay: bool,
}

impl ServerArgs {
    /// The validated settings; reads the key from the environment.
    ///
    /// # Errors
    /// [`TextError::Config`] naming the flag at fault.
    pub fn to_config(&self) -> Result<ServerConfig, TextError> {
        let mut config = ServerConfig::new(&self.server);
        config.model.clone_from(&self.model);
        config.api = self.api;
        config.schema_format = self.schema_format;
        config.concurrency = self.concurrency;
        config.timeout = seconds("request timeout", self.timeout, "give a positive --timeout")?;
        config.connect_timeout = seconds("connect timeout", self.connect_timeout, "give a positive --connect-timeout")?;
        config.retry = RetryPolicy { retries: self.retries, ..RetryPolicy::default() };
        config.extra = self.server_param.iter().map(|text| parameter(text)).collect::<Result<Map<_, _>, _>>()?;
        config.api_version.clone_from(&self.azure_api_version);
        config.api_key = Secret::from_env(&self.api_key_env);
        Ok(config)
    }

    /// The replay folder of a run with this output folder; `None` under `--no-replay`.
    #[must_use]
    pub fn replay_folder(&self, output: &Path) -> Option<PathBuf> {
        (!self.no_replay).then(|| self.replay.clone().unwrap_or_else(|| output.join("replay")))
    }
}

impl OpenAiServer {
    /// Wraps the client so that answers are stored in `folder`, if there is one.
    ///
    /// # Errors
    /// [`TextError::Replay`].
    pub fn remembering(self, folder: Option<&Path>) -> Result<Box<dyn super::TextGenerator>, TextError> {
        Ok(match folder {
            Some(folder) => Box::new(Replay::open(self, folder)?),
            None => Box::new(self),
        })
    }
}

fn seconds(what: &'static str, value: f64, hint: &'static str) -> Result<Duration, TextError> {
    let refuse = |reason: String| TextError::Config { what, value: value.to_string(), reason, hint };
    if value <= 0.0 {
        return Err(refuse("must be above zero".into()));
    }
    Duration::try_from_secs_f64(value).map_err(|error| refuse(error.to_string()))
}

fn parameter(text: &str) -> Result<(String, Value), TextError> {
    let refuse = |reason: String| TextError::Config {
        what: "server parameter",
        value: text.to_owned(),
        reason,
        hint: "write --server-param NAME=JSON, for example --server-param top_k=1",
    };
    let (name, json) = text.split_once('=').ok_or_else(|| refuse("has no `=`".into()))?;
    if name.is_empty() || ["model", "messages", "prompt"].contains(&name) {
        return Err(refuse("is not a parameter that can be set here".into()));
    }
    let value = serde_json::from_str(json).map_err(|error| refuse(format!("not JSON: {error}")))?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        server: ServerArgs,
    }

    fn config(arguments: &[&str]) -> Result<ServerConfig, String> {
        let all = ["x", "--server", "http://h/v1"].iter().chain(arguments);
        Cli::try_parse_from(all).unwrap().server.to_config().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_settings() {
        let param = "--server-param";
        let flags = ["--timeout", "1.5", param, "a={\"b\":[1]}", param, "max_tokens=null", "--concurrency", "3"];
        let config = config(&flags).unwrap();
        assert_eq!((config.timeout, config.concurrency), (Duration::from_millis(1500), 3));
        assert_eq!(config.extra["a"]["b"][0], 1);
        assert_eq!(config.extra["max_tokens"], serde_json::Value::Null);
    }

    #[test]
    fn bad_flags_are_named() {
        let check = |arguments: &[&str], expected: &str| {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(&["--timeout", "0"], "must be above zero\nhint: give a positive --timeout");
        check(&["--timeout", "inf"], "--timeout");
        check(&["--connect-timeout=-1"], "--connect-timeout");
        check(&["--server-param", "top_k"], "has no `=`");
        check(&["--server-param", "top_k=one"], "not JSON");
        check(&["--server-param", "model=\"x\""], "not a parameter");
    }

    #[test]
    fn replay_folder_lies_in_the_output_unless_told_otherwise() {
        let folder = |arguments: &[&str]| {
            let all = ["x", "--server", "http://h/v1"].iter().chain(arguments);
            Cli::try_parse_from(all).unwrap().server.replay_folder(Path::new("out"))
        };
        assert_eq!(folder(&[]), Some("out/replay".into()));
        assert_eq!(folder(&["--replay", "shared"]), Some("shared".into()));
        assert_eq!(folder(&["--no-replay"]), None);
    }
}
