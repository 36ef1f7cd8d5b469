//! Values of flags from environment variables and configuration files.

mod place;
mod sections;
#[cfg(test)]
mod tests;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

pub use place::Place;
use sections::Settings;

/// Why flags could not be read from a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file is not TOML, in {place}: {problem}")]
    Toml {
        /// Where.
        place: Place,
        /// Why.
        problem: String,
    },
    /// A key names no flag, or a section no command.
    #[error("{problem}, in {place}{hint}")]
    Unknown {
        /// Where.
        place: Place,
        /// What is unknown.
        problem: String,
        /// The key that was meant, or the keys that there are.
        hint: String,
    },
    /// A flag does not take a value.
    #[error("`{key}` in {place}: {problem}")]
    Value {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// The flags themselves are wrong, or help was asked for.
    #[error(transparent)]
    Clap(#[from] clap::Error),
}

/// Parses a command line whose flags may also come from `AUDSEM_<FLAG>` variables and from the TOML file that `--config`
/// names.
///
/// # Errors
/// [`ConfigError`]; a [`ConfigError::Clap`] also stands for `--help` and `--version`.
pub fn matches_from(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, ConfigError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = with_variables(command);
    if let Some(path) = config_path(&arguments) {
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let called = called(&command, &arguments);
        let settings = Settings::read(&command, &called, &text, &path)?;
        command = settings.apply(command, &called);
    }
    Ok(command.try_get_matches_from(arguments)?)
}

/// The file named by `--config FILE`, `--config=FILE` or `AUDSEM_CONFIG`.
fn config_path(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("AUDSEM_CONFIG").map(PathBuf::from)
}

/// The subcommand that is called, from the outermost name to the innermost.
fn called(command: &Command, arguments: &[OsString]) -> Vec<String> {
    let mut path = Vec::new();
    let mut command = command;
    for argument in arguments.iter().skip(1) {
        if let Some(found) = command.find_subcommand(argument) {
            path.push(found.get_name().to_owned());
            command = found;
        }
    }
    path
}

/// Gives every long flag its variable.
fn with_variables(command: Command) -> Command {
    command.mut_args(with_variable).mut_subcommands(with_variables)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(long) = arg.get_long().map(str::to_owned) else {
        return arg;
    };
    if arg.get_env().is_some() || matches!(long.as_str(), "help" | "version") {
        return arg;
    }
    let name: &'static str = format!("AUDSEM_{}", long.to_uppercase().replace('-', "_")).leak();
    let arg = arg.env(name).hide_env_values(true).hide_env(true);
    match arg.get_action() {
        // "0" and "false" switch a flag off; the default parser takes "true" and "false" alone.
        ArgAction::SetTrue => arg.value_parser(clap::builder::FalseyValueParser::new()),
        _ => arg,
    }
}

/// The argument whose long flag, or an older name of it, is `key`, with `_` or `-`.
fn find_flag<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    let long = key.replace('_', "-");
    let is_called = |arg: &&Arg| {
        arg.get_long() == Some(&long) || arg.get_all_aliases().is_some_and(|names| names.contains(&long.as_str()))
    };
    command.get_arguments().find(is_called)
}

/// The subcommand that a path names.
fn find_command<'a>(command: &'a Command, path: &[String]) -> Option<&'a Command> {
    path.iter().try_fold(command, |command, name| command.find_subcommand(name))
}
