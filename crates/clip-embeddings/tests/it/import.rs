//! `import-embeddings`: vectors of other programs.

use audsem_clip_embeddings::tables::{CaptionMatch, Score};
use audsem_core::tables::{EmbeddingKey, VectorFile};
use audsem_core::testing::run_python;

use crate::workbench::{Bench, cosine};

/// Writes tables with the help of pyarrow.
fn tables(bench: &Bench, script: &str) {
    let head = "import os, pyarrow as pa, pyarrow.parquet as pq, numpy as np\nos.makedirs('in', exist_ok=True)\n";
    let _ = run_python(&(head.to_owned() + script), &bench.path(""));
}

/// Keys and vectors of a table that was made.
fn made(bench: &Bench, name: &str) -> (Vec<String>, Vec<Vec<f32>>) {
    let keys = bench.rows::<EmbeddingKey>(name).into_iter().map(|row| row.key).collect();
    let file = VectorFile::open(&bench.path(name)).unwrap();
    let numbers: Vec<f32> = (0..file.n_groups()).flat_map(|group| file.group(group).unwrap()).collect();
    (keys, numbers.chunks(file.dim()).map(<[f32]>::to_vec).collect())
}

#[test]
fn keys_and_vectors_of_any_type_become_unit_vectors_under_our_keys() {
    let bench = Bench::new();
    tables(
        &bench,
        "
rows = [[3.0, 4.0], [0.0, -2.0], [1.0, 1.0]]
names = ['V (1.0-2.5)', ' free name ', 'a/b.wav']
def write(name, keys, type, **how):
    pq.write_table(pa.table({'extra': [1, 2, 3], 'id': keys, 'emb': pa.array(rows, type)}), f'in/{name}.parquet', **how)
write('a', pa.array(names), pa.list_(pa.float32()))
write('b', pa.array([7, -1, 2**40]), pa.list_(pa.float64(), 2), row_group_size=2)
write('c', pa.array([2**64 - 1, 0, 1], pa.uint64()), pa.large_list(pa.float32()), compression='zstd')
half = pa.FixedSizeListArray.from_arrays(pa.array(np.array(rows, np.float16).ravel()), 2)
pq.write_table(pa.table({'id': pa.array(['x', 'y', 'z']).dictionary_encode(), 'emb': half}), 'in/d.parquet')",
    );
    let command = "import-embeddings -i in --key-column id --vector-column emb --modality audio --model-name m/x";
    let called = bench.call(&format!("{command} -o out")).ended(0);
    let results = &called.summary()["results"];
    assert_eq!((&results["tables"], &results["dimensions"]), (&4.into(), &2.into()));
    let keys = [
        ["V (1_0-2_5)", "free name", "a/b.wav"],
        ["7", "-1", "1099511627776"],
        ["18446744073709551615", "0", "1"],
        ["x", "y", "z"],
    ];
    let half = 0.5f32.sqrt();
    for (i, expected) in keys.into_iter().enumerate() {
        let name = format!("out/part-{i:05}.parquet");
        let (keys, vectors) = made(&bench, &name);
        assert_eq!(keys, expected);
        assert_eq!(vectors, [[0.6, 0.8], [0.0, -1.0], [half, half]]);
        let file = VectorFile::open(&bench.path(&name)).unwrap();
        assert_eq!((file.value("audsem.model"), file.value("audsem.modality")), (Some("m/x"), Some("audio")));
    }
    bench.call(&format!("{command} -o two --workers 2")).ended(0);
    assert_eq!(bench.tree("out"), bench.tree("two"));
    bench.call(&format!("{command} -o some --limit 4")).ended(0);
    assert_eq!(made(&bench, "some/part-00001.parquet").0, ["7"]);
    assert!(!bench.path("some/part-00002.parquet").exists());
}

