//! Who answers: a server, or a model in this process.

use audsem_llm::{ServerArgs, Unanswered};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// Flags that say nothing to a model in this process.
const SERVER_ONLY: [&str; 9] = [
    "api",
    "schema_format",
    "concurrency",
    "timeout",
    "connect_timeout",
    "retries",
    "unanswered",
    "api_key_env",
    "server_param",
];

/// Flags of a server; without one, `--model` is a model that runs in this process.
#[derive(Debug, Clone)]
pub enum LanguageModelArgs {
    /// A server.
    Server(Box<ServerArgs>),
    /// A GGUF file, a folder or an id on the hub.
    Local(LocalArgs),
}

/// A model in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalArgs {
    /// A GGUF file, a folder or an id on the hub.
    pub model: String,
    /// Folder that caches answers, where it is not in the output.
    pub replay: Option<std::path::PathBuf>,
    /// Neither store answers nor use stored ones.
    pub no_replay: bool,
}

impl LanguageModelArgs {
    /// What happens to questions without an answer.
    #[must_use]
    pub fn unanswered(&self) -> Unanswered {
        match self {
            Self::Server(server) => server.unanswered,
            Self::Local(_) => Unanswered::default(),
        }
    }
}

impl Args for LanguageModelArgs {
    fn augment_args(command: Command) -> Command {
        let help = "With --server: name of the model to request; may be omitted if the server serves exactly one. \
                    Without: the model that runs in this process, a GGUF file, a folder with safetensors or an id on \
                    the Hugging Face hub (Qwen2, Qwen2.5 and Llama)";
        ServerArgs::augment_args(command)
            .mut_arg("server", |argument| argument.required(false).required_unless_present("model"))
            .mut_arg("model", |argument| argument.value_name("NAME_OR_PATH").help(help))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LanguageModelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if matches.get_one::<String>("server").is_some() {
            return Ok(Self::Server(Box::new(ServerArgs::from_arg_matches(matches)?)));
        }
        let is_given = |id: &&str| matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue);
        if let Some(flag) = SERVER_ONLY.iter().find(|id| is_given(id)) {
            let message = format!("--{} is for a server: name one with --server\n", flag.replace('_', "-"));
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        let Some(model) = matches.get_one::<String>("model").cloned() else {
            let message = "name a server with --server, or a model with --model\n";
            return Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, message));
        };
        let replay = matches.get_one::<std::path::PathBuf>("replay").cloned();
        Ok(Self::Local(LocalArgs { model, replay, no_replay: matches.get_flag("no_replay") }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        language_model: LanguageModelArgs,
    }

    fn parse(arguments: &[&str]) -> Result<LanguageModelArgs, String> {
        let all = ["x"].iter().chain(arguments);
        Flags::try_parse_from(all).map(|flags| flags.language_model).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_without_a_server_runs_in_this_process() {
        let LanguageModelArgs::Local(local) = parse(&["--model", "a.gguf", "--replay", "r"]).unwrap() else { panic!() };
        assert_eq!(local, LocalArgs { model: "a.gguf".into(), replay: Some("r".into()), no_replay: false });
        let LanguageModelArgs::Server(server) = parse(&["--server", "http://h/v1", "--model", "m"]).unwrap() else {
            panic!()
        };
        assert_eq!(server.model.as_deref(), Some("m"));
        assert!(matches!(parse(&["--server", "http://h/v1"]), Ok(LanguageModelArgs::Server(_))));
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        assert!(parse(&[]).unwrap_err().contains("--server"));
        let error = parse(&["--model", "a.gguf", "--api-key-env", "KEY"]).unwrap_err();
        assert!(error.contains("--api-key-env is for a server"), "{error}");
    }
}
