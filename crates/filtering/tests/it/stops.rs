//! What people see and do while a command runs: progress, stop requests, colours; completions and the manual.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audsem_core::testing::loopback::Loopback;
use audsem_core::testing::python;

use super::label::{cues, judge};

const PROGRAM: &str = env!("CARGO_BIN_EXE_audsem-filtering");

/// A folder with twelve captions, whose server answers when it is told to.
struct Questions {
    folder: tempfile::TempDir,
    input: PathBuf,
    asked: Receiver<()>,
    // Before the server, which waits for it.
    answer: Sender<()>,
    server: Loopback,
}

impl Questions {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let texts: Vec<String> = (0..12).map(|i| format!("[noise {i}]")).collect();
        let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let ((asks, asked), (answer, answers)) = (channel(), channel::<()>());
        let (asks, answers) = (Mutex::new(asks), Arc::new(Mutex::new(answers)));
        let server = Loopback::start(move |call, _| {
            let _ = asks.lock().unwrap().send(());
            // Without a sender every question is answered at once.
            let _ = answers.lock().unwrap().recv_timeout(Duration::from_secs(60));
            judge(call)
        });
        Self { folder, input, asked, answer, server }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["label", "--model", "m", "--concurrency", "1", "--server", &self.server.url("/v1"), "--input"]);
        command.arg(&self.input).arg("--output").arg(self.out()).args(flags);
        command.env_remove("NO_COLOR").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// A call whose first question has arrived.
    fn begun(&self, flags: &[&str]) -> Child {
        let child = self.command(flags).spawn().unwrap();
        self.asked.recv_timeout(Duration::from_secs(60)).unwrap();
        child
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_stop_request_says_what_is_finished_and_ends_with_code_3_and_the_same_command_completes() {
    let questions = Questions::new();
    let mut child = questions.begun(&[]);
    signal(&child, "-INT");
    // It is told at once, not at the end.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert_eq!(
        first,
        "stopping: label: no further question is asked; answers that have come are kept for the next run"
    );
    assert_eq!(
        lines.next().unwrap(),
        "a second signal (Ctrl-C) ends at once; what is then in progress is done anew by the next run"
    );
    questions.answer.send(()).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{rest:#?}");
    let verdict = "  stopped on request: 1 shard is left; run the same command again to continue";
    assert!(rest.iter().any(|line| line == verdict), "{rest:#?}");
    assert!(!rest.iter().any(|line| line.contains("error")), "{rest:#?}");

    let Questions { folder: _folder, input, server, asked: _asked, answer } = questions;
    drop(answer);
    let out = input.with_file_name("out");
    let mut again = Command::new(PROGRAM);
    again.args(["label", "--model", "m", "--concurrency", "1", "--server", &server.url("/v1"), "--input"]);
    let again = again.arg(&input).arg("--output").arg(&out).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_eq!(server.calls().len(), 12, "no question is asked twice");
}

#[test]
fn a_second_signal_ends_at_once() {
    let questions = Questions::new();
    let mut child = questions.begun(&[]);
    signal(&child, "-INT");
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("stopping: "), "{first}");
    let asked = Instant::now();
    signal(&child, "-INT");
    // The server has not answered yet.
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[test]
fn without_a_terminal_progress_is_told_in_plain_lines() {
    let questions = Questions::new();
    let mut child = questions.begun(&["--progress-every", "0.05"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // On a busy machine the step before is slow enough to tell of itself. Nothing is answered before.
    let first = lines.by_ref().find(|line| !line.starts_with("label (texts): ")).unwrap();
    assert!(first.starts_with("label: no texts yet after ") && first.ends_with(" s"), "{first}");
    questions.answer.send(()).unwrap();
    let line = lines.by_ref().find(|line| line.starts_with("label: 1 of 12 texts (")).expect("a line that counts");
    assert!(line.contains("tok/s)") && line.ends_with(" left"), "{line}");
    drop(questions.answer);
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:#?}");
    assert!(rest.iter().all(|line| !line.contains('\u{1b}')), "{rest:#?}");
}

#[test]
fn those_who_want_silence_have_it() {
    for silence in ["--no-progress", "--quiet"] {
        let questions = Questions::new();
        let mut child = questions.begun(&[silence, "--progress-every", "0.02"]);
        // A second question is asked after the first one is answered.
        questions.answer.send(()).unwrap();
        questions.asked.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(questions.answer);
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
        // The summary begins with the name of the program.
        assert!(!told.lines().any(|line| line.starts_with("label: ")), "{told}");
        assert!(silence != "--quiet" || told.is_empty(), "{told}");
    }
}

/// What a call writes to a terminal of Python's, with these variables.
fn on_a_terminal(arguments: &str, variables: &str, folder: &Path) -> String {
    let script = format!(
        "import os, pty\n\
         os.environ.pop('NO_COLOR', None)\n\
         os.environ.update({variables})\n\
         told = []\n\
         def read(fd):\n    told.append(os.read(fd, 65536))\n    return told[-1]\n\
         saved = os.dup(1); null = os.open(os.devnull, os.O_WRONLY); os.dup2(null, 1)\n\
         pty.spawn([{PROGRAM:?}] + {arguments:?}.split(), read)\n\
         os.dup2(saved, 1)\n\
         os.write(1, b''.join(told))\n"
    );
    let output =
        Command::new(python()).args(["-c", &script]).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn control_sequences_are_for_terminals_that_know_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cues.csv"), "video_id,start,duration,text\nv,1,2,[cow moo]\n").unwrap();
    let calls = ["--help", "extract --nonsense", "combine -v --policy none --input cues.csv --fresh --output out"];
    for call in calls {
        let coloured = on_a_terminal(call, "{'TERM': 'xterm'}", folder.path());
        assert!(coloured.contains('\u{1b}'), "{call}: {coloured}");
        for variables in ["{'TERM': 'dumb'}", "{'TERM': 'xterm', 'NO_COLOR': '1'}"] {
            let plain = on_a_terminal(call, variables, folder.path());
            assert!(!plain.is_empty() && !plain.contains('\u{1b}'), "{call} with {variables}: {plain}");
        }
        for (name, value) in [("TERM", "xterm"), ("CLICOLOR_FORCE", "1")] {
            let piped =
                Command::new(PROGRAM).args(call.split(' ')).current_dir(&folder).env(name, value).output().unwrap();
            let both = [piped.stdout.clone(), piped.stderr.clone()].concat();
            assert!(!both.is_empty() && !both.contains(&0x1b), "{call}: {}", String::from_utf8_lossy(&both));
        }
    }
    // Nor do the files that a run writes, whatever the terminal.
    on_a_terminal(calls[2], "{'TERM': 'xterm'}", folder.path());
    for entry in std::fs::read_dir(folder.path().join("out")).unwrap() {
        let path = entry.unwrap().path();
        let is_text = path.extension().is_some_and(|extension| extension != "parquet");
        let bytes = std::fs::read(&path).unwrap();
        assert!(!is_text || !bytes.contains(&0x1b), "{}: {}", path.display(), String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_version_names_the_commit_where_it_is_known() {
    let output = Command::new(PROGRAM).arg("--version").output().unwrap();
    let commit = option_env!("AUDSEM_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
    let expected = format!("audsem-filtering {}{commit}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn help_names_the_exit_codes_and_examples() {
    let help = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = help(&[]);
    for line in [
        "    0  done",
        "    2  could not run",
        "    3  stopped on request (Ctrl-C, SIGTERM) before the end; the same command continues",
        "  130  ended at once by a second signal",
    ] {
        assert!(whole.lines().any(|known| known == line), "{line:?} is not in\n{whole}");
    }
    let clips = help(&["clips"]);
    assert!(
        clips.contains("Examples:\n  audsem-filtering clips --input media --table table --output clips\n"),
        "{clips}"
    );
    assert!(!clips.contains("--seed"), "it makes no random choice\n{clips}");
}

#[test]
fn a_flag_that_means_nothing_is_refused() {
    let output =
        Command::new(PROGRAM).args(["clips", "-i", "a", "-c", "b", "-o", "c", "--seed", "3"]).output().unwrap();
    let told = said(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.starts_with("error: --seed means nothing for `clips`: it makes no random choice"), "{told}");
}

#[test]
fn completions_and_pages_of_the_manual_are_made_from_the_flags() {
    let bash = Command::new(PROGRAM).args(["completions", "bash"]).output().unwrap();
    let script = String::from_utf8(bash.stdout).unwrap();
    assert!(bash.status.success() && script.contains("audsem-filtering"), "{script}");
    // What the shell offers for a beginning.
    let offer = format!(
        "{script}\nCOMP_WORDS=(audsem-filtering cli); COMP_CWORD=1; _audsem__filtering audsem-filtering cli audsem-filtering; \
         echo \"${{COMPREPLY[@]}}\"\nCOMP_WORDS=(audsem-filtering clips --per); COMP_CWORD=2; _audsem__filtering \
         audsem-filtering --per clips; echo \"${{COMPREPLY[@]}}\"\n"
    );
    let offered = Command::new("bash").args(["-c", &offer]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&offered.stdout), "clips\n--per-shard\n", "{}", said(&offered));

    let folder = tempfile::tempdir().unwrap();
    let pages = Command::new(PROGRAM).args(["man", "--output", "man1"]).current_dir(&folder).output().unwrap();
    assert!(pages.status.success(), "{}", said(&pages));
    let named: Vec<String> = String::from_utf8(pages.stdout).unwrap().lines().map(str::to_owned).collect();
    for page in ["audsem-filtering.1", "audsem-filtering-extract.1", "audsem-filtering-train-classifier.1"] {
        assert!(named.contains(&format!("man1/{page}")), "{page}: {named:#?}");
        let text = std::fs::read_to_string(folder.path().join("man1").join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    let extract = std::fs::read_to_string(folder.path().join("man1/audsem-filtering-extract.1")).unwrap();
    assert!(extract.contains("languages") && extract.contains("Examples:"), "{extract}");
}
