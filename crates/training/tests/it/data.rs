//! Examples as a trainer takes them: masks, order, batches, resuming.

use std::sync::Arc;

use audsem_core::instructions::{InstructionProfile, Wordings};
use audsem_core::run::RunOptions;
use audsem_media::audio::Decoder;
use audsem_training::data::{
    BatchConfig, Cursor, DataSet, DataSource, EpochOrder, Loader, LoaderConfig, MicroBatch, Preparer, PromptConfig,
    SoundConfig, TargetStyle, Turns,
};
use tempfile::TempDir;

use crate::bytes::{AUDIO, ByteTokenizer, decode};
use crate::shards::{Member, json_of, shard, tone};

/// Shards of sounds of different lengths, some of which cannot be used, and a model's processor.
struct Fixture {
    _folder: TempDir,
    data: Arc<DataSet>,
    preparer: Arc<Preparer>,
}

fn prompt(turns: Turns) -> PromptConfig {
    PromptConfig {
        turns,
        instruction: InstructionProfile::NONE,
        wordings: Wordings::built_in().clone(),
        system: None,
        max_tokens: 400,
        trailing_newline: true,
    }
}

fn fixture(turns: Turns) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut samples: Vec<(String, Vec<u8>, Vec<u8>)> = Vec::new();
    for n in 0..40 {
        let sound = tone(300.0 + 10.0 * n as f32, 2000 + 331 * (n % 7), 16_000);
        samples.push((format!("V{n} (0_0-1_0)"), sound, json_of("What is it?", "I hear it.", &format!("Tone {n}."))));
    }
    samples.push(("short (0_0-1_0)".to_owned(), tone(300.0, 999, 16_000), json_of("q", "t", "a")));
    samples.push(("broken (0_0-1_0)".to_owned(), b"fLaC, but no more".to_vec(), json_of("q", "t", "a")));
    samples.push(("long (0_0-1_0)".to_owned(), tone(300.0, 2000, 16_000), json_of("q", &"word ".repeat(200), "a")));
    for (number, part) in samples.chunks(20).enumerate() {
        let members: Vec<[Member<'_>; 2]> =
            part.iter().map(|(_, sound, json)| [("flac", sound.as_slice()), ("json", json.as_slice())]).collect();
        let part: Vec<(&str, &[Member<'_>])> =
            part.iter().zip(&members).map(|((key, ..), members)| (key.as_str(), members.as_slice())).collect();
        let path = folder.path().join(format!("shards/{number:04}.tar"));
        audsem_core::files::write_atomically(&path, &shard(&part)).unwrap();
    }
    let options = RunOptions { output: folder.path().join("out"), ..RunOptions::new("") };
    let source = DataSource { path: folder.path().join("shards"), weight: 1.0 };
    let data = DataSet::open(&[source], "index/train", &options).unwrap();
    let preparer = Preparer::new(Arc::new(ByteTokenizer), Decoder::new(), SoundConfig::default(), prompt(turns));
    Fixture { _folder: folder, data: Arc::new(data), preparer: Arc::new(preparer) }
}

impl Fixture {
    fn load(&self, batches: BatchConfig, workers: usize, from: Cursor) -> Vec<MicroBatch> {
        let order = EpochOrder::shuffled(&self.data, 3, None);
        let config = LoaderConfig { batches, seed: 3, workers, epochs: 2 };
        let mut loader = Loader::start(self.data.clone(), self.preparer.clone(), order, config, from);
        let mut all = Vec::new();
        while let Some(batch) = loader.next_batch().unwrap() {
            all.push(batch);
        }
        all
    }
}

const ANSWERED: Turns = Turns::Answered(TargetStyle::Think);

#[test]
fn batches_depend_neither_on_threads_nor_on_where_a_process_begins() {
    let fixture = fixture(ANSWERED);
    for batches in [
        BatchConfig { batch_size: 4, batch_tokens: None, window: 0 },
        BatchConfig { batch_size: 8, batch_tokens: Some(900), window: 16 },
    ] {
        let whole = fixture.load(batches, 1, Cursor::default());
        assert_eq!(fixture.load(batches, 3, Cursor::default()), whole);
        let used: usize = whole.iter().map(|batch| batch.examples.len()).sum();
        assert_eq!(used, 80, "40 in each of two epochs");
        assert_eq!(whole.iter().filter(|batch| batch.ends_epoch).count(), 2);
        assert_eq!(whole.last().unwrap().reached, 86);
        for (number, batch) in whole.iter().enumerate().step_by(3) {
            let rest = fixture.load(batches, 2, batch.next);
            assert_eq!(rest, whole[number + 1..], "from {:?}", batch.next);
        }
    }
}

#[test]
fn what_is_left_out_comes_with_key_and_reason_once_an_epoch() {
    let fixture = fixture(ANSWERED);
    let batches = fixture.load(BatchConfig { batch_size: 4, batch_tokens: None, window: 8 }, 2, Cursor::default());
    let mut left_out: Vec<(String, &str)> = batches
        .iter()
        .flat_map(|batch| batch.left_out.iter().map(|(_, key, why)| (key.clone(), why.reason())))
        .collect();
    left_out.sort();
    let expected = [("broken", "undecodable"), ("long", "long_text"), ("short", "short_sound")];
    let expected = expected.map(|(key, reason)| (format!("{key} (0_0-1_0)"), reason));
    assert_eq!(left_out, expected.iter().flat_map(|one| [one.clone(), one.clone()]).collect::<Vec<_>>());
}

#[test]
fn the_answer_and_the_end_of_its_turn_are_learned_and_nothing_else() {
    let fixture = fixture(ANSWERED);
    let row = &fixture.data.rows[7];
    let example = fixture.preparer.prepare(7, row).unwrap().unwrap();
    let text = |places: &[usize]| {
        let ids: Vec<u32> = places.iter().map(|place| example.sequence.tokens[*place]).collect();
        decode(&ids)
    };
    let targets = &example.sequence.targets;
    assert_eq!(text(targets), "<think>I hear it.</think>\n<answer>Tone 7.</answer><|im_end|>\n");
    let before: Vec<usize> = (0..targets[0]).collect();
    assert_eq!(text(&before), "user\n*What is it?<|im_end|>\nassistant\n");
    assert_eq!(targets.last().unwrap() + 1, example.sequence.tokens.len());
    let heard = example.sequence.tokens.iter().filter(|token| **token == AUDIO).count();
    assert_eq!(heard, example.sequence.sounds[0].len().div_ceil(160).div_ceil(2) / 2);
    let without = PromptConfig { trailing_newline: false, system: Some("Hear.".to_owned()), ..prompt(ANSWERED) };
    let without = Preparer::new(Arc::new(ByteTokenizer), Decoder::new(), SoundConfig::default(), without);
    let shorter = without.prepare(7, row).unwrap().unwrap().sequence;
    assert!(decode(&shorter.tokens).starts_with("system\nHear.<|im_end|>\nuser\n*"));
    assert_eq!(shorter.targets.len() + 1, targets.len());
}

#[test]
fn a_prompt_ends_where_the_answer_begins() {
    let (answered, asked) = (fixture(ANSWERED), fixture(Turns::Prompt));
    let whole = answered.preparer.prepare(3, &answered.data.rows[3]).unwrap().unwrap();
    let prompt = asked.preparer.prepare(3, &asked.data.rows[3]).unwrap().unwrap();
    assert!(prompt.sequence.targets.is_empty());
    assert_eq!(prompt.sequence.tokens, whole.sequence.tokens[..whole.sequence.targets[0]]);
    assert_eq!((prompt.text.answer.as_str(), prompt.sequence.sounds), ("Tone 3.", whole.sequence.sounds));
}
