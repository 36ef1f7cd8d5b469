//! A data set of AudioBench, from its table to scores and back into AudioBench's files.

use audsem_core::testing::{loopback::Loopback, run_python};
use audsem_evaluate::prediction::{HeardSound, PredictionStatus};
use audsem_media::audio::encode_wav;
use serde_json::json;

use crate::predict::{answered, predictions};
use crate::workbench::Bench;

/// Writes a table of questions about tones of 1, 2 and 3 seconds, in groups of two rows.
fn table(bench: &Bench) {
    for n in 1..=3 {
        let samples: Vec<f32> = (0..8000 * n).map(|at| (at as f32 * 0.3).sin() * 0.4).collect();
        bench.write(&format!("{n}.wav"), encode_wav(&samples, 1, 8000).unwrap());
    }
    let script = "
import pyarrow as pa, pyarrow.parquet as pq
file = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
sounds = pa.array([{'bytes': open(f'{n}.wav', 'rb').read(), 'path': None} for n in (1, 2, 3)], file)
asked = [f'How long is sound {n}?' for n in range(3)]
pq.write_table(pa.table({'context': sounds, 'instruction': asked, 'answer': ['1', '2', '3']}), 'test.parquet', row_group_size=2)";
    let _ = run_python(script, &bench.path(""));
}

const SET: &str = "--benchmark audiobench --data-set clotho_aqa_test --data test.parquet";

#[test]
fn a_table_with_sounds_is_asked_scored_and_written_as_audiobench_does() {
    let bench = Bench::new();
    table(&bench);
    let server = Loopback::start(|call, _| answered(call));
    let url = server.url("/v1");
    let common = format!("predict {SET} --prompt audiobench --blind --model m --server {url} --per-shard 2");
    bench.call(&format!("{common} -o out")).ended(0);
    let all = predictions(&bench, "out", 2);
    let heard = |heard| all.iter().filter(move |one| one.heard == heard).map(|one| one.output.as_deref().unwrap());
    assert_eq!(
        heard(HeardSound::Sound).collect::<Vec<_>>(),
        ["1000 ms of sound", "2000 ms of sound", "3000 ms of sound"]
    );
    assert!(heard(HeardSound::Nothing).all(|said| said == "no sound"));
    assert!(
        all.iter().all(|one| one.status == PredictionStatus::Answered && one.item.question.starts_with("How long"))
    );
    let asked = server.calls().len();

    // NumPy shuffles three rows to 2, 1, 0; answers about the same sounds are known by now.
    bench.call(&format!("{common} -o some --subset 2 --replay out/replay")).ended(0);
    let ids: Vec<String> = predictions(&bench, "some", 1).into_iter().map(|one| one.item.id).collect();
    assert_eq!(ids.iter().step_by(3).collect::<Vec<_>>(), ["2", "1"], "{ids:?}");
    assert_eq!(server.calls().iter().skip(asked).filter(|call| call.path.ends_with("completions")).count(), 0);

    bench.call("score -i out -o scores --resamples 100").ended(0);
    bench.call("export -i out -o exported --format audiobench --model-name m").ended(0);
    let exported = bench.json("exported/log/m/clotho_aqa_test_-1.json");
    assert_eq!(
        exported[2],
        json!({ "instruction": "How long is sound 2?", "reference": "3", "task_type": "ASQA",
                "model_prediction": "3000 ms of sound" })
    );
}

#[test]
fn data_sets_that_are_not_there_are_refused() {
    let bench = Bench::new();
    table(&bench);
    for (flags, expected) in [
        ("--benchmark audiobench --data test.parquet", "name one of them"),
        ("--benchmark audiobench --data-set clotho --data test.parquet", "clotho_aqa_test"),
        ("--benchmark audiobench --data-set cna_test", "cna_test is not public"),
        ("--benchmark mmau --data-set cna_test --data test.parquet", "add --benchmark audiobench"),
        ("--benchmark mmau", "the files of the benchmark are wanted"),
    ] {
        bench.call(&format!("predict {flags} -o out --model m --server http://127.0.0.1:9/v1")).ended(2).says(expected);
    }
    assert!(!bench.path("out").exists());
}
