//! Who answers: a server, or the rules of this crate.

use std::path::Path;

use audsem_llm::{OpenAiServer, ServerArgs, TextError, TextGenerator, Unanswered};
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::write::Unasked;
use crate::write::template::TemplateWriter;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// A language model behind an OpenAI-compatible server (--server)
    Server,
    /// Rules that put sentences together from the metadata alone; every row says so
    Template,
}

/// Flags of a server that is not always needed.
#[derive(Debug, Clone)]
pub struct OptionalServer(pub Option<ServerArgs>);

impl Args for OptionalServer {
    fn augment_args(command: Command) -> Command {
        ServerArgs::augment_args(command).mut_arg("server", |argument| argument.required(false))
    }

    fn augment_args_for_update(command: Command) -> Command {
        ServerArgs::augment_args_for_update(command)
    }
}

impl FromArgMatches for OptionalServer {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_named = matches.get_one::<String>("server").is_some();
        is_named.then(|| ServerArgs::from_arg_matches(matches)).transpose().map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl OptionalServer {
    /// What happens to questions without an answer.
    #[must_use]
    pub fn unanswered(&self) -> Unanswered {
        self.0.as_ref().map_or_else(Unanswered::default, |server| server.unanswered)
    }

    /// Connects to the server; answers are stored in a replay folder. A dry run asks nobody.
    ///
    /// # Errors
    /// There is no server, or it cannot be reached.
    pub fn connect(&self, output: &Path, dry_run: bool) -> Result<Box<dyn TextGenerator>, TextError> {
        let server = self.0.as_ref().ok_or_else(|| TextError::Config {
            what: "language model",
            value: "none".to_owned(),
            reason: "neither a server nor rules were asked for".to_owned(),
            hint: "name a server with --server URL, or let rules write with --backend template",
        })?;
        let config = server.to_config()?;
        if dry_run {
            return Ok(Box::new(Unasked(config.model.unwrap_or_else(|| "?".to_owned()))));
        }
        OpenAiServer::connect(config)?.remembering(server.replay_folder(output).as_deref())
    }
}

/// The generator of a backend.
///
/// # Errors
/// As [`OptionalServer::connect`].
pub(super) fn generator(
    backend: Backend,
    server: &OptionalServer,
    output: &Path,
    dry_run: bool,
) -> Result<Box<dyn TextGenerator>, TextError> {
    match backend {
        Backend::Server => server.connect(output, dry_run),
        Backend::Template => Ok(Box::new(TemplateWriter)),
    }
}