#[test]
fn rows_that_cannot_be_used_cost_themselves_alone_and_are_counted() {
    let bench = Bench::new();
    tables(
        &bench,
        "
nan, inf = float('nan'), float('inf')
rows = {'good': [1.0, 0.0], 'short': [1.0], 'empty': [], 'absent': None, 'hole': [None, 1.0], 'nan': [nan, 1.0], 'inf': [1.0, inf],
        'zero': [0.0, 0.0], None: [1.0, 1.0], ' ': [1.0, 1.0], 'last': [0.0, 5.0]}
type = pa.list_(pa.float32())
pq.write_table(pa.table({'key': list(rows), 'vec': pa.array(list(rows.values()), type)}), 'in/a.parquet')
pq.write_table(pa.table({'key': ['new', 'good', 'new'], 'vec': pa.array([[2.0, 0.0]] * 3, type)}), 'in/b.parquet')
pq.write_table(pa.table({'key': ['p', 'q'], 'vec': pa.array([None, []], type)}), 'in/c.parquet')",
    );
    let command = "import-embeddings -i in --modality text --model-name m --max-fail-rate 1";
    let called = bench.call(&format!("{command} -o out")).ended(0);
    assert_eq!(made(&bench, "out/part-00000.parquet").0, ["good", "last"]);
    assert_eq!(made(&bench, "out/part-00001.parquet").0, ["new"]);
    let rejects = bench.rejects("out/rejects-00000.jsonl");
    let expected = [
        ("short", "not_finite"),
        ("empty", "not_finite"),
        ("absent", "not_finite"),
        ("hole", "not_finite"),
        ("nan", "not_finite"),
        ("inf", "not_finite"),
        ("zero", "zero_vector"),
        ("a.parquet, row 8", "no_key"),
        ("a.parquet, row 9", "no_key"),
    ];
    assert_eq!(rejects, expected.map(|(key, why)| (key.to_owned(), why.to_owned())));
    let repeated = [("good", "repeated_key"), ("new", "repeated_key")].map(|(k, w)| (k.to_owned(), w.to_owned()));
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), repeated);
    assert_eq!(bench.details("out/rejects-00001.jsonl"), ["b.parquet, row 1", "b.parquet, row 2"]);
    assert_eq!(bench.rejects("out/rejects-00002.jsonl").len(), 2);
    let step = called.step("part");
    assert_eq!((&step["in"], &step["kept"]), (&16.into(), &3.into()), "{step}");
    // What is left out is not done so without a word.
    bench.call("import-embeddings -i in --modality text --model-name m -o strict").ended(1);
}

#[test]
fn what_was_imported_is_scored_matched_and_compared_like_our_own() {
    let bench = Bench::new();
    tables(
        &bench,
        "
rng = np.random.default_rng(3)
keys = [f'V{i} ({i}.0-{i + 1}.0)' for i in range(20)]
for name in ['audio', 'text', 'ref']:
    x = rng.normal(size=(20, 6)).astype(np.float32) * 9
    np.save(f'{name}.npy', x)
    vec = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 6)
    pq.write_table(pa.table({'file': keys, 'embedding': vec}), f'in/{name}.parquet')
np.save('audio.npy', np.load('audio.npy'))
for name in ['audio', 'text', 'ref']:
    np.load(f'{name}.npy').tofile(f'{name}.raw')",
    );
    for (name, modality) in [("audio", "audio"), ("text", "text"), ("ref", "audio")] {
        bench
            .call(&format!(
                "import-embeddings -i in/{name}.parquet --key-column file --vector-column embedding --modality {modality} \
                 --model-name other -o {name}"
            ))
            .ended(0);
    }
    let raw = |name: &str| -> Vec<Vec<f32>> {
        let bytes = std::fs::read(bench.path(&format!("{name}.raw"))).unwrap();
        let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
        numbers.chunks(6).map(<[f32]>::to_vec).collect()
    };
    let (audio, text, reference) = (raw("audio"), raw("text"), raw("ref"));
    bench.call("score -i audio --reference ref --score knn --top-k 1 -o scores").ended(0);
    for (i, score) in bench.rows::<Score>("scores/part-00000.parquet").iter().enumerate() {
        let cosines: Vec<f64> = reference.iter().map(|y| cosine(&audio[i], y)).collect();
        let mean = 1.0 - cosines.iter().sum::<f64>() / 20.0;
        let nearest = cosines.into_iter().fold(f64::MIN, f64::max);
        assert_eq!(
            (score.key.as_str(), score.modality.as_str()),
            (format!("V{i} ({i}_0-{}_0)", i + 1).as_str(), "audio")
        );
        assert!((f64::from(score.dissimilarity) - mean).abs() < 1e-6, "{score:?} {mean}");
        assert!((f64::from(score.nearest.unwrap()) - nearest).abs() < 1e-6, "{score:?} {nearest}");
    }
    bench.call("match --audio audio --text text -o fit").ended(0);
    for (i, row) in bench.rows::<CaptionMatch>("fit/part-00000.parquet").iter().enumerate() {
        assert!((f64::from(row.cosine) - cosine(&audio[i], &text[i])).abs() < 1e-6, "{row:?}");
    }
    bench.call("match --audio text --text audio -o wrong").ended(2).says("text embeddings where audio");
    bench.call("reference build --reference ref -o saved").ended(0);
    bench.call("score -i audio --reference saved -o again").ended(0);
    bench.call("contamination -i audio --benchmark ref --threshold 0.2 -o near").ended(0);
    let flags = "--key-column file --vector-column embedding --modality audio --model-name another";
    bench.call(&format!("import-embeddings -i in/ref.parquet {flags} -o foreign")).ended(0);
    bench
        .call("score -i audio --reference foreign -o no")
        .ended(2)
        .says("of the model other where others are of another");
}

