//! Checks of a command line that the tests of every binary make.

use clap::{Arg, Command, CommandFactory};

use super::exit::HasGlobal;
use super::{binaries, whole};

/// Flags of [`super::RunArgs`] and [`super::GlobalArgs`] and the sections of help that they stand in.
const SECTIONS: [(&str, &[&str]); 2] = [
    ("General", &["config", "json", "verbose", "quiet", "no-progress", "progress-every"]),
    ("Run", &["output", "workers", "shard", "limit", "seed", "dry-run", "fresh", "max-fail-rate", "rejects"]),
];

/// What is wrong with the help of a binary: flags and commands without a text, commands without examples, examples that
/// do not parse, shared flags that stand in another section. For tests, which expect nothing.
pub fn faults<C: CommandFactory + HasGlobal>() -> Vec<String> {
    let command = whole::command::<C>(None);
    let mut found = Vec::new();
    collect(&command, command.get_name(), &mut found);
    let own = ["completions", "man"];
    // In any order: clap moves a command that is changed behind the others.
    let mut names: Vec<&str> =
        command.get_subcommands().map(Command::get_name).filter(|name| !own.contains(name)).collect();
    names.sort_unstable();
    let mut known = binaries::commands_of(command.get_name()).to_vec();
    known.sort_unstable();
    if names != known {
        found.push(format!("cli/binaries.rs of core does not list the commands {names:?}"));
    }
    for path in leaves(&command, "").iter().filter(|path| !own.contains(&path.as_str())) {
        if !C::examples().iter().any(|(name, lines)| name == path && !lines.is_empty()) {
            found.push(format!("{path} has no example"));
        }
    }
    for (name, line) in C::examples().iter().flat_map(|(name, lines)| lines.iter().map(move |line| (name, line))) {
        let words = words(&format!("{} {name} {line}", command.get_name()));
        if let Err(error) = command.clone().try_get_matches_from(words) {
            found.push(format!("example of {name}: {error}"));
        }
    }
    for (name, flag, _) in C::without() {
        let leaf = name.split(' ').try_fold(&command, |command, name| command.find_subcommand(name));
        if !leaf.is_some_and(|leaf| leaf.get_arguments().any(|arg| arg.get_long() == Some(*flag) && arg.is_hide_set()))
        {
            found.push(format!("{name} has no flag --{flag} that it could be without"));
        }
    }
    found
}

fn collect(command: &Command, path: &str, found: &mut Vec<String>) {
    if command.get_about().is_none() {
        found.push(format!("no help text: {path}"));
    }
    let has_run = command.get_arguments().any(|argument| argument.get_long() == Some("fresh"));
    for argument in command.get_arguments() {
        let own = !["help", "version"].contains(&argument.get_id().as_str());
        let name = argument.get_long().map_or_else(|| argument.get_id().to_string(), |long| format!("--{long}"));
        if own && argument.get_help().is_none() && argument.get_long_help().is_none() && !argument.is_hide_set() {
            found.push(format!("no help text: {path} {name}"));
        }
        if let Some(section) = misplaced(argument).filter(|_| has_run) {
            found.push(format!("{path} {name} does not stand under {section}"));
        }
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        collect(inner, &format!("{path} {}", inner.get_name()), found);
    }
}

/// The section that a shared flag should stand in, if it stands in another one.
fn misplaced(argument: &Arg) -> Option<&'static str> {
    let long = argument.get_long()?;
    let (section, _) = SECTIONS.iter().find(|(_, flags)| flags.contains(&long))?;
    (argument.get_help_heading() != Some(section)).then_some(section)
}

/// The commands that have no commands of their own, as `reference build`.
fn leaves(command: &Command, path: &str) -> Vec<String> {
    let inner = |inner: &Command| {
        let path = format!("{path} {}", inner.get_name()).trim_start().to_owned();
        if inner.has_subcommands() { leaves(inner, &path) } else { vec![path] }
    };
    command.get_subcommands().filter(|inner| inner.get_name() != "help").flat_map(inner).collect()
}

/// The words of a line as a shell would part them, with quotes of either kind.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.push(c),
            None if c == '\'' || c == '"' => (quote, any) = (Some(c), true),
            None if c.is_whitespace() => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            None => {
                word.push(c);
                any = true;
            }
        }
    }
    words.extend(any.then_some(word));
    words
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches, Parser, Subcommand};

    use super::*;
    use crate::cli::{CommandExamples, GlobalArgs, Without};

    /// Tool.
    #[derive(Debug, Parser)]
    #[command(name = "audsem-tool")]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Debug, Subcommand)]
    enum Sub {
        Bare(Flags),
        /// Told
        #[command(after_help = "More.")]
        Told(Flags),
    }

    #[derive(Debug, Args)]
    struct Flags {
        #[arg(long)]
        bare: bool,
        /// Elsewhere
        #[arg(long)]
        workers: Option<u32>,
        /// A run
        #[arg(long, help_heading = "Run")]
        fresh: bool,
    }

    impl HasGlobal for Cli {
        fn global(&self) -> &GlobalArgs {
            &self.global
        }

        fn examples() -> &'static [CommandExamples] {
            &[("told", &["--bare --workers 3", "--workers many"])]
        }

        fn without() -> &'static [Without] {
            &[("told", "fresh", "it has no run folder"), ("told", "seed", "")]
        }
    }

    #[test]
    fn finds_what_is_wrong_with_a_help() {
        let found = faults::<Cli>();
        for expected in [
            "no help text: audsem-tool bare",
            "no help text: audsem-tool told --bare",
            "audsem-tool told --workers does not stand under Run",
            "bare has no example",
            "told has no flag --seed that it could be without",
            "cli/binaries.rs of core does not list the commands [\"bare\", \"told\"]",
        ] {
            assert!(found.iter().any(|fault| fault == expected), "{expected}: {found:#?}");
        }
        let wrong: Vec<_> = found.iter().filter(|fault| fault.starts_with("example of")).collect();
        assert!(wrong.len() == 1 && wrong[0].contains("many"), "{wrong:?}");
        let call = |words: &[&str]| {
            let command = whole::command::<Cli>(None);
            let matches = command.clone().try_get_matches_from(["audsem-tool", "told"].iter().chain(words)).unwrap();
            whole::refuse_what_means_nothing::<Cli>(&matches, &command).map_err(|error| error.to_string())
        };
        assert_eq!(call(&["--bare"]), Ok(()));
        let refused = call(&["--fresh"]).unwrap_err();
        assert!(refused.starts_with("error: --fresh means nothing for `told`: it has no run folder"), "{refused}");
        let parsed =
            Cli::from_arg_matches(&Cli::command().get_matches_from(["audsem-tool", "told", "--bare"])).unwrap();
        assert!(
            matches!(parsed.command, Sub::Told(Flags { bare: true, workers: None, fresh: false }))
                && !parsed.global.json
        );
    }

    #[test]
    fn notes_stand_behind_the_examples() {
        let command = whole::command::<Cli>(None);
        let help = command.find_subcommand("told").unwrap().get_after_help().unwrap().to_string();
        let examples = "Examples:\n  audsem-tool told --bare --workers 3\n  audsem-tool told --workers many";
        assert_eq!(help, format!("{examples}\n\nMore."));
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("a --b 'c d' \"e\" ''  f"), ["a", "--b", "c d", "e", "", "f"]);
    }
}
