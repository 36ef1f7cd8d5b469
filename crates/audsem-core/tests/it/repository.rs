//! Rules of the repository that no compiler checks. Each test lists every offender.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not ours to judge: built, fetched or made by programs.
const IGNORED: [&str; 9] = [
    ".git",
    ".venv",
    "__pycache__",
    "assets",
    "demo-out",
    "fuzz-corpus",
    "node_modules",
    "proptest-regressions",
    "target",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file of the repository, relative to its root, in order.
fn files() -> Vec<PathBuf> {
    let (root, mut found, mut folders) = (root(), Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if IGNORED.iter().any(|ignored| name == *ignored) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "only {} files found: is this the repository?", found.len());
    found
}

fn with_extension(extension: &'static str) -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter(move |path| path.extension().is_some_and(|e| e == extension)).map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    })
}

/// Every file that is text, with its text.
fn texts() -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter_map(|path| {
        let text = String::from_utf8(fs::read(root().join(&path)).unwrap()).ok()?;
        Some((path, text))
    })
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "benches")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The lines of a source file before its test module.
pub(crate) fn lines_of_code(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].starts_with("mod "));
    tests.unwrap_or(lines.len())
}

#[track_caller]
pub(crate) fn none(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn source_files_are_short() {
    let long: Vec<String> = with_extension("rs")
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, lines_of_code(&text)))
        .filter(|(_, lines)| *lines > 400)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    none(&long, "a source file has at most 400 lines besides its tests");
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two halves so that this file does not offend.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("unimpl", "emented!")];
    let mut offenders = Vec::new();
    for (path, text) in texts().filter(|(path, _)| !path.ends_with("Cargo.lock") && !path.starts_with("fixtures")) {
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().any(|word| {
                line.split(|c: char| !c.is_ascii_alphanumeric() && c != '!' && c != ':').any(|part| part == *word)
            });
            if found {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none(&offenders, "what is not done is an issue, not a note in the code");
}

#[test]
fn modules_are_named_after_what_they_hold() {
    let vague = ["utils.rs", "util.rs", "common.rs", "helpers.rs", "helper.rs", "misc.rs"];
    let offenders: Vec<String> = files()
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| vague.iter().any(|v| name == *v)))
        .map(|path| path.display().to_string())
        .collect();
    none(&offenders, "a file is named after what it holds");
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let mut offenders = Vec::new();
    for (path, text) in texts().filter(|(path, _)| !path.ends_with("repository.rs")) {
        for (number, line) in text.lines().enumerate() {
            let absolute = [concat!("/ro", "ot/"), "/home/", "/Users/", "/mnt/"].iter().any(|prefix| {
                line.match_indices(prefix)
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}~$".contains(c)))
            });
            if absolute {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none(&offenders, "paths are relative to the repository or come from flags");
}

#[test]
fn every_fixture_says_where_it_comes_from() {
    let scripts: String =
        texts().filter(|(path, _)| path.starts_with("fixtures/regen")).map(|(_, text)| text).collect();
    let mut offenders = Vec::new();
    for path in files().into_iter().filter(|path| path.starts_with("fixtures") && !path.starts_with("fixtures/regen")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let card_names_it =
            path.ancestors().skip(1).take_while(|folder| folder.starts_with("fixtures")).any(|folder| {
                let card = fs::read_to_string(root().join(folder).join("README.md")).unwrap_or_default();
                // A card may speak of a whole folder.
                let folder_name = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned() + "/";
                card.contains(&name) || card.contains(&stem) || card.contains(&folder_name)
            });
        let own_word = name == "README.md" || name == "requirements.txt";
        if !own_word && !card_names_it && !scripts.contains(&stem) {
            offenders.push(path.display().to_string());
        }
    }
    none(&offenders, "a fixture is named in the README.md of its folder or by a script in fixtures/regen");
}

#[test]
fn no_field_of_a_hashed_configuration_is_skipped() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs").filter(|(path, _)| !path.ends_with("repository.rs")) {
        for (at, found) in text.match_indices("impl RunConfig for ") {
            let name: String =
                text[at + found.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // A macro's, which declares the type beside it.
            if text[at + found.len()..].starts_with('$') {
                continue;
            }
            let head = format!("struct {name}");
            let Some(begin) =
                text.match_indices(&head).map(|(at, _)| at).find(|at| text[at + head.len()..].starts_with([' ', '<']))
            else {
                offenders.push(format!("{}: {name} is declared elsewhere", path.display()));
                continue;
            };
            let body = text[begin..].split("\n}").next().unwrap_or_default();
            if body.contains("serde(skip") {
                offenders.push(format!("{}: {name}", path.display()));
            }
        }
    }
    none(&offenders, "a configuration that is hashed holds what decides the output, and all of it is hashed");
}