#[test]
fn tables_that_contradict_the_flags_are_refused() {
    let bench = Bench::new();
    tables(
        &bench,
        "
vec = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
pq.write_table(pa.table({'key': ['a'], 'vec': vec}).replace_schema_metadata({'audsem.model': 'theirs'}), 'in/model.parquet')
pq.write_table(pa.table({'key': ['a'], 'vec': vec, 'text': ['t'], 'text_hash': pa.array([1], pa.uint64())}), 'in/text.parquet')
pq.write_table(pa.table({'id': ['a'], 'number': [1], 'share': [0.5], 'emb': vec, 'whole': pa.array([[1]])}), 'in/named.parquet')
pq.write_table(pa.table({'key': ['a'], 'vec': pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float32()))}), 'in/three.parquet')
pq.write_table(pa.table({'key': ['a'], 'vec': pa.array([None], pa.list_(pa.float32()))}), 'in/none.parquet')
pq.write_table(pa.table({'key': ['a'], 'vec': vec}), 'in/plain.parquet')",
    );
    let flags = "--modality audio --model-name m -o out";
    let refused = |arguments: &str, parts: &[&str]| {
        let called = bench.call(&format!("import-embeddings -i {arguments} {flags}")).ended(2);
        parts.iter().for_each(|part| called.says(part));
        assert!(!bench.path("out").exists(), "{arguments}");
    };
    refused("in/model.parquet", &["of the model theirs where others are of m"]);
    refused("in/text.parquet", &["text embeddings where audio embeddings are expected"]);
    refused("in/named.parquet", &["column `key`", "is absent", "columns of such values are `id`, `number`"]);
    refused("in/named.parquet --key-column share", &["column `share`", "holds", "not texts or whole numbers"]);
    refused("in/named.parquet --key-column id", &["column `vec`", "is absent", "columns of such values are `emb`"]);
    refused("in/named.parquet --key-column id --vector-column whole", &["not a list of f16, f32 or f64", "`emb`"]);
    refused("in/plain.parquet in/three.parquet", &["vectors of 3 dimensions where others have 2", "three.parquet"]);
    refused("in/none.parquet", &["no row of column `vec` has a number"]);
    bench.write("in/list.csv", "key,vec\n");
    refused("in/list.csv", &["from Parquet only"]);
    let unnamed = bench.call_with("import-embeddings -i in/plain.parquet --modality audio -o out", |command| {
        command.args(["--model-name", " "]);
    });
    unnamed.ended(2).says("the name is empty");
}
