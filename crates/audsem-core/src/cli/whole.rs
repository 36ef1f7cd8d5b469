//! The command line of a binary with what all of them have: examples, exit codes, completions, pages of the manual.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, ColorChoice, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::HasGlobal;
use crate::error::{Error, Result as CoreResult};
use crate::files::{create_folder, write_atomically};
use crate::terminal::may_be_coloured;

/// Examples of a command: its name (`reference build`), and what follows it on each line.
pub type CommandExamples = (&'static str, &'static [&'static str]);

/// A flag that means nothing for a command: the command, the flag, and why.
pub type Without = (&'static str, &'static str, &'static str);

/// The command that prints completions.
const COMPLETIONS: &str = "completions";

/// The command that writes pages of the manual.
const MAN: &str = "man";

/// What is said below the help of every binary.
const NOTES: &str = "\
Every flag may also be given as a variable (AUDSEM_WORKERS=4) or in a TOML file (--config); one file serves all binaries.

Exit codes:
    0  done
    1  done, but nothing was kept, more failed than --max-fail-rate allows, or a check failed
    2  could not run
    3  stopped on request (Ctrl-C, SIGTERM) before the end; the same command continues
  130  ended at once by a second signal";

/// The command line as it is parsed; `commit` says what the binary was built from.
pub fn command<C: CommandFactory + HasGlobal>(commit: Option<&str>) -> Command {
    let command = C::command();
    let binary = command.get_name().to_owned();
    let version = version(command.get_version().unwrap_or_default(), commit);
    let mut command = command.version(&*version.leak()).after_help(NOTES).color(colours());
    for (name, lines) in C::examples() {
        let path: Vec<&str> = name.split(' ').collect();
        let text = lines.iter().fold("Examples:".to_owned(), |mut text, line| {
            let _ = write!(text, "\n  {binary} {name} {line}");
            text
        });
        command = at(command, &path, &|inner| {
            // What a command has to say beside its flags comes after its examples.
            let notes = inner.get_after_help().map(|notes| format!("\n\n{notes}")).unwrap_or_default();
            inner.after_help(&*format!("{text}{notes}").leak())
        });
    }
    for (name, flag, _) in C::without() {
        let path: Vec<&str> = name.split(' ').collect();
        command = at(command, &path, &|inner| {
            let is_there = inner.get_arguments().any(|arg| *arg.get_id() == *id(flag));
            if is_there { inner.mut_arg(id(flag), |arg| arg.hide(true)) } else { inner }
        });
    }
    command.subcommand(completions_command()).subcommand(man_command())
}

/// The id that a flag has by the name of its field.
fn id(flag: &str) -> String {
    flag.replace('-', "_")
}

/// Refuses flags on the command line that mean nothing for the command, which its help does not show. In a variable or at
/// the top of a configuration file they are for other commands.
///
/// # Errors
/// One of them was given.
pub(super) fn refuse_what_means_nothing<C: HasGlobal>(
    matches: &ArgMatches,
    command: &Command,
) -> Result<(), clap::Error> {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, inner)) = leaf.subcommand() {
        path.push(name);
        leaf = inner;
    }
    let path = path.join(" ");
    for (_, flag, why) in C::without().iter().filter(|(name, ..)| *name == path) {
        if leaf.value_source(&id(flag)) == Some(ValueSource::CommandLine) {
            let problem = format!("--{flag} means nothing for `{path}`: {why}");
            return Err(command.clone().error(ErrorKind::UnknownArgument, problem));
        }
    }
    Ok(())
}

/// Changes the subcommand at a path.
fn at(command: Command, path: &[&str], change: &dyn Fn(Command) -> Command) -> Command {
    match path.split_first() {
        Some((name, rest)) => command.mut_subcommand(name, |inner| at(inner, rest, change)),
        None => change(command),
    }
}

/// The version, with the commit where it is known.
fn version(version: &str, commit: Option<&str>) -> String {
    match commit.filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
}

/// Whether help and complaints may be coloured; both go to terminals, or neither is.
fn colours() -> ColorChoice {
    if may_be_coloured(&std::io::stdout()) && may_be_coloured(&std::io::stderr()) {
        ColorChoice::Auto
    } else {
        ColorChoice::Never
    }
}

fn completions_command() -> Command {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(clap::builder::EnumValueParser::<Shell>::new())
        .help("Shell that shall complete");
    Command::new(COMPLETIONS).about("Print completions of all commands and flags for a shell").arg(shell)
}

fn man_command() -> Command {
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("DIR")
        .required(true)
        .value_parser(ValueParser::path_buf())
        .help("Folder to write to, such as ~/.local/share/man/man1");
    Command::new(MAN).about("Write pages of the manual, one for each command").arg(output)
}

/// What the commands that all binaries have print; `None` if another one is called.
///
/// # Errors
/// [`Error::Write`].
pub(super) fn run(matches: &ArgMatches, command: Command) -> Option<CoreResult<String>> {
    let command = command.disable_help_subcommand(true);
    match matches.subcommand()? {
        (COMPLETIONS, own) => {
            let shell = own.get_one::<Shell>("shell").copied()?;
            Some(Ok(completions(shell, command)))
        }
        (MAN, own) => Some(pages(own.get_one::<PathBuf>("output")?, command)),
        _ => None,
    }
}

fn completions(shell: Shell, mut command: Command) -> String {
    let (mut bytes, binary) = (Vec::new(), command.get_name().to_owned());
    clap_complete::generate(shell, &mut command, binary.clone(), &mut bytes);
    let script = String::from_utf8_lossy(&bytes).into_owned();
    // For bash clap writes the dash in the name of a binary in two ways, and its commands would have no flags.
    match shell {
        Shell::Bash => script.replace(&binary.replace('-', "__subcmd__"), &binary.replace('-', "__")),
        _ => script,
    }
}

/// Writes a page for a binary and each of its commands, and names them.
fn pages(folder: &Path, mut command: Command) -> CoreResult<String> {
    command.build();
    create_folder(folder)?;
    let mut written = String::new();
    write_pages(folder, command, &mut written)?;
    Ok(written)
}

fn write_pages(folder: &Path, command: Command, written: &mut String) -> CoreResult<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_pages(folder, inner.clone(), written)?;
    }
    let page = Man::new(command).manual("AudSem");
    let path = folder.join(page.get_filename());
    let mut bytes = Vec::new();
    page.render(&mut bytes).map_err(Error::write(&path))?;
    write_atomically(&path, &bytes)?;
    let _ = writeln!(written, "{}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_commit_where_there_is_one() {
        assert_eq!(version("0.1.0", Some("4f2c1e9a")), "0.1.0 (4f2c1e9a)");
        assert_eq!((version("0.1.0", None), version("0.1.0", Some(""))), ("0.1.0".to_owned(), "0.1.0".to_owned()));
    }
}
