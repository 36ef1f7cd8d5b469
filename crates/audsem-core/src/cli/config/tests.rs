#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::*;
use crate::cli::{GlobalArgs, RunArgs};

#[derive(Debug, Parser)]
#[command(name = "audsem-filtering")]
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
        #[arg(long)]
        table: Option<PathBuf>,
    },
    Other {
        #[arg(long)]
        count: Option<u32>,
        #[arg(long)]
        threshold: Option<f32>,
        #[arg(long, value_enum)]
        policy: Option<Policy>,
    },
    Reference {
        #[command(subcommand)]
        command: Inner,
    },
}

#[derive(Debug, Subcommand)]
enum Inner {
    Build {
        #[arg(long)]
        count: Option<u32>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Policy {
    All,
    None,
}

/// Parses a call with the file `c.toml`; a message has no folder in it.
fn call(file: &str, words: &[&str]) -> Result<Cli, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, file).unwrap();
    let config = ["--config", path.to_str().unwrap()];
    let call = ["audsem-filtering"].iter().chain(words).chain(&config);
    let matches = matches_from(Cli::command(), call.map(OsString::from));
    let parsed = matches.and_then(|matches| Ok(Cli::from_arg_matches(&matches)?));
    parsed.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn extract(file: &str, flags: &[&str]) -> Result<Cli, String> {
    call(file, &[&["extract"], flags].concat())
}

#[track_caller]
fn refuses(file: &str, expected: &str) {
    assert_eq!(extract(file, &["--output", "o"]).unwrap_err(), expected);
}

#[test]
fn a_file_fills_in_what_the_flags_leave_open() {
    let file = "quiet = true\nmin-seconds = 2.5\n[extract]\noutput = \"o\"\ndry_run = true\nlang = [\"en\", \"de\"]\n[other]\ncount = 3";
    let cli = extract(file, &["--min-seconds", "3"]).unwrap();
    assert!(cli.global.quiet);
    let Sub::Extract { run, min_seconds, lang, .. } = cli.command else { panic!("another subcommand") };
    assert_eq!((run.output, run.dry_run, min_seconds), ("o".into(), true, 3.0));
    assert_eq!(lang, ["en", "de"]);
    let cli = extract(file, &[]).unwrap();
    assert!(matches!(cli.command, Sub::Extract { min_seconds: 2.5, .. }));
    let cli = extract("languages_old = \"fr\"", &["--output", "o"]).unwrap();
    assert!(matches!(cli.command, Sub::Extract { lang, .. } if lang == ["fr"]), "a key may be a flag's older name");
}

#[test]
fn one_file_serves_all_binaries() {
    let file = r#"
        workers = 2            # for every command that has it
        device = "cpu"         # for those of other binaries alone
        count = 1              # another command of this binary
        [filtering]
        min-seconds = 3
        [clip-embeddings.extract]
        anything = { at = "all" }
        [audsem-tarify]
        per-shard = 1000
        [sft]
        learning-rate = 1e-4
        [reference.build]
        count = 7
        [audsem-filtering.extract]
        seed = 9
        verbose = 1
        [extract]
        seed = 4
        output = "o"
    "#;
    let cli = extract(file, &[]).unwrap();
    assert_eq!(cli.global.verbose, 1, "a flag of every binary may stand in a section");
    let Sub::Extract { run, min_seconds, .. } = cli.command else { panic!("another subcommand") };
    assert_eq!((run.workers, min_seconds, run.seed), (Some(2), 3.0, 9), "what is more specific counts");
    let cli = call(file, &["reference", "build"]).unwrap();
    assert_eq!(cli.global.verbose, 0, "that of another command");
    assert!(matches!(cli.command, Sub::Reference { command: Inner::Build { count: Some(7) } }));
    let cli = call(file, &["other"]).unwrap();
    assert!(matches!(cli.command, Sub::Other { count: Some(1), .. }));
}

#[test]
fn a_section_counts_before_the_top_whatever_the_names() {
    let cli = extract("workers = 8\n[extract]\nworkers = 2\noutput = \"o\"", &[]).unwrap();
    assert!(matches!(cli.command, Sub::Extract { run, .. } if run.workers == Some(2)));
}

#[test]
fn unknown_keys_are_told_with_what_was_meant() {
    refuses(
        "[other]\ncount = 1\ntreshold = 0.5",
        "unknown key `treshold` of `other`, in c.toml, line 3, column 1\nhint: did you mean `threshold`?",
    );
    refuses(
        "min_second = 1",
        "unknown key `min_second`, in c.toml, line 1, column 1\nhint: did you mean `min-seconds`?",
    );
    refuses(
        "[extrakt]\noutput = \"o\"",
        "unknown section `[extrakt]`, in c.toml, line 1, column 2\nhint: did you mean `[extract]`?",
    );
    refuses(
        "[filtering.othre]\ncount = 1",
        "unknown section `[othre]`, in c.toml, line 1, column 12\nhint: did you mean `[other]`?",
    );
    refuses(
        "[whatever]\ncount = 1",
        "unknown section `[whatever]`, in c.toml, line 1, column 2\nhint: a section is called after a command or a \
         binary, such as [classify] or [filtering.classify]",
    );
    refuses(
        "learning-rate = 1",
        "unknown key `learning-rate`, in c.toml, line 1, column 1\nhint: no command of audsem-filtering has this flag; \
         a flag of another binary goes to its section, such as [training.sft]",
    );
    refuses(
        "[reference.build]\noutput = \"o\"",
        "unknown key `output` of `reference build`, in c.toml, line 2, column 1\nhint: the keys allowed there are \
         count, config, json, verbose, quiet, no-progress, progress-every",
    );
}

#[test]
fn values_that_a_flag_does_not_take_are_told_with_their_place() {
    let cases = [
        ("workers = \"many\"", "`workers` in c.toml, line 1, column 11: expected a whole number, found \"many\""),
        ("\n\nworkers = 2.5", "`workers` in c.toml, line 3, column 11: expected a whole number, found 2.5"),
        ("min-seconds = true", "`min-seconds` in c.toml, line 1, column 15: expected a number, found true"),
        (
            "min-seconds = 2020-01-01",
            "`min-seconds` in c.toml, line 1, column 15: expected a number, found a date or time",
        ),
        ("min-seconds = [1, 2]", "`min-seconds` in c.toml, line 1, column 15: expected a number, found a list"),
        ("dry-run = \"no\"", "`dry-run` in c.toml, line 1, column 11: expected true or false, found \"no\""),
        ("table = 5", "`table` in c.toml, line 1, column 9: expected a string, found 5"),
        ("lang = [\"en\", 5]", "`lang` in c.toml, line 1, column 15: expected a string, found 5"),
        ("max-fail-rate = 7", "`max-fail-rate` in c.toml, line 1, column 17: expected a share from 0 to 1, found 7"),
        (
            "shard = \"4/4\"",
            "`shard` in c.toml, line 1, column 9: expected I/N with 0 <= I < N, such as 0/4, found \"4/4\"",
        ),
        ("rejects = \"some\"", "`rejects` in c.toml, line 1, column 11: expected one of listed, all, found \"some\""),
        // Also what is for another command of this binary.
        (
            "[other]\npolicy = \"some\"",
            "`policy` in c.toml, line 2, column 10: expected one of all, none, found \"some\"",
        ),
        ("[other]\ncount = -1", "`count` in c.toml, line 2, column 9: -1 is not in 0..=4294967295, found -1"),
    ];
    for (file, expected) in cases {
        refuses(file, expected);
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let error = extract("seed = 1\nlang = [\"en\"\n", &["--output", "o"]).unwrap_err();
    assert!(error.starts_with("the configuration file is not TOML, in c.toml, line "), "{error}");
    let place = Place::new("c.toml".as_ref(), "a\nüb", 4);
    assert_eq!(place.to_string(), "c.toml, line 2, column 2");
}
