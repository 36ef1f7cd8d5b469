//! `score` and `report` of questions whose answers have to follow an instruction, and of Thai.

use audsem_core::testing::loopback::Loopback;
use audsem_evaluate::item::AnswerKind;
use audsem_evaluate::prediction::Prediction;
use audsem_evaluate::tables::ItemScore;
use serde_json::{Value, json};

use crate::answers::{choice, free, without_sound, write_run};
use crate::judge::rate;
use crate::workbench::Bench;

/// A question of MMAU-Pro with an instruction.
fn instruction(n: u64, rule: &str, parameters: Value, output: &str) -> Prediction {
    let mut asked = free(AnswerKind::Open, "mmau-pro", n, &["anything"], output);
    asked.item.groups = [("category", "instruction following"), ("task_identifier", rule)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let published = json!({ "category": "instruction following", "task_identifier": rule, "kwargs": parameters });
    asked.item.published = published.as_object().unwrap().clone();
    asked
}

fn of_mmau_pro(n: u64, output: &str) -> Prediction {
    let mut asked = choice(n, output);
    asked.item.benchmark = "mmau-pro".to_owned();
    asked.item.groups = [("category".to_owned(), "sound".to_owned())].into();
    asked
}

#[test]
fn instructions_are_scored_by_their_rules() {
    let bench = Bench::new();
    let asked = vec![
        instruction(0, "Number Bullets", json!({ "N": 2 }), "<answer>* one\n* two</answer>"),
        instruction(1, "Number Bullets", json!("{\"N\": 2.0}"), "<answer>- one\n- two</answer>"),
        instruction(2, "No Commas", json!(null), "one, two"),
        without_sound(instruction(3, "No Commas", json!(null), "")),
        instruction(4, "Rhyme", json!({}), "so"),
        instruction(5, "Number Bullets", json!({}), "so"),
        instruction(6, "Number Bullets", json!({}), "so"),
        of_mmau_pro(7, "a dog"),
        of_mmau_pro(8, "a cat"),
    ];
    write_run(&bench, "asked", &[asked]);
    bench.call("score -i asked -o out").ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let scores: Vec<_> = rows.iter().map(|row| (row.instruction, row.instruction_as_asked, row.official)).collect();
    let (yes, no) = (Some(1.0), Some(0.0));
    let instructions = [(yes, yes, None), (no, yes, None), (no, no, None), (no, no, None)];
    assert_eq!(scores[..4], instructions);
    assert_eq!(
        scores[4..],
        [(None, None, None), (None, None, None), (None, None, None), (None, None, yes), (None, None, no)]
    );
    let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!((kinds[0], kinds[4], kinds[8]), ("instruction", "instruction", "choice"));
    let found = &bench.json("out/summary.json")["benchmarks"]["mmau-pro"];
    assert_eq!(found["kind"], "instruction", "most questions are");
    let expected = [
        "2 instructions are not scored: `Number Bullets` has no parameter `N`.",
        "One instruction is not scored: no rule is called `Rhyme`.",
    ];
    assert_eq!(found["notes"], json!(expected));
    let heard = &found["heard"]["sound"];
    assert_eq!((&heard["n_total"], &heard["n_scored"], &heard["n_without_rule"]), (&9.into(), &6.into(), &3.into()));
    let names: Vec<&str> =
        heard["metrics"].as_array().unwrap().iter().map(|metric| metric[0].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["instruction", "instruction-as-asked", "official"]);
    let followed = &heard["metrics"][0][1];
    assert_eq!((&followed["value"], &followed["n"]), (&0.25.into(), &4.into()));
    assert!(followed["wilson"].is_array() && followed["bootstrap"].is_array());
    assert_eq!(heard["groups"]["category"]["values"]["sound"][0][0], "official");
    bench.call("report -i out -o page").ended(0);
    let page = bench.text("page/report.md");
    for part in
        ["followed (as asked)", "instructions without a rule", "no rule is called", "official 50.0 %", "followed: "]
    {
        assert!(page.contains(part), "{part:?} is not in the page:\n{page}");
    }
    assert!(!page.contains("are withheld"), "an instruction has no right answer to withhold");
}

/// Open answers of MMAU-Pro have a rubric of their own, which leaves choices and instructions to their rules; with its grades
/// all kinds have a score together.
#[test]
fn all_kinds_of_mmau_pro_have_one_score() {
    let bench = Bench::new();
    let open = |n: u64, output: &str| {
        let mut asked = free(AnswerKind::Open, "mmau-pro", n, &["a dog"], output);
        asked.item.groups = [("category".to_owned(), "open".to_owned())].into();
        asked
    };
    let asked = vec![
        instruction(0, "No Commas", json!(null), "one two"),
        instruction(1, "Rhyme", json!({}), "so"),
        of_mmau_pro(2, "a dog"),
        of_mmau_pro(3, "a cat"),
        open(4, "good"),
        open(5, "bad"),
    ];
    write_run(&bench, "asked", &[asked]);
    let server = Loopback::start(|request, _| rate(request));
    bench.call(&format!("judge -i asked -o judged --model m --server {}", server.url("/v1"))).ended(0);
    assert_eq!(bench.json("judged/run.json")["config"]["by"]["rubric"], "mmau-pro");
    assert_eq!(server.calls().len(), 2, "only open answers are judged");
    let metrics = |flags: &str| {
        bench.call(&format!("score -i asked -o out --fresh {flags}")).ended(0);
        bench.json("out/summary.json")["benchmarks"]["mmau-pro"]["heard"]["sound"]["metrics"].clone()
    };
    let value = |metrics: &Value, name: &str| {
        metrics.as_array().unwrap().iter().find(|one| one[0] == name).map(|one| one[1].clone())
    };
    let judged = metrics("--judgements judged");
    let of_judge = value(&judged, "judge").unwrap();
    // (5 + 1) / 2 of 5, in percent.
    assert_eq!((&of_judge["value"], &of_judge["n"]), (&60.0.into(), &2.into()));
    // Followed, right, wrong, 5 of 5, and 1 of 5; the instruction without a rule does not count.
    let overall = value(&judged, "overall").unwrap();
    assert!((overall["value"].as_f64().unwrap() - (1.0 + 1.0 + 0.0 + 1.0 + 0.2) / 5.0).abs() < 1e-12, "{overall}");
    assert_eq!(overall["n"], 5);
    assert_eq!(value(&metrics(""), "overall"), None, "without its open answers a mean would be of something else");
}

#[test]
fn a_model_of_sentences_can_be_named() {
    let bench = Bench::new();
    let asked = instruction(0, "Number Sentences (at most)", json!({ "N": 1 }), "It is 5 ft. The dog barks.");
    write_run(&bench, "asked", &[vec![asked]]);
    let files =
        [("abbrev_types.txt", "ft"), ("sent_starters.txt", ""), ("collocations.tab", ""), ("ortho_context.tab", "")];
    for (name, text) in files {
        bench.write(&format!("punkt/{name}"), text.as_bytes());
    }
    let score = |flags: &str| {
        bench.call(&format!("score -i asked -o out --fresh {flags}")).ended(0);
        bench.rows::<ItemScore>("out/scores.parquet")[0].instruction
    };
    assert_eq!((score(""), score("--punkt punkt")), (Some(0.0), Some(1.0)));
    bench.call("score -i asked -o out --fresh --punkt nowhere").ended(2);
}

#[test]
fn thai_needs_its_words() {
    let bench = Bench::new();
    let asked = free(AnswerKind::Transcript, "gigaspeech2_thai", 0, &["ฉันกินข้าว"], "ฉันข้าว");
    write_run(&bench, "asked", &[vec![asked]]);
    bench.write("words_th.txt", "ฉัน\nกิน\nข้าว\n".as_bytes());
    let score = |flags: &str| {
        bench.call(&format!("score -i asked -o out --fresh {flags}")).ended(0);
        let row = bench.rows::<ItemScore>("out/scores.parquet").remove(0);
        let notes = bench.json("out/summary.json")["benchmarks"]["gigaspeech2_thai"]["notes"].as_array().unwrap().len();
        (row.word_errors, row.reference_words, notes)
    };
    assert_eq!(score(""), (Some(1), Some(1), 1));
    assert_eq!(score("--thai-words words_th.txt"), (Some(1), Some(3), 0));
    assert_eq!(score("--thai-words words_th.txt --normaliser thai"), (Some(1), Some(3), 0));
    assert_eq!(score("--normaliser verbatim"), (Some(1), Some(1), 0));
    bench.call("score -i asked -o out --fresh --normaliser thai").ended(2);
}
