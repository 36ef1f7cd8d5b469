//! Which keys of a configuration file are for the command that is called, and whether all others name something.
//!
//! One file serves all binaries. Keys at its top are for every command that has such a flag; `[classify]` is for that
//! command, `[filtering]` for all commands of a binary and `[filtering.classify]` for one of them, whose name another
//! binary may share. What is more specific counts.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Place, find_command, find_flag, value};
use crate::cli::binaries;
use crate::cli::nearest::nearest;

/// The words of flags, by the subcommand that has the flag (empty for flags of the binary) and its id.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<(Vec<String>, String), Vec<String>>);

impl Settings {
    /// Reads the settings for the subcommand that is called, and checks all keys and values that are for this binary.
    ///
    /// # Errors
    /// [`ConfigError::Toml`], [`ConfigError::Unknown`] and [`ConfigError::Value`].
    pub(super) fn read(command: &Command, called: &[String], text: &str, path: &Path) -> Result<Self, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| ConfigError::Toml {
            place: Place::new(path, text, error.span().map_or(0, |span| span.start)),
            problem: error.message().to_owned(),
        })?;
        let mut reader = Reader { command, called, text, path, settings: Self::default() };
        reader.top(table.get_ref())?;
        Ok(reader.settings)
    }

    /// Makes the settings the defaults of their flags, so that flags and variables take precedence.
    pub(super) fn apply(self, command: Command, called: &[String]) -> Command {
        let mut command = command;
        for ((path, id), words) in self.0 {
            if path.is_empty() || path == called {
                command = with_default(command, &path, &id, words);
            }
        }
        command
    }
}

/// Sets the default of a flag of the subcommand at a path.
fn with_default(command: Command, path: &[String], id: &str, words: Vec<String>) -> Command {
    match path.split_first() {
        Some((name, rest)) => command.mut_subcommand(name, |inner| with_default(inner, rest, id, words)),
        None => {
            let words: Vec<&'static str> = words.into_iter().map(|text| &*text.leak()).collect();
            command.mut_arg(id, |arg| arg.required(false).default_values(words))
        }
    }
}

type Key<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

struct Reader<'a> {
    command: &'a Command,
    called: &'a [String],
    text: &'a str,
    path: &'a Path,
    settings: Settings,
}

