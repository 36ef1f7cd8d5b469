#![allow(clippy::unwrap_used)]

use audsem_core::files::write_atomically;
use audsem_core::testing::run_python;
use serde_json::Value;

use super::*;
use crate::item::read_audiobench;
use crate::sound_library::SoundLibrary;

fn selection(name: &str) -> RowSelection {
    let instructions = Instructions::built_in().clone();
    RowSelection { set: AudioBenchSet::named(name).unwrap(), subset: None, instructions, seed: 42, each_row: false }
}

fn read_json(name: &str, rows: &Value) -> Result<BenchmarkItems, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.json");
    write_atomically(&path, rows.to_string().as_bytes()).unwrap();
    read_audiobench(&[path], &selection(name)).map_err(|error| error.to_string())
}

/// Tables of two files with sounds inside, flat and nested, and one of MMSU.
const TABLES: &str = r"
import pyarrow as pa, pyarrow.parquet as pq

file = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
both = pa.struct([('text', pa.string()), ('audio', file)])
def sound(n):
    return {'bytes': b'sound %d' % n, 'path': 'clip.flac'}
def flat(rows):
    return pa.table({'context': pa.array([sound(n) for n, _ in rows], file), 'answer': [text for _, text in rows]})
pq.write_table(flat([(1, 'one'), (2, 'two'), (1, 'uno')]), 'flat/test-00000-of-00002.parquet', row_group_size=2)
pq.write_table(flat([(3, 'three'), (2, 'dos')]), 'flat/test-00001-of-00002.parquet')
rows = [{'text': None, 'audio': sound(7)}, {'text': None, 'audio': None}]
nested = {'context': pa.array(rows, both)}
for name in ('instruction', 'answer'):
    nested[name] = pa.array([{'text': f'{name} {n}', 'audio': None} for n in range(2)], both)
pq.write_table(pa.table(nested), 'nested.parquet')
mmsu = {'id': ['m'], 'audio': pa.array([sound(9)], file), 'question': ['Which?'], 'answer_gt': ['x'], 'task_name': ['stress']}
mmsu |= {f'choice_{letter}': [letter] for letter in 'abcd'}
pq.write_table(pa.table(mmsu), 'mmsu.parquet')
";

fn tables() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("flat")).unwrap();
    let _ = run_python(TABLES, folder.path());
    folder
}

#[test]
fn rows_of_tables_are_questions_about_the_sounds_inside() {
    let folder = tables();
    let read = read_audiobench(&[folder.path().join("flat")], &selection("wavcaps_test")).unwrap();
    let told: Vec<_> = read.items.iter().map(|item| (item.id.as_str(), item.references[0].as_str())).collect();
    assert_eq!(told, [("0", "one"), ("1", "two"), ("2", "uno"), ("3", "three"), ("4", "dos")]);
    let first = &read.items[0];
    assert_eq!((first.kind, first.question.as_str()), (AnswerKind::Caption, "Describe in detail what can be heard."));
    assert_eq!(first.published["reference"], "one");
    assert_eq!((&first.sounds, &read.items[1].sounds), (&read.items[2].sounds, &read.items[4].sounds));
    assert_eq!(read.files.len(), 2);
    assert!(read.notes[0].contains("has 5 rows here, and 1730 or a multiple of it"), "{:?}", read.notes);
    let library = SoundLibrary::open(&[]).unwrap().with_tables(&read.sounds);
    for (at, expected) in [(0, "sound 1"), (1, "sound 2"), (3, "sound 3"), (0, "sound 1")] {
        let sound = library.read(&read.items[at].sounds[0]).unwrap().unwrap();
        assert_eq!((sound.suffix.as_str(), sound.bytes.as_slice()), ("flac", expected.as_bytes()));
    }
    // The report finds them by the tables alone.
    let by_file = SoundLibrary::open(&read.files).unwrap();
    assert_eq!(by_file.read(&first.sounds[0]).unwrap().unwrap().bytes, b"sound 1");
}

#[test]
fn a_table_that_has_changed_since_is_noticed() {
    let folder = tables();
    let path = folder.path().join("flat/test-00000-of-00002.parquet");
    let read = read_audiobench(std::slice::from_ref(&path), &selection("wavcaps_test")).unwrap();
    std::fs::copy(folder.path().join("flat/test-00001-of-00002.parquet"), &path).unwrap();
    let library = SoundLibrary::open(&[]).unwrap().with_tables(&read.sounds);
    let problem = library.read(&read.items[0].sounds[0]).unwrap_err().to_string();
    assert!(problem.contains("has the table changed?"), "{problem}");
}

