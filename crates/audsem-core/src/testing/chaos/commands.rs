//! The tests of a binary: one for each way to call a subcommand, and one that finds subcommands without any.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};

/// Makes a test of each named function, and one that fails where a subcommand of the binary has none. A function gets
/// the subcommand that it stands beside, and calls that.
///
/// ```text
/// audsem_core::survival_tests! {
///     crate::cli::Cli:
///     "combine" => combine;
///     "download" => download_from_a_site, download_from_a_folder;
/// }
/// ```
#[macro_export]
macro_rules! survival_tests {
    ($cli:ty: $($subcommand:literal => $($test:ident),+;)+) => {
        mod rounds {
            $($(
                #[test]
                fn $test() {
                    super::$test($subcommand);
                }
            )+)+

            #[test]
            fn every_subcommand_is_tested() {
                $crate::testing::chaos::assert_subcommands_are_tested::<$cli>(&[$($subcommand),+]);
            }
        }
    };
}

/// Fails unless these are the subcommands of a binary, those within another one as `reference build`.
///
/// # Panics
/// When one is missing, or is none.
#[track_caller]
pub fn assert_subcommands_are_tested<C: CommandFactory>(tested: &[&str]) {
    let tested: BTreeSet<String> = tested.iter().map(|name| (*name).to_owned()).collect();
    let all = subcommands(&C::command());
    let differing: Vec<_> = all.symmetric_difference(&tested).collect();
    assert!(
        differing.is_empty(),
        "subcommands without a test of faults and kills, or tests without one: {differing:?}"
    );
}

/// The subcommands that do something, by their full names.
fn subcommands(command: &Command) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let name = inner.get_name();
        match subcommands(inner) {
            below if below.is_empty() => _ = found.insert(name.to_owned()),
            below => found.extend(below.iter().map(|below| format!("{name} {below}"))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_within_others_are_found() {
        let outer = Command::new("reference").subcommands([Command::new("build"), Command::new("show")]);
        let tool = Command::new("tool").subcommands([Command::new("score"), outer, Command::new("help")]);
        assert_eq!(subcommands(&tool).into_iter().collect::<Vec<_>>(), ["reference build", "reference show", "score"]);
    }
}
