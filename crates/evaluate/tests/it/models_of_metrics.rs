//! `score` with models that its metrics need.

use audsem_evaluate::item::AnswerKind;
use audsem_evaluate::tables::ItemScore;
use audsem_metrics::bleu::BleuCounts;
use audsem_metrics::sentence_piece::SentencePieceModel;
use serde_json::{Value, json};

use crate::answers::{free, without_sound, write_run};
use crate::workbench::{Bench, fixture};

fn metric(summary: &Value, benchmark: &str, name: &str) -> Option<f64> {
    let metrics = summary["benchmarks"][benchmark]["heard"]["sound"]["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric[0] == name).map(|metric| metric[1]["value"].as_f64().unwrap())
}

#[test]
fn bleu_is_of_the_pieces_of_a_model() {
    let bench = Bench::new();
    let pairs =
        [("karomi tansel vopu lingshi dra", "karomi tanvo vopu lingshi drane"), ("bochaest orquizen", "bochaest")];
    let asked = pairs
        .iter()
        .zip(0..)
        .map(|((right, said), n)| free(AnswerKind::Translation, "covost2_en_id_test", n, &[right], said));
    write_run(&bench, "asked", &[asked.collect()]);
    let path = fixture("text_metrics/sentence_piece/prefix.model");
    let model = SentencePieceModel::open(&path).unwrap();
    let mut counts = BleuCounts::default();
    pairs.iter().for_each(|(right, said)| counts.add(&BleuCounts::of_pieces(said, &[right], &model)));
    bench.write("spm.model", std::fs::read(&path).unwrap());
    bench.call("score -i asked -o plain").ended(0);
    bench.call("score -i asked -o pieces --bleu-model spm.model").ended(0);
    let [plain, pieces] = ["plain", "pieces"].map(|name| bench.json(&format!("{name}/summary.json")));
    let found = metric(&pieces, "covost2_en_id_test", "bleu").unwrap();
    assert!((found - counts.score()).abs() < 1e-9 && found > 0.0, "{found}");
    assert_ne!(metric(&plain, "covost2_en_id_test", "bleu"), Some(found));
    let note = pieces["benchmarks"]["covost2_en_id_test"]["notes"][0].as_str().unwrap();
    assert!(note.contains(pieces["bleu_model"].as_str().unwrap()), "{note}");
    assert_eq!(plain["bleu_model"], Value::Null);
    for flags in ["--bleu-model asked/run.json", "--bleu-model spm.model --bleu-tokens 13a", "--bleu-model nowhere"] {
        bench.call(&format!("score -i asked -o refused {flags}")).ended(2);
    }
}

#[test]
fn captions_get_fense_where_its_models_are_given() {
    let bench = Bench::new();
    let goldens: Value = serde_json::from_slice(&std::fs::read(fixture("goldens/fense.json")).unwrap()).unwrap();
    let goldens: Vec<&Value> =
        goldens["captions"].as_array().unwrap().iter().filter(|golden| golden["candidate"] != "").collect();
    let caption = |golden: &Value, n: u64| {
        let references: Vec<&str> =
            golden["references"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        free(AnswerKind::Caption, "clotho", n, &references, golden["candidate"].as_str().unwrap())
    };
    let mut asked: Vec<_> = goldens.iter().zip(0..).map(|(golden, n)| caption(golden, n)).collect();
    asked.push(without_sound(caption(goldens[0], 99)));
    write_run(&bench, "asked", &[asked]);
    let [sentence, errors] = ["minilm_tiny", "fluency_tiny"].map(|name| fixture("goldens").join(name));
    let flags = format!("--fense-sentence {} --fense-errors {}", sentence.display(), errors.display());
    bench.call(&format!("score -i asked -o out {flags}")).ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let mut expected = 0.0;
    for (row, golden) in rows.iter().zip(&goldens) {
        let similarity = row.sentence_similarity.unwrap();
        assert!((similarity - golden["similarity"].as_f64().unwrap()).abs() < 1e-5, "{golden}: {similarity}");
        assert_eq!(json!(row.fluency_error), golden["error"], "{golden}");
        expected += golden["fense"].as_f64().unwrap();
    }
    assert_eq!((rows[rows.len() - 1].sentence_similarity, rows[rows.len() - 1].fluency_error), (Some(0.0), Some(0.0)));
    let summary = bench.json("out/summary.json");
    let found = metric(&summary, "clotho", "fense").unwrap();
    assert!((found - expected / rows.len() as f64).abs() < 1e-5, "{found}");
    assert!(metric(&summary, "clotho", "spider-fl").is_none(), "there is no SPICE");
    assert_eq!(bench.json("out/run.json")["models"].as_array().unwrap().len(), 2);
    bench.call("score -i asked -o plain").ended(0);
    assert!(metric(&bench.json("plain/summary.json"), "clotho", "fense").is_none());
    bench.call(&format!("score -i asked -o refused --fense-sentence {}", sentence.display())).ended(2);
}