#[test]
fn rows_about_one_sound_are_one_question_of_audiocaps() {
    let folder = tables();
    let data = [folder.path().join("flat")];
    let read = read_audiobench(&data, &selection("audiocaps_test")).unwrap();
    let told: Vec<_> = read.items.iter().map(|item| (item.id.as_str(), item.references.join(", "))).collect();
    assert_eq!(told, [("0", "one, uno".to_owned()), ("1", "two, dos".to_owned()), ("3", "three".to_owned())]);
    assert_eq!(read.items[1].published["rows"], serde_json::json!([1, 4]));
    assert!(read.notes[1].contains("5 rows are about 3 sounds"), "{:?}", read.notes);
    let apart = RowSelection { each_row: true, ..selection("audiocaps_test") };
    assert_eq!(read_audiobench(&data, &apart).unwrap().items.len(), 5);
    // The published evaluation takes rows 4, 2 and 3 of five first.
    let some = RowSelection { subset: Some(3), ..apart };
    let ids: Vec<String> = read_audiobench(&data, &some).unwrap().items.into_iter().map(|item| item.id).collect();
    assert_eq!(ids, subset::first_after_shuffle(5, 3).iter().map(usize::to_string).collect::<Vec<_>>());
}

#[test]
fn nested_rows_are_read_and_a_row_without_sound_is_told() {
    let folder = tables();
    let read = read_audiobench(&[folder.path().join("nested.parquet")], &selection("ytb_sqa_batch1")).unwrap();
    let told: Vec<_> = read.items.iter().map(|item| (item.question.as_str(), item.references[0].as_str())).collect();
    assert_eq!(told, [("instruction 0", "answer 0"), ("instruction 1", "answer 1")]);
    assert!(read.notes.iter().any(|note| note.contains("1 row without sound")), "{:?}", read.notes);
    let library = SoundLibrary::open(&[]).unwrap().with_tables(&read.sounds);
    assert_eq!(library.read(&read.items[0].sounds[0]).unwrap().unwrap().bytes, b"sound 7");
    assert!(!library.has(&read.items[1].sounds[0]).unwrap());
}

#[test]
fn sounds_inside_the_table_of_mmsu_are_found() {
    let folder = tables();
    let path = folder.path().join("mmsu.parquet");
    let read = crate::item::read_benchmark(crate::item::Benchmark::Mmsu, std::slice::from_ref(&path)).unwrap();
    let item = &read.items[0];
    assert_eq!((item.choices.len(), item.groups["task_name"].as_str()), (4, "stress"));
    let library = SoundLibrary::open(&[]).unwrap().with_tables(&read.sounds);
    assert_eq!(library.read(&item.sounds[0]).unwrap().unwrap().bytes, b"sound 9");
}

#[test]
fn options_lead_ins_and_spoken_instructions_are_read() {
    let options = "(A) a dog\n(B) a door";
    let row = json!({ "context": "a.wav", "instruction": "Which?", "choices": options, "answer": "(B) a door" });
    let read = read_json("muchomusic_test", &json!([row])).unwrap();
    let item = &read.items[0];
    assert_eq!(
        (item.kind, item.choices.join("|"), item.references[0].as_str()),
        (AnswerKind::Choice, "a dog|a door".to_owned(), "a door")
    );
    assert_eq!((item.published["reference"].as_str(), item.sounds[0].as_str()), (Some("(B) a door"), "a.wav"));
    let mut row = row;
    row["choices"] = "a dog, a door".into();
    let read = read_json("muchomusic_test", &json!([row])).unwrap();
    assert_eq!(
        (read.items[0].kind, read.items[0].question.as_str()),
        (AnswerKind::Open, "Which?\nChoices:\na dog, a door")
    );
    assert!(
        read.notes.iter().any(|note| note.contains("1 row with options that letters do not tell apart")),
        "{:?}",
        read.notes
    );

    let mini = json!([{ "context": { "path": "a.wav" }, "instruction": "Which?", "choices": ["(A) x", "(B) y"],
        "answer": "(A) x", "other_attributes": { "task": "music" } }]);
    let item = &read_json("mmau_mini", &mini).unwrap().items[0];
    assert_eq!((item.groups["task"].as_str(), item.choices.join("|")), ("music", "x|y".to_owned()));

    let accent = json!([{ "context": "a.wav", "answer": "From the audio, I guess the speaker is from Norway" }]);
    let item = &read_json("voxceleb_accent_test", &accent).unwrap().items[0];
    assert_eq!((item.references[0].as_str(), item.kind), ("Norway", AnswerKind::Open));

    let several = json!([{ "context": "a.wav", "instruction": "What?", "answer": ["a dog", "a hound"] }]);
    let item = &read_json("clotho_aqa_test", &several).unwrap().items[0];
    assert_eq!(item.references, ["a dog", "a hound"], "every answer of a row counts");

    let spoken = json!([{ "context": "a.wav", "speech_instruction": "Name a bird.", "answer": "A wren." }]);
    let item = &read_json("alpaca_audio_test", &spoken).unwrap().items[0];
    assert_eq!(item.published[SPOKEN_INSTRUCTION], "Name a bird.");
}

#[test]
fn rows_that_are_no_questions_say_what_is_wrong() {
    for (name, row, expected) in [
        ("clotho_aqa_test", json!({ "context": "a.wav", "answer": "x" }), "record 1: it has no `instruction`"),
        ("clotho_aqa_test", json!({ "instruction": 1.5, "answer": true }), "`answer` is no text"),
        ("clotho_aqa_test", json!({ "instruction": { "text": [1] } }), "`instruction` is no text"),
    ] {
        let problem = read_json(name, &json!([row])).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
}