impl Reader<'_> {
    /// The top of the file. The order is that of precedence, the last one counts.
    fn top(&mut self, table: &DeTable<'_>) -> Result<(), ConfigError> {
        let own = binaries::short_name(self.command.get_name()).to_owned();
        let is_own = |key: &str| [own.as_str(), self.command.get_name()].contains(&key);
        let mut of_commands = Vec::new();
        let mut of_binary = Vec::new();
        for (key, value) in table {
            let name = spelled(key);
            match value.get_ref() {
                DeValue::Table(inner) if is_own(&name) => of_binary.push(inner),
                DeValue::Table(inner) if self.command.find_subcommand(&name).is_some() => {
                    of_commands.push((name, inner));
                }
                DeValue::Table(_) if binaries::has_section(&name) => {}
                DeValue::Table(_) => return Err(self.unknown_section(key, &own)),
                _ => self.shared((key, value), true)?,
            }
        }
        for inner in &of_binary {
            self.scalars(inner)?;
        }
        for (name, inner) in of_commands {
            self.section(&[name], inner)?;
        }
        for (key, value) in of_binary.into_iter().flatten() {
            let DeValue::Table(inner) = value.get_ref() else { continue };
            let name = spelled(key);
            if self.command.find_subcommand(&name).is_none() {
                return Err(self.unknown_section(key, &own));
            }
            self.section(&[name], inner)?;
        }
        Ok(())
    }

    /// Keys of the table of this binary that are no tables themselves.
    fn scalars(&mut self, table: &DeTable<'_>) -> Result<(), ConfigError> {
        let scalars = table.iter().filter(|(_, value)| !value.get_ref().is_table());
        scalars.into_iter().try_for_each(|key| self.shared(key, false))
    }

    /// A key for every command that has such a flag.
    fn shared(&mut self, (key, value): Key<'_, '_>, of_all_binaries: bool) -> Result<(), ConfigError> {
        let leaf = find_command(self.command, self.called).unwrap_or(self.command);
        for (path, command) in [(self.called, leaf), (&[][..], self.command)] {
            if let Some(arg) = find_flag(command, key.get_ref()) {
                return self.set(path.to_vec(), arg, (key, value));
            }
        }
        let name = spelled(key);
        let known = flags_of_all(self.command);
        if known.contains(&name) || (of_all_binaries && binaries::SHARED_FLAGS.contains(&&*name)) {
            return Ok(());
        }
        let mut hint = self.hint(key, &known);
        if nearest(&name, known.iter().map(String::as_str)).is_none() {
            let binary = self.command.get_name();
            hint = format!(
                "\nhint: no command of {binary} has this flag; a flag of another binary goes to its section, such as \
                 [training.sft]"
            );
        }
        Err(self.unknown(key, format!("unknown key `{}`", key.get_ref()), hint))
    }

    /// The table of a command of this binary.
    fn section(&mut self, path: &[String], table: &DeTable<'_>) -> Result<(), ConfigError> {
        let command = self.command;
        let own = find_command(command, path).unwrap_or(command);
        for (key, value) in table {
            let name = spelled(key);
            if let (DeValue::Table(inner), true) = (value.get_ref(), own.find_subcommand(&name).is_some()) {
                self.section(&[path, &[name]].concat(), inner)?;
            } else if let Some(arg) = find_flag(own, &name) {
                self.set(path.to_vec(), arg, (key, value))?;
            } else if let Some(arg) = find_flag(command, &name) {
                // Flags of every binary, which count where this command is called.
                let path = if path == self.called { Vec::new() } else { path.to_vec() };
                self.set(path, arg, (key, value))?;
            } else {
                let flags = own.get_arguments().chain(command.get_arguments());
                let known: Vec<String> = flags.filter_map(long).collect();
                let problem = format!("unknown key `{}` of `{}`", key.get_ref(), path.join(" "));
                return Err(self.unknown(key, problem, self.hint(key, &known)));
            }
        }
        Ok(())
    }

    fn set(&mut self, path: Vec<String>, arg: &Arg, (key, value): Key<'_, '_>) -> Result<(), ConfigError> {
        let words = value::words(arg, value).map_err(|bad| ConfigError::Value {
            place: self.place(bad.offset),
            key: key.get_ref().to_string(),
            problem: bad.problem,
        })?;
        self.settings.0.insert((path, arg.get_id().to_string()), words);
        Ok(())
    }

    fn unknown_section(&self, key: &Spanned<std::borrow::Cow<'_, str>>, own: &str) -> ConfigError {
        let commands = self.command.get_subcommands().map(|command| command.get_name().to_owned());
        let known: Vec<String> = commands.chain([own.to_owned()]).chain(binaries::section_names()).collect();
        let hint = match nearest(&spelled(key), known.iter().map(String::as_str)) {
            Some(meant) => format!("\nhint: did you mean `[{meant}]`?"),
            None => {
                "\nhint: a section is called after a command or a binary, such as [classify] or [filtering.classify]"
                    .to_owned()
            }
        };
        self.unknown(key, format!("unknown section `[{}]`", key.get_ref()), hint)
    }

    /// The key that was meant, else all that there are.
    fn hint(&self, key: &Spanned<std::borrow::Cow<'_, str>>, known: &[String]) -> String {
        match nearest(&spelled(key), known.iter().map(String::as_str)) {
            Some(meant) => format!("\nhint: did you mean `{meant}`?"),
            None => format!("\nhint: the keys allowed there are {}", known.join(", ")),
        }
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<'_, str>>, problem: String, hint: String) -> ConfigError {
        ConfigError::Unknown { place: self.place(key.span().start), problem, hint }
    }

    fn place(&self, offset: usize) -> Place {
        Place::new(self.path, self.text, offset)
    }
}

/// A key as flags and commands are spelled.
fn spelled(key: &Spanned<std::borrow::Cow<'_, str>>) -> String {
    key.get_ref().replace('_', "-")
}

fn long(arg: &Arg) -> Option<String> {
    arg.get_long().map(str::to_owned)
}

/// The flags of a command and of all its subcommands.
fn flags_of_all(command: &Command) -> Vec<String> {
    let own = command.get_arguments().flat_map(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default().into_iter().map(str::to_owned);
        long(arg).into_iter().chain(aliases)
    });
    let mut flags: Vec<String> = own.chain(command.get_subcommands().flat_map(flags_of_all)).collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}