#[test]
fn heavy_libraries_have_one_door_each() {
    let doors = [("polars", "crates/audsem-core/src/tables"), ("candle_transformers", "crates/audsem-models")];
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs").filter(|(path, _)| !path.ends_with("repository.rs")) {
        for (library, door) in doors {
            let used = |line: &str| line.contains(&format!("use {library}")) || line.contains(&format!("{library}::"));
            if !path.starts_with(door) && text.lines().any(|line| !line.trim_start().starts_with("//") && used(line)) {
                offenders.push(format!("{} uses {library}; only {door} may", path.display()));
            }
        }
    }
    none(&offenders, "a change of a library's interface touches one place");
}

#[test]
fn stages_meet_through_files_only() {
    let floor = ["audsem-core", "audsem-media", "audsem-llm", "audsem-metrics", "audsem-report", "audsem-models"];
    let mut offenders = Vec::new();
    for (path, text) in
        with_extension("toml").filter(|(path, _)| path.starts_with("crates") && path.ends_with("Cargo.toml"))
    {
        let name =
            text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default().trim_matches('"').to_owned();
        for dependency in
            text.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|d| d.starts_with("audsem-"))
        {
            let allowed = match name.as_str() {
                // Its own tests turn on the feature `testing` this way.
                "audsem-core" => dependency == "audsem-core",
                "audsem-media" | "audsem-llm" | "audsem-metrics" | "audsem-report" => dependency == "audsem-core",
                "audsem-models" => ["audsem-core", "audsem-media", "audsem-llm"].contains(&dependency),
                _ => floor.contains(&dependency),
            };
            if !allowed {
                offenders.push(format!("{}: {name} depends on {dependency}", path.display()));
            }
        }
    }
    none(
        &offenders,
        "core imports no crate of ours; media, llm, metrics and report only core; models core, media and llm; stages only these six",
    );
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("md") {
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.contains("://") || file.starts_with("mailto:") || file.contains(char::is_whitespace);
            if !file.is_empty() && !elsewhere && !root().join(path.parent().unwrap()).join(file).exists() {
                offenders.push(format!("{}: {target}", path.display()));
            }
        }
    }
    none(&offenders, "a link in a document names a file that is there");
}

/// Source of the crates without their tests and examples.
pub(crate) fn library_sources() -> impl Iterator<Item = (PathBuf, String)> {
    with_extension("rs").filter(|(path, _)| {
        let in_source = path.components().nth(2).is_some_and(|c| c.as_os_str() == "src");
        path.starts_with("crates") && in_source && !is_test(path)
    })
}

/// The item that a line declares: its kind and name, whatever its visibility.
fn declared(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let kinds = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static"];
    let before = ["pub", "crate", "super", "unsafe", "async"];
    let kind = words.find(|word| !before.contains(word)).filter(|word| kinds.contains(word))?;
    Some((kind, words.next()?))
}

