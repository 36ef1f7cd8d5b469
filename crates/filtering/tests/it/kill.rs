//! `kill -9` at any moment costs nothing but time.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use audsem_core::testing::{fill_disk_and_resume, kill_and_resume, kills, tree};

/// Kills per subcommand, half with one worker and half with two. `AUDSEM_KILLS=50` for a longer look.
const KILLS: usize = 10;

/// Runs the binary with `arguments`, `--output` and `--workers`.
fn program(arguments: &[&str], output: &Path, workers: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
    command.args(arguments).arg("--output").arg(output).args(["--workers", &workers.to_string()]);
    command
}

/// A dump of about `megabytes`, with some of everything: speech, sounds, too short ones, broken lines.
pub(crate) fn write_dump(path: &Path, megabytes: usize) {
    let mut dump = String::new();
    for video in 0.. {
        if dump.len() > megabytes << 20 {
            break;
        }
        if video % 50 == 7 {
            dump.push_str("{\"video\": {\"videoid\": \"cut off\n");
        }
        let _ = write!(
            dump,
            r#"{{"video":{{"videoid":"video-{video}"}},"captions":[{{"lang":"en","subtitles":{{"transcript":{{"text":["#
        );
        for cue in 0..30 {
            let text = match (video + cue) % 4 {
                0 => format!("[door {cue} slams]"),
                1 => "(♪)".to_owned(),
                _ => format!("and then we said number {cue} of them"),
            };
            let comma = if cue == 0 { "" } else { "," };
            let _ = write!(dump, r#"{comma}{{"-start":"{}.5","-dur":"{}.25","t":"{text}"}}"#, cue * 12, cue % 12);
        }
        dump.push_str("]}}}]}\n");
    }
    std::fs::write(path, dump).unwrap();
}

#[test]
fn extract_survives_kills() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump.jsonl");
    write_dump(&dump, 24);
    let arguments = ["extract", "--shard-mb", "2", "--max-fail-rate", "1", "--input", dump.to_str().unwrap()];
    let seen =
        kill_and_resume(folder.path(), kills(KILLS), |output, workers| program(&arguments, output, workers)).unwrap();
    assert!(seen.killed > 0 && seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}

/// 24 clips of 2 s and their table; the arguments that make shards of them.
fn clips_arguments(folder: &Path) -> Vec<String> {
    let media = folder.join("media");
    std::fs::create_dir(&media).unwrap();
    let samples: Vec<f32> = (0..16_000 * 2).map(|n| 0.4 * (n as f32 * 0.03).sin()).collect();
    let flac = audsem_media::audio::encode_flac(&samples, 1, 16_000, audsem_media::audio::BitDepth::Sixteen).unwrap();
    let row = |video: usize| audsem_core::tables::ClipRow {
        row_id: video as u64,
        key: None,
        video_id: format!("video-{video}"),
        start_ms: 1000,
        end_ms: 3000,
        text: "[tone]".to_owned(),
        clean_text: "tone".to_owned(),
        text_hash: 0,
        bert_prob: None,
        llm_yes_prob: None,
    };
    for video in 0..24 {
        std::fs::write(media.join(format!("video-{video} (1.0-3.0).flac")), &flac).unwrap();
    }
    let table = folder.join("clips.parquet");
    let rows: Vec<_> = (0..24).map(row).collect();
    audsem_core::tables::write_parquet::<audsem_core::tables::ClipRow>(&rows, std::fs::File::create(&table).unwrap())
        .unwrap();
    let (media, table) = (media.to_str().unwrap(), table.to_str().unwrap());
    ["clips", "--per-shard", "3", "--input", media, "--table", table].map(str::to_owned).to_vec()
}

#[test]
fn clips_survives_kills() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = clips_arguments(folder.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seen =
        kill_and_resume(folder.path(), kills(KILLS), |output, workers| program(&arguments, output, workers)).unwrap();
    assert!(seen.killed > 0 && seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}

#[test]
fn clips_tells_of_a_full_disk_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = clips_arguments(folder.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = fill_disk_and_resume(folder.path(), 64, |output| program(&arguments, output, 2)).unwrap();
    assert!(told.contains("cannot write") && told.contains(".tar: File too large"), "{told}");
}

#[test]
fn classify_survives_kills() {
    let folder = tempfile::tempdir().unwrap();
    let captions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv");
    let model = folder.path().join("model");
    let train = ["train-classifier", "--from-scratch", "--epochs", "1", "--limit", "400", "--input"];
    let trained = program(&[&train[..], &[captions.to_str().unwrap()]].concat(), &model, 1).output().unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let cue = |n: u64| audsem_core::tables::Cue {
        row_id: n,
        video_id: format!("v{n}"),
        start_ms: 0,
        dur_ms: 2000,
        text: format!("[{} number {n}]", "a long sound of rain and wind ".repeat(n as usize % 7)),
    };
    let rows: Vec<_> = (0..3000).map(cue).collect();
    let table = folder.path().join("cues.parquet");
    audsem_core::tables::write_parquet(&rows, std::fs::File::create(&table).unwrap()).unwrap();
    let arguments =
        ["classify", "--per-shard", "100", "--model", model.to_str().unwrap(), "--input", table.to_str().unwrap()];
    let seen =
        kill_and_resume(folder.path(), kills(KILLS), |output, workers| program(&arguments, output, workers)).unwrap();
    assert!(seen.killed > 0 && seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}

/// Long enough for a signal between two epochs.
fn training() -> [String; 8] {
    let captions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv");
    let captions = captions.to_str().unwrap();
    ["train-classifier", "--from-scratch", "--epochs", "4", "--limit", "400", "--input", captions].map(str::to_owned)
}

#[test]
fn training_survives_kills() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = training();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seen = kill_and_resume(folder.path(), kills(KILLS) / 3, |output, workers| program(&arguments, output, workers))
        .unwrap();
    assert!(seen.killed > 0, "no kill came in time: {seen:?}");
}

#[test]
fn training_heeds_a_stop_request_and_goes_on_after_its_last_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = training();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = |output: &str| {
        let mut command = program(&arguments, &folder.path().join(output), 1);
        command.arg("--json").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    };
    let summary = |output: std::process::Output, code: i32| -> serde_json::Value {
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    summary(run("undisturbed").output().unwrap(), 0);

    let mut stopped = run("stopped").spawn().unwrap();
    let state = folder.path().join("stopped/.train-state.tmp");
    while !state.exists() {
        assert!(stopped.try_wait().unwrap().is_none(), "it ended before its second epoch");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let id = stopped.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status().unwrap().success());
    let ended = stopped.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("stopping: train-classifier (train): the training stops at its next update"), "{said}");
    let told = summary(ended, 3);
    assert_eq!((told["status"].as_str(), told["shards_left"].as_u64()), (Some("interrupted"), Some(1)));
    assert!(state.exists() && !folder.path().join("stopped/model").exists());

    let output = run("stopped").arg("-v").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("continuing after epoch"), "{log}");
    assert_eq!(summary(output, 0)["status"], "done");
    assert_eq!(tree(&folder.path().join("stopped")).unwrap(), tree(&folder.path().join("undisturbed")).unwrap());
}
