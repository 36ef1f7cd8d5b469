//! Values of flags from environment variables and configuration files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

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
    #[error("the configuration file {} is not TOML: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A key names no flag.
    #[error("unknown key in {}: {key}{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, with its table.
        key: String,
        /// Hint that lists the keys allowed there.
        hint: String,
    },
    /// A value has a type that no flag takes.
    #[error("{key} in {}: expected a string, number, boolean or list, found {found}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The TOML type found.
        found: &'static str,
    },
    /// The flags themselves are wrong, or help was asked for.
    #[error(transparent)]
    Clap(#[from] clap::Error),
}

/// Parses a command line whose flags may also come from `AUDSEM_<FLAG>` variables and from the
/// TOML file that `--config` names.
///
/// # Errors
/// [`ConfigError`]; a [`ConfigError::Clap`] also stands for `--help` and `--version`.
pub fn parse_from<C: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<C, ConfigError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = with_variables(C::command());
    if let Some(path) = config_path(&arguments) {
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let table = text.parse().map_err(|source| ConfigError::Toml { path: path.clone(), source })?;
        let name = subcommand_name(&command, &arguments);
        command = with_defaults(command, name.as_deref(), &table, &path)?;
    }
    Ok(C::from_arg_matches(&command.try_get_matches_from(arguments)?)?)
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

fn subcommand_name(command: &Command, arguments: &[OsString]) -> Option<String> {
    let known = |argument: &OsString| command.find_subcommand(argument).map(|found| found.get_name().to_owned());
    arguments.iter().skip(1).find_map(known)
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

/// Sets a file's values as defaults, so that flags and variables take precedence.
fn with_defaults(
    command: Command,
    subcommand: Option<&str>,
    table: &toml::Table,
    path: &Path,
) -> Result<Command, ConfigError> {
    let mut command = command;
    for (key, value) in table {
        command = match value {
            toml::Value::Table(inner) if command.find_subcommand(key).is_some() => {
                // A file may serve several subcommands: the tables of the others are only checked.
                let mut changed = command.find_subcommand(key).cloned().expect("found in the guard");
                for (inner_key, value) in inner {
                    changed = with_default(changed, &format!("{key}."), inner_key, value, path)?;
                }
                command.mut_subcommand(key, |_| changed)
            }
            value => match subcommand.and_then(|name| command.find_subcommand(name).cloned()) {
                Some(inner) => {
                    let name = inner.get_name().to_owned();
                    if find_flag(&inner, key).is_some() {
                        let changed = with_default(inner, "", key, value, path)?;
                        command.mut_subcommand(name, |_| changed)
                    } else {
                        with_default(command, "", key, value, path)?
                    }
                }
                None => with_default(command, "", key, value, path)?,
            },
        };
    }
    Ok(command)
}

/// The id of the argument whose long flag, or an older name of it, is `key`, with `_` or `-`.
fn find_flag(command: &Command, key: &str) -> Option<String> {
    let long = key.replace('_', "-");
    let is_called = |arg: &&Arg| {
        arg.get_long() == Some(&long) || arg.get_all_aliases().is_some_and(|names| names.contains(&long.as_str()))
    };
    command.get_arguments().find(is_called).map(|arg| arg.get_id().to_string())
}

fn with_default(
    command: Command,
    table: &str,
    key: &str,
    value: &toml::Value,
    path: &Path,
) -> Result<Command, ConfigError> {
    let full = format!("{table}{key}");
    let Some(id) = find_flag(&command, key) else {
        let known: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
        let hint = format!("\nhint: the keys allowed there are {}", known.join(", "));
        return Err(ConfigError::UnknownKey { path: path.to_owned(), key: full, hint });
    };
    let texts: Vec<&'static str> = texts(value)
        .map_err(|found| ConfigError::BadValue { path: path.to_owned(), key: full, found })?
        .into_iter()
        .map(|text| &*text.leak())
        .collect();
    Ok(command.mut_arg(id, |arg| arg.required(false).default_values(texts)))
}

/// A value as command-line words.
fn texts(value: &toml::Value) -> Result<Vec<String>, &'static str> {
    match value {
        toml::Value::String(text) => Ok(vec![text.clone()]),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Ok(vec![value.to_string()]),
        toml::Value::Array(items) => {
            let nested: Result<Vec<_>, _> = items.iter().map(texts).collect();
            Ok(nested?.concat())
        }
        other => Err(other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use clap::{Parser, Subcommand};

    use super::*;
    use crate::cli::{GlobalArgs, RunArgs};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Debug, Subcommand)]
    enum Sub {
        Extract {
            #[command(flatten)]
            run: RunArgs,
            #[arg(long, default_value_t = 1.0)]
            min_seconds: f64,
            #[arg(long, alias = "languages-old")]
            lang: Vec<String>,
        },
        Other {
            #[arg(long)]
            count: Option<u32>,
        },
    }

    fn parse(file: &str, flags: &[&str]) -> Result<Cli, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        let words = ["tool", "extract", "--config", path.to_str().unwrap()];
        parse_from(words.iter().chain(flags).map(OsString::from))
    }

    #[test]
    fn a_file_fills_in_what_the_flags_leave_open() {
        let file = "quiet = true\nmin-seconds = 2.5\n[extract]\noutput = \"o\"\ndry_run = true\nlang = [\"en\", \"de\"]\n[other]\ncount = 3";
        let cli = parse(file, &["--min-seconds", "3"]).unwrap();
        assert!(cli.global.quiet);
        let Sub::Extract { run, min_seconds, lang } = cli.command else { panic!("another subcommand") };
        assert_eq!((run.output, run.dry_run, min_seconds), ("o".into(), true, 3.0));
        assert_eq!(lang, ["en", "de"]);
        let cli = parse(file, &[]).unwrap();
        assert!(matches!(cli.command, Sub::Extract { min_seconds: 2.5, .. }));
        let cli = parse("languages_old = \"fr\"", &["--output", "o"]).unwrap();
        assert!(matches!(cli.command, Sub::Extract { lang, .. } if lang == ["fr"]), "a key may be a flag's older name");
    }

    #[test]
    fn unknown_keys_are_errors_that_name_the_known_ones() {
        for file in ["min-secs = 1", "[extract]\nmin-secs = 1", "[extrakt]\noutput = \"o\""] {
            let error = parse(file, &["--output", "o"]).unwrap_err();
            assert!(matches!(error, ConfigError::UnknownKey { .. }), "{file}: {error}");
        }
        let error = parse("[other]\noutput = \"o\"", &["--output", "o"]).unwrap_err().to_string();
        assert!(error.contains("other.output") && error.contains("count"), "{error}");
    }

    #[test]
    fn a_date_is_no_value_of_a_flag() {
        let error = parse("min-seconds = 2020-01-01", &["--output", "o"]).unwrap_err();
        assert!(matches!(error, ConfigError::BadValue { found: "datetime", .. }), "{error}");
    }
}