#[test]
fn documentation_names_its_subject() {
    let pronouns = ["They", "Them", "Their", "Those", "These", "It", "Its", "That"];
    let mut offenders = Vec::new();
    for (path, text) in library_sources() {
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(doc) = line.strip_prefix("/// ") else { continue };
            let is_first = number == 0 || !lines[number - 1].starts_with("///");
            let item = lines[number..].iter().find(|line| !line.starts_with("///") && !line.starts_with("#["));
            if !is_first || item.is_none_or(|item| declared(item).is_none()) {
                continue;
            }
            let first = doc.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            if pronouns.contains(&first) || doc.starts_with("The same ") || doc.starts_with("The same,") {
                offenders.push(format!("{}:{}: {doc}", path.display(), number + 1));
            }
        }
    }
    none(&offenders, "the first sentence about an item says what it is or does, not \"Its …\" or \"The same …\"");
}

#[test]
fn texts_use_the_terms_of_the_field() {
    // The quaint phrase and the plain one. Written in two halves so that this file does not offend.
    let phrases = [
        (concat!("the whole ", "road"), "the full pipeline"),
        (concat!("the ", "house"), "the project"),
        (concat!("passed ", "over"), "skipped"),
        (concat!("none the ", "worse"), "unaffected"),
        (concat!("brought ", "nearer"), "prefetched"),
        (concat!("one's ", "own"), "local"),
        (concat!("goes on ", "where it stopped"), "continues where it stopped"),
        (concat!("goes on ", "behind"), "has data after"),
        (concat!("came to ", "nothing"), "failed"),
        (concat!("in want ", "of"), "needs"),
        (concat!("as good ", "as new"), "undamaged"),
        (concat!("takes us for ", "a robot"), "suspects a bot"),
        (concat!("shard in ", "hand"), "shard in progress"),
        (concat!("unless said ", "otherwise"), "by default"),
        (concat!("will not be ", "heeded"), "cannot be handled"),
        (concat!("one behind ", "the other"), "concatenated"),
    ];
    let mut offenders = Vec::new();
    for (path, text) in texts().filter(|(path, _)| !path.starts_with("fixtures") && !path.ends_with("CHANGELOG.md")) {
        // Comments and documents break lines within a phrase.
        for (number, two) in text.lines().collect::<Vec<_>>().windows(2).enumerate() {
            let second = two[1].trim_start().trim_start_matches(['/', '!', '#']).trim_start();
            let joined = format!("{} {second}", two[0].trim_end()).to_lowercase();
            for (quaint, plain) in phrases {
                let found = joined.find(quaint).filter(|at| *at < two[0].len());
                if found.is_some_and(|at| !joined[at + quaint.len()..].starts_with(char::is_alphanumeric)) {
                    offenders.push(format!("{}:{}: {quaint:?}; say {plain:?}", path.display(), number + 1));
                }
            }
        }
    }
    none(&offenders, "texts are in plain English with the standard terms of the field");
}

#[test]
fn public_types_have_names_of_their_own() {
    // What every crate has one of, by convention; command lines are seen by their own binary alone.
    let shared = ["Cli", "Command", "Config", "DropReason", "Error", "Fault", "Result"];
    let mut crates_by_name: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> = Default::default();
    for (path, text) in library_sources() {
        let of_a_command_line = path.components().any(|c| c.as_os_str() == "cli") || path.ends_with("args.rs");
        let owner = path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
        for line in text.lines().map(str::trim_start).filter(|line| line.starts_with("pub ")) {
            if let Some(("struct" | "enum" | "trait" | "type", name)) = declared(line)
                && !shared.contains(&name)
                && (!of_a_command_line || owner == "audsem-core")
            {
                crates_by_name.entry(name.to_owned()).or_default().insert(owner.clone());
            }
        }
    }
    let offenders: Vec<String> = crates_by_name
        .into_iter()
        .filter(|(_, crates)| crates.len() > 1)
        .map(|(name, crates)| format!("{name}: {}", crates.into_iter().collect::<Vec<_>>().join(", ")))
        .collect();
    none(&offenders, "a public type is called what no other crate calls its own");
}
