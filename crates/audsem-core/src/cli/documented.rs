//! Checks that every flag and subcommand has a help text.

use clap::Command;

/// Subcommands, flags and positional arguments without help text, as `tool command --flag`. For
/// tests, which expect none.
pub fn undocumented(command: &Command) -> Vec<String> {
    let mut found = Vec::new();
    collect(command, command.get_name(), &mut found);
    found
}

fn collect(command: &Command, path: &str, found: &mut Vec<String>) {
    if command.get_about().is_none() {
        found.push(path.to_owned());
    }
    for argument in command.get_arguments() {
        let own = !["help", "version"].contains(&argument.get_id().as_str());
        if own && argument.get_help().is_none() && argument.get_long_help().is_none() && !argument.is_hide_set() {
            let name = argument.get_long().map_or_else(|| argument.get_id().to_string(), |long| format!("--{long}"));
            found.push(format!("{path} {name}"));
        }
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        collect(inner, &format!("{path} {}", inner.get_name()), found);
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn finds_what_has_no_help() {
        let inner = Command::new("inner").arg(Arg::new("bare").long("bare")).arg(Arg::new("told").help("Told"));
        let outer = Command::new("tool").about("A tool").subcommand(inner);
        assert_eq!(undocumented(&outer), ["tool inner", "tool inner --bare"]);
    }
}
